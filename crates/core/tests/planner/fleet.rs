//! Fleets, as the tests make them: systems, one group, and what the witness remembers.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;
use zfs_sync_core::{
    group::{GroupMode, OnDivergence, Profile, SyncGroup},
    guid::{Guid, Txg},
    ids::{GroupId, SystemId},
    inventory::{Bookmark, Dataset, DatasetKind, DatasetProperties, Inventory, PartialReceive, Snapshot},
    name::DatasetName,
    plan::{Copies, Decision, Input, Plan, Remembered, ReplicaKey, Report, Running, SystemView, check, plan},
    time::Timestamp,
};

/// Stands in for the dataset of an interrupted receive until [`Fleet::name_tokens`].
pub(crate) const OF_ITS_SOURCE: &str = "SOURCE";

/// Bytes that every interrupted receive has got.
pub(crate) const PARTIAL_BYTES: u64 = 20 * 1024 * 1024;

#[derive(Clone, Debug)]
pub(crate) struct System {
    pub(crate) name: String,
    pub(crate) inventory: Option<Inventory>,
    pub(crate) fresh: bool,
}

/// Everything a planner's input is made from.
#[derive(Clone)]
pub(crate) struct Fleet {
    pub(crate) systems: BTreeMap<SystemId, System>,
    pub(crate) group: SyncGroup,
    pub(crate) running: Vec<Running>,
    pub(crate) decisions: Vec<Decision>,
    pub(crate) memory: BTreeMap<ReplicaKey, Remembered>,
    pub(crate) unreachable: BTreeSet<(SystemId, SystemId)>,
    pub(crate) holders: BTreeMap<Guid, Copies>,
    pub(crate) scope: Option<BTreeSet<DatasetName>>,
    pub(crate) now: Timestamp,
}

pub(crate) fn system_id(number: usize) -> SystemId {
    SystemId::from_uuid(Uuid::from_u128(number as u128))
}

pub(crate) fn noon() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

/// A file system without history, read-only, whose GUID follows from its name.
pub(crate) fn dataset(name: &str) -> Dataset {
    let guid = name.bytes().fold(1_000_000, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    Dataset {
        name: name.parse().unwrap(),
        properties: DatasetProperties {
            guid: Guid::new(guid),
            kind: DatasetKind::Filesystem,
            createtxg: Txg::new(1),
            written: 0,
            used: 0,
            referenced: 0,
            available: 0,
            readonly: true,
            mounted: false,
            encrypted: false,
            origin: None,
            partial: None,
        },
        snapshots: vec![],
        bookmarks: vec![],
    }
}

/// The GUID of a dataset that does not say otherwise: another one on each system, as a receive makes it.
pub(crate) fn guid_on(system: SystemId, name: &DatasetName) -> Guid {
    let number = u64::try_from(system.as_uuid().as_u128()).unwrap();
    let of_name = dataset(name.as_str()).properties.guid.get();
    Guid::new(of_name.wrapping_add(number.saturating_sub(1).wrapping_mul(1_000_003)))
}

pub(crate) fn snapshot(label: &str, guid: u64, createtxg: u64) -> Snapshot {
    Snapshot {
        guid: Guid::new(guid),
        createtxg: Txg::new(createtxg),
        label: label.parse().unwrap(),
        creation: 0,
        used: 0,
        referenced: 0,
        holds: 0,
    }
}

pub(crate) fn bookmark(label: &str, guid: u64, createtxg: u64) -> Bookmark {
    Bookmark {
        guid: Guid::new(guid),
        createtxg: Txg::new(createtxg),
        label: label.parse().unwrap(),
        creation: 0,
    }
}

/// An interrupted receive of a snapshot of `source`, as the sender calls it.
pub(crate) fn partial(source: &str, to: u64, from: Option<u64>) -> PartialReceive {
    PartialReceive {
        to_guid: Guid::new(to),
        from_guid: from.map(Guid::new),
        to_name: format!("{source}@{to}"),
        bytes: PARTIAL_BYTES,
        raw: false,
    }
}

impl Fleet {
    /// Without systems, with a group that selects nothing yet.
    pub(crate) fn empty() -> Self {
        Self {
            systems: BTreeMap::new(),
            group: SyncGroup {
                id: GroupId::from_uuid(Uuid::from_u128(99)),
                name: String::new(),
                enabled: true,
                mode: GroupMode::OneWay,
                hub: system_id(1),
                members: vec![],
                include: vec![],
                exclude: vec![],
                mappings: vec![],
                member_mappings: BTreeMap::new(),
                auto: true,
                on_divergence: OnDivergence::Stop,
                allow_destroy: false,
                mirror_deletes: None,
                follow_renames: false,
                profile: Profile::Standard,
            },
            running: vec![],
            decisions: vec![],
            memory: BTreeMap::new(),
            unreachable: BTreeSet::new(),
            holders: BTreeMap::new(),
            scope: None,
            now: noon(),
        }
    }

    /// Lets interrupted receives that do not say otherwise be of the dataset that is received there.
    pub(crate) fn name_tokens(&mut self) {
        let Self { systems, group, .. } = self;
        for (id, system) in systems {
            for dataset in system.inventory.iter_mut().flat_map(|inventory| inventory.datasets.values_mut()) {
                let Some(partial) = &mut dataset.properties.partial else { continue };
                let Some(label) = partial.to_name.strip_prefix(OF_ITS_SOURCE) else { continue };
                let mut homes = group.homes().into_iter();
                let logical =
                    homes.find_map(|home| group.logical_names(home, &dataset.name, *id).into_iter().next());
                partial.to_name = format!("{}{label}", logical.as_ref().unwrap_or(&dataset.name));
            }
        }
    }

    /// Gives datasets that do not say otherwise another GUID on each system.
    pub(crate) fn tell_apart(&mut self) {
        for (id, system) in &mut self.systems {
            for dataset in system.inventory.iter_mut().flat_map(|inventory| inventory.datasets.values_mut()) {
                let of_name = self::dataset(dataset.name.as_str()).properties.guid;
                if dataset.properties.guid == of_name {
                    dataset.properties.guid = guid_on(*id, &dataset.name);
                }
            }
        }
    }

    pub(crate) fn system(&mut self, number: usize) -> &mut System {
        self.systems.get_mut(&system_id(number)).unwrap()
    }

    /// Calls `use_input` with what the planner takes.
    pub(crate) fn with_input<T>(&self, use_input: impl FnOnce(&Input<'_>) -> T) -> T {
        fn view(system: &System) -> SystemView<'_> {
            SystemView { name: &system.name, inventory: system.inventory.as_ref(), fresh: system.fresh }
        }
        let systems = self.systems.iter().map(|(id, system)| (*id, view(system))).collect();
        let Self { group, running, decisions, memory, unreachable, holders, scope, now, .. } = self;
        use_input(&Input {
            group,
            systems: &systems,
            scope: scope.as_ref(),
            running,
            decisions,
            memory,
            unreachable,
            holders,
            now: *now,
        })
    }

    /// A plan that breaks no rule.
    pub(crate) fn plan(&self) -> (Plan, Report) {
        self.with_input(|input| {
            let (plan, report) = plan(input);
            assert_eq!(check(&plan, input), vec![], "{self:?}");
            (plan, report)
        })
    }
}
