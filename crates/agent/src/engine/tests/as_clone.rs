//! Targets that become clones: of the replica of what their source is a clone of, or of a replica that was set aside.

use zfs_sync_core::plan::{Base, Point, TargetOrigin};

use super::*;

/// `tank/a` is a clone of `tank/o@base`, which nas2 has as `backup/o@base`.
pub(super) async fn cloned() -> (World, Step) {
    let world = World::empty(DatasetKind::Filesystem);
    world.source.destroy_dataset("tank/a").unwrap();
    world.source.create_dataset("tank/o", DatasetKind::Filesystem).unwrap();
    world.source.write("tank/o", 2_000_000).unwrap();
    world.source.snapshot("tank/o@base").unwrap();
    let (plan, _) = world.plan().await;
    for step in &plan.steps {
        world.succeed(step).await;
    }
    world.source.clone_snapshot("tank/o@base", "tank/a").unwrap();
    world.grow("one", 300_000);
    let base = origin_point(&world, "tank/o", "base").await;
    let target_origin = TargetOrigin { dataset: "backup/o".parse().unwrap(), guid: base.guid };
    let base = Base::Origin { dataset: "tank/o".parse().unwrap(), point: base };
    let step = clone_step(&world, base, target_origin).await;
    (world, step)
}

/// `backup/a` went its own way after `one` and was set aside; `tank/a` has gone on to `two` and `three`.
pub(super) async fn set_aside() -> (World, Step) {
    let world = World::new();
    world.converge().await;
    world.target.snapshot("backup/a@mine").unwrap();
    world.target.rename_dataset("backup/a", "backup/a.aside").unwrap();
    world.grow("two", 100_000);
    world.grow("three", 100_000);
    let base = origin_point(&world, "tank/a", "one").await;
    let target_origin = TargetOrigin { dataset: "backup/a.aside".parse().unwrap(), guid: base.guid };
    let step = clone_step(&world, Base::Snapshot(base), target_origin).await;
    (world, step)
}

async fn origin_point(world: &World, dataset: &str, label: &str) -> Point {
    let inventory = world.inventory(&world.source).await;
    let dataset = &inventory.datasets[&dataset.parse().unwrap()];
    dataset.snapshots.iter().find(|snapshot| snapshot.label.as_str() == label).unwrap().into()
}

async fn clone_step(world: &World, base: Base, target_origin: TargetOrigin) -> Step {
    let to = world.source_dataset().await.newest().unwrap().into();
    let send = Send {
        base: Some(base),
        to,
        snapshots: 1,
        resume: false,
        discard_partial: None,
        raw: false,
        target_newest: None,
        create_parents: vec![],
        target_origin: Some(target_origin),
        properties: Vec::new(),
    };
    world.step_with(Action::Send(send)).await
}

async fn origin(world: &World) -> Option<String> {
    world.target_dataset().await.unwrap().properties.origin
}

#[tokio::test]
async fn a_clone_arrives_as_a_clone_and_is_protected_as_any_replica() {
    let (world, step) = cloned().await;
    world.target.rename_snapshot("backup/o@base", "renamed").unwrap();
    let (execution, recorder) = world.execute(&step).await;
    assert_eq!(
        (&execution.outcome, execution.settled),
        (&TransferOutcome::Succeeded, Settled::Clean),
        "{recorder:?}"
    );
    assert!(execution.bytes < 500_000, "{} are more than what differs", execution.bytes);
    assert_eq!(origin(&world).await.as_deref(), Some("backup/o@renamed"));
    world.assert_in_sync().await;
    world.assert_tidy().await;
    world.grow("two", 10_000);
    world.converge().await;
    world.assert_in_sync().await;
    assert_eq!(origin(&world).await.as_deref(), Some("backup/o@renamed"));
}

#[tokio::test]
async fn it_goes_up_to_the_first_snapshot_and_the_next_plan_goes_on() {
    let (world, mut step) = cloned().await;
    world.grow("two", 10_000);
    send_of_mut(&mut step).to = world.source_dataset().await.newest().unwrap().into();
    world.succeed(&step).await;
    assert_eq!(world.target_labels().await, ["one"]);
    world.converge().await;
    assert_eq!(world.target_labels().await, ["one", "two"]);
    world.assert_in_sync().await;
}

#[tokio::test]
async fn a_replica_that_was_set_aside_saves_sending_it_again() {
    let (world, step) = set_aside().await;
    let (execution, recorder) = world.execute(&step).await;
    assert_eq!(execution.outcome, TransferOutcome::Succeeded, "{recorder:?}");
    assert!(execution.bytes < 200_000, "{} are more than what differs", execution.bytes);
    assert_eq!(origin(&world).await.as_deref(), Some("backup/a.aside@one"));
    assert_eq!(world.target_labels().await, ["two"]);
    world.converge().await;
    world.assert_in_sync().await;
    world.assert_tidy().await;
}

#[tokio::test]
async fn a_bookmark_is_enough_on_the_source() {
    let (world, step) = set_aside().await;
    world.source.destroy_snapshot("tank/a@one").unwrap();
    world.succeed(&step).await;
    world.converge().await;
    world.assert_in_sync().await;
}

