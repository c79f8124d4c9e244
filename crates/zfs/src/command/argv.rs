//! Commands as argument vectors and as lines.

use super::{
    Command, Dependents, ListColumns, NotReceived, OwnTag, ReceiveCommand, Scope, SendCommand, Setting,
    SnapshotDevices, quote,
};
use zfs_sync_core::{inventory::DatasetKind, name::SnapshotName, stream::StreamForm};

/// Columns of [`Command::ListHistory`].
pub(crate) const HISTORY_COLUMNS: [&str; 7] =
    ["name", "guid", "createtxg", "creation", "used", "referenced", "userrefs"];

/// Columns of [`Command::ListDependents`]. Every version we support has them.
pub(crate) const DEPENDENTS_COLUMNS: [&str; 4] = ["name", "guid", "userrefs", "clones"];

/// Columns of [`Command::ListPools`].
pub(crate) const POOL_COLUMNS: [&str; 6] = ["name", "guid", "size", "allocated", "free", "health"];

/// Where we write down what `snapdev` was before we set it.
pub(crate) const SHOWN: &str = "zfs-sync:snapdev";

/// Columns of [`Command::Get`].
pub(crate) const GET_COLUMNS: [&str; 3] = ["property", "value", "source"];

/// Columns of [`Command::ListSet`].
pub(crate) const SET_COLUMNS: [&str; 3] = ["name", "property", "value"];

/// Columns of [`Command::GetTree`].
pub(crate) const TREE_COLUMNS: [&str; 3] = ["name", "property", "value"];

/// What [`Command::GetTree`] asks of each dataset and snapshot: all that pool version 23 (zfs-fuse) knows of what replication looks at.
pub(crate) const TREE_PROPERTIES: [&str; 10] = [
    "type",
    "guid",
    "createtxg",
    "creation",
    "used",
    "referenced",
    "available",
    "readonly",
    "mounted",
    "origin",
];

/// What it asks of snapshots besides.
pub(crate) const TREE_HOLDS: &str = "userrefs";

impl ListColumns {
    /// The columns' names, in their order.
    pub const fn names(self) -> &'static [&'static str] {
        const ALL: [&str; 14] = [
            "name",
            "guid",
            "type",
            "createtxg",
            "written",
            "used",
            "referenced",
            "available",
            "readonly",
            "mounted",
            "encryption",
            "origin",
            "receive_resume_token",
            "snapshots_changed",
        ];
        match self {
            Self::Dataset => ALL.split_at(13).0,
            Self::DatasetWithChanges => &ALL,
        }
    }
}

