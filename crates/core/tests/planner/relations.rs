//! `compare`, relation by relation.

use rstest::rstest;
use zfs_sync_core::{
    guid::Guid,
    name::Label,
    plan::{Base, Comparison, Relation, compare},
};

use crate::{fleet::OF_ITS_SOURCE, parse::parse_dataset};

fn base_text(base: &Base) -> String {
    match base {
        Base::Snapshot(point) => format!("@{}", point.label),
        Base::Bookmark(point) => format!("#{}", point.label),
        Base::Origin { dataset, point } => format!("{dataset}@{}", point.label),
    }
}

fn describe(comparison: &Comparison) -> String {
    let Comparison {
        relation,
        newest_common,
        common_is_bookmark,
        snapshot_lag,
        only_on_target,
        dead_partial,
        gaps,
    } = comparison;
    let relation = match relation {
        Relation::SourceEmpty => "source empty".to_owned(),
        Relation::NeverSeeded => "never seeded".to_owned(),
        Relation::UpToDate => "up to date".to_owned(),
        Relation::Behind { base } => format!("behind {}", base_text(base)),
        Relation::Resumable { base: None, to } => format!("resumable to @{}", to.label),
        Relation::Resumable { base: Some(base), to } => {
            format!("resumable {} to @{}", base_text(base), to.label)
        }
        Relation::Diverged { last_common } => format!("diverged after @{}", last_common.label),
        Relation::TargetModified { last_common, written } => {
            format!("modified by {written} after @{}", last_common.label)
        }
        Relation::NameClash { label } => format!("clash of @{label}"),
        Relation::NoCommonBase => "no common base".to_owned(),
        Relation::TargetWithoutHistory => "target without history".to_owned(),
        Relation::KindMismatch => "kind mismatch".to_owned(),
    };
    let mut parts = vec![relation];
    if let Some(point) = newest_common {
        let mark = if *common_is_bookmark { '#' } else { '@' };
        parts.push(format!("common {mark}{}", point.label));
    }
    parts.push(format!("lag {snapshot_lag}"));
    if !only_on_target.is_empty() {
        let labels: Vec<&str> = only_on_target.iter().map(Label::as_str).collect();
        parts.push(format!("only there {}", labels.join(" ")));
    }
    if *gaps > 0 {
        parts.push(format!("gaps {gaps}"));
    }
    if let Some(guid) = dead_partial {
        parts.push(format!("dead {guid}"));
    }
    parts.join(", ")
}

