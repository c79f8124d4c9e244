//! Looks at the simulated hosts themselves: what the witness says of them is another question.

use std::fmt::Write as _;

use zfs_sync_core::{guid::Guid, inventory::Dataset};
use zfs_sync_zfs::{command::Scope, features::Features, inventory, memory::Host};

use super::fleet::{DATASETS, Fleet, SOURCE, TARGETS, simulation};
use crate::failure::Failure;

/// What was compared.
#[derive(Debug, Default)]
pub(super) struct Proof {
    /// Snapshots found on a target, with equal GUID and equal content.
    pub(super) equal: u64,
    /// What is not, in words.
    pub(super) missing: Vec<String>,
}

impl Proof {
    pub(super) fn holds(&self) -> bool {
        self.missing.is_empty() && self.equal > 0
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for missing in &self.missing {
            let _ = writeln!(text, "  {missing}");
        }
        text
    }
}

/// Everything a host has.
pub(super) async fn read(host: &Host) -> Result<Vec<Dataset>, Failure> {
    let runner = host.runner();
    let features = Features::probe(&*runner).await.map_err(|error| simulation(&error))?;
    inventory::read(&*runner, &Scope::Everything, &features).await.map_err(|error| simulation(&error))
}

/// Compares every snapshot of the source with those of these targets, by GUID and by content.
pub(super) async fn compare(fleet: &Fleet, targets: &[&str]) -> Result<Proof, Failure> {
    let mut proof = Proof::default();
    let source = fleet.host(SOURCE);
    let originals = read(&source).await?;
    for target in targets {
        let target = fleet.host(target);
        let copies = read(&target).await?;
        for (name, _) in DATASETS {
            let original = originals.iter().find(|dataset| dataset.name.as_str() == name);
            let copy = copies.iter().find(|dataset| dataset.name.as_str() == name);
            let (Some(original), Some(copy)) = (original, copy) else {
                proof.missing.push(format!("{name} does not exist on {}", target.name()));
                continue;
            };
            // What a replica that was set aside has in common with the source is there, once; the new one begins with it.
            let aside = format!("{name}.aside-");
            let aside: Vec<&Dataset> =
                copies.iter().filter(|dataset| dataset.name.as_str().starts_with(&aside)).collect();
            compare_dataset((&source, original), (&target, copy), &aside, &mut proof)?;
        }
    }
    Ok(proof)
}

fn compare_dataset(
    source: (&Host, &Dataset),
    target: (&Host, &Dataset),
    aside: &[&Dataset],
    proof: &mut Proof,
) -> Result<(), Failure> {
    let content = |(host, dataset): (&Host, &Dataset), guid: Guid| {
        let Some(snapshot) = dataset.snapshot(guid) else { return Ok(None) };
        let name = format!("{}@{}", dataset.name, snapshot.label);
        host.content(&name).map(Some).map_err(|error| simulation(&error))
    };
    let place = format!("{} on {}", target.1.name, target.0.name());
    if !target.1.properties.readonly {
        proof.missing.push(format!("{place} is writable"));
    }
    if target.1.properties.partial.is_some() {
        proof.missing.push(format!("{place} has an interrupted receive"));
    }
    for snapshot in &source.1.snapshots {
        let original = content(source, snapshot.guid)?;
        let mut copy = content(target, snapshot.guid)?;
        for other in aside {
            copy = copy.or(content((target.0, other), snapshot.guid)?);
        }
        match copy {
            None => proof.missing.push(format!("@{} is not on {place}", snapshot.label)),
            Some(_) if copy != original => {
                proof.missing.push(format!("@{} has other content on {place}", snapshot.label));
            }
            Some(_) => proof.equal += 1,
        }
    }
    Ok(())
}

/// Snapshots that the source holds for us although nothing runs any more.
pub(super) async fn held_on_source(fleet: &Fleet) -> Result<Vec<String>, Failure> {
    let datasets = read(&fleet.host(SOURCE)).await?;
    let held = datasets.iter().flat_map(|dataset| {
        let snapshots = dataset.snapshots.iter().filter(|snapshot| snapshot.holds > 0);
        snapshots.map(move |snapshot| format!("{}@{}", dataset.name, snapshot.label))
    });
    Ok(held.collect())
}

/// All targets.
pub(super) const fn everywhere() -> &'static [&'static str] {
    &TARGETS
}
