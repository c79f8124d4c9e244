//! Steps that concern the target alone, made by hand from what the hosts have now.

use zfs_sync_core::plan::{Casualty, Receiver};

use super::*;

impl World {
    /// A step from `tank/a` to `backup/a`.
    pub(super) async fn step_with(&self, action: Action) -> Step {
        let source = self.source_dataset().await;
        let target: DatasetName = "backup/a".parse().unwrap();
        Step {
            source_system: system(1),
            target_system: system(2),
            kind: source.properties.kind,
            source_guid: source.properties.guid,
            receiver: Receiver::new(system(2), &target),
            source: source.name,
            target,
            action,
        }
    }

    /// The target goes back to `label`: everything newer is on the list, and nothing that was written may be given up.
    pub(super) async fn roll_back_step(&self, label: &str) -> Step {
        let target = self.target_dataset().await.unwrap();
        let to = target.snapshots.iter().position(|snapshot| snapshot.label.as_str() == label).unwrap();
        let action = Action::RollBack {
            to: target.snapshots[to].guid,
            to_label: target.snapshots[to].label.clone(),
            target_guid: target.properties.guid,
            target_newest: target.newest().unwrap().guid,
            destroys: target.snapshots[to + 1..].iter().rev().map(Casualty::from).collect(),
            discards: 0,
        };
        self.step_with(action).await
    }

    /// The same, and whatever was written may be given up, too.
    pub(super) async fn give_up_step(&self, label: &str) -> Step {
        let mut step = self.roll_back_step(label).await;
        if let Action::RollBack { discards, .. } = &mut step.action {
            *discards = self.target_dataset().await.unwrap().properties.written;
        }
        step
    }

    /// The snapshots `labels` of the target are destroyed, and `keeps` is the newest common one.
    pub(super) async fn destroy_step(&self, labels: &[&str], keeps: &str) -> Step {
        let target = self.target_dataset().await.unwrap();
        let find =
            |label: &str| target.snapshots.iter().find(|snapshot| snapshot.label.as_str() == label).unwrap();
        let action = Action::DestroySnapshots {
            target_guid: target.properties.guid,
            keeps: find(keeps).guid,
            destroys: labels.iter().map(|label| Casualty::from(find(label))).collect(),
        };
        self.step_with(action).await
    }

    pub(super) async fn target_labels(&self) -> Vec<String> {
        let target = self.target_dataset().await.unwrap();
        target.snapshots.iter().map(|snapshot| snapshot.label.to_string()).collect()
    }

    /// Carries a step out that must succeed.
    pub(super) async fn succeed(&self, step: &Step) -> Recorder {
        let (execution, recorder) = self.execute(step).await;
        assert_eq!(execution.outcome, TransferOutcome::Succeeded, "{step:?} {recorder:?}");
        recorder
    }

    /// Carries a step out that must change nothing on the target.
    pub(super) async fn refuse(&self, step: &Step) -> Execution {
        let before = (self.inventory(&self.target).await, self.target_holds().await);
        let (execution, _) = self.execute(step).await;
        let after = (self.inventory(&self.target).await, self.target_holds().await);
        assert_eq!(after, before, "nothing has changed");
        assert_ne!(execution.outcome, TransferOutcome::Succeeded);
        execution
    }

    /// Writes to the target and takes snapshots there.
    pub(super) fn grow_target(&self, labels: &[&str]) {
        self.target.set_readonly("backup/a", false).unwrap();
        for label in labels {
            self.target.write("backup/a", 50_000).unwrap();
            self.target.snapshot(&format!("backup/a@{label}")).unwrap();
        }
        self.target.set_readonly("backup/a", true).unwrap();
    }
}
