//! What happens where the user may not do everything.

use super::*;

#[tokio::test]
async fn a_parent_that_may_get_no_properties_is_made_without_them_and_said() {
    let world = World::new();
    let mut step = world.step().await;
    step.target = "backup/x/a".parse().unwrap();
    send_of_mut(&mut step).create_parents = vec!["backup/x".parse().unwrap()];
    let is_placeholder = |command: &Command| matches!(command, Command::CreatePlaceholder { .. });
    world.target.faults().fail_next(is_placeholder, "cannot create 'backup/x': permission denied\n");
    let (execution, recorder) = world.execute(&step).await;
    assert_eq!(execution.outcome, TransferOutcome::Succeeded, "{execution:?}");
    let inventory = world.inventory(&world.target).await;
    let parent = &inventory.datasets[&"backup/x".parse().unwrap()].properties;
    assert!(!parent.readonly && !parent.mounted);
    let warnings = recorder.log().warnings.clone();
    assert!(warnings.iter().any(|warning| warning.starts_with("W_PERMISSION_PLACEHOLDER: ")), "{warnings:?}");
}

#[tokio::test]
async fn a_user_who_may_create_nothing_fails_before_anything_is_sent() {
    let world = World::new();
    let mut step = world.step().await;
    step.target = "backup/x/a".parse().unwrap();
    send_of_mut(&mut step).create_parents = vec!["backup/x".parse().unwrap()];
    for _ in 0..2 {
        let is_create = |command: &Command| {
            matches!(command, Command::CreatePlaceholder { .. } | Command::CreateBare { .. })
        };
        world.target.faults().fail_next(is_create, "cannot create 'backup/x': permission denied\n");
    }
    let (execution, _) = world.execute(&step).await;
    let (code, _, retryable) = failed(&execution);
    assert_eq!((code, retryable, execution.bytes), ("E_ZFS_PERMISSION", false, 0));
}
