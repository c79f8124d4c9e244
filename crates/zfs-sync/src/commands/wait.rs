//! Waiting for a group: until everything that the sources had at the start has arrived.
//!
//! A source that makes snapshots all the time is never in sync for long, so the goal is fixed at the start: the newest
//! snapshot of each dataset then. Looking again decides, not remembering: a witness that restarts meanwhile changes nothing.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::{Instant, sleep};
use zfs_sync_api::{
    client::{Client, TransferQuery},
    v1::{
        group::Group,
        replica::Replica,
        sync::{CheckAnswer, PlanRequest},
    },
};
use zfs_sync_core::{
    guid::Txg,
    plan::{Reason, ReplicaState},
};

use super::{Context, transfer::progress};
use crate::failure::Failure;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);
/// A conflict must be seen for so long: right after a transfer the witness may still know the state before it.
const SETTLING: Duration = Duration::from_secs(3);
/// Between two lines about running transfers.
const PROGRESS_PAUSE: Duration = Duration::from_secs(10);
/// So long a witness may be away while somebody waits.
const PATIENCE: Duration = Duration::from_mins(2);

/// How the wait ended.
#[derive(Debug)]
pub(super) enum End {
    /// Everything has arrived, or there is nothing to send.
    Arrived,
    /// Nothing more will happen by itself; these need a person.
    Stuck(Vec<Replica>),
    /// The time was up; so many were missing.
    TimedOut(u64),
    /// Ctrl-C.
    Interrupted,
}

#[derive(Debug)]
pub(super) struct Waited {
    pub(super) end: End,
    pub(super) arrived: u64,
    pub(super) last: Option<CheckAnswer>,
}

type Key = (String, String);

fn key(replica: &Replica) -> Key {
    (replica.target_system.clone(), replica.target.clone())
}

/// What a replica is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Arrived,
    Pending,
    /// Waits for another replica of the same system.
    Dependent,
    /// Nothing to send.
    Empty,
    Stuck,
}

fn standing(replica: &Replica, goal: Option<Txg>) -> Standing {
    let newest_common = replica.report.newest_common.as_ref().map(|point| point.createtxg);
    if replica.state == ReplicaState::InSync || (goal.is_some() && newest_common >= goal) {
        return Standing::Arrived;
    }
    let Some(reason) = replica.reason.as_deref() else { return Standing::Pending };
    match Reason::from_code(reason) {
        Some(Reason::SourceNoSnapshot | Reason::NoMidnightSnapshot | Reason::WithinWindow) => Standing::Empty,
        Some(Reason::DependsOnParent | Reason::OriginFirst | Reason::UpstreamFirst) => Standing::Dependent,
        Some(
            Reason::Paused
            | Reason::Diverged
            | Reason::TargetModified
            | Reason::NoCommonBase
            | Reason::NameClash
            | Reason::MappingCollision
            | Reason::NameTooLong
            | Reason::SourcePoolMissing
            | Reason::TargetPoolMissing
            | Reason::KindMismatch
            | Reason::TargetNotEmpty
            | Reason::SetAsideHasChildren
            | Reason::Orphaned
            | Reason::SourceRolledBack
            | Reason::SourceRecreated
            | Reason::SourceRenamed
            | Reason::NoElectedSource
            | Reason::NotMapped
            | Reason::NoGuid
            | Reason::CasualtyHeld
            | Reason::CasualtyCloned
            | Reason::LastCopy
            | Reason::NotApproved
            | Reason::DeleteBrake
            | Reason::Parked,
        ) => Standing::Stuck,
        Some(
            Reason::NoNewSnapshot
            | Reason::DeletesHeldBack
            | Reason::TransferRunning
            | Reason::ManualMode
            | Reason::NeverReported
            | Reason::AgentOffline
            | Reason::Backoff,
        )
        | None => Standing::Pending,
    }
}

/// Executes the group's plan and looks until it is done, stuck, or the time is up.
pub(super) async fn until_arrived(
    context: &Context,
    client: &Client,
    group: &Group,
    request: &PlanRequest,
    limit: Option<Duration>,
) -> Result<Waited, Failure> {
    let mut watch = Watch::new(context, client, group);
    let begun = Instant::now();
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    watch.fix_goals(&client.check_group(group.id).await?);
    client.execute_group(group.id, request).await?;
    loop {
        tokio::select! {
            biased;
            _ = &mut interrupted => return Ok(watch.ended(End::Interrupted)),
            end = watch.look() => if let Some(end) = end? {
                return Ok(watch.ended(end));
            },
        }
        if limit.is_some_and(|limit| begun.elapsed() >= limit) {
            let missing = watch.missing;
            return Ok(watch.ended(End::TimedOut(missing)));
        }
        tokio::select! {
            biased;
            _ = &mut interrupted => return Ok(watch.ended(End::Interrupted)),
            () = sleep(PAUSE) => {}
        }
    }
}

struct Watch<'a> {
    context: &'a Context,
    client: &'a Client,
    group: &'a Group,
    goals: BTreeMap<Key, Option<Txg>>,
    shown: BTreeMap<Key, ReplicaState>,
    last: Option<CheckAnswer>,
    arrived: u64,
    missing: u64,
    settled_since: Option<Instant>,
    progress_at: Instant,
    away_since: Option<Instant>,
    told_empty: bool,
}

