//! "Can I delete this?"

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{
    bases,
    holders::{Holder, holders},
    place::{Known, Place},
    reasons,
    seats::{Seat, Seating},
    verdict::{Answer, Finding, Verdict},
};
use crate::{
    group::SyncGroup,
    guid::Guid,
    ids::SystemId,
    inventory::{Dataset, Snapshot},
    name::{DatasetName, SnapshotName},
    plan::SystemView,
    time::Timestamp,
};

/// Whether each of these snapshots can be deleted, in the order they were asked for.
///
/// They are judged together, as if all were deleted: of two copies, none is safe because the other is there. `systems` are all
/// systems of the fleet; a member of a group that is missing there counts as never reported.
pub fn destroy(
    groups: &[&SyncGroup],
    systems: &BTreeMap<SystemId, SystemView<'_>>,
    asked: &[(SystemId, SnapshotName)],
    now: Timestamp,
) -> Vec<Verdict> {
    let question = Question::new(groups, systems, asked, now);
    asked.iter().map(|(system, name)| question.verdict(*system, name)).collect()
}

/// Everything that is asked for, and who else has it.
struct Question<'a> {
    groups: &'a [&'a SyncGroup],
    systems: &'a BTreeMap<SystemId, SystemView<'a>>,
    asked: BTreeSet<(SystemId, &'a DatasetName, Guid)>,
    holders: HashMap<Guid, Vec<Holder<'a>>>,
    now: Timestamp,
}

