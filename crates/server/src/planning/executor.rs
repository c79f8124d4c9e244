//! Who carries a step out, and where the other side is reached.

use std::collections::BTreeMap;

use zfs_sync_api::v1::agent::Peer;
use zfs_sync_core::{ids::SystemId, plan::Step};
use zfs_sync_store::SystemRow;

/// What a person must do when nobody can carry a step out.
pub(crate) const NO_ADDRESS: &str = "Nothing, until one of both systems can be reached from the other: set `ssh_hostname` of the target \
     (the source then pushes) or of the source (the target then pulls).";

/// The system that carries the step out: the source pushes where the target has an address, otherwise the target pulls.
pub(crate) fn executor(step: &Step, systems: &BTreeMap<SystemId, SystemRow>) -> Option<SystemId> {
    let Step { source_system, target_system, .. } = step;
    // What moves no data concerns the target alone; so does a copy within one system.
    if source_system == target_system || step.action.is_local() {
        return Some(*target_system);
    }
    let has_address = |id| systems.get(id).is_some_and(|system: &SystemRow| system.ssh_hostname.is_some());
    if has_address(target_system) {
        Some(*source_system)
    } else if has_address(source_system) {
        Some(*target_system)
    } else {
        None
    }
}

/// Where a system is reached by ssh.
pub(crate) fn address(system: &SystemRow) -> Option<Peer> {
    Some(Peer {
        hostname: system.hostname.to_string(),
        ssh_hostname: system.ssh_hostname.as_ref()?.to_string(),
        ssh_user: system.ssh_user.clone(),
        ssh_port: system.ssh_port,
    })
}
