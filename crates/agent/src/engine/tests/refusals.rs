//! When the world is another than the plan's, nothing is done.

use super::{super::as_clone::Origins, *};

/// A target in sync, a newer snapshot on the source, and the step that was planned then.
async fn behind() -> (World, Step) {
    let world = World::new();
    world.converge().await;
    world.grow("two", 100_000);
    let step = world.step().await;
    (world, step)
}

async fn refused(world: &World, step: &Step) -> String {
    let before = (world.target_dataset().await, world.source_holds().await);
    let (execution, _) = world.execute(step).await;
    assert_eq!((world.target_dataset().await, world.source_holds().await), before, "nothing has changed");
    assert_eq!((execution.bytes, execution.settled), (0, Settled::Untouched));
    stale(&execution).to_owned()
}

#[tokio::test]
async fn a_target_that_was_written_to_is_left_alone() {
    let (world, step) = behind().await;
    world.target.set_readonly("backup/a", false).unwrap();
    world.target.write("backup/a", 10).unwrap();
    let detail = refused(&world, &step).await;
    assert!(detail.contains("written to backup/a"), "{detail}");
}

#[tokio::test]
async fn a_target_with_a_snapshot_of_its_own_is_left_alone() {
    let (world, step) = behind().await;
    world.target.snapshot("backup/a@mine").unwrap();
    let detail = refused(&world, &step).await;
    assert!(detail.contains("@mine"), "{detail}");
}

#[tokio::test]
async fn a_target_that_diverged_in_the_middle_of_a_plan_is_told_apart() {
    let (world, mut step) = behind().await;
    world.target.snapshot("backup/a@mine").unwrap();
    // As if the plan had been made with this newest snapshot.
    let newest = world.target_dataset().await.unwrap().newest().unwrap().guid;
    send_of_mut(&mut step).target_newest = Some(newest);
    let detail = refused(&world, &step).await;
    assert!(detail.contains("has snapshots that tank/a has not"), "{detail}");
}

#[tokio::test]
async fn a_target_that_appeared_is_not_overwritten() {
    let world = World::new();
    let step = world.step().await;
    world.target.create_dataset("backup/a", DatasetKind::Filesystem).unwrap();
    let detail = refused(&world, &step).await;
    assert!(detail.contains("exists and has no snapshot"), "{detail}");
}

#[tokio::test]
async fn a_source_that_is_another_dataset_is_not_sent() {
    let (world, step) = behind().await;
    world.source.rename_dataset("tank/a", "tank/old").unwrap();
    let detail = refused_without_source(&world, &step).await;
    assert!(detail.contains("does not exist any more"), "{detail}");
    world.source.create_dataset("tank/a", DatasetKind::Filesystem).unwrap();
    world.grow("two", 10);
    let detail = refused(&world, &step).await;
    assert!(detail.contains("another dataset"), "{detail}");
}

async fn refused_without_source(world: &World, step: &Step) -> String {
    stale(&world.execute(step).await.0).to_owned()
}

#[tokio::test]
async fn a_destroyed_end_is_no_end() {
    let (world, step) = behind().await;
    world.source.destroy_snapshot("tank/a@two").unwrap();
    world.grow("two", 50_000);
    let detail = refused(&world, &step).await;
    assert!(detail.contains("was destroyed"), "the same name with another GUID: {detail}");
}

#[tokio::test]
async fn a_base_that_became_a_bookmark_does_not_skip_what_lies_between() {
    let (world, _) = behind().await;
    world.grow("three", 100_000);
    let step = world.step().await;
    world.source.destroy_snapshot("tank/a@one").unwrap();
    let detail = refused(&world, &step).await;
    assert!(detail.contains("only a bookmark is left"), "{detail}");
}

