//! Fleets as short texts, and answers as texts to compare with.
//!
//! ```text
//! system nas1                                        # or: system nas1 stale | silent | by-name (without GUIDs)
//!   tank/media a1:1:90 a2:2:30:used=5:ref=9 #b1:1    # snapshots label:guid:minutes-ago in their order, bookmarks with #
//!   tank/clone c1:7:5 written=4 origin=tank/media@a1 # also: volume, writable, mounted, encrypted, partial=GUID
//! group prod one_way nas1,nas2 tank/** tank=backup   # mode, members (the hub first), include, mappings (NAME:FROM=TO for one member)
//! ```

use std::{collections::BTreeMap, fmt::Write as _};

use uuid::Uuid;
use zfs_sync_core::{
    group::{GroupMode, OnDivergence, Profile, SyncGroup},
    guid::{Guid, Txg},
    ids::{GroupId, SystemId},
    inventory::{Bookmark, Dataset, DatasetKind, DatasetProperties, Inventory, PartialReceive, Snapshot},
    name::SnapshotName,
    plan::SystemView,
    time::Timestamp,
    whatif::{Loss, SystemLoss, Verdict, destroy, system_lost},
};

#[derive(Clone, Debug)]
pub(crate) struct System {
    pub(crate) name: String,
    pub(crate) inventory: Option<Inventory>,
    pub(crate) fresh: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Fleet {
    pub(crate) systems: BTreeMap<SystemId, System>,
    pub(crate) groups: Vec<SyncGroup>,
}

pub(crate) fn system_id(number: usize) -> SystemId {
    SystemId::from_uuid(Uuid::from_u128(number as u128))
}

pub(crate) fn noon() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

pub(crate) fn dataset(name: &str) -> Dataset {
    Dataset {
        name: name.parse().unwrap(),
        properties: DatasetProperties {
            guid: Guid::new(1_000_000),
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

/// A snapshot taken so many minutes before noon; a negative number lies ahead.
pub(crate) fn snapshot(label: &str, guid: u64, createtxg: u64, minutes: i64) -> Snapshot {
    Snapshot {
        guid: Guid::new(guid),
        createtxg: Txg::new(createtxg),
        label: label.parse().unwrap(),
        creation: noon().as_second() - minutes * 60,
        used: 0,
        referenced: 0,
        holds: 0,
    }
}

fn parse_snapshot(word: &str, createtxg: u64) -> Snapshot {
    let mut parts = word.split(':');
    let label = parts.next().unwrap();
    let guid = parts.next().unwrap_or_else(|| panic!("{word}")).parse().unwrap();
    let minutes = parts.next().unwrap_or("0").parse().unwrap();
    let mut made = snapshot(label, guid, createtxg, minutes);
    for part in parts {
        match part.split_once('=').unwrap() {
            ("used", bytes) => made.used = bytes.parse().unwrap(),
            ("ref", bytes) => made.referenced = bytes.parse().unwrap(),
            ("holds", count) => made.holds = count.parse().unwrap(),
            other => panic!("{other:?}"),
        }
    }
    made
}

fn parse_dataset(line: &str) -> Dataset {
    let mut words = line.split_whitespace();
    let mut dataset = dataset(words.next().unwrap());
    for (word, createtxg) in words.zip(10..) {
        let properties = &mut dataset.properties;
        match word {
            "volume" => properties.kind = DatasetKind::Volume,
            "writable" => properties.readonly = false,
            "mounted" => properties.mounted = true,
            "encrypted" => properties.encrypted = true,
            _ => match word.split_once('=') {
                Some(("written", bytes)) => properties.written = bytes.parse().unwrap(),
                Some(("origin", origin)) => properties.origin = Some(origin.to_owned()),
                Some(("guid", guid)) => properties.guid = guid.parse().unwrap(),
                Some(("partial", guid)) => {
                    let to_guid = guid.parse().unwrap();
                    let partial = PartialReceive {
                        to_guid,
                        from_guid: None,
                        to_name: "a@b".into(),
                        bytes: 1,
                        raw: false,
                    };
                    properties.partial = Some(partial);
                }
                _ => match word.strip_prefix('#') {
                    None => dataset.snapshots.push(parse_snapshot(word, createtxg)),
                    Some(mark) => {
                        let (label, guid) = mark.split_once(':').unwrap();
                        let guid = guid.parse().unwrap();
                        // The order of the snapshot, where it is still there.
                        let same = dataset.snapshots.iter().find(|snapshot| snapshot.guid == guid);
                        let createtxg = same.map_or(Txg::new(createtxg), |snapshot| snapshot.createtxg);
                        let label = label.parse().unwrap();
                        dataset.bookmarks.push(Bookmark { guid, createtxg, label, creation: 0 });
                    }
                },
            },
        }
    }
    dataset.sort();
    dataset
}

impl Fleet {
    pub(crate) fn parse(script: &str) -> Self {
        let mut fleet = Self { systems: BTreeMap::new(), groups: vec![] };
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            match line.split_once(' ') {
                Some(("system", rest)) => fleet.add_system(rest),
                Some(("group", rest)) => fleet.add_group(rest),
                _ => {
                    let mut dataset = parse_dataset(line);
                    let number = 1000 * fleet.systems.len() as u64;
                    let last = fleet.systems.values_mut().last().unwrap();
                    let datasets = &mut last.inventory.as_mut().unwrap().datasets;
                    if dataset.properties.guid == self::dataset("tank").properties.guid {
                        dataset.properties.guid = Guid::new(number + datasets.len() as u64);
                    }
                    datasets.insert(dataset.name.clone(), dataset);
                }
            }
        }
        fleet
    }

    fn add_system(&mut self, line: &str) {
        let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
        let age = if rest == "stale" { 120 } else { 1 };
        let as_of = noon().checked_sub(std::time::Duration::from_secs(60 * age)).unwrap();
        let mut inventory = Inventory::empty(as_of);
        inventory.without_guids = rest == "by-name";
        let fresh = matches!(rest, "" | "by-name");
        let system =
            System { name: name.to_owned(), inventory: (rest != "silent").then_some(inventory), fresh };
        self.systems.insert(system_id(self.systems.len() + 1), system);
    }

    fn add_group(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, mode, members, include, mappings @ ..] = words.as_slice() else { panic!("{line}") };
        let members: Vec<SystemId> = members.split(',').map(|name| self.named(name)).collect();
        let mut group = SyncGroup {
            id: GroupId::from_uuid(Uuid::from_u128(900 + self.groups.len() as u128)),
            name: (*name).to_owned(),
            enabled: true,
            mode: match *mode {
                "one_way" => GroupMode::OneWay,
                "many_to_one" => GroupMode::ManyToOne,
                "chain" => GroupMode::Chain,
                "mesh" => GroupMode::Mesh,
                "local" => GroupMode::Local,
                other => panic!("{other}"),
            },
            hub: members[0],
            members,
            include: vec![include.parse().unwrap()],
            exclude: vec![],
            mappings: vec![],
            member_mappings: BTreeMap::new(),
            auto: true,
            on_divergence: OnDivergence::Stop,
            allow_destroy: false,
            mirror_deletes: None,
            follow_renames: false,
            profile: Profile::Standard,
        };
        for mapping in mappings {
            match mapping.split_once(':') {
                Some((member, mapping)) => {
                    let member = group.member_mappings.entry(self.named(member)).or_default();
                    member.push(mapping.parse().unwrap());
                }
                None => group.mappings.push(mapping.parse().unwrap()),
            }
        }
        self.groups.push(group);
    }

    pub(crate) fn named(&self, name: &str) -> SystemId {
        *self.systems.iter().find(|(_, system)| system.name == name).unwrap_or_else(|| panic!("{name}")).0
    }

    fn with_views<T>(&self, ask: impl FnOnce(&[&SyncGroup], &BTreeMap<SystemId, SystemView<'_>>) -> T) -> T {
        fn view(system: &System) -> SystemView<'_> {
            SystemView { name: &system.name, inventory: system.inventory.as_ref(), fresh: system.fresh }
        }
        let views = self.systems.iter().map(|(id, system)| (*id, view(system))).collect();
        ask(&self.groups.iter().collect::<Vec<_>>(), &views)
    }

    pub(crate) fn lose(&self, name: &str) -> SystemLoss {
        self.with_views(|groups, views| system_lost(groups, views, self.named(name), noon()))
    }

    /// The loss of one dataset.
    pub(crate) fn loss(&self, system: &str, dataset: &str) -> Loss {
        let losses = self.lose(system).losses;
        losses
            .into_iter()
            .find(|loss| loss.dataset.as_str() == dataset)
            .unwrap_or_else(|| panic!("{dataset}"))
    }

    pub(crate) fn destroy(&self, asked: &[(SystemId, SnapshotName)]) -> Vec<Verdict> {
        self.with_views(|groups, views| destroy(groups, views, asked, noon()))
    }

    /// Verdicts on snapshots written as `nas1:tank/media@a1`.
    pub(crate) fn may_i_delete(&self, names: &[&str]) -> Vec<Verdict> {
        let asked: Vec<_> = names
            .iter()
            .map(|name| {
                let (system, snapshot) = name.split_once(':').unwrap();
                (self.named(system), snapshot.parse().unwrap())
            })
            .collect();
        self.destroy(&asked)
    }

    /// All verdicts in words.
    pub(crate) fn verdicts(&self, names: &[&str]) -> String {
        let mut text = String::new();
        for verdict in self.may_i_delete(names) {
            let Verdict { system_name, snapshot, answer, .. } = &verdict;
            writeln!(text, "{snapshot} on {system_name}: {}", answer.words()).unwrap();
            for finding in &verdict.findings {
                let concerns: Vec<String> = finding.concerns.iter().map(ToString::to_string).collect();
                let concerns =
                    if concerns.is_empty() { String::new() } else { format!(" [{}]", concerns.join(", ")) };
                writeln!(text, "  {}: {}{concerns}", finding.answer.as_str(), finding.text).unwrap();
            }
        }
        text
    }

    /// What the loss of a system means, in words.
    pub(crate) fn losses(&self, name: &str) -> String {
        let lost = self.lose(name);
        let mut text = String::new();
        for doubt in &lost.doubts {
            writeln!(text, "? {}", doubt.text).unwrap();
        }
        for loss in &lost.losses {
            let role = format!("{:?}", loss.role).to_lowercase();
            writeln!(text, "{} ({role}): {}", loss.dataset, loss.summary).unwrap();
            if !loss.newest_lost.is_empty() {
                let labels: Vec<String> = loss.newest_lost.iter().map(ToString::to_string).collect();
                writeln!(text, "  gone: {} ({})", loss.snapshots_lost, labels.join(", ")).unwrap();
            }
            for doubt in &loss.doubts {
                writeln!(text, "  ? {}", doubt.text).unwrap();
            }
            if let Some(promotion) = &loss.promote {
                for command in &promotion.commands {
                    writeln!(text, "  {}# {command}", promotion.place.system_name).unwrap();
                }
                for note in &promotion.notes {
                    writeln!(text, "  - {note}").unwrap();
                }
            }
        }
        text
    }
}