impl Command {
    /// The program: `zfs`, `zpool`, or on another host `zfs-sync`.
    pub const fn program(&self) -> &'static str {
        match self {
            Self::WatchEvents | Self::ListPools | Self::PoolFeatures { .. } | Self::PoolStatus => "zpool",
            Self::AnswerForSnapshot { .. } => "zfs-sync",
            Self::Version
            | Self::ListDatasets { .. }
            | Self::ListHistory { .. }
            | Self::ListDependents { .. }
            | Self::Get { .. }
            | Self::GetOfSnapshot { .. }
            | Self::ShowSnapshotDevices { .. }
            | Self::RestoreSnapshotDevices { .. }
            | Self::ForgetSnapshotDevices { .. }
            | Self::ListShownVolumes
            | Self::GetValue { .. }
            | Self::GetSource { .. }
            | Self::GetTree { .. }
            | Self::Holds { .. }
            | Self::HoldsOf { .. }
            | Self::Hold { .. }
            | Self::Release { .. }
            | Self::HoldAll { .. }
            | Self::ReleaseAll { .. }
            | Self::Bookmark { .. }
            | Self::DestroyBookmark { .. }
            | Self::DestroySnapshot { .. }
            | Self::RollBack { .. }
            | Self::Snapshot { .. }
            | Self::CreatePlaceholder { .. }
            | Self::CreateBare { .. }
            | Self::Set { .. }
            | Self::Rename { .. }
            | Self::ShowAllowed { .. }
            | Self::ListSet { .. }
            | Self::Send(_)
            | Self::Estimate(_)
            | Self::Receive(_)
            | Self::AbortReceive { .. } => "zfs",
        }
    }

    /// The arguments after the program, one element each: no shell is between.
    pub fn arguments(&self) -> Vec<String> {
        match self {
            Self::Version => words(&["version"]),
            Self::ListDatasets { scope, columns } => {
                let columns = columns.names().join(",");
                let mut arguments = words(&["list", "-Hp", "-t", "filesystem,volume", "-o", &columns]);
                match scope {
                    Scope::Everything => {}
                    Scope::Tree(root) => arguments.extend(words(&["-r", root.as_str()])),
                    Scope::Only(dataset) => arguments.push(dataset.to_string()),
                    Scope::These(datasets) => arguments.extend(datasets.iter().map(ToString::to_string)),
                }
                arguments
            }
            Self::ListHistory { scope } => {
                let columns = HISTORY_COLUMNS.join(",");
                let mut arguments = words(&["list", "-Hp", "-t", "snapshot,bookmark", "-o", &columns]);
                match scope {
                    Scope::Everything => {}
                    Scope::Tree(root) => arguments.extend(words(&["-r", root.as_str()])),
                    Scope::Only(dataset) => arguments.extend(words(&["-d", "1", dataset.as_str()])),
                    Scope::These(datasets) => {
                        arguments.extend(words(&["-d", "1"]));
                        arguments.extend(datasets.iter().map(ToString::to_string));
                    }
                }
                arguments
            }
            Self::ListDependents { of } => {
                let columns = DEPENDENTS_COLUMNS.join(",");
                let mut arguments = words(&["list", "-Hp", "-t", "snapshot", "-o", &columns]);
                match of {
                    Dependents::Dataset(dataset) => arguments.extend(words(&["-d", "1", dataset.as_str()])),
                    Dependents::Snapshot(snapshot) => arguments.push(snapshot.to_string()),
                }
                arguments
            }
            Self::Get { dataset, properties } => {
                let columns = GET_COLUMNS.join(",");
                words(&["get", "-Hp", "-o", &columns, &properties.join(","), dataset.as_str()])
            }
            Self::GetOfSnapshot { snapshot, properties } => {
                let columns = GET_COLUMNS.join(",");
                words(&["get", "-Hp", "-o", &columns, &properties.join(","), &snapshot.to_string()])
            }
            Self::ShowSnapshotDevices { volume, before } => {
                words(&["set", &format!("{SHOWN}={}", before.as_str()), "snapdev=visible", volume.as_str()])
            }
            Self::RestoreSnapshotDevices { volume, before } => match before {
                SnapshotDevices::Inherited => words(&["inherit", "snapdev", volume.as_str()]),
                SnapshotDevices::Hidden => words(&["set", "snapdev=hidden", volume.as_str()]),
            },
            Self::ForgetSnapshotDevices { volume } => words(&["inherit", SHOWN, volume.as_str()]),
            Self::ListShownVolumes => {
                words(&["get", "-H", "-t", "volume", "-s", "local", "-o", "name,value", SHOWN])
            }
            Self::AnswerForSnapshot { snapshot, rate: None } => {
                words(&["verify-side", &snapshot.to_string()])
            }
            Self::AnswerForSnapshot { snapshot, rate: Some(rate) } => {
                words(&["verify-side", "--rate", &rate.to_string(), &snapshot.to_string()])
            }
            Self::PoolStatus => words(&["status"]),
            Self::GetValue { dataset, property } => {
                words(&["get", "-Hp", "-o", "value", property.as_str(), dataset.as_str()])
            }
            Self::GetSource { dataset, property } => {
                words(&["get", "-Hp", "-o", "source", property.as_str(), dataset.as_str()])
            }
            Self::GetTree { scope, snapshots } => {
                let properties = TREE_PROPERTIES
                    .iter()
                    .copied()
                    .chain(snapshots.then_some(TREE_HOLDS))
                    .collect::<Vec<_>>();
                let (columns, properties) = (TREE_COLUMNS.join(","), properties.join(","));
                let mut arguments = words(&["get"]);
                match scope {
                    Scope::Everything | Scope::Tree(_) => arguments.push("-r".to_owned()),
                    Scope::Only(_) | Scope::These(_) if *snapshots => arguments.extend(words(&["-d", "1"])),
                    Scope::Only(_) | Scope::These(_) => {}
                }
                arguments.extend(words(&["-Hp", "-o", &columns, &properties]));
                match scope {
                    Scope::Everything => {}
                    Scope::Tree(dataset) | Scope::Only(dataset) => arguments.push(dataset.to_string()),
                    Scope::These(datasets) => arguments.extend(datasets.iter().map(ToString::to_string)),
                }
                arguments
            }
            Self::Holds { snapshot } => words(&["holds", "-H", &snapshot.to_string()]),
            Self::HoldsOf { snapshots, exact } => {
                let mut arguments = words(if *exact { &["holds", "-H", "-p"] } else { &["holds", "-H"] });
                arguments.extend(snapshots.iter().map(ToString::to_string));
                arguments
            }
            Self::HoldAll { tag, snapshots } => tagged("hold", tag, snapshots),
            Self::ReleaseAll { tag, snapshots } => tagged("release", tag, snapshots),
            Self::ShowAllowed { dataset } => words(&["allow", dataset.as_str()]),
            Self::ListSet { datasets } => {
                let columns = SET_COLUMNS.join(",");
                let types = "filesystem,volume";
                let mut arguments =
                    words(&["get", "-Hp", "-t", types, "-s", "local,received", "-o", &columns, "all"]);
                arguments.extend(datasets.iter().map(ToString::to_string));
                arguments
            }
            Self::Hold { tag, snapshot } => words(&["hold", tag.as_str(), &snapshot.to_string()]),
            Self::Release { tag, snapshot } => words(&["release", tag.as_str(), &snapshot.to_string()]),
            Self::Bookmark { snapshot, label } => {
                words(&["bookmark", &snapshot.to_string(), &format!("{}#{label}", snapshot.dataset())])
            }
            Self::DestroyBookmark { bookmark } => words(&["destroy", &bookmark.to_string()]),
            Self::DestroySnapshot { snapshot } => words(&["destroy", &snapshot.name().to_string()]),
            Self::RollBack { to } => words(&["rollback", &to.to_string()]),
            Self::Snapshot { snapshots } => {
                let mut arguments = words(&["snapshot"]);
                arguments.extend(snapshots.iter().map(ToString::to_string));
                arguments
            }
            Self::CreatePlaceholder { dataset } => {
                words(&["create", "-o", "canmount=off", "-o", "readonly=on", dataset.as_str()])
            }
            Self::CreateBare { dataset } => words(&["create", "-u", dataset.as_str()]),
            Self::Set { dataset, setting } => {
                let [verb, what] = setting.words();
                vec![verb, what, dataset.to_string()]
            }
            Self::Rename { from, to } => words(&["rename", from.as_str(), to.as_str()]),
            Self::Send(send) => {
                let mut arguments = words(&["send"]);
                send.add_arguments(&mut arguments);
                arguments
            }
            Self::Estimate(send) => {
                let mut arguments = words(&["send", "-n", "-v", "-P"]);
                send.add_arguments(&mut arguments);
                arguments
            }
            Self::Receive(receive) => receive.arguments(),
            Self::AbortReceive { dataset } => words(&["receive", "-A", dataset.as_str()]),
            Self::WatchEvents => words(&["events", "-f", "-H"]),
            Self::ListPools => words(&["list", "-Hp", "-o", &POOL_COLUMNS.join(",")]),
            Self::PoolFeatures { pool } => words(&["get", "-H", "all", pool]),
        }
    }

    /// The command as a person would type it, quoted for a POSIX shell.
    pub fn display_line(&self) -> String {
        let mut line = self.program().to_owned();
        for argument in self.arguments() {
            line.push(' ');
            line.push_str(&quote(&argument));
        }
        line
    }

    /// True when nothing on the host changes by it.
    pub const fn is_read_only(&self) -> bool {
        match self {
            Self::Version
            | Self::ListDatasets { .. }
            | Self::ListHistory { .. }
            | Self::ListDependents { .. }
            | Self::Get { .. }
            | Self::GetOfSnapshot { .. }
            | Self::ListShownVolumes
            | Self::PoolStatus
            | Self::AnswerForSnapshot { .. }
            | Self::GetValue { .. }
            | Self::GetSource { .. }
            | Self::GetTree { .. }
            | Self::Holds { .. }
            | Self::HoldsOf { .. }
            | Self::ShowAllowed { .. }
            | Self::ListSet { .. }
            | Self::Send(_)
            | Self::Estimate(_)
            | Self::WatchEvents
            | Self::ListPools
            | Self::PoolFeatures { .. } => true,
            Self::ShowSnapshotDevices { .. }
            | Self::RestoreSnapshotDevices { .. }
            | Self::ForgetSnapshotDevices { .. }
            | Self::Hold { .. }
            | Self::Release { .. }
            | Self::HoldAll { .. }
            | Self::ReleaseAll { .. }
            | Self::Bookmark { .. }
            | Self::DestroyBookmark { .. }
            | Self::DestroySnapshot { .. }
            | Self::RollBack { .. }
            | Self::Snapshot { .. }
            | Self::CreatePlaceholder { .. }
            | Self::CreateBare { .. }
            | Self::Set { .. }
            | Self::Rename { .. }
            | Self::Receive(_)
            | Self::AbortReceive { .. } => false,
        }
    }
}

