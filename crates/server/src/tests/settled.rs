//! A decision ends target by target: whoever has arrived follows as the group says again, however long the others are silent.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use zfs_sync_core::ids::SystemId;

use crate::testing::{Host, Witness};

/// A group whose home is `nas1`, and what was written on `nas2` meanwhile is newer. A person has decided to follow `nas2`; `nas4` is silent
/// since then.
struct Fleet {
    witness: Witness,
    nas1: Host,
    nas2: Host,
    nas3: Host,
    nas4: Host,
    plan: Value,
}

async fn turned_around() -> Fleet {
    let witness = Witness::start().await;
    let (nas1, nas2) = (witness.enrol("nas1").await, witness.enrol("nas2").await);
    let (nas3, nas4) = (witness.enrol("nas3").await, witness.enrol("nas4").await);
    witness
        .group(json!({
            "name": "prod", "systems": ["nas1", "nas2", "nas3", "nas4"], "source_of_truth": "nas1",
            "datasets": ["tank/media"], "mappings": ["tank=backup"], "auto": true,
        }))
        .await;
    witness.report(&nas4, &[("backup", &[]), ("backup/media", &[1, 2])]).await;
    let mut fleet = Fleet { witness, nas1, nas2, nas3, nas4, plan: Value::Null };
    fleet.report(&[1, 2], &[1, 7], &[1, 2]).await;
    let conflicts = fleet.witness.get("/conflicts").await.fine();
    let path = format!("/conflicts/{}/plan", conflicts[0]["id"].as_str().unwrap());
    fleet.plan = fleet.witness.post(&path, json!({ "strategy": "use_newest" })).await.fine();
    let path = format!("/plans/{}/apply", fleet.plan["id"].as_str().unwrap());
    fleet.witness.post(&path, json!({})).await.fine();
    fleet.witness.advance(6);
    assert_eq!(fleet.targets().await, ids(&[&fleet.nas1, &fleet.nas3, &fleet.nas4]));
    fleet
}

fn ids(hosts: &[&Host]) -> BTreeSet<SystemId> {
    hosts.iter().map(|host| host.id).collect()
}

impl Fleet {
    /// All that is begun succeeds, these three report, and it is planned anew.
    async fn report(&self, on_nas1: &[u64], on_nas2: &[u64], on_nas3: &[u64]) -> Vec<(SystemId, SystemId)> {
        let Self { witness, nas1, nas2, nas3, .. } = self;
        let mut begun = Vec::new();
        for host in [nas1, nas2, nas3] {
            for transfer in witness.lease(host).await {
                let system = |side: &str| transfer["step"][side].as_str().unwrap().parse().unwrap();
                begun.push((system("source_system"), system("target_system")));
                witness.result(host, &transfer, json!({ "outcome": "succeeded" })).await.fine();
            }
        }
        witness.advance(1);
        witness.report(nas1, &[("tank", &[]), ("tank/media", on_nas1)]).await;
        witness.report(nas2, &[("backup", &[]), ("backup/media", on_nas2)]).await;
        witness.report(nas3, &[("backup", &[]), ("backup/media", on_nas3)]).await;
        witness.plan().await;
        begun
    }

    async fn decisions(&self) -> Vec<zfs_sync_store::DecisionRow> {
        let group = self.witness.state.store.groups().await.unwrap().remove(0).group;
        self.witness.state.store.decisions(group.id).await.unwrap()
    }

    /// What the decision is still about.
    async fn targets(&self) -> BTreeSet<SystemId> {
        self.decisions().await.remove(0).decision.targets
    }

    async fn outcome(&self) -> Value {
        let path = format!("/plans/{}", self.plan["id"].as_str().unwrap());
        self.witness.get(&path).await.fine()["outcome"].clone()
    }
}

#[tokio::test]
async fn who_has_arrived_follows_as_before_while_another_one_is_silent() {
    let fleet = turned_around().await;
    let Fleet { witness, nas1, nas2, nas3, nas4, .. } = &fleet;
    // The home goes back, and so does nas3.
    fleet.report(&[1, 7], &[1, 7], &[1, 7]).await;
    let decision = fleet.decisions().await.remove(0).decision;
    assert_eq!(decision.targets, ids(&[nas4]));
    let mentioned =
        decision.may_destroy.keys().chain(decision.may_discard.keys()).chain(decision.may_move.keys());
    assert!(mentioned.into_iter().all(|system| *system == nas4.id), "{decision:?}");

    // The truth goes on.
    fleet.report(&[1, 7, 8], &[1, 7], &[1, 7]).await;
    let begun = fleet.report(&[1, 7, 8], &[1, 7, 8], &[1, 7, 8]).await;
    assert_eq!(begun, [(nas1.id, nas2.id), (nas1.id, nas3.id)]);

    // And the silent one is brought along when it is back.
    let back = witness.lease(nas4).await.remove(0);
    assert_eq!(back["step"]["action"], "roll_back");
    witness.result(nas4, &back, json!({ "outcome": "succeeded" })).await.fine();
    witness.advance(1);
    witness.report(nas4, &[("backup", &[]), ("backup/media", &[1])]).await;
    fleet.report(&[1, 7, 8], &[1, 7, 8], &[1, 7, 8]).await;
    let begun = fleet.report(&[1, 7, 8], &[1, 7, 8], &[1, 7, 8]).await;
    assert_eq!(begun, [(nas2.id, nas4.id)]);
    witness.report(nas4, &[("backup", &[]), ("backup/media", &[1, 7, 8])]).await;
    fleet.report(&[1, 7, 8], &[1, 7, 8], &[1, 7, 8]).await;
    assert_eq!((fleet.decisions().await, fleet.outcome().await), (Vec::new(), json!("fulfilled")));
}

#[tokio::test]
async fn nobody_goes_back_to_a_home_that_has_not_arrived() {
    let fleet = turned_around().await;
    fleet.report(&[1, 2], &[1, 7], &[1, 7]).await;
    assert_eq!(fleet.targets().await, ids(&[&fleet.nas1, &fleet.nas3, &fleet.nas4]));
    let begun = fleet.report(&[1, 2], &[1, 7, 8], &[1, 7]).await;
    assert!(begun.iter().all(|(_, target)| *target == fleet.nas1.id), "{begun:?}");
    let begun = fleet.report(&[1, 2], &[1, 7, 8], &[1, 7, 8]).await;
    assert!(begun.contains(&(fleet.nas2.id, fleet.nas3.id)), "{begun:?}");
}

#[tokio::test]
async fn who_leaves_the_group_is_waited_for_no_longer() {
    let fleet = turned_around().await;
    let group = fleet.witness.get("/sync-groups").await.fine()[0]["id"].as_str().unwrap().to_owned();
    let edit = async |systems: Value| {
        let path = format!("/api/v1/sync-groups/{group}");
        let body = json!({ "systems": systems });
        fleet.witness.call("PUT", &path, Some(&fleet.witness.admin), Some(body)).await.fine();
    };
    edit(json!(["nas1", "nas2", "nas3"])).await;
    fleet.witness.plan().await;
    assert_eq!(fleet.targets().await, ids(&[&fleet.nas1, &fleet.nas3]));
    edit(json!(["nas1", "nas3"])).await;
    fleet.witness.plan().await;
    assert_eq!((fleet.decisions().await, fleet.outcome().await), (Vec::new(), json!("withdrawn")));
}
