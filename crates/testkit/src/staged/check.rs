//! What must be true in the end, by GUID and past our own code.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};

use super::{Case, History, Machines, Side};

/// All datasets of both machines with their snapshots, at one moment.
pub(super) struct Picture {
    histories: [BTreeMap<String, History>; 2],
    origins: [BTreeMap<String, String>; 2],
    encrypted: [BTreeSet<String>; 2],
}

impl Picture {
    pub(super) async fn take(machines: &dyn Machines) -> Result<Self> {
        let (source, target) = (Side::Source, Side::Target);
        let histories =
            futures::future::try_join(machines.histories(source), machines.histories(target)).await?;
        let origins = futures::future::try_join(machines.origins(source), machines.origins(target)).await?;
        let encrypted =
            futures::future::try_join(machines.encrypted(source), machines.encrypted(target)).await?;
        Ok(Self { histories: histories.into(), origins: origins.into(), encrypted: encrypted.into() })
    }

    const fn on(&self, side: Side) -> &BTreeMap<String, History> {
        &self.histories[side as usize]
    }

    fn origin(&self, side: Side, dataset: &str) -> Option<&str> {
        self.origins[side as usize].get(dataset).map(String::as_str)
    }

    /// True when the dataset has the snapshot, itself or as a clone of one that has it.
    fn has(&self, side: Side, dataset: &str, guid: u64) -> bool {
        let history = self.on(side).get(dataset);
        history.is_some_and(|history| history.iter().any(|(_, known)| *known == guid))
            || self
                .origin(side, dataset)
                .and_then(|origin| origin.split_once('@'))
                .is_some_and(|(parent, _)| self.has(side, parent, guid))
    }

    fn is_encrypted(&self, side: Side, dataset: &str) -> bool {
        self.encrypted[side as usize].contains(dataset)
    }

    /// The GUID of `dataset@label`.
    fn guid(&self, side: Side, name: &str) -> Option<u64> {
        let (dataset, label) = name.split_once('@')?;
        let history = self.on(side).get(dataset)?;
        history.iter().find(|(known, _)| known == label).map(|(_, guid)| *guid)
    }

    /// Names of the datasets that have a snapshot.
    fn owners(&self, side: Side, guid: u64) -> Vec<&str> {
        let has = |history: &History| history.iter().any(|(_, known)| *known == guid);
        self.on(side).iter().filter(|(_, history)| has(history)).map(|(name, _)| name.as_str()).collect()
    }
}

/// Fails with everything that is not as the table says.
pub(super) async fn all(
    machines: &dyn Machines,
    cases: &[Case],
    before: &Picture,
    after: &Picture,
) -> Result<()> {
    let mut wrong = lost(cases, before, after);
    for case in cases {
        copies(case, after, &mut wrong);
        kept(case, before, after, &mut wrong);
        for (clone, origin) in case.origins {
            let found = after.origin(Side::Target, clone);
            if !found.is_some_and(|found| fits(origin, found)) {
                wrong.push(format!("{}: the origin of {clone} is {found:?}, not {origin}", case.name));
            }
        }
    }
    for side in Side::BOTH {
        wrong.extend(machines.left_behind(side).await?.iter().map(|left| format!("left on {side}: {left}")));
    }
    ensure!(wrong.is_empty(), "checked from outside:\n{}", wrong.join("\n"));
    Ok(())
}

/// Snapshots that are gone from their machine though no case says so, and those that should be gone and are not.
fn lost(cases: &[Case], before: &Picture, after: &Picture) -> Vec<String> {
    let allowed: BTreeSet<&str> = cases.iter().flat_map(|case| case.destroyed).copied().collect();
    let mut wrong = Vec::new();
    for side in Side::BOTH {
        for (dataset, history) in before.on(side) {
            for (label, guid) in history {
                let name = format!("{side}:{dataset}@{label}");
                let is_there = !after.owners(side, *guid).is_empty();
                match (is_there, allowed.contains(name.as_str())) {
                    (true, false) | (false, true) => {}
                    (false, false) => wrong.push(format!("{name} is lost")),
                    (true, true) => wrong.push(format!("{name} is still there")),
                }
            }
        }
    }
    wrong
}

/// True when `text` is `pattern`, where `*` stands for anything.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| rest.ends_with(after)),
        None => text == pattern,
    }
}

/// Each replica that is in step in the end has all snapshots of its source, and the same newest one; what is encrypted there is here.
fn copies(case: &Case, after: &Picture, wrong: &mut Vec<String>) {
    let name = case.name;
    for (target, said) in case.ends {
        if !said.starts_with("in_sync") {
            continue;
        }
        // Where the direction was reversed, the copy is what was the source.
        let (from, source, to) = match target.strip_prefix("tank/copy/") {
            Some(rest) => (Side::Source, format!("tank/{rest}"), Side::Target),
            None => (Side::Target, target.replacen("tank/", "tank/copy/", 1), Side::Source),
        };
        let (Some(there), Some(here)) = (after.on(from).get(&source), after.on(to).get(*target)) else {
            wrong.push(format!("{name}: {source} or {target} does not exist"));
            continue;
        };
        if there.is_empty() || there.last().map(|(_, guid)| guid) != here.last().map(|(_, guid)| guid) {
            wrong.push(format!("{name}: the newest of {there:?} is not the newest of {here:?}"));
        }
        if after.is_encrypted(from, &source) != after.is_encrypted(to, target) {
            wrong.push(format!("{name}: only one of {source} and {target} is encrypted"));
        }
        for (label, guid) in there {
            let snapshot = format!("{source}@{label}");
            let has = after.has(to, target, *guid);
            if has == case.gaps.contains(&snapshot.as_str()) {
                wrong.push(format!("{name}: {target} {} {snapshot}", if has { "has" } else { "lacks" }));
            }
        }
    }
}

fn kept(case: &Case, before: &Picture, after: &Picture, wrong: &mut Vec<String>) {
    for (name, place) in case.kept {
        let Some(guid) = before.guid(Side::Target, name) else {
            wrong.push(format!("{}: {name} did not exist before the resolution", case.name));
            continue;
        };
        let owners = after.owners(Side::Target, guid);
        if !owners.iter().any(|owner| owner.starts_with(place)) {
            wrong.push(format!("{}: {name} should be in {place}…, and is in {owners:?}", case.name));
        }
    }
}
