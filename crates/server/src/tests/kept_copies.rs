//! A policy destroys a copy only while another one stays, also when its step has waited for long.

use serde_json::{Value, json};

use crate::testing::{Host, Witness, dataset_of, hello};

pub(super) struct Fleet {
    pub(super) witness: Witness,
    pub(super) nas1: Host,
    pub(super) nas2: Host,
    pub(super) nas3: Host,
}

/// `nas1` went back to `s1` and took `s2`; `nas2` and `nas3` still have `s7`. The group rolls back by itself, so that `nas2` keeps the last
/// copy of `s7` and a step for `nas3` is queued.
pub(super) async fn rolling_back() -> Fleet {
    rolling_back_with(Witness::start().await).await
}

async fn rolling_back_with(witness: Witness) -> Fleet {
    let (nas1, nas2, nas3) =
        (witness.enrol("nas1").await, witness.enrol("nas2").await, witness.enrol("nas3").await);
    witness
        .group(json!({
            "name": "prod", "systems": ["nas1", "nas2", "nas3"], "source_of_truth": "nas1",
            "datasets": ["tank/media"], "mappings": ["tank=backup"], "auto": true,
            "allow_destroy": true, "on_divergence": "rollback_target",
        }))
        .await;
    let fleet = Fleet { witness, nas1, nas2, nas3 };
    fleet.report(&[1, 7]).await;
    fleet.witness.plan().await;
    assert_eq!(fleet.reason("nas2").await, "R_LAST_COPY");
    assert_eq!(fleet.reason("nas3").await, "R_TRANSFER_RUNNING");
    fleet
}

impl Fleet {
    /// Everybody reports; `nas2` has these snapshots.
    async fn report(&self, on_nas2: &[u64]) {
        let Self { witness, nas1, nas2, nas3 } = self;
        witness.report(nas1, &[("tank", &[]), ("tank/media", &[1, 2])]).await;
        witness.report(nas2, &[("backup", &[]), ("backup/media", on_nas2)]).await;
        witness.report(nas3, &[("backup", &[]), ("backup/media", &[1, 7])]).await;
    }

    pub(super) async fn reason(&self, system: &str) -> String {
        let name = format!("backup/media@{system}");
        let replicas = self.witness.replicas().await;
        replicas.into_iter().find(|replica| replica.0 == name).unwrap().2
    }

    /// A person lets `nas2` roll back, too: its list names `s7`, and nobody said a word about `nas3`.
    pub(super) async fn decide_for_nas2(&self) {
        let conflicts = self.witness.get("/conflicts").await.fine();
        let conflict = conflicts.as_array().unwrap().iter().find(|one| one["target_system"] == "nas2");
        let id = conflict.unwrap_or_else(|| panic!("{conflicts}"))["id"].as_str().unwrap();
        let path = format!("/conflicts/{id}/plan");
        let plan = self.witness.post(&path, json!({ "strategy": "rollback_target" })).await.fine();
        assert_eq!(plan["destroys"].as_array().unwrap().len(), 1, "{plan}");
        let path = format!("/plans/{}/apply", plan["id"].as_str().unwrap());
        self.witness.post(&path, json!({})).await.fine();
    }

    /// Nothing is leased to `nas3`, for this reason, and its replica is looked at again.
    pub(super) async fn refused(&self, why: &str) {
        assert_eq!(self.witness.lease(&self.nas3).await, Vec::<Value>::new());
        let transfers = self.witness.get("/transfers").await.fine();
        let transfer = transfers.as_array().unwrap().iter().find(|one| one["target_system"] == "nas3");
        let transfer = transfer.unwrap_or_else(|| panic!("{transfers}"));
        assert_eq!((&transfer["state"], &transfer["error_detail"]), (&json!("stale"), &json!(why)));
        let waiting = self.witness.state.wake.waiting_targets();
        assert!(waiting.iter().any(|(_, system, _)| *system == self.nas3.id), "{waiting:?}");
        self.witness.plan().await;
        assert_eq!(self.witness.lease(&self.nas3).await, Vec::<Value>::new(), "nor is it begun anew");
        assert_eq!(self.reason("nas3").await, "R_LAST_COPY");
    }
}

