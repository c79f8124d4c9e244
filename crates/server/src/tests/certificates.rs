//! Certificates and tickets, and who gets none.

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, SanType};
use serde_json::{Value, json};
use x509_parser::{extensions::GeneralName, pem::parse_x509_pem};
use zfs_sync_api::v1::certificate::{Purpose, Ticket};

use crate::testing::{Host, Witness, hello};

/// A request that claims to be another system and a certificate authority.
fn request() -> (KeyPair, String) {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let mut parameters = CertificateParams::default();
    let other = "urn:uuid:00000000-0000-0000-0000-000000000001".to_owned();
    parameters.subject_alt_names = vec![SanType::URI(other.try_into().unwrap())];
    let csr = parameters.serialize_request(&key).unwrap().pem().unwrap();
    (key, csr)
}

async fn listens(witness: &Witness, host: &Host, port: u16) {
    let mut body = hello();
    body["listener"] = json!({ "port": port, "instance": "00000000-0000-0000-0000-00000000000a" });
    witness.agent(host, "hello", body).await.fine();
}

async fn certified(witness: &Witness, host: &Host) -> Value {
    witness.agent(host, "certificate", json!({ "csr": request().1 })).await.fine()
}

#[tokio::test]
async fn a_certificate_names_the_system_that_asked_and_nothing_that_it_claims() {
    let witness = Witness::start().await;
    let nas1 = witness.enrol("nas1").await;
    let (key, csr) = request();
    let issued = witness.agent(&nas1, "certificate", json!({ "csr": csr })).await.fine();
    let (_, leaf) = parse_x509_pem(issued["certificate"].as_str().unwrap().as_bytes()).unwrap();
    let (_, authority) = parse_x509_pem(issued["authority"].as_str().unwrap().as_bytes()).unwrap();
    let (leaf, authority) = (leaf.parse_x509().unwrap(), authority.parse_x509().unwrap());
    leaf.verify_signature(Some(authority.public_key())).unwrap();
    assert_eq!(leaf.public_key().subject_public_key.data.as_ref(), key.public_key_raw());
    let names = &leaf.subject_alternative_name().unwrap().unwrap().value.general_names;
    let uri = format!("urn:uuid:{}", nas1.id);
    assert!(matches!(names.as_slice(), [GeneralName::URI(name)] if *name == uri), "{names:?}");
    assert!(!leaf.is_ca() && authority.is_ca());
    let life = leaf.validity().not_after.timestamp() - witness.clock_seconds();
    assert_eq!(life, 30 * 24 * 3600);
    let shown = witness.get(&format!("/systems/{}", nas1.id)).await.fine();
    assert_eq!(shown["certificate_expires_at"], issued["expires_at"]);
    let told = witness.get("/systems").await.text + &issued.to_string();
    assert!(!told.contains("PRIVATE KEY"), "the authority's key is nowhere: {told}");
}

#[tokio::test]
async fn only_the_system_itself_gets_its_certificate() {
    let witness = Witness::start().await;
    let (nas1, nas2) = (witness.enrol("nas1").await, witness.enrol("nas2").await);
    let path = format!("/api/v1/systems/{}/certificate", nas1.id);
    let body = json!({ "csr": request().1 });
    for key in [Some(nas2.key.as_str()), Some(witness.admin.as_str())] {
        let reply = witness.call("POST", &path, key, Some(body.clone())).await;
        assert_eq!(reply.refusal(), (403, "E_FORBIDDEN".into()));
    }
    for wrong in ["", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"] {
        let reply = witness.agent(&nas1, "certificate", json!({ "csr": wrong })).await;
        assert_eq!(reply.refusal(), (422, "E_VALUE_INVALID".into()));
    }
    // A request whose signature is another key's: somebody else's public key.
    let csr = request().1;
    let broken = csr.replacen("MI", "MJ", 1);
    let reply = witness.agent(&nas1, "certificate", json!({ "csr": broken })).await;
    assert_eq!(reply.refusal(), (422, "E_VALUE_INVALID".into()));
}