#[tokio::test]
async fn an_interrupted_one_is_continued() {
    for (world, step) in [cloned().await, set_aside().await] {
        world.source.faults().cut_stream_after(80_000);
        let (execution, _) = world.execute(&step).await;
        assert_eq!(failed(&execution).0, "E_TRANSFER_INTERRUPTED");
        assert_eq!(execution.settled, Settled::Waiting);
        assert!(world.source_holds().await.iter().any(|(_, word)| word == "step"));
        let (execution, recorder) = world.execute(&step).await;
        assert_eq!(execution.outcome, TransferOutcome::Succeeded, "{recorder:?}");
        assert!(execution.resumed_from.is_some());
        assert!(origin(&world).await.is_some());
        world.converge().await;
        world.assert_in_sync().await;
        world.assert_tidy().await;
    }
}

#[tokio::test]
async fn an_interrupted_one_is_discarded_when_the_plan_says_so() {
    let (world, mut step) = cloned().await;
    world.source.faults().cut_stream_after(80_000);
    world.execute(&step).await;
    send_of_mut(&mut step).discard_partial = Some(send_of(&step).to.guid);
    let (execution, recorder) = world.execute(&step).await;
    assert_eq!((&execution.outcome, execution.resumed_from), (&TransferOutcome::Succeeded, None));
    assert!(recorder.log().warnings[0].contains("discarded"), "{recorder:?}");
    assert!(origin(&world).await.is_some());
    world.assert_tidy().await;
}

#[tokio::test]
async fn without_its_origin_nothing_is_sent() {
    let (world, step) = cloned().await;
    world.target.rename_dataset("backup/o", "backup/p").unwrap();
    assert!(stale(&world.refuse(&step).await).contains("backup/o"));
    world.target.create_dataset("backup/o", DatasetKind::Filesystem).unwrap();
    assert!(stale(&world.refuse(&step).await).contains("lacks the snapshot that was to be cloned from"));
    let (world, step) = cloned().await;
    world.source.rename_dataset("tank/o", "tank/p").unwrap();
    assert!(stale(&world.refuse(&step).await).contains("is a clone of"));
}

#[tokio::test]
async fn a_target_that_exists_does_not_become_a_clone() {
    let (world, step) = cloned().await;
    world.target.create_dataset("backup/a", DatasetKind::Filesystem).unwrap();
    assert!(stale(&world.refuse(&step).await).contains("backup/a exists"));
}

#[tokio::test]
async fn a_plan_that_contradicts_itself_is_refused() {
    let (world, mut step) = cloned().await;
    send_of_mut(&mut step).target_origin.as_mut().unwrap().guid = Guid::new(7);
    assert_eq!(failed(&world.refuse(&step).await).0, "E_PLAN_UNSAFE");
    send_of_mut(&mut step).base = None;
    assert_eq!(failed(&world.refuse(&step).await).0, "E_PLAN_UNSAFE");
}

/// `tank/a@one`, which `backup/a` ends with, belongs to a promoted clone; `tank/a` has gone on to `two` and `three`.
async fn promoted() -> World {
    let world = World::new();
    world.converge().await;
    world.source.clone_snapshot("tank/a@one", "tank/c").unwrap();
    world.source.promote("tank/c").unwrap();
    world.grow("two", 100_000);
    world.grow("three", 100_000);
    world
}

#[tokio::test]
async fn what_a_promoted_clone_took_over_is_no_base_for_a_target_that_exists() {
    let world = promoted().await;
    assert_eq!(world.next().await, None, "a person decides");
    let origin = Base::Origin {
        dataset: "tank/c".parse().unwrap(),
        point: origin_point(&world, "tank/c", "one").await,
    };
    let guid = origin.point().guid;
    let mut step =
        clone_step(&world, origin, TargetOrigin { dataset: "backup/a".parse().unwrap(), guid }).await;
    send_of_mut(&mut step).target_newest = Some(guid);
    assert!(stale(&world.refuse(&step).await).contains("backup/a exists"), "not as a clone of itself either");
    send_of_mut(&mut step).target_origin = None;
    let (execution, recorder) = world.execute(&step).await;
    assert_eq!(failed(&execution).0, "E_PLAN_UNSAFE");
    assert_eq!((execution.bytes, recorder.log().notes.len()), (0, 0), "nothing was sent or held");
    assert_eq!(world.target_labels().await, ["one"]);
}

#[tokio::test]
async fn keeping_both_after_a_promotion_sends_nothing_twice() {
    let mut world = promoted().await;
    world.policy = OnDivergence::KeepBoth;
    let step = world.step().await;
    assert!(matches!(step.action, Action::SetAside { .. }), "{step:?}");
    world.succeed(&step).await;
    let step = world.step().await;
    assert!(matches!(send_of(&step).base, Some(Base::Origin { .. })), "{step:?}");
    let (execution, recorder) = world.execute(&step).await;
    assert_eq!(execution.outcome, TransferOutcome::Succeeded, "{recorder:?}");
    assert!(execution.bytes < 200_000, "{} are more than what differs", execution.bytes);
    let origin = origin(&world).await.unwrap();
    assert!(origin.starts_with("backup/a.aside-") && origin.ends_with("@one"), "{origin}");
    world.converge().await;
    assert_eq!(world.target_labels().await, ["two", "three"]);
    world.assert_in_sync().await;
}
