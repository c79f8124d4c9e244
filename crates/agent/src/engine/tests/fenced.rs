//! Nothing is destroyed once the lease may have ended, whatever has been done by then.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use rstest::rstest;

use super::*;

const LEASE: Duration = Duration::from_secs(15);

#[derive(Clone, Copy, Debug)]
enum Work {
    RollBack,
    Destroy,
}

/// Everything that a step may take away is there: snapshots, a bookmark of ours, an interrupted receive, what was written.
async fn prepare(work: Work) -> (World, Step) {
    let world = World::new();
    world.converge().await;
    for label in ["two", "three"] {
        world.grow(label, 100_000);
        world.converge().await;
    }
    if matches!(work, Work::Destroy) {
        let step = world.destroy_step(&["two", "one"], "three").await;
        return (world, step);
    }
    world.grow("four", 400_000);
    world.source.faults().cut_stream_after(150_000);
    world.execute(&world.step().await).await;
    assert!(world.target_dataset().await.unwrap().properties.partial.is_some());
    world.target.bookmark("backup/a@two", "zfs-sync:1f:0a0b0c0d").unwrap();
    let step = world.give_up_step("one").await;
    (world, step)
}

const fn takes_something_away(command: &Command) -> bool {
    matches!(
        command,
        Command::DestroySnapshot { .. }
            | Command::DestroyBookmark { .. }
            | Command::RollBack { .. }
            | Command::AbortReceive { .. }
    )
}

async fn execute_fenced(world: &World, step: &Step, fence: &Fence) -> Execution {
    let (source, target) = (world.source.runner(), world.target.remote_runner());
    let (source_features, target_features) = world.features().await;
    let sides = Sides {
        source: &*source,
        target: &*target,
        source_features: &source_features,
        target_features: &target_features,
    };
    execute(step, &sides, &Recorder::default(), &CancellationToken::new(), Some(fence)).await
}

#[rstest]
#[tokio::test]
async fn when_the_lease_ends_at_a_command_nothing_is_taken_away_after_it(
    #[values(Work::RollBack, Work::Destroy)] work: Work,
) {
    let mut stopped = 0;
    for last in 0.. {
        let (world, step) = prepare(work).await;
        let clock = Arc::new(ManualBootClock::default());
        let fence = Fence::new(clock.clone(), LEASE);
        fence.renewed(fence.now());
        let count = Arc::new(AtomicUsize::new(0));
        let late = Arc::new(Mutex::new(Vec::new()));
        let (counted, seen) = (Arc::clone(&count), Arc::clone(&late));
        let watch = move |command: &Command| {
            let number = counted.fetch_add(1, Ordering::Relaxed);
            if number == last {
                clock.advance(LEASE);
            } else if number > last && takes_something_away(command) {
                seen.lock().unwrap().push(command.display_line());
            }
            false
        };
        world.target.faults().fail_next(watch, "");
        let execution = execute_fenced(&world, &step, &fence).await;
        assert_eq!(*late.lock().unwrap(), Vec::<String>::new(), "after command {last}");
        if count.load(Ordering::Relaxed) <= last {
            assert_eq!(execution.outcome, TransferOutcome::Succeeded, "nothing ended");
            break;
        }
        if execution.outcome == TransferOutcome::Succeeded {
            continue;
        }
        stopped += 1;
        let (code, _, retryable) = failed(&execution);
        assert_eq!((code, retryable), ("E_WITNESS_UNREACHABLE", true), "after command {last}");
        // The next lease finishes it, or what was seen can not be told any more and it is decided anew.
        let (again, _) = world.execute(&step).await;
        if again.outcome != TransferOutcome::Succeeded {
            assert!(stale(&again).contains("were written to"), "after command {last}: {again:?}");
            world.succeed(&world.give_up_step("one").await).await;
        }
        let left = world.target_labels().await;
        assert_eq!(left, [if matches!(work, Work::RollBack) { "one" } else { "three" }]);
    }
    assert!(stopped >= 5, "{stopped}");
}

#[tokio::test]
async fn renewals_keep_it_going() {
    let (world, step) = prepare(Work::RollBack).await;
    let clock = Arc::new(ManualBootClock::default());
    let fence = Arc::new(Fence::new(clock.clone(), LEASE));
    fence.renewed(fence.now());
    let renewing = Arc::clone(&fence);
    let watch = move |_: &Command| {
        renewing.renewed(renewing.now());
        clock.advance(LEASE / 2);
        false
    };
    world.target.faults().fail_next(watch, "");
    let execution = execute_fenced(&world, &step, &fence).await;
    assert_eq!(execution.outcome, TransferOutcome::Succeeded);
}

#[tokio::test]
async fn who_wants_to_stop_need_not_wait_for_a_renewal() {
    let (world, step) = prepare(Work::Destroy).await;
    let fence = Fence::new(Arc::new(ManualBootClock::default()), Duration::from_hours(1));
    let (source, target) = (world.source.runner(), world.target.remote_runner());
    let (source_features, target_features) = world.features().await;
    let sides = Sides {
        source: &*source,
        target: &*target,
        source_features: &source_features,
        target_features: &target_features,
    };
    let (recorder, cancel) = (Recorder::default(), CancellationToken::new());
    let cancelling = async {
        while recorder.log().stages.last() != Some(&Stage::Destroying) {
            tokio::task::yield_now().await;
        }
        cancel.cancel();
    };
    let (execution, ()) = tokio::join!(execute(&step, &sides, &recorder, &cancel, Some(&fence)), cancelling);
    assert_eq!(execution.outcome, TransferOutcome::Cancelled);
    assert_eq!(world.target_labels().await, ["one", "two", "three"]);
}

#[tokio::test]
async fn without_a_lease_a_target_keeps_its_name() {
    let mut world = World::new();
    world.converge().await;
    world.target.snapshot("backup/a@mine").unwrap();
    world.grow("two", 100_000);
    world.policy = OnDivergence::KeepBoth;
    let step = world.step().await;
    assert!(matches!(step.action, Action::SetAside { .. }), "{step:?}");
    let fence = Fence::new(Arc::new(ManualBootClock::default()), Duration::from_millis(20));
    let execution = execute_fenced(&world, &step, &fence).await;
    assert_eq!(failed(&execution).0, "E_WITNESS_UNREACHABLE");
    assert!(world.target_dataset().await.is_some(), "it was renamed");
    world.succeed(&step).await;
}

#[tokio::test]
async fn without_a_lease_what_an_interrupted_receive_has_brought_stays() {
    let world = World::new();
    world.converge().await;
    world.grow("two", 400_000);
    world.source.faults().cut_stream_after(150_000);
    let cut = world.step().await;
    world.execute(&cut).await;
    world.source.release(&cut.protection().step_hold(), "tank/a@two").unwrap();
    world.source.destroy_snapshot("tank/a@two").unwrap();
    world.grow("three", 1000);
    let step = world.step().await;
    let fence = Fence::new(Arc::new(ManualBootClock::default()), Duration::from_millis(20));
    let execution = execute_fenced(&world, &step, &fence).await;
    assert_eq!(failed(&execution).0, "E_WITNESS_UNREACHABLE");
    assert!(world.target_dataset().await.unwrap().properties.partial.is_some(), "it was discarded");
    world.succeed(&step).await;
}
