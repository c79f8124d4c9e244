//! A target goes back to what it has in common with its source. Nothing goes that was not listed.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// In sync at `one`; then the target got `mine` and `more` of its own.
async fn diverged() -> World {
    let world = World::new();
    world.converge().await;
    world.grow_target(&["mine", "more"]);
    world.grow("two", 100_000);
    world
}

fn discards(step: &mut Step) -> &mut u64 {
    match &mut step.action {
        Action::RollBack { discards, .. } => discards,
        _ => panic!("the step rolls nothing back"),
    }
}

#[tokio::test]
async fn what_is_listed_goes_and_the_target_follows_again() {
    let world = diverged().await;
    let step = world.roll_back_step("one").await;
    let recorder = world.succeed(&step).await;
    let stages = [Stage::Preparing, Stage::Destroying, Stage::Verifying];
    assert_eq!(recorder.log().stages, stages);
    assert_eq!(recorder.log().warnings, Vec::<String>::new());
    assert_eq!(world.target_labels().await, ["one"]);
    assert_eq!(world.target.content("backup/a").unwrap(), world.source.content("tank/a@one").unwrap());
    assert_eq!(world.target_holds().await, [("one".to_owned(), "base".to_owned())]);
    world.succeed(&step).await;
    world.converge().await;
    world.assert_in_sync().await;
    world.assert_tidy().await;
}

#[tokio::test]
async fn a_source_that_was_rolled_back_is_followed_and_our_hold_moves() {
    let world = World::new();
    world.converge().await;
    world.grow("two", 100_000);
    world.converge().await;
    assert_eq!(world.target_holds().await, [("two".to_owned(), "base".to_owned())]);
    world.source.rollback("tank/a@one").unwrap();
    world.grow("three", 100_000);
    world.succeed(&world.roll_back_step("one").await).await;
    assert_eq!(world.target_holds().await, [("one".to_owned(), "base".to_owned())]);
    world.converge().await;
    world.assert_in_sync().await;
    world.assert_tidy().await;
}

#[tokio::test]
async fn a_hold_for_a_former_source_of_the_same_replica_is_ours_too() {
    let world = diverged().await;
    let step = world.roll_back_step("one").await;
    let former = format!("zfs-sync:base:abc:{}", step.receiver.as_str());
    world.target.hold(&former, "backup/a@mine").unwrap();
    world.succeed(&step).await;
    assert_eq!(world.target_labels().await, ["one"]);
}

#[tokio::test]
async fn one_snapshot_more_than_listed_and_none_goes() {
    let world = diverged().await;
    let step = world.roll_back_step("one").await;
    world.target.snapshot("backup/a@unseen").unwrap();
    let execution = world.refuse(&step).await;
    assert!(stale(&execution).contains("@unseen is newer and was not approved"), "{execution:?}");
    world.target.destroy_snapshot("backup/a@unseen").unwrap();
    // In the middle, as if the plan had not seen it.
    let mut step = step;
    if let Action::RollBack { destroys, .. } = &mut step.action {
        destroys.remove(1);
    }
    let execution = world.refuse(&step).await;
    assert!(stale(&execution).contains("@mine is newer and was not approved"), "{execution:?}");
}

#[tokio::test]
async fn one_snapshot_less_than_listed_is_fine() {
    let world = diverged().await;
    let step = world.roll_back_step("one").await;
    world.target.destroy_snapshot("backup/a@mine").unwrap();
    world.succeed(&step).await;
    assert_eq!(world.target_labels().await, ["one"]);
    assert_eq!(world.target_dataset().await.unwrap().properties.written, 0);
}

