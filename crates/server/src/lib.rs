//! The witness: routes, authentication, background tasks, events, dashboard.
//!
//! [`Server::start`] serves one database on one listener until its token is cancelled. Handlers (`routes`, one file each) and
//! background tasks (`background`) share an `AppState` that holds no truth of its own. What a route needs of its caller
//! stands in one table (`auth::access`). Plans are made by `zfs-sync-core` alone; `planning` feeds it and keeps what it says.

mod auth;
mod authority;
mod background;
mod bootstrap;
mod command_line;
mod error;
mod events;
mod extract;
mod openapi;
mod planning;
mod request;
mod router;
mod routes;
mod server;
mod settings;
mod state;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod views;
mod wake;
mod web;

pub use self::{
    bootstrap::{BootstrapError, BootstrapKey, bootstrap_admin},
    openapi::openapi_json,
    server::{Options, Server, ServerError, ServerHandle},
    settings::Settings,
};
