//! Verifications: comparisons of a snapshot on two systems.
//!
//! The comparison itself is [`zfs_sync_core::verify::Comparison`], stored between rounds. Both sides' agents lease their side and answer
//! its questions; with the second answer of a round the comparison goes on, in the same transaction. When either agent is lost, all of it
//! begins anew under the next generation, and what the other one still says of the old one does not count.

use std::time::Duration;

use zfs_sync_core::{
    ids::{GroupId, SystemId, VerificationId},
    name::{DatasetName, SnapshotName},
    time::Timestamp,
    verify::{Answer, Comparison, Outcome, Question, Verdict},
};

use crate::{Result, Store, store::dispatch};

/// Where a verification stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VerificationState {
    /// Nobody works on it.
    Queued,
    /// At least one side works on it.
    Running,
    /// It has ended so.
    Matched,
    /// It has ended so.
    Differs,
    /// It has ended so.
    Unproven,
    /// It has ended so.
    Failed,
    /// A person stopped it.
    Cancelled,
}

impl VerificationState {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Queued,
        Self::Running,
        Self::Matched,
        Self::Differs,
        Self::Unproven,
        Self::Failed,
        Self::Cancelled,
    ];

    /// As in JSON and SQL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Matched => "matched",
            Self::Differs => "differs",
            Self::Unproven => "unproven",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Back from [`Self::as_str`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// True when nothing more happens to it.
    pub const fn is_finished(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

impl From<Outcome> for VerificationState {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Matched => Self::Matched,
            Outcome::Differs => Self::Differs,
            Outcome::Unproven => Self::Unproven,
            Outcome::Failed => Self::Failed,
        }
    }
}

/// Which side of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The system that was named first.
    Left,
    /// The system that was named second.
    Right,
}

/// One side of a verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SideRow {
    /// Whose agent reads.
    pub system: SystemId,
    /// What it reads.
    pub snapshot: SnapshotName,
    /// Until when its lease lasts; `None` while nobody works on it.
    pub lease_until: Option<Timestamp>,
    /// Its answers of the present round.
    pub answers: Option<Vec<Answer>>,
    /// Files, directories and other things seen so far.
    pub entries: u64,
    /// Bytes read so far.
    pub bytes: u64,
}

/// One verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerificationRow {
    /// Its identity.
    pub id: VerificationId,
    /// The group for whose schedule it was made.
    pub group: Option<GroupId>,
    /// Who asked for it.
    pub requested_by: String,
    /// Where it stands.
    pub state: VerificationState,
    /// All content, not only GUID and properties.
    pub deep: bool,
    /// Each side reads at most so many bytes a second.
    pub rate: Option<u64>,
    /// Bytes that each side will probably read.
    pub estimate: u64,
    /// The fencing token: one more whenever it begins anew.
    pub generation: u64,
    /// Times that it was begun.
    pub attempts: u32,
    /// The comparison; `None` when it has ended.
    pub comparison: Option<Comparison>,
    /// What was found.
    pub result: Option<Verdict>,
    /// The system that was named first.
    pub left: SideRow,
    /// The system that was named second.
    pub right: SideRow,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it was last put back to its beginning.
    pub begun_at: Timestamp,
    /// When somebody first worked on it.
    pub started_at: Option<Timestamp>,
    /// When anything of it last changed.
    pub updated_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

impl VerificationRow {
    /// One side of it.
    pub const fn side(&self, side: Side) -> &SideRow {
        match side {
            Side::Left => &self.left,
            Side::Right => &self.right,
        }
    }

    /// One side of it.
    pub(crate) const fn side_mut(&mut self, side: Side) -> &mut SideRow {
        match side {
            Side::Left => &mut self.left,
            Side::Right => &mut self.right,
        }
    }
}

/// A verification to queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewVerification {
    /// Its identity.
    pub id: VerificationId,
    /// The group for whose schedule it is made.
    pub group: Option<GroupId>,
    /// Who asks for it.
    pub requested_by: String,
    /// All content.
    pub deep: bool,
    /// Each side reads at most so many bytes a second.
    pub rate: Option<u64>,
    /// Bytes that each side will probably read.
    pub estimate: u64,
    /// System and snapshot named first.
    pub left: (SystemId, SnapshotName),
    /// System and snapshot named second.
    pub right: (SystemId, SnapshotName),
}

/// What an agent says of its side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SideWord {
    /// From its lease.
    pub generation: u64,
    /// Which side.
    pub side: Side,
    /// The round of the answers.
    pub round: u32,
    /// Answers to all questions of that round.
    pub answers: Option<Vec<Answer>>,
    /// Files, directories and other things seen so far.
    pub entries: u64,
    /// Bytes read so far.
    pub bytes: u64,
}