#[tokio::test]
async fn when_the_newest_is_gone_already_nobody_can_tell_what_was_written_and_it_is_decided_anew() {
    let world = diverged().await;
    let step = world.roll_back_step("one").await;
    // As an attempt left it that died between the last two commands.
    for label in ["mine", "more"] {
        world.target.destroy_snapshot(&format!("backup/a@{label}")).unwrap();
    }
    let execution = world.refuse(&step).await;
    assert!(stale(&execution).contains("were written to backup/a"), "{execution:?}");
    world.succeed(&world.give_up_step("one").await).await;
    assert_eq!(world.target.content("backup/a").unwrap(), world.source.content("tank/a@one").unwrap());
}

#[tokio::test]
async fn a_name_that_another_snapshot_has_now_is_not_destroyed() {
    let world = diverged().await;
    let step = world.roll_back_step("one").await;
    world.target.destroy_snapshot("backup/a@more").unwrap();
    world.target.snapshot("backup/a@more").unwrap();
    let execution = world.refuse(&step).await;
    assert!(stale(&execution).contains("not approved"), "{execution:?}");
}

#[tokio::test]
async fn a_renamed_snapshot_is_not_what_was_approved() {
    let world = diverged().await;
    let step = world.roll_back_step("one").await;
    world.target.rename_snapshot("backup/a@mine", "keep-this").unwrap();
    let execution = world.refuse(&step).await;
    assert!(stale(&execution).contains("@mine is called @keep-this now"), "{execution:?}");
}

#[tokio::test]
async fn a_held_snapshot_stops_it_before_the_first_is_destroyed() {
    let world = diverged().await;
    let step = world.roll_back_step("one").await;
    for (tag, waits) in
        [("keep", false), ("zfs-sync:step:1f:0a0b0c0d", true), ("zfs-sync:base:1f:0a0b0c0d", true)]
    {
        world.target.hold(tag, "backup/a@mine").unwrap();
        let execution = world.refuse(&step).await;
        let (code, detail, retryable) = failed(&execution);
        assert_eq!((code, retryable), ("E_SNAPSHOT_HELD", waits));
        assert!(detail.contains(tag) && detail.contains("backup/a@mine"), "{detail}");
        world.target.release(tag, "backup/a@mine").unwrap();
    }
    world.succeed(&step).await;
}

#[tokio::test]
async fn a_hold_placed_in_the_last_moment_is_told_by_every_version() {
    for version in ["2.3.9-1", "2.1.11-1"] {
        let world = diverged().await;
        world.target.set_version(version);
        let step = world.roll_back_step("one").await;
        let target = world.target.clone();
        let place = move |command: &Command| {
            if destroys("mine")(command) {
                target.hold("keep", "backup/a@mine").unwrap();
            }
            false
        };
        world.target.faults().fail_next(place, "");
        let (execution, _) = world.execute(&step).await;
        assert_eq!(
            (failed(&execution).0, failed(&execution).2),
            ("E_SNAPSHOT_HELD", version.starts_with("2.3"))
        );
        assert_eq!(world.target_labels().await, ["one", "mine", "more"]);
    }
}

#[tokio::test]
async fn a_clone_stops_it_before_the_first_is_destroyed() {
    let world = diverged().await;
    let step = world.roll_back_step("one").await;
    world.target.clone_snapshot("backup/a@mine", "backup/test").unwrap();
    let execution = world.refuse(&step).await;
    let (code, detail, retryable) = failed(&execution);
    assert_eq!((code, retryable), ("E_SNAPSHOT_HAS_CLONES", false));
    assert!(detail.contains("backup/test"), "{detail}");
}

#[tokio::test]
async fn what_was_written_is_given_up_only_when_that_was_said() {
    let world = World::new();
    world.converge().await;
    let mut step = world.roll_back_step("one").await;
    world.target.set_readonly("backup/a", false).unwrap();
    world.target.write("backup/a", 5000).unwrap();
    let execution = world.refuse(&step).await;
    assert!(stale(&execution).contains("were written to backup/a"), "{execution:?}");
    *discards(&mut step) = 4999;
    world.refuse(&step).await;
    *discards(&mut step) = 5000;
    world.succeed(&step).await;
    assert_eq!(world.target_dataset().await.unwrap().properties.written, 0);
    assert_eq!(world.target.content("backup/a").unwrap(), world.source.content("tank/a@one").unwrap());
}

