//! Whether something of ours is still needed, and why it is thought so.

use std::collections::BTreeMap;

use zfs_sync_core::{guid::Txg, name::DatasetName};

use zfs_sync_zfs::command::OwnTag;

use super::{Evidence, Holding, Kind, Knowledge, Place};

/// Whether it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Releasing it can cost data that would have to be sent again.
    Needed,
    /// Nothing needs it.
    Stale,
    /// Nobody here can tell.
    Unsure,
}

/// What is thought of one holding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Whether it is needed.
    pub verdict: Verdict,
    /// Why it is thought so.
    pub why: String,
    /// The replica's name, where it is known.
    pub replica: Option<String>,
}

/// Judges everything that was found on one host; the judgements are in the order of `holdings`.
pub fn judge(holdings: &[Holding], evidence: &Evidence) -> Vec<Judgement> {
    let bases = newest(holdings, Kind::Base);
    let bookmarks = newest(holdings, Kind::Bookmark);
    let oldest = oldest_bookmarks(holdings);
    holdings
        .iter()
        .map(|holding| {
            let receiver = holding.receiver.as_deref();
            let key = receiver.map(|receiver| (holding.place.dataset(), receiver));
            let known = receiver.and_then(|receiver| evidence.of(receiver));
            let is_newest = |newest: &BTreeMap<Key<'_>, Txg>| {
                key.and_then(|key| newest.get(&key)).is_some_and(|txg| *txg == holding.createtxg)
            };
            let (verdict, why) = match holding.kind {
                Kind::Step => step(holding, known, key.and_then(|key| oldest.get(&key).copied())),
                Kind::Base => base(known, is_newest(&bases)),
                Kind::Bookmark => bookmark(known, is_newest(&bookmarks)),
                Kind::Other if is_probe(holding) => {
                    (Verdict::Stale, "a doctor who tried permissions has left it".to_owned())
                }
                Kind::Other => {
                    (Verdict::Unsure, "this version of zfs-sync makes nothing of that form".to_owned())
                }
            };
            let replica = receiver.and_then(|receiver| evidence.name(receiver)).map(str::to_owned);
            Judgement { verdict, why, replica }
        })
        .collect()
}

fn is_probe(holding: &Holding) -> bool {
    match &holding.place {
        Place::Hold { tag, .. } => tag.as_str() == OwnTag::PROBE,
        Place::Bookmark(bookmark) => bookmark.name().label().as_str() == OwnTag::PROBE,
    }
}

type Key<'a> = (&'a DatasetName, &'a str);

fn newest(holdings: &[Holding], kind: Kind) -> BTreeMap<Key<'_>, Txg> {
    let mut newest = BTreeMap::new();
    for holding in holdings.iter().filter(|holding| holding.kind == kind) {
        let Some(receiver) = &holding.receiver else { continue };
        let txg: &mut Txg =
            newest.entry((holding.place.dataset(), receiver.as_str())).or_insert(holding.createtxg);
        *txg = (*txg).max(holding.createtxg);
    }
    newest
}

fn oldest_bookmarks(holdings: &[Holding]) -> BTreeMap<Key<'_>, Txg> {
    let mut oldest = BTreeMap::new();
    for holding in holdings.iter().filter(|holding| holding.kind == Kind::Bookmark) {
        let Some(receiver) = &holding.receiver else { continue };
        let txg: &mut Txg =
            oldest.entry((holding.place.dataset(), receiver.as_str())).or_insert(holding.createtxg);
        *txg = (*txg).min(holding.createtxg);
    }
    oldest
}

/// A step's two ends are held, and bookmarked: the bookmark of the start is dropped when the target has the end. So where the oldest
/// bookmark for a receiver is of a newer snapshot, its step is over.
fn step(holding: &Holding, known: Option<&Knowledge>, oldest: Option<Txg>) -> (Verdict, String) {
    let passed = oldest.is_some_and(|oldest| oldest > holding.createtxg);
    match known {
        Some(Knowledge::Needed(why)) => (Verdict::Needed, why.clone()),
        Some(Knowledge::Quiet) => {
            (Verdict::Stale, "no transfer of this replica runs or waits, and no partial receive".to_owned())
        }
        _ if passed => (Verdict::Stale, "its receiver has a newer snapshot as its base".to_owned()),
        Some(Knowledge::Unknown(why)) => (Verdict::Unsure, why.clone()),
        None => (Verdict::Unsure, "nobody here knows the transfer it was made for".to_owned()),
    }
}

/// The newest is what the next step starts from.
fn base(known: Option<&Knowledge>, is_newest: bool) -> (Verdict, String) {
    match (known, is_newest) {
        (_, false) => (Verdict::Stale, "a newer snapshot is the base of the same replica".to_owned()),
        (Some(_), true) => (Verdict::Needed, "the next step starts from it".to_owned()),
        (None, true) => (Verdict::Unsure, "nobody here knows the replica".to_owned()),
    }
}

/// As [`base`], but two are right while a step runs.
fn bookmark(known: Option<&Knowledge>, is_newest: bool) -> (Verdict, String) {
    match (known, is_newest) {
        (Some(_), true) => (Verdict::Needed, "the next step may start from it".to_owned()),
        (Some(Knowledge::Needed(why)), false) => (Verdict::Needed, why.clone()),
        (Some(Knowledge::Quiet), false) => {
            (Verdict::Stale, "a newer snapshot is the base of the same replica".to_owned())
        }
        (Some(Knowledge::Unknown(why)), false) => (Verdict::Unsure, why.clone()),
        (None, _) => (Verdict::Unsure, "nobody here knows the replica".to_owned()),
    }
}