#[tokio::test]
async fn a_partial_whose_snapshot_lives_is_not_discarded() {
    let (world, _) = behind().await;
    world.source.faults().cut_stream_after(80_000);
    let cut = world.step().await;
    world.execute(&cut).await;
    // The target goes back to before the base of the partial receive, somehow.
    let step = Step {
        action: Action::Send(Send { resume: false, discard_partial: None, ..send_of(&cut).clone() }),
        ..cut
    };
    let mut view = view(&world).await;
    let partial = view.target.as_mut().unwrap().properties.partial.as_mut().unwrap();
    partial.from_guid = Some(Guid::new(7));
    match super::super::route::choose(&step, send_of(&step), &view, &Origins::default()) {
        Err(Failure::Failed { code, retryable, .. }) => {
            assert_eq!((code.as_str(), retryable), ("E_RECV_PARTIAL_STATE", true));
        }
        other => panic!("{other:?}"),
    }
    // A token that nobody can read is no reason to discard what it stands for.
    view.target.as_mut().unwrap().properties.partial = None;
    match super::super::route::choose(&step, send_of(&step), &view, &Origins::default()) {
        Err(Failure::Failed { code, .. }) => assert_eq!(code, "E_RESUME_TOKEN_INVALID"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_plain_partial_of_an_encrypted_source_is_not_continued() {
    let (world, _) = behind().await;
    world.source.faults().cut_stream_after(80_000);
    let mut step = world.step().await;
    world.execute(&step).await;
    send_of_mut(&mut step).raw = true;
    match super::super::route::choose(&step, send_of(&step), &view(&world).await, &Origins::default()) {
        Err(Failure::Failed { code, detail, .. }) => {
            assert_eq!(code, "E_RECV_PARTIAL_STATE");
            assert!(detail.contains("not raw"), "{detail}");
        }
        other => panic!("{other:?}"),
    }
}

async fn view(world: &World) -> super::super::view::View {
    let (source_features, target_features) = world.features().await;
    let (source, target) = (world.source.runner(), world.target.runner());
    let sides = Sides {
        source: &*source,
        target: &*target,
        source_features: &source_features,
        target_features: &target_features,
    };
    let step =
        Step { source: "tank/a".parse().unwrap(), target: "backup/a".parse().unwrap(), ..world.step().await };
    super::super::view::View::read(&step, &sides).await.unwrap()
}

#[tokio::test]
async fn a_full_pool_is_a_failure_with_its_words() {
    let (world, step) = behind().await;
    let held = world.source_holds().await;
    world.target.set_capacity("backup", 400_000).unwrap();
    let (execution, _) = world.execute(&step).await;
    let (code, detail, retryable) = failed(&execution);
    assert_eq!((code, retryable), ("E_RECV_NO_SPACE", true));
    assert!(detail.contains("are missing") && detail.contains("nas2"), "{detail}");
    assert_eq!(execution.bytes, 0, "a stream that has no room is not begun");
    assert!(world.target_dataset().await.unwrap().properties.partial.is_none());
    assert_eq!(world.source_holds().await, held, "and leaves nothing behind");
}

#[tokio::test]
async fn a_pool_that_gets_full_on_the_way_keeps_what_it_has_and_goes_on_when_there_is_room() {
    let (world, step) = behind().await;
    world.target.set_capacity("backup", 400_000).unwrap();
    // Without an estimate nothing can be said before.
    world.source.faults().fail_next(|command| matches!(command, Command::Estimate(_)), "cannot estimate\n");
    let (execution, _) = world.execute(&step).await;
    let (code, detail, retryable) = failed(&execution);
    assert_eq!((code, retryable), ("E_RECV_NO_SPACE", true));
    assert!(detail.contains("out of space") && detail.contains("nas2"), "{detail}");
    world.target.set_capacity("backup", 1 << 30).unwrap();
    let (execution, _) = world.execute(&world.step().await).await;
    assert_eq!(execution.outcome, TransferOutcome::Succeeded);
}

#[tokio::test]
async fn an_unreachable_host_is_a_failure_that_can_be_tried_again() {
    let (world, step) = behind().await;
    world.target.faults().offline(true);
    let (execution, _) = world.execute(&step).await;
    assert_eq!((failed(&execution).0, failed(&execution).2), ("E_SSH_UNREACHABLE", true));
}

#[tokio::test]
async fn nothing_is_held_that_could_not_be_written_down() {
    let (world, step) = behind().await;
    let recorder = Recorder { broken: true, ..Recorder::default() };
    let (source, target) = (world.source.runner(), world.target.runner());
    let execution = world.execute_with(&step, &*source, &*target, &recorder).await;
    assert_eq!(failed(&execution).0, "E_LEDGER_INVALID");
    assert_eq!(world.source_holds().await, []);
    assert_eq!(world.target_dataset().await.unwrap().snapshots.len(), 1);
}

#[tokio::test]
async fn a_cancelled_transfer_keeps_what_came() {
    let world = World::empty(DatasetKind::Filesystem);
    world.grow("one", 20_000_000);
    world.source.faults().slow(Some(2_000_000));
    let step = world.step().await;
    let recorder = Recorder::default();
    let cancel = CancellationToken::new();
    let (source_features, target_features) = world.features().await;
    let (source, target) = (world.source.runner(), world.target.runner());
    let sides = Sides {
        source: &*source,
        target: &*target,
        source_features: &source_features,
        target_features: &target_features,
    };
    let cancelling = async {
        while recorder.counter.bytes() < 200_000 {
            tokio::task::yield_now().await;
        }
        cancel.cancel();
    };
    let (execution, ()) = tokio::join!(execute(&step, &sides, &recorder, &cancel, None), cancelling);
    assert_eq!(execution.outcome, TransferOutcome::Cancelled);
    assert_eq!(execution.settled, Settled::Waiting);
    world.source.faults().slow(None);
    let (execution, _) = world.execute(&world.step().await).await;
    assert_eq!(execution.outcome, TransferOutcome::Succeeded);
    assert!(execution.resumed_from.is_some_and(|bytes| bytes > 0));
    world.assert_tidy().await;
}

#[tokio::test]
async fn an_encrypted_source_is_never_sent_in_the_clear_whoever_planned_it() {
    let world = World::empty(DatasetKind::Filesystem);
    world.source.destroy_dataset("tank/a").unwrap();
    world.source.create_encrypted_dataset("tank/a", DatasetKind::Filesystem).unwrap();
    world.grow("one", 300_000);
    let mut step = world.step().await;
    send_of_mut(&mut step).raw = false;
    let detail = refused(&world, &step).await;
    assert!(detail.contains("in the clear"), "{detail}");
}

#[tokio::test]
async fn what_waits_on_the_target_is_not_discarded_for_a_stream_that_has_no_room() {
    let world = World::new();
    world.source.faults().cut_stream_after(200_000);
    let cut = world.step().await;
    world.execute(&cut).await;
    world.grow("two", 900_000);
    world.source.release(&cut.protection().step_hold(), "tank/a@one").unwrap();
    world.source.destroy_snapshot("tank/a@one").unwrap();
    let step = world.step().await;
    assert!(send_of(&step).discard_partial.is_some(), "{step:?}");
    let before = world.target_dataset().await.unwrap().properties.partial.unwrap();
    world.target.set_capacity("backup", 400_000).unwrap();
    let (execution, recorder) = world.execute(&step).await;
    assert_eq!(failed(&execution).0, "E_RECV_NO_SPACE", "{recorder:?}");
    assert_eq!(world.target_dataset().await.unwrap().properties.partial.unwrap().bytes, before.bytes);
    world.target.set_capacity("backup", 1 << 30).unwrap();
    let (execution, recorder) = world.execute(&step).await;
    assert_eq!(execution.outcome, TransferOutcome::Succeeded, "{recorder:?}");
    assert!(recorder.log().warnings.iter().any(|warning| warning.contains("are lost")), "{recorder:?}");
}
