//! A copy counts from what its system was seen to have, not from when that was told.

use serde_json::{Value, json};
use zfs_sync_core::{plan::LAST_COMMAND, time::Timestamp};

use super::kept_copies::{Fleet, rolling_back};

const DOOMED: &str = "s7 would be lost: the copy on nas2 is to be destroyed as well";

/// `nas2`, which keeps the last copy of `s7`, was leased a step that destroys it, which nobody wants any more.
async fn destroying_on_nas2() -> (Fleet, Value) {
    let fleet = rolling_back().await;
    fleet.decide_for_nas2().await;
    let step = fleet.witness.lease(&fleet.nas2).await.remove(0);
    let conflicts = fleet.witness.get("/conflicts").await.fine();
    let conflict = conflicts.as_array().unwrap().iter().find(|one| one["target_system"] == "nas2").unwrap();
    let path = format!("/conflicts/{}/withdraw", conflict["id"].as_str().unwrap());
    fleet.witness.post(&path, json!({})).await.fine();
    (fleet, step)
}

impl Fleet {
    /// Everybody reports now, `nas2` that it has `s7`, in a look that began at this moment.
    async fn report_look(&self, looked_at: Option<Timestamp>) {
        let Self { witness, nas1, nas2, nas3 } = self;
        witness.report(nas1, &[("tank", &[]), ("tank/media", &[1, 2])]).await;
        witness.report_of(nas2, &[("backup", &[]), ("backup/media", &[1, 7])], looked_at).await;
        witness.report(nas3, &[("backup", &[]), ("backup/media", &[1, 7])]).await;
    }

    fn now(&self) -> Timestamp {
        self.witness.state.now()
    }

    async fn is_begun(&self) {
        let leased = self.witness.lease(&self.nas3).await;
        assert_eq!((leased.len(), &leased[0]["step"]["action"]), (1, &json!("roll_back")));
    }
}

#[tokio::test]
async fn a_look_from_before_a_step_says_nothing_of_what_the_step_left_however_late_it_arrives() {
    let (fleet, step) = destroying_on_nas2().await;
    let looked_at = fleet.now();
    fleet.witness.advance(1);
    fleet.witness.result(&fleet.nas2, &step, json!({ "outcome": "succeeded" })).await.fine();
    fleet.witness.advance(1);
    fleet.report_look(Some(looked_at)).await;
    fleet.refused(DOOMED).await;
}

#[tokio::test]
async fn a_look_from_after_a_step_counts_again() {
    let (fleet, step) = destroying_on_nas2().await;
    fleet.witness.result(&fleet.nas2, &step, json!({ "outcome": "stale", "detail": "x" })).await.fine();
    fleet.witness.advance(1);
    fleet.report_look(Some(fleet.now())).await;
    fleet.is_begun().await;
}

#[tokio::test]
async fn a_lease_that_ended_without_a_word_is_not_over_while_its_last_command_may_run() {
    let (fleet, _) = destroying_on_nas2().await;
    fleet.witness.advance(16);
    assert_eq!(fleet.witness.state.store.expire_leases(fleet.now()).await.unwrap().len(), 1);
    // Nobody wants it any more, so that it ends here.
    assert_eq!(fleet.witness.lease(&fleet.nas2).await, Vec::<Value>::new());
    fleet.witness.advance(1);
    fleet.report_look(Some(fleet.now())).await;
    fleet.refused(DOOMED).await;

    fleet.witness.advance(LAST_COMMAND.unsigned_abs().as_secs());
    fleet.report_look(Some(fleet.now())).await;
    fleet.witness.plan().await;
    fleet.is_begun().await;
}

#[tokio::test]
async fn an_agent_that_does_not_say_when_it_looked_keeps_nothing_for_others() {
    let fleet = rolling_back().await;
    fleet.report_look(None).await;
    let why = "s7 would be lost: the agent of nas2, which has it, does not say when it looked; it is of an earlier version";
    fleet.refused(why).await;
}

#[tokio::test]
async fn a_look_that_is_still_to_come_is_not_believed() {
    let fleet = rolling_back().await;
    fleet.report_look(fleet.now().checked_add(std::time::Duration::from_hours(1)).ok()).await;
    assert_eq!(fleet.witness.lease(&fleet.nas3).await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_fresh_report_of_an_old_look_keeps_nothing_for_others() {
    let fleet = rolling_back().await;
    let looked_at = fleet.now();
    fleet.witness.advance(11 * 60);
    fleet.report_look(Some(looked_at)).await;
    fleet.refused("s7 would be lost: nas2, which has it, has not reported for too long").await;
}
