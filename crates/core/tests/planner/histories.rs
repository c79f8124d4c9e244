//! `compare` against the oracle, on pairs of histories.

use std::collections::BTreeSet;

use proptest::{collection::vec, option, prelude::*};
use zfs_sync_core::{
    inventory::{Dataset, DatasetKind},
    plan::compare,
};

use crate::{
    fleet::{bookmark, dataset, snapshot},
    oracle::{Kind, expected, kind_of},
    worlds::{any_partial, examples},
};

/// Two histories as ZFS could show them: no GUID or name twice, a bookmark where its snapshot was.
fn histories() -> impl Strategy<Value = (Dataset, Option<Dataset>)> {
    let order = || Just((1..8_u64).collect::<Vec<_>>()).prop_shuffle();
    let labels = || Just(["a", "b", "c", "d", "e", "f", "g"].to_vec()).prop_shuffle();
    let chosen = || vec(prop::bool::weighted(0.4), 7);
    let flags = || (prop::bool::weighted(0.05), prop::bool::weighted(0.15), prop::bool::weighted(0.2));
    let source = (order(), labels(), chosen(), vec(prop::bool::weighted(0.2), 7), flags());
    let target = (order(), labels(), chosen(), (any_partial(), any::<bool>()), flags());
    let build = |name,
                 order: &[u64],
                 labels: &[&str],
                 chosen: &[bool],
                 marked: &[bool],
                 flags: (bool, bool, bool)| {
        let mut made = dataset(name);
        for (position, guid) in order.iter().enumerate() {
            let txg = 10 * (position as u64 + 1);
            let label = labels[usize::try_from(*guid).unwrap() - 1];
            if chosen[position] {
                made.snapshots.push(snapshot(label, *guid, txg));
            }
            if marked[position] {
                made.bookmarks.push(bookmark(label, *guid, txg));
            }
        }
        let (volume, written, encrypted) = flags;
        made.properties.kind = if volume { DatasetKind::Volume } else { DatasetKind::Filesystem };
        made.properties.written = u64::from(written) * 4096;
        made.properties.encrypted = encrypted;
        made
    };
    (source, option::weighted(0.95, target)).prop_map(
        move |((order, labels, chosen, marked, flags), target)| {
            let source = build("tank/x", &order, &labels, &chosen, &marked, flags);
            let target = target.map(|(order, labels, chosen, (partial, fits), flags)| {
                let mut made = build("backup/x", &order, &labels, &chosen, &[false; 7], flags);
                made.properties.partial = partial;
                if fits && let Some(partial) = &mut made.properties.partial {
                    partial.from_guid = made.snapshots.last().map(|head| head.guid);
                    partial.to_name = format!("tank/x@{}", partial.to_guid);
                }
                made
            });
            (source, target)
        },
    )
}

#[test]
fn the_oracle_is_asked_about_every_relation() {
    let asked: BTreeSet<Kind> = examples(&histories(), 3000)
        .iter()
        .map(|(source, target)| expected(source, target.as_ref()))
        .collect();
    assert_eq!(asked.len(), 11, "{asked:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn comparing_agrees_with_the_oracle((source, target) in histories()) {
        let comparison = compare(&source, target.as_ref());
        prop_assert_eq!(kind_of(&comparison.relation), expected(&source, target.as_ref()));
    }
}
