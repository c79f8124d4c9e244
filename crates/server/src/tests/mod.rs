//! Tests through the router, by what they are about.

mod bodies;
mod client;
mod conflicts;
mod description;
mod enrolment;
mod events;
mod groups;
mod keys;
mod leases;
mod old_clients;
mod planning;
mod plans;
mod serving;
mod strangers;
mod systems;
mod whatif;
