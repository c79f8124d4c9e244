//! How a host becomes a system, and how it does not.

use rstest::rstest;
use serde_json::{Value, json};

use crate::testing::{Witness, pairs};

async fn enrol(witness: &Witness, token: &str, hostname: &str) -> crate::testing::Reply {
    let body = json!({ "token": token, "hostname": hostname, "platform": "linux" });
    witness.call("POST", "/api/v1/enrol", None, Some(body)).await
}

#[tokio::test]
async fn a_token_is_good_for_one_host() {
    let witness = Witness::start().await;
    let token = witness.token().await;
    let enrolled = enrol(&witness, &token, "nas1").await;
    assert_eq!(enrolled.status, 201);
    assert_eq!(enrol(&witness, &token, "nas2").await.refusal(), (401, "E_TOKEN_USED".into()));
    let systems = witness.get("/systems").await.fine();
    assert_eq!(systems.as_array().unwrap().len(), 1);
    assert_eq!(systems[0]["hostname"], "nas1");
    assert_eq!(systems[0]["ssh_hostname"], "nas1", "where nothing is said, others reach it by its name");
    assert_eq!(systems[0]["api_key"], Value::Null);
    assert_eq!(witness.get("/enrolment-tokens").await.fine(), json!([]));
}

#[tokio::test]
async fn wrong_expired_and_revoked_tokens_are_refused() {
    let witness = Witness::start().await;
    let unknown = format!("zst_abcdefgh_{}", "A".repeat(43));
    for wrong in [unknown.as_str(), "", "zst_", witness.admin.as_str()] {
        assert_eq!(
            enrol(&witness, wrong, "nas1").await.refusal(),
            (401, "E_TOKEN_INVALID".into()),
            "{wrong}"
        );
    }
    let token = witness.token().await;
    let other_secret = format!("{}{}", &token[..token.len() - 4], "AAAA");
    assert_eq!(enrol(&witness, &other_secret, "nas1").await.refusal(), (401, "E_TOKEN_INVALID".into()));

    let listed = witness.get("/enrolment-tokens").await.fine();
    let id = listed[0]["id"].as_str().unwrap();
    let path = format!("/api/v1/enrolment-tokens/{id}");
    assert_eq!(witness.call("DELETE", &path, Some(&witness.admin), None).await.status, 204);
    assert_eq!(enrol(&witness, &token, "nas1").await.refusal(), (401, "E_TOKEN_INVALID".into()));

    let token = witness.token().await;
    witness.advance(3601);
    assert_eq!(enrol(&witness, &token, "nas1").await.refusal(), (401, "E_TOKEN_EXPIRED".into()));
    assert_eq!(witness.get("/systems").await.fine(), json!([]));
}

#[rstest]
#[case("a b")]
#[case("nas1;reboot")]
#[case("-oProxyCommand=x")]
#[case("nas/../x")]
#[case("näs")]
#[tokio::test]
async fn a_host_name_that_is_none_leaves_the_token_unused(#[case] hostname: &str) {
    let witness = Witness::start().await;
    let token = witness.token().await;
    let reply = enrol(&witness, &token, hostname).await;
    assert_eq!(reply.refusal(), (422, "E_HOST_INVALID".into()));
    assert_eq!(reply.fields(), pairs(&[("/hostname", "E_HOST_INVALID")]));
    assert_eq!(enrol(&witness, &token, &"n".repeat(300)).await.refusal(), (422, "E_HOST_INVALID".into()));
    assert_eq!(enrol(&witness, &token, "nas1").await.status, 201, "the token is still good");
}

#[tokio::test]
async fn a_taken_name_leaves_the_token_unused() {
    let witness = Witness::start().await;
    witness.enrol("nas1").await;
    let token = witness.token().await;
    assert_eq!(enrol(&witness, &token, "nas1").await.refusal(), (409, "E_SYSTEM_EXISTS".into()));
    assert_eq!(enrol(&witness, &token, "nas2").await.status, 201);
}

#[tokio::test]
async fn where_ssh_leads_is_checked_like_a_host_name() {
    let witness = Witness::start().await;
    let body = json!({
        "token": witness.token().await, "hostname": "nas1", "platform": "linux",
        "ssh_hostname": "$(x)", "ssh_user": "root:x", "ssh_port": 0,
    });
    let reply = witness.call("POST", "/api/v1/enrol", None, Some(body)).await;
    let expected = [
        ("/ssh_hostname", "E_HOST_INVALID"),
        ("/ssh_user", "E_HOST_INVALID"),
        ("/ssh_port", "E_VALUE_RANGE"),
    ];
    assert_eq!(reply.fields(), pairs(&expected));
    assert_eq!(reply.refusal(), (422, "E_BODY_INVALID".into()));
}

#[tokio::test]
async fn a_token_lasts_between_a_second_and_thirty_days() {
    let witness = Witness::start().await;
    for seconds in [0, 30 * 24 * 3600 + 1] {
        let reply = witness.post("/enrolment-tokens", json!({ "ttl_seconds": seconds })).await;
        assert_eq!(reply.refusal(), (422, "E_VALUE_RANGE".into()));
        assert_eq!(reply.fields(), pairs(&[("/ttl_seconds", "E_VALUE_RANGE")]));
    }
    assert_eq!(witness.post("/enrolment-tokens", json!({ "ttl_seconds": 1 })).await.status, 201);
}

#[tokio::test]
async fn a_host_says_of_itself_only_what_fits_in_a_list() {
    let witness = Witness::start().await;
    let token = witness.token().await;
    for platform in ["x".repeat(129), "linux\u{1b}[2J".to_owned()] {
        let body = json!({ "token": token, "hostname": "nas1", "platform": platform });
        let reply = witness.call("POST", "/api/v1/enrol", None, Some(body)).await;
        assert_eq!(reply.fields(), pairs(&[("/platform", "E_VALUE_INVALID")]));
    }
    // The token is still good.
    let enrolled = enrol(&witness, &token, "nas1").await.fine();
    let nas1 = crate::testing::Host {
        id: enrolled["system_id"].as_str().unwrap().parse().unwrap(),
        key: enrolled["api_key"].as_str().unwrap().to_owned(),
    };
    let mut hello = crate::testing::hello();
    hello["zfs_version"] = Value::from(format!("2.3\u{1b}[2J{}", "x".repeat(100_000)));
    witness.agent(&nas1, "hello", hello).await.fine();
    let shown = witness.get(&format!("/systems/{}", nas1.id)).await.fine();
    let version = shown["zfs_version"].as_str().unwrap();
    assert!(version.starts_with("2.3[2J") && version.len() == 128, "{version}");
}
