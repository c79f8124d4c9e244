//! Fleets as short texts, and plans as texts to compare with.
//!
//! ```text
//! system nas1                                     # or: system nas1 stale | silent
//!   tank/media a1:1:10 a2:2:20 #b1:1:10           # snapshots label:guid:createtxg, bookmarks with #
//! system nas2
//!   backup/media a1:1:7 written=5 partial=2<1     # also: volume, writable, encrypted, raw-partial
//! group prod source=nas1 include=tank/** map=tank=backup     # also: exclude=…, manual, disabled, keep-both
//! running backup/x@nas2
//! keep-both backup/media@nas2
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use uuid::Uuid;
use zfs_sync_core::{
    group::{GroupMode, OnDivergence, SyncGroup},
    guid::{Guid, Txg},
    ids::{GroupId, SystemId, TransferId},
    inventory::{Bookmark, Dataset, DatasetKind, DatasetProperties, Inventory, PartialReceive, Snapshot},
    name::DatasetName,
    plan::{Action, Base, Input, KeepBoth, Plan, ReplicaReport, Report, Running, SystemView, check, plan},
    size::ByteCount,
    time::Timestamp,
};

/// Bytes that every interrupted receive has got.
const PARTIAL_BYTES: u64 = 20 * 1024 * 1024;

