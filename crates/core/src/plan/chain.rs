//! Order within a chain.

use crate::{
    group::{GroupMode, SyncGroup},
    ids::SystemId,
};

/// The members before this one, from which it gets everything it may have; none where the group is no chain.
pub(super) fn before(group: &SyncGroup, member: SystemId) -> &[SystemId] {
    let place = group.members.iter().position(|other| *other == member);
    match (group.mode, place) {
        (GroupMode::Chain, Some(place)) => &group.members[..place],
        _ => &[],
    }
}
