//! Conflicts in words and columns.

use zfs_sync_api::v1::conflict::{Conflict, ConflictState, Head};
use zfs_sync_core::{
    group::Strategy,
    plan::{Casualty, ConflictSide, MakeRoom, Offer, Point, Proposal},
    time::Timestamp,
};

use super::{prose::Prose, row::ago, words};
use crate::views::Directory;

/// A conflict in a list.
#[derive(Debug)]
pub(super) struct ConflictRow {
    pub(super) link: String,
    pub(super) kind: &'static str,
    pub(super) sign: &'static str,
    pub(super) since: String,
    pub(super) bytes: String,
    /// `nas1 @two`, for each member that the conflict is about.
    pub(super) heads: Vec<String>,
    /// What only one of both sides has.
    pub(super) only_there: String,
    pub(super) suggested: Option<&'static str>,
    pub(super) conflict: Conflict,
}

impl ConflictRow {
    pub(super) fn new(conflict: Conflict, now: Timestamp) -> Self {
        let (sign, _) = words::severity(conflict.severity);
        Self {
            link: format!("/dashboard/conflicts/{}", conflict.id),
            kind: words::kind(conflict.kind),
            sign,
            since: ago(Some(conflict.since), now),
            bytes: at_stake(conflict.bytes_at_stake),
            heads: conflict.heads.iter().map(head).collect(),
            only_there: words::snapshots(conflict.report.target.only_here_count.into()),
            suggested: conflict.suggested.map(words::strategy),
            conflict,
        }
    }
}

/// `nas1 @two`.
fn head(head: &Head) -> String {
    match &head.snapshot {
        Some(snapshot) => format!("{} @{snapshot}", head.system),
        None => format!("{} without a snapshot", head.system),
    }
}

/// `nas3 ends with tank/media@three`, for each member of a mesh beside both sides.
pub(super) fn others_end_with(heads: &[Head]) -> Vec<String> {
    heads
        .iter()
        .skip(2)
        .map(|head| ends_with(&head.system, &head.dataset, head.snapshot.as_deref()))
        .collect()
}

fn ends_with(system: &str, dataset: &str, snapshot: Option<&str>) -> String {
    match snapshot {
        Some(snapshot) => format!("{system} ends with {dataset}@{snapshot}"),
        None => format!("{system} has no snapshot of {dataset}"),
    }
}

/// Bytes that a wrong decision would lose.
fn at_stake(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "unknown".to_owned(), words::bytes)
}

/// `2026-01-01 12:00:00`, in UTC; a dash for times that no calendar has.
fn calendar(seconds: i64) -> String {
    match Timestamp::from_second(seconds) {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => "–".to_owned(),
    }
}

/// A snapshot in a column.
#[derive(Debug)]
pub(super) struct SnapshotRow {
    pub(super) label: String,
    pub(super) taken: String,
    /// Bytes that nothing else refers to.
    pub(super) used: String,
    /// Bytes it refers to.
    pub(super) referenced: String,
    pub(super) guid: String,
}

impl From<&Casualty> for SnapshotRow {
    fn from(snapshot: &Casualty) -> Self {
        Self {
            label: snapshot.label.to_string(),
            taken: calendar(snapshot.creation),
            used: words::bytes(snapshot.used),
            referenced: words::bytes(snapshot.referenced),
            guid: snapshot.guid.to_string(),
        }
    }
}

/// The snapshot that both sides have.
#[derive(Debug)]
pub(super) struct BaseRow {
    pub(super) label: String,
    pub(super) taken: String,
    pub(super) guid: String,
    /// The side that is followed has only a bookmark of it.
    pub(super) is_bookmark: bool,
}

impl BaseRow {
    pub(super) fn new(point: &Point, is_bookmark: bool) -> Self {
        Self {
            label: point.label.to_string(),
            taken: calendar(point.creation),
            guid: point.guid.to_string(),
            is_bookmark,
        }
    }
}

/// One of both sides, with what only it has.
#[derive(Debug)]
pub(super) struct SideColumn {
    /// Stands in identities of elements: `source`, `target`.
    pub(super) id: &'static str,
    pub(super) system: String,
    pub(super) dataset: String,
    /// Its part in the conflict.
    pub(super) part: &'static str,
    /// `two`, its newest snapshot.
    pub(super) head: Option<String>,
    pub(super) rows: Vec<SnapshotRow>,
    /// How many snapshots the other side lacks, and what only they hold.
    pub(super) holds: String,
    /// How many are not listed.
    pub(super) more: u64,
    /// What was written since the newest snapshot.
    pub(super) written: Option<String>,
}

impl SideColumn {
    pub(super) fn new(id: &'static str, part: &'static str, side: &ConflictSide, system: &str) -> Self {
        let rows: Vec<SnapshotRow> = side.only_here.iter().map(SnapshotRow::from).collect();
        let count = u64::from(side.only_here_count);
        Self {
            id,
            system: system.to_owned(),
            dataset: side.dataset.to_string(),
            part,
            head: side.head.as_ref().map(|head| head.label.to_string()),
            more: count.saturating_sub(rows.len() as u64),
            rows,
            holds: match side.only_here_bytes {
                0 => {
                    let whose = if count == 1 { "it refers" } else { "they refer" };
                    format!("{}. How much only {whose} to is unknown.", words::snapshots(count))
                }
                bytes => {
                    let bytes = words::bytes(bytes);
                    format!("{}, {bytes} that nothing else refers to.", words::snapshots(count))
                }
            },
            written: (side.written > 0).then(|| words::bytes(side.written)),
        }
    }

    /// `nas1 ends with tank/media@two`.
    pub(super) fn ends_with(&self) -> String {
        ends_with(&self.system, &self.dataset, self.head.as_deref())
    }
}

