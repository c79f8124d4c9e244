//! Lists that come page by page.

use serde_json::{Value, json};

use zfs_sync_store::TransferCaps;

use crate::testing::{Witness, pairs};

/// Two groups with four replicas each of the same datasets; `tank/a.b` has what cursors are made of in its name.
async fn eight_replicas() -> Witness {
    let witness = Witness::start().await;
    let (nas1, nas2) = (witness.enrol("nas1").await, witness.enrol("nas2").await);
    for (name, to) in [("one", "tank=backup/one"), ("two", "tank=backup/two")] {
        witness
            .group(json!({
                "name": name, "systems": ["nas1", "nas2"], "source_of_truth": "nas1", "datasets": ["tank/*"],
                "mappings": [to],
            }))
            .await;
    }
    let datasets: [(&str, &[u64]); 5] =
        [("tank", &[]), ("tank/a", &[1]), ("tank/a.b", &[1]), ("tank/a b", &[1]), ("tank/c", &[1])];
    witness.report(&nas1, &datasets).await;
    witness.report(&nas2, &[("backup", &[])]).await;
    witness.plan().await;
    witness
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

async fn follow(witness: &Witness, query: &str) -> (Vec<Value>, usize) {
    let (mut items, mut pages, mut cursor) = (Vec::new(), 0, String::new());
    loop {
        let page = witness.get(&format!("/replicas?{query}{cursor}")).await.fine();
        items.extend(page["items"].as_array().unwrap().clone());
        pages += 1;
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={}", encoded(next)),
            None => return (items, pages),
        }
    }
}

#[tokio::test]
async fn pages_of_replicas_are_the_whole_list() {
    let witness = eight_replicas().await;
    let whole = witness.get("/replicas").await.fine();
    let all = whole["items"].as_array().unwrap().clone();
    assert_eq!((all.len(), &whole["next_cursor"]), (8, &Value::Null));
    for (limit, pages) in [(1, 8), (3, 3), (4, 2), (7, 2), (8, 1), (100, 1)] {
        assert_eq!(follow(&witness, &format!("limit={limit}")).await, (all.clone(), pages), "{limit}");
    }
    let (of_group, pages) = follow(&witness, "group=two&limit=3").await;
    assert_eq!((of_group.len(), pages), (4, 2));
    assert!(of_group.iter().all(|replica| replica["group"] == "two"));
}

#[tokio::test]
async fn a_page_goes_on_after_what_is_gone() {
    let witness = eight_replicas().await;
    let first = witness.get("/replicas?limit=5").await.fine();
    let cursor = encoded(first["next_cursor"].as_str().unwrap());
    let seen = first["items"].as_array().unwrap();
    let group = seen[4]["group_id"].as_str().unwrap();
    witness.call("DELETE", &format!("/api/v1/sync-groups/{group}"), Some(&witness.admin), None).await.fine();
    let rest = witness.get(&format!("/replicas?cursor={cursor}")).await.fine();
    let expected = json!({ "items": [], "next_cursor": null });
    assert_eq!(
        rest, expected,
        "the group that the page was in the middle of is gone, and no other is repeated"
    );
}

#[tokio::test]
async fn a_page_that_can_not_be_is_refused() {
    let witness = eight_replicas().await;
    for (query, code) in [
        ("limit=0", ("?limit", "E_VALUE_RANGE")),
        ("limit=10001", ("?limit", "E_VALUE_RANGE")),
        ("cursor=elsewhere", ("?cursor", "E_VALUE_INVALID")),
        ("cursor=", ("?cursor", "E_VALUE_INVALID")),
        ("group=three", ("?group", "E_GROUP_NOT_FOUND")),
    ] {
        let reply = witness.get(&format!("/replicas?{query}")).await;
        assert_eq!(reply.fields(), pairs(&[code]), "{query}: {}", reply.text);
    }
}

#[tokio::test]
async fn a_loss_lists_the_worst_and_counts_all() {
    let witness = Witness::start().await;
    let (nas1, nas2) = witness.pair(false).await;
    let datasets: [(&str, &[u64]); 4] =
        [("data", &[9]), ("tank", &[]), ("tank/alone", &[5]), ("tank/media", &[1, 2])];
    witness.report(&nas1, &datasets).await;
    witness.report(&nas2, &[("backup", &[9]), ("backup/media", &[1, 2])]).await;
    let ask = async |query: &str| {
        let answer = witness.get(&format!("/whatif/system-lost/nas1{query}")).await.fine();
        let named: Vec<String> =
            answer["losses"].as_array().unwrap().iter().map(|loss| loss["dataset"].to_string()).collect();
        (answer, named)
    };
    let (whole, named) = ask("").await;
    assert_eq!(named, ["\"data\"", "\"tank\"", "\"tank/alone\"", "\"tank/media\""]);
    assert_eq!(whole["datasets"], 4);
    assert_eq!(whole["extents"], json!({ "everything": 2, "nothing": 2 }));
    for (query, expected) in [
        ("?limit=3", &["\"data\"", "\"tank\"", "\"tank/alone\""][..]),
        ("?limit=2", &["\"tank\"", "\"tank/alone\""]),
        ("?limit=0", &[]),
    ] {
        let (answer, named) = ask(query).await;
        assert_eq!(named, expected, "{query}");
        for total in ["datasets", "extents", "bytes_lost", "doubts", "system_name"] {
            assert_eq!(answer[total], whole[total], "{total} {query}");
        }
    }
}

#[tokio::test]
async fn transfers_are_counted_by_state() {
    let witness = eight_replicas().await;
    let count = async || witness.get("/status").await.fine()["transfers"].clone();
    assert_eq!(count().await, json!({}));
    witness.post("/sync/one/execute", json!({})).await.fine();
    let queued = count().await["queued"].as_u64().unwrap();
    assert!(queued > 0);
    let id = witness.state.store.systems(0, 1).await.unwrap().remove(0).id;
    let store = &witness.state.store;
    store
        .lease_transfers(id, 1, &TransferCaps::NONE, witness.state.now(), witness.state.now())
        .await
        .unwrap();
    assert_eq!(count().await, json!({ "queued": queued - 1, "leased": 1 }));
}
