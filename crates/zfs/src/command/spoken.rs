//! The inverse of [`Command::display_line`]: what somebody asks for in a line, as a typed command.
//!
//! Needed where a line comes from elsewhere: from `SSH_ORIGINAL_COMMAND`, behind a forced command. Nothing is guessed: the line that
//! the typed command would be written as is compared with the line that came, and they are equal or it is refused.

use zfs_sync_core::{
    inventory::DatasetKind,
    name::{BookmarkName, DatasetName, SnapshotName},
    stream::{PIN, StreamForm},
};

use super::{
    Command, Dependents, FirstReceive, ListColumns, NotReceived, OwnBookmark, OwnTag, ReceiveCommand, Scope,
    SendCommand, Setting,
    argv::{DEPENDENTS_COLUMNS, GET_COLUMNS, HISTORY_COLUMNS, TREE_COLUMNS, TREE_HOLDS},
    words::{NotOurLine, words},
};

/// What a line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// A command as we write it.
    Command(Command),
    /// `zfs destroy DATASET@SNAPSHOT`: by its name alone. A [`Doomed`](super::Doomed) is made of it only by looking.
    DestroySnapshot(SnapshotName),
}

/// Reads one line.
pub fn read(line: &str) -> Result<Spoken, NotOurLine> {
    let words = words(line)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if let ["zfs", "destroy", name] = words.as_slice()
        && let Ok(snapshot) = name.parse::<SnapshotName>()
    {
        return Ok(Spoken::DestroySnapshot(snapshot));
    }
    let command = command(&words).ok_or(NotOurLine)?;
    if command.display_line() == line { Ok(Spoken::Command(command)) } else { Err(NotOurLine) }
}

/// How implementations with a rounding `zfs list` are read.
fn tree(options: &[&str], properties: &str, dataset: Option<DatasetName>) -> Option<Command> {
    let snapshots = properties.split(',').any(|property| property == TREE_HOLDS);
    let scope = match (options, dataset) {
        (["-r"], None) => Scope::Everything,
        (["-r"], Some(dataset)) => Scope::Tree(dataset),
        ([] | ["-d", "1"], Some(dataset)) => Scope::Only(dataset),
        _ => return None,
    };
    Some(Command::GetTree { scope, snapshots })
}

fn command(words: &[&str]) -> Option<Command> {
    Some(match words {
        ["zfs", "version"] => Command::Version,
        ["zpool", "events", ..] => Command::WatchEvents,
        ["zpool", "list", ..] => Command::ListPools,
        ["zfs", "list", "-Hp", "-t", types, "-o", columns, of @ ..] => list(types, columns, of)?,
        ["zfs", "get", "-Hp", "-o", "value", property, dataset] => {
            Command::GetValue { dataset: dataset.parse().ok()?, property: property.parse().ok()? }
        }
        ["zfs", "get", "-Hp", "-o", "source", property, dataset] => {
            Command::GetSource { dataset: dataset.parse().ok()?, property: property.parse().ok()? }
        }
        ["zpool", "get", "-H", "all", pool] => Command::PoolFeatures { pool: (*pool).to_owned() },
        ["zfs", verb @ ("set" | "inherit"), text, dataset] => {
            Command::Set { dataset: dataset.parse().ok()?, setting: setting(verb, text)? }
        }
        ["zfs", "get", options @ .., "-Hp", "-o", columns, properties]
            if *columns == TREE_COLUMNS.join(",") =>
        {
            tree(options, properties, None)?
        }
        ["zfs", "get", options @ .., "-Hp", "-o", columns, properties, dataset]
            if *columns == TREE_COLUMNS.join(",") =>
        {
            tree(options, properties, Some(dataset.parse().ok()?))?
        }
        ["zfs", "get", "-Hp", "-o", columns, properties, dataset] if *columns == GET_COLUMNS.join(",") => {
            let properties = properties.split(',').map(str::to_owned).collect();
            if dataset.contains('@') {
                Command::GetOfSnapshot { snapshot: dataset.parse().ok()?, properties }
            } else {
                Command::Get { dataset: dataset.parse().ok()?, properties }
            }
        }
        ["zfs", "holds", "-H", "-p", snapshots @ ..] => {
            Command::HoldsOf { snapshots: all(snapshots)?, exact: true }
        }
        ["zfs", "holds", "-H", snapshots @ ..] => {
            Command::HoldsOf { snapshots: all(snapshots)?, exact: false }
        }
        ["zfs", "hold", tag, snapshots @ ..] => {
            Command::HoldAll { tag: OwnTag::new(*tag).ok()?, snapshots: all(snapshots)? }
        }
        ["zfs", "release", tag, snapshots @ ..] => {
            Command::ReleaseAll { tag: OwnTag::new(*tag).ok()?, snapshots: all(snapshots)? }
        }
        ["zfs", "bookmark", snapshot, bookmark] => {
            let bookmark: BookmarkName = bookmark.parse().ok()?;
            Command::Bookmark { snapshot: snapshot.parse().ok()?, label: bookmark.label().clone() }
        }
        ["zfs", "destroy", bookmark] => {
            Command::DestroyBookmark { bookmark: OwnBookmark::new(bookmark.parse().ok()?).ok()? }
        }
        ["zfs", "rollback", to] => Command::RollBack { to: to.parse().ok()? },
        ["zfs", "snapshot", snapshots @ ..] => Command::Snapshot { snapshots: all(snapshots)? },
        ["zfs", "create", "-u", dataset] => Command::CreateBare { dataset: dataset.parse().ok()? },
        ["zfs", "create", .., dataset] => Command::CreatePlaceholder { dataset: dataset.parse().ok()? },
        ["zfs", "rename", from, to] => Command::Rename { from: from.parse().ok()?, to: to.parse().ok()? },
        ["zfs", "send", "-n", "-v", "-P", rest @ ..] => Command::Estimate(send(rest)?),
        ["zfs", "send", rest @ ..] => Command::Send(send(rest)?),
        ["zfs", "receive", "-A", dataset] => Command::AbortReceive { dataset: dataset.parse().ok()? },
        ["zfs", "receive", rest @ ..] => Command::Receive(receive(rest)?),
        _ => return None,
    })
}