#[tokio::test]
async fn what_was_written_after_an_attempt_that_died_is_not_given_up() {
    for gone in [vec!["mine"], vec!["more"], vec!["mine", "more"]] {
        for in_place in [false, true] {
            let world = diverged().await;
            let step = world.roll_back_step("one").await;
            // As that attempt left it.
            for label in &gone {
                world.target.destroy_snapshot(&format!("backup/a@{label}")).unwrap();
            }
            world.target.set_readonly("backup/a", false).unwrap();
            if in_place {
                world.target.overwrite("backup/a", 10_000).unwrap();
            } else {
                world.target.write("backup/a", 10).unwrap();
            }
            let content = world.target.content("backup/a").unwrap();
            let execution = world.refuse(&step).await;
            assert!(stale(&execution).contains("were written to backup/a"), "{gone:?} {execution:?}");
            assert_eq!(world.target.content("backup/a").unwrap(), content);
        }
    }
}

/// Somebody overwrites a part of the target in the moment before a command.
async fn overwritten_before(
    moment: impl Fn(&Command) -> bool + std::marker::Send + 'static,
) -> (World, Execution, u64) {
    let world = diverged().await;
    let step = world.roll_back_step("one").await;
    world.target.set_readonly("backup/a", false).unwrap();
    let (target, written) = (world.target.clone(), AtomicBool::new(false));
    let overwrite = move |command: &Command| {
        if moment(command) && !written.swap(true, Ordering::Relaxed) {
            target.overwrite("backup/a", 10_000).unwrap();
        }
        false
    };
    world.target.faults().fail_next(overwrite, "");
    let (execution, _) = world.execute(&step).await;
    let content = world.target.content("backup/a").unwrap();
    (world, execution, content)
}

fn destroys(label: &'static str) -> impl Fn(&Command) -> bool {
    move |command| matches!(command, Command::DestroySnapshot { snapshot } if snapshot.name().label().as_str() == label)
}

#[tokio::test]
async fn what_is_overwritten_while_the_first_is_destroyed_is_kept_and_so_is_the_newest() {
    let (world, execution, content) = overwritten_before(destroys("mine")).await;
    assert!(stale(&execution).contains("were written to backup/a"), "{execution:?}");
    assert_eq!(world.target_labels().await, ["one", "more"]);
    assert_ne!(content, world.target.content("backup/a@more").unwrap());
}

#[tokio::test]
async fn what_is_overwritten_while_the_newest_is_destroyed_is_kept() {
    let (world, execution, content) = overwritten_before(destroys("more")).await;
    assert!(stale(&execution).contains("were written to backup/a"), "{execution:?}");
    assert_eq!(world.target_labels().await, ["one"]);
    assert_ne!(content, world.source.content("tank/a@one").unwrap());
}

#[tokio::test]
async fn the_oldest_goes_first_and_the_newest_last() {
    let world = diverged().await;
    world.grow_target(&["most"]);
    world.target.bookmark("backup/a@mine", "zfs-sync:1f:0a0b0c0d").unwrap();
    let step = world.roll_back_step("one").await;
    let order = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&order);
    let watch = move |command: &Command| {
        match command {
            Command::DestroySnapshot { snapshot } => {
                seen.lock().unwrap().push(snapshot.name().label().to_string());
            }
            Command::DestroyBookmark { .. } => seen.lock().unwrap().push("bookmark".to_owned()),
            Command::RollBack { .. } => seen.lock().unwrap().push("rollback".to_owned()),
            _ => {}
        }
        false
    };
    world.target.faults().fail_next(watch, "");
    world.succeed(&step).await;
    assert_eq!(*order.lock().unwrap(), ["mine", "more", "bookmark", "most", "rollback"]);
}

