use std::sync::Arc;

use rstest::rstest;
use zfs_sync_core::{
    guid::{Guid, Txg},
    inventory::DatasetKind,
    time::{ManualClock, Timestamp},
};
use zfs_sync_zfs::{
    command::{Command, OwnTag, Scope},
    error::Kind as ErrorKind,
    features::Features,
    memory::Host,
    runner::Runner,
};

use super::*;

const STEP: &str = "zfs-sync:step:1f:aaaaaaaa";
const BASE: &str = "zfs-sync:base:1f:aaaaaaaa";

fn host() -> Host {
    let clock = ManualClock::new(Timestamp::from_second(1_795_000_000).unwrap());
    let host = Host::new("nas1", Arc::new(clock), 1);
    host.create_pool("tank", 1 << 30).unwrap();
    host.create_dataset("tank/a", DatasetKind::Filesystem).unwrap();
    for label in ["one", "two", "three"] {
        host.snapshot(&format!("tank/a@{label}")).unwrap();
    }
    host
}

async fn found(host: &Host) -> Vec<Holding> {
    let runner = host.runner();
    let features = Features::probe(&*runner).await.unwrap();
    find(&*runner, &features, &Scope::Everything).await.unwrap()
}

async fn bookmark(host: &Host, label: &str) {
    let runner = host.runner();
    let snapshot: zfs_sync_core::name::SnapshotName = format!("tank/a@{label}").parse().unwrap();
    let history = {
        let features = Features::probe(&*runner).await.unwrap();
        zfs_sync_zfs::inventory::read_history(&*runner, &Scope::Everything, &features).await.unwrap()
    };
    let (snapshots, _) = &history[snapshot.dataset()];
    let guid = snapshots.iter().find(|found| found.label == *snapshot.label()).unwrap().guid;
    let label = format!("zfs-sync:{:x}:aaaaaaaa", guid.get()).parse().unwrap();
    runner.run(&Command::Bookmark { snapshot, label }).await.unwrap();
}

#[tokio::test]
async fn what_begins_with_our_prefix_is_found_and_nothing_else() {
    let host = host();
    host.hold(STEP, "tank/a@one").unwrap();
    host.hold("keep", "tank/a@one").unwrap();
    host.hold("keep", "tank/a@two").unwrap();
    host.hold(BASE, "tank/a@three").unwrap();
    host.hold("zfs-sync:later", "tank/a@three").unwrap();
    bookmark(&host, "two").await;
    let found = found(&host).await;
    let seen: Vec<_> = found
        .iter()
        .map(|holding| (holding.place.name(), holding.kind, holding.receiver.as_deref()))
        .collect();
    let names: Vec<_> =
        seen.iter().map(|(name, ..)| name.split_once(['@', '#']).unwrap().1.to_owned()).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    assert_eq!(seen[0], ("tank/a@one".to_owned(), Kind::Step, Some("aaaaaaaa")));
    assert_eq!((seen[1].1, seen[1].2), (Kind::Bookmark, Some("aaaaaaaa")));
    assert_eq!(seen[2], ("tank/a@three".to_owned(), Kind::Base, Some("aaaaaaaa")));
    assert_eq!(seen[3].1, Kind::Other);
    assert!(found[0].since.is_some());
}

#[tokio::test]
async fn releasing_spares_the_holds_of_others_and_goes_on_after_one_that_fails() {
    let host = host();
    for label in ["one", "two", "three"] {
        host.hold(STEP, &format!("tank/a@{label}")).unwrap();
    }
    host.hold("keep", "tank/a@two").unwrap();
    bookmark(&host, "one").await;
    let found = found(&host).await;
    // Somebody was faster.
    host.release(STEP, "tank/a@one").unwrap();
    let released = release(&*host.runner(), &found).await;
    assert_eq!(released.len(), 4);
    assert!(released.iter().all(|result| matches!(result, Released::Gone)), "{released:?}");
    assert!(self::found(&host).await.is_empty());
    let holds = Command::Holds { snapshot: "tank/a@two".parse().unwrap() };
    let left = host.runner().run(&holds).await.unwrap().stdout;
    assert!(left.contains("\tkeep\t") && left.lines().count() == 1, "{left}");
}

#[tokio::test]
async fn what_can_not_be_released_is_told_from_what_was() {
    let host = host();
    for label in ["one", "two", "three"] {
        host.hold(STEP, &format!("tank/a@{label}")).unwrap();
    }
    let found = found(&host).await;
    for _ in 0..3 {
        host.faults().fail_next(
            |command| match command {
                Command::ReleaseAll { snapshots, .. } => {
                    snapshots.iter().any(|snapshot| snapshot.label().as_str() == "two")
                }
                _ => false,
            },
            "cannot release: permission denied\n",
        );
    }
    let released = release(&*host.runner(), &found).await;
    let failed: Vec<_> = released
        .iter()
        .zip(&found)
        .filter_map(|(result, holding)| match result {
            Released::Failed(error) => Some((holding.place.name(), error.kind)),
            Released::Gone => None,
        })
        .collect();
    assert_eq!(failed, [("tank/a@two".to_owned(), ErrorKind::Permission)]);
    assert_eq!(self::found(&host).await.len(), 1);
}