fn all<T: std::str::FromStr>(texts: &[&str]) -> Option<Vec<T>> {
    let parsed: Result<Vec<T>, _> = texts.iter().map(|text| text.parse()).collect();
    parsed.ok().filter(|list| !list.is_empty())
}

fn list(types: &str, columns: &str, of: &[&str]) -> Option<Command> {
    let scope = || {
        Some(match of {
            [] => Scope::Everything,
            ["-r", root] => Scope::Tree(root.parse().ok()?),
            [dataset] | ["-d", "1", dataset] => Scope::Only(dataset.parse().ok()?),
            ["-d", "1", datasets @ ..] | datasets => Scope::These(all(datasets)?),
        })
    };
    let is = |names: &[&str]| columns == names.join(",");
    Some(match types {
        "filesystem,volume" => {
            let known = [ListColumns::Dataset, ListColumns::DatasetWithChanges];
            let columns = known.into_iter().find(|columns| is(columns.names()))?;
            Command::ListDatasets { scope: scope()?, columns }
        }
        "snapshot,bookmark" if is(&HISTORY_COLUMNS) => Command::ListHistory { scope: scope()? },
        "snapshot" if is(&DEPENDENTS_COLUMNS) => Command::ListDependents {
            of: match of {
                ["-d", "1", dataset] => Dependents::Dataset(dataset.parse().ok()?),
                [snapshot] => Dependents::Snapshot(snapshot.parse().ok()?),
                _ => return None,
            },
        },
        _ => return None,
    })
}

fn send(words: &[&str]) -> Option<SendCommand> {
    match words {
        ["-t", token] => return Some(SendCommand::Resume { token: (*token).to_owned(), raw: false }),
        ["-w", "-t", token] => return Some(SendCommand::Resume { token: (*token).to_owned(), raw: true }),
        _ => {}
    }
    let options = words.iter().take_while(|word| ["-w", "-L", "-c", "-e"].contains(word)).count();
    let (options, rest) = words.split_at(options);
    let form = match options {
        [] => StreamForm::Plain { large_blocks: false, compressed: false, embedded: false },
        options => options.join(" ").parse().ok()?,
    };
    Some(match rest {
        [to] => SendCommand::Full { to: to.parse().ok()?, form },
        ["-I", base, to] => SendCommand::Incremental { base: base.parse().ok()?, to: to.parse().ok()?, form },
        ["-i", base, to] if base.contains('#') => {
            SendCommand::FromBookmark { base: base.parse().ok()?, to: to.parse().ok()?, form }
        }
        ["-i", base, to] => SendCommand::Single { base: base.parse().ok()?, to: to.parse().ok()?, form },
        _ => return None,
    })
}

/// What is set besides what every replica gets says of what kind it is; the rest shows in the line that it is compared with.
fn receive(words: &[&str]) -> Option<ReceiveCommand> {
    let dataset: DatasetName = words.last()?.parse().ok()?;
    let (mut origin, mut kind, mut form, mut properties) = (None, DatasetKind::Volume, None, Vec::new());
    let set = words.windows(2).filter(|pair| pair[0] == "-o").map(|pair| pair[1]);
    for text in set {
        match text.strip_prefix("origin=") {
            Some(snapshot) => origin = Some(snapshot.parse::<SnapshotName>().ok()?),
            None => match setting("set", text)? {
                Setting::ReadOnly => {}
                Setting::NotMountedByItself => kind = DatasetKind::Filesystem,
                Setting::Stream(found) => form = Some(found),
                Setting::Copied(property, value) => properties.push((property, value)),
                Setting::Cleared(_) => return None,
            },
        }
    }
    let first = form.map(|form| FirstReceive { kind, form, properties });
    Some(ReceiveCommand { dataset, first, origin, resumable: words.contains(&"-s") })
}

/// What `zfs set` or `zfs inherit` is told, where it is something that we ever say.
fn setting(verb: &str, text: &str) -> Option<Setting> {
    let cleared = |name: &str, inherited: bool| {
        let mut all = NotReceived::ALL.into_iter();
        all.find(|property| property.as_str() == name && property.is_inherited() == inherited)
    };
    if verb == "inherit" {
        return cleared(text, true).map(Setting::Cleared);
    }
    Some(match text.split_once('=')? {
        ("readonly", "on") => Setting::ReadOnly,
        ("canmount", "noauto") => Setting::NotMountedByItself,
        (name, form) if name == PIN => Setting::Stream(form.parse().ok()?),
        (name, "none") if cleared(name, false).is_some() => Setting::Cleared(cleared(name, false)?),
        (name, value) => Setting::Copied(name.parse().ok()?, value.to_owned()),
    })
}
