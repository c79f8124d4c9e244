//! Whatever people do between and during transfers that are cut, what arrives is what was sent.

use proptest::prelude::*;
use zfs_sync_core::{
    guid::Guid,
    inventory::{Bookmark, Snapshot},
};

use super::*;

#[derive(Clone, Debug)]
enum Act {
    Write(u64),
    Snapshot,
    /// Of one of the snapshots, by index.
    RenameSnapshot(usize),
    DestroySnapshot(usize),
    RenameDataset,
    /// A transfer whose sender dies after so many bytes.
    CutSender(u64),
    /// A transfer whose receiver dies.
    CutReceiver(u64),
    Transfer,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (1_u64..400_000).prop_map(Act::Write),
        4 => Just(Act::Snapshot),
        1 => any::<usize>().prop_map(Act::RenameSnapshot),
        1 => any::<usize>().prop_map(Act::DestroySnapshot),
        1 => Just(Act::RenameDataset),
        2 => (0_u64..600_000).prop_map(Act::CutSender),
        2 => (0_u64..600_000).prop_map(Act::CutReceiver),
        1 => Just(Act::Transfer),
    ];
    prop::collection::vec(act, 1..25)
}

struct World {
    source: Host,
    target: Host,
    /// Present name of the dataset on the source.
    name: String,
    labels: u32,
}

impl World {
    fn new(seed: u64) -> Self {
        let (source, target) = (host("nas1", "tank", seed), host("nas2", "backup", seed ^ 0xff));
        source.create_dataset("tank/0", DatasetKind::Filesystem).unwrap();
        Self { source, target, name: "tank/0".to_owned(), labels: 0 }
    }

    fn label(&mut self) -> String {
        self.labels += 1;
        format!("s{}", self.labels)
    }

    fn source_history(&self) -> (Vec<Snapshot>, Vec<Bookmark>) {
        history(&self.source).remove(&self.name.parse().unwrap()).unwrap_or_default()
    }

    fn target_newest(&self) -> Option<Guid> {
        let (snapshots, _) = history(&self.target).remove(&"backup/a".parse().unwrap()).unwrap_or_default();
        snapshots.last().map(|snapshot| snapshot.guid)
    }

    fn pick(&self, index: usize) -> Option<Snapshot> {
        let (snapshots, _) = self.source_history();
        (!snapshots.is_empty()).then(|| snapshots[index % snapshots.len()].clone())
    }

    /// What has to be sent next; `None` when there is nothing.
    fn next_send(&self) -> Option<SendCommand> {
        if let Some(token) = find_row(&self.target, "backup/a").and_then(|row| row.resume_token) {
            let send = SendCommand::Resume { token, raw: false };
            match run(&self.source, &Command::Estimate(send.clone())) {
                Ok(_) => return Some(send),
                Err(error) => {
                    assert_eq!(error.kind, Kind::TokenDead);
                    run(&self.target, &Command::AbortReceive { dataset: "backup/a".parse().unwrap() })
                        .unwrap();
                }
            }
        }
        let (snapshots, bookmarks) = self.source_history();
        let name = |label: &zfs_sync_core::name::Label| format!("{}@{label}", self.name).parse().unwrap();
        let Some(newest) = self.target_newest() else {
            return snapshots
                .first()
                .map(|oldest| SendCommand::Full { to: name(&oldest.label), form: StreamForm::WHOLE });
        };
        let txg = bookmarks
            .iter()
            .find(|bookmark| bookmark.guid == newest)
            .expect("every snapshot has one")
            .createtxg;
        let to = name(&snapshots.last().filter(|snapshot| snapshot.createtxg > txg)?.label);
        if let Some(base) = snapshots.iter().find(|snapshot| snapshot.guid == newest) {
            return Some(SendCommand::Incremental { base: name(&base.label), to, form: StreamForm::WHOLE });
        }
        let bookmark = bookmarks.iter().find(|bookmark| bookmark.guid == newest)?;
        let base = format!("{}#{}", self.name, bookmark.label).parse().unwrap();
        Some(SendCommand::FromBookmark { base, to, form: StreamForm::WHOLE })
    }

    async fn attempt(&self) -> bool {
        let Some(send) = self.next_send() else { return false };
        transfer(&self.source, send, &self.target, first("backup/a")).await;
        true
    }

    async fn act(&mut self, act: Act) {
        match act {
            Act::Write(bytes) => self.source.write(&self.name, bytes).unwrap(),
            Act::Snapshot => {
                let label = self.label();
                let snapshot = format!("{}@{label}", self.name);
                self.source.snapshot(&snapshot).unwrap();
                self.source.bookmark(&snapshot, &label).unwrap();
            }
            Act::RenameSnapshot(index) => {
                if let Some(snapshot) = self.pick(index) {
                    let label = self.label();
                    self.source
                        .rename_snapshot(&format!("{}@{}", self.name, snapshot.label), &label)
                        .unwrap();
                }
            }
            Act::DestroySnapshot(index) => {
                if let Some(snapshot) = self.pick(index) {
                    self.source.destroy_snapshot(&format!("{}@{}", self.name, snapshot.label)).unwrap();
                }
            }
            Act::RenameDataset => {
                let to = format!("tank/{}", self.label());
                self.source.rename_dataset(&self.name, &to).unwrap();
                self.name = to;
            }
            Act::CutSender(bytes) => {
                self.source.faults().cut_stream_after(bytes);
                if !self.attempt().await {
                    self.source.faults().take_cut();
                }
            }
            Act::CutReceiver(bytes) => {
                self.target.faults().cut_stream_after(bytes);
                if !self.attempt().await {
                    self.target.faults().take_cut();
                }
            }
            Act::Transfer => {
                self.attempt().await;
            }
        }
    }

    fn check(&self) {
        let (there, _) = history(&self.target).remove(&"backup/a".parse().unwrap()).unwrap_or_default();
        let (here, _) = self.source_history();
        for copy in there {
            let Some(original) = here.iter().find(|snapshot| snapshot.guid == copy.guid) else { continue };
            let (left, right) =
                (format!("{}@{}", self.name, original.label), format!("backup/a@{}", copy.label));
            assert!(same_content(&self.source, &left, &self.target, &right), "{left} is not {right}");
            assert_eq!(original.creation, copy.creation);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn cut_transfers_that_are_resumed_arrive_whole(seed in any::<u64>(), acts in acts()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new(seed);
            for act in acts {
                world.act(act).await;
                world.check();
            }
            let most = 3 + world.source_history().0.len();
            let mut rounds = 0;
            while world.attempt().await {
                rounds += 1;
                assert!(rounds <= most, "no end after {rounds} transfers");
                world.check();
            }
            let (here, bookmarks) = world.source_history();
            if let Some(newest) = here.last() {
                // The target may have a newer one, which was destroyed here since.
                let arrived = world.target_newest().expect("something arrived");
                let arrived = bookmarks.iter().find(|bookmark| bookmark.guid == arrived).unwrap();
                assert!(arrived.createtxg >= newest.createtxg, "{newest:?} did not arrive");
                assert_eq!(row(&world.target, "backup/a").resume_token, None);
            }
        });
    }
}
