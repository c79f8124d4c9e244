//! "What if this system is gone?", for the source of truth and for targets.

use insta::assert_snapshot;
use zfs_sync_core::whatif::{Extent, Role, SystemLoss};

use crate::fleet::Fleet;

const HUB: &str = "
    system nas1
      tank/media a1:1:180 a2:2:60:ref=1000 a3:3:15:ref=5096:used=96 written=2048
    system nas2
      backup/media a1:1:180 a2:2:60
    system nas3
      backup/media a1:1:180
    group prod one_way nas1,nas2,nas3 tank/** tank=backup";

#[test]
fn the_replica_with_the_newest_snapshot_is_promoted() {
    assert_snapshot!(Fleet::parse(HUB).losses("nas1"), @r"
    tank/media (source): What was written in the last 60 minutes is lost, at least 6.00 KiB: backup/media on nas2 has the newest surviving snapshot, @a2.
      gone: 1 (a3)
      nas2# zfs set readonly=off backup/media
      nas2# zfs set canmount=on backup/media
      nas2# zfs mount backup/media
      - Make nas2 the source of truth of the group prod; until then its members receive nothing.
    ");
    let loss = Fleet::parse(HUB).loss("nas1", "tank/media");
    assert_eq!((loss.role, loss.extent, loss.minutes_lost), (Role::Source, Extent::Recent, Some(60)));
    assert_eq!((loss.snapshots_lost, loss.bytes_lost), (1, 96 + 4000 + 2048));
    let survivors: Vec<_> = loss.survivors.iter().map(|it| (it.place.to_string(), it.snapshots)).collect();
    assert_eq!(survivors, [("backup/media on nas2".to_owned(), 2), ("backup/media on nas3".to_owned(), 1)]);
}

#[test]
fn an_up_to_date_replica_loses_at_most_what_came_after_its_newest_snapshot() {
    let fleet = Fleet::parse(
        "system nas1
           tank/vm v1:1:180 v2:2:7 volume encrypted
         system nas2
           backup/vm v1:1:180 v2:2:7 volume encrypted writable
         group prod one_way nas1,nas2 tank/** tank=backup",
    );
    assert_snapshot!(fleet.losses("nas1"), @r"
    tank/vm (source): Nothing that was reported is lost: backup/vm on nas2 has the newest snapshot @v2, taken 7 minutes ago.
      - It is encrypted: load its key first, `zfs load-key` at its encryption root.
      - Make nas2 the source of truth of the group prod; until then its members receive nothing.
    ");
    assert_eq!(fleet.loss("nas1", "tank/vm").minutes_lost, Some(7));
    assert_eq!(fleet.loss("nas1", "tank/vm").bytes_lost, 0);
}

#[test]
fn copies_are_found_by_guid_and_never_by_name() {
    let fleet = Fleet::parse(
        "system nas1
           tank/a x:1:60 y:2:30
         system nas2
           backup/a x:91:60 y:92:30
           backup/a.aside-20260301T100000Z other:1:60 own:77:50
         group prod one_way nas1,nas2 tank/** tank=backup",
    );
    assert_snapshot!(fleet.losses("nas1"), @r"
    tank/a (source): What was written in the last 60 minutes is lost: backup/a.aside-20260301T100000Z on nas2 has the newest surviving snapshot, @x.
      gone: 1 (y)
      nas2# zfs set readonly=off backup/a.aside-20260301T100000Z
      nas2# zfs set canmount=on backup/a.aside-20260301T100000Z
      nas2# zfs mount backup/a.aside-20260301T100000Z
      - It has 1 snapshot of its own after @x; decide which state you want.
      - Make nas2 the source of truth of the group prod; until then its members receive nothing.
    ");
}

#[test]
fn nothing_survives_of_what_was_never_copied() {
    let fleet = Fleet::parse(
        "system nas1
           tank/empty written=512
           tank/new n1:1:30:used=10:ref=4096
           other/scratch s1:5:30:ref=100
         system nas2
           backup
         system nas3 silent
         group prod one_way nas1,nas2,nas3 tank/** tank=backup",
    );
    assert_snapshot!(fleet.losses("nas1"), @r"
    other/scratch (nogroup): Everything is lost, at least 100 B: no other system is known to have a snapshot of it.
      gone: 1 (s1)
    tank/empty (source): Everything is lost, as far as is known, at least 512 B: it has no snapshot that could have been copied.
      ? nas3 has never reported: not known what it has of tank/empty now.
    tank/new (source): Everything is lost, as far as is known, at least 4.00 KiB: no other system is known to have a snapshot of it.
      gone: 1 (n1)
      ? nas3 has never reported: not known what it has of tank/new now.
    ");
    let loss = fleet.loss("nas1", "tank/new");
    assert_eq!((loss.extent, loss.minutes_lost, loss.bytes_lost), (Extent::Everything, None, 4096));
    assert_eq!(fleet.loss("nas1", "other/scratch").role, Role::NoGroup);
}

#[test]
fn of_equal_replicas_a_fresh_one_is_best_then_the_longest_history_then_the_name() {
    let best = |systems: &str| {
        let script =
            format!("system hub\ntank/a a1:1:60 a2:2:30\n{systems}\ngroup g one_way hub,x,y tank/**");
        let survivors = Fleet::parse(&script).loss("hub", "tank/a").survivors;
        survivors.into_iter().map(|survivor| survivor.place.system_name).collect::<Vec<_>>()
    };
    // More history does not make up for an old report.
    assert_eq!(best("system x stale\ntank/a a1:1 a2:2\nsystem y\ntank/a a2:2"), ["y", "x"]);
    assert_eq!(best("system x\ntank/a a2:2\nsystem y\ntank/a a1:1 a2:2"), ["y", "x"]);
    assert_eq!(best("system y\ntank/a a2:2\nsystem x\ntank/a a2:2"), ["x", "y"]);
    // A newer snapshot does make up for it.
    assert_eq!(best("system x stale\ntank/a a1:1 a2:2\nsystem y\ntank/a a1:1"), ["x", "y"]);
}

#[test]
fn position_counts_not_the_clock() {
    // The hub's clock went back between both snapshots.
    let fleet = Fleet::parse(
        "system hub
           tank/a early:1:10 late:2:500
         system x
           tank/a late:2:500
         system y
           tank/a early:1:10
         group g one_way hub,x,y tank/**",
    );
    let loss = fleet.loss("hub", "tank/a");
    assert_eq!(loss.survivors[0].place.system_name, "x");
    assert_eq!(loss.minutes_lost, Some(500));
}

#[test]
fn a_snapshot_from_the_future_loses_no_minutes() {
    let fleet =
        Fleet::parse("system hub\ntank/a a1:1:-90\nsystem x\ntank/a a1:1:-90\ngroup g one_way hub,x tank/**");
    assert_eq!(fleet.loss("hub", "tank/a").minutes_lost, Some(0));
}

#[test]
fn a_lost_target_takes_what_only_it_had() {
    let fleet = Fleet::parse(
        "system nas1
           tank/a a3:3:30
           tank/b b1:11:30
           tank/c c1:21:60 c2:22:30
           tank/d d1:31:60
           tank/e e1:41:60
         system nas2
           backup/a a1:1:300:used=7 a2:2:200:used=5 a3:3:30
           backup/b b1:11:30
           backup/c c1:21:60 own:99:10
           backup/d d1:31:60 written=33
           backup/e partial=41
         group prod one_way nas1,nas2 tank/** tank=backup",
    );
    assert_snapshot!(fleet.losses("nas2"), @r"
    backup/a (target): Lost: 2 older snapshots, at least 12 B. tank/a on nas1 has the newest one, @a3.
      gone: 2 (a2, a1)
    backup/b (target): Nothing is lost: tank/b on nas1 has all of it, up to @b1.
    backup/c (target): What was written in the last 60 minutes is lost: tank/c on nas1 has the newest surviving snapshot, @c1.
      gone: 1 (own)
    backup/d (target): What was written in the last 60 minutes is lost, at least 33 B: tank/d on nas1 has the newest surviving snapshot, @d1.
    backup/e (target): Nothing is lost: its first receive has not ended.
    ");
    let old = fleet.loss("nas2", "backup/a");
    assert_eq!((old.extent, old.minutes_lost, old.bytes_lost), (Extent::OldSnapshots, Some(0), 12));
    assert!(fleet.loss("nas2", "backup/b").is_nothing());
    assert_eq!(fleet.loss("nas2", "backup/c").minutes_lost, Some(60));
    assert!(fleet.lose("nas2").losses.iter().all(|loss| loss.promote.is_none()));
    assert_eq!(fleet.lose("nas2").bytes_lost(), 45);
}

#[test]
fn a_system_that_never_reported_loses_nobody_knows_what() {
    let fleet =
        Fleet::parse("system nas1 silent\nsystem nas2\nbackup/a a1:1\ngroup g one_way nas1,nas2 tank/**");
    assert_snapshot!(fleet.losses("nas1"), @"? nas1 has never reported: what it holds is not known, so what would be lost is not either.");
}

#[test]
fn old_reports_are_doubts_and_their_copies_count_as_uncertain() {
    let fleet = Fleet::parse(
        "system nas1 stale
           tank/a a1:1:60 a2:2:30
         system nas2 stale
           tank/a a1:1:60 a2:2:30
         system nas3
           tank/a a1:1:60
         group g one_way nas1,nas2,nas3 tank/**",
    );
    assert_snapshot!(fleet.losses("nas1"), @r"
    ? nas1 last reported 120 minutes ago, which is too long to rely on: what it did since then is not counted.
    tank/a (source): Nothing that was reported is lost, as far as is known: tank/a on nas2 has the newest snapshot @a2, taken 30 minutes ago.
      ? nas2 last reported 120 minutes ago, which is too long to rely on: not known what it has of tank/a now.
      nas2# zfs set readonly=off tank/a
      nas2# zfs set canmount=on tank/a
      nas2# zfs mount tank/a
      - Look at it first: the last report of nas2 is old.
      - Make nas2 the source of truth of the group g; until then its members receive nothing.
    ");
    let loss = fleet.loss("nas1", "tank/a");
    assert_eq!((loss.snapshots_lost, loss.snapshots_uncertain), (0, 1));
    assert!(!loss.is_nothing());
    assert!(loss.doubts[0].as_of.is_some());
}

#[test]
fn snapshots_without_guids_prove_nothing() {
    let script = "
        system nas1
          tank/a a1:1:60
        system nas2
          tank/a a1:1:60
        group g one_way nas1,nas2 tank/**";
    let unnamed = Fleet::parse(&script.replace("nas2\n", "nas2 by-name\n"));
    assert_snapshot!(unnamed.losses("nas1"), @r"
    tank/a (source): Everything is lost, as far as is known: no other system is known to have a snapshot of it.
      gone: 1 (a1)
      ? nas2 reports snapshots without GUIDs: not known what it has of tank/a now.
    ");
    assert_snapshot!(unnamed.losses("nas2"), @r"
    ? nas2 reports snapshots without GUIDs: who else has them is not known.
    tank/a (target): Everything is lost, as far as is known: no other system is known to have a snapshot of it.
      ? nas2 reports snapshots without GUIDs: not known who else has those of tank/a.
    ");
    assert_snapshot!(unnamed.verdicts(&["nas1:tank/a@a1", "nas2:tank/a@a1"]), @r"
    tank/a@a1 on nas1: its data would be lost
      loses_data: No other dataset of the fleet is known to have it.
      unknown: nas2 reports snapshots without GUIDs: not known whether it needs this snapshot. [tank/a on nas2]
    tank/a@a1 on nas2: not known
      unknown: nas2 reports snapshots without GUIDs: not known who else has tank/a@a1.
    ");
}

#[test]
fn the_answer_travels_as_json() {
    let lost = Fleet::parse(HUB).lose("nas1");
    let json = serde_json::to_string(&lost).unwrap();
    assert!(json.contains(r#""role":"source","groups":["prod"],"extent":"recent""#), "{json}");
    assert_eq!(serde_json::from_str::<SystemLoss>(&json).unwrap(), lost);
}
