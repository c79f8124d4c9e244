use zfs_sync_api::v1::agent::TransferOutcome;
use zfs_sync_core::{
    flow::FlowSettings,
    inventory::DatasetKind,
    plan::{Action, Point, Receiver, Send},
};

use super::*;
use crate::engine::Side;

fn id(number: u128) -> TransferId {
    uuid::Uuid::from_u128(number).into()
}

fn leased(number: u128, generation: u64) -> LeasedTransfer {
    let target_system = uuid::Uuid::from_u128(2).into();
    let target = "backup/a".parse().unwrap();
    let to = Point {
        guid: zfs_guid(5),
        createtxg: zfs_sync_core::guid::Txg::new(3),
        label: "one".parse().unwrap(),
        creation: 1,
    };
    let step = Step {
        source_system: uuid::Uuid::from_u128(1).into(),
        target_system,
        source: "tank/a".parse().unwrap(),
        receiver: Receiver::new(target_system, &target),
        target,
        kind: DatasetKind::Filesystem,
        source_guid: zfs_guid(7),
        action: Action::Send(Send {
            base: None,
            to,
            snapshots: 1,
            resume: false,
            discard_partial: None,
            raw: false,
            target_newest: None,
            create_parents: vec!["backup".parse().unwrap()],
            target_origin: None,
            properties: Vec::new(),
        }),
    };
    LeasedTransfer {
        id: id(number),
        generation,
        lease_ms: 30_000,
        step,
        peer: None,
        push: false,
        flow: FlowSettings::default(),
        ticket: None,
    }
}

const fn zfs_guid(number: u64) -> zfs_sync_core::guid::Guid {
    // Above 2^53: what a careless reader of JSON would round.
    zfs_sync_core::guid::Guid::new(u64::MAX - number)
}

fn note(label: &str) -> HoldNote {
    HoldNote {
        side: Side::Source,
        dataset: "tank/a".parse().unwrap(),
        guid: zfs_guid(5),
        label: label.parse().unwrap(),
        tag: "zfs-sync:step:1:2".into(),
    }
}

fn result(generation: u64) -> TransferResult {
    let outcome = TransferOutcome::Failed { code: "E_X".into(), detail: "x".into(), retryable: true };
    TransferResult { generation, outcome, bytes: 5, resumed_from: Some(2), transport: None }
}

struct Place {
    _dir: tempfile::TempDir,
    path: Utf8PathBuf,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
        Self { _dir: dir, path }
    }

    fn open(&self) -> Opened {
        Ledger::open(&self.path).unwrap()
    }

    fn file(&self, number: u128) -> Utf8PathBuf {
        self.path.join(format!("transfers/{}.json", id(number)))
    }
}

#[test]
fn what_was_running_is_found_again_after_a_crash() {
    let place = Place::new();
    let ledger = place.open().ledger;
    ledger.begin(&leased(1, 3)).unwrap();
    ledger.note_hold(id(1), note("one")).unwrap();
    ledger.note_hold(id(1), note("one")).unwrap();
    drop(ledger);
    let Opened { ledger, damaged } = place.open();
    assert_eq!(damaged, Vec::<Utf8PathBuf>::new());
    let entry = ledger.entry(id(1)).unwrap();
    assert_eq!((entry.phase, entry.generation), (Phase::Running, 3));
    assert_eq!(entry.holds, [note("one")], "noted twice, there once");
    assert_eq!(entry.step, leased(1, 3).step);
}

