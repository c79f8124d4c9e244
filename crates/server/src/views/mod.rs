//! What is shown: answers of the API and pages of the dashboard are made from the same functions.

mod conflicts;
mod decisions;
mod directory;
mod explain;
mod groups;
mod plans;
mod proofs;
mod replicas;
mod status;
mod steps;
mod systems;
mod transfers;
mod verifications;
mod whatif;

pub(crate) use self::{
    conflicts::{conflict, conflicts, no_conflict, show_one_conflict},
    decisions::Standing,
    directory::{Directory, all_systems},
    explain::{explain, selector, system_named},
    groups::{doubts, doubts_of, group, groups, show_group},
    plans::{casualties, show_plan},
    proofs::{fresh_pools, proofs, standing},
    replicas::{replica, replicas},
    status::status,
    steps::{destroyed, planned_step, summary},
    systems::{health, is_fresh, is_heard, show_system, systems, systems_page},
    transfers::{finished_transfers, show_one_transfer, transfers, unfinished_transfers},
    verifications::show_verification,
    whatif::{destroy, system_lost},
};
