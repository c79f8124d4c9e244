//! Data arrives, by the shortest way there is.

use super::*;

#[tokio::test]
async fn a_full_stream_seeds_and_tells_what_it_does() {
    let world = World::new();
    let step = world.step().await;
    let (execution, recorder) = world.execute(&step).await;
    assert_eq!(execution.outcome, TransferOutcome::Succeeded);
    assert!(execution.bytes >= 300_000, "{execution:?}");
    assert_eq!((execution.resumed_from, execution.settled), (None, Settled::Clean));
    world.assert_in_sync().await;
    world.assert_tidy().await;
    let log = recorder.log();
    let stages = [Stage::Preparing, Stage::Sending, Stage::Verifying, Stage::Finishing];
    assert_eq!(log.stages, stages);
    let (total, resumed) = log.expected.unwrap();
    assert!(total.is_some_and(|total| total >= 300_000), "{total:?}");
    assert_eq!(resumed, None);
    assert_eq!(log.warnings, Vec::<String>::new());
}

#[tokio::test]
async fn an_incremental_brings_every_snapshot_between() {
    let world = World::new();
    world.converge().await;
    for label in ["two", "three", "four"] {
        world.grow(label, 100_000);
    }
    assert_eq!(world.converge().await, 1);
    world.assert_in_sync().await;
    world.assert_tidy().await;
    assert_eq!(world.target_dataset().await.unwrap().snapshots.len(), 4);
}

#[tokio::test]
async fn a_volume_and_its_missing_parents_are_made() {
    let world = World::empty(DatasetKind::Volume);
    world.grow("one", 100_000);
    let mut step = world.step().await;
    step.target = "backup/x/y/a".parse().unwrap();
    // From the bottom, to see that the order is the engine's.
    send_of_mut(&mut step).create_parents = vec!["backup/x/y".parse().unwrap(), "backup/x".parse().unwrap()];
    for _ in 0..2 {
        let (execution, _) = world.execute(&step).await;
        assert_eq!(execution.outcome, TransferOutcome::Succeeded);
    }
    let inventory = world.inventory(&world.target).await;
    let found = &inventory.datasets[&"backup/x/y/a".parse().unwrap()];
    assert_eq!((found.properties.kind, found.snapshots.len()), (DatasetKind::Volume, 1));
    assert!(inventory.datasets[&"backup/x".parse().unwrap()].properties.readonly);
}

#[tokio::test]
async fn a_block_that_can_not_be_read_is_told_apart_and_not_tried_for_ever() {
    let world = World::new();
    world.source.faults().unreadable_after(200_000);
    let (execution, _) = world.execute(&world.step().await).await;
    let (code, detail, retryable) = failed(&execution);
    assert_eq!((code, retryable), ("E_SOURCE_UNREADABLE", false), "{detail}");
    assert!(detail.contains("Input/output error"), "{detail}");
    // What had arrived is kept, and continued once the block can be read again.
    let (execution, _) = world.execute(&world.step().await).await;
    assert_eq!(execution.outcome, TransferOutcome::Succeeded);
    assert!(execution.resumed_from.is_some_and(|bytes| bytes > 0), "{execution:?}");
    world.assert_in_sync().await;
}

#[tokio::test]
async fn a_receive_that_somebody_else_runs_just_now_is_busy_and_left_alone() {
    let world = World::new();
    world.grow("two", 3_000_000);
    let step = world.step().await;
    assert_eq!(world.execute(&step).await.0.outcome, TransferOutcome::Succeeded);
    let step = world.step().await;
    // Slow until the second attempt has ended, whatever this machine is busy with besides.
    world.source.faults().slow(Some(300_000));
    let first = world.execute(&step);
    let second = async {
        while world.target_dataset().await.is_none_or(|target| target.properties.partial.is_none()) {
            tokio::task::yield_now().await;
        }
        let ended = world.execute(&world.step().await).await;
        world.source.faults().slow(None);
        ended
    };
    let ((first, _), (second, _)) = tokio::join!(first, second);
    let (code, detail, retryable) = failed(&second);
    assert_eq!((code, retryable), ("E_RECV_BUSY", true), "{detail}");
    assert!(detail.contains("another receive into backup/a is under way"), "{detail}");
    assert_eq!(first.outcome, TransferOutcome::Succeeded);
    world.assert_in_sync().await;
    world.assert_tidy().await;
}

