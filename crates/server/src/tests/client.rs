//! Our own client against our own server: every method finds its operation and understands the answer.

use std::{collections::BTreeMap, sync::Arc};

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;
use zfs_sync_api::{
    client::{Client, ClientError, TransferQuery},
    codes::ErrorCode,
    v1::{
        agent::{Hello, InventoryReport, LeaseRequest, ProgressReport, TransferOutcome, TransferResult},
        group::{CreateGroup, UpdateGroup},
        key::{CreateEnrolmentToken, CreateKey, Enrol, Enrolled, Role},
        sync::PlanRequest,
        system::UpdateSystem,
    },
};
use zfs_sync_core::{
    name::DatasetName,
    plan::ReplicaState,
    retention::Retention,
    time::{Clock as _, ManualClock},
};
use zfs_sync_store::Store;

use crate::{Options, Server, Settings, bootstrap_admin, testing::dataset};

fn client(base: &Url, key: &str) -> Client {
    Client::new(base, Some(SecretString::from(key.to_owned()))).unwrap()
}

async fn enrol(admin: &Client, base: &Url, hostname: &str) -> (Enrolled, Client) {
    let token =
        admin.create_enrolment_token(&CreateEnrolmentToken { ttl_seconds: None }).await.unwrap().token;
    let stranger = Client::new(base, None).unwrap();
    let hostname = hostname.to_owned();
    let platform = "linux".to_owned();
    let body =
        Enrol { token, hostname, platform, ssh_hostname: None, ssh_user: None, ssh_port: None, csr: None };
    let enrolled = stranger.enrol(&body).await.unwrap();
    let agent = client(base, &enrolled.api_key);
    let hello = Hello {
        agent_version: "0.1.0".into(),
        zfs_version: None,
        os: "linux".into(),
        report_interval_ms: 1000,
        clock_ms: 0,
        listener: None,
    };
    assert_eq!(agent.hello(enrolled.system_id, &hello).await.unwrap().released, 0);
    (enrolled, agent)
}

fn report(datasets: &[(&str, &[u64])]) -> InventoryReport {
    let datasets =
        datasets.iter().map(|(name, snapshots)| serde_json::from_value(dataset(name, snapshots)).unwrap());
    InventoryReport {
        sequence: 1,
        base: None,
        datasets: datasets.collect(),
        removed: Vec::new(),
        retention: None,
        looked_at: None,
    }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, ClientError>, code: ErrorCode) {
    let error = answer.unwrap_err();
    assert_eq!(error.code(), code, "{error}");
}