#[tokio::test]
async fn our_newer_bookmarks_go_and_those_of_others_stop_it() {
    let world = diverged().await;
    let step = world.roll_back_step("one").await;
    world.target.bookmark("backup/a@one", "theirs-too").unwrap();
    world.target.bookmark("backup/a@mine", "theirs").unwrap();
    let execution = world.refuse(&step).await;
    let (code, detail, retryable) = failed(&execution);
    assert_eq!((code, retryable), ("E_ROLLBACK_NEWER", false));
    assert!(detail.contains("backup/a#theirs"), "{detail}");
    world.target.destroy_bookmark("backup/a#theirs").unwrap();
    world.target.bookmark("backup/a@more", "zfs-sync:1f:0a0b0c0d").unwrap();
    world.succeed(&step).await;
    let bookmarks = world.target_dataset().await.unwrap().bookmarks;
    assert_eq!(bookmarks.len(), 1, "{bookmarks:?}");
}

#[tokio::test]
async fn an_interrupted_receive_that_starts_from_what_goes_is_discarded() {
    let world = World::new();
    world.converge().await;
    world.grow("two", 100_000);
    world.converge().await;
    world.grow("three", 400_000);
    world.source.faults().cut_stream_after(150_000);
    let cut = world.step().await;
    world.execute(&cut).await;
    assert!(world.target_dataset().await.unwrap().properties.partial.is_some());
    world.source.release(&cut.protection().step_hold(), "tank/a@two").unwrap();
    world.source.release(&cut.protection().step_hold(), "tank/a@three").unwrap();
    world.source.rollback("tank/a@one").unwrap();
    world.grow("four", 10_000);
    let recorder = world.succeed(&world.roll_back_step("one").await).await;
    assert!(recorder.log().warnings[0].contains("discarded the interrupted receive"), "{recorder:?}");
    world.converge().await;
    world.assert_in_sync().await;
}

#[tokio::test]
async fn another_dataset_of_that_name_is_left_alone() {
    let world = diverged().await;
    let step = world.roll_back_step("one").await;
    world.target.rename_dataset("backup/a", "backup/b").unwrap();
    assert!(stale(&world.refuse(&step).await).contains("does not exist"));
    world.target.create_dataset("backup/a", DatasetKind::Filesystem).unwrap();
    assert!(stale(&world.refuse(&step).await).contains("another dataset"));
}

#[tokio::test]
async fn a_goal_that_is_gone_is_no_goal() {
    let world = diverged().await;
    let step = world.roll_back_step("one").await;
    let hold = step.protection().base_hold();
    world.target.release(&hold, "backup/a@one").unwrap();
    world.target.destroy_snapshot("backup/a@one").unwrap();
    assert!(stale(&world.refuse(&step).await).contains("not there any more"));
}

#[tokio::test]
async fn a_snapshot_taken_while_destroying_is_kept() {
    let world = diverged().await;
    let step = world.roll_back_step("one").await;
    let target = world.target.clone();
    let snapshot = move |command: &Command| {
        if destroys("more")(command) {
            target.snapshot("backup/a@late").unwrap();
        }
        false
    };
    world.target.faults().fail_next(snapshot, "");
    let (execution, _) = world.execute(&step).await;
    assert!(stale(&execution).contains("@late was made meanwhile"), "{execution:?}");
    assert_eq!(world.target_labels().await, ["one", "late"]);
}

#[tokio::test]
async fn a_snapshot_taken_while_the_first_is_destroyed_stops_it_before_the_newest_goes() {
    let world = diverged().await;
    let step = world.roll_back_step("one").await;
    let target = world.target.clone();
    let snapshot = move |command: &Command| {
        if destroys("mine")(command) {
            target.snapshot("backup/a@late").unwrap();
        }
        false
    };
    world.target.faults().fail_next(snapshot, "");
    let (execution, _) = world.execute(&step).await;
    assert!(stale(&execution).contains("@late was made meanwhile"), "{execution:?}");
    assert_eq!(world.target_labels().await, ["one", "more", "late"]);
}