#[tokio::test]
async fn a_rollback_by_policy_begins_while_another_system_keeps_the_copy() {
    let fleet = rolling_back().await;
    let leased = fleet.witness.lease(&fleet.nas3).await;
    assert_eq!((leased.len(), &leased[0]["step"]["action"]), (1, &json!("roll_back")));
}

#[tokio::test]
async fn a_rollback_by_policy_does_not_begin_when_a_person_gave_up_the_copy_that_was_to_stay() {
    let fleet = rolling_back().await;
    fleet.decide_for_nas2().await;
    fleet.refused("s7 would be lost: the copy on nas2 is to be destroyed as well").await;
}

#[tokio::test]
async fn a_rollback_by_policy_does_not_begin_when_the_copy_that_was_to_stay_is_gone() {
    let fleet = rolling_back().await;
    fleet.decide_for_nas2().await;
    let step = fleet.witness.lease(&fleet.nas2).await.remove(0);
    fleet.witness.result(&fleet.nas2, &step, json!({ "outcome": "succeeded" })).await.fine();
    fleet.witness.advance(1);
    fleet.report(&[1]).await;
    fleet.refused("s7 would be lost: the copy that was to stay on another system is gone").await;
}

#[tokio::test]
async fn a_copy_on_a_system_that_is_not_heard_is_not_relied_on() {
    let fleet = rolling_back().await;
    fleet.witness.advance(6);
    let Fleet { witness, nas1, nas3, .. } = &fleet;
    witness.report(nas1, &[("tank", &[]), ("tank/media", &[1, 2])]).await;
    witness.report(nas3, &[("backup", &[]), ("backup/media", &[1, 7])]).await;
    fleet.refused("s7 would be lost: nas2, which has it, has not reported for too long").await;
}

#[tokio::test]
async fn a_copy_is_not_relied_on_until_its_system_has_reported_what_a_step_left_of_it() {
    let fleet = rolling_back().await;
    fleet.decide_for_nas2().await;
    let step = fleet.witness.lease(&fleet.nas2).await.remove(0);
    let conflicts = fleet.witness.get("/conflicts").await.fine();
    let conflict = conflicts.as_array().unwrap().iter().find(|one| one["target_system"] == "nas2").unwrap();
    let path = format!("/conflicts/{}/withdraw", conflict["id"].as_str().unwrap());
    fleet.witness.post(&path, json!({})).await.fine();
    fleet.witness.result(&fleet.nas2, &step, json!({ "outcome": "succeeded" })).await.fine();
    fleet.refused("s7 would be lost: the copy on nas2 is to be destroyed as well").await;
}

/// A system that nobody copies anything to comes before all others, and says that it has everything.
async fn with_stranger() -> (Fleet, Host) {
    let witness = Witness::start().await;
    let stranger = witness.enrol("nas0").await;
    witness.report(&stranger, &[("pool", &[]), ("pool/all", &[1, 2, 7])]).await;
    (rolling_back_with(witness).await, stranger)
}

#[tokio::test]
async fn a_copy_that_no_group_keeps_is_not_relied_on() {
    // Planned it is not, or `nas2` would be rolled back as well.
    let (fleet, stranger) = with_stranger().await;
    fleet.witness.advance(1);
    fleet.report(&[1]).await;
    fleet.witness.report(&stranger, &[("pool", &[]), ("pool/all", &[1, 2, 7])]).await;
    fleet.refused("s7 would be lost: the copy that was to stay on another system is gone").await;
}

