//! A diverged target is kept whole under another name.

use super::*;

async fn diverged() -> (World, Step) {
    let mut world = World::new();
    world.converge().await;
    world.target.snapshot("backup/a@mine").unwrap();
    world.grow("two", 100_000);
    world.policy = OnDivergence::KeepBoth;
    let step = world.step().await;
    assert!(matches!(step.action, Action::SetAside { .. }), "{step:?}");
    (world, step)
}

fn aside(step: &Step) -> DatasetName {
    match &step.action {
        Action::SetAside { rename_to, .. } => rename_to.clone(),
        _ => panic!("{step:?} sets nothing aside"),
    }
}

#[tokio::test]
async fn it_is_renamed_and_seeded_anew() {
    let (world, step) = diverged().await;
    let before = world.target_dataset().await.unwrap();
    for _ in 0..2 {
        let (execution, _) = world.execute(&step).await;
        assert_eq!(execution.outcome, TransferOutcome::Succeeded, "done twice it is done once");
    }
    let kept = world.inventory(&world.target).await.datasets[&aside(&step)].clone();
    assert_eq!(kept.snapshots, before.snapshots);
    assert_eq!(kept.properties.guid, before.properties.guid);
    world.converge().await;
    world.assert_in_sync().await;
    assert_eq!(world.holds(&world.target, &kept).await, [("one".to_owned(), "base".to_owned())]);
}

#[tokio::test]
async fn a_target_that_changed_since_is_not_renamed() {
    let (world, step) = diverged().await;
    world.target.snapshot("backup/a@more").unwrap();
    let (execution, _) = world.execute(&step).await;
    assert!(stale(&execution).contains("another newest snapshot"), "{execution:?}");
    assert!(world.target_dataset().await.is_some());
}

#[tokio::test]
async fn another_dataset_is_not_renamed() {
    let (world, step) = diverged().await;
    world.target.destroy_snapshot("backup/a@mine").unwrap();
    world.target.rename_dataset("backup/a", "backup/elsewhere").unwrap();
    world.target.create_dataset("backup/a", DatasetKind::Filesystem).unwrap();
    let (execution, _) = world.execute(&step).await;
    assert!(stale(&execution).contains("not the dataset"), "{execution:?}");
}

#[tokio::test]
async fn what_lies_below_does_not_go_along() {
    let (world, step) = diverged().await;
    world.target.create_dataset("backup/a/child", DatasetKind::Filesystem).unwrap();
    let (execution, _) = world.execute(&step).await;
    assert!(stale(&execution).contains("backup/a/child"), "{execution:?}");
}

#[tokio::test]
async fn a_name_that_is_taken_is_not_used() {
    let (world, step) = diverged().await;
    world.target.create_dataset(aside(&step).as_str(), DatasetKind::Filesystem).unwrap();
    let (execution, _) = world.execute(&step).await;
    assert!(stale(&execution).contains("exists"), "{execution:?}");
}
