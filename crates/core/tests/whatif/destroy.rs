//! "Can I delete this?"

use std::fmt::Write as _;

use insta::assert_snapshot;
use zfs_sync_core::{
    group::MirrorDeletes,
    whatif::{Answer, Verdict},
};

use crate::fleet::{Fleet, system_id};

const PAIR: &str = "
    system nas1
      tank/a a1:1:90 a2:2:60 a3:3:30 a4:4:10
    system nas2
      backup/a old1:1:90 old2:2:60 old3:3:30
    group prod one_way nas1,nas2 tank/** tank=backup";

fn answers(fleet: &Fleet, names: &[&str]) -> Vec<Answer> {
    fleet.may_i_delete(names).iter().map(|verdict| verdict.answer).collect()
}

#[test]
fn an_old_copied_snapshot_is_safe_on_either_side() {
    assert_snapshot!(Fleet::parse(PAIR).verdicts(&["nas1:tank/a@a1", "nas2:backup/a@old2"]), @r"
    tank/a@a1 on nas1: safe to delete
      safe: nas2 (backup/a@old1) has it too. [backup/a on nas2]
    backup/a@old2 on nas2: safe to delete
      safe: nas1 (tank/a@a2) has it too. [tank/a on nas1]
    ");
}

#[test]
fn the_newest_common_snapshot_is_needed_on_both_sides() {
    assert_snapshot!(Fleet::parse(PAIR).verdicts(&["nas1:tank/a@a3"]), @r"
    tank/a@a3 on nas1: needed by replication
      breaks_replication: It is the incremental base for backup/a on nas2. A bookmark would do: `zfs bookmark tank/a@a3 tank/a#a3`. [backup/a on nas2]
      safe: nas2 (backup/a@old3) has it too. [backup/a on nas2]
    ");
    assert_snapshot!(Fleet::parse(PAIR).verdicts(&["nas2:backup/a@old3"]), @r"
    backup/a@old3 on nas2: needed by replication
      breaks_replication: It is the newest snapshot that it has in common with tank/a on nas1; without it nothing can be received incrementally. [tank/a on nas1]
      safe: nas1 (tank/a@a3) has it too. [tank/a on nas1]
    ");
}

#[test]
fn a_bookmark_takes_its_place_on_the_source_only() {
    let fleet = Fleet::parse(&PAIR.replace("a4:4:10", "a4:4:10 #mark:3"));
    assert_snapshot!(fleet.verdicts(&["nas1:tank/a@a3"]), @r"
    tank/a@a3 on nas1: safe to delete, a bookmark takes its place
      safe_with_bookmark: It is the incremental base for backup/a on nas2; the bookmark tank/a#mark takes its place. [backup/a on nas2]
      safe: nas2 (backup/a@old3) has it too. [backup/a on nas2]
    ");
    assert_eq!(answers(&fleet, &["nas2:backup/a@old3"]), [Answer::BreaksReplication]);
    // The bookmark stays as base, so the older one is not needed when both go.
    let both = answers(&fleet, &["nas1:tank/a@a3", "nas1:tank/a@a2"]);
    assert_eq!(both, [Answer::SafeWithBookmark, Answer::Safe]);
}

#[test]
fn a_bookmark_of_another_snapshot_takes_nobodys_place() {
    let fleet = Fleet::parse(&PAIR.replace("a4:4:10", "a4:4:10 #a3:2"));
    let verdicts = fleet.verdicts(&["nas1:tank/a@a3"]);
    assert!(verdicts.contains("`zfs bookmark tank/a@a3 tank/a#a3-2`"), "{verdicts}");
}

#[test]
fn when_the_base_goes_as_well_the_one_before_is_needed() {
    let fleet = Fleet::parse(PAIR);
    assert_eq!(answers(&fleet, &["nas1:tank/a@a2"]), [Answer::Safe]);
    let both = answers(&fleet, &["nas1:tank/a@a2", "nas2:backup/a@old3"]);
    assert_eq!(both, [Answer::BreaksReplication, Answer::BreaksReplication]);
}

#[test]
fn what_is_not_copied_yet_would_be_lost() {
    assert_snapshot!(Fleet::parse(PAIR).verdicts(&["nas1:tank/a@a4"]), @r"
    tank/a@a4 on nas1: its data would be lost
      loses_data: No other dataset of the fleet is known to have it.
      breaks_replication: backup/a on nas2 does not have it yet and would not get it. [backup/a on nas2]
    ");
    let fleet = Fleet::parse(
        "system nas1
           tank/a a1:1:90 a2:2:60
         system nas2
           tank/a a1:1:90 a2:2:60
         system nas3
           tank/a a1:1:90 partial=2
         system nas4
         group prod one_way nas1,nas2,nas3,nas4 tank/**",
    );
    assert_snapshot!(fleet.verdicts(&["nas1:tank/a@a2"]), @r"
    tank/a@a2 on nas1: needed by replication
      breaks_replication: It is the incremental base for tank/a on nas2. A bookmark would do: `zfs bookmark tank/a@a2 tank/a#a2`. [tank/a on nas2]
      breaks_replication: tank/a on nas3 does not have it yet and would not get it, and its interrupted receive could not be continued. [tank/a on nas3]
      breaks_replication: tank/a on nas4 does not have it yet and would not get it. [tank/a on nas4]
      safe: nas2 (tank/a@a2) has it too. [tank/a on nas2]
    ");
}

#[test]
fn what_the_target_dropped_on_its_own_is_not_waited_for() {
    let fleet = Fleet::parse(
        "system nas1
           tank/a a1:1:90 a2:2:60
         system nas2
           tank/a a2:2:60
         system nas3
           tank/a a1:1:90 a2:2:60
         group prod one_way nas1,nas2,nas3 tank/**",
    );
    assert_eq!(answers(&fleet, &["nas1:tank/a@a1"]), [Answer::Safe]);
}

#[test]
fn the_last_copy_is_never_safe_and_two_last_copies_are_not_either() {
    let fleet = Fleet::parse(
        "system nas1
           tank/a a1:1:90 a2:2:60
         system nas2
           tank/a a0:9:99 a1:1:90 a2:2:60
         group prod one_way nas1,nas2 tank/**",
    );
    assert_eq!(answers(&fleet, &["nas2:tank/a@a0"]), [Answer::LosesData]);
    assert_eq!(answers(&fleet, &["nas1:tank/a@a1"]), [Answer::Safe]);
    assert_snapshot!(fleet.verdicts(&["nas1:tank/a@a1", "nas2:tank/a@a1"]), @r"
    tank/a@a1 on nas1: its data would be lost
      loses_data: All copies are among those that you ask for. [tank/a on nas2]
    tank/a@a1 on nas2: its data would be lost
      loses_data: All copies are among those that you ask for. [tank/a on nas1]
    ");
}

#[test]
fn holds_and_clones_make_zfs_refuse() {
    let fleet = Fleet::parse(
        "system nas1
           tank/a a1:1:90:holds=2 a2:2:60:used=77 a3:3:30
           tank/clone origin=tank/a@a2
           tank/other origin=tank/a@a20
         system nas2
           tank/a a1:1:90 a2:2:60 a3:3:30
         group prod one_way nas1,nas2 tank/a",
    );
    assert_snapshot!(fleet.verdicts(&["nas1:tank/a@a1", "nas1:tank/a@a2"]), @r"
    tank/a@a1 on nas1: can not be deleted now
      held: It has 2 holds, so ZFS refuses to destroy it; `zfs holds tank/a@a1` names them.
      safe: nas2 (tank/a@a1) has it too. [tank/a on nas2]
    tank/a@a2 on nas1: can not be deleted now
      held: tank/clone is a clone of it, so ZFS refuses to destroy it. [tank/clone on nas1]
      safe: nas2 (tank/a@a2) has it too. [tank/a on nas2]
    ");
    assert_eq!(fleet.may_i_delete(&["nas1:tank/a@a2"])[0].frees, 77);
}

#[test]
fn nobody_who_is_silent_or_late_makes_it_safe() {
    let three = |third: &str| {
        Fleet::parse(&format!(
            "system nas1
               tank/a a1:1:90 a2:2:60
             system nas2
               tank/a a1:1:90 a2:2:60
             system nas3 {third}
             group prod one_way nas1,nas2,nas3 tank/**"
        ))
    };
    assert_snapshot!(three("silent").verdicts(&["nas1:tank/a@a1"]), @r"
    tank/a@a1 on nas1: not known
      unknown: nas3 has never reported: not known whether it needs this snapshot. [tank/a on nas3]
      safe: nas2 (tank/a@a1) has it too. [tank/a on nas2]
    ");
    assert_snapshot!(three("stale\ntank/a a1:1:90 a2:2:60").verdicts(&["nas1:tank/a@a1"]), @r"
    tank/a@a1 on nas1: not known
      unknown: nas3 last reported 120 minutes ago, which is too long to rely on: not known whether it needs this snapshot. [tank/a on nas3]
      safe: nas2 (tank/a@a1) has it too. [tank/a on nas2]
    ");
}

#[test]
fn a_copy_in_an_old_report_is_no_promise() {
    let fleet = Fleet::parse(
        "system nas1
           tank/a a1:1:90 a2:2:60
         system nas2
           tank/a a2:2:60
         system elsewhere stale
           pool/kept a1:1:90
         group prod one_way nas1,nas2 tank/**",
    );
    assert_snapshot!(fleet.verdicts(&["nas1:tank/a@a1"]), @r"
    tank/a@a1 on nas1: not known
      unknown: elsewhere (pool/kept@a1) has it too according to old reports; not known whether that is still so. [pool/kept on elsewhere]
    ");
}

#[test]
fn an_old_report_of_its_own_system_is_a_doubt() {
    let fleet = Fleet::parse("system nas1 stale\ntank/a a1:1:90 a2:2:60\nsystem nas2\nx/a a1:1:90 a2:2:60");
    assert_snapshot!(fleet.verdicts(&["nas1:tank/a@a1"]), @r"
    tank/a@a1 on nas1: not known
      unknown: nas1 last reported 120 minutes ago, which is too long to rely on: not known whether it is held or cloned there now.
      safe: nas2 (x/a@a1) has it too. [x/a on nas2]
    ");
}

#[test]
fn what_is_not_known_is_said_to_be_unknown() {
    let fleet = Fleet::parse("system nas1\ntank/a a1:1\nsystem nas2 silent");
    assert_snapshot!(fleet.verdicts(&["nas1:tank/a@zz", "nas1:tank/zz@a1", "nas2:tank/a@a1"]), @r"
    tank/a@zz on nas1: not known
      unknown: nas1 reported no snapshot @zz of tank/a.
    tank/zz@a1 on nas1: not known
      unknown: nas1 reported no dataset tank/zz.
    tank/a@a1 on nas2: not known
      unknown: nas2 has never reported: nothing is known of tank/a@a1.
    ");
    let stranger = fleet.destroy(&[(system_id(77), "tank/a@a1".parse().unwrap())]);
    assert_eq!((stranger[0].answer, stranger[0].guid), (Answer::Unknown, None));
}

#[test]
fn mirrored_deletions_are_announced() {
    let mut fleet = Fleet::parse(PAIR);
    fleet.groups[0].mirror_deletes = Some(MirrorDeletes { max_percent: 10 });
    assert_eq!(fleet.may_i_delete(&["nas1:tank/a@a1"])[0].findings.len(), 1, "only with allow_destroy");
    fleet.groups[0].allow_destroy = true;
    assert_snapshot!(fleet.verdicts(&["nas1:tank/a@a1"]), @r"
    tank/a@a1 on nas1: safe to delete
      safe: nas2 (backup/a@old1) has it too. [backup/a on nas2]
      safe: The group prod carries deletions over: its targets would lose it too, except the last copy in the fleet. [backup/a on nas2]
    ");
    assert_eq!(fleet.may_i_delete(&["nas2:backup/a@old1"])[0].findings.len(), 1, "only from the source");
}

#[test]
fn many_copies_are_counted_after_the_first_four() {
    let mut script = "system nas1\ntank/a a1:1\n".to_owned();
    for number in 2..9 {
        writeln!(script, "system nas{number}\ntank/a a1:1").unwrap();
    }
    assert_snapshot!(Fleet::parse(&script).verdicts(&["nas1:tank/a@a1"]), @r"
    tank/a@a1 on nas1: safe to delete
      safe: nas2 (tank/a@a1), nas3 (tank/a@a1), nas4 (tank/a@a1), nas5 (tank/a@a1) and 3 more have it too. [tank/a on nas2, tank/a on nas3, tank/a on nas4, tank/a on nas5, tank/a on nas6, tank/a on nas7, tank/a on nas8]
    ");
}

#[test]
fn the_worst_finding_is_the_answer_and_comes_first() {
    let fleet = Fleet::parse(&PAIR.replace("a4:4:10", "a4:4:10:holds=1"));
    let verdicts = fleet.may_i_delete(&["nas1:tank/a@a4"]);
    let all: Vec<Answer> = verdicts[0].findings.iter().map(|finding| finding.answer).collect();
    assert_eq!(all, [Answer::LosesData, Answer::BreaksReplication, Answer::Held]);
    let json = serde_json::to_string(&verdicts).unwrap();
    assert!(json.contains(r#""answer":"loses_data""#), "{json}");
    assert_eq!(serde_json::from_str::<Vec<Verdict>>(&json).unwrap(), verdicts);
}

#[test]
fn a_pool_that_two_systems_report_is_one_copy() {
    let moved = "
        system nas1
          tank/a guid=7 a1:1:90 a2:2:60
        system nas2
          tank/a guid=7 a1:1:90 a2:2:60";
    assert_eq!(answers(&Fleet::parse(moved), &["nas1:tank/a@a1"]), [Answer::LosesData]);
}
