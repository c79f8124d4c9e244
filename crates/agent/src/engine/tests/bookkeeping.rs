//! Holds and bookmarks: never too few, never too many, never somebody else's.

use std::sync::atomic::Ordering;

use super::*;

#[tokio::test]
async fn holds_are_written_down_before_they_are_placed() {
    let world = World::new();
    world.converge().await;
    world.grow("two", 100_000);
    // The hold itself fails: what was written down must be there all the same.
    // For both ends at once, and for one alone.
    for _ in 0..2 {
        world.source.faults().fail_next(
            |command| matches!(command, Command::Hold { .. } | Command::HoldAll { .. }),
            "cannot hold snapshot 'tank/a@one': permission denied\n",
        );
    }
    let step = world.step().await;
    let (execution, recorder) = world.execute(&step).await;
    assert_eq!(failed(&execution).0, "E_ZFS_PERMISSION");
    let log = recorder.log();
    let noted: Vec<_> = log.notes.iter().map(|note| (note.label.as_str(), note.side)).collect();
    assert_eq!(noted, [("one", Side::Source), ("two", Side::Source)]);
    assert!(log.notes.iter().all(|note| note.tag == step.protection().step_hold()));
}

#[tokio::test]
async fn foreign_holds_and_bookmarks_stay() {
    let world = World::new();
    world.converge().await;
    world.source.hold("keep", "tank/a@one").unwrap();
    world.source.bookmark("tank/a@one", "mine").unwrap();
    world.target.hold("keep", "backup/a@one").unwrap();
    world.grow("two", 100_000);
    world.converge().await;
    assert_eq!(world.source_holds().await, [("one".to_owned(), String::new())]);
    let held = world.target_holds().await;
    assert_eq!(held, [("one".to_owned(), String::new()), ("two".to_owned(), "base".to_owned())]);
    let bookmarks = world.source_dataset().await.bookmarks;
    let labels: Vec<_> = bookmarks.iter().map(|bookmark| bookmark.label.as_str()).collect();
    assert_eq!(labels.len(), 2, "{labels:?}");
    assert_eq!(labels[0], "mine");
}

#[tokio::test]
async fn another_receivers_protection_stays() {
    let world = World::new();
    world.converge().await;
    let other = Protection::new(
        world.source_dataset().await.properties.guid,
        zfs_sync_core::plan::Receiver::new(system(3), &"pool/a".parse().unwrap()),
    );
    world.source.hold(&other.step_hold(), "tank/a@one").unwrap();
    let guid = world.source_dataset().await.snapshots[0].guid;
    world.source.bookmark("tank/a@one", other.bookmark(guid).as_str()).unwrap();
    world.grow("two", 100_000);
    world.converge().await;
    assert_eq!(world.source_holds().await, [("one".to_owned(), "step".to_owned())]);
    assert_eq!(world.source_dataset().await.bookmarks.len(), 2);
}

#[tokio::test]
async fn without_bookmarks_the_transfer_goes_on_and_says_so() {
    let world = World::new();
    for _ in 0..2 {
        world.source.faults().fail_next(
            |command| matches!(command, Command::Bookmark { .. }),
            "cannot create bookmark 'tank/a#x': permission denied\n",
        );
    }
    let (execution, recorder) = world.execute(&world.step().await).await;
    assert_eq!(execution.outcome, TransferOutcome::Succeeded);
    assert_eq!(execution.settled, Settled::Open, "to be tried again");
    assert!(recorder.log().warnings.iter().all(|warning| warning.contains("could not bookmark tank/a@one")));
    assert!(!recorder.log().warnings.is_empty());
}

#[tokio::test]
async fn what_could_not_be_released_is_released_later() {
    let world = World::new();
    // Unseen, and after looking.
    for _ in 0..2 {
        world.source.faults().fail_next(
            |command| matches!(command, Command::Release { .. } | Command::ReleaseAll { .. }),
            "cannot release: dataset is busy\n",
        );
    }
    let step = world.step().await;
    let (execution, _) = world.execute(&step).await;
    assert_eq!((execution.outcome, execution.settled), (TransferOutcome::Succeeded, Settled::Open));
    assert_eq!(world.source_holds().await.len(), 1);
    assert_eq!(world.settle(&step).await, Settled::Clean);
    world.assert_tidy().await;
}

#[tokio::test]
async fn holds_go_when_the_partial_they_wait_for_is_gone() {
    let world = World::new();
    world.source.faults().cut_stream_after(200_000);
    let step = world.step().await;
    world.execute(&step).await;
    assert_eq!(world.settle(&step).await, Settled::Waiting);
    assert_eq!(world.source_holds().await.len(), 1);
    let abort = Command::AbortReceive { dataset: "backup/a".parse().unwrap() };
    world.target.runner().run(&abort).await.unwrap();
    assert_eq!(world.settle(&step).await, Settled::Clean);
    assert_eq!(world.source_holds().await, []);
}

#[tokio::test]
async fn holds_are_found_after_their_dataset_was_renamed() {
    let world = World::new();
    world.source.faults().cut_stream_after(200_000);
    let step = world.step().await;
    world.execute(&step).await;
    world.source.rename_dataset("tank/a", "tank/b").unwrap();
    world.target.destroy_dataset("backup/a").unwrap();
    assert_eq!(world.settle(&step).await, Settled::Clean);
    world.source.destroy_snapshot("tank/b@one").expect("nothing holds it");
}