#[tokio::test]
async fn a_snapshot_made_on_the_target_during_a_receive_asks_for_a_new_plan() {
    let world = World::new();
    world.converge().await;
    world.grow("two", 3_000_000);
    let step = world.step().await;
    world.source.faults().slow(Some(300_000));
    let execution = world.execute(&step);
    let snapshotter = async {
        while world.target_dataset().await.is_none_or(|target| target.properties.partial.is_none()) {
            tokio::task::yield_now().await;
        }
        world.target.snapshot("backup/a@mine").unwrap();
        world.source.faults().slow(None);
    };
    let ((execution, _), ()) = tokio::join!(execution, snapshotter);
    // Whatever words ZFS has for it, it is not a feature that is missing.
    let detail = stale(&execution);
    assert!(detail.contains("has @mine by now"), "{detail}");
    let target = world.target_dataset().await.unwrap();
    assert_eq!(target.newest().unwrap().label.as_str(), "mine");
    assert!(target.properties.partial.is_some(), "what has arrived is kept");
}

#[tokio::test]
async fn a_cut_stream_is_resumed_where_it_broke() {
    let world = World::new();
    world.source.faults().cut_stream_after(200_000);
    let (execution, _) = world.execute(&world.step().await).await;
    assert!(failed(&execution).2, "worth another try: {execution:?}");
    assert_eq!(execution.settled, Settled::Waiting);
    assert_eq!(world.source_holds().await, [("one".to_owned(), "step".to_owned())]);
    // Were everything to end right after the last byte, the next step would have its base.
    let source = world.source_dataset().await;
    assert_eq!(source.bookmarks[0].guid, source.snapshots[0].guid);

    let step = world.step().await;
    assert!(send_of(&step).resume);
    let (execution, recorder) = world.execute(&step).await;
    assert_eq!(execution.outcome, TransferOutcome::Succeeded);
    let before = execution.resumed_from.expect("it resumed");
    assert!(before > 0 && execution.bytes < 300_000, "{execution:?}");
    assert_eq!(recorder.log().expected.unwrap().1, Some(before));
    world.assert_in_sync().await;
    world.assert_tidy().await;
}

#[tokio::test]
async fn a_resume_after_a_rename_goes_by_guid() {
    let world = World::new();
    world.source.faults().cut_stream_after(200_000);
    world.execute(&world.step().await).await;
    world.source.rename_snapshot("tank/a@one", "renamed").unwrap();
    let (execution, _) = world.execute(&world.step().await).await;
    assert_eq!(execution.outcome, TransferOutcome::Succeeded);
    assert!(execution.resumed_from.is_some());
    world.assert_in_sync().await;
}

#[tokio::test]
async fn what_is_cut_after_the_first_of_several_snapshots_resumes_at_that_one() {
    let world = World::new();
    world.converge().await;
    for label in ["two", "three", "four"] {
        world.grow(label, 200_000);
    }
    world.source.faults().cut_stream_after(350_000);
    let (execution, _) = world.execute(&world.step().await).await;
    assert_eq!(execution.settled, Settled::Waiting);
    // Nobody had held the snapshot in the middle before: its token would die with it.
    let held: Vec<String> = world.source_holds().await.into_iter().map(|(label, _)| label).collect();
    assert_eq!(held, ["two", "three"]);
    assert_eq!(world.converge().await, 2);
    world.assert_in_sync().await;
    world.assert_tidy().await;
}

#[tokio::test]
async fn snapshots_renamed_since_the_plan_are_found_by_guid() {
    let world = World::new();
    world.converge().await;
    world.grow("two", 100_000);
    let step = world.step().await;
    world.source.rename_snapshot("tank/a@one", "uno").unwrap();
    world.source.rename_snapshot("tank/a@two", "due").unwrap();
    let (execution, _) = world.execute(&step).await;
    assert_eq!(execution.outcome, TransferOutcome::Succeeded);
    world.assert_in_sync().await;
    world.assert_tidy().await;
}

#[tokio::test]
async fn a_destroyed_base_is_replaced_by_its_bookmark() {
    let world = World::new();
    world.converge().await;
    world.grow("two", 100_000);
    world.grow("three", 100_000);
    world.source.destroy_snapshot("tank/a@one").unwrap();
    // A bookmark takes one snapshot at a time; what lies between is not lost.
    assert_eq!(world.converge().await, 2);
    world.assert_in_sync().await;
    world.assert_tidy().await;
    assert_eq!(world.target_dataset().await.unwrap().snapshots.len(), 3);
}