#[rstest]
// Nothing on one side.
#[case("", "-", "source empty, lag 0")]
#[case("", "", "source empty, lag 0")]
#[case("", "x:9:1", "source empty, lag 0, only there x")]
#[case("", "partial=5", "source empty, lag 0, dead 5")]
#[case("a:1:1 b:2:2", "-", "never seeded, lag 2")]
#[case("a:1:1", "", "target without history, lag 1")]
#[case("a:1:1", "written=7", "target without history, lag 1")]
// A first receive that was cut.
#[case("a:1:1 b:2:2", "partial=1", "resumable to @a, lag 2")]
#[case("a:1:1 b:2:2", "partial=1 written=9", "resumable to @a, lag 2")]
#[case("a:1:1 b:2:2", "partial=3", "never seeded, lag 2, dead 3")]
#[case("a:1:1 b:2:2", "partial=2<1", "never seeded, lag 2, dead 2")]
// The plain cases.
#[case("a:1:1 b:2:2", "a:1:7 b:2:9", "up to date, common @b, lag 0")]
#[case("a:1:1 b:2:2 c:3:3", "a:1:7", "behind @a, common @a, lag 2")]
#[case("b:2:2 c:3:3", "a:1:7 b:2:9", "behind @b, common @b, lag 1, only there a")]
// Names do not matter, GUIDs do.
#[case("renamed:1:1 b:2:2", "a:1:7", "behind @renamed, common @renamed, lag 1")]
#[case("a:2:2", "a:1:7", "no common base, lag 1, only there a")]
#[case("a:1:1 b:3:3", "a:1:7 b:2:8", "diverged after @a, common @a, lag 1, only there b")]
#[case("b:2:2 a:3:3", "a:1:7 b:2:8", "clash of @a, common @b, lag 1, only there a")]
#[case("swapped:1:1 a:2:2", "a:1:7", "clash of @a, common @swapped, lag 1")]
#[case("x:1:1 y:2:2", "y:1:7 x:2:8", "up to date, common @y, lag 0")]
// Order is createtxg, not the order of creation in names or GUIDs.
#[case("z:9:1 a:1:2", "z:9:5", "behind @z, common @z, lag 1")]
// The target has left the source.
#[case("a:1:1 b:2:2", "a:1:7 x:8:8 y:9:9", "diverged after @a, common @a, lag 1, only there y x")]
#[case("a:1:1", "a:1:7 b:2:8", "diverged after @a, common @a, lag 0, only there b")]
#[case("a:1:1 b:2:2", "x:8:8", "no common base, lag 2, only there x")]
#[case("a:1:1 b:2:2", "a:1:7 written=5", "modified by 5 after @a, common @a, lag 1")]
#[case("a:1:1", "a:1:7 written=5", "modified by 5 after @a, common @a, lag 0")]
#[case("a:1:1 b:2:2", "a:1:7 x:8:8 written=5", "diverged after @a, common @a, lag 1, only there x")]
// The base is a bookmark.
#[case("#m:1:1 b:2:2 c:3:3", "a:1:7", "behind #m, common #m, lag 2")]
#[case("#m:1:1", "a:1:7", "up to date, common #m, lag 0")]
#[case("z:5:1 #m:1:2", "a:1:7", "up to date, common #m, lag 0")]
#[case("#m:1:1 a:1:1 b:2:2", "a:1:7", "behind @a, common @a, lag 1")]
#[case("#m:1:1 b:2:2", "a:1:7 x:9:9", "diverged after @m, common #m, lag 1, only there x")]
#[case("#m:1:1", "a:1:7 x:9:9", "diverged after @m, common #m, lag 0, only there x")]
#[case("#m:1:1 a:2:2", "a:1:7", "clash of @a, common #m, lag 1")]
#[case("#m:1:1 b:2:2", "a:1:7 written=1", "modified by 1 after @m, common #m, lag 1")]
// An incremental receive that was cut.
#[case("a:1:1 b:2:2 c:3:3", "a:1:7 partial=2<1", "resumable @a to @b, common @a, lag 2")]
#[case("#m:1:1 b:2:2 c:3:3", "a:1:7 partial=2<1", "resumable #m to @b, common #m, lag 2")]
#[case("a:1:1 b:2:2", "a:1:7 partial=9<1", "behind @a, common @a, lag 1, dead 9")]
#[case("a:1:1 b:2:2 c:3:3", "a:1:7 b:2:8 partial=3<1", "behind @b, common @b, lag 1, dead 3")]
#[case("a:1:1 b:2:2", "a:1:7 b:2:8 partial=2<1", "up to date, common @b, lag 0, dead 2")]
#[case("a:1:1 b:2:2", "a:1:7 partial=2", "behind @a, common @a, lag 1, dead 2")]
#[case("a:1:1 b:2:2", "a:1:7 x:9:9 partial=2<1", "diverged after @a, common @a, lag 1, only there x, dead 2")]
#[case("a:1:1 b:2:2", "partial=1 of=tank/y", "never seeded, lag 2, dead 1")]
#[case("a:1:1 b:2:2", "a:1:7 partial=2<1 of=tank/x/y", "behind @a, common @a, lag 1, dead 2")]
#[case("a:1:1 b:2:2", "a:1:7 partial=2<1 written=5", "modified by 5 after @a, common @a, lag 1")]
#[case("a:1:1 b:2:2", "a:1:7 partial=9<1 written=5", "modified by 5 after @a, common @a, lag 1, dead 9")]
#[case("b:2:2 a:3:3", "a:1:7 b:2:8 partial=3<2", "clash of @a, common @b, lag 1, only there a")]
// Only a raw stream of an encrypted source may be continued.
#[case("a:1:1 encrypted", "partial=1", "never seeded, lag 1, dead 1")]
#[case("a:1:1 encrypted", "partial=1 raw-partial", "resumable to @a, lag 1")]
// Kinds come first.
#[case("a:1:1 b:2:2 volume", "a:1:7", "kind mismatch, common @a, lag 1")]
#[case("a:1:1", "volume", "kind mismatch, lag 1")]
#[case("", "volume partial=1", "kind mismatch, lag 0, dead 1")]
fn histories_relate(#[case] source: &str, #[case] target: &str, #[case] expected: &str) {
    let source = parse_dataset(&format!("tank/x {source}"));
    let mut target = (target != "-").then(|| parse_dataset(&format!("backup/x {target}")));
    if let Some(partial) = target.as_mut().and_then(|target| target.properties.partial.as_mut()) {
        partial.to_name = partial.to_name.replace(OF_ITS_SOURCE, "tank/x");
    }
    assert_eq!(describe(&compare(&source, target.as_ref())), expected);
}

#[test]
fn the_base_is_the_sources_own_point() {
    let source = parse_dataset("tank/x renamed:1:10 b:2:20");
    let target = parse_dataset("backup/x a:1:77");
    let Relation::Behind { base } = compare(&source, Some(&target)).relation else { panic!("behind") };
    assert_eq!(base.point().guid, Guid::new(1));
    assert_eq!(base.point().createtxg.get(), 10, "the target's createtxg means nothing on the source");
    assert_eq!(base.point().label.as_str(), "renamed");
}
