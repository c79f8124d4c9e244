//! Transfers: the queue, leases with fencing, results.
//!
//! A transfer is *queued*, then *leased* to the system that executes it, then *finished* (succeeded, failed, cancelled or
//! stale). Every lease raises the generation; whoever holds an older one can neither renew nor finish. A lease ends when
//! [`Store::expire_leases`] or [`Store::release_system_leases`] takes it back, not by the clock alone: after an outage of the
//! witness an agent whose transfer nobody took back goes on with it, and the generation still keeps two from counting.

use std::collections::BTreeMap;

use zfs_sync_core::{
    flow::{FlowReport, SharedLimit},
    ids::{GroupId, SystemId, TransferId},
    name::DatasetName,
    plan::Step,
    time::Timestamp,
};

use crate::{Result, Store, TransferCaps, Turns, store::dispatch};

/// Where a transfer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransferState {
    /// It waits for its executor, or for its next attempt.
    Queued,
    /// Its executor works on it.
    Leased,
    /// The snapshot is on the target.
    Succeeded,
    /// No further attempt is made unless a person asks for it.
    Failed,
    /// A person stopped it.
    Cancelled,
    /// The world had moved since it was planned; the next plan makes another.
    Stale,
}

impl TransferState {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Queued, Self::Leased, Self::Succeeded, Self::Failed, Self::Cancelled, Self::Stale];

    /// As in JSON and SQL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Leased => "leased",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Stale => "stale",
        }
    }

    /// Back from [`Self::as_str`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// True when nothing more happens to it by itself.
    pub const fn is_finished(self) -> bool {
        match self {
            Self::Queued | Self::Leased => false,
            Self::Succeeded | Self::Failed | Self::Cancelled | Self::Stale => true,
        }
    }
}

/// One transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferRow {
    /// Its identity.
    pub id: TransferId,
    /// The group it was planned for.
    pub group: GroupId,
    /// Who has the data.
    pub source_system: SystemId,
    /// Who lacks it.
    pub target_system: SystemId,
    /// Who carries it out.
    pub executor: SystemId,
    /// The dataset on the source.
    pub source: DatasetName,
    /// The dataset on the target.
    pub target: DatasetName,
    /// What is to be done.
    pub step: Step,
    /// Where it stands.
    pub state: TransferState,
    /// The fencing token: one more with every lease.
    pub generation: u64,
    /// Leases in a row without data moved, since it was queued or retried by a person.
    pub attempts: u32,
    /// Not before this moment.
    pub next_attempt_at: Timestamp,
    /// Until when the lease lasts; `None` unless leased.
    pub lease_until: Option<Timestamp>,
    /// Its executor shall stop.
    pub cancel_requested: bool,
    /// Who asked for that.
    pub cancelled_by: Option<String>,
    /// Bytes moved by the newest attempt.
    pub bytes: u64,
    /// Bytes expected altogether, as estimated.
    pub total: Option<u64>,
    /// Bytes in a second.
    pub rate: Option<u64>,
    /// What the executor is doing, `send` for example.
    pub stage: Option<String>,
    /// Bytes the target had already when an interrupted receive was continued.
    pub resumed_from: Option<u64>,
    /// How it flows, as its executor says.
    pub flow: Option<FlowReport>,
    /// Where in its stream the newest attempt began that moved something and failed: attempts that begin there again do not get on.
    pub began_at_byte: Option<u64>,
    /// How the newest attempt reaches the other side: `ssh` or `tls`.
    pub transport: Option<String>,
    /// Why not as it was preferred.
    pub transport_note: Option<String>,
    /// The newest failure, `E_…`.
    pub error_code: Option<String>,
    /// The newest failure in words.
    pub error_detail: Option<String>,
    /// When it was queued.
    pub created_at: Timestamp,
    /// When it was first leased.
    pub started_at: Option<Timestamp>,
    /// When anything of it last changed.
    pub updated_at: Timestamp,
    /// When it was finished.
    pub finished_at: Option<Timestamp>,
    /// Until when the executor of a step that destroys may still be at it, whatever has become of the lease; `None`: it was never handed out. An
    /// executor that says that it is done, or that it found nothing to do, is not. Of any other the last command may have been on its
    /// way when the lease ended, or was given up ([`zfs_sync_core::plan::LAST_COMMAND`]).
    pub acts_until: Option<Timestamp>,
}