#[derive(Clone, Debug)]
pub(crate) struct System {
    pub(crate) name: String,
    pub(crate) inventory: Option<Inventory>,
    pub(crate) fresh: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Fleet {
    pub(crate) systems: BTreeMap<SystemId, System>,
    pub(crate) group: SyncGroup,
    pub(crate) running: Vec<Running>,
    pub(crate) keep_both: BTreeSet<KeepBoth>,
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

pub(crate) fn partial(to: u64, from: Option<u64>) -> PartialReceive {
    PartialReceive {
        to_guid: Guid::new(to),
        from_guid: from.map(Guid::new),
        to_name: format!("tank@{to}"),
        bytes: PARTIAL_BYTES,
        raw: false,
    }
}

/// A dataset from one line of a script.
pub(crate) fn parse_dataset(line: &str) -> Dataset {
    let mut words = line.split_whitespace();
    let mut dataset = dataset(words.next().unwrap());
    for word in words {
        let properties = &mut dataset.properties;
        match word {
            "volume" => properties.kind = DatasetKind::Volume,
            "writable" => properties.readonly = false,
            "encrypted" => properties.encrypted = true,
            "raw-partial" => properties.partial.as_mut().unwrap().raw = true,
            _ => {
                if let Some(bytes) = word.strip_prefix("written=") {
                    properties.written = bytes.parse().unwrap();
                } else if let Some(guids) = word.strip_prefix("partial=") {
                    let (to, from) = match guids.split_once('<') {
                        Some((to, from)) => (to, Some(from.parse().unwrap())),
                        None => (guids, None),
                    };
                    properties.partial = Some(partial(to.parse().unwrap(), from));
                } else {
                    let mut parts = word.trim_start_matches('#').split(':');
                    let label = parts.next().unwrap();
                    let mut number = || parts.next().unwrap_or_else(|| panic!("{word}")).parse().unwrap();
                    let (guid, createtxg) = (number(), number());
                    if word.starts_with('#') {
                        dataset.bookmarks.push(bookmark(label, guid, createtxg));
                    } else {
                        dataset.snapshots.push(snapshot(label, guid, createtxg));
                    }
                }
            }
        }
    }
    dataset.sort();
    dataset
}

impl Fleet {
    pub(crate) fn parse(script: &str) -> Self {
        let mut fleet = Self {
            systems: BTreeMap::new(),
            group: SyncGroup {
                id: GroupId::from_uuid(Uuid::from_u128(99)),
                name: String::new(),
                enabled: true,
                mode: GroupMode::OneWay,
                source_of_truth: system_id(1),
                members: vec![],
                include: vec![],
                exclude: vec![],
                mappings: vec![],
                auto: true,
                on_divergence: OnDivergence::Stop,
            },
            running: vec![],
            keep_both: BTreeSet::new(),
            now: noon(),
        };
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            match line.split_once(' ') {
                Some(("system", rest)) => fleet.add_system(rest),
                Some(("group", rest)) => fleet.set_group(rest),
                Some(("running", rest)) => {
                    let (target, target_system) = fleet.place(rest);
                    let transfer = TransferId::from_uuid(Uuid::from_u128(7));
                    fleet.running.push(Running { transfer, target_system, target });
                }
                Some(("keep-both", rest)) => {
                    let (target, system) = fleet.place(rest);
                    fleet.keep_both.insert(KeepBoth { system, target });
                }
                _ => {
                    let dataset = parse_dataset(line);
                    let last = fleet.systems.values_mut().last().unwrap();
                    last.inventory.as_mut().unwrap().datasets.insert(dataset.name.clone(), dataset);
                }
            }
        }
        assert_eq!(fleet.group.problems(), vec![], "the script's group must be one that could be stored");
        fleet
    }

    fn add_system(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let name = words.next().unwrap().to_owned();
        let number = self.systems.len() + 1;
        let as_of = noon().checked_sub(std::time::Duration::from_secs(60 * number as u64)).unwrap();
        let mut system = System { name, inventory: Some(Inventory::empty(as_of)), fresh: true };
        match words.next() {
            Some("stale") => system.fresh = false,
            Some("silent") => system.inventory = None,
            other => assert_eq!(other, None),
        }
        self.systems.insert(system_id(number), system);
        self.group.members.push(system_id(number));
    }

    fn set_group(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        words.next().unwrap().clone_into(&mut self.group.name);
        for word in words {
            match word.split_once('=') {
                Some(("source", name)) => self.group.source_of_truth = self.named(name),
                Some(("include", pattern)) => self.group.include.push(pattern.parse().unwrap()),
                Some(("exclude", pattern)) => self.group.exclude.push(pattern.parse().unwrap()),
                Some(("map", mapping)) => self.group.mappings.push(mapping.parse().unwrap()),
                _ => match word {
                    "manual" => self.group.auto = false,
                    "disabled" => self.group.enabled = false,
                    "keep-both" => self.group.on_divergence = OnDivergence::KeepBoth,
                    other => panic!("`{other}` is no word of a group"),
                },
            }
        }
    }

    fn named(&self, name: &str) -> SystemId {
        *self.systems.iter().find(|(_, system)| system.name == name).unwrap().0
    }

    fn place(&self, text: &str) -> (DatasetName, SystemId) {
        let (dataset, system) = text.split_once('@').unwrap();
        (dataset.parse().unwrap(), self.named(system))
    }

    /// Calls `use_input` with what the planner takes.
    pub(crate) fn with_input<T>(&self, use_input: impl FnOnce(&Input<'_>) -> T) -> T {
        fn view(system: &System) -> SystemView<'_> {
            SystemView { name: &system.name, inventory: system.inventory.as_ref(), fresh: system.fresh }
        }
        let systems = self.systems.iter().map(|(id, system)| (*id, view(system))).collect();
        let Self { group, running, keep_both, now, .. } = self;
        use_input(&Input { group, systems: &systems, running, keep_both, now: *now })
    }

    /// A plan that breaks no rule.
    pub(crate) fn plan(&self) -> (Plan, Report) {
        self.with_input(|input| {
            let (plan, report) = plan(input);
            assert_eq!(check(&plan, input), vec![]);
            (plan, report)
        })
    }

    /// The plan and its reasons, for people and for snapshots.
    pub(crate) fn render(&self) -> String {
        let (plan, report) = self.plan();
        let mut text = String::new();
        for warning in &report.warnings {
            writeln!(text, "group: {warning}").unwrap();
        }
        for replica in &report.replicas {
            self.render_replica(&mut text, replica);
        }
        let order: Vec<String> = plan
            .steps
            .iter()
            .map(|step| format!("{}@{}", step.target, self.systems[&step.target_system].name))
            .collect();
        writeln!(text, "order: {}", if order.is_empty() { "-".to_owned() } else { order.join(", ") })
            .unwrap();
        text
    }

    fn render_replica(&self, text: &mut String, replica: &ReplicaReport) {
        let ReplicaReport {
            source, target, state, reason, warnings, facts, next, step, snapshot_lag, ..
        } = replica;
        let target_system = &self.systems[&replica.target_system].name;
        writeln!(text, "{source} to {target}@{target_system}: {state}, lag {snapshot_lag}").unwrap();
        for fact in facts {
            let as_of =
                fact.as_of.map_or_else(|| "--:--".to_owned(), |as_of| as_of.strftime("%H:%M").to_string());
            writeln!(text, "  {as_of} {}", fact.text).unwrap();
        }
        let codes = reason.iter().map(ToString::to_string).chain(warnings.iter().map(ToString::to_string));
        let codes: Vec<String> = codes.collect();
        if !codes.is_empty() {
            writeln!(text, "  {}", codes.join(" ")).unwrap();
        }
        if let Some(step) = step {
            writeln!(text, "  > {}", render_action(&step.action)).unwrap();
        }
        writeln!(text, "  {next}").unwrap();
    }
}

fn render_action(action: &Action) -> String {
    match action {
        Action::SetAside { rename_to, .. } => format!("rename to {rename_to}"),
        Action::Send(send) => {
            let mut text = if send.raw { "raw " } else { "" }.to_owned();
            let to = &send.to.label;
            match (&send.base, send.resume) {
                (_, true) => write!(text, "resume to @{to}"),
                (None, _) => write!(text, "full @{to}"),
                (Some(Base::Snapshot(base)), _) => {
                    write!(text, "-I @{}..@{to} ({})", base.label, send.snapshots)
                }
                (Some(Base::Bookmark(base)), _) => write!(text, "-i #{}..@{to}", base.label),
            }
            .unwrap();
            if let Some(guid) = send.discard_partial {
                write!(text, ", discard {guid}").unwrap();
            }
            for parent in &send.create_parents {
                write!(text, ", create {parent}").unwrap();
            }
            text
        }
    }
}

#[test]
fn a_script_says_what_it_seems_to_say() {
    let fleet = Fleet::parse(
        "system nas1
           tank/a #b:2:5 a1:1:3 written=9 encrypted
         system nas2 silent
         system nas3 stale
           backup/a partial=2<1 volume
         group g source=nas1 include=tank/** exclude=tank/x map=tank=backup manual
         running backup/a@nas3",
    );
    let source =
        &fleet.systems[&system_id(1)].inventory.as_ref().unwrap().datasets[&"tank/a".parse().unwrap()];
    assert_eq!((source.snapshots.len(), source.bookmarks.len(), source.properties.written), (1, 1, 9));
    assert!(fleet.systems[&system_id(2)].inventory.is_none());
    assert!(!fleet.systems[&system_id(3)].fresh);
    assert_eq!(fleet.running[0].target_system, system_id(3));
    assert!(!fleet.group.auto);
    assert_eq!(ByteCount(PARTIAL_BYTES).to_string(), "20.0 MiB");
}
