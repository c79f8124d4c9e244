//! What is remembered: SQLite and PostgreSQL from one SQL text.
//!
//! [`Store`] is a cheap handle on one database. Its methods are grouped by subject: one file with the rows and the
//! methods (`system.rs`, `transfer.rs`, …) and one of the same subject with the SQL (`query/`). The SQL folder is compiled
//! twice, once for each driver (`sqlite` and `postgres` include it by path), so that there is one text, static types and
//! the full speed of each driver; the few real differences stand in those two modules.
//!
//! The store has no clock: every time is passed in, and is kept in milliseconds. It decides nothing; what must be true of
//! several rows at once (leases, sequences, enrolment) happens in one transaction here.

mod audit;
mod authority;
mod changes;
mod conflict;
mod enrolment;
mod error;
mod event;
mod group;
mod inventory;
mod key;
mod plan;
mod pool_health;
mod postgres;
mod replica;
mod retention;
mod session;
mod sqlite;
mod store;
mod sync_state;
mod system;
mod transfer;
mod turns;
mod url;
mod verification;

pub use audit::{AuditRow, NewAudit};
pub use authority::{AuthorityRow, Listener};
pub use changes::ChangedDataset;
pub use conflict::{
    ConflictChange, ConflictCount, ConflictFilter, ConflictRow, ConflictStanding, ConflictTransition,
};
pub use enrolment::{EnrolError, EnrolmentTokenRow, NewEnrolmentToken};
pub use error::{Error, Result};
pub use event::EventRow;
pub use group::{GroupRow, GroupSettings};
pub use inventory::{Holders, InventorySizes, Report, ReportOutcome, ReportedDataset, SnapshotRow};
pub use key::{KeyRow, NewKey, SecretHash};
pub use plan::{DecisionOutcome, DecisionRow, NewPlan, PlanRow};
pub use pool_health::PoolHealthRow;
pub use replica::{ReplicaFilter, ReplicaRow, ReplicaSummary, ReplicaTransition};
pub use store::{Options, Store};
pub use sync_state::SyncStateRow;
pub use system::{NewSystem, SystemChange, SystemRow, SystemSeen};
pub use transfer::{
    FinishOutcome, NewTransfer, Outcome, ParkedReplica, Progress, RenewOutcome, TransferFilter, TransferRow,
    TransferState,
};
pub use turns::{Course, Crowded, TransferCaps, Turns};
pub use verification::{
    Exchanged, NewVerification, ProofRow, ScheduleRow, Side, SideRow, SideWord, VerificationRow,
    VerificationState,
};
