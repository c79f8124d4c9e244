//! Receives that were interrupted, and what became of their snapshots meanwhile.

use super::{Case, IN_SYNC};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "f21",
        covers: &["F21"],
        title: "the snapshot of an interrupted receive is destroyed on the source",
        stage: "
            nas1# write tank/f21
            nas1# zfs snapshot tank/f21@two
            nas1# ! zfs send -L -c -e -i @one tank/f21@two | head -c 400000 | ssh nas2 zfs receive -s -u tank/copy/f21
            nas1# zfs destroy tank/f21@two
            nas1# write tank/f21
            nas1# zfs snapshot tank/f21@three",
        verdicts: &[(
            "tank/copy/f21",
            "behind R_MANUAL_MODE: discard, send @one..@three (W_PARTIAL_DISCARDED)",
        )],
        ends: &[("tank/copy/f21", IN_SYNC)],
        ..Case::PLAIN
    },
    Case {
        name: "f22",
        covers: &["F22"],
        title: "the snapshot of an interrupted receive is another one by now, under the same name",
        stage: "
            nas1# write tank/f22
            nas1# zfs snapshot tank/f22@two
            nas1# ! zfs send -L -c -e -i @one tank/f22@two | head -c 400000 | ssh nas2 zfs receive -s -u tank/copy/f22
            nas1# zfs destroy tank/f22@two
            nas1# write tank/f22
            nas1# zfs snapshot tank/f22@two",
        verdicts: &[(
            "tank/copy/f22",
            "behind R_MANUAL_MODE: discard, send @one..@two (W_PARTIAL_DISCARDED)",
        )],
        ends: &[("tank/copy/f22", IN_SYNC)],
        ..Case::PLAIN
    },
    Case {
        name: "f23",
        covers: &["F23"],
        title: "the base of an interrupted receive is destroyed on the source, its bookmark remains",
        stage: "
            nas1# write tank/f23
            nas1# zfs snapshot tank/f23@two
            nas1# ! zfs send -L -c -e -i @one tank/f23@two | head -c 400000 | ssh nas2 zfs receive -s -u tank/copy/f23
            nas1# zfs destroy tank/f23@one",
        verdicts: &[("tank/copy/f23", "behind R_MANUAL_MODE: resume #..@two (W_BASE_IS_BOOKMARK)")],
        ends: &[("tank/copy/f23", IN_SYNC)],
        kept: &[("tank/copy/f23@one", "tank/copy/f23")],
        ..Case::PLAIN
    },
    Case {
        name: "f24",
        covers: &["F24"],
        title: "an interrupted receive of another dataset waits where the copy should be",
        before: Some(
            "
            nas1# zfs create tank/f24
            nas1# write tank/f24
            nas1# zfs snapshot tank/f24@one
            nas1# zfs create tank/f24-other
            nas1# write tank/f24-other
            nas1# zfs snapshot tank/f24-other@one
            nas1# ! zfs send -L -c -e tank/f24-other@one | head -c 400000 | ssh nas2 zfs receive -s -u -o readonly=on tank/copy/f24",
        ),
        seeded: false,
        verdicts: &[(
            "tank/copy/f24",
            "never_seeded R_MANUAL_MODE: discard, send @one (W_PARTIAL_DISCARDED)",
        )],
        ends: &[("tank/copy/f24", IN_SYNC)],
        ..Case::PLAIN
    },
    Case {
        name: "f24-twin",
        covers: &["F20", "F24"],
        title: "the token's snapshot is in the source as well, by its GUID, but the token names another dataset",
        before: Some(
            "
            nas1# zfs create tank/f24-first
            nas1# write tank/f24-first
            nas1# zfs snapshot tank/f24-first@one
            nas1# zfs send -L -c -e tank/f24-first@one | ssh nas2 zfs receive -s -u -o readonly=on tank/f24-between
            nas2# zfs send -L -c -e tank/f24-between@one | ssh nas1 zfs receive -u tank/f24-twin
            nas2# zfs destroy -r tank/f24-between
            nas1# ! zfs send -L -c -e tank/f24-first@one | head -c 400000 | ssh nas2 zfs receive -s -u -o readonly=on tank/copy/f24-twin",
        ),
        seeded: false,
        verdicts: &[(
            "tank/copy/f24-twin",
            "never_seeded R_MANUAL_MODE: discard, send @one (W_PARTIAL_DISCARDED)",
        )],
        ends: &[("tank/copy/f24-twin", IN_SYNC)],
        ..Case::PLAIN
    },
    Case {
        name: "f20-renamed",
        covers: &["F09", "F20"],
        title: "the source is renamed after its stream was cut off: the token names a dataset that is not there any more",
        before: Some(
            "
            nas1# zfs create tank/f20-before
            nas1# write tank/f20-before
            nas1# zfs snapshot tank/f20-before@one
            nas1# ! zfs send -L -c -e tank/f20-before@one | head -c 400000 | ssh nas2 zfs receive -s -u -o readonly=on tank/copy/f20-renamed
            nas1# zfs rename tank/f20-before tank/f20-renamed",
        ),
        seeded: false,
        verdicts: &[(
            "tank/copy/f20-renamed",
            "never_seeded R_MANUAL_MODE: discard, send @one (W_PARTIAL_DISCARDED)",
        )],
        ends: &[("tank/copy/f20-renamed", IN_SYNC)],
        ..Case::PLAIN
    },
    Case {
        name: "f24-raw",
        covers: &["F24"],
        title: "somebody began to send an encrypted dataset in the clear: that is not continued",
        before: Some(
            "
            nas1# create_encrypted tank/f24-raw
            nas1# write tank/f24-raw
            nas1# zfs snapshot tank/f24-raw@one
            nas1# write tank/f24-raw
            nas1# zfs snapshot tank/f24-raw@two
            nas1# ! zfs send -L -c -e tank/f24-raw@one | head -c 400000 | ssh nas2 zfs receive -s -u -o readonly=on tank/copy/f24-raw",
        ),
        seeded: false,
        verdicts: &[(
            "tank/copy/f24-raw",
            "never_seeded R_MANUAL_MODE: discard, send raw @one (W_PARTIAL_DISCARDED)",
        )],
        ends: &[("tank/copy/f24-raw", IN_SYNC)],
        ..Case::PLAIN
    },
    Case {
        name: "f28",
        covers: &["F28"],
        title: "a first receive was interrupted: a dataset without a snapshot, which is no history",
        before: Some(
            "
            nas1# zfs create tank/f28
            nas1# write tank/f28
            nas1# zfs snapshot tank/f28@one
            nas1# write tank/f28
            nas1# zfs snapshot tank/f28@two
            nas1# ! zfs send -L -c -e tank/f28@one | head -c 400000 | ssh nas2 zfs receive -s -u -o readonly=on tank/copy/f28",
        ),
        seeded: false,
        verdicts: &[("tank/copy/f28", "never_seeded R_MANUAL_MODE: resume @one")],
        ends: &[("tank/copy/f28", IN_SYNC)],
        ..Case::PLAIN
    },
];
