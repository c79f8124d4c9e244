//! A witness with systems that report what a test says, through the same client that agents use.

use secrecy::SecretString;
use serde_json::json;
use tokio::runtime::Runtime;
use url::Url;
use zfs_sync_api::{
    client::Client,
    v1::{
        agent::{Hello, InventoryReport, LeaseRequest, LeasedTransfer},
        key::{CreateEnrolmentToken, Enrol},
    },
};
use zfs_sync_core::{
    guid::{Guid, Txg},
    ids::SystemId,
    inventory::{Dataset, DatasetKind, DatasetProperties, Snapshot},
    time::{Clock as _, SystemClock},
};

use crate::program::{Place, Service};

/// A system that reports when a test wants it to.
pub(crate) struct Host {
    pub(crate) id: SystemId,
    client: Client,
    sequence: u64,
}

/// The fleet, its witness, and the place where commands are run.
pub(crate) struct Fleet {
    pub(crate) place: Place,
    _witness: Service,
    runtime: Runtime,
    admin: Client,
    base: Url,
}

/// Reports stay fresh for as long as a test may take.
const INTERVAL_MS: u64 = 600_000;

impl Fleet {
    pub(crate) fn start() -> Self {
        let (place, witness) = Place::with_witness();
        let base: Url = place.value_of("ZFS_SYNC_URL").parse().unwrap();
        let key = std::fs::read_to_string(place.value_of("ZFS_SYNC_API_KEY_FILE")).unwrap();
        let admin = Client::new(&base, Some(SecretString::from(key.trim().to_owned()))).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { place, _witness: witness, runtime, admin, base }
    }

    pub(crate) fn enrol(&self, name: &str) -> Host {
        let enrolled = self.runtime.block_on(async {
            let token = self.admin.create_enrolment_token(&CreateEnrolmentToken { ttl_seconds: None }).await;
            let body = Enrol {
                token: token.unwrap().token,
                hostname: name.to_owned(),
                platform: "linux".to_owned(),
                ssh_hostname: None,
                ssh_user: None,
                ssh_port: None,
                csr: None,
            };
            Client::new(&self.base, None).unwrap().enrol(&body).await.unwrap()
        });
        let client = Client::new(&self.base, Some(SecretString::from(enrolled.api_key))).unwrap();
        let hello = Hello {
            agent_version: "0.1.0".into(),
            zfs_version: None,
            os: "linux".into(),
            report_interval_ms: INTERVAL_MS,
            clock_ms: 0,
            listener: None,
        };
        self.runtime.block_on(client.hello(enrolled.system_id, &hello)).unwrap();
        Host { id: enrolled.system_id, client, sequence: 0 }
    }

    /// A complete report of these datasets, each with the numbers of its snapshots.
    pub(crate) fn report(&self, host: &mut Host, datasets: &[(&str, &[u64])]) {
        self.report_datasets(host, datasets.iter().map(|(name, snapshots)| dataset(name, snapshots)));
    }

    /// A complete report of datasets that a test has shaped.
    pub(crate) fn report_datasets(&self, host: &mut Host, datasets: impl IntoIterator<Item = Dataset>) {
        host.sequence += 1;
        let datasets =
            datasets.into_iter().map(|dataset| serde_json::from_value(reported(&dataset)).unwrap());
        let report = InventoryReport {
            sequence: host.sequence,
            base: None,
            datasets: datasets.collect(),
            removed: Vec::new(),
            retention: None,
            looked_at: Some(SystemClock.now()),
        };
        let answer = self.runtime.block_on(host.client.report_inventory(host.id, &report)).unwrap();
        assert!(answer.accepted, "{answer:?}");
    }

    /// What the host is to do now.
    pub(crate) fn lease(&self, host: &Host) -> Vec<LeasedTransfer> {
        let request = LeaseRequest { max: 8, wait_ms: 0 };
        self.runtime.block_on(host.client.lease_transfers(host.id, &request)).unwrap().transfers
    }

    /// Two systems in the group `prod`, which starts nothing by itself: `nas2` has `s1` in common with `nas1`, and `s7` and `s8` alone.
    pub(crate) fn diverged() -> (Self, Host, Host) {
        let fleet = Self::start();
        let (mut nas1, mut nas2) = (fleet.enrol("nas1"), fleet.enrol("nas2"));
        fleet.report(&mut nas1, &[("tank", &[]), ("tank/media", &[1, 2])]);
        fleet.report(&mut nas2, &[("backup", &[]), ("backup/media", &[1, 7, 8])]);
        let words = [
            "group",
            "create",
            "--name",
            "prod",
            "--systems",
            "nas1,nas2",
            "--source-of-truth",
            "nas1",
            "--dataset",
            "tank/media",
            "--map",
            "tank=backup",
        ];
        fleet.place.run(&words).expect(0);
        fleet.place.run(&["sync", "check", "--sync-group", "prod"]).expect(0);
        (fleet, nas1, nas2)
    }
}

fn reported(dataset: &Dataset) -> serde_json::Value {
    json!({
        "name": dataset.name,
        "properties": dataset.properties,
        "digest": dataset.history_digest(),
        "history": { "snapshots": dataset.snapshots, "bookmarks": dataset.bookmarks },
    })
}

/// Snapshot number n is the same on every system and is called `s<n>`.
pub(crate) fn dataset(name: &str, snapshots: &[u64]) -> Dataset {
    let snapshot = |number: &u64| Snapshot {
        guid: Guid::new(1000 + number),
        createtxg: Txg::new(*number),
        label: format!("s{number}").parse().unwrap(),
        creation: 1_700_000_000 + i64::try_from(*number).unwrap(),
        used: 2048,
        referenced: 4096,
        holds: 0,
    };
    Dataset {
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
    }
}