/// One way to end the conflict.
#[derive(Debug)]
pub(super) struct StrategyCard {
    pub(super) strategy: Strategy,
    pub(super) title: &'static str,
    pub(super) does: &'static str,
    pub(super) suggested: bool,
    /// What it comes to here.
    pub(super) comes_to: Vec<String>,
    /// True when something would be lost.
    pub(super) loses: bool,
    /// Why it can not be used.
    pub(super) obstacle: Option<Prose>,
}

impl StrategyCard {
    /// A strategy that can be used, or the reason why not.
    pub(super) fn new(
        strategy: Strategy,
        suggested: Option<Strategy>,
        answer: Result<&Proposal, String>,
        directory: &Directory,
    ) -> Self {
        let (comes_to, loses, obstacle) = match answer {
            Ok(proposal) => {
                let (sentences, loses) = comes_to(proposal, directory);
                (sentences, loses, None)
            }
            Err(obstacle) => (Vec::new(), false, Some(obstacle)),
        };
        Self {
            strategy,
            title: words::strategy(strategy),
            does: words::does(strategy),
            suggested: suggested == Some(strategy) && obstacle.is_none(),
            comes_to,
            loses,
            obstacle: obstacle.as_deref().map(Prose::new),
        }
    }
}

/// What a proposal comes to, and whether something is lost.
fn comes_to(proposal: &Proposal, directory: &Directory) -> (Vec<String>, bool) {
    let decision = &proposal.decision;
    let targets: Vec<String> = decision.targets.iter().map(|id| directory.hostname(*id)).collect();
    let verb = if targets.len() == 1 { "follows" } else { "follow" };
    let mut sentences =
        vec![format!("{} {verb} {}.", words::list(&targets), directory.hostname(decision.winner))];
    if decision.how == MakeRoom::SetAside {
        sentences.push("What is there now is kept under another name.".to_owned());
    }
    let count = decision.may_destroy.values().map(|guids| guids.len() as u64).sum::<u64>();
    let written: u64 = decision.may_discard.values().sum();
    match (count, written) {
        (0, 0) => sentences.push("Destroys nothing.".to_owned()),
        (0, written) => sentences.push(format!("Gives up {} that were written.", words::bytes(written))),
        (count, 0) => sentences.push(format!("Destroys {}.", words::snapshots(count))),
        (count, written) => sentences.push(format!(
            "Destroys {} and gives up {} that were written.",
            words::snapshots(count),
            words::bytes(written)
        )),
    }
    (sentences, count > 0 || written > 0)
}

/// The obstacle that an offer names.
pub(super) fn obstacle(offers: &[Offer], strategy: Strategy) -> Option<String> {
    offers.iter().find(|offer| offer.strategy == strategy).and_then(|offer| offer.obstacle.clone())
}

/// What a list without entries says.
pub(super) const fn nothing(wanted: Option<ConflictState>) -> &'static str {
    match wanted {
        Some(ConflictState::Open) => {
            "No conflict waits for you. Every replica follows its source, or says on its own page why it can not."
        }
        Some(ConflictState::Ignored) => "No conflict is ignored.",
        Some(ConflictState::Resolved) => "No conflict was resolved yet, or it was long ago and is forgotten.",
        None => "There has been no conflict.",
    }
}

#[cfg(test)]
mod tests {
    use zfs_sync_core::{
        guid::Guid,
        ids::SystemId,
        plan::{Casualty, ConflictSide},
    };

    use super::*;

    fn snapshot(number: u64) -> Casualty {
        Casualty {
            guid: Guid::new(number),
            label: format!("s{number}").parse().unwrap(),
            creation: 1_700_000_000,
            used: 2048,
            referenced: 4096,
        }
    }

    #[test]
    fn a_column_counts_what_it_does_not_list() {
        let side = ConflictSide {
            system: SystemId::from_uuid(uuid::Uuid::nil()),
            dataset: "tank/media".parse().unwrap(),
            head: Some(snapshot(9)),
            only_here: vec![snapshot(9), snapshot(8)],
            only_here_count: 250,
            only_here_bytes: 10_240,
            written: 0,
        };
        let column = SideColumn::new("source", "followed", &side, "nas1");
        assert_eq!((column.more, column.holds.split(',').next()), (248, Some("250 snapshots")));
        assert_eq!(column.ends_with(), "nas1 ends with tank/media@s9");
        assert_eq!(column.written, None);
        assert_eq!(column.rows[0].taken, "2023-11-14 22:13:20");
        let empty = ConflictSide { head: None, only_here: Vec::new(), only_here_count: 0, ..side };
        assert_eq!(
            SideColumn::new("source", "followed", &empty, "nas1").ends_with(),
            "nas1 has no snapshot of tank/media"
        );
    }

    #[test]
    fn bytes_that_nobody_knows_are_not_none() {
        let mut side = ConflictSide {
            system: SystemId::from_uuid(uuid::Uuid::nil()),
            dataset: "tank/media".parse().unwrap(),
            head: Some(snapshot(9)),
            only_here: vec![snapshot(9), snapshot(8)],
            only_here_count: 2,
            only_here_bytes: 4096,
            written: 0,
        };
        let holds = |side: &ConflictSide| SideColumn::new("target", "the replica", side, "nas2").holds;
        assert_eq!(holds(&side), "2 snapshots, 4.00 KiB that nothing else refers to.");
        side.only_here_bytes = 0;
        assert_eq!(holds(&side), "2 snapshots. How much only they refer to is unknown.");
        assert_eq!(at_stake(Some(0)), "0 B");
        assert_eq!(at_stake(Some(4096)), "4.00 KiB");
        assert_eq!(at_stake(None), "unknown");
    }
}