#[tokio::test]
async fn a_base_that_became_a_bookmark_after_the_plan_serves_when_nothing_lies_between() {
    let world = World::new();
    world.converge().await;
    world.grow("two", 100_000);
    let step = world.step().await;
    world.source.destroy_snapshot("tank/a@one").unwrap();
    let (execution, _) = world.execute(&step).await;
    assert_eq!(execution.outcome, TransferOutcome::Succeeded);
    world.assert_in_sync().await;
}

#[tokio::test]
async fn what_is_there_already_is_done() {
    let world = World::new();
    let step = world.step().await;
    world.execute(&step).await;
    let (execution, recorder) = world.execute(&step).await;
    assert_eq!(execution.outcome, TransferOutcome::Succeeded);
    assert_eq!((execution.bytes, execution.settled), (0, Settled::Clean));
    assert_eq!(recorder.log().notes, vec![], "nothing was held for it");
    world.assert_tidy().await;
}

#[tokio::test]
async fn an_encrypted_source_travels_raw() {
    let world = World::empty(DatasetKind::Filesystem);
    world.source.destroy_dataset("tank/a").unwrap();
    world.source.create_encrypted_dataset("tank/a", DatasetKind::Filesystem).unwrap();
    world.grow("one", 300_000);
    world.source.faults().cut_stream_after(200_000);
    let step = world.step().await;
    assert!(send_of(&step).raw);
    world.execute(&step).await;
    let partial = world.target_dataset().await.unwrap().properties.partial.unwrap();
    assert!(partial.raw);
    world.converge().await;
    world.grow("two", 100_000);
    world.converge().await;
    assert!(world.target_dataset().await.unwrap().properties.encrypted);
    world.assert_in_sync().await;
}

#[tokio::test]
async fn a_dead_partial_is_discarded_first() {
    let world = World::new();
    world.source.faults().cut_stream_after(200_000);
    let cut = world.step().await;
    world.execute(&cut).await;
    world.grow("two", 100_000);
    // Somebody takes our hold away and destroys what was being sent.
    world.source.release(&cut.protection().step_hold(), "tank/a@one").unwrap();
    world.source.destroy_snapshot("tank/a@one").unwrap();
    let step = world.step().await;
    assert!(send_of(&step).discard_partial.is_some(), "{step:?}");
    let (execution, recorder) = world.execute(&step).await;
    assert_eq!(execution.outcome, TransferOutcome::Succeeded);
    assert!(recorder.log().warnings.iter().any(|warning| warning.contains("are lost")), "{recorder:?}");
    world.assert_in_sync().await;
    assert_eq!(world.source_holds().await, []);
}

#[tokio::test]
async fn a_token_of_another_dataset_is_not_continued() {
    let world = World::new();
    world.source.rename_dataset("tank/a", "tank/other").unwrap();
    let step = Step {
        target: "backup/a".parse().unwrap(),
        receiver: zfs_sync_core::plan::Receiver::new(system(2), &"backup/a".parse().unwrap()),
        ..world.plan().await.0.steps.into_iter().find(|step| step.source.as_str() == "tank/other").unwrap()
    };
    world.source.faults().cut_stream_after(150_000);
    world.execute(&step).await;
    world.source.rename_dataset("tank/other", "tank/a").unwrap();
    let partial = world.target_dataset().await.unwrap().properties.partial.unwrap();
    assert_eq!(partial.to_name, "tank/other@one");
    let (execution, recorder) = world.execute(&world.step().await).await;
    assert_eq!(
        (&execution.outcome, execution.resumed_from),
        (&TransferOutcome::Succeeded, None),
        "{recorder:?}"
    );
    assert!(recorder.log().warnings[0].contains("discarded"), "{recorder:?}");
    world.assert_in_sync().await;
    world.assert_tidy().await;
}

#[tokio::test]
async fn a_target_that_goes_away_before_the_stream_is_planned_anew() {
    let world = World::new();
    world.converge().await;
    world.grow("two", 1000);
    let step = world.step().await;
    let target = world.target.clone();
    // Everything was looked at, and nothing was sent yet.
    world.source.faults().fail_next(
        move |command| {
            if matches!(command, Command::Send(_)) {
                target.rename_dataset("backup/a", "backup/b").unwrap();
            }
            false
        },
        "never said",
    );
    let (execution, _) = world.execute(&step).await;
    assert!(stale(&execution).contains("does not exist"), "{execution:?}");
}
