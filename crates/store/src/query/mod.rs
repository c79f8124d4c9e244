//! The SQL, compiled once for each driver: `super` is the driver's module with its types, connections and differences.
//!
//! The common subset: `$1…$n`, `ON CONFLICT`, `RETURNING`, common table expressions, bigint, text, uuid, boolean.

macro_rules! replica_columns {
    () => {
        "group_id, dataset, home_system_id, target_system_id, source_system_id, source, target, state, reason, report, \
         newest_common_creation, snapshot_lag, source_guid, since"
    };
}

mod cells;
mod conflict_rows;
mod report_rows;

pub(crate) mod audit;
pub(crate) mod authority;
pub(crate) mod changes;
pub(crate) mod conflicts;
pub(crate) mod enrolment;
pub(crate) mod events;
pub(crate) mod groups;
pub(crate) mod inventory;
pub(crate) mod inventory_part;
pub(crate) mod keys;
pub(crate) mod leases;
pub(crate) mod plans;
pub(crate) mod pool_health;
pub(crate) mod proofs;
pub(crate) mod replica_lists;
pub(crate) mod replicas;
pub(crate) mod reports;
pub(crate) mod retention;
pub(crate) mod sessions;
pub(crate) mod sync_states;
pub(crate) mod systems;
pub(crate) mod transfers;
pub(crate) mod turns;
pub(crate) mod verification_schedules;
pub(crate) mod verifications;

/// Rows of one statement: enough to make its overhead small, few enough for the 32,766 variables SQLite allows at up to 32
/// columns.
const BATCH: usize = 1000;

/// Keys of one statement that only names rows, one or two variables each.
const KEYS: usize = 10_000;
