//! Pruning that is faster than replication.

use super::{Case, IN_SYNC, KEEP_BOTH};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "f40",
        covers: &["F40"],
        title: "a pruner comes by in the middle of a transfer: what the stream needs is held",
        stage: "
            nas1# write tank/f40
            nas1# write tank/f40
            nas1# zfs snapshot tank/f40@two
            nas1# write tank/f40
            nas1# write tank/f40
            nas1# zfs snapshot tank/f40@three",
        verdicts: &[("tank/copy/f40", "behind R_MANUAL_MODE: send @one..@three")],
        during: "
            nas1# ! zfs destroy tank/f40@one
            nas1# ! zfs destroy tank/f40@two
            nas1# ! zfs destroy tank/f40@three",
        ends: &[("tank/copy/f40", IN_SYNC)],
        ..Case::PLAIN
    },
    Case {
        name: "f40-next",
        covers: &["F40"],
        title: "the snapshot after the one under way is pruned",
        stage: "
            nas1# write tank/f40-next
            nas1# zfs snapshot tank/f40-next@two
            nas1# write tank/f40-next
            nas1# zfs snapshot tank/f40-next@three
            nas1# ! zfs send -L -c -e -i @one tank/f40-next@two | head -c 400000 | ssh nas2 zfs receive -s -u tank/copy/f40-next
            nas1# zfs destroy tank/f40-next@three
            nas1# write tank/f40-next
            nas1# zfs snapshot tank/f40-next@four",
        verdicts: &[("tank/copy/f40-next", "behind R_MANUAL_MODE: resume @one..@two")],
        ends: &[("tank/copy/f40-next", IN_SYNC)],
        ..Case::PLAIN
    },
    Case {
        name: "f41",
        covers: &["F41"],
        title: "a pruner takes the last common snapshot: the copy's is held, the source's lives on as a bookmark",
        stage: "
            nas2# ! zfs destroy tank/copy/f41@one
            nas1# zfs destroy tank/f41@one
            nas1# write tank/f41
            nas1# zfs snapshot tank/f41@two",
        verdicts: &[("tank/copy/f41", "behind R_MANUAL_MODE: send #..@two (W_BASE_IS_BOOKMARK)")],
        ends: &[("tank/copy/f41", IN_SYNC)],
        kept: &[("tank/copy/f41@one", "tank/copy/f41")],
        ..Case::PLAIN
    },
    Case {
        name: "f42",
        covers: &["F42"],
        title: "retention on the source went round while nothing was received",
        stage: "
            nas1# write tank/f42
            nas1# zfs snapshot tank/f42@two
            nas1# zfs destroy tank/f42@one
            nas1# write tank/f42
            nas1# zfs snapshot tank/f42@three
            nas1# zfs destroy tank/f42@two
            nas1# write tank/f42
            nas1# zfs snapshot tank/f42@four",
        verdicts: &[("tank/copy/f42", "behind R_MANUAL_MODE: send #..@three (W_BASE_IS_BOOKMARK)")],
        ends: &[("tank/copy/f42", IN_SYNC)],
        kept: &[("tank/copy/f42@one", "tank/copy/f42")],
        ..Case::PLAIN
    },
    Case {
        name: "f42-broken",
        covers: &["F42"],
        title: "retention on the source went round while nothing was received, and the bookmarks were destroyed too",
        stage: "
            nas1# write tank/f42-broken
            nas1# zfs snapshot tank/f42-broken@two
            nas1# zfs destroy tank/f42-broken@one
            nas1# destroy_bookmarks tank/f42-broken",
        verdicts: &[("tank/copy/f42-broken", "diverged/no_common_base R_NO_COMMON_BASE")],
        decisions: &[("tank/copy/f42-broken", KEEP_BOTH)],
        ends: &[("tank/copy/f42-broken", IN_SYNC)],
        kept: &[("tank/copy/f42-broken@one", "tank/copy/f42-broken.aside-")],
        ..Case::PLAIN
    },
];
