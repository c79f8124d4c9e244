//! Histories that have left each other.

use zfs_sync_core::group::Strategy;

use super::{Case, Decision, IN_SYNC, KEEP_BOTH};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "f01",
        covers: &["F01"],
        title: "the copy was written to since its newest snapshot",
        stage: "
            nas2# zfs set readonly=off tank/copy/f01
            nas2# write tank/copy/f01
            nas1# write tank/f01
            nas1# zfs snapshot tank/f01@two",
        verdicts: &[("tank/copy/f01", "diverged/target_modified R_TARGET_MODIFIED")],
        decisions: &[("tank/copy/f01", KEEP_BOTH)],
        ends: &[("tank/copy/f01", IN_SYNC)],
        kept: &[("tank/copy/f01@one", "tank/copy/f01.aside-")],
        ..Case::PLAIN
    },
    Case {
        name: "f01-back",
        covers: &["F01"],
        title: "the copy was written to since its newest snapshot, and that is given up",
        stage: "
            nas2# zfs set readonly=off tank/copy/f01-back
            nas2# write tank/copy/f01-back
            nas1# write tank/f01-back
            nas1# zfs snapshot tank/f01-back@two",
        verdicts: &[("tank/copy/f01-back", "diverged/target_modified R_TARGET_MODIFIED")],
        decisions: &[("tank/copy/f01-back", Decision::Apply(Strategy::RollbackTarget))],
        ends: &[("tank/copy/f01-back", "in_sync R_NO_NEW_SNAPSHOT (W_TARGET_NOT_READONLY)")],
        kept: &[("tank/copy/f01-back@one", "tank/copy/f01-back")],
        ..Case::PLAIN
    },
    Case {
        name: "f02",
        covers: &["F02"],
        title: "the copy has a newer snapshot of its own",
        stage: "
            nas2# zfs set readonly=off tank/copy/f02
            nas2# write tank/copy/f02
            nas2# zfs snapshot tank/copy/f02@mine
            nas1# write tank/f02
            nas1# zfs snapshot tank/f02@two",
        verdicts: &[("tank/copy/f02", "diverged/diverged R_DIVERGED")],
        decisions: &[("tank/copy/f02", KEEP_BOTH)],
        ends: &[("tank/copy/f02", IN_SYNC)],
        kept: &[
            ("tank/copy/f02@one", "tank/copy/f02.aside-"),
            ("tank/copy/f02@mine", "tank/copy/f02.aside-"),
        ],
        ..Case::PLAIN
    },
    Case {
        name: "f02-back",
        covers: &["F02"],
        title: "the copy has newer snapshots of its own, and they are given up",
        stage: "
            nas2# zfs set readonly=off tank/copy/f02-back
            nas2# write tank/copy/f02-back
            nas2# zfs snapshot tank/copy/f02-back@mine
            nas2# write tank/copy/f02-back
            nas2# zfs snapshot tank/copy/f02-back@mine-too
            nas1# write tank/f02-back
            nas1# zfs snapshot tank/f02-back@two",
        verdicts: &[("tank/copy/f02-back", "diverged/diverged R_DIVERGED")],
        decisions: &[("tank/copy/f02-back", Decision::Apply(Strategy::UseSourceOfTruth))],
        ends: &[("tank/copy/f02-back", "in_sync R_NO_NEW_SNAPSHOT (W_TARGET_NOT_READONLY)")],
        kept: &[("tank/copy/f02-back@one", "tank/copy/f02-back")],
        destroyed: &["nas2:tank/copy/f02-back@mine", "nas2:tank/copy/f02-back@mine-too"],
        ..Case::PLAIN
    },
    Case {
        name: "f02-held",
        covers: &["F02"],
        title: "the copy has a newer snapshot of its own, and somebody holds it",
        stage: "
            nas2# zfs set readonly=off tank/copy/f02-held
            nas2# write tank/copy/f02-held
            nas2# zfs snapshot tank/copy/f02-held@mine
            nas2# zfs hold mine tank/copy/f02-held@mine",
        verdicts: &[("tank/copy/f02-held", "diverged/diverged R_DIVERGED")],
        decisions: &[(
            "tank/copy/f02-held",
            Decision::Refused(Strategy::RollbackTarget, "E_STRATEGY_REFUSED"),
        )],
        ends: &[("tank/copy/f02-held", "diverged/diverged R_DIVERGED")],
        kept: &[("tank/copy/f02-held@mine", "tank/copy/f02-held")],
        ..Case::PLAIN
    },
    Case {
        name: "f03",
        covers: &["F03"],
        title: "the source was rolled back: what it gave up is safe on the copy only",
        before: Some(
            "
            nas1# zfs create tank/f03
            nas1# write tank/f03
            nas1# zfs snapshot tank/f03@one
            nas1# write tank/f03
            nas1# zfs snapshot tank/f03@two",
        ),
        stage: "
            nas1# zfs rollback -r tank/f03@one
            nas1# write tank/f03
            nas1# zfs snapshot tank/f03@three",
        verdicts: &[("tank/copy/f03", "diverged/source_rolled_back R_SOURCE_ROLLED_BACK")],
        decisions: &[("tank/copy/f03", KEEP_BOTH)],
        ends: &[("tank/copy/f03", IN_SYNC)],
        kept: &[("tank/copy/f03@one", "tank/copy/f03.aside-"), ("tank/copy/f03@two", "tank/copy/f03.aside-")],
        origins: &[("tank/copy/f03", "tank/copy/f03.aside-*@one")],
        ..Case::PLAIN
    },
    Case {
        name: "f03-back",
        covers: &["F03"],
        title: "the source was rolled back, and the copy goes back as well",
        before: Some(
            "
            nas1# zfs create tank/f03-back
            nas1# write tank/f03-back
            nas1# zfs snapshot tank/f03-back@one
            nas1# write tank/f03-back
            nas1# zfs snapshot tank/f03-back@two",
        ),
        stage: "
            nas1# zfs rollback -r tank/f03-back@one
            nas1# write tank/f03-back
            nas1# zfs snapshot tank/f03-back@three",
        verdicts: &[("tank/copy/f03-back", "diverged/source_rolled_back R_SOURCE_ROLLED_BACK")],
        decisions: &[("tank/copy/f03-back", Decision::Apply(Strategy::UseSourceOfTruth))],
        ends: &[("tank/copy/f03-back", IN_SYNC)],
        kept: &[("tank/copy/f03-back@one", "tank/copy/f03-back")],
        destroyed: &["nas2:tank/copy/f03-back@two"],
        ..Case::PLAIN
    },
    Case {
        name: "f04",
        covers: &["F04"],
        title: "both sides have history and nothing in common",
        before: Some(
            "
            nas1# zfs create tank/f04
            nas1# write tank/f04
            nas1# zfs snapshot tank/f04@one
            nas2# zfs create tank/copy/f04
            nas2# write tank/copy/f04
            nas2# zfs snapshot tank/copy/f04@one
            nas2# zfs set readonly=on tank/copy/f04",
        ),
        seeded: false,
        verdicts: &[("tank/copy/f04", "diverged/no_common_base R_NO_COMMON_BASE")],
        decisions: &[("tank/copy/f04", KEEP_BOTH)],
        ends: &[("tank/copy/f04", IN_SYNC)],
        kept: &[("tank/copy/f04@one", "tank/copy/f04.aside-")],
        ..Case::PLAIN
    },
    Case {
        name: "f05",
        covers: &["F05"],
        title: "the common snapshot is gone on the source, its bookmark remains",
        stage: "
            nas1# zfs destroy tank/f05@one
            nas1# write tank/f05
            nas1# zfs snapshot tank/f05@two
            nas1# write tank/f05
            nas1# zfs snapshot tank/f05@three",
        verdicts: &[("tank/copy/f05", "behind R_MANUAL_MODE: send #..@two (W_BASE_IS_BOOKMARK)")],
        ends: &[("tank/copy/f05", IN_SYNC)],
        kept: &[("tank/copy/f05@one", "tank/copy/f05")],
        ..Case::PLAIN
    },
    Case {
        name: "f06",
        covers: &["F06"],
        title: "the newest common snapshot is destroyed on the copy: what it brought now counts as written",
        before: Some(
            "
            nas1# zfs create tank/f06
            nas1# write tank/f06
            nas1# zfs snapshot tank/f06@one
            nas1# write tank/f06
            nas1# zfs snapshot tank/f06@two",
        ),
        stage: "
            nas2# ! zfs destroy tank/copy/f06@two
            nas2# release tank/copy/f06@two
            nas2# zfs destroy tank/copy/f06@two",
        verdicts: &[("tank/copy/f06", "diverged/target_modified R_TARGET_MODIFIED")],
        operator: "nas2# zfs rollback -r tank/copy/f06@one",
        ends: &[("tank/copy/f06", IN_SYNC)],
        kept: &[("tank/copy/f06@one", "tank/copy/f06")],
        ..Case::PLAIN
    },
    Case {
        name: "f18",
        covers: &["F18"],
        title: "a snapshot in the middle is missing on the copy: the gap stays, the history goes on",
        before: Some(
            "
            nas1# zfs create tank/f18
            nas1# write tank/f18
            nas1# zfs snapshot tank/f18@one
            nas1# write tank/f18
            nas1# zfs snapshot tank/f18@two
            nas1# write tank/f18
            nas1# zfs snapshot tank/f18@three",
        ),
        stage: "
            nas2# zfs destroy tank/copy/f18@two
            nas1# write tank/f18
            nas1# zfs snapshot tank/f18@four",
        verdicts: &[("tank/copy/f18", "behind R_MANUAL_MODE: send @three..@four (W_HISTORY_GAP)")],
        ends: &[("tank/copy/f18", "in_sync R_NO_NEW_SNAPSHOT (W_HISTORY_GAP)")],
        gaps: &["tank/f18@two"],
        ..Case::PLAIN
    },
];
