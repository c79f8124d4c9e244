//! Holds on snapshots that a promoted clone has taken over.

use std::sync::atomic::{AtomicBool, Ordering};

use zfs_sync_zfs::{
    command::{ReceiveCommand, SendCommand},
    pipeline::{Transfer, transfer},
};

use super::*;

/// A first receive was cut; its end is held, and an operator has promoted a clone of it.
async fn promoted() -> (World, Step, Recorder) {
    let world = World::new();
    world.source.faults().cut_stream_after(200_000);
    let step = world.step().await;
    let (execution, recorder) = world.execute(&step).await;
    assert_eq!(execution.settled, Settled::Waiting);
    world.source.clone_snapshot("tank/a@one", "tank/c").unwrap();
    world.source.promote("tank/c").unwrap();
    (world, step, recorder)
}

#[tokio::test]
async fn a_step_hold_that_went_along_with_a_promoted_snapshot_is_released_where_it_is() {
    let (world, step, recorder) = promoted().await;
    assert_eq!(world.settle_with(&step, &recorder).await, Settled::Clean);
    world.source.destroy_dataset("tank/a").unwrap();
    world.source.destroy_snapshot("tank/c@one").expect("nothing holds it");
}

#[tokio::test]
async fn it_is_found_after_the_former_dataset_was_destroyed() {
    let (world, step, recorder) = promoted().await;
    world.source.destroy_dataset("tank/a").unwrap();
    assert_eq!(world.settle_with(&step, &recorder).await, Settled::Clean);
    world.source.destroy_snapshot("tank/c@one").expect("nothing holds it");
}

#[tokio::test]
async fn only_what_this_replica_has_held_is_released() {
    let (world, step, recorder) = promoted().await;
    let other = Protection::new(
        step.source_guid,
        zfs_sync_core::plan::Receiver::new(system(3), &"pool/a".parse().unwrap()),
    );
    for tag in ["keep".to_owned(), other.step_hold(), step.protection().base_hold()] {
        world.source.hold(&tag, "tank/c@one").unwrap();
    }
    assert_eq!(world.settle_with(&step, &recorder).await, Settled::Clean);
    let found = inventory::read(&*world.source.runner(), &Scope::Everything, &world.features().await.0).await;
    let promoted = found.unwrap().into_iter().find(|dataset| dataset.name.as_str() == "tank/c").unwrap();
    assert_eq!(promoted.snapshots[0].holds, 3);
}

#[tokio::test]
async fn what_can_not_be_looked_at_is_left_for_later() {
    let (world, step, recorder) = promoted().await;
    world.source.create_pool("other", 1 << 30).unwrap();
    world.source.set_suspended("other", true).unwrap();
    assert_eq!(world.settle_with(&step, &recorder).await, Settled::Open, "it could be on that pool");
    world.source.set_suspended("other", false).unwrap();
    world
        .source
        .faults()
        .fail_next(|command| matches!(command, Command::Release { .. }), "cannot release: dataset is busy\n");
    assert_eq!(world.settle_with(&step, &recorder).await, Settled::Open);
    assert_eq!(world.settle_with(&step, &recorder).await, Settled::Clean);
}

#[tokio::test]
async fn where_all_holds_are_found_nothing_else_is_read() {
    let world = World::new();
    let step = world.step().await;
    let whole = |command: &Command| matches!(command, Command::ListHistory { scope: Scope::Everything });
    world.source.faults().fail_next(whole, "cannot open: listed for nothing\n");
    let (execution, _) = world.execute(&step).await;
    assert_eq!((execution.outcome, execution.settled), (TransferOutcome::Succeeded, Settled::Clean));
}

#[tokio::test]
async fn a_hold_is_found_when_another_dataset_takes_the_name_between_two_looks() {
    let world = World::new();
    world.source.faults().cut_stream_after(200_000);
    let step = world.step().await;
    let (_, recorder) = world.execute(&step).await;
    world.target.destroy_dataset("backup/a").unwrap();
    let work = Transfer {
        source: &*world.source.runner(),
        send: &SendCommand::Full {
            to: "tank/a@one".parse().unwrap(),
            form: zfs_sync_core::stream::StreamForm::WHOLE,
        },
        target: &*world.source.runner(),
        receive: &ReceiveCommand::further("tank/copy".parse().unwrap()),
        flow: &zfs_sync_zfs::pipeline::Flow::default(),
        small: false,
    };
    transfer(work, &ProgressCounter::new(), &CancellationToken::new()).await.unwrap();
    let (host, done) = (world.source.clone(), AtomicBool::new(false));
    // Its properties were read, and now its history is.
    world.source.faults().fail_next(
        move |command| {
            let looks = matches!(command, Command::ListHistory { scope: Scope::Only(_) });
            if looks && !done.swap(true, Ordering::Relaxed) {
                host.rename_dataset("tank/a", "tank/b").unwrap();
                host.rename_dataset("tank/copy", "tank/a").unwrap();
            }
            false
        },
        "never said",
    );
    assert_eq!(world.settle_with(&step, &recorder).await, Settled::Clean);
    world.source.destroy_snapshot("tank/b@one").expect("nothing holds it");
}