#[tokio::test]
async fn a_copy_that_another_group_keeps_is_relied_on() {
    let (fleet, stranger) = with_stranger().await;
    let group = |enabled: bool| {
        json!({
            "name": "other", "systems": ["nas0", "nas1"], "source_of_truth": "nas0", "datasets": ["pool/all"],
            "enabled": enabled,
        })
    };
    let made = fleet.witness.group(group(false)).await;
    fleet.report(&[1, 7]).await;
    fleet.witness.report(&stranger, &[("pool", &[]), ("pool/all", &[1, 2, 7])]).await;
    fleet.witness.plan().await;
    assert_eq!(fleet.reason("nas2").await, "R_LAST_COPY", "a group that is disabled keeps nothing");
    let path = format!("/api/v1/sync-groups/{}", made["id"].as_str().unwrap());
    fleet.witness.call("PUT", &path, Some(&fleet.witness.admin), Some(group(true))).await.fine();
    fleet.witness.plan().await;
    assert_eq!(fleet.reason("nas2").await, "R_TRANSFER_RUNNING");
    assert_eq!(fleet.witness.lease(&fleet.nas2).await[0]["step"]["action"], "roll_back");
}

#[tokio::test]
async fn a_copy_that_was_last_seen_long_ago_is_not_relied_on_whatever_its_agent_says() {
    let fleet = rolling_back().await;
    let mut rarely = hello();
    rarely["report_interval_ms"] = json!(86_400_000);
    fleet.witness.agent(&fleet.nas2, "hello", rarely).await.fine();
    fleet.witness.advance(11 * 60);
    let Fleet { witness, nas1, nas3, .. } = &fleet;
    witness.report(nas1, &[("tank", &[]), ("tank/media", &[1, 2])]).await;
    witness.report(nas3, &[("backup", &[]), ("backup/media", &[1, 7])]).await;
    fleet.refused("s7 would be lost: nas2, which has it, has not reported for too long").await;
}

/// Deletions of `nas1` are carried over, of which the brake lets nothing pass by itself.
async fn braked() -> Fleet {
    let witness = Witness::start().await;
    let (nas1, nas2, nas3) =
        (witness.enrol("nas1").await, witness.enrol("nas2").await, witness.enrol("nas3").await);
    witness
        .group(json!({
            "name": "prod", "systems": ["nas1", "nas2", "nas3"], "source_of_truth": "nas1",
            "datasets": ["tank/media"], "mappings": ["tank=backup"], "auto": true,
            "allow_destroy": true, "mirror_deletes": { "max_percent": 10 },
        }))
        .await;
    let fleet = Fleet { witness, nas1, nas2, nas3 };
    fleet.carry_over(&[1, 7, 9]).await;
    fleet
}

impl Fleet {
    /// Everybody reports, `nas2` that it has these snapshots; all but the last one are gone from `nas1`.
    async fn carry_over(&self, on_nas2: &[u64]) {
        let Self { witness, nas1, nas2, nas3 } = self;
        witness.report(nas1, &[("tank", &[]), ("tank/media", &[9])]).await;
        witness.report(nas2, &[("backup", &[]), ("backup/media", on_nas2)]).await;
        witness.report(nas3, &[("backup", &[]), ("backup/media", &[1, 7, 9])]).await;
        witness.plan().await;
    }

    /// A person lets the deletions through on `nas3`.
    async fn approve(&self) {
        assert_eq!(self.reason("nas3").await, "R_DELETE_BRAKE");
        let conflicts = self.witness.get("/conflicts").await.fine();
        let conflict = conflicts.as_array().unwrap().iter().find(|one| one["target_system"] == "nas3");
        let path = format!("/conflicts/{}/plan", conflict.unwrap()["id"].as_str().unwrap());
        let plan = self.witness.post(&path, json!({ "strategy": "use_source_of_truth" })).await.fine();
        assert_eq!(plan["destroys"].as_array().unwrap().len(), 2, "{plan}");
        let path = format!("/plans/{}/apply", plan["id"].as_str().unwrap());
        self.witness.post(&path, json!({})).await.fine();
        self.witness.plan().await;
    }

