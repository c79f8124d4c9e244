//! Whole plans: a fleet on the left, what is done and said about it on the right.

use insta::assert_snapshot;

use crate::fleet::Fleet;

#[test]
fn a_first_seed_makes_what_is_missing_above_it() {
    let fleet = Fleet::parse(
        "system nas1
           tank
           tank/media a1:1:10 a2:2:20 a3:3:30
           tank/media/films f1:11:11
           tank/vm disk:21:12 volume encrypted
         system nas2
           backup
         group prod source=nas1 include=tank/media/** include=tank/vm map=tank=backup/nas1",
    );
    assert_snapshot!(fleet.render(), @r"
    tank/media to backup/nas1/media@nas2: never_seeded, lag 3
      11:59 nas1: tank/media has 3 snapshots, newest @a3
      11:58 nas2: backup/nas1/media does not exist
      > full @a1, create backup/nas1
      nas1 sends tank/media@a1 in full to nas2; the 2 snapshots after it follow.
    tank/media/films to backup/nas1/media/films@nas2: never_seeded, lag 1
      11:59 nas1: tank/media/films has 1 snapshot, newest @f1
      11:58 nas2: backup/nas1/media/films does not exist
      R_DEPENDS_ON_PARENT
      This follows when backup/nas1/media is received on nas2.
    tank/vm to backup/nas1/vm@nas2: never_seeded, lag 1
      11:59 nas1: tank/vm has 1 snapshot, newest @disk
      11:58 nas2: backup/nas1/vm does not exist
      > raw full @disk, create backup/nas1
      nas1 sends tank/vm@disk in full to nas2.
    order: backup/nas1/media@nas2, backup/nas1/vm@nas2
    ");
}

#[test]
fn the_newest_common_snapshot_is_the_base() {
    let fleet = Fleet::parse(
        "system nas1
           tank/media a1:1:10 a2:2:20 a3:3:30
         system nas2
           backup/media a1:1:7 writable
         system nas3
           backup/media a1:1:70 a2:2:80 a3:3:90
         group prod source=nas1 include=tank/** map=tank=backup",
    );
    assert_snapshot!(fleet.render(), @r"
    tank/media to backup/media@nas2: behind, lag 2
      11:59 nas1: tank/media has 3 snapshots, newest @a3
      11:58 nas2: backup/media has 1 snapshot, newest @a1
      11:58 newest common snapshot: @a1
      W_TARGET_NOT_READONLY
      > -I @a1..@a3 (2)
      nas1 sends 2 snapshots up to tank/media@a3 to nas2.
    tank/media to backup/media@nas3: in_sync, lag 0
      11:59 nas1: tank/media has 3 snapshots, newest @a3
      11:57 nas3: backup/media has 3 snapshots, newest @a3
      11:57 newest common snapshot: @a3
      R_NO_NEW_SNAPSHOT
      The next snapshot of tank/media on nas1 is sent.
    order: backup/media@nas2
    ");
}

#[test]
fn a_bookmark_stands_in_for_a_destroyed_base() {
    let fleet = Fleet::parse(
        "system nas1
           tank/media a2:2:20 a3:3:30 #mark:1:10
         system nas2
           backup/media a1:1:7
         group prod source=nas1 include=tank/** map=tank=backup",
    );
    assert_snapshot!(fleet.render(), @r"
    tank/media to backup/media@nas2: behind, lag 2
      11:59 nas1: tank/media has 2 snapshots, newest @a3
      11:58 nas2: backup/media has 1 snapshot, newest @a1
      11:58 newest common snapshot: @a1 on nas2, on nas1 only as bookmark #mark
      W_BASE_IS_BOOKMARK
      > -i #mark..@a2
      nas1 sends tank/media@a2 to nas2.
    order: backup/media@nas2
    ");
}

#[test]
fn a_renamed_snapshot_is_still_the_base() {
    let fleet = Fleet::parse(
        "system nas1
           tank/media kept:1:10 a2:2:20
         system nas2
           backup/media a1:1:7
         group prod source=nas1 include=tank/** map=tank=backup",
    );
    assert_snapshot!(fleet.render(), @r"
    tank/media to backup/media@nas2: behind, lag 1
      11:59 nas1: tank/media has 2 snapshots, newest @a2
      11:58 nas2: backup/media has 1 snapshot, newest @a1
      11:58 newest common snapshot: @kept on nas1, called @a1 on nas2
      > -I @kept..@a2 (1)
      nas1 sends tank/media@a2 to nas2.
    order: backup/media@nas2
    ");
}

#[test]
fn a_name_that_was_used_again_is_no_base() {
    let fleet = Fleet::parse(
        "system nas1
           tank/media a1:1:10 a2:9:90
           tank/photo p2:22:20 p1:23:30
         system nas2
           backup/media a1:1:7 a2:2:8
           backup/photo p1:21:7 p2:22:8
         group prod source=nas1 include=tank/media include=tank/photo map=tank=backup",
    );
    assert_snapshot!(fleet.render(), @r"
    tank/media to backup/media@nas2: diverged, lag 1
      11:59 nas1: tank/media has 2 snapshots, newest @a2
      11:58 nas2: backup/media has 2 snapshots, newest @a2
      11:58 newest common snapshot: @a1
      11:58 only on nas2: @a2
      R_DIVERGED
      Nothing, until a person decides: keep backup/media under another name and seed anew with `zfs-sync sync execute --sync-group prod --keep-both backup/media@nas2`.
    tank/photo to backup/photo@nas2: diverged, lag 1
      11:59 nas1: tank/photo has 2 snapshots, newest @p1
      11:58 nas2: backup/photo has 2 snapshots, newest @p2
      11:58 newest common snapshot: @p2
      11:58 @p1 to be sent and @p1 on nas2 are different snapshots
      R_SNAPSHOT_NAME_CLASH
      Nothing, until a person decides: rename the snapshot on nas2, or keep backup/photo under another name and seed anew with `zfs-sync sync execute --sync-group prod --keep-both backup/photo@nas2`.
    order: -
    ");
}

#[test]
fn a_diverged_target_waits_for_a_person_and_others_go_on() {
    let fleet = Fleet::parse(
        "system nas1
           tank/media a1:1:10 a2:2:20
           tank/other o1:11:10 o2:12:20
         system nas2
           backup/media a1:1:7 x1:91:8 x2:92:9
           backup/other o1:11:7
         group prod source=nas1 include=tank/** map=tank=backup",
    );
    assert_snapshot!(fleet.render(), @r"
    tank/media to backup/media@nas2: diverged, lag 1
      11:59 nas1: tank/media has 2 snapshots, newest @a2
      11:58 nas2: backup/media has 3 snapshots, newest @x2
      11:58 newest common snapshot: @a1
      11:58 only on nas2: @x2, @x1
      R_DIVERGED
      Nothing, until a person decides: keep backup/media under another name and seed anew with `zfs-sync sync execute --sync-group prod --keep-both backup/media@nas2`.
    tank/other to backup/other@nas2: behind, lag 1
      11:59 nas1: tank/other has 2 snapshots, newest @o2
      11:58 nas2: backup/other has 1 snapshot, newest @o1
      11:58 newest common snapshot: @o1
      > -I @o1..@o2 (1)
      nas1 sends tank/other@o2 to nas2.
    order: backup/other@nas2
    ");
}

#[test]
fn a_written_target_is_not_overwritten() {
    let fleet = Fleet::parse(
        "system nas1
           tank/media a1:1:10 a2:2:20
         system nas2
           backup/media a1:1:7 written=1048576
         group prod source=nas1 include=tank/** map=tank=backup",
    );
    assert_snapshot!(fleet.render(), @r"
    tank/media to backup/media@nas2: diverged, lag 1
      11:59 nas1: tank/media has 2 snapshots, newest @a2
      11:58 nas2: backup/media has 1 snapshot, newest @a1
      11:58 newest common snapshot: @a1
      11:58 1.00 MiB were written to it on nas2 since
      R_TARGET_MODIFIED
      Nothing, until a person decides: keep backup/media under another name and seed anew with `zfs-sync sync execute --sync-group prod --keep-both backup/media@nas2`.
    order: -
    ");
}

#[test]
fn nothing_in_common_is_not_seeded_over() {
    let fleet = Fleet::parse(
        "system nas1
           tank/empty
           tank/media a1:1:10
           tank/music m1:11:10
           tank/vm v1:21:10 volume
         system nas2
           backup/media x1:91:8
           backup/music
           backup/vm v1:21:10
         group prod source=nas1 include=tank/** map=tank=backup",
    );
    assert_snapshot!(fleet.render(), @r"
    tank/empty to backup/empty@nas2: never_seeded, lag 0
      11:59 nas1: tank/empty has no snapshot
      11:58 nas2: backup/empty does not exist
      R_SOURCE_NO_SNAPSHOT W_NO_SNAPSHOT
      Replication starts with the first snapshot of tank/empty on nas1.
    tank/media to backup/media@nas2: diverged, lag 1
      11:59 nas1: tank/media has 1 snapshot, newest @a1
      11:58 nas2: backup/media has 1 snapshot, newest @x1
      11:58 no snapshot is on both sides
      11:58 only on nas2: @x1
      R_NO_COMMON_BASE
      Nothing, until a person decides: keep backup/media under another name and seed anew with `zfs-sync sync execute --sync-group prod --keep-both backup/media@nas2`.
    tank/music to backup/music@nas2: diverged, lag 1
      11:59 nas1: tank/music has 1 snapshot, newest @m1
      11:58 nas2: backup/music has no snapshot
      R_TARGET_NOT_EMPTY
      Nothing, until a person decides: rename backup/music on nas2, or keep backup/music under another name and seed anew with `zfs-sync sync execute --sync-group prod --keep-both backup/music@nas2`.
    tank/vm to backup/vm@nas2: diverged, lag 0
      11:59 nas1: tank/vm has 1 snapshot, newest @v1
      11:58 nas2: backup/vm has 1 snapshot, newest @v1
      11:58 newest common snapshot: @v1
      11:58 one side is a file system, the other a volume
      R_KIND_MISMATCH
      Nothing, until a person decides: keep backup/vm under another name and seed anew with `zfs-sync sync execute --sync-group prod --keep-both backup/vm@nas2`.
    order: -
    ");
}

#[test]
fn interrupted_receives_are_continued() {
    let fleet = Fleet::parse(
        "system nas1
           tank/media a1:1:10 a2:2:20 a3:3:30
           tank/media/films f1:11:10
           tank/new n1:21:10 n2:22:20
         system nas2
           backup/media a1:1:7 partial=2<1
           backup/new partial=21
           backup/new/below
         group prod source=nas1 include=tank/** map=tank=backup",
    );
    assert_snapshot!(fleet.render(), @r"
    tank/media to backup/media@nas2: behind, lag 2
      11:59 nas1: tank/media has 3 snapshots, newest @a3
      11:58 nas2: backup/media has 1 snapshot, newest @a1
      11:58 newest common snapshot: @a1
      11:58 an interrupted receive of tank@2 waits on nas2, 20.0 MiB came; it can be continued
      > resume to @a2
      nas1 continues to send tank/media@a2 to nas2 after 20.0 MiB.
    tank/media/films to backup/media/films@nas2: never_seeded, lag 1
      11:59 nas1: tank/media/films has 1 snapshot, newest @f1
      11:58 nas2: backup/media/films does not exist
      > full @f1
      nas1 sends tank/media/films@f1 in full to nas2.
    tank/new to backup/new@nas2: never_seeded, lag 2
      11:59 nas1: tank/new has 2 snapshots, newest @n2
      11:58 nas2: backup/new has no snapshot
      11:58 an interrupted receive of tank@21 waits on nas2, 20.0 MiB came; it can be continued
      > resume to @n1
      nas1 continues to send tank/new@n1 to nas2 after 20.0 MiB.
    order: backup/media@nas2, backup/media/films@nas2, backup/new@nas2
    ");
}

#[test]
fn interrupted_receives_of_no_use_are_discarded() {
    let fleet = Fleet::parse(
        "system nas1
           tank/media a1:1:10 a3:3:30
           tank/new n2:22:20
           tank/secret s1:31:10 encrypted
         system nas2
           backup/media a1:1:7 partial=2<1
           backup/new partial=21
           backup/secret partial=31
         group prod source=nas1 include=tank/** map=tank=backup",
    );
    assert_snapshot!(fleet.render(), @r"
    tank/media to backup/media@nas2: behind, lag 1
      11:59 nas1: tank/media has 2 snapshots, newest @a3
      11:58 nas2: backup/media has 1 snapshot, newest @a1
      11:58 newest common snapshot: @a1
      11:58 an interrupted receive of tank@2 waits on nas2, 20.0 MiB came; it can not be continued
      W_PARTIAL_DISCARDED
      > -I @a1..@a3 (1), discard 2
      nas1 sends tank/media@a3 to nas2.
    tank/new to backup/new@nas2: never_seeded, lag 1
      11:59 nas1: tank/new has 1 snapshot, newest @n2
      11:58 nas2: backup/new has no snapshot
      11:58 an interrupted receive of tank@21 waits on nas2, 20.0 MiB came; it can not be continued
      W_PARTIAL_DISCARDED
      > full @n2, discard 21
      nas1 sends tank/new@n2 in full to nas2.
    tank/secret to backup/secret@nas2: never_seeded, lag 1
      11:59 nas1: tank/secret has 1 snapshot, newest @s1
      11:58 nas2: backup/secret has no snapshot
      11:58 an interrupted receive of tank@31 waits on nas2, 20.0 MiB came; it can not be continued
      W_PARTIAL_DISCARDED
      > raw full @s1, discard 31
      nas1 sends tank/secret@s1 in full to nas2.
    order: backup/media@nas2, backup/new@nas2, backup/secret@nas2
    ");
}

#[test]
fn old_and_missing_reports_are_unknown() {
    let fleet = Fleet::parse(
        "system nas1
           tank/media a1:1:10 a2:2:20
         system nas2 stale
           backup/media a1:1:7 a2:2:8
         system nas3 silent
         group prod source=nas1 include=tank/** map=tank=backup",
    );
    assert_snapshot!(fleet.render(), @r"
    tank/media to backup/media@nas2: unknown, lag 0
      11:59 nas1: tank/media has 2 snapshots, newest @a2
      11:58 nas2: backup/media has 2 snapshots, newest @a2 (last known state, too old to act on)
      11:58 newest common snapshot: @a2
      R_AGENT_OFFLINE
      Nothing, until nas2 reports again; run `zfs-sync doctor` there.
    tank/media to backup/media@nas3: unknown, lag 0
      11:59 nas1: tank/media has 2 snapshots, newest @a2
      --:-- nas3 has never reported
      R_NEVER_REPORTED
      Start the agent on nas3; planning begins with its first report.
    order: -
    ");
}

#[test]
fn a_source_that_is_away_stops_its_replicas() {
    let fleet = Fleet::parse(
        "system nas1 stale
           tank/media a1:1:10 a2:2:20
         system nas2
           backup/media a1:1:7
         group prod source=nas1 include=tank/** map=tank=backup",
    );
    assert_snapshot!(fleet.render(), @r"
    tank/media to backup/media@nas2: unknown, lag 1
      11:59 nas1: tank/media has 2 snapshots, newest @a2 (last known state, too old to act on)
      11:58 nas2: backup/media has 1 snapshot, newest @a1
      11:58 newest common snapshot: @a1
      R_AGENT_OFFLINE
      Nothing, until nas1 reports again; run `zfs-sync doctor` there.
    order: -
    ");
}

#[test]
fn two_datasets_never_go_to_one_target() {
    let fleet = Fleet::parse(
        "system nas1
           tank/a a1:1:10
           tank/b b1:2:10
         system nas2
           backup
         group prod source=nas1 include=tank/* map=tank/a=backup/b map=tank=backup",
    );
    assert_snapshot!(fleet.render(), @r"
    tank/a to backup/b@nas2: unknown, lag 1
      11:59 nas1: tank/a has 1 snapshot, newest @a1
      11:58 nas2: backup/b does not exist
      R_MAPPING_COLLISION
      Map tank/a and tank/b to different names: both would be received into backup/b.
    tank/b to backup/b@nas2: unknown, lag 1
      11:59 nas1: tank/b has 1 snapshot, newest @b1
      11:58 nas2: backup/b does not exist
      R_MAPPING_COLLISION
      Map tank/b and tank/a to different names: both would be received into backup/b.
    order: -
    ");
}

#[test]
fn a_disabled_group_still_says_how_things_stand() {
    let fleet = Fleet::parse(
        "system nas1
           tank/media a1:1:10 a2:2:20
         system nas2
           backup/media a1:1:7
         group prod source=nas1 include=tank/** map=tank=backup disabled",
    );
    assert_snapshot!(fleet.render(), @r"
    tank/media to backup/media@nas2: paused, lag 1
      11:59 nas1: tank/media has 2 snapshots, newest @a2
      11:58 nas2: backup/media has 1 snapshot, newest @a1
      11:58 newest common snapshot: @a1
      R_PAUSED
      Nothing, until the group is enabled: `zfs-sync group enable prod`.
    order: -
    ");
}

#[test]
fn a_manual_group_shows_the_step_and_waits() {
    let fleet = Fleet::parse(
        "system nas1
           tank/media a1:1:10 a2:2:20
         system nas2
           backup/media a1:1:7
         group prod source=nas1 include=tank/** map=tank=backup manual",
    );
    assert_snapshot!(fleet.render(), @r"
    tank/media to backup/media@nas2: behind, lag 1
      11:59 nas1: tank/media has 2 snapshots, newest @a2
      11:58 nas2: backup/media has 1 snapshot, newest @a1
      11:58 newest common snapshot: @a1
      R_MANUAL_MODE
      > -I @a1..@a2 (1)
      Run `zfs-sync sync execute --sync-group prod`: nas1 sends tank/media@a2 to nas2.
    order: backup/media@nas2
    ");
}

#[test]
fn a_transfer_under_way_is_left_alone() {
    let fleet = Fleet::parse(
        "system nas1
           tank/media a1:1:10 a2:2:20
           tank/other o1:11:10
         system nas2
           backup/media a1:1:7
         group prod source=nas1 include=tank/** map=tank=backup
         running backup/media@nas2",
    );
    assert_snapshot!(fleet.render(), @r"
    tank/media to backup/media@nas2: syncing, lag 1
      11:59 nas1: tank/media has 2 snapshots, newest @a2
      11:58 nas2: backup/media has 1 snapshot, newest @a1
      11:58 newest common snapshot: @a1
      R_TRANSFER_RUNNING
      The transfer ends, then both sides are compared again; watch it with `zfs-sync transfer show 00000000-0000-0000-0000-000000000007`.
    tank/other to backup/other@nas2: never_seeded, lag 1
      11:59 nas1: tank/other has 1 snapshot, newest @o1
      11:58 nas2: backup/other does not exist
      > full @o1
      nas1 sends tank/other@o1 in full to nas2.
    order: backup/other@nas2
    ");
}

#[test]
fn keep_both_renames_the_target_first() {
    let fleet = Fleet::parse(
        "system nas1
           tank/media a1:1:10 a2:2:20
           tank/media/new n1:31:10
           tank/other o1:11:10
         system nas2
           backup/media a1:1:7 x1:91:8
           backup/media.aside-20260301T120000Z old:81:1
           backup/other y1:92:8
         group prod source=nas1 include=tank/** map=tank=backup
         keep-both backup/media@nas2",
    );
    assert_snapshot!(fleet.render(), @r"
    tank/media to backup/media@nas2: diverged, lag 1
      11:59 nas1: tank/media has 2 snapshots, newest @a2
      11:58 nas2: backup/media has 2 snapshots, newest @x1
      11:58 newest common snapshot: @a1
      11:58 only on nas2: @x1
      > rename to backup/media.aside-20260301T120000Z-2
      backup/media on nas2 is renamed to backup/media.aside-20260301T120000Z-2, with all it holds; then it is seeded anew.
    tank/media/new to backup/media/new@nas2: never_seeded, lag 1
      11:59 nas1: tank/media/new has 1 snapshot, newest @n1
      11:58 nas2: backup/media/new does not exist
      R_DEPENDS_ON_PARENT
      This follows when backup/media is received on nas2.
    tank/other to backup/other@nas2: diverged, lag 1
      11:59 nas1: tank/other has 1 snapshot, newest @o1
      11:58 nas2: backup/other has 1 snapshot, newest @y1
      11:58 no snapshot is on both sides
      11:58 only on nas2: @y1
      R_NO_COMMON_BASE
      Nothing, until a person decides: keep backup/other under another name and seed anew with `zfs-sync sync execute --sync-group prod --keep-both backup/other@nas2`.
    order: backup/media@nas2
    ");
}

#[test]
fn keep_both_never_takes_datasets_below_along() {
    let fleet = Fleet::parse(
        "system nas1
           tank a0:40:1
           tank/media a1:1:10
           tank/media/films f1:11:10 f2:12:20
         system nas2
           tank x0:93:1
           tank/media x1:91:8
           tank/media/films f1:11:9
         group prod source=nas1 include=tank/** keep-both",
    );
    assert_snapshot!(fleet.render(), @r"
    tank to tank@nas2: diverged, lag 1
      11:59 nas1: tank has 1 snapshot, newest @a0
      11:58 nas2: tank has 1 snapshot, newest @x0
      11:58 no snapshot is on both sides
      11:58 only on nas2: @x0
      R_NO_COMMON_BASE
      Map tank to a dataset below tank: a pool's root can not be renamed, so it can not be set aside.
    tank/media to tank/media@nas2: diverged, lag 1
      11:59 nas1: tank/media has 1 snapshot, newest @a1
      11:58 nas2: tank/media has 1 snapshot, newest @x1
      11:58 no snapshot is on both sides
      11:58 only on nas2: @x1
      R_SET_ASIDE_HAS_CHILDREN
      Set tank/media on nas2 aside by hand: tank/media/films lies below it and would move along.
    tank/media/films to tank/media/films@nas2: behind, lag 1
      11:59 nas1: tank/media/films has 2 snapshots, newest @f2
      11:58 nas2: tank/media/films has 1 snapshot, newest @f1
      11:58 newest common snapshot: @f1
      > -I @f1..@f2 (1)
      nas1 sends tank/media/films@f2 to nas2.
    order: tank/media/films@nas2
    ");
}

#[test]
fn names_and_pools_that_can_not_be() {
    let fleet = Fleet::parse(
        "system nas1
           tank/media llllllllllllllllllllllllllllllllllllllllllllllllllllllllllll:1:10
           tank/mirror m1:2:10
         system nas2
           backup
         group prod source=nas1 include=tank/** map=tank/media=backup/dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd map=tank/mirror=fast/mirror",
    );
    assert_snapshot!(fleet.render(), @r"
    tank/media to backup/dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd@nas2: never_seeded, lag 1
      11:59 nas1: tank/media has 1 snapshot, newest @llllllllllllllllllllllllllllllllllllllllllllllllllllllllllll
      11:58 nas2: backup/dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd does not exist
      R_NAME_TOO_LONG
      Map tank/media to a shorter name, or shorten its names (the name has 268 bytes; ZFS allows 255).
    tank/mirror to fast/mirror@nas2: unknown, lag 1
      11:59 nas1: tank/mirror has 1 snapshot, newest @m1
      11:58 nas2: fast/mirror does not exist
      R_TARGET_POOL_MISSING
      Import or create the pool fast on nas2, or map to another one.
    order: -
    ");
}

#[test]
fn patterns_that_match_nothing_are_said() {
    let fleet = Fleet::parse(
        "system nas1
           tank/media a1:1:10
         system nas2
         group prod source=nas1 include=tank/medai",
    );
    assert_snapshot!(fleet.render(), @r"
    group: W_SELECTOR_EMPTY
    order: -
    ");
}