impl TransferRow {
    /// When everything that it has done to its target was over, at the latest; `None`: it may still do something.
    pub fn over_at(&self) -> Option<Timestamp> {
        let finished_at = self.finished_at?;
        Some(self.acts_until.map_or(finished_at, |acts_until| finished_at.max(acts_until)))
    }
}

/// A transfer to queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTransfer {
    /// Its identity.
    pub id: TransferId,
    /// The group it was planned for.
    pub group: GroupId,
    /// Who carries it out.
    pub executor: SystemId,
    /// What is to be done.
    pub step: Step,
    /// Bytes expected, where an estimate exists.
    pub estimated_bytes: Option<u64>,
}

/// Which transfers to list; what is `None` or empty does not restrict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransferFilter {
    /// Of this group.
    pub group: Option<GroupId>,
    /// With this system as source, target or executor.
    pub system: Option<SystemId>,
    /// In one of these states.
    pub states: Vec<TransferState>,
    /// Unfinished ones, or finished ones.
    pub unfinished: Option<bool>,
    /// Finished at this moment or later.
    pub finished_since: Option<Timestamp>,
    /// At most so many.
    pub limit: Option<u64>,
}

/// What an executor says while it works.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes moved by this attempt.
    pub bytes: u64,
    /// Bytes expected; `None` leaves what is stored.
    pub total: Option<u64>,
    /// Bytes in a second.
    pub rate: Option<u64>,
    /// What it is doing.
    pub stage: Option<String>,
    /// Bytes the target had already; `None` leaves what is stored.
    pub resumed_from: Option<u64>,
    /// How it flows; `None` leaves what is stored.
    pub flow: Option<FlowReport>,
}

/// The answer to [`Store::renew_transfer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenewOutcome {
    /// The lease goes on.
    Renewed {
        /// Stop and finish as cancelled.
        cancel_requested: bool,
    },
    /// The lease is another's, or the transfer is finished: stop.
    Lost,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The snapshot's GUID was read back from the target.
    Succeeded {
        /// Bytes moved by this attempt.
        bytes: u64,
        /// Bytes the target had already.
        resumed_from: Option<u64>,
    },
    /// It did not work.
    Failed {
        /// `E_…`.
        code: String,
        /// In words.
        detail: String,
        /// When to try again; `None` parks it until a person asks for another attempt.
        retry_at: Option<Timestamp>,
    },
    /// It was stopped on request.
    Cancelled,
    /// The executor found that the preconditions no longer hold.
    Stale {
        /// In words.
        detail: String,
    },
    /// As stale, and not handed out to its executor: what that one may still be at is of an earlier lease.
    Withheld {
        /// In words.
        detail: String,
    },
}

/// The answer to [`Store::finish_transfer`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FinishOutcome {
    /// The result counts; the transfer as it is now.
    Finished(Box<TransferRow>),
    /// The lease is another's, or the transfer is finished otherwise: the result does not count.
    Lost,
}

/// A replica whose newest transfer failed or was cancelled, and for which none is queued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedReplica {
    /// Who lacks the data.
    pub target_system: SystemId,
    /// The dataset on the target.
    pub target: DatasetName,
    /// That transfer.
    pub transfer: TransferId,
    /// What it was about to do.
    pub step: Step,
    /// Why, `E_…`; `None` when a person cancelled it.
    pub code: Option<String>,
    /// Since when.
    pub finished_at: Timestamp,
}

impl Store {
    /// Queues a transfer; false when an unfinished one for the same target dataset exists.
    pub async fn enqueue_transfer(&self, new: &NewTransfer, now: Timestamp) -> Result<bool> {
        dispatch!(self, transfers::enqueue_transfer(new, now))
    }

    /// The transfer with this identity.
    pub async fn transfer(&self, id: TransferId) -> Result<Option<TransferRow>> {
        dispatch!(self, transfers::transfer(id))
    }

    /// Transfers, newest first.
    pub async fn transfers(&self, filter: &TransferFilter) -> Result<Vec<TransferRow>> {
        dispatch!(self, transfers::transfers(filter))
    }

    /// Transfers that destroy snapshots on one of these systems: those that are queued or leased, and those that have finished since.
    pub async fn destroying_transfers(
        &self,
        targets: &[SystemId],
        finished_since: Option<Timestamp>,
    ) -> Result<Vec<TransferRow>> {
        dispatch!(self, transfers::destroying_transfers(targets, finished_since))
    }