#[test]
fn an_entry_stays_until_its_result_is_heard_and_nothing_is_held() {
    let place = Place::new();
    let ledger = place.open().ledger;
    ledger.begin(&leased(1, 1)).unwrap();
    ledger.finish(id(1), 1, Settled::Open, Some(result(1))).unwrap();
    drop(ledger);
    let ledger = place.open().ledger;
    assert_eq!(ledger.entry(id(1)).unwrap().result.unwrap().bytes, 5);
    ledger.acknowledge(id(1), 1).unwrap();
    assert_eq!(ledger.entry(id(1)).unwrap().phase, Phase::Open);
    ledger.settle(id(1), 1, Settled::Waiting).unwrap();
    assert!(place.file(1).exists());
    ledger.settle(id(1), 1, Settled::Clean).unwrap();
    assert!(!place.file(1).exists());
    assert_eq!(ledger.entries().len(), 0);
}

#[test]
fn a_lease_that_is_not_newer_is_refused_also_after_a_restart() {
    let place = Place::new();
    let ledger = place.open().ledger;
    ledger.begin(&leased(1, 4)).unwrap();
    for old in [4, 3] {
        let refused = ledger.begin(&leased(1, old)).unwrap_err();
        assert!(matches!(refused, LedgerError::OldGeneration { seen: 4, .. }), "{refused}");
    }
    drop(ledger);
    let ledger = place.open().ledger;
    assert!(ledger.begin(&leased(1, 4)).is_err());
    ledger.begin(&leased(1, 5)).unwrap();
    ledger.finish(id(1), 5, Settled::Clean, None).unwrap();
    assert!(ledger.begin(&leased(1, 5)).is_err(), "remembered although its file is gone");
}

#[test]
fn a_late_acknowledgement_does_not_drop_a_newer_result() {
    let place = Place::new();
    let ledger = place.open().ledger;
    ledger.begin(&leased(1, 1)).unwrap();
    ledger.finish(id(1), 1, Settled::Clean, Some(result(1))).unwrap();
    ledger.begin(&leased(1, 2)).unwrap();
    ledger.finish(id(1), 2, Settled::Clean, Some(result(2))).unwrap();
    ledger.acknowledge(id(1), 1).unwrap();
    assert!(ledger.entry(id(1)).unwrap().result.is_some());
    ledger.acknowledge(id(1), 2).unwrap();
    assert!(ledger.entry(id(1)).is_none());
}

#[test]
fn torn_and_foreign_files_are_moved_aside_and_reported() {
    let place = Place::new();
    let ledger = place.open().ledger;
    for number in 1..=4 {
        ledger.begin(&leased(number, 1)).unwrap();
    }
    drop(ledger);
    let whole = fs::read(place.file(1)).unwrap();
    fs::write(place.file(1), &whole[..whole.len() / 2]).unwrap();
    fs::write(place.file(2), b"").unwrap();
    let later = fs::read_to_string(place.file(3)).unwrap().replace("\"version\": 1", "\"version\": 2");
    fs::write(place.file(3), later).unwrap();
    let elsewhere = place.path.join("transfers/elsewhere.json");
    fs::copy(place.file(4), &elsewhere).unwrap();
    let leftover = place.file(4).with_extension("tmp");
    fs::write(&leftover, "half").unwrap();

    let Opened { ledger, mut damaged } = place.open();
    damaged.sort();
    let mut expected: Vec<_> = (1..=3).map(|number| place.file(number).with_extension("bad")).collect();
    expected.push(elsewhere.with_extension("bad"));
    expected.sort();
    assert_eq!(damaged, expected);
    assert!(expected.iter().all(|path| path.exists()), "kept for whoever wants to look");
    assert_eq!(ledger.entries().len(), 1);
    assert!(!leftover.exists());
}