impl<'a> Watch<'a> {
    fn new(context: &'a Context, client: &'a Client, group: &'a Group) -> Self {
        Self {
            context,
            client,
            group,
            goals: BTreeMap::new(),
            shown: BTreeMap::new(),
            last: None,
            arrived: 0,
            missing: 0,
            settled_since: None,
            progress_at: Instant::now(),
            away_since: None,
            told_empty: false,
        }
    }

    fn ended(self, end: End) -> Waited {
        Waited { end, arrived: self.arrived, last: self.last }
    }

    /// The first answer that has replicas says what is waited for.
    fn fix_goals(&mut self, answer: &CheckAnswer) {
        if self.goals.is_empty() {
            let goal = |replica: &Replica| replica.report.newest_source.as_ref().map(|point| point.createtxg);
            self.goals = answer.replicas.iter().map(|replica| (key(replica), goal(replica))).collect();
        }
    }

    async fn look(&mut self) -> Result<Option<End>, Failure> {
        let answer = match self.client.check_group(self.group.id).await {
            Ok(answer) => answer,
            Err(error) if error.is_retryable() && self.is_patient() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if self.away_since.take().is_some() {
            self.context.printer.say("the witness answers again");
        }
        self.fix_goals(&answer);
        if answer.replicas.is_empty() && answer.warnings.is_empty() && !self.told_empty {
            self.told_empty = true;
            let source = self.group.source_of_truth_name.as_deref().unwrap_or("a source");
            self.context.printer.say(format!("waiting for the first report of {source}"));
        }
        self.show_changes(&answer);
        let standings: Vec<(Standing, &Replica)> = answer
            .replicas
            .iter()
            .filter_map(|replica| Some((standing(replica, *self.goals.get(&key(replica))?), replica)))
            .collect();
        let of = |wanted: Standing| -> Vec<&Replica> {
            standings
                .iter()
                .filter(|(standing, _)| *standing == wanted)
                .map(|(_, replica)| *replica)
                .collect()
        };
        let (pending, dependent, stuck) =
            (of(Standing::Pending), of(Standing::Dependent), of(Standing::Stuck));
        let arrived = of(Standing::Arrived).len() as u64;
        let missing = (pending.len() + dependent.len() + stuck.len()) as u64;
        // Empty selections are an answer; a source that has not reported yet is not.
        let known = !answer.replicas.is_empty() || !answer.warnings.is_empty();
        let end = if !known || !pending.is_empty() {
            None
        } else if missing == 0 {
            Some(End::Arrived)
        } else {
            // Whoever waits for a parent that is stuck is stuck, too.
            Some(End::Stuck(stuck.into_iter().chain(dependent).cloned().collect()))
        };
        let by_hand =
            pending.iter().any(|replica| replica.reason.as_deref() == Some(Reason::ManualMode.code()));
        (self.arrived, self.missing) = (arrived, missing);
        self.last = Some(answer);
        match end {
            Some(End::Stuck(stuck)) => {
                let since = *self.settled_since.get_or_insert_with(Instant::now);
                Ok((since.elapsed() >= SETTLING).then_some(End::Stuck(stuck)))
            }
            Some(end) => Ok(Some(end)),
            None => {
                self.settled_since = None;
                if by_hand {
                    // What follows from the first steps (children, newer snapshots) was asked for with them.
                    self.client.execute_group(self.group.id, &PlanRequest::default()).await?;
                }
                self.show_progress().await;
                Ok(None)
            }
        }
    }

    fn is_patient(&mut self) -> bool {
        if self.away_since.is_none() {
            self.context.printer.say("the witness does not answer; waiting for it");
        }
        self.away_since.get_or_insert_with(Instant::now).elapsed() < PATIENCE
    }

    /// What happens to replicas until they have arrived; what happens to them afterwards was not waited for.
    fn show_changes(&mut self, answer: &CheckAnswer) {
        for replica in &answer.replicas {
            let key = key(replica);
            let Some(goal) = self.goals.get(&key) else { continue };
            let arrived = standing(replica, *goal) == Standing::Arrived;
            let state = if arrived { ReplicaState::InSync } else { replica.state };
            let before = self.shown.get(&key).copied();
            if before == Some(state) || before == Some(ReplicaState::InSync) {
                continue;
            }
            self.shown.insert(key, state);
            let what = match replica.reason.as_deref().filter(|_| !arrived) {
                Some(reason) => format!("{} ({reason})", state.words()),
                None if arrived => "up to date".to_owned(),
                None => state.words().to_owned(),
            };
            self.context.printer.say(format!(
                "{} on {}: {} {what}",
                replica.target,
                replica.target_system,
                state.glyph()
            ));
        }
    }

    async fn show_progress(&mut self) {
        if self.progress_at.elapsed() < PROGRESS_PAUSE {
            return;
        }
        self.progress_at = Instant::now();
        let query = TransferQuery {
            group: Some(self.group.id),
            unfinished: true,
            limit: 20,
            ..TransferQuery::default()
        };
        // Progress is a courtesy: the next look tells when something is wrong.
        let Ok(transfers) = self.client.list_transfers(&query).await else { return };
        for transfer in transfers.iter().filter(|transfer| transfer.state == "leased") {
            let what = format!("{} → {}", transfer.target, transfer.target_system);
            self.context.printer.say(format!("  {what}  {}", progress(transfer)));
        }
    }
}