    /// How many transfers are queued and how many leased; states without any are left out.
    pub async fn unfinished_transfer_counts(&self) -> Result<BTreeMap<TransferState, u64>> {
        dispatch!(self, transfers::unfinished_transfer_counts())
    }

    /// A group's transfers that are queued or leased, newest first.
    pub async fn unfinished_transfers(&self, group: GroupId) -> Result<Vec<TransferRow>> {
        let filter =
            TransferFilter { group: Some(group), unfinished: Some(true), ..TransferFilter::default() };
        self.transfers(&filter).await
    }

    /// The group's replicas that are to be left alone until [`Self::retry_transfer`].
    pub async fn parked_replicas(&self, group: GroupId) -> Result<Vec<ParkedReplica>> {
        dispatch!(self, transfers::parked_replicas(group))
    }

    /// Leases at most `max` due transfers to their executor, oldest first, as far as the caps let them begin beside what runs already. No
    /// transfer is ever leased twice at once.
    pub async fn lease_transfers(
        &self,
        executor: SystemId,
        max: u32,
        caps: &TransferCaps,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Vec<TransferRow>> {
        dispatch!(self, leases::lease_transfers(executor, max, caps, now, lease_until))
    }

    /// What is leased now, by place.
    pub async fn turns(&self) -> Result<Turns> {
        dispatch!(self, turns::turns())
    }

    /// Notes that the executor is about to be told of its lease, which lasts until `lease_until`; false when that was taken back meanwhile. To be
    /// called before what destroys is handed out.
    pub async fn hand_out_transfer(
        &self,
        id: TransferId,
        generation: u64,
        lease_until: Timestamp,
    ) -> Result<bool> {
        dispatch!(self, leases::hand_out_transfer(id, generation, lease_until))
    }

    /// Prolongs a lease and notes the progress.
    pub async fn renew_transfer(
        &self,
        id: TransferId,
        generation: u64,
        progress: &Progress,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<RenewOutcome> {
        dispatch!(self, leases::renew_transfer(id, generation, progress, now, lease_until))
    }

    /// The limits that hold for a transfer at present: of its group and of both systems, also where they set none, so that whoever executes
    /// it knows whose limits it is under should they set one.
    pub async fn transfer_limits(&self, transfer: &TransferRow) -> Result<Vec<SharedLimit>> {
        dispatch!(self, leases::transfer_limits(transfer))
    }

    /// Ends a lease with its result. Saying the same again under the same generation is answered the same.
    ///
    /// A failure with a next attempt queues the transfer again, unless somebody asked for its end: then it is cancelled.
    pub async fn finish_transfer(
        &self,
        id: TransferId,
        generation: u64,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Result<FinishOutcome> {
        dispatch!(self, leases::finish_transfer(id, generation, outcome, now))
    }

    /// Takes back every lease whose time is over; those asked to stop are cancelled, the others queued again at once.
    pub async fn expire_leases(&self, now: Timestamp) -> Result<Vec<TransferRow>> {
        dispatch!(self, leases::expire_leases(now))
    }

    /// Takes back every lease of a system whose agent has restarted, as [`Self::expire_leases`] does.
    pub async fn release_system_leases(&self, system: SystemId, now: Timestamp) -> Result<Vec<TransferRow>> {
        dispatch!(self, leases::release_system_leases(system, now))
    }

    /// Cancels a queued transfer at once and asks the executor of a leased one to stop.
    ///
    /// `None` when there is no such transfer. A finished one is answered as it is.
    pub async fn cancel_transfer(
        &self,
        id: TransferId,
        by: &str,
        now: Timestamp,
    ) -> Result<Option<TransferRow>> {
        dispatch!(self, transfers::cancel_transfer(id, by, now))
    }

    /// Makes a queued transfer stale, so that its target is free for another one; false when it is not queued (any more).
    pub async fn supersede_transfer(&self, id: TransferId, detail: &str, now: Timestamp) -> Result<bool> {
        dispatch!(self, transfers::supersede_transfer(id, detail, now))
    }

    /// Makes a queued, failed or cancelled transfer due now, with its attempts counted anew.
    ///
    /// `None` when there is no such transfer. One that is leased, has succeeded or is stale is answered as it is.
    /// [`crate::Error::Conflict`] when another one for the same target dataset is under way.
    pub async fn retry_transfer(&self, id: TransferId, now: Timestamp) -> Result<Option<TransferRow>> {
        dispatch!(self, transfers::retry_transfer(id, now))
    }
}
