//! The inverse of [`Command::display_line`]: what somebody asks for in a line, as a typed command.
//!
//! Needed where a line comes from elsewhere: from `SSH_ORIGINAL_COMMAND`, behind a forced command. Nothing is guessed: the line that
//! the typed command would be written as is compared with the line that came, and they are equal or it is refused.

use zfs_sync_core::{
    inventory::DatasetKind,
    name::{BookmarkName, DatasetName, SnapshotName},
};

use super::{
    Command, Dependents, ListColumns, OwnBookmark, OwnTag, ReceiveCommand, Scope, SendCommand,
    argv::{DEPENDENTS_COLUMNS, GET_COLUMNS, HISTORY_COLUMNS},
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

fn command(words: &[&str]) -> Option<Command> {
    Some(match words {
        ["zfs", "version"] => Command::Version,
        ["zpool", "events", ..] => Command::WatchEvents,
        ["zpool", "list", ..] => Command::ListPools,
        ["zfs", "list", "-Hp", "-t", types, "-o", columns, of @ ..] => list(types, columns, of)?,
        ["zfs", "get", "-Hp", "-o", columns, properties, dataset] if *columns == GET_COLUMNS.join(",") => {
            let properties = properties.split(',').map(str::to_owned).collect();
            Command::Get { dataset: dataset.parse().ok()?, properties }
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
            ["-d", "1", datasets @ ..] | [datasets @ ..] => Scope::These(all(datasets)?),
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
    let (raw, rest) = match words {
        ["-w", rest @ ..] => (true, rest),
        ["-L", "-c", "-e", rest @ ..] => (false, rest),
        ["-t", token] => return Some(SendCommand::Resume { token: (*token).to_owned() }),
        _ => return None,
    };
    Some(match rest {
        [to] => SendCommand::Full { to: to.parse().ok()?, raw },
        ["-I", base, to] => SendCommand::Incremental { base: base.parse().ok()?, to: to.parse().ok()?, raw },
        ["-i", base, to] if base.contains('#') => {
            SendCommand::FromBookmark { base: base.parse().ok()?, to: to.parse().ok()?, raw }
        }
        ["-i", base, to] => SendCommand::Single { base: base.parse().ok()?, to: to.parse().ok()?, raw },
        _ => return None,
    })
}

/// One of the four ways we receive: which it is shows in the line that it is compared with.
fn receive(words: &[&str]) -> Option<ReceiveCommand> {
    let dataset: DatasetName = words.last()?.parse().ok()?;
    let origin = words.iter().find_map(|word| word.strip_prefix("origin="));
    let origin: Option<SnapshotName> = origin.map(str::parse).transpose().ok()?;
    let first = if words.contains(&"canmount=noauto") {
        Some(DatasetKind::Filesystem)
    } else if words.contains(&"readonly=on") {
        Some(DatasetKind::Volume)
    } else {
        None
    };
    Some(ReceiveCommand { dataset, first, origin })
}