#[tokio::test]
async fn an_unreachable_host_leaves_it_for_later() {
    let world = World::new();
    let step = world.step().await;
    world.execute(&step).await;
    world.source.faults().offline(true);
    let (source_features, target_features) = (world.features().await.0, world.features().await.1);
    let (source, target) = (world.source.remote_runner(), world.target.runner());
    let sides = Sides {
        source: &*source,
        target: &*target,
        source_features: &source_features,
        target_features: &target_features,
    };
    let recorder = Recorder::default();
    assert_eq!(settle(&step, &sides, &recorder).await, Settled::Open);
    assert_eq!(recorder.log().warnings.len(), 1);
}

#[tokio::test]
async fn a_diverged_target_keeps_its_hold_on_the_last_common_snapshot() {
    let world = World::new();
    let step = world.step().await;
    world.execute(&step).await;
    world.target.snapshot("backup/a@mine").unwrap();
    world.grow("two", 1000);
    assert_eq!(world.settle(&step).await, Settled::Clean);
    assert_eq!(world.target_holds().await, [("one".to_owned(), "base".to_owned())]);
    assert_eq!(world.source_dataset().await.bookmarks.len(), 1);
}

#[tokio::test]
async fn a_source_renamed_in_the_middle_is_looked_after_later() {
    let world = World::new();
    let step = world.step().await;
    let (source, target) = (world.source.clone(), world.target.runner());
    // The rename comes when everything is held and nothing was sent yet.
    let recorder = Recorder::default();
    world.source.faults().fail_next(
        move |command| {
            let now = matches!(command, Command::Send(_));
            if now {
                source.rename_dataset("tank/a", "tank/b").unwrap();
            }
            now
        },
        "cannot open 'tank/a@one': dataset does not exist\n",
    );
    let execution = world.execute_with(&step, &*world.source.runner(), &*target, &recorder).await;
    assert_eq!(execution.settled, Settled::Open, "{execution:?}");
    assert_eq!(world.settle(&step).await, Settled::Clean);
    world.source.destroy_snapshot("tank/b@one").expect("nothing holds it");
}

#[tokio::test]
async fn the_hold_for_a_former_source_goes_when_the_base_moves_on() {
    let world = World::new();
    world.converge().await;
    let receiver = zfs_sync_core::plan::Receiver::new(system(2), &"backup/a".parse().unwrap());
    world.target.hold(&format!("zfs-sync:base:abc:{}", receiver.as_str()), "backup/a@one").unwrap();
    world.target.hold("zfs-sync:base:abc:0a0b0c0d", "backup/a@one").unwrap();
    world.grow("two", 10_000);
    world.converge().await;
    let holds = world.target_holds().await;
    let labels: Vec<_> = holds.iter().map(|(label, _)| label.as_str()).collect();
    assert_eq!(labels, ["one", "two"], "another receiver's hold is not ours to release: {holds:?}");
}

#[tokio::test]
async fn a_source_renamed_while_its_holds_are_released_is_looked_after_later() {
    let world = World::new();
    let step = world.step().await;
    let (source, target) = (world.source.clone(), world.target.runner());
    // The rename comes after the data has arrived.
    let recorder = Recorder::default();
    world.source.faults().fail_next(
        move |command| {
            let now = matches!(command, Command::Release { .. } | Command::ReleaseAll { .. });
            if now {
                source.rename_dataset("tank/a", "tank/b").unwrap();
            }
            now
        },
        "cannot open 'tank/a@one': dataset does not exist\n",
    );
    let execution = world.execute_with(&step, &*world.source.runner(), &*target, &recorder).await;
    assert_eq!(execution.outcome, TransferOutcome::Succeeded);
    assert_eq!(execution.settled, Settled::Open, "{execution:?}");
    assert_eq!(world.settle(&step).await, Settled::Clean);
    world.source.destroy_snapshot("tank/b@one").expect("nothing holds it");
}

#[tokio::test]
async fn of_two_bookmarks_of_the_base_a_replica_takes_its_own() {
    let world = World::new();
    world.converge().await;
    // Other replicas', one before and one after ours by name, which may go at any moment.
    let dataset = world.source_dataset().await;
    let guid = dataset.newest().expect("it has a snapshot").guid;
    let others = ["00000000", "ffffffff"].map(|receiver| format!("zfs-sync:{:x}:{receiver}", guid.get()));
    for other in &others {
        world.source.bookmark("tank/a@one", other).unwrap();
    }
    world.source.destroy_snapshot("tank/a@one").unwrap();
    world.grow("two", 1000);
    let step = world.step().await;
    let source = world.source.clone();
    // It goes between the look and the stream.
    let gone = std::sync::atomic::AtomicBool::new(false);
    world.source.faults().fail_next(
        move |command| {
            if matches!(command, Command::Send(_)) && !gone.swap(true, Ordering::Relaxed) {
                for other in &others {
                    source.destroy_bookmark(&format!("tank/a#{other}")).unwrap();
                }
            }
            false
        },
        "never said",
    );
    world.succeed(&step).await;
    assert_eq!(world.target_labels().await, ["one", "two"]);
}
