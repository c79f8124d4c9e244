//! "What if this system is gone?"

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{
    estimate::Gone,
    holders::{Holder, holders},
    loss::{Extent, Loss, Role, SnapshotAt, Survivor, SystemLoss},
    place::{Known, minutes_since},
    seats::{Seat, Seating},
    words,
};
use crate::{
    group::SyncGroup,
    guid::Guid,
    ids::SystemId,
    inventory::{Dataset, Inventory},
    name::DatasetName,
    plan::{Fact, SystemView},
    time::Timestamp,
};

/// What vanishes when `lost` does, for each dataset it reported, and what to go on with.
///
/// `systems` are all systems of the fleet; a member of a group that is missing there counts as never reported. Copies are found by
/// GUID wherever they are, also outside groups. A local copy is lost together with its source.
pub fn system_lost(
    groups: &[&SyncGroup],
    systems: &BTreeMap<SystemId, SystemView<'_>>,
    lost: SystemId,
    now: Timestamp,
) -> SystemLoss {
    let known = Known::new(systems, lost);
    let doubts = known.weakness(now).map(|weakness| {
        let text = match known.inventory {
            None => format!("{weakness}: what it holds is not known, so what would be lost is not either."),
            Some(inventory) if inventory.without_guids => {
                format!("{weakness}: who else has them is not known.")
            }
            Some(_) => format!("{weakness}: what it did since then is not counted."),
        };
        Fact { text, as_of: known.as_of() }
    });
    let mut answer = SystemLoss {
        system: lost,
        system_name: known.name.clone().into_owned(),
        as_of: known.as_of(),
        losses: Vec::new(),
        doubts: doubts.into_iter().collect(),
    };
    let Some(inventory) = known.inventory else { return answer };
    let fleet = Fleet::new(groups, systems, lost, inventory, now);
    answer.losses = inventory.datasets.values().map(|dataset| fleet.loss(dataset)).collect();
    answer
}

/// The fleet without the lost system.
struct Fleet<'a> {
    seating: Seating<'a>,
    systems: &'a BTreeMap<SystemId, SystemView<'a>>,
    lost: SystemId,
    inventory: &'a Inventory,
    holders: HashMap<Guid, Vec<Holder<'a>>>,
    now: Timestamp,
}

/// A dataset elsewhere, while it is compared with the others.
struct Candidate<'a> {
    holder: Holder<'a>,
    position: usize,
    common: u32,
}

