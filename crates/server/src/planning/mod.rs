//! From what is stored to plans, and from plans to queued transfers. What should happen is decided by `core`; here it is given
//! everything it needs, and what it says is kept.

mod execute;
mod executor;
mod fleet;
mod group;
mod keep;
mod retry;
mod still_wanted;

pub(crate) use self::{
    execute::{enqueue, execute},
    executor::{NO_ADDRESS, address, executor},
    fleet::Fleet,
    group::{PlanError, Planned, plan_group},
    keep::keep,
    retry::{AfterFailure, after_failure},
    still_wanted::still_wanted,
};
