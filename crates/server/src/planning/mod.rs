//! From what is stored to plans, and from plans to queued transfers. What should happen is decided by `core`; here it is given
//! everything it needs, and what it says is kept.

mod changes;
mod decisions;
mod execute;
mod executor;
mod facts;
mod fleet;
mod group;
mod keep;
mod kept;
mod propose;
mod queue;
mod refresh;
mod retry;
mod ticket;
mod withdraw;

pub(crate) use self::{
    changes::Changes,
    decisions::{decisions, settle_decisions},
    execute::{enqueue, execute},
    executor::{address, executor, has_certificate, listener, no_address},
    facts::Scope,
    fleet::Fleet,
    group::{PlanError, Planned, plan_group},
    keep::keep,
    kept::{other_copies, why_last},
    propose::propose,
    queue::Settling,
    refresh::refresh,
    retry::{AfterFailure, after_failure},
    ticket::ticket,
    withdraw::{drop_unwanted, replace, withdraw},
};