impl<'a> Fleet<'a> {
    fn new(
        groups: &'a [&'a SyncGroup],
        systems: &'a BTreeMap<SystemId, SystemView<'a>>,
        lost: SystemId,
        inventory: &'a Inventory,
        now: Timestamp,
    ) -> Self {
        let comparable = (!inventory.without_guids).then_some(inventory);
        let datasets = comparable.into_iter().flat_map(|inventory| inventory.datasets.values());
        let wanted: HashSet<Guid> =
            datasets.flat_map(|dataset| &dataset.snapshots).map(|snapshot| snapshot.guid).collect();
        let others = systems.iter().filter(|(id, _)| **id != lost).map(|(id, view)| (*id, *view)).collect();
        Self {
            seating: Seating::new(groups, lost),
            systems,
            lost,
            inventory,
            holders: holders(&others, &wanted),
            now,
        }
    }

    fn holders_of(&self, guid: Guid) -> &[Holder<'a>] {
        self.holders.get(&guid).map_or(&[], Vec::as_slice)
    }

    fn loss(&self, dataset: &'a Dataset) -> Loss {
        let seats = self.seating.seats(&dataset.name);
        let role = seats.iter().map(|seat| seat.role).min().unwrap_or(Role::NoGroup);
        let survivors = self.survivors(dataset);
        let held = |position: &usize| !self.holders_of(dataset.snapshots[*position].guid).is_empty();
        let comparable = !self.inventory.without_guids;
        let gone = Gone {
            positions: (0..dataset.snapshots.len()).filter(|position| !held(position)).collect(),
            survives_to: (0..dataset.snapshots.len()).rev().find(held),
        };
        let extent = gone.extent(dataset);
        let uncertain = dataset.snapshots.iter().filter(|snapshot| {
            let holders = self.holders_of(snapshot.guid);
            !comparable || (!holders.is_empty() && holders.iter().all(|holder| !holder.fresh))
        });
        let counted = if comparable { gone.positions.as_slice() } else { &[] };
        let minutes_lost = match (extent, gone.survives_to) {
            (Extent::Nothing | Extent::OldSnapshots, _) if role == Role::Target => Some(0),
            (_, Some(position)) => Some(minutes_since(dataset.snapshots[position].creation, self.now)),
            (Extent::Nothing, None) => Some(0),
            (_, None) => None,
        };
        let newest_lost = counted.iter().rev().take(Loss::LABELS);
        let mut loss = Loss {
            dataset: dataset.name.clone(),
            role,
            groups: names(&seats),
            extent,
            newest: dataset.newest().map(SnapshotAt::from),
            written: dataset.properties.written,
            minutes_lost,
            bytes_lost: gone.bytes(dataset, self.origin_referenced(dataset)),
            snapshots_lost: count(counted.len()),
            newest_lost: newest_lost.map(|position| dataset.snapshots[*position].label.clone()).collect(),
            snapshots_uncertain: count(uncertain.count()),
            promote: None,
            doubts: self.doubts(dataset, &seats, &survivors),
            summary: String::new(),
            survivors,
        };
        if role != Role::Target {
            loss.promote = self.promotion(&loss, &seats);
        }
        loss.summary = words::loss(&loss);
        loss
    }

    fn survivors(&self, dataset: &'a Dataset) -> Vec<Survivor> {
        let mut candidates: BTreeMap<(SystemId, &DatasetName), Candidate<'a>> = BTreeMap::new();
        for (position, snapshot) in dataset.snapshots.iter().enumerate() {
            for holder in self.holders_of(snapshot.guid) {
                let candidate = candidates.entry((holder.system, &holder.dataset.name));
                let candidate = candidate.or_insert(Candidate { holder: *holder, position, common: 0 });
                (candidate.holder, candidate.position) = (*holder, position);
                candidate.common += 1;
            }
        }
        let mut survivors: Vec<(usize, Survivor)> = candidates
            .into_values()
            .map(|candidate| (candidate.position, self.survivor(dataset, &candidate)))
            .collect();
        survivors.sort_by(|(a_position, a), (b_position, b)| {
            let by_worth = (b_position, b.fresh, b.snapshots).cmp(&(a_position, a.fresh, a.snapshots));
            by_worth.then_with(|| {
                (&a.place.system_name, &a.place.dataset).cmp(&(&b.place.system_name, &b.place.dataset))
            })
        });
        survivors.into_iter().map(|(_, survivor)| survivor).collect()
    }

    fn survivor(&self, dataset: &Dataset, candidate: &Candidate<'a>) -> Survivor {
        let Candidate { holder, position, common } = candidate;
        let system = Known::new(self.systems, holder.system);
        let after = holder.dataset.snapshots.iter().rev();
        let newer = after.take_while(|snapshot| snapshot.guid != holder.snapshot.guid).count();
        Survivor {
            place: system.place(&holder.dataset.name),
            newest: SnapshotAt::from(&dataset.snapshots[*position]),
            snapshots: *common,
            newer_of_its_own: count(newer),
            as_of: system.as_of().expect("a holder has reported"),
            fresh: holder.fresh,
        }
    }

    /// `referenced` of the snapshot that this dataset is a clone of.
    fn origin_referenced(&self, dataset: &Dataset) -> Option<u64> {
        let (origin, label) = dataset.properties.origin.as_deref()?.split_once('@')?;
        let origin = self.inventory.datasets.get(&origin.parse::<DatasetName>().ok()?)?;
        let snapshot = origin.snapshots.iter().find(|snapshot| snapshot.label.as_str() == label)?;
        Some(snapshot.referenced)
    }

    /// Systems that should have a copy, or seem to, and whose reports can not be relied on.
    fn doubts(&self, dataset: &Dataset, seats: &[Seat<'_>], survivors: &[Survivor]) -> Vec<Fact> {
        let wanted = seats.iter().flat_map(|seat| seat.others(self.lost));
        let seeming = survivors.iter().map(|survivor| survivor.place.system);
        let itself = self.inventory.without_guids.then_some(self.lost);
        let systems: BTreeSet<SystemId> = wanted.chain(seeming).chain(itself).collect();
        let known = systems.into_iter().map(|id| Known::new(self.systems, id));
        known
            .filter_map(|known| {
                let weakness = known.weakness(self.now)?;
                let text = if known.id == self.lost {
                    format!("{weakness}: not known who else has those of {}.", dataset.name)
                } else {
                    format!("{weakness}: not known what it has of {} now.", dataset.name)
                };
                Some(Fact { text, as_of: known.as_of() })
            })
            .collect()
    }

    fn promotion(&self, loss: &Loss, seats: &[Seat<'_>]) -> Option<super::Promotion> {
        let best = loss.survivors.first()?;
        let there =
            Known::new(self.systems, best.place.system).inventory?.datasets.get(&best.place.dataset)?;
        let lost = Known::new(self.systems, self.lost);
        Some(words::promotion(best, there, &lost.name, seats))
    }
}

fn names(seats: &[Seat<'_>]) -> Vec<String> {
    let names: BTreeSet<&String> = seats.iter().map(|seat| &seat.group.name).collect();
    names.into_iter().cloned().collect()
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
