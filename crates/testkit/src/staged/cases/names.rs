//! Names that change or lie: only GUIDs tell.

use super::{Case, IN_SYNC};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "f07",
        covers: &["F07"],
        title: "the same snapshot name with another GUID",
        before: Some(
            "
            nas1# zfs create tank/f07
            nas1# write tank/f07
            nas1# zfs snapshot tank/f07@one
            nas1# write tank/f07
            nas1# zfs snapshot tank/f07@same",
        ),
        stage: "
            nas1# zfs destroy tank/f07@same
            nas1# write tank/f07
            nas1# zfs snapshot tank/f07@same",
        verdicts: &[(
            "tank/copy/f07",
            "diverged/same_name_other_guid R_SNAPSHOT_NAME_CLASH (W_BASE_IS_BOOKMARK)",
        )],
        operator: "nas2# zfs rename tank/copy/f07@same tank/copy/f07@same-before",
        ends: &[("tank/copy/f07", IN_SYNC)],
        kept: &[("tank/copy/f07@same", "tank/copy/f07")],
        ..Case::PLAIN
    },
    Case {
        name: "f09",
        covers: &["F09"],
        title: "the source was renamed, and a person renames the copy",
        before: Some(
            "
            nas1# zfs create tank/f09
            nas1# zfs snapshot tank/f09@one
            nas1# zfs create tank/f09/old
            nas1# write tank/f09/old
            nas1# zfs snapshot tank/f09/old@one",
        ),
        stage: "nas1# zfs rename tank/f09/old tank/f09/new",
        verdicts: &[
            ("tank/copy/f09", IN_SYNC),
            ("tank/copy/f09/new", "behind/renamed R_SOURCE_RENAMED"),
            ("tank/copy/f09/old", "behind R_SOURCE_RENAMED"),
        ],
        operator: "nas2# zfs rename tank/copy/f09/old tank/copy/f09/new",
        ends: &[("tank/copy/f09", IN_SYNC), ("tank/copy/f09/new", IN_SYNC)],
        kept: &[("tank/copy/f09/old@one", "tank/copy/f09/new")],
        ..Case::PLAIN
    },
    Case {
        name: "f09-follow",
        covers: &["F09"],
        title: "the source was renamed, and the group lets its copy follow",
        before: Some(
            "
            nas1# zfs create tank/f09-follow
            nas1# zfs snapshot tank/f09-follow@one
            nas1# zfs create tank/f09-follow/old
            nas1# write tank/f09-follow/old
            nas1# zfs snapshot tank/f09-follow/old@one",
        ),
        follow_renames: true,
        stage: "
            nas1# zfs rename tank/f09-follow/old tank/f09-follow/new
            nas1# write tank/f09-follow/new
            nas1# zfs snapshot tank/f09-follow/new@two",
        verdicts: &[
            ("tank/copy/f09-follow", IN_SYNC),
            ("tank/copy/f09-follow/new", "behind R_MANUAL_MODE: rename tank/copy/f09-follow/old"),
            ("tank/copy/f09-follow/old", "behind R_SOURCE_RENAMED"),
        ],
        ends: &[("tank/copy/f09-follow", IN_SYNC), ("tank/copy/f09-follow/new", IN_SYNC)],
        kept: &[("tank/copy/f09-follow/old@one", "tank/copy/f09-follow/new")],
        ..Case::PLAIN
    },
    Case {
        name: "f10-source",
        covers: &["F10"],
        title: "a snapshot is renamed on the source",
        stage: "
            nas1# zfs rename tank/f10-source@one tank/f10-source@first
            nas1# write tank/f10-source
            nas1# zfs snapshot tank/f10-source@two",
        verdicts: &[("tank/copy/f10-source", "behind R_MANUAL_MODE: send @first..@two")],
        ends: &[("tank/copy/f10-source", IN_SYNC)],
        kept: &[("tank/copy/f10-source@one", "tank/copy/f10-source")],
        ..Case::PLAIN
    },
    Case {
        name: "f10-target",
        covers: &["F10"],
        title: "a snapshot is renamed on the copy",
        stage: "
            nas2# zfs rename tank/copy/f10-target@one tank/copy/f10-target@first
            nas1# write tank/f10-target
            nas1# zfs snapshot tank/f10-target@two",
        verdicts: &[("tank/copy/f10-target", "behind R_MANUAL_MODE: send @one..@two")],
        ends: &[("tank/copy/f10-target", IN_SYNC)],
        kept: &[("tank/copy/f10-target@first", "tank/copy/f10-target")],
        ..Case::PLAIN
    },
];
