//! A witness for tests: the whole router on SQLite in a temporary folder, with a clock that tests move.

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Body};
use http::{HeaderMap, Request, header};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use zfs_sync_api::v1::key::Role;
use zfs_sync_core::{
    guid::{Guid, Txg},
    ids::SystemId,
    inventory::{Dataset, DatasetKind, DatasetProperties, Snapshot},
    time::{Clock as _, ManualClock, Timestamp},
};
use zfs_sync_store::Store;

use crate::{
    auth::{
        new_key,
        secret::{Kind, mint},
    },
    background::Planner,
    router,
    settings::Settings,
    state::AppState,
};

pub(crate) struct Witness {
    pub(crate) state: AppState,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) admin: String,
    router: Router,
    _folder: TempDir,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

/// An enrolled system.
pub(crate) struct Host {
    pub(crate) id: SystemId,
    pub(crate) key: String,
}

impl Reply {
    #[track_caller]
    pub(crate) fn body(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text))
    }

    /// The body of a success.
    #[track_caller]
    pub(crate) fn fine(&self) -> Value {
        assert!((200..300).contains(&self.status), "{} {}", self.status, self.text);
        if self.text.is_empty() { Value::Null } else { self.body() }
    }

    /// Status and code of a refusal, which is a complete problem document.
    #[track_caller]
    pub(crate) fn refusal(&self) -> (u16, String) {
        let body = self.body();
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/problem+json", "{}", self.text);
        assert_eq!(body["status"], self.status);
        assert_eq!(body["status_code"], self.status);
        let id = self.headers["x-request-id"].to_str().unwrap();
        assert_eq!(body["request_id"], id);
        (self.status, body["code"].as_str().unwrap().to_owned())
    }

    /// Pointers and codes of the wrong fields.
    #[track_caller]
    pub(crate) fn fields(&self) -> Vec<(String, String)> {
        let body = self.body();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let errors = body["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|error| (text(&error["pointer"]), text(&error["code"]))).collect()
    }
}

/// Pairs as a test writes them.
pub(crate) fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(one, other)| ((*one).to_owned(), (*other).to_owned())).collect()
}

impl Witness {
    pub(crate) async fn start() -> Self {
        Self::with(Settings::default()).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:///{}", folder.path().join("test.db").display());
        let store = Store::connect(&url, &zfs_sync_store::Options::default()).await.unwrap();
        let clock = Arc::new(ManualClock::new("2026-01-01T00:00:00Z".parse().unwrap()));
        let state = AppState::new(store, clock.clone(), settings, CancellationToken::new());
        let router = router::router(state.clone());
        let mut witness = Self { state, clock, admin: String::new(), router, _folder: folder };
        witness.admin = witness.key("root", Role::Admin).await;
        witness
    }

    /// A key with this role.
    pub(crate) async fn key(&self, name: &str, role: Role) -> String {
        let minted = mint(Kind::Key);
        self.state
            .store
            .insert_key(&new_key(&minted, name, role, None, None), self.clock.now())
            .await
            .unwrap();
        minted.expose()
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        Reply { status, headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
    }

    /// A response whose body is read bit by bit.
    pub(crate) async fn open(&self, request: Request<Body>) -> axum::response::Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: Option<Value>,
    ) -> Reply {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(key) = key {
            request = request.header("X-API-Key", key);
        }
        let body = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        self.send(request.body(body).unwrap()).await
    }

    /// As the administrator, below `/api/v1`.
    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.call("GET", &format!("/api/v1{path}"), Some(&self.admin), None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        self.call("POST", &format!("/api/v1{path}"), Some(&self.admin), Some(body)).await
    }

    /// As a system, below its address.
    pub(crate) async fn agent(&self, host: &Host, what: &str, body: Value) -> Reply {
        let path = format!("/api/v1/systems/{}/{what}", host.id);
        self.call("POST", &path, Some(&host.key), Some(body)).await
    }

    pub(crate) async fn token(&self) -> String {
        let token = self.post("/enrolment-tokens", json!({})).await.fine();
        token["token"].as_str().unwrap().to_owned()
    }

    /// A system whose agent has said hello and reports each second.
    pub(crate) async fn enrol(&self, name: &str) -> Host {
        let body = json!({ "token": self.token().await, "hostname": name, "platform": "linux" });
        let enrolled = self.call("POST", "/api/v1/enrol", None, Some(body)).await.fine();
        let id = enrolled["system_id"].as_str().unwrap().parse().unwrap();
        let host = Host { id, key: enrolled["api_key"].as_str().unwrap().to_owned() };
        self.agent(&host, "hello", hello()).await.fine();
        host
    }

    /// A complete report of these datasets, each with the numbers of its snapshots, from a look that has just been taken.
    pub(crate) async fn report(&self, host: &Host, datasets: &[(&str, &[u64])]) -> Value {
        self.report_of(host, datasets, Some(self.clock.now())).await
    }

    /// As [`Self::report`], of a look that began at this moment.
    pub(crate) async fn report_of(
        &self,
        host: &Host,
        datasets: &[(&str, &[u64])],
        looked_at: Option<Timestamp>,
    ) -> Value {
        let row = self.state.store.system(host.id).await.unwrap().unwrap();
        let sequence = row.inventory_sequence.map_or(1, |sequence| sequence + 1);
        let datasets: Vec<Value> =
            datasets.iter().map(|(name, snapshots)| dataset_of(host, name, snapshots)).collect();
        let report =
            json!({ "sequence": sequence, "base": null, "datasets": datasets, "looked_at": looked_at });
        self.agent(host, "inventory", report).await.fine()
    }

