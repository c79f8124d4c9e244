//! Tests through the router, by what they are about.

mod bodies;
mod client;
mod description;
mod enrolment;
mod events;
mod groups;
mod keys;
mod leases;
mod old_clients;
mod planning;
mod serving;
mod strangers;
mod systems;