    async fn spares_s7(&self, why: &str) {
        assert_eq!(self.witness.lease(&self.nas3).await, Vec::<Value>::new());
        let transfers = self.witness.get("/transfers").await.fine();
        let transfer = transfers.as_array().unwrap().iter().find(|one| one["target_system"] == "nas3");
        let transfer = transfer.unwrap_or_else(|| panic!("{transfers}"));
        assert_eq!((&transfer["state"], &transfer["error_detail"]), (&json!("stale"), &json!(why)));
        self.witness.plan().await;
        for begun in self.witness.lease(&self.nas3).await {
            assert!(!begun.to_string().contains("s7"), "it is begun anew: {begun}");
        }
    }
}

#[tokio::test]
async fn approved_deletions_are_carried_over_while_another_system_keeps_the_copies() {
    let fleet = braked().await;
    fleet.approve().await;
    let leased = fleet.witness.lease(&fleet.nas3).await;
    assert_eq!((leased.len(), &leased[0]["step"]["action"]), (1, &json!("destroy_snapshots")));
}

#[tokio::test]
async fn an_approved_deletion_does_not_begin_when_the_keeper_is_dead() {
    let fleet = braked().await;
    fleet.approve().await;
    fleet.witness.advance(11 * 60);
    let Fleet { witness, nas1, nas3, .. } = &fleet;
    witness.report(nas1, &[("tank", &[]), ("tank/media", &[9])]).await;
    witness.report(nas3, &[("backup", &[]), ("backup/media", &[1, 7, 9])]).await;
    fleet.spares_s7("s7 would be lost: nas2, which has it, has not reported for too long").await;
}

#[tokio::test]
async fn an_approved_deletion_does_not_begin_when_the_keepers_copy_went_while_it_was_queued() {
    let fleet = braked().await;
    fleet.approve().await;
    fleet.carry_over(&[1, 9]).await;
    fleet.spares_s7("s7 would be lost: the copy that was to stay on another system is gone").await;
}

#[tokio::test]
async fn deletions_are_not_even_planned_when_the_keeper_is_dead() {
    let fleet = braked().await;
    fleet.witness.advance(11 * 60);
    let Fleet { witness, nas1, nas3, .. } = &fleet;
    witness.report(nas1, &[("tank", &[]), ("tank/media", &[9])]).await;
    witness.report(nas3, &[("backup", &[]), ("backup/media", &[1, 7, 9])]).await;
    witness.plan().await;
    assert_ne!(
        fleet.reason("nas3").await,
        "R_DELETE_BRAKE",
        "nothing is left that a person could let through"
    );
}

#[tokio::test]
async fn what_was_set_aside_keeps_nothing() {
    let fleet = braked().await;
    let Fleet { witness, nas2, .. } = &fleet;
    let aside = "backup/media.aside-20260101T000000Z";
    witness.report(nas2, &[("backup", &[]), ("backup/media", &[9]), (aside, &[1, 7])]).await;
    witness.plan().await;
    assert_ne!(fleet.reason("nas3").await, "R_DELETE_BRAKE");
}

#[tokio::test]
async fn one_pool_that_two_systems_report_is_one_copy() {
    let fleet = braked().await;
    let Fleet { witness, nas2, nas3, .. } = &fleet;
    // The pool went from nas2 to nas3: the same dataset, and both reports are fresh.
    let row = witness.state.store.system(nas2.id).await.unwrap().unwrap();
    let moved = [dataset_of(nas3, "backup", &[]), dataset_of(nas3, "backup/media", &[1, 7, 9])];
    let report = json!({ "sequence": row.inventory_sequence.unwrap() + 1, "base": null, "datasets": moved });
    witness.agent(nas2, "inventory", report).await.fine();
    witness.plan().await;
    assert_ne!(fleet.reason("nas3").await, "R_DELETE_BRAKE");
}
