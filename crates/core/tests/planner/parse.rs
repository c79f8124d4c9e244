//! Fleets as short texts. tests/scripts/README.md describes the words for people.

use std::collections::BTreeMap;

use uuid::Uuid;
use zfs_sync_core::{
    group::{GroupMode, Mapping, MirrorDeletes, OnDivergence, Profile, Strategy},
    guid::Guid,
    ids::{SystemId, TransferId},
    inventory::{Dataset, DatasetKind, Inventory},
    name::DatasetName,
    plan::{Decision, MakeRoom, Place, Remembered, ReplicaKey, Running, Standing},
    retention::{Retention, Tool},
    time::Timestamp,
};

use crate::fleet::{
    Fleet, OF_ITS_SOURCE, System, bookmark, dataset, guid_on, noon, partial, snapshot, system_id,
};

/// What a script asks to be proposed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) key: ReplicaKey,
    pub(crate) strategy: Strategy,
}

/// A number, also as `4K`, `2M`, `1G`.
fn bytes(text: &str) -> u64 {
    let (number, unit) = match text.chars().last() {
        Some('K') => (&text[..text.len() - 1], 1 << 10),
        Some('M') => (&text[..text.len() - 1], 1 << 20),
        Some('G') => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    number.parse::<u64>().unwrap_or_else(|_| panic!("`{text}` is no size")) * unit
}

fn seconds(text: &str) -> i64 {
    let whole = if text.contains('T') { text.to_owned() } else { format!("{text}T00:00:00Z") };
    whole.parse::<Timestamp>().unwrap_or_else(|_| panic!("`{text}` is no time")).as_second()
}

fn guid(text: &str) -> Guid {
    text.parse().unwrap_or_else(|_| panic!("`{text}` is no GUID"))
}

fn tool_keeps(words: &[&str]) -> Retention {
    let mut kept = BTreeMap::new();
    for word in words {
        let (what, count) = word.split_once('=').unwrap_or_else(|| panic!("`{word}` is no retention"));
        kept.insert(what, count.parse().unwrap());
    }
    let mut of = |what| kept.remove(what).unwrap_or(0);
    let retention = Retention {
        tool: Tool::Sanoid,
        autoprune: true,
        frequently: of("frequently"),
        hourly: of("hourly"),
        daily: of("daily"),
        weekly: of("weekly"),
        monthly: of("monthly"),
        yearly: of("yearly"),
        frequent_period: 15,
        prune_defer: of("defer"),
    };
    assert!(kept.is_empty(), "unknown retention {kept:?}");
    retention
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
            _ if word.starts_with("of=") => {
                let partial = properties.partial.as_mut().unwrap();
                partial.to_name = format!("{}@{}", &word[3..], partial.to_guid);
            }
            _ => match word.split_once('=').filter(|(name, _)| !name.contains(':')) {
                Some(("written", size)) => properties.written = bytes(size),
                Some(("origin", origin)) => properties.origin = Some(origin.to_owned()),
                Some(("guid", number)) => properties.guid = guid(number),
                Some(("used", size)) => properties.used = bytes(size),
                Some(("partial", guids)) => {
                    let (to, from) = match guids.split_once('<') {
                        Some((to, from)) => (to, Some(from.parse().unwrap())),
                        None => (guids, None),
                    };
                    properties.partial = Some(partial(OF_ITS_SOURCE, to.parse().unwrap(), from));
                }
                _ => add_history(&mut dataset, word),
            },
        }
    }
    dataset.sort();
    dataset
}

/// `label:guid:createtxg`, with `,time=…`, `,used=…`, `,refer=…`, `,held` behind it; `#` in front makes it a bookmark.
fn add_history(dataset: &mut Dataset, word: &str) {
    let mut parts = word.split(',');
    let point = parts.next().unwrap();
    let mut numbers = point.trim_start_matches('#').rsplitn(3, ':');
    let mut number = || numbers.next().and_then(|text| text.parse().ok());
    let (Some(createtxg), Some(guid)) = (number(), number()) else {
        panic!("`{word}` is no word of a dataset")
    };
    let label = numbers.next().unwrap_or_else(|| panic!("`{word}` has no label"));
    if point.starts_with('#') {
        dataset.bookmarks.push(bookmark(label, guid, createtxg));
        return;
    }
    let mut made = snapshot(label, guid, createtxg);
    for part in parts {
        match part.split_once('=') {
            Some(("time", time)) => made.creation = seconds(time),
            Some(("used", size)) => made.used = bytes(size),
            Some(("refer", size)) => made.referenced = bytes(size),
            None if part == "held" => made.holds += 1,
            _ => panic!("`{part}` is nothing that a snapshot has"),
        }
    }
    dataset.snapshots.push(made);
}