impl<'a> Question<'a> {
    fn new(
        groups: &'a [&'a SyncGroup],
        systems: &'a BTreeMap<SystemId, SystemView<'a>>,
        asked: &'a [(SystemId, SnapshotName)],
        now: Timestamp,
    ) -> Self {
        let found = asked.iter().filter_map(|(system, name)| {
            let (_, snapshot) = find(&Known::new(systems, *system), name)?;
            Some((*system, name.dataset(), snapshot.guid))
        });
        let asked: BTreeSet<_> = found.collect();
        let wanted: HashSet<Guid> = asked.iter().map(|(_, _, guid)| *guid).collect();
        Self { groups, systems, asked, holders: holders(systems, &wanted), now }
    }

    fn known(&self, system: SystemId) -> Known<'a> {
        Known::new(self.systems, system)
    }

    fn is_asked(&self, system: SystemId, dataset: &DatasetName, guid: Guid) -> bool {
        self.asked.contains(&(system, dataset, guid))
    }

    fn verdict(&self, system: SystemId, name: &SnapshotName) -> Verdict {
        let known = self.known(system);
        let found = find(&known, name);
        let mut findings = match found {
            None => vec![reasons::not_found(&known, name)],
            Some((dataset, snapshot)) => self.findings(&known, name, dataset, snapshot),
        };
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.answer));
        Verdict {
            system,
            system_name: known.name.clone().into_owned(),
            snapshot: name.clone(),
            guid: found.map(|(_, snapshot)| snapshot.guid),
            frees: found.map_or(0, |(_, snapshot)| snapshot.used),
            answer: findings.first().map_or(Answer::Unknown, |finding| finding.answer),
            findings,
            as_of: known.as_of(),
        }
    }

    fn findings(
        &self,
        known: &Known<'a>,
        name: &SnapshotName,
        dataset: &'a Dataset,
        snapshot: &'a Snapshot,
    ) -> Vec<Finding> {
        let seats = Seating::new(self.groups, known.id).seats(&dataset.name);
        let mut findings = vec![self.copies(known, dataset, snapshot)];
        findings.extend(reasons::held(known, name, snapshot));
        findings.extend(reasons::clones(known, name));
        findings.extend(self.needs(known, dataset, snapshot, &seats));
        findings.extend(self.carried_over(known, dataset, snapshot, &seats));
        findings.extend(self.doubts(known, &seats));
        findings
    }

    /// Who else has it, when all that is asked for is gone.
    fn copies(&self, known: &Known<'a>, dataset: &Dataset, snapshot: &Snapshot) -> Finding {
        let guid = snapshot.guid;
        let all = self.holders.get(&guid).map_or(&[][..], Vec::as_slice);
        // A pool that was moved, or cloned with its machine, is reported twice and is one copy.
        let own = dataset.properties.guid;
        let others = all.iter().filter(|other| other.dataset.properties.guid != own);
        let (going, staying): (Vec<&Holder<'_>>, Vec<&Holder<'_>>) =
            others.partition(|other| self.is_asked(other.system, &other.dataset.name, guid));
        let fresh: Vec<&Holder<'_>> = staying.iter().copied().filter(|other| other.fresh).collect();
        let (answer, mut text, about) = if !fresh.is_empty() {
            (Answer::Safe, format!("{} too.", self.have_it(&fresh)), fresh)
        } else if !staying.is_empty() {
            let names = self.have_it(&staying);
            let text = format!("{names} too according to old reports; not known whether that is still so.");
            (Answer::Unknown, text, staying)
        } else if !going.is_empty() {
            let text = "All copies are among those that you ask for.".to_owned();
            (Answer::LosesData, text, going.clone())
        } else {
            (Answer::LosesData, "No other dataset of the fleet is known to have it.".to_owned(), Vec::new())
        };
        if answer == Answer::Safe && !going.is_empty() {
            text.push_str(" Other copies are among those that you ask for.");
        }
        let reports = about.iter().filter_map(|other| self.known(other.system).as_of());
        Finding {
            answer,
            text,
            as_of: reports.chain(known.as_of()).min(),
            concerns: about.iter().map(|other| self.place(other)).collect(),
        }
    }

    fn place(&self, holder: &Holder<'_>) -> Place {
        self.known(holder.system).place(&holder.dataset.name)
    }

    /// `nas2 (backup/media@a1) and nas3 (backup/media@a1) have it`.
    fn have_it(&self, holders: &[&Holder<'_>]) -> String {
        const SHOWN: usize = 4;
        let shown = holders.iter().take(SHOWN).map(|holder| {
            let system = self.known(holder.system).name;
            format!("{system} ({}@{})", holder.dataset.name, holder.snapshot.label)
        });
        let mut names: Vec<String> = shown.collect();
        if holders.len() > SHOWN {
            names.push(format!("{} more", holders.len() - SHOWN));
        }
        let last = names.pop().unwrap_or_default();
        match names.as_slice() {
            [] => format!("{last} has it"),
            first => format!("{} and {last} have it", first.join(", ")),
        }
    }

    /// What replication wants with it.
    fn needs(
        &self,
        known: &Known<'a>,
        dataset: &'a Dataset,
        snapshot: &Snapshot,
        seats: &[Seat<'_>],
    ) -> Vec<Finding> {
        let here = (known.id, dataset.name.clone());
        let pairs =
            seats.iter().flat_map(Seat::pairs).filter(|pair| pair.source == here || pair.target == here);
        let pairs: BTreeSet<_> = pairs.collect();
        let mut findings = Vec::new();
        for pair in pairs {
            let (source, target) = (self.known(pair.source.0), self.known(pair.target.0));
            // What a system needs that never reported, or no GUIDs, is in doubt as a whole.
            let (Some(source_inventory), Some(target_inventory)) = (source.with_guids(), target.with_guids())
            else {
                continue;
            };
            let Some(source_dataset) = source_inventory.datasets.get(&pair.source.1) else { continue };
            let target_dataset = target_inventory.datasets.get(&pair.target.1);
            let deleted = bases::Deleted {
                on_source: &|guid| self.is_asked(pair.source.0, &pair.source.1, guid),
                on_target: &|guid| self.is_asked(pair.target.0, &pair.target.1, guid),
            };
            let need = if pair.source == here {
                bases::on_source(source_dataset, target_dataset, snapshot, &deleted)
            } else {
                target_dataset.and_then(|target| bases::on_target(source_dataset, target, snapshot, &deleted))
            };
            let Some(need) = need else { continue };
            let (source, target) = (source.place(&pair.source.1), target.place(&pair.target.1));
            let (answer, text) = reasons::need(&need, dataset, snapshot, &source, &target);
            let as_of = source_inventory.as_of.min(target_inventory.as_of);
            let other = if pair.source == here { target } else { source };
            findings.push(Finding { answer, text, concerns: vec![other], as_of: Some(as_of) });
        }
        findings
    }

    /// Groups that destroy on targets what was destroyed on their source.
    fn carried_over(
        &self,
        known: &Known<'a>,
        dataset: &Dataset,
        snapshot: &Snapshot,
        seats: &[Seat<'_>],
    ) -> Vec<Finding> {
        let here = (known.id, dataset.name.clone());
        let all = self.holders.get(&snapshot.guid).map_or(&[][..], Vec::as_slice);
        let mirroring =
            seats.iter().filter(|seat| seat.group.mirror_deletes.is_some() && seat.group.allow_destroy);
        let findings = mirroring.filter_map(|seat| {
            let pairs = seat.pairs().into_iter().filter(|pair| pair.source == here);
            let targets: BTreeSet<_> = pairs.map(|pair| pair.target).collect();
            if targets.is_empty() {
                return None;
            }
            let is_target =
                |other: &&Holder<'_>| targets.contains(&(other.system, other.dataset.name.clone()));
            let text = format!(
                "The group {} carries deletions over: its targets would lose it too, except the last copy in \
                 the fleet.",
                seat.group.name
            );
            let concerns = all.iter().filter(is_target).map(|other| self.place(other)).collect();
            Some(Finding { answer: Answer::Safe, text, concerns, as_of: known.as_of() })
        });
        findings.collect()
    }

    /// Systems whose reports can not be relied on, the snapshot's own among them.
    fn doubts(&self, known: &Known<'a>, seats: &[Seat<'_>]) -> Vec<Finding> {
        let others: BTreeSet<SystemId> = seats.iter().flat_map(|seat| seat.others(known.id)).collect();
        let own = known.weakness(self.now).map(|weakness| Finding {
            answer: Answer::Unknown,
            text: format!("{weakness}: not known whether it is held or cloned there now."),
            concerns: Vec::new(),
            as_of: known.as_of(),
        });
        let theirs = others.into_iter().filter_map(|id| {
            let other = self.known(id);
            let text = format!("{}: not known whether it needs this snapshot.", other.weakness(self.now)?);
            let pairs = seats.iter().flat_map(Seat::pairs).flat_map(|pair| [pair.source, pair.target]);
            let names: BTreeSet<DatasetName> =
                pairs.filter(|(system, _)| *system == id).map(|(_, dataset)| dataset).collect();
            let concerns = names.iter().map(|name| other.place(name)).collect();
            Some(Finding { answer: Answer::Unknown, text, concerns, as_of: other.as_of() })
        });
        own.into_iter().chain(theirs).collect()
    }
}

fn find<'a>(known: &Known<'a>, name: &SnapshotName) -> Option<(&'a Dataset, &'a Snapshot)> {
    let dataset = known.with_guids()?.datasets.get(name.dataset())?;
    let snapshot = dataset.snapshots.iter().find(|snapshot| snapshot.label == *name.label())?;
    Some((dataset, snapshot))
}
