//! What the world is and what should happen.
//!
//! This crate is pure: no input or output, no async, no clock or randomness of its own. Text becomes a type here once
//! ([`name`], [`guid`]) and stays one. Hosts report an [`inventory`], operators state a [`group`], and
//! [`plan`] turns both into steps and into a reason for everything that is *not* done.

mod digest;
pub mod flow;
pub mod group;
pub mod guid;
pub mod health;
pub mod ids;
pub mod inventory;
pub mod name;
pub mod pattern;
pub mod plan;
pub mod retention;
pub mod retry;
pub mod size;
pub mod stream;
pub mod time;
pub mod verify;
pub mod whatif;
