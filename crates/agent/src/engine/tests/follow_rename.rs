//! A replica is renamed after its source.

use zfs_sync_core::plan::Receiver;

use super::*;

/// `tank/old` and `tank/old/child` were replicated and are called `tank/a` and `tank/a/child` now.
pub(super) async fn renamed() -> (World, Step) {
    let world = World::empty(DatasetKind::Filesystem);
    world.source.destroy_dataset("tank/a").unwrap();
    for dataset in ["tank/old", "tank/old/child"] {
        world.source.create_dataset(dataset, DatasetKind::Filesystem).unwrap();
        world.source.write(dataset, 200_000).unwrap();
        world.source.snapshot(&format!("{dataset}@one")).unwrap();
    }
    loop {
        let (plan, _) = world.plan().await;
        if plan.steps.is_empty() {
            break;
        }
        for step in &plan.steps {
            world.succeed(step).await;
        }
    }
    world.source.rename_dataset("tank/old", "tank/a").unwrap();
    let old = world.inventory(&world.target).await.datasets[&"backup/old".parse().unwrap()].clone();
    let action = Action::FollowRename {
        rename_from: old.name.clone(),
        target_guid: old.properties.guid,
        target_newest: old.newest().map(|snapshot| snapshot.guid),
    };
    let step = world.step_with(action).await;
    (world, step)
}

async fn tags(world: &World, dataset: &str) -> Vec<String> {
    let command = Command::Holds { snapshot: format!("{dataset}@one").parse().unwrap() };
    let output = world.target.runner().run(&command).await.unwrap();
    zfs_sync_zfs::parse::holds(&output.stdout).unwrap().into_iter().map(|hold| hold.tag).collect()
}

#[tokio::test]
async fn it_moves_with_all_below_it_and_is_in_sync_under_the_new_name() {
    let (world, step) = renamed().await;
    for _ in 0..2 {
        world.succeed(&step).await;
        for dataset in ["backup/a", "backup/a/child"] {
            let receiver = Receiver::new(system(2), &dataset.parse().unwrap());
            let tags = tags(&world, dataset).await;
            assert_eq!(tags.len(), 1, "{tags:?}");
            assert!(tags[0].ends_with(receiver.as_str()), "{tags:?}");
        }
    }
    assert_eq!(world.converge().await, 0, "nothing is sent again");
    world.assert_in_sync().await;
    world.assert_tidy().await;
}

#[tokio::test]
async fn a_missing_parent_is_waited_for() {
    let (world, mut step) = renamed().await;
    step.target = "backup/no/a".parse().unwrap();
    let execution = world.refuse(&step).await;
    assert_eq!((failed(&execution).0, failed(&execution).2), ("E_DATASET_NOT_FOUND", true));
}

#[tokio::test]
async fn what_has_changed_since_the_plan_is_not_renamed() {
    let (world, step) = renamed().await;
    world.target.create_dataset("backup/a", DatasetKind::Filesystem).unwrap();
    assert!(stale(&world.refuse(&step).await).contains("backup/a exists"));
    world.target.destroy_dataset("backup/a").unwrap();
    world.target.snapshot("backup/old@mine").unwrap();
    assert!(stale(&world.refuse(&step).await).contains("another newest snapshot"));
    world.target.rename_dataset("backup/old", "backup/elsewhere").unwrap();
    assert!(stale(&world.refuse(&step).await).contains("not the dataset"));
}