/// `word=value` pairs and words that stand alone.
fn options(words: &[&str]) -> Vec<(String, Option<String>)> {
    let option = |word: &&str| match word.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => ((*word).to_owned(), None),
    };
    words.iter().map(option).collect()
}

impl Fleet {
    pub(crate) fn parse(script: &str) -> Self {
        let (fleet, questions) = Self::parse_with_questions(script);
        assert_eq!(questions, vec![]);
        fleet
    }

    /// The fleet, and what is to be proposed for it.
    pub(crate) fn parse_with_questions(script: &str) -> (Self, Vec<Question>) {
        let mut fleet = Self::empty();
        let mut questions = Vec::new();
        let lines = script.lines().map(|line| line.split(" # ").next().unwrap_or_default().trim());
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with("# ") && *line != "#") {
            let words: Vec<&str> = line.split_whitespace().collect();
            match (words[0], &words[1..]) {
                ("system", rest) => fleet.add_system(rest),
                ("retention", rest) => fleet.set_retention(rest),
                ("group", rest) => fleet.set_group(rest),
                ("running", rest) => fleet.add_running(rest),
                ("decide", rest) => fleet.add_decision(rest),
                ("remember", rest) => fleet.add_memory(rest),
                ("unreachable", [from, to]) => {
                    fleet.unreachable.insert((fleet.named(from), fleet.named(to)));
                }
                ("holder", [held, system, rest @ ..]) => fleet.add_holder(guid(held), system, rest),
                ("scope", rest) => {
                    fleet.scope = Some(rest.iter().map(|name| name.parse().unwrap()).collect());
                }
                ("propose", [replica, strategies @ ..]) => {
                    let key = fleet.key(replica, None);
                    let strategies = strategies.iter().map(|name| {
                        Strategy::from_name(name).unwrap_or_else(|| panic!("`{name}` is no strategy"))
                    });
                    questions.extend(strategies.map(|strategy| Question { key: key.clone(), strategy }));
                }
                _ => {
                    let dataset = parse_dataset(line);
                    let last = fleet.systems.values_mut().last().unwrap();
                    last.inventory.as_mut().unwrap().datasets.insert(dataset.name.clone(), dataset);
                }
            }
        }
        fleet.name_tokens();
        fleet.tell_apart();
        fleet.approve_moves();
        let problems = fleet.group.problems();
        assert_eq!(problems, vec![], "the script's group must be one that could be stored");
        (fleet, questions)
    }

    fn add_system(&mut self, words: &[&str]) {
        let number = self.systems.len() + 1;
        let as_of = noon().checked_sub(std::time::Duration::from_secs(60 * number as u64)).unwrap();
        let name = words[0].to_owned();
        let mut system = System { name, inventory: Some(Inventory::empty(as_of)), fresh: true };
        for word in &words[1..] {
            match *word {
                "stale" => system.fresh = false,
                "silent" => system.inventory = None,
                "no-guids" => system.inventory.as_mut().unwrap().without_guids = true,
                other => panic!("`{other}` is no word of a system"),
            }
        }
        self.systems.insert(system_id(number), system);
        self.group.members.push(system_id(number));
    }

    fn set_retention(&mut self, words: &[&str]) {
        let last = self.systems.values_mut().last().unwrap();
        let retention = &mut last.inventory.as_mut().unwrap().retention;
        retention.insert(words[0].parse().unwrap(), tool_keeps(&words[1..]));
    }

    fn set_group(&mut self, words: &[&str]) {
        words[0].clone_into(&mut self.group.name);
        for (word, value) in options(&words[1..]) {
            let of_member = word.strip_prefix("map@").map(|name| self.named(name));
            let group = &mut self.group;
            match (word.as_str(), value.as_deref()) {
                ("one_way", None) => group.mode = GroupMode::OneWay,
                ("many_to_one", None) => group.mode = GroupMode::ManyToOne,
                ("chain", None) => group.mode = GroupMode::Chain,
                ("mesh", None) => group.mode = GroupMode::Mesh,
                ("local", None) => group.mode = GroupMode::Local,
                ("source" | "hub", Some(name)) => self.group.hub = self.named(name),
                ("members", Some(names)) => {
                    self.group.members = names.split(',').map(|name| self.named(name)).collect();
                }
                ("include", Some(pattern)) => group.include.push(pattern.parse().unwrap()),
                ("exclude", Some(pattern)) => group.exclude.push(pattern.parse().unwrap()),
                ("map", Some(mapping)) => group.mappings.push(mapping.parse().unwrap()),
                (_, Some(mapping)) if of_member.is_some() => {
                    let mapping: Mapping = mapping.parse().unwrap();
                    group.member_mappings.entry(of_member.unwrap()).or_default().push(mapping);
                }
                ("manual", None) => group.auto = false,
                ("disabled", None) => group.enabled = false,
                ("allow-destroy", None) => group.allow_destroy = true,
                ("follow-renames", None) => group.follow_renames = true,
                ("on-divergence", Some(policy)) => {
                    let policies = [
                        OnDivergence::Stop,
                        OnDivergence::KeepBoth,
                        OnDivergence::UseSourceOfTruth,
                        OnDivergence::UseNewest,
                        OnDivergence::UseLargest,
                        OnDivergence::UseMajority,
                        OnDivergence::RollbackTarget,
                    ];
                    let wanted = Strategy::from_name(policy);
                    group.on_divergence =
                        policies.into_iter().find(|policy| policy.strategy() == wanted).unwrap();
                }
                ("mirror-deletes", Some(percent)) => {
                    let max_percent = percent.trim_end_matches('%').parse().unwrap();
                    group.mirror_deletes = Some(MirrorDeletes { max_percent });
                }
                ("profile", Some("classic")) => group.profile = Profile::Classic,
                (other, _) => panic!("`{other}` is no word of a group"),
            }
        }
    }

    fn add_running(&mut self, words: &[&str]) {
        let (target, system) = words[0].split_once('@').unwrap();
        self.running.push(Running {
            transfer: TransferId::from_uuid(Uuid::from_u128(7)),
            target_system: self.named(system),
            target: target.parse().unwrap(),
            renames: words.contains(&"renames"),
            destroys: Vec::new(),
        });
    }

    fn add_decision(&mut self, words: &[&str]) {
        let hub = self.group.hub;
        let mut decision = Decision {
            home: hub,
            dataset: words[0].parse().unwrap(),
            winner: hub,
            how: MakeRoom::SetAside,
            targets: [].into(),
            may_destroy: [].into(),
            may_discard: [].into(),
            may_move: [].into(),
        };
        for (word, value) in options(&words[1..]) {
            match (word.as_str(), value.as_deref()) {
                ("home", Some(name)) => decision.home = self.named(name),
                ("follow", Some(name)) => decision.winner = self.named(name),
                ("on", Some(names)) => {
                    decision.targets = names.split(',').map(|name| self.named(name)).collect();
                }
                (word, Some(guids)) if word.starts_with("destroy@") => {
                    let system = self.named(word.trim_start_matches("destroy@"));
                    decision.may_destroy.insert(system, guids.split(',').map(guid).collect());
                }
                ("set_aside", None) => decision.how = MakeRoom::SetAside,
                ("roll_back", None) => decision.how = MakeRoom::RollBack,
                ("roll_back_only", None) => decision.how = MakeRoom::RollBackOnly,
                (word, Some(number)) if word.starts_with("move@") => {
                    decision.may_move.insert(self.named(word.trim_start_matches("move@")), guid(number));
                }
                (word, Some(size)) if word.starts_with("discard@") => {
                    let system = self.named(word.trim_start_matches("discard@"));
                    decision.may_discard.insert(system, bytes(size));
                }
                (other, _) => panic!("`{other}` is no word of a decision"),
            }
        }
        self.decisions.push(decision);
    }

    /// Where a decision does not say which dataset may be set aside, it is the one that is there.
    fn approve_moves(&mut self) {
        let Self { systems, group, decisions, .. } = self;
        for decision in decisions.iter_mut().filter(|decision| decision.may_move.is_empty()) {
            for target in &decision.targets {
                let name = group.target_name(decision.home, &decision.dataset, *target).unwrap();
                let inventory = systems[target].inventory.as_ref();
                if let Some(dataset) = inventory.and_then(|inventory| inventory.datasets.get(&name)) {
                    decision.may_move.insert(*target, dataset.properties.guid);
                }
            }
        }
    }

    fn add_holder(&mut self, held: Guid, system: &str, words: &[&str]) {
        let known = self.systems.iter().find(|(_, known)| known.name == system).map(|(id, _)| *id);
        let outside = system.bytes().fold(7_000, |sum: usize, byte| sum * 31 + usize::from(byte));
        let system = known.unwrap_or_else(|| system_id(outside));
        let (mut dataset, mut standing) =
            (guid_on(system, &"kept/elsewhere".parse().unwrap()), Some(Standing::Stays));
        for (word, value) in options(words) {
            match (word.as_str(), value.as_deref()) {
                ("dataset", Some(number)) => dataset = guid(number),
                ("unheard", None) => standing = Some(Standing::Unheard),
                ("doomed", None) => standing = Some(Standing::Doomed),
                ("aside", None) => standing = None,
                (other, _) => panic!("`{other}` is no word of a holder"),
            }
        }
        let copies = self.holders.entry(held).or_default();
        copies.report(system);
        if let Some(standing) = standing {
            copies.keep(Place { system, dataset }, standing);
        }
    }

    fn add_memory(&mut self, words: &[&str]) {
        let (mut home, mut source_guid, mut common) = (None, Guid::new(0), None);
        let (mut replaced, mut replaced_until) = (false, None);
        for (word, value) in options(&words[1..]) {
            match (word.as_str(), value.as_deref()) {
                ("home", Some(name)) => home = Some(self.named(name)),
                ("source", Some(number)) => source_guid = guid(number),
                ("common", Some(number)) => common = Some(guid(number)),
                ("replaced", until) => (replaced, replaced_until) = (true, until.map(guid)),
                (other, _) => panic!("`{other}` is nothing to remember"),
            }
        }
        let key = self.key(words[0], home);
        self.memory.insert(key, Remembered { source_guid, common, replaced, replaced_until });
    }

    /// `LOGICAL@SYSTEM`; of a system's own datasets in a `many_to_one` group, `LOGICAL@SYSTEM<HOME`.
    fn key(&self, replica: &str, home: Option<SystemId>) -> ReplicaKey {
        let (dataset, system) =
            replica.split_once('@').unwrap_or_else(|| panic!("`{replica}` is no replica"));
        let (system, from) = match system.split_once('<') {
            Some((system, from)) => (system, Some(self.named(from))),
            None => (system, None),
        };
        ReplicaKey {
            home: home.or(from).unwrap_or(self.group.hub),
            dataset: dataset.parse::<DatasetName>().unwrap(),
            target_system: self.named(system),
        }
    }

    fn named(&self, name: &str) -> SystemId {
        let found = self.systems.iter().find(|(_, system)| system.name == name);
        *found.unwrap_or_else(|| panic!("there is no system `{name}`")).0
    }
}

