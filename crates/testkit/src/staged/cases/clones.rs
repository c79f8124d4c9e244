//! Clones: histories that begin in another dataset.

use zfs_sync_core::group::Strategy;

use super::{Case, Decision, IN_SYNC, KEEP_BOTH};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "f15",
        covers: &["F15"],
        title: "clones on the source: one whose origin is copied too, one whose origin is not",
        before: Some(
            "
            nas1# zfs create tank/f15
            nas1# zfs snapshot tank/f15@one
            nas1# zfs create tank/f15-elsewhere
            nas1# write tank/f15-elsewhere
            nas1# zfs snapshot tank/f15-elsewhere@one",
        ),
        stage: "
            nas1# zfs create tank/f15/base
            nas1# write tank/f15/base
            nas1# zfs snapshot tank/f15/base@one
            nas1# zfs clone tank/f15/base@one tank/f15/clone
            nas1# write tank/f15/clone
            nas1# zfs snapshot tank/f15/clone@two
            nas1# zfs clone tank/f15-elsewhere@one tank/f15/full
            nas1# write tank/f15/full
            nas1# zfs snapshot tank/f15/full@two",
        verdicts: &[
            ("tank/copy/f15", IN_SYNC),
            ("tank/copy/f15/base", "never_seeded R_MANUAL_MODE: send @one"),
            ("tank/copy/f15/clone", "never_seeded R_ORIGIN_FIRST"),
            ("tank/copy/f15/full", "never_seeded R_MANUAL_MODE: send @two (W_ORIGIN_NOT_REPLICATED)"),
        ],
        ends: &[
            ("tank/copy/f15", IN_SYNC),
            ("tank/copy/f15/base", IN_SYNC),
            ("tank/copy/f15/clone", IN_SYNC),
            ("tank/copy/f15/full", IN_SYNC),
        ],
        origins: &[("tank/copy/f15/clone", "tank/copy/f15/base@one"), ("tank/copy/f15/full", "-")],
        ..Case::PLAIN
    },
    Case {
        name: "f16",
        covers: &["F16"],
        title: "a clone on the target depends on the snapshot that would have to be destroyed",
        stage: "
            nas2# zfs set readonly=off tank/copy/f16
            nas2# write tank/copy/f16
            nas2# zfs snapshot tank/copy/f16@mine
            nas2# zfs clone tank/copy/f16@mine tank/f16-clone
            nas1# write tank/f16
            nas1# zfs snapshot tank/f16@two",
        verdicts: &[("tank/copy/f16", "diverged/diverged R_DIVERGED")],
        decisions: &[
            ("tank/copy/f16", Decision::Refused(Strategy::RollbackTarget, "E_STRATEGY_REFUSED")),
            ("tank/copy/f16", KEEP_BOTH),
        ],
        ends: &[("tank/copy/f16", IN_SYNC)],
        kept: &[
            ("tank/copy/f16@one", "tank/copy/f16.aside-"),
            ("tank/copy/f16@mine", "tank/copy/f16.aside-"),
        ],
        origins: &[
            ("tank/f16-clone", "tank/copy/f16.aside-*@mine"),
            ("tank/copy/f16", "tank/copy/f16.aside-*@one"),
        ],
        ..Case::PLAIN
    },
    Case {
        name: "f17",
        covers: &["F17"],
        title: "a promoted clone has taken snapshots over from its origin",
        before: Some(
            "
            nas1# zfs create tank/f17
            nas1# zfs snapshot tank/f17@one
            nas1# zfs create tank/f17/base
            nas1# write tank/f17/base
            nas1# zfs snapshot tank/f17/base@one
            nas1# zfs clone tank/f17/base@one tank/f17/clone
            nas1# write tank/f17/clone
            nas1# zfs snapshot tank/f17/clone@two",
        ),
        stage: "
            nas1# write tank/f17/base
            nas1# zfs snapshot tank/f17/base@three
            nas1# zfs promote tank/f17/clone
            nas1# write tank/f17/clone
            nas1# zfs snapshot tank/f17/clone@four",
        verdicts: &[
            ("tank/copy/f17", IN_SYNC),
            ("tank/copy/f17/base", "diverged/no_common_base R_NO_COMMON_BASE"),
            ("tank/copy/f17/clone", "behind R_MANUAL_MODE: send @two..@four"),
        ],
        decisions: &[("tank/copy/f17/base", KEEP_BOTH)],
        ends: &[
            ("tank/copy/f17", IN_SYNC),
            ("tank/copy/f17/base", IN_SYNC),
            ("tank/copy/f17/clone", IN_SYNC),
        ],
        kept: &[
            ("tank/copy/f17/base@one", "tank/copy/f17/base.aside-"),
            ("tank/copy/f17/clone@two", "tank/copy/f17/clone"),
        ],
        origins: &[("tank/copy/f17/base", "tank/copy/f17/base.aside-*@one")],
        ..Case::PLAIN
    },
];
