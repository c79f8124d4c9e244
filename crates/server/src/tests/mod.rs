//! Tests through the router, by what they are about.

mod bodies;
mod certificates;
mod client;
mod conflicts;
mod cost;
mod decisions;
mod description;
mod enrolment;
mod events;
mod groups;
mod kept_copies;
mod keys;
mod late_reports;
mod leases;
mod mirrored;
mod old_clients;
mod pages;
mod planning;
mod plans;
mod serving;
mod settled;
mod strangers;
mod systems;
mod whatif;
mod without_guids;