#[test]
fn a_script_says_what_it_seems_to_say() {
    let (fleet, questions) = Fleet::parse_with_questions(
        "# A comment.
         system nas1
           tank/a #b:2:5 a1:1:3,held,time=2026-02-01,used=2K written=9 encrypted guid=77 origin=tank/o@s
           retention tank/a hourly=24
         system nas2 silent
         system nas3 stale
           backup/a partial=2<1 volume
         group g one_way source=nas1 include=tank/** exclude=tank/x map=tank=backup map@nas2=tank=cold manual
         running backup/a@nas3 renames
         remember tank/a@nas3 source=77 common=1
         decide tank/a follow=nas1 on=nas2,nas3 roll_back destroy@nas3=5,6 discard@nas3=9
         unreachable nas1 nas3
         holder 5 vault
         propose tank/a@nas3 keep_both use_newest",
    );
    let inventory = fleet.systems[&system_id(1)].inventory.as_ref().unwrap();
    let source = &inventory.datasets[&"tank/a".parse().unwrap()];
    assert_eq!((source.snapshots.len(), source.bookmarks.len(), source.properties.written), (1, 1, 9));
    let first = &source.snapshots[0];
    assert_eq!((first.holds, first.used, first.creation), (1, 2048, 1_769_904_000));
    assert_eq!(inventory.retention.values().next().unwrap().hourly, 24);
    assert!(fleet.systems[&system_id(2)].inventory.is_none());
    assert!(!fleet.systems[&system_id(3)].fresh);
    assert_eq!((fleet.running[0].target_system, fleet.running[0].renames), (system_id(3), true));
    assert!(!fleet.group.auto);
    assert_eq!((fleet.memory.len(), fleet.unreachable.len(), fleet.holders.len()), (1, 1, 1));
    assert_eq!(fleet.decisions[0].may_discard[&system_id(3)], 9);
    assert!(fleet.decisions[0].gives_up(system_id(3), Guid::new(5)));
    assert!(!fleet.decisions[0].gives_up(system_id(2), Guid::new(5)));
    assert_eq!(questions.len(), 2);
}