#[tokio::test]
async fn enrolment_brings_a_certificate_and_a_wrong_request_leaves_the_token_unused() {
    let witness = Witness::start().await;
    let token = witness.token().await;
    let mut body = json!({ "token": token, "hostname": "nas1", "platform": "linux", "csr": "x" });
    let refused = witness.call("POST", "/api/v1/enrol", None, Some(body.clone())).await;
    assert_eq!(refused.refusal(), (422, "E_VALUE_INVALID".into()));
    body["csr"] = Value::from(request().1);
    let enrolled = witness.call("POST", "/api/v1/enrol", None, Some(body)).await.fine();
    let pem = enrolled["certificate"]["certificate"].as_str().unwrap();
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----"), "{pem}");
    let again = crate::authority::Authority::open(&witness.state.store, witness.state.now()).await.unwrap();
    let nas1 = Host {
        id: enrolled["system_id"].as_str().unwrap().parse().unwrap(),
        key: enrolled["api_key"].as_str().unwrap().to_owned(),
    };
    let later = again.issue(nas1.id, &request().1, witness.state.now()).unwrap();
    assert_eq!(
        enrolled["certificate"]["authority"], later.authority,
        "another witness has the same authority"
    );
}

#[tokio::test]
async fn a_lease_admits_to_the_other_side_where_that_listens() {
    let witness = Witness::start().await;
    let (nas1, nas2) = witness.pair(true).await;
    listens(&witness, &nas2, 8001).await;
    witness.plan().await;
    // Neither has a certificate yet.
    let leased = witness.lease(&nas1).await.remove(0);
    assert_eq!((&leased["ticket"], &leased["peer"]["tls"]), (&Value::Null, &Value::Null));
    assert_eq!(leased["peer"]["ssh_hostname"], "nas2");
    let failed =
        json!({ "outcome": "failed", "code": "E_TLS_UNREACHABLE", "detail": "x", "retryable": true });
    witness.result(&nas1, &leased, failed).await.fine();

    certified(&witness, &nas1).await;
    certified(&witness, &nas2).await;
    witness.advance(10);
    let leased = witness.lease(&nas1).await.remove(0);
    let expected = json!({ "system_id": nas2.id, "host": "nas2", "port": 8001 });
    assert_eq!(leased["peer"]["tls"], expected);
    let ticket: Ticket = serde_json::from_str(leased["ticket"]["ticket"].as_str().unwrap()).unwrap();
    assert_eq!((ticket.client, ticket.server, ticket.purpose), (nas1.id, nas2.id, Purpose::Transfer));
    assert_eq!((ticket.generation, ticket.instance.as_u128()), (2, 10));
    assert_eq!(ticket.step, serde_json::from_value(leased["step"].clone()).unwrap());

    // How it went is shown.
    let progress = json!({
        "generation": 2, "bytes": 1, "total": 9, "rate": 1, "stage": "sending", "resumed_from": null,
        "transport": { "kind": "ssh", "note": "E_TLS_UNREACHABLE: nobody answers" },
    });
    let path = format!("/api/v1/transfers/{}/progress", leased["id"].as_str().unwrap());
    witness.call("POST", &path, Some(&nas1.key), Some(progress)).await.fine();
    let shown = witness.get(&format!("/transfers/{}", leased["id"].as_str().unwrap())).await.fine();
    assert_eq!(
        (&shown["transport"], &shown["transport_note"]),
        (&json!("ssh"), &json!("E_TLS_UNREACHABLE: nobody answers"))
    );

    // A long stream's session goes on with another one, of the same lease.
    let progress = json!({
        "generation": 2, "bytes": 1, "total": 9, "rate": 1, "stage": "sending", "resumed_from": null, "wants_ticket": true,
    });
    let answer = witness.call("POST", &path, Some(&nas1.key), Some(progress)).await.fine();
    let renewed: Ticket = serde_json::from_str(answer["ticket"]["ticket"].as_str().unwrap()).unwrap();
    assert_eq!((renewed.generation, renewed.purpose, &renewed.step), (2, Purpose::Transfer, &ticket.step));
    assert_ne!(renewed.nonce, ticket.nonce);

    // To tidy up, its executor gets another one; nobody else does.
    let asked = json!({ "transfer_id": leased["id"] });
    let granted = witness.agent(&nas1, "ticket", asked.clone()).await.fine();
    let ticket: Ticket = serde_json::from_str(granted["ticket"]["ticket"].as_str().unwrap()).unwrap();
    assert_eq!(ticket.purpose, Purpose::Settle);
    assert_eq!(witness.agent(&nas2, "ticket", asked).await.refusal(), (403, "E_FORBIDDEN".into()));
}