    /// What the planner does when it is woken; a new one, so that every group is planned.
    pub(crate) async fn plan(&self) {
        Planner::default().pass(&self.state).await.unwrap();
    }

    pub(crate) async fn lease(&self, host: &Host) -> Vec<Value> {
        let answer = self.agent(host, "lease", json!({ "max": 8, "wait_ms": 0 })).await.fine();
        answer["transfers"].as_array().unwrap().clone()
    }

    pub(crate) async fn result(&self, host: &Host, transfer: &Value, outcome: Value) -> Reply {
        let mut body = json!({ "generation": transfer["generation"], "bytes": 0, "resumed_from": null });
        body.as_object_mut().unwrap().extend(outcome.as_object().unwrap().clone());
        let path = format!("/api/v1/transfers/{}/result", transfer["id"].as_str().unwrap());
        self.call("POST", &path, Some(&host.key), Some(body)).await
    }

    /// State and reason of every replica, by `target@system`.
    pub(crate) async fn replicas(&self) -> Vec<(String, String, String)> {
        let replicas = self.get("/replicas").await.fine();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let shown = |replica: &Value| {
            let name = format!("{}@{}", text(&replica["target"]), text(&replica["target_system"]));
            (name, text(&replica["state"]), text(&replica["reason"]))
        };
        replicas["items"].as_array().unwrap().iter().map(shown).collect()
    }

    pub(crate) async fn group(&self, body: Value) -> Value {
        self.post("/sync-groups", body).await.fine()
    }

    /// Two systems, `nas1` with `tank/media` and `nas2` with an empty `backup`, in the group `prod` that starts by itself.
    pub(crate) async fn pair(&self, auto: bool) -> (Host, Host) {
        let (nas1, nas2) = (self.enrol("nas1").await, self.enrol("nas2").await);
        self.group(json!({
            "name": "prod", "systems": ["nas1", "nas2"], "source_of_truth": "nas1",
            "datasets": ["tank/media"], "mappings": ["tank=backup"], "auto": auto,
        }))
        .await;
        self.report(&nas1, &[("tank", &[]), ("tank/media", &[1])]).await;
        self.report(&nas2, &[("backup", &[])]).await;
        (nas1, nas2)
    }

    /// Seconds since 1970.
    /// A mesh of three whose members have all gone on from `s1` by themselves: to `s7`, `s8` and `s9`.
    pub(crate) async fn split_mesh(&self) {
        let mut hosts = Vec::new();
        for name in ["nas1", "nas2", "nas3"] {
            hosts.push(self.enrol(name).await);
        }
        let names = ["nas1", "nas2", "nas3"];
        self.group(json!({ "name": "ring", "mode": "mesh", "systems": names, "datasets": ["tank/media"] }))
            .await;
        for (host, own) in hosts.iter().zip([7, 8, 9]) {
            self.report(host, &[("tank", &[]), ("tank/media", &[1, own])]).await;
        }
        self.plan().await;
    }

    pub(crate) fn clock_seconds(&self) -> i64 {
        self.clock.now().as_second()
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

pub(crate) fn hello() -> Value {
    json!({ "agent_version": "0.1.0", "zfs_version": "2.3.1", "os": "linux", "report_interval_ms": 1000, "clock_ms": 0 })
}

/// As [`dataset`], with a GUID of its own, as a receive makes it.
pub(crate) fn dataset_of(host: &Host, name: &str, snapshots: &[u64]) -> Value {
    let mut dataset = dataset(name, snapshots);
    let properties = &mut dataset["properties"];
    let mut own: DatasetProperties = serde_json::from_value(properties.clone()).unwrap();
    let (_, of_host) = host.id.as_uuid().as_u64_pair();
    own.guid = Guid::new(own.guid.get().wrapping_add(of_host) | 1);
    *properties = json!(own);
    dataset
}

/// A dataset in a report: snapshot number n has GUID 1000 + n and is called `s<n>`, on every system.
pub(crate) fn dataset(name: &str, snapshots: &[u64]) -> Value {
    let snapshot = |number: &u64| Snapshot {
        guid: Guid::new(1000 + number),
        createtxg: Txg::new(*number),
        label: format!("s{number}").parse().unwrap(),
        creation: 1_700_000_000 + i64::try_from(*number).unwrap(),
        used: 0,
        referenced: 0,
        holds: 0,
    };
    let mut dataset = Dataset {
        name: name.parse().unwrap(),
        properties: DatasetProperties {
            guid: Guid::new(name.bytes().fold(7, |sum, byte| sum * 31 % 1_000_003 + u64::from(byte))),
            kind: DatasetKind::Filesystem,
            createtxg: Txg::new(1),
            written: 0,
            used: 0,
            referenced: 0,
            available: 0,
            readonly: true,
            mounted: false,
            encrypted: false,
            origin: None,
            partial: None,
        },
        snapshots: snapshots.iter().map(snapshot).collect(),
        bookmarks: Vec::new(),
    };
    dataset.sort();
    json!({
        "name": dataset.name,
        "properties": dataset.properties,
        "digest": dataset.history_digest(),
        "history": { "snapshots": dataset.snapshots, "bookmarks": dataset.bookmarks },
    })
}
