//! What is shown: answers of the API and pages of the dashboard are made from the same functions.

mod directory;
mod explain;
mod groups;
mod replicas;
mod status;
mod systems;
mod transfers;

pub(crate) use self::{
    directory::{Directory, all_systems},
    explain::{explain, selector, system_named},
    groups::{doubts, group, groups, show_group},
    replicas::{replica, replicas},
    status::status,
    systems::{health, is_fresh, show_system, systems, systems_page},
    transfers::{finished_transfers, show_transfer, summary, transfers, unfinished_transfers},
};