impl SendCommand {
    fn add_arguments(&self, arguments: &mut Vec<String>) {
        arguments.extend(words(&self.form().map(StreamForm::options).unwrap_or_default()));
        match self {
            Self::Full { to, .. } => arguments.push(to.to_string()),
            Self::Incremental { base, to, .. } => {
                arguments.extend(words(&["-I", &base.to_string(), &to.to_string()]));
            }
            Self::FromBookmark { base, to, .. } => {
                arguments.extend(words(&["-i", &base.to_string(), &to.to_string()]));
            }
            Self::Single { base, to, .. } => {
                arguments.extend(words(&["-i", &base.to_string(), &to.to_string()]));
            }
            Self::Resume { token, raw } => {
                arguments.extend(words(if *raw { &["-w", "-t"] } else { &["-t"] }));
                arguments.push(token.clone());
            }
        }
    }

    /// How its blocks travel; `None` for a resumed one, whose token says it.
    pub const fn form(&self) -> Option<StreamForm> {
        match self {
            Self::Full { form, .. }
            | Self::Incremental { form, .. }
            | Self::FromBookmark { form, .. }
            | Self::Single { form, .. } => Some(*form),
            Self::Resume { .. } => None,
        }
    }
}

impl ReceiveCommand {
    fn arguments(&self) -> Vec<String> {
        let mut arguments = words(if self.resumable { &["receive", "-s", "-u"] } else { &["receive", "-u"] });
        if let Some(first) = &self.first {
            let is_filesystem = first.kind == DatasetKind::Filesystem;
            let mut set = vec![Setting::ReadOnly];
            set.extend(is_filesystem.then_some(Setting::NotMountedByItself));
            set.push(Setting::Stream(first.form));
            let copied = first.properties.iter();
            set.extend(copied.map(|(property, value)| Setting::Copied(property.clone(), value.clone())));
            for setting in set {
                let [_, text] = setting.words();
                arguments.extend(["-o".to_owned(), text]);
            }
            // A stream without properties makes a volume without reservation, and a volume inherits nothing of these: `zfs receive`
            // would only warn about each.
            for property in NotReceived::ALL.iter().filter(|_| is_filesystem) {
                arguments.extend(words(&["-x", property.as_str()]));
            }
        }
        if let Some(origin) = &self.origin {
            arguments.extend(["-o".to_owned(), format!("origin={origin}")]);
        }
        arguments.push(self.dataset.to_string());
        arguments
    }
}