#[tokio::test]
async fn a_pool_that_does_not_answer_is_no_empty_list() {
    let host = host();
    host.hold(STEP, "tank/a@one").unwrap();
    let runner = host.runner();
    let features = Features::probe(&*runner).await.unwrap();
    host.set_suspended("tank", true).unwrap();
    let error = find(&*runner, &features, &Scope::Everything).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::PoolUnavailable);
}

fn hold(tag: &str, txg: u64) -> Holding {
    let place =
        Place::Hold { snapshot: format!("tank/a@{txg}").parse().unwrap(), tag: OwnTag::new(tag).unwrap() };
    let kind = if tag == STEP { Kind::Step } else { Kind::Base };
    let receiver = Some("aaaaaaaa".to_owned());
    Holding { place, kind, guid: Guid::new(txg), createtxg: Txg::new(txg), since: None, receiver }
}

fn mark(txg: u64) -> Holding {
    let label = format!("tank/a#zfs-sync:{txg:x}:aaaaaaaa");
    let bookmark = zfs_sync_zfs::command::OwnBookmark::new(label.parse().unwrap()).unwrap();
    Holding { place: Place::Bookmark(bookmark), kind: Kind::Bookmark, ..hold(STEP, txg) }
}

fn evidence(knowledge: Option<Knowledge>) -> Evidence {
    let mut evidence = Evidence::default();
    if let Some(knowledge) = knowledge {
        evidence.add("aaaaaaaa", "tank/a → nas2:backup/a", knowledge);
    }
    evidence
}

fn needed() -> Knowledge {
    Knowledge::Needed("transfer 7 runs".to_owned())
}

fn unknown() -> Knowledge {
    Knowledge::Unknown("the system is offline".to_owned())
}

#[rstest]
#[case::a_transfer_runs(vec![hold(STEP, 5), mark(9)], Some(needed()), Verdict::Needed)]
#[case::nothing_runs(vec![hold(STEP, 5)], Some(Knowledge::Quiet), Verdict::Stale)]
#[case::offline(vec![hold(STEP, 5), mark(5)], Some(unknown()), Verdict::Unsure)]
#[case::nobody_knows(vec![hold(STEP, 5)], None, Verdict::Unsure)]
#[case::the_receiver_has_passed_it(vec![hold(STEP, 5), mark(9)], None, Verdict::Stale)]
#[case::a_step_from_it_runs(vec![hold(STEP, 5), mark(5), mark(9)], None, Verdict::Unsure)]
#[case::a_step_to_it_runs(vec![hold(STEP, 5), mark(3), mark(5)], None, Verdict::Unsure)]
#[case::a_doctor_left_it(vec![Holding { kind: Kind::Other, receiver: None, ..hold(OwnTag::PROBE, 5) }], None, Verdict::Stale)]
#[case::the_newest_base(vec![hold(BASE, 5)], Some(unknown()), Verdict::Needed)]
#[case::an_older_base(vec![hold(BASE, 5), hold(BASE, 9)], None, Verdict::Stale)]
#[case::a_base_of_nobody_known(vec![hold(BASE, 5)], None, Verdict::Unsure)]
#[case::the_newest_bookmark(vec![mark(5)], Some(Knowledge::Quiet), Verdict::Needed)]
#[case::an_older_bookmark(vec![mark(5), mark(9)], Some(Knowledge::Quiet), Verdict::Stale)]
#[case::an_older_bookmark_in_a_step(vec![mark(5), mark(9)], Some(needed()), Verdict::Needed)]
#[case::an_older_bookmark_of_nobody(vec![mark(5), mark(9)], None, Verdict::Unsure)]
fn the_first_one_is_judged(
    #[case] holdings: Vec<Holding>,
    #[case] knowledge: Option<Knowledge>,
    #[case] expected: Verdict,
) {
    let judgements = judge(&holdings, &evidence(knowledge.clone()));
    assert_eq!(judgements[0].verdict, expected, "{}", judgements[0].why);
    assert_eq!(judgements[0].replica.is_some(), knowledge.is_some());
}

#[test]
fn what_needs_it_wins_over_what_does_not() {
    for order in [[needed(), Knowledge::Quiet, unknown()], [Knowledge::Quiet, unknown(), needed()]] {
        let mut evidence = Evidence::default();
        for knowledge in order {
            evidence.add("aaaaaaaa", "x", knowledge);
        }
        assert_eq!(evidence.of("aaaaaaaa"), Some(&needed()));
    }
}

#[test]
fn another_datasets_bookmarks_prove_nothing() {
    let mut other = mark(9);
    let label = "tank/b#zfs-sync:9:aaaaaaaa".parse().unwrap();
    other.place = Place::Bookmark(zfs_sync_zfs::command::OwnBookmark::new(label).unwrap());
    let judgements = judge(&[hold(STEP, 5), other], &Evidence::default());
    assert_eq!(judgements[0].verdict, Verdict::Unsure);
}
