//! Deletions are carried over only where the source's system has really destroyed the snapshot.

use serde_json::{Value, json};

use crate::testing::{Host, Witness};

/// `nas1`, `nas2` and `nas3` in a group that carries deletions over.
async fn mirroring(mode: &str) -> (Witness, [Host; 3]) {
    let witness = Witness::start().await;
    let hosts = [witness.enrol("nas1").await, witness.enrol("nas2").await, witness.enrol("nas3").await];
    witness
        .group(json!({
            "name": "prod", "systems": ["nas1", "nas2", "nas3"], "source_of_truth": "nas1", "mode": mode,
            "datasets": ["tank/media"], "mappings": ["tank=backup"], "auto": true,
            "allow_destroy": true, "mirror_deletes": { "max_percent": 90 },
        }))
        .await;
    (witness, hosts)
}

/// What is begun on `nas3` after everybody has reported.
async fn begun(witness: &Witness, nas3: &Host) -> Vec<Value> {
    witness.plan().await;
    witness.lease(nas3).await.into_iter().map(|transfer| transfer["step"]["action"].clone()).collect()
}

#[tokio::test]
async fn what_was_destroyed_at_the_source_is_destroyed_on_all_targets_but_one() {
    let (witness, [nas1, nas2, nas3]) = mirroring("one_way").await;
    witness.report(&nas1, &[("tank", &[]), ("tank/media", &[3])]).await;
    witness.report(&nas2, &[("backup", &[]), ("backup/media", &[1, 2, 3])]).await;
    witness.report(&nas3, &[("backup", &[]), ("backup/media", &[1, 2, 3])]).await;
    assert_eq!(begun(&witness, &nas3).await, [json!("destroy_snapshots")]);
    assert_eq!(begun(&witness, &nas2).await, Vec::<Value>::new());
}

#[tokio::test]
async fn what_a_promotion_has_moved_at_the_source_stays_on_the_targets() {
    let (witness, [nas1, nas2, nas3]) = mirroring("one_way").await;
    // A clone of s2 was promoted: both snapshots are in it now.
    witness.report(&nas1, &[("tank", &[]), ("tank/media", &[3]), ("tank/new", &[1, 2])]).await;
    witness.report(&nas2, &[("backup", &[]), ("backup/media", &[1, 2, 3])]).await;
    witness.report(&nas3, &[("backup", &[]), ("backup/media", &[1, 2, 3])]).await;
    assert_eq!(begun(&witness, &nas3).await, Vec::<Value>::new());
}

#[tokio::test]
async fn what_a_member_of_a_chain_has_in_another_dataset_stays_behind_it() {
    let (witness, [nas1, nas2, nas3]) = mirroring("chain").await;
    witness.report(&nas1, &[("tank", &[]), ("tank/media", &[1, 2, 3])]).await;
    let aside = "backup/media.aside-20260101T000000Z";
    witness.report(&nas2, &[("backup", &[]), ("backup/media", &[1, 3]), (aside, &[2])]).await;
    witness.report(&nas3, &[("backup", &[]), ("backup/media", &[1, 2, 3])]).await;
    assert_eq!(begun(&witness, &nas3).await, Vec::<Value>::new());
}