fn tagged(verb: &str, tag: &OwnTag, snapshots: &[SnapshotName]) -> Vec<String> {
    let mut arguments = words(&[verb, tag.as_str()]);
    arguments.extend(snapshots.iter().map(ToString::to_string));
    arguments
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use zfs_sync_core::{name::DatasetName, plan::Casualty};

    use super::{super::*, *};
    use crate::parse::SnapshotDependents;

    fn dataset(text: &str) -> DatasetName {
        text.parse().unwrap()
    }

    fn snapshot(text: &str) -> SnapshotName {
        text.parse().unwrap()
    }

    fn doomed(text: &str) -> Doomed {
        let name = snapshot(text);
        let guid = zfs_sync_core::guid::Guid::new(7);
        let casualty = Casualty { guid, label: name.label().clone(), creation: 0, used: 0, referenced: 0 };
        let found = SnapshotDependents { snapshot: name.clone(), guid, holds: 0, clones: vec![] };
        Doomed::new(name.dataset(), &casualty, &[found]).unwrap()
    }

    fn send(raw: bool) -> SendCommand {
        let form = StreamForm::wished(raw);
        SendCommand::Incremental { base: snapshot("tank/a@one"), to: snapshot("tank/a@two"), form }
    }

    fn first(kind: DatasetKind) -> FirstReceive {
        FirstReceive::new(kind, StreamForm::WHOLE)
    }

    #[rstest]
    #[case(Command::Version, "zfs version")]
    #[case(
        Command::ListDatasets { scope: Scope::Everything, columns: ListColumns::Dataset },
        "zfs list -Hp -t filesystem,volume -o name,guid,type,createtxg,written,used,referenced,available,readonly,mounted,encryption,origin,receive_resume_token"
    )]
    #[case(
        Command::ListDatasets { scope: Scope::Tree(dataset("tank/a b")), columns: ListColumns::DatasetWithChanges },
        "zfs list -Hp -t filesystem,volume -o name,guid,type,createtxg,written,used,referenced,available,readonly,mounted,encryption,origin,receive_resume_token,snapshots_changed -r 'tank/a b'"
    )]
    #[case(
        Command::ListHistory { scope: Scope::Only(dataset("tank/a")) },
        "zfs list -Hp -t snapshot,bookmark -o name,guid,createtxg,creation,used,referenced,userrefs -d 1 tank/a"
    )]
    #[case(
        Command::Get { dataset: dataset("tank"), properties: vec!["readonly".into(), "canmount".into()] },
        "zfs get -Hp -o property,value,source readonly,canmount tank"
    )]
    #[case(Command::Holds { snapshot: snapshot("tank@a") }, "zfs holds -H tank@a")]
    #[case(
        Command::ListHistory { scope: Scope::These(vec![dataset("tank/a"), dataset("tank/b")]) },
        "zfs list -Hp -t snapshot,bookmark -o name,guid,createtxg,creation,used,referenced,userrefs -d 1 tank/a tank/b"
    )]
    #[case(
        Command::Hold { tag: OwnTag::new("zfs-sync:x").unwrap(), snapshot: snapshot("tank@a") },
        "zfs hold zfs-sync:x tank@a"
    )]
    #[case(
        Command::HoldAll {
            tag: OwnTag::new("zfs-sync:x").unwrap(),
            snapshots: vec![snapshot("tank@a"), snapshot("tank@b")],
        },
        "zfs hold zfs-sync:x tank@a tank@b"
    )]
    #[case(
        Command::Release { tag: OwnTag::new("zfs-sync:x").unwrap(), snapshot: snapshot("tank@a") },
        "zfs release zfs-sync:x tank@a"
    )]
    #[case(
        Command::HoldsOf { snapshots: vec![snapshot("tank@a"), snapshot("tank@b")], exact: true },
        "zfs holds -H -p tank@a tank@b"
    )]
    #[case(Command::HoldsOf { snapshots: vec![snapshot("tank@a")], exact: false }, "zfs holds -H tank@a")]
    #[case(
        Command::ReleaseAll {
            tag: OwnTag::new("zfs-sync:x").unwrap(),
            snapshots: vec![snapshot("tank@a"), snapshot("tank/b c@d")],
        },
        "zfs release zfs-sync:x tank@a 'tank/b c@d'"
    )]
    #[case(Command::ShowAllowed { dataset: dataset("tank/a") }, "zfs allow tank/a")]
    #[case(
        Command::ListSet { datasets: vec![dataset("tank/a")] },
        "zfs get -Hp -t filesystem,volume -s local,received -o name,property,value all tank/a"
    )]
    #[case(
        Command::Bookmark { snapshot: snapshot("tank/a@one"), label: "zfs-sync:1:2".parse().unwrap() },
        "zfs bookmark tank/a@one 'tank/a#zfs-sync:1:2'"
    )]
    #[case(
        Command::DestroyBookmark { bookmark: OwnBookmark::new("tank#zfs-sync:1:2".parse().unwrap()).unwrap() },
        "zfs destroy 'tank#zfs-sync:1:2'"
    )]
    #[case(
        Command::Snapshot { snapshots: vec![snapshot("tank/a@x"), snapshot("tank/b@x")] },
        "zfs snapshot tank/a@x tank/b@x"
    )]
    #[case(
        Command::CreatePlaceholder { dataset: dataset("backup/nas1") },
        "zfs create -o canmount=off -o readonly=on backup/nas1"
    )]
    #[case(Command::CreateBare { dataset: dataset("backup/nas1") }, "zfs create -u backup/nas1")]
    #[case(Command::Rename { from: dataset("a/b"), to: dataset("a/c") }, "zfs rename a/b a/c")]
    #[case(
        Command::Send(SendCommand::Full { to: snapshot("tank/a@one"), form: StreamForm::WHOLE }),
        "zfs send -L -c -e tank/a@one"
    )]
    #[case(Command::Send(send(true)), "zfs send -w -I tank/a@one tank/a@two")]
    #[case(
        Command::Send(SendCommand::FromBookmark {
            base: "tank/a#one".parse().unwrap(),
            to: snapshot("tank/a@two"),
            form: StreamForm::WHOLE,
        }),
        "zfs send -L -c -e -i 'tank/a#one' tank/a@two"
    )]
    #[case(
        Command::Send(SendCommand::Full {
            to: snapshot("tank/a@one"),
            form: StreamForm::Plain { large_blocks: false, compressed: false, embedded: false },
        }),
        "zfs send tank/a@one"
    )]
    #[case(Command::Send(SendCommand::Resume { token: "1-ab-c-d".into(), raw: false }), "zfs send -t 1-ab-c-d")]
    #[case(Command::Send(SendCommand::Resume { token: "1-ab-c-d".into(), raw: true }), "zfs send -w -t 1-ab-c-d")]
    #[case(Command::Estimate(send(false)), "zfs send -n -v -P -L -c -e -I tank/a@one tank/a@two")]
    #[case(Command::Receive(ReceiveCommand::further(dataset("backup/a"))), "zfs receive -s -u backup/a")]
    #[case(
        Command::Receive(ReceiveCommand { resumable: false, ..ReceiveCommand::further(dataset("backup/a")) }),
        "zfs receive -u backup/a"
    )]
    #[case(
        Command::Receive(ReceiveCommand::begins(dataset("backup/a"), first(DatasetKind::Filesystem))),
        "zfs receive -s -u -o readonly=on -o canmount=noauto -o 'zfs-sync:stream=-L -c -e' -x mountpoint -x sharenfs -x sharesmb -x quota -x refquota -x reservation -x refreservation backup/a"
    )]
    #[case(
        Command::Receive(ReceiveCommand::begins(dataset("backup/v"), FirstReceive {
            properties: vec![("com.example:note".parse().unwrap(), "a\tb\nc".to_owned())],
            ..FirstReceive::new(DatasetKind::Volume, StreamForm::Raw)
        })),
        "zfs receive -s -u -o readonly=on -o zfs-sync:stream=-w -o 'com.example:note=a\tb\nc' backup/v"
    )]
    #[case(
        Command::Receive(ReceiveCommand {
            origin: Some(snapshot("backup/o@one")),
            ..ReceiveCommand::begins(dataset("backup/v"), first(DatasetKind::Volume))
        }),
        "zfs receive -s -u -o readonly=on -o 'zfs-sync:stream=-L -c -e' -o origin=backup/o@one backup/v"
    )]
    #[case(
        Command::GetValue { dataset: dataset("tank/a b"), property: "recordsize".parse().unwrap() },
        "zfs get -Hp -o value recordsize 'tank/a b'"
    )]
    #[case(
        Command::GetTree { scope: Scope::Only(dataset("tank/a")), snapshots: true },
        "zfs get -d 1 -Hp -o name,property,value type,guid,createtxg,creation,used,referenced,available,readonly,mounted,origin,userrefs tank/a"
    )]
    #[case(
        Command::GetTree { scope: Scope::Everything, snapshots: false },
        "zfs get -r -Hp -o name,property,value type,guid,createtxg,creation,used,referenced,available,readonly,mounted,origin"
    )]
    #[case(Command::PoolFeatures { pool: "tank".into() }, "zpool get -H all tank")]
    #[case(
        Command::Set { dataset: dataset("backup/a"), setting: Setting::Stream(StreamForm::Raw) },
        "zfs set zfs-sync:stream=-w backup/a"
    )]
    #[case(
        Command::Set { dataset: dataset("backup/a"), setting: Setting::Cleared(NotReceived::Mountpoint) },
        "zfs inherit mountpoint backup/a"
    )]
    #[case(
        Command::Set { dataset: dataset("backup/a"), setting: Setting::Cleared(NotReceived::Quota) },
        "zfs set quota=none backup/a"
    )]
    #[case(
        Command::Send(SendCommand::Single {
            base: snapshot("tank/origin@one"),
            to: snapshot("tank/clone@two"),
            form: StreamForm::WHOLE,
        }),
        "zfs send -L -c -e -i tank/origin@one tank/clone@two"
    )]
    #[case(
        Command::ListDependents { of: Dependents::Dataset(dataset("tank/a")) },
        "zfs list -Hp -t snapshot -o name,guid,userrefs,clones -d 1 tank/a"
    )]
    #[case(
        Command::ListDependents { of: Dependents::Snapshot(snapshot("tank/a@one")) },
        "zfs list -Hp -t snapshot -o name,guid,userrefs,clones tank/a@one"
    )]
    #[case(Command::DestroySnapshot { snapshot: doomed("tank/a@one") }, "zfs destroy tank/a@one")]
    #[case(Command::RollBack { to: snapshot("tank/a@one") }, "zfs rollback tank/a@one")]
    #[case(Command::AbortReceive { dataset: dataset("backup/a") }, "zfs receive -A backup/a")]
    #[case(Command::WatchEvents, "zpool events -f -H")]
    #[case(Command::PoolStatus, "zpool status")]
    #[case(
        Command::AnswerForSnapshot { snapshot: snapshot("tank/a b@one"), rate: None },
        "zfs-sync verify-side 'tank/a b@one'"
    )]
    #[case(
        Command::AnswerForSnapshot { snapshot: snapshot("tank/a@one"), rate: Some(1 << 20) },
        "zfs-sync verify-side --rate 1048576 tank/a@one"
    )]
    #[case(
        Command::GetOfSnapshot { snapshot: snapshot("tank/a@one"), properties: vec!["type".into(), "volsize".into()] },
        "zfs get -Hp -o property,value,source type,volsize tank/a@one"
    )]
    #[case(
        Command::ShowSnapshotDevices { volume: dataset("tank/v"), before: SnapshotDevices::Inherited },
        "zfs set zfs-sync:snapdev=inherited snapdev=visible tank/v"
    )]
    #[case(
        Command::RestoreSnapshotDevices { volume: dataset("tank/v"), before: SnapshotDevices::Inherited },
        "zfs inherit snapdev tank/v"
    )]
    #[case(
        Command::RestoreSnapshotDevices { volume: dataset("tank/v"), before: SnapshotDevices::Hidden },
        "zfs set snapdev=hidden tank/v"
    )]
    #[case(Command::ForgetSnapshotDevices { volume: dataset("tank/v") }, "zfs inherit zfs-sync:snapdev tank/v")]
    #[case(Command::ListShownVolumes, "zfs get -H -t volume -s local -o name,value zfs-sync:snapdev")]
    #[case(Command::ListPools, "zpool list -Hp -o name,guid,size,allocated,free,health")]
    fn every_command_has_its_line(#[case] command: Command, #[case] line: &str) {
        assert_eq!(command.display_line(), line);
        check_that_it_is_read_back(&command, line);
        if !matches!(command, Command::WatchEvents) {
            let forbidden = ["-F", "-R", "-f"];
            assert!(!command.arguments().iter().any(|argument| forbidden.contains(&argument.as_str())));
        }
        // `-r` is for listings; what takes something away names one thing.
        let recursive = command.arguments().iter().any(|argument| argument == "-r");
        assert!(!recursive || command.is_read_only());
        if ["destroy", "rollback"].contains(&command.arguments()[0].as_str()) {
            assert_eq!(command.arguments().len(), 2, "the verb and one name, no option");
            assert!(command.arguments()[1].contains(['@', '#']), "never a dataset");
        }
    }

    /// What is for people, doctors and verifications alone is never asked for through a gate.
    fn check_that_it_is_read_back(command: &Command, line: &str) {
        match (command, read(line)) {
            (
                Command::ShowAllowed { .. }
                | Command::ListSet { .. }
                | Command::PoolStatus
                | Command::AnswerForSnapshot { .. }
                | Command::ShowSnapshotDevices { .. }
                | Command::RestoreSnapshotDevices { .. }
                | Command::ForgetSnapshotDevices { .. }
                | Command::ListShownVolumes,
                read,
            ) => assert!(read.is_err()),
            (Command::DestroySnapshot { snapshot }, read) => {
                assert_eq!(read, Ok(Spoken::DestroySnapshot(snapshot.name().clone())));
            }
            (_, Ok(Spoken::Command(read))) => assert_eq!(read.arguments(), command.arguments()),
            (_, other) => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn reading_is_told_from_changing() {
        assert!(Command::Estimate(send(false)).is_read_only());
        assert!(Command::ListPools.is_read_only());
        assert!(!Command::AbortReceive { dataset: dataset("tank") }.is_read_only());
        assert!(!Command::Snapshot { snapshots: vec![] }.is_read_only());
        assert!(!Command::DestroySnapshot { snapshot: doomed("tank/a@one") }.is_read_only());
        assert!(!Command::RollBack { to: snapshot("tank/a@one") }.is_read_only());
    }
}