#[tokio::test]
async fn a_system_without_ssh_that_listens_can_be_planned_for() {
    let witness = Witness::start().await;
    let (nas1, nas2) = witness.pair(true).await;
    for host in [&nas1, &nas2] {
        let path = format!("/api/v1/systems/{}", host.id);
        let cleared = json!({ "ssh_hostname": null });
        witness.call("PUT", &path, Some(&witness.admin), Some(cleared)).await.fine();
        certified(&witness, host).await;
    }
    witness.plan().await;
    assert_eq!(witness.replicas().await[0].2, "R_PARKED");
    // Only the source listens: the target pulls.
    listens(&witness, &nas1, 8001).await;
    witness.plan().await;
    let leased = witness.lease(&nas2).await.remove(0);
    assert_eq!((&leased["push"], &leased["peer"]["ssh_hostname"]), (&json!(false), &Value::Null));
    assert_eq!(leased["peer"]["tls"]["host"], "nas1");
    // A certificate that has ended is none.
    witness.result(&nas2, &leased, json!({ "outcome": "stale", "detail": "x" })).await.fine();
    witness.advance(31 * 24 * 3600);
    witness.report(&nas1, &[("tank", &[]), ("tank/media", &[1])]).await;
    witness.report(&nas2, &[("backup", &[])]).await;
    witness.plan().await;
    assert_eq!(witness.replicas().await[0].2, "R_PARKED");
}

/// Sets by what the only group's transfers may go.
async fn allow(witness: &Witness, transport: &str) -> crate::testing::Reply {
    let group = witness.get("/sync-groups").await.fine()[0]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/sync-groups/{group}");
    witness.call("PUT", &path, Some(&witness.admin), Some(json!({ "transport": transport }))).await
}

#[tokio::test]
async fn a_group_says_by_what_its_transfers_may_go() {
    let witness = Witness::start().await;
    let (nas1, nas2) = witness.pair(true).await;
    for host in [&nas1, &nas2] {
        certified(&witness, host).await;
    }
    assert_eq!(allow(&witness, "carrier pigeon").await.refusal(), (422, "E_BODY_INVALID".into()));
    // Nobody listens, so that TLS alone is no way, although ssh would be.
    assert_eq!(allow(&witness, "tls").await.fine()["transport"], "tls");
    witness.plan().await;
    let why = witness.get("/why?replica=backup/media@nas2").await.fine();
    assert_eq!(why[0]["reason"], "R_PARKED");
    assert!(why[0]["report"]["next"].as_str().unwrap().contains("`--transport tls`"), "{why}");
    listens(&witness, &nas2, 8001).await;
    witness.plan().await;
    let leased = witness.lease(&nas1).await.remove(0);
    assert_eq!(
        (&leased["peer"]["ssh_hostname"], &leased["peer"]["tls"]["port"]),
        (&Value::Null, &json!(8001))
    );
    assert!(!leased["ticket"].is_null());
    let again = json!({ "outcome": "failed", "code": "E_TLS_UNREACHABLE", "detail": "x", "retryable": true });
    witness.result(&nas1, &leased, again).await.fine();

    allow(&witness, "ssh").await.fine();
    witness.advance(10);
    let leased = witness.lease(&nas1).await.remove(0);
    assert_eq!((&leased["peer"]["ssh_hostname"], &leased["peer"]["tls"]), (&json!("nas2"), &Value::Null));
    assert!(leased["ticket"].is_null(), "what must not be used is not admitted to");
    let asked = json!({ "transfer_id": leased["id"] });
    let granted = witness.agent(&nas1, "ticket", asked).await.fine();
    assert_eq!((&granted["tls"], &granted["ticket"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn where_an_agent_listens_must_be_a_host() {
    let witness = Witness::start().await;
    let nas1 = witness.enrol("nas1").await;
    let mut body = hello();
    body["listener"] =
        json!({ "host": "-oProxyCommand=x", "port": 1, "instance": "00000000-0000-0000-0000-00000000000a" });
    assert_eq!(witness.agent(&nas1, "hello", body).await.refusal(), (422, "E_HOST_INVALID".into()));
}
