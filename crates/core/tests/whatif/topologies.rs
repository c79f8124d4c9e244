//! The same questions in every kind of group.

use insta::assert_snapshot;
use zfs_sync_core::whatif::{Answer, Role};

use crate::fleet::Fleet;

#[test]
fn in_a_mesh_each_member_may_be_the_source() {
    let fleet = Fleet::parse(
        "system a
           tank/x s1:1:90
         system b
           pool/x s1:1:90 s2:2:30
           pool/own o1:11:45
         system c
           tank/x s1:1:90 s2:2:30 s3:3:5
           tank/own o1:11:45
         group m mesh a,b,c tank/** b:tank=pool",
    );
    assert_snapshot!(fleet.losses("b"), @r"
    pool/own (source): Nothing that was reported is lost: tank/own on c has the newest snapshot @o1, taken 45 minutes ago.
      c# zfs set readonly=off tank/own
      c# zfs set canmount=on tank/own
      c# zfs mount tank/own
      - The other members of the group m go on by themselves.
    pool/x (source): Nothing that was reported is lost: tank/x on c has the newest snapshot @s2, taken 30 minutes ago.
      c# zfs set readonly=off tank/x
      c# zfs set canmount=on tank/x
      c# zfs mount tank/x
      - It has 1 snapshot of its own after @s2; decide which state you want.
      - The other members of the group m go on by themselves.
    ");
    // Whoever has the newest writes: it is not copied yet.
    assert_eq!(fleet.may_i_delete(&["c:tank/x@s3"])[0].answer, Answer::LosesData);
    assert_eq!(fleet.may_i_delete(&["b:pool/x@s2"])[0].answer, Answer::BreaksReplication);
    assert_eq!(fleet.loss("a", "tank/x").role, Role::Source);
}

#[test]
fn in_many_to_one_each_source_has_its_own_place_on_the_hub() {
    let fleet = Fleet::parse(
        "system hub
           backup/x/data d1:1:90
           backup/y/data e1:11:90 e2:12:30
         system x
           tank/data d1:1:90 d2:2:30
         system y
           tank/data e1:11:90 e2:12:30
         group collect many_to_one hub,x,y tank/** x:tank=backup/x y:tank=backup/y",
    );
    assert_snapshot!(fleet.losses("x"), @r"
    tank/data (source): What was written in the last 90 minutes is lost: backup/x/data on hub has the newest surviving snapshot, @d1.
      gone: 1 (d2)
      hub# zfs set readonly=off backup/x/data
      hub# zfs set canmount=on backup/x/data
      hub# zfs mount backup/x/data
      - Take x out of the group collect, or send it back from hub when x is replaced.
    ");
    assert_snapshot!(fleet.losses("hub"), @r"
    backup/x/data (target): Nothing is lost: tank/data on x has all of it, up to @d1.
    backup/y/data (target): Nothing is lost: tank/data on y has all of it, up to @e2.
    ");
    assert_snapshot!(fleet.verdicts(&["x:tank/data@d1", "hub:backup/y/data@e1"]), @r"
    tank/data@d1 on x: needed by replication
      breaks_replication: It is the incremental base for backup/x/data on hub. A bookmark would do: `zfs bookmark tank/data@d1 tank/data#d1`. [backup/x/data on hub]
      safe: hub (backup/x/data@d1) has it too. [backup/x/data on hub]
    backup/y/data@e1 on hub: safe to delete
      safe: y (tank/data@e1) has it too. [tank/data on y]
    ");
}

#[test]
fn in_a_chain_each_link_needs_its_own_base() {
    let fleet = Fleet::parse(
        "system a
           tank/x s1:1:90 s2:2:60 s3:3:30
         system b
           tank/x s1:1:90 s2:2:60 s3:3:30
         system c
           tank/x s1:1:90
         group line chain a,b,c tank/**",
    );
    assert_snapshot!(fleet.losses("b"), @"tank/x (target): Nothing is lost: tank/x on a has all of it, up to @s3.");
    assert_snapshot!(fleet.losses("a"), @r"
    tank/x (source): Nothing that was reported is lost: tank/x on b has the newest snapshot @s3, taken 30 minutes ago.
      b# zfs set readonly=off tank/x
      b# zfs set canmount=on tank/x
      b# zfs mount tank/x
      - Make b the first of the chain line; until then its members receive nothing.
    ");
    // `a` sends to `b` alone; `b` still sends from @s1 to `c`.
    assert_eq!(fleet.may_i_delete(&["a:tank/x@s1"])[0].answer, Answer::Safe);
    assert_snapshot!(fleet.verdicts(&["b:tank/x@s1", "b:tank/x@s2"]), @r"
    tank/x@s1 on b: needed by replication
      breaks_replication: It is the incremental base for tank/x on c. A bookmark would do: `zfs bookmark tank/x@s1 tank/x#s1`. [tank/x on c]
      safe: a (tank/x@s1) and c (tank/x@s1) have it too. [tank/x on a, tank/x on c]
    tank/x@s2 on b: needed by replication
      breaks_replication: tank/x on c does not have it yet and would not get it. [tank/x on c]
      safe: a (tank/x@s2) has it too. [tank/x on a]
    ");
}

#[test]
fn a_local_copy_is_lost_with_its_source_but_is_a_copy() {
    let fleet = Fleet::parse(
        "system a
           copy/x s1:1:90 s2:2:60
           tank/x s1:1:90 s2:2:60 s3:3:30
         group near local a tank/** tank=copy",
    );
    assert_snapshot!(fleet.losses("a"), @r"
    copy/x (target): Everything is lost: no other system is known to have a snapshot of it.
      gone: 2 (s2, s1)
    tank/x (source): Everything is lost: no other system is known to have a snapshot of it.
      gone: 3 (s3, s2, s1)
    ");
    assert_snapshot!(fleet.verdicts(&["a:tank/x@s1", "a:tank/x@s2", "a:copy/x@s2", "a:tank/x@s3"]), @r"
    tank/x@s1 on a: needed by replication
      breaks_replication: It is the incremental base for copy/x on a. A bookmark would do: `zfs bookmark tank/x@s1 tank/x#s1`. [copy/x on a]
      safe: a (copy/x@s1) has it too. [copy/x on a]
    tank/x@s2 on a: its data would be lost
      loses_data: All copies are among those that you ask for. [copy/x on a]
      breaks_replication: It is the incremental base for copy/x on a. A bookmark would do: `zfs bookmark tank/x@s2 tank/x#s2`. [copy/x on a]
    copy/x@s2 on a: its data would be lost
      loses_data: All copies are among those that you ask for. [tank/x on a]
      breaks_replication: It is the newest snapshot that it has in common with tank/x on a; without it nothing can be received incrementally. [tank/x on a]
    tank/x@s3 on a: its data would be lost
      loses_data: No other dataset of the fleet is known to have it.
      breaks_replication: copy/x on a does not have it yet and would not get it. [copy/x on a]
    ");
}

#[test]
fn a_dataset_of_several_groups_is_told_once_with_all_of_them() {
    let fleet = Fleet::parse(
        "system a
           tank/x s1:1:90 s2:2:60
         system b
           tank/x s1:1:90
         system c
           far/x s1:1:90 s2:2:60
         group near one_way a,b tank/**
         group far one_way a,c tank/x tank=far",
    );
    assert_snapshot!(fleet.losses("a"), @r"
    tank/x (source): Nothing that was reported is lost: far/x on c has the newest snapshot @s2, taken 60 minutes ago.
      c# zfs set readonly=off far/x
      c# zfs set canmount=on far/x
      c# zfs mount far/x
      - c is no member of the group near; add it, so that others receive from it.
      - Make c the source of truth of the group far; until then its members receive nothing.
    ");
    assert_eq!(fleet.loss("a", "tank/x").groups, ["far", "near"]);
    // What one group has copied, the other still waits for.
    assert_snapshot!(fleet.verdicts(&["a:tank/x@s2", "a:tank/x@s1"]), @r"
    tank/x@s2 on a: needed by replication
      breaks_replication: tank/x on b does not have it yet and would not get it. [tank/x on b]
      breaks_replication: It is the incremental base for far/x on c. A bookmark would do: `zfs bookmark tank/x@s2 tank/x#s2`. [far/x on c]
      safe: c (far/x@s2) has it too. [far/x on c]
    tank/x@s1 on a: needed by replication
      breaks_replication: It is the incremental base for tank/x on b. A bookmark would do: `zfs bookmark tank/x@s1 tank/x#s1`. [tank/x on b]
      breaks_replication: It is the incremental base for far/x on c. A bookmark would do: `zfs bookmark tank/x@s1 tank/x#s1`. [far/x on c]
      safe: b (tank/x@s1) and c (far/x@s1) have it too. [tank/x on b, far/x on c]
    ");
}