#[tokio::test]
async fn every_method_finds_its_operation() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::connect("sqlite::memory:", &zfs_sync_store::Options::default()).await.unwrap();
    let clock = Arc::new(ManualClock::new("2026-01-01T00:00:00Z".parse().unwrap()));
    let key = bootstrap_admin(&store, folder.path(), clock.now()).await.unwrap().unwrap().key;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let shutdown = CancellationToken::new();
    let options = Options { listener, store: store.clone(), clock, settings: Settings::default() };
    let server = Server::start(options, shutdown.clone()).await.unwrap();
    let base = Url::parse(&format!("http://{}", server.address())).unwrap();
    let admin = client(&base, key.expose_secret());

    assert_eq!(admin.health().await.unwrap().status, "healthy");
    refused(client(&base, "wrong").status().await, ErrorCode::KeyInvalid);
    refused(Client::new(&base, None).unwrap().status().await, ErrorCode::AuthRequired);

    let token = admin.create_enrolment_token(&CreateEnrolmentToken { ttl_seconds: Some(5) }).await.unwrap();
    assert_eq!(admin.list_enrolment_tokens().await.unwrap()[0].id, token.id);
    admin.revoke_enrolment_token(token.id).await.unwrap();
    let body = CreateKey { name: "ci".into(), role: Role::Viewer, expires_in_seconds: None };
    let created = admin.create_key(&body).await.unwrap();
    assert_eq!(admin.list_keys().await.unwrap().len(), 2);
    let viewer = client(&base, &created.api_key);
    viewer.status().await.unwrap();
    refused(viewer.list_keys().await, ErrorCode::Forbidden);
    admin.revoke_key(created.key.id).await.unwrap();

    let (nas1, source) = enrol(&admin, &base, "nas1").await;
    let (nas2, target) = enrol(&admin, &base, "nas2").await;
    assert_eq!(admin.list_systems().await.unwrap().len(), 2);
    let change = UpdateSystem { ssh_port: Some(2222), ..UpdateSystem::default() };
    assert_eq!(admin.update_system(nas2.system_id, &change).await.unwrap().ssh_port, 2222);
    assert_eq!(admin.find_system(nas2.system_id).await.unwrap().ssh_port, 2222);

    let body = CreateGroup {
        name: "prod".into(),
        systems: vec!["nas1".into(), "nas2".into()],
        source_of_truth: Some("nas1".into()),
        datasets: vec!["tank/media".into()],
        mappings: vec!["tank=backup".into()],
        ..CreateGroup::default()
    };
    let group = admin.create_group(&body).await.unwrap().id;
    refused(admin.create_group(&body).await, ErrorCode::GroupExists);
    assert_eq!(admin.list_groups().await.unwrap().len(), 1);
    assert!(!admin.find_group(group).await.unwrap().auto);
    let change = UpdateGroup { description: Some("films".into()), ..UpdateGroup::default() };
    assert_eq!(admin.update_group(group, &change).await.unwrap().description.as_deref(), Some("films"));

    let retention = json!({ "tank/media": {
        "tool": "sanoid", "autoprune": true, "frequently": 0, "hourly": 36, "daily": 30, "weekly": 0, "monthly": 3, "yearly": 0,
    } });
    let retention: BTreeMap<DatasetName, Retention> = serde_json::from_value(retention).unwrap();
    let media = InventoryReport { retention: Some(retention.clone()), ..report(&[("tank/media", &[1])]) };
    assert!(source.report_inventory(nas1.system_id, &media).await.unwrap().accepted);
    assert_eq!(store.retention_policies(nas1.system_id, None).await.unwrap(), retention);
    assert!(target.report_inventory(nas2.system_id, &report(&[("backup", &[])])).await.unwrap().accepted);
    assert_eq!(admin.check_group(group).await.unwrap().replicas[0].state, ReplicaState::NeverSeeded);
    let plan = admin.plan_group(group, &PlanRequest::default()).await.unwrap();
    assert_eq!(plan.steps.len(), 1);
    let request = PlanRequest { fingerprint: Some(plan.fingerprint), ..PlanRequest::default() };
    assert_eq!(admin.execute_group(group, &request).await.unwrap().queued.len(), 1);
    assert_eq!(admin.list_replicas(Some(group)).await.unwrap()[0].state, ReplicaState::Syncing);
    assert_eq!(admin.list_replicas(None).await.unwrap().len(), 1);
    assert_eq!(admin.explain_replica("backup/media@nas2").await.unwrap().len(), 1);

    let lease = LeaseRequest { max: 1, wait_ms: 5000 };
    let leased = source.lease_transfers(nas1.system_id, &lease).await.unwrap().transfers.remove(0);
    assert_eq!(leased.peer.map(|peer| peer.ssh_port), Some(2222));
    let generation = leased.generation;
    let (bytes, total, rate, stage, resumed_from) = (5, Some(9), 1, "sending".to_owned(), None);
    let progress =
        ProgressReport { generation, bytes, total, rate, stage, resumed_from, flow: None, transport: None };
    assert!(!source.report_progress(leased.id, &progress).await.unwrap().cancel);
    refused(target.report_progress(leased.id, &progress).await, ErrorCode::Forbidden);
    let query =
        TransferQuery { group: Some(group), system: Some(nas2.system_id), unfinished: true, limit: 5 };
    assert_eq!(admin.list_transfers(&query).await.unwrap().len(), 1);
    assert!(admin.cancel_transfer(leased.id).await.unwrap().cancel_requested);
    assert!(source.report_progress(leased.id, &progress).await.unwrap().cancel);
    let result =
        |outcome| TransferResult { generation, outcome, bytes: 9, resumed_from: None, transport: None };
    assert_eq!(
        source.report_result(leased.id, &result(TransferOutcome::Cancelled)).await.unwrap().state,
        "cancelled"
    );
    refused(source.report_result(leased.id, &result(TransferOutcome::Succeeded)).await, ErrorCode::LeaseLost);
    assert_eq!(admin.retry_transfer(leased.id).await.unwrap().state, "queued");
    assert_eq!(admin.find_transfer(leased.id).await.unwrap().state, "queued");

    refused(admin.delete_system(nas2.system_id).await, ErrorCode::SystemInUse);
    admin.delete_group(group).await.unwrap();
    admin.delete_system(nas2.system_id).await.unwrap();
    refused(admin.find_system(nas2.system_id).await, ErrorCode::SystemNotFound);
    shutdown.cancel();
    server.wait().await.unwrap();
}
