//! Which steps of a plan may run at the same time.
//!
//! Replicas are independent of each other, but for three things: a replica can not begin before its parent is there; a clone not before
//! what it is a clone of; and what renames or destroys stands alone, for it may touch the names of others.

use std::collections::BTreeMap;

use zfs_sync_core::{
    name::DatasetName,
    plan::{Action, Base, Send, Step},
};

/// For each step the earlier ones that must have ended before it begins.
pub(super) fn blockers(steps: &[&Step]) -> Vec<Vec<usize>> {
    let mut by_target: BTreeMap<&DatasetName, usize> = BTreeMap::new();
    let mut by_source: BTreeMap<&DatasetName, usize> = BTreeMap::new();
    let mut barrier: Option<usize> = None;
    let mut all = Vec::with_capacity(steps.len());
    for (number, step) in steps.iter().enumerate() {
        let mut waits: Vec<usize> = barrier.into_iter().collect();
        match &step.action {
            Action::Send(send) => {
                waits.extend(by_target.get(&step.target));
                if is_first(send) {
                    waits.extend(ancestors(&step.target).filter_map(|name| by_target.get(&name)));
                }
                let origin = send.target_origin.as_ref().map(|origin| &origin.dataset);
                waits.extend(origin.and_then(|dataset| by_target.get(dataset)));
                if let Some(Base::Origin { dataset, .. }) = &send.base {
                    waits.extend(by_source.get(dataset));
                }
            }
            Action::SetAside { .. }
            | Action::FollowRename { .. }
            | Action::RollBack { .. }
            | Action::DestroySnapshots { .. } => {
                waits.extend(barrier.map_or(0, |barrier| barrier + 1)..number);
                barrier = Some(number);
            }
        }
        waits.sort_unstable();
        waits.dedup();
        all.push(waits);
        by_target.insert(&step.target, number);
        by_source.insert(&step.source, number);
    }
    all
}

/// True when the replica does not exist yet.
const fn is_first(send: &Send) -> bool {
    send.target_newest.is_none()
}

fn ancestors(dataset: &DatasetName) -> impl Iterator<Item = DatasetName> {
    std::iter::successors(dataset.parent(), DatasetName::parent)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;
    use zfs_sync_core::{
        guid::{Guid, Txg},
        inventory::DatasetKind,
        plan::{Point, Receiver, TargetOrigin},
    };

    use super::*;

    fn name(text: &str) -> DatasetName {
        text.parse().unwrap()
    }

    fn point() -> Point {
        Point { guid: Guid::new(7), createtxg: Txg::new(7), label: "x".parse().unwrap(), creation: 0 }
    }

    fn step(below: &str, action: Action) -> Step {
        let system = Uuid::from_u128(1).into();
        let target = name(&format!("backup/{below}"));
        Step {
            source_system: system,
            target_system: system,
            source: name(&format!("tank/{below}")),
            kind: DatasetKind::Filesystem,
            source_guid: Guid::new(1),
            receiver: Receiver::new(system, &target),
            target,
            action,
        }
    }

    fn send(target_newest: Option<Guid>, origin: Option<&str>) -> Action {
        Action::Send(Send {
            base: None,
            to: point(),
            snapshots: 1,
            resume: false,
            discard_partial: None,
            raw: false,
            properties: Vec::new(),
            target_newest,
            create_parents: Vec::new(),
            target_origin: origin.map(|dataset| TargetOrigin { dataset: name(dataset), guid: Guid::new(3) }),
        })
    }

    fn waits(steps: &[Step]) -> Vec<Vec<usize>> {
        blockers(&steps.iter().collect::<Vec<_>>())
    }

    #[test]
    fn what_exists_on_the_target_waits_for_nobody() {
        let next = || send(Some(Guid::new(2)), None);
        assert_eq!(
            waits(&[step("a", next()), step("a/b", next()), step("c", next())]),
            [[], [], [0_usize; 0]]
        );
    }

    #[test]
    fn a_first_receive_waits_for_what_lies_above_and_not_for_what_lies_beside() {
        let first = || send(None, None);
        let steps = [step("a", first()), step("a/b/c", first()), step("ab", first()), step("a/d", first())];
        assert_eq!(waits(&steps), [vec![], vec![0], vec![], vec![0]]);
    }

    #[test]
    fn a_clone_waits_for_its_origin() {
        let steps = [step("origin", send(None, None)), step("clone", send(None, Some("backup/origin")))];
        assert_eq!(waits(&steps), [vec![], vec![0]]);
    }

    #[test]
    fn what_renames_stands_alone() {
        let aside = Action::SetAside {
            rename_to: name("backup/b.aside"),
            target_guid: Guid::new(4),
            target_newest: None,
        };
        let next = || send(Some(Guid::new(2)), None);
        let steps = [step("a", next()), step("b", aside), step("c", next()), step("b", send(None, None))];
        assert_eq!(waits(&steps), [vec![], vec![0], vec![1], vec![1]]);
    }
}