#[test]
fn one_success_settles_what_earlier_transfers_of_the_replica_left() {
    let place = Place::new();
    let ledger = place.open().ledger;
    for number in 1..=3 {
        ledger.begin(&leased(number, 1)).unwrap();
    }
    let mut other = leased(4, 1);
    other.step.target = "backup/b".parse().unwrap();
    other.step.receiver = Receiver::new(other.step.target_system, &other.step.target);
    ledger.begin(&other).unwrap();
    ledger.finish(id(1), 1, Settled::Waiting, None).unwrap();
    ledger.finish(id(2), 1, Settled::Open, Some(result(1))).unwrap();
    ledger.finish(id(4), 1, Settled::Open, None).unwrap();
    ledger.settle_others(id(3)).unwrap();
    ledger.finish(id(3), 1, Settled::Clean, None).unwrap();
    let left: Vec<_> = ledger.entries().into_iter().map(|entry| (entry.transfer, entry.phase)).collect();
    // The second still has something to say, the fourth is another replica.
    assert_eq!(left, [(id(2), Phase::Settled), (id(4), Phase::Open)]);
}

#[test]
fn what_was_held_is_known_until_all_of_the_replica_is_clean() {
    let place = Place::new();
    let ledger = place.open().ledger;
    let tag = note("one").tag;
    for (number, label) in [(1, "one"), (2, "two")] {
        ledger.begin(&leased(number, 1)).unwrap();
        ledger.note_hold(id(number), note(label)).unwrap();
    }
    let other = HoldNote { tag: "zfs-sync:step:1:3".into(), ..note("three") };
    ledger.note_hold(id(2), other).unwrap();
    let noted = |ledger: &Ledger| {
        let mut noted: Vec<_> = ledger.noted(&tag).into_iter().map(|note| note.label.to_string()).collect();
        noted.sort();
        noted
    };
    assert_eq!(noted(&ledger), ["one", "two"]);
    ledger.finish(id(1), 1, Settled::Open, None).unwrap();
    ledger.settle_others(id(2)).unwrap();
    ledger.finish(id(2), 1, Settled::Open, None).unwrap();
    let ledger = place.open().ledger;
    assert_eq!(ledger.entry(id(1)).map(|entry| entry.phase), None);
    assert_eq!(noted(&ledger), ["one", "two"]);
    ledger.settle(id(2), 1, Settled::Clean).unwrap();
    assert_eq!(noted(&ledger), [""; 0]);
}

#[test]
fn what_can_not_be_written_did_not_happen() {
    let place = Place::new();
    let ledger = place.open().ledger;
    fs::remove_dir_all(place.path.join("transfers")).unwrap();
    assert!(matches!(ledger.begin(&leased(1, 1)), Err(LedgerError::Io { .. })));
    assert_eq!(ledger.entries().len(), 0);
    fs::create_dir(place.path.join("transfers")).unwrap();
    ledger.begin(&leased(1, 1)).unwrap();
}

#[test]
fn an_attempt_that_held_nothing_keeps_what_an_earlier_one_left() {
    let place = Place::new();
    let ledger = place.open().ledger;
    ledger.begin(&leased(1, 1)).unwrap();
    ledger.note_hold(id(1), note("one")).unwrap();
    ledger.finish(id(1), 1, Settled::Waiting, None).unwrap();
    ledger.begin(&leased(1, 2)).unwrap();
    ledger.finish(id(1), 2, Settled::Untouched, None).unwrap();
    assert_eq!(ledger.entry(id(1)).unwrap().phase, Phase::Open);
    ledger.begin(&leased(2, 1)).unwrap();
    ledger.finish(id(2), 1, Settled::Untouched, None).unwrap();
    assert!(ledger.entry(id(2)).is_none());
}

#[test]
fn what_comes_of_an_old_lease_does_not_end_a_new_one() {
    let place = Place::new();
    let ledger = place.open().ledger;
    ledger.begin(&leased(1, 1)).unwrap();
    ledger.finish(id(1), 1, Settled::Open, None).unwrap();
    ledger.begin(&leased(1, 2)).unwrap();
    ledger.settle(id(1), 1, Settled::Clean).unwrap();
    ledger.finish(id(1), 1, Settled::Clean, Some(result(1))).unwrap();
    let entry = ledger.entry(id(1)).unwrap();
    assert_eq!((entry.phase, entry.result.is_none()), (Phase::Running, true));
}
