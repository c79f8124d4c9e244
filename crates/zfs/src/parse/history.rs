//! `zfs list -t snapshot,bookmark`.

use std::collections::{BTreeMap, HashSet};

use zfs_sync_core::{
    guid::{Guid, Txg},
    inventory::{Bookmark, Snapshot},
    name::{BookmarkName, DatasetName, Label, SnapshotName},
};

use super::{Fields, ParseError, name};
use crate::command::argv::HISTORY_COLUMNS;

/// Snapshots and bookmarks of each dataset that has any, oldest first.
pub type History = BTreeMap<DatasetName, (Vec<Snapshot>, Vec<Bookmark>)>;

/// Reads a listing of snapshots and bookmarks.
pub fn history(text: &str) -> Result<History, ParseError> {
    let mut history = History::new();
    let mut labels = HashSet::new();
    for fields in Fields::lines(text, &HISTORY_COLUMNS) {
        let fields = fields?;
        let full = fields.get("name");
        if full.contains('@') {
            let Some(snapshot) = name::<SnapshotName>(full) else { continue };
            let entry = Snapshot {
                guid: Guid::new(fields.number("guid")?),
                createtxg: Txg::new(fields.number("createtxg")?),
                label: once(&mut labels, snapshot.label()),
                creation: fields.number("creation")?,
                used: fields.size("used")?,
                referenced: fields.size("referenced")?,
                holds: fields.size("userrefs")?,
            };
            history.entry(snapshot.dataset().clone()).or_default().0.push(entry);
        } else {
            let Some(bookmark) = name::<BookmarkName>(full) else { continue };
            let entry = Bookmark {
                guid: Guid::new(fields.number("guid")?),
                createtxg: Txg::new(fields.number("createtxg")?),
                label: bookmark.label().clone(),
                creation: fields.number("creation")?,
            };
            history.entry(bookmark.dataset().clone()).or_default().1.push(entry);
        }
    }
    for (snapshots, bookmarks) in history.values_mut() {
        // Kept for as long as nothing changes.
        snapshots.shrink_to_fit();
        snapshots.sort_by_key(|snapshot| (snapshot.createtxg, snapshot.guid));
        bookmarks.sort_by(|a, b| (a.createtxg, a.guid, &a.label).cmp(&(b.createtxg, b.guid, &b.label)));
    }
    Ok(history)
}

/// One allocation for all snapshots with the same label: whatever takes snapshots takes them of many datasets at once.
fn once(labels: &mut HashSet<Label>, label: &Label) -> Label {
    if let Some(known) = labels.get(label) {
        return known.clone();
    }
    labels.insert(label.clone());
    label.clone()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[test]
    fn snapshots_and_bookmarks_are_grouped_by_dataset_in_order_of_creation() {
        let text = "tank/a b@two 2\t22\t9\t1763640002\t10\t20\t1\n\
                    tank/a b@one\t11\t8\t1763640001\t0\t20\t0\n\
                    tank/a b#mark\t11\t8\t1763640001\t-\t-\t-\n\
                    tank@x\t33\t5\t1763640000\t0\t24576\t0\n";
        let history = history(text).unwrap();
        let (snapshots, bookmarks) = &history[&"tank/a b".parse().unwrap()];
        let labels: Vec<_> = snapshots.iter().map(|snapshot| snapshot.label.as_str()).collect();
        assert_eq!(labels, ["one", "two 2"]);
        assert_eq!(snapshots[1].guid, Guid::new(22));
        assert_eq!(snapshots[1].holds, 1);
        assert_eq!(bookmarks[0].guid, Guid::new(11));
        assert_eq!(history.len(), 2);
    }

    #[test]
    fn snapshots_of_an_interrupted_receive_are_left_out() {
        let text = "tank/a/%recv@one\t11\t8\t1\t0\t0\t0\ntank/a@one\t12\t8\t1\t0\t0\t0\n";
        let history = history(text).unwrap();
        assert_eq!(history.keys().map(DatasetName::as_str).collect::<Vec<_>>(), ["tank/a"]);
    }

    #[rstest]
    #[case("tank@a\t-\t8\t1\t0\t0\t0", "`guid` is `-`, not a number")]
    #[case("tank@a\t1\tx\t1\t0\t0\t0", "`createtxg` is `x`, not a number")]
    #[case("tank@a\t1\t8\tMon\t0\t0\t0", "`creation` is `Mon`, not a number")]
    #[case("tank@a\t1\t8\t1\t1K\t0\t0", "`used` is `1K`, not a number")]
    #[case("tank@a\t1\t8\t1\t0\t?\t0", "`referenced` is `?`, not a number")]
    #[case("tank@a\t1\t8\t1\t0\t0\tmany", "`userrefs` is `many`, not a number")]
    #[case("tank@a\t1\t8", "has 3 columns instead of 7")]
    fn a_broken_column_is_named(#[case] text: &str, #[case] what: &str) {
        assert_eq!(history(text), Err(ParseError { line: 1, what: what.to_owned() }));
    }

    proptest! {
        #[test]
        fn no_output_makes_it_panic(text in "([ -~]|\t|\n){0,200}") {
            let _ = history(&text);
        }
    }
}
