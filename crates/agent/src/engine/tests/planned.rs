//! What the planner makes of a policy is what the engine can carry out.

use zfs_sync_core::group::MirrorDeletes;

use super::*;

#[tokio::test]
async fn a_target_that_went_its_own_way_goes_back_by_policy() {
    let mut world = World::new();
    world.converge().await;
    world.grow_target(&["mine", "more"]);
    world.grow("two", 100_000);
    assert_eq!(world.next().await, None, "nobody has allowed it");
    world.policy = OnDivergence::UseSourceOfTruth;
    world.adjust = |group| group.allow_destroy = true;
    assert_eq!(world.next().await, None, "it would be the last copy");
    world.kept_elsewhere = true;
    let step = world.step_or_why().await;
    assert!(matches!(step.action, Action::RollBack { .. }), "{step:?}");
    world.converge().await;
    world.assert_in_sync().await;
    world.assert_tidy().await;
    assert_eq!(world.target_labels().await, ["one", "two"]);
}

#[tokio::test]
async fn a_clone_is_planned_and_received_as_a_clone() {
    let world = World::new();
    world.converge().await;
    world.source.clone_snapshot("tank/a@one", "tank/c").unwrap();
    world.source.write("tank/c", 10_000).unwrap();
    for label in ["x", "y"] {
        world.source.snapshot(&format!("tank/c@{label}")).unwrap();
    }
    let mut rounds = 0;
    while let Some(step) = world.plan().await.0.steps.first() {
        world.succeed(step).await;
        rounds += 1;
        assert!(rounds < 5, "no end: {step:?}");
    }
    let clone = world.inventory(&world.target).await.datasets[&"backup/c".parse().unwrap()].clone();
    assert_eq!(clone.properties.origin.as_deref(), Some("backup/a@one"));
    assert_eq!(world.source.content("tank/c").unwrap(), world.target.content("backup/c").unwrap());
}

#[tokio::test]
async fn what_the_source_has_destroyed_goes_by_policy() {
    let mut world = World::new();
    for label in ["two", "three", "four"] {
        world.grow(label, 10_000);
    }
    world.converge().await;
    world.source.destroy_snapshot("tank/a@two").unwrap();
    world.adjust = |group| {
        group.allow_destroy = true;
        group.mirror_deletes = Some(MirrorDeletes { max_percent: 50 });
    };
    world.kept_elsewhere = true;
    let step = world.step_or_why().await;
    assert!(matches!(step.action, Action::DestroySnapshots { .. }), "{step:?}");
    world.converge().await;
    assert_eq!(world.target_labels().await, ["one", "three", "four"]);
    world.assert_tidy().await;
}

#[tokio::test]
async fn a_renamed_source_is_followed_by_policy() {
    let (mut world, by_hand) = follow_rename::renamed().await;
    world.adjust = |group| group.follow_renames = true;
    let (plan, report) = world.plan().await;
    let step = plan.steps.iter().find(|step| step.target.as_str() == "backup/a").expect("it is planned");
    assert_eq!(step.action, by_hand.action, "{report:?}");
    world.succeed(step).await;
    assert_eq!(world.plan().await.0.steps, []);
    world.assert_in_sync().await;
}

#[tokio::test]
async fn a_new_plan_ends_a_rollback_that_died() {
    let mut world = World::new();
    world.converge().await;
    world.grow_target(&["mine", "more"]);
    world.grow("two", 100_000);
    world.policy = OnDivergence::UseSourceOfTruth;
    world.adjust = |group| group.allow_destroy = true;
    world.kept_elsewhere = true;
    for gone in ["more", "mine"] {
        world.target.destroy_snapshot(&format!("backup/a@{gone}")).unwrap();
        assert!(matches!(world.step_or_why().await.action, Action::RollBack { .. }), "after @{gone}");
    }
    world.converge().await;
    world.assert_in_sync().await;
}

impl World {
    async fn step_or_why(&self) -> Step {
        let (plan, report) = self.plan().await;
        let step = plan.steps.into_iter().find(|step| step.source.as_str() == "tank/a");
        step.unwrap_or_else(|| panic!("nothing is planned: {:#?}", report.replicas))
    }
}
