//! Datasets that were destroyed, made again, restored, or changed places.

use zfs_sync_core::group::Strategy;

use super::{Case, Decision, IN_SYNC, KEEP_BOTH};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "f08",
        covers: &["F08"],
        title: "the source was destroyed and made again under its name",
        stage: "
            nas1# zfs destroy -r tank/f08
            nas1# zfs create tank/f08
            nas1# write tank/f08
            nas1# zfs snapshot tank/f08@one",
        verdicts: &[("tank/copy/f08", "diverged/recreated R_SOURCE_RECREATED")],
        decisions: &[
            ("tank/copy/f08", Decision::Refused(Strategy::RollbackTarget, "E_STRATEGY_REFUSED")),
            ("tank/copy/f08", KEEP_BOTH),
        ],
        ends: &[("tank/copy/f08", IN_SYNC)],
        kept: &[("tank/copy/f08@one", "tank/copy/f08.aside-")],
        ..Case::PLAIN
    },
    Case {
        name: "f11",
        covers: &["F11"],
        title: "the source is lost and restored from its copy: another dataset, the same snapshots",
        before: Some(
            "
            nas1# zfs create tank/f11
            nas1# write tank/f11
            nas1# zfs snapshot tank/f11@one
            nas1# write tank/f11
            nas1# zfs snapshot tank/f11@two",
        ),
        stage: "
            nas1# zfs destroy -r tank/f11
            nas2# zfs send -L -c -e tank/copy/f11@one | ssh nas1 zfs receive -u tank/f11
            nas2# zfs send -L -c -e -I @one tank/copy/f11@two | ssh nas1 zfs receive -u tank/f11
            nas1# write tank/f11
            nas1# zfs snapshot tank/f11@three",
        verdicts: &[("tank/copy/f11", "behind R_MANUAL_MODE: send @two..@three")],
        ends: &[("tank/copy/f11", IN_SYNC)],
        ..Case::PLAIN
    },
    Case {
        name: "f12",
        covers: &["F12"],
        title: "the copy takes over, and what was its source follows it from their common snapshot on",
        stage: "
            nas1# zfs set readonly=on tank/f12
            nas2# zfs set readonly=off tank/copy/f12
            nas2# write tank/copy/f12
            nas2# zfs snapshot tank/copy/f12@two",
        verdicts: &[("tank/copy/f12", "diverged/diverged R_DIVERGED")],
        decisions: &[("tank/copy/f12", Decision::Reverse)],
        ends: &[("tank/f12", IN_SYNC)],
        kept: &[("tank/copy/f12@two", "tank/copy/f12")],
        ..Case::PLAIN
    },
    Case {
        name: "f13",
        covers: &["F13"],
        title: "a file system here, a volume there",
        before: Some(
            "
            nas1# zfs create tank/f13
            nas1# write tank/f13
            nas1# zfs snapshot tank/f13@one
            nas2# zfs create -V 16M tank/copy/f13
            nas2# zfs snapshot tank/copy/f13@volume",
        ),
        seeded: false,
        verdicts: &[("tank/copy/f13", "diverged/kind_mismatch R_KIND_MISMATCH")],
        decisions: &[("tank/copy/f13", KEEP_BOTH)],
        ends: &[("tank/copy/f13", IN_SYNC)],
        kept: &[("tank/copy/f13@volume", "tank/copy/f13.aside-")],
        ..Case::PLAIN
    },
    Case {
        name: "f14",
        covers: &["F14"],
        title: "sources were destroyed: their copies stay, until a person takes one out of the way",
        before: Some(
            "
            nas1# zfs create tank/f14
            nas1# zfs snapshot tank/f14@one
            nas1# zfs create tank/f14/gone
            nas1# write tank/f14/gone
            nas1# zfs snapshot tank/f14/gone@one
            nas1# zfs create tank/f14/given-up
            nas1# write tank/f14/given-up
            nas1# zfs snapshot tank/f14/given-up@one",
        ),
        stage: "
            nas1# zfs destroy -r tank/f14/gone
            nas1# zfs destroy -r tank/f14/given-up",
        verdicts: &[
            ("tank/copy/f14", IN_SYNC),
            ("tank/copy/f14/gone", "diverged/orphaned R_ORPHANED"),
            ("tank/copy/f14/given-up", "diverged/orphaned R_ORPHANED"),
        ],
        operator: "nas2# zfs rename tank/copy/f14/given-up tank/f14-archive",
        ends: &[("tank/copy/f14", IN_SYNC), ("tank/copy/f14/gone", "diverged/orphaned R_ORPHANED")],
        kept: &[
            ("tank/copy/f14/gone@one", "tank/copy/f14/gone"),
            ("tank/copy/f14/given-up@one", "tank/f14-archive"),
        ],
        ..Case::PLAIN
    },
];