/// The answer to [`Store::exchange_verification`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exchanged {
    /// These are the questions of the present round.
    Asked {
        /// Its number.
        round: u32,
        /// What both sides are asked.
        questions: Vec<Question>,
        /// With this word a new round began: the other side waits to hear of it.
        moved: bool,
    },
    /// It has ended.
    Over {
        /// The verification as it is now.
        row: Box<VerificationRow>,
        /// With this word it ended.
        moved: bool,
    },
    /// The lease is over, or there is no such verification.
    Lost,
}

/// What the newest comparison says of a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofRow {
    /// Which comparison.
    pub verification: VerificationId,
    /// It is the same as its source; otherwise it is not, under the same GUID.
    pub matched: bool,
    /// Whose replica.
    pub system: SystemId,
    /// Its dataset there.
    pub dataset: DatasetName,
    /// The snapshot there.
    pub snapshot: SnapshotName,
    /// When.
    pub at: Timestamp,
    /// By all content.
    pub deep: bool,
}

/// What a group compares by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleRow {
    /// Whose replicas.
    pub group: GroupId,
    /// How old a proof may become.
    pub every: Duration,
    /// Bytes that each side reads in a day at most.
    pub budget: u64,
    /// Bytes that each side reads in a second at most.
    pub rate: Option<u64>,
}

impl Store {
    /// All schedules.
    pub async fn verification_schedules(&self) -> Result<Vec<ScheduleRow>> {
        dispatch!(self, verification_schedules::verification_schedules())
    }

    /// Sets or replaces a group's schedule; [`crate::Error::NotFound`] when there is no such group.
    pub async fn set_verification_schedule(&self, schedule: &ScheduleRow, now: Timestamp) -> Result<()> {
        dispatch!(self, verification_schedules::set_verification_schedule(schedule, now))
    }

    /// Removes a group's schedule; false when it had none.
    pub async fn delete_verification_schedule(&self, group: GroupId) -> Result<bool> {
        dispatch!(self, verification_schedules::delete_verification_schedule(group))
    }

    /// Verifications made for a group's schedule that were asked for at this moment or later.
    pub async fn scheduled_verifications(
        &self,
        group: GroupId,
        since: Timestamp,
    ) -> Result<Vec<VerificationRow>> {
        dispatch!(self, verifications::scheduled_verifications(group, since))
    }

    /// Queues a verification; [`crate::Error::Conflict`] when one of the same group's schedule has not ended.
    pub async fn create_verification(
        &self,
        new: &NewVerification,
        now: Timestamp,
    ) -> Result<VerificationRow> {
        dispatch!(self, verifications::create_verification(new, now))
    }

    /// The verification with this identity.
    pub async fn verification(&self, id: VerificationId) -> Result<Option<VerificationRow>> {
        dispatch!(self, verifications::verification(id))
    }

    /// The newest verifications.
    pub async fn verifications(&self, limit: u64) -> Result<Vec<VerificationRow>> {
        dispatch!(self, verifications::verifications(limit))
    }

    /// Leases at most `max` sides to a system, oldest first.
    pub async fn lease_verifications(
        &self,
        system: SystemId,
        max: u32,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Vec<(VerificationRow, Side)>> {
        dispatch!(self, verifications::lease_verifications(system, max, now, lease_until))
    }

    /// Takes an agent's word, and goes on with the comparison when both sides have answered.
    pub async fn exchange_verification(
        &self,
        id: VerificationId,
        word: &SideWord,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Exchanged> {
        dispatch!(self, verifications::exchange_verification(id, word, now, lease_until))
    }

    /// Begins anew those whose leases have ended. One that was begun `most` times has failed.
    pub async fn expire_verifications(&self, most: u32, now: Timestamp) -> Result<Vec<VerificationRow>> {
        dispatch!(self, verifications::begin_anew(None, most, now))
    }

    /// Begins anew those that a system works on: its agent has started, and knows nothing of them.
    pub async fn release_verifications(
        &self,
        system: SystemId,
        most: u32,
        now: Timestamp,
    ) -> Result<Vec<VerificationRow>> {
        dispatch!(self, verifications::begin_anew(Some(system), most, now))
    }

    /// Ends those that were begun before this moment and of which nobody has taken a side since: they are unproven.
    pub async fn give_up_verifications(
        &self,
        begun_before: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<VerificationRow>> {
        dispatch!(self, verifications::give_up_verifications(begun_before, now))
    }

    /// Ends one without a result; `None` when it does not exist. One that has ended stays as it is.
    pub async fn cancel_verification(
        &self,
        id: VerificationId,
        now: Timestamp,
    ) -> Result<Option<VerificationRow>> {
        dispatch!(self, verifications::cancel_verification(id, now))
    }

    /// For each replica, that is the second side of a comparison, the newest that is known by content, and the newest by GUID: that it is the
    /// same, or that it is not.
    pub async fn proofs(&self) -> Result<Vec<ProofRow>> {
        dispatch!(self, proofs::proofs())
    }

    /// Forgets verifications that ended before this moment. The newest proof of a replica stays.
    pub async fn prune_verifications(&self, before: Timestamp) -> Result<u64> {
        dispatch!(self, proofs::prune_verifications(before))
    }
}
