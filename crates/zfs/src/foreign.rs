//! Traces of other tools that replicate, make or prune snapshots (field notes F35 and F115): found by the names they use.

use std::collections::{BTreeMap, BTreeSet};

use zfs_sync_core::name::DatasetName;

use crate::parse::{History, Hold, SetProperty};

/// A trace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Trace {
    /// The tool.
    pub tool: &'static str,
    /// It replicates: two that receive into one dataset get in each other's way. Otherwise it makes or prunes snapshots.
    pub replicates: bool,
    /// On which dataset.
    pub dataset: DatasetName,
    /// What was found: `snapshot @syncoid_nas1_2026-11-27`.
    pub what: String,
}

/// How a name begins, whose it is, and whether that one replicates.
type Pattern = (&'static str, &'static str, bool);

/// Of snapshots and bookmarks.
const LABELS: &[Pattern] = &[
    ("zrepl_", "zrepl", true),
    ("syncoid_", "syncoid", true),
    ("__replicate_", "Proxmox replication", true),
    ("bzfs_", "bzfs", true),
    ("autosnap_", "sanoid", false),
    ("zfs-auto-snap", "zfs-auto-snapshot", false),
    ("znapzend_", "znapzend", false),
    ("pyznap_", "pyznap", false),
    ("auto-20", "TrueNAS snapshot task", false),
];

/// Of hold tags.
const TAGS: &[Pattern] = &[
    ("zrepl_", "zrepl", true),
    ("zfs_autobackup:", "zfs_autobackup", true),
    ("org.znapzend:", "znapzend", true),
    ("syncoid_", "syncoid", true),
    ("truenas:", "TrueNAS", false),
];

/// Of user properties.
const PROPERTIES: &[Pattern] = &[
    ("zrepl:", "zrepl", true),
    ("syncoid:", "syncoid", true),
    ("org.znapzend:", "znapzend", true),
    ("autobackup:", "zfs_autobackup", true),
    ("com.sun:auto-snapshot", "zfs-auto-snapshot", false),
];

fn find(patterns: &[Pattern], name: &str) -> Option<(&'static str, bool)> {
    patterns
        .iter()
        .find(|(start, ..)| name.starts_with(start))
        .map(|&(_, tool, replicates)| (tool, replicates))
}

/// Every tool that was found, once for each dataset and kind of trace: the newest name stands for all like it.
pub fn traces(history: &History, holds: &[Hold], properties: &[SetProperty]) -> Vec<Trace> {
    let mut found: BTreeMap<(&'static str, bool, DatasetName, &'static str), String> = BTreeMap::new();
    let mut add = |(tool, replicates), dataset: &DatasetName, kind: &'static str, name: String| {
        found.insert((tool, replicates, dataset.clone(), kind), name);
    };
    for (dataset, (snapshots, bookmarks)) in history {
        for snapshot in snapshots {
            if let Some(tool) = find(LABELS, snapshot.label.as_str()) {
                add(tool, dataset, "snapshot", format!("@{}", snapshot.label));
            }
        }
        for bookmark in bookmarks {
            if let Some(tool) = find(LABELS, bookmark.label.as_str()) {
                add(tool, dataset, "bookmark", format!("#{}", bookmark.label));
            }
        }
    }
    for hold in holds {
        if let Some(tool) = find(TAGS, &hold.tag) {
            add(tool, hold.snapshot.dataset(), "hold", format!("{} on @{}", hold.tag, hold.snapshot.label()));
        }
    }
    for property in properties {
        if let Some(tool) = find(PROPERTIES, &property.name)
            && let Ok(dataset) = property.dataset.parse()
        {
            add(tool, &dataset, "property", format!("{}={}", property.name, property.value));
        }
    }
    let traces = found.into_iter().map(|((tool, replicates, dataset, kind), name)| {
        let what = format!("{kind} {name}");
        Trace { tool, replicates, dataset, what }
    });
    traces.collect()
}

/// True for what an interrupted `zfs receive -R -F` of another tool leaves: `tank/a/recv-4711-1` (F30). Nobody needs it, and whether it
/// goes is for a person to say.
pub fn is_leftover(dataset: &DatasetName) -> bool {
    let numbers = dataset.last_component().strip_prefix("recv-").and_then(|rest| rest.split_once('-'));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    numbers.is_some_and(|(process, number)| is_number(process) && is_number(number))
}

/// The tools of some traces.
pub fn tools<'a>(traces: impl IntoIterator<Item = &'a Trace>) -> BTreeSet<&'static str> {
    traces.into_iter().map(|trace| trace.tool).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    #[test]
    fn what_a_broken_receive_leaves_is_known_by_its_name() {
        for (name, expected) in [
            ("tank/a/recv-4711-1", true),
            ("tank/a/recv-4711", false),
            ("tank/a/recv-x-1", false),
            ("tank/recv-4711-1/a", false),
        ] {
            assert_eq!(is_leftover(&name.parse().unwrap()), expected, "{name}");
        }
    }

    #[test]
    fn other_tools_are_known_by_their_names() {
        let history = parse::history(
            "tank/a@autosnap_2026-11-27_daily\t1\t1\t1\t0\t0\t0\n\
             tank/a@autosnap_2026-11-28_daily\t2\t2\t2\t0\t0\t0\n\
             tank/a@mine\t3\t3\t3\t0\t0\t1\n\
             tank/b@syncoid_nas1_2026-11-27\t4\t4\t4\t0\t0\t0\n\
             tank/b#zrepl_CURSOR_G_1\t5\t5\t5\t-\t-\t-\n\
             tank/c@zfs-sync\t6\t6\t6\t0\t0\t0\n",
        )
        .unwrap();
        let holds =
            parse::holds("tank/a@mine\tzfs_autobackup:offsite\t1\ntank/a@mine\tzfs-sync:step:1:a\t1\n")
                .unwrap();
        let properties =
            parse::set_properties("tank/c\torg.znapzend:src_plan\t1d=>1h\ntank/c\tcompression\tlz4\n")
                .unwrap();
        let found = traces(&history, &holds, &properties);
        let lines: Vec<_> =
            found.iter().map(|trace| format!("{} {} {}", trace.tool, trace.dataset, trace.what)).collect();
        assert_eq!(
            lines,
            [
                "sanoid tank/a snapshot @autosnap_2026-11-28_daily",
                "syncoid tank/b snapshot @syncoid_nas1_2026-11-27",
                "zfs_autobackup tank/a hold zfs_autobackup:offsite on @mine",
                "znapzend tank/c property org.znapzend:src_plan=1d=>1h",
                "zrepl tank/b bookmark #zrepl_CURSOR_G_1",
            ]
        );
        assert_eq!(tools(found.iter().filter(|trace| !trace.replicates)), BTreeSet::from(["sanoid"]));
    }
}
