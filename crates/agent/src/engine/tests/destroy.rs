//! Snapshots that the source no longer has are destroyed on the target: those on the list, and no other.

use super::*;

/// In sync with the snapshots one to four.
async fn grown() -> World {
    let world = World::new();
    for label in ["two", "three", "four"] {
        world.grow(label, 10_000);
    }
    world.converge().await;
    world
}

#[tokio::test]
async fn what_is_listed_goes_and_the_rest_stays() {
    let world = grown().await;
    let content = world.target.content("backup/a").unwrap();
    let step = world.destroy_step(&["three", "two"], "four").await;
    for _ in 0..2 {
        world.succeed(&step).await;
        assert_eq!(world.target_labels().await, ["one", "four"]);
    }
    assert_eq!(world.target.content("backup/a").unwrap(), content);
    world.grow("five", 10_000);
    world.converge().await;
    world.assert_in_sync().await;
    world.assert_tidy().await;
}

#[tokio::test]
async fn the_newest_snapshot_and_the_newest_common_one_stay() {
    let world = grown().await;
    let execution = world.refuse(&world.destroy_step(&["two", "four"], "three").await).await;
    assert!(stale(&execution).contains("@four is the newest snapshot"), "{execution:?}");
    let execution = world.refuse(&world.destroy_step(&["three", "two"], "three").await).await;
    assert_eq!(failed(&execution).0, "E_PLAN_UNSAFE");
}

#[tokio::test]
async fn without_the_newest_common_snapshot_nothing_goes() {
    let world = grown().await;
    let step = world.destroy_step(&["two"], "three").await;
    world.target.destroy_snapshot("backup/a@three").unwrap();
    assert!(stale(&world.refuse(&step).await).contains("lacks the newest common"));
}

#[tokio::test]
async fn what_is_held_cloned_or_renamed_stops_all() {
    let world = grown().await;
    let step = world.destroy_step(&["three", "two"], "four").await;
    world.target.hold("keep", "backup/a@two").unwrap();
    assert_eq!(failed(&world.refuse(&step).await).0, "E_SNAPSHOT_HELD");
    world.target.release("keep", "backup/a@two").unwrap();
    world.target.clone_snapshot("backup/a@two", "backup/test").unwrap();
    assert_eq!(failed(&world.refuse(&step).await).0, "E_SNAPSHOT_HAS_CLONES");
    world.target.destroy_dataset("backup/test").unwrap();
    world.target.rename_snapshot("backup/a@two", "kept").unwrap();
    assert!(stale(&world.refuse(&step).await).contains("@kept now"));
}

#[tokio::test]
async fn a_hold_of_ours_that_was_left_behind_goes_after_the_base_is_held() {
    let world = grown().await;
    let step = world.destroy_step(&["two"], "four").await;
    let former = format!("zfs-sync:base:abc:{}", step.receiver.as_str());
    world.target.hold(&former, "backup/a@two").unwrap();
    world.target.release(&step.protection().base_hold(), "backup/a@four").unwrap();
    world.succeed(&step).await;
    assert_eq!(world.target_holds().await, [("four".to_owned(), "base".to_owned())]);
}

#[tokio::test]
async fn what_an_interrupted_receive_starts_from_stays() {
    let world = grown().await;
    world.grow("five", 400_000);
    world.source.faults().cut_stream_after(150_000);
    world.execute(&world.step().await).await;
    world.target.snapshot("backup/a@mine").unwrap();
    let execution = world.refuse(&world.destroy_step(&["four"], "three").await).await;
    assert_eq!(failed(&execution).0, "E_RECV_PARTIAL_STATE");
}
