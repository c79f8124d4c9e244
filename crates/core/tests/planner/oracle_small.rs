//! All small histories, one by one: at most four snapshots on at most three systems, in groups of every mode. What must come of each is said
//! here once more, by sets of numbers, without anything of the planner's.
//!
//! Snapshots are numbers, and a greater number is newer. So a history is a set of bits.

use std::sync::OnceLock;

use zfs_sync_core::{
    group::GroupMode,
    guid::Guid,
    ids::SystemId,
    plan::{Action, Reason, ReplicaReport, ReplicaState, Send},
};

use crate::fleet::{Fleet, bookmark, dataset, snapshot, system_id};

/// What one system has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Has {
    /// The dataset is there.
    exists: bool,
    /// Bit N: snapshot N.
    snapshots: u8,
    /// Bit N: a bookmark of snapshot N.
    marks: u8,
    written: bool,
    fresh: bool,
}

/// What must come of one replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Must {
    state: ReplicaState,
    /// Who sends, from which snapshot (0: in full), to which one.
    sends: Option<(usize, u8, u8)>,
}

const fn nothing(state: ReplicaState) -> Must {
    Must { state, sends: None }
}

fn members(bits: u8) -> impl DoubleEndedIterator<Item = u8> {
    (1..=4).filter(move |number| bits & (1 << number) != 0)
}

fn head(has: Has) -> Option<u8> {
    members(has.snapshots).next_back()
}

/// What the receiver can take from the sender; `None` where that is nothing. The second is how the two stand.
fn between(sender: Has, receiver: Has) -> (ReplicaState, Option<(u8, u8)>) {
    let newest = head(sender);
    let Some(top) = newest else {
        let known = receiver.exists && head(receiver).is_some_and(|h| sender.marks & (1 << h) != 0);
        // All is bookmarks: what it has is known, and nothing is newer.
        if known {
            return (if receiver.written { ReplicaState::Diverged } else { ReplicaState::InSync }, None);
        }
        let shared = receiver.exists && members(receiver.snapshots).any(|one| sender.marks & (1 << one) != 0);
        let state = match (receiver.exists, shared) {
            (false, _) => ReplicaState::NeverSeeded,
            (true, true) => ReplicaState::Diverged,
            (true, false) => ReplicaState::Unknown,
        };
        return (state, None);
    };
    if !receiver.exists {
        // The oldest comes first, in full.
        return (ReplicaState::NeverSeeded, Some((0, members(sender.snapshots).next().unwrap())));
    }
    let Some(last) = head(receiver) else { return (ReplicaState::Diverged, None) };
    let whole = sender.snapshots & (1 << last) != 0;
    if !whole && sender.marks & (1 << last) == 0 || receiver.written {
        return (ReplicaState::Diverged, None);
    }
    let coming: Vec<u8> = members(sender.snapshots).filter(|number| *number > last).collect();
    match (coming.first(), whole) {
        (None, _) => (ReplicaState::InSync, None),
        (Some(_), true) => (ReplicaState::Behind, Some((last, top))),
        // From a bookmark, one at a time.
        (Some(first), false) => (ReplicaState::Behind, Some((last, *first))),
    }
}

/// True when the receiver's newest snapshot is unknown to the sender, though both have some.
fn sender_lost_it(sender: Has, receiver: Has) -> bool {
    let Some(last) = head(receiver).filter(|_| receiver.exists) else { return false };
    let known = sender.snapshots | sender.marks;
    let shared = members(receiver.snapshots).any(|one| known & (1 << one) != 0);
    known & (1 << last) == 0 && (shared || sender.snapshots != 0)
}

/// Who may stand in for `followed` towards `receiver`, best first.
fn stand_ins(
    all: &[Has],
    mode: GroupMode,
    followed: usize,
    receiver: usize,
    cut: Option<(usize, usize)>,
) -> Vec<usize> {
    let mut found: Vec<(bool, u8, usize)> = Vec::new();
    for (place, has) in all.iter().enumerate() {
        if place == followed
            || place == receiver
            || !has.fresh
            || !has.exists
            || cut == Some((place, receiver))
        {
            continue;
        }
        let Some(top) = head(*has) else { continue };
        let before = mode == GroupMode::Chain && place < followed;
        let clean = all[followed].exists && !has.written && all[followed].snapshots & (1 << top) != 0;
        let helps = between(*has, all[receiver]).1.is_some();
        if (before || clean) && helps {
            found.push((before, if before { 0 } else { top }, place));
        }
    }
    // The one furthest on; of equals the first.
    found.sort_by(|a, b| (b.0, b.1, a.2).cmp(&(a.0, a.1, b.2)));
    found.into_iter().map(|(_, _, place)| place).collect()
}

/// What must come of the replica that follows `followed`.
fn follows(
    all: &[Has],
    mode: GroupMode,
    followed: usize,
    receiver: usize,
    cut: Option<(usize, usize)>,
) -> Must {
    if !all[receiver].fresh {
        return nothing(ReplicaState::Unknown);
    }
    let stand_in = || {
        let place = *stand_ins(all, mode, followed, receiver, cut).first()?;
        let (state, sends) = between(all[place], all[receiver]);
        sends.map(|(from, to)| Must { state, sends: Some((place, from, to)) })
    };
    if !all[followed].fresh {
        return stand_in().unwrap_or(nothing(ReplicaState::Unknown));
    }
    if !all[followed].exists {
        let state = if all[receiver].exists { ReplicaState::Unknown } else { ReplicaState::NeverSeeded };
        return nothing(state);
    }
    let (state, sends) = between(all[followed], all[receiver]);
    let unreachable = cut == Some((followed, receiver)) && state != ReplicaState::InSync;
    if (unreachable || sender_lost_it(all[followed], all[receiver]))
        && let Some(must) = stand_in()
    {
        return must;
    }
    // In a chain, what comes from further up is no divergence.
    if mode == GroupMode::Chain && state == ReplicaState::Diverged {
        let last = head(all[receiver]).unwrap_or(0);
        // One that is past it has lost it, and can not catch up to it.
        let reached = head(all[followed]).unwrap_or(0);
        let above = last > 0
            && all[..followed].iter().any(|has| {
                let past = reached > last && (has.snapshots | has.marks) & (1 << reached) != 0;
                has.exists && has.snapshots & (1 << last) != 0 && !past
            });
        if above && all[followed].snapshots & (1 << last) == 0 {
            let first = head(all[0]).filter(|_| all[0].exists);
            return nothing(if first == Some(last) { ReplicaState::InSync } else { ReplicaState::Behind });
        }
    }
    Must { state, sends: sends.map(|(from, to)| (followed, from, to)) }
}

/// What must come of every replica: who receives, and whom it follows.
fn expected(all: &[Has], mode: GroupMode, cut: Option<(usize, usize)>) -> Vec<(usize, Must)> {
    let count = all.len();
    match mode {
        GroupMode::Chain if all[0].exists => {
            (1..count).map(|place| (place, follows(all, mode, place - 1, place, cut))).collect()
        }
        GroupMode::OneWay if all[0].exists => {
            (1..count).map(|place| (place, follows(all, mode, 0, place, cut))).collect()
        }
        GroupMode::Mesh => {
            let having: Vec<usize> = (0..count).filter(|place| all[*place].exists).collect();
            let has = |place: usize, other: usize| {
                let known = all[place].snapshots | all[place].marks;
                head(all[other]).is_none_or(|head| known & (1 << head) != 0)
            };
            // Of three, one between is enough; what it has only marked beyond its own end it has no more.
            let past = |third: usize, other: usize| head(all[other]) <= head(all[third]);
            let knows = |place: usize, other: usize| {
                let through = |third: usize| has(place, third) && has(third, other) && past(third, other);
                has(place, other) || having.iter().any(|third| through(*third))
            };
            let mut leaders: Vec<usize> = having.clone();
            leaders.retain(|place| having.iter().all(|other| knows(*place, *other)));
            leaders.sort_by_key(|place| {
                let Has { written, fresh, .. } = all[*place];
                (head(all[*place]).is_none(), !written, !fresh, *place != 0, *place)
            });
            match (having.first(), leaders.first()) {
                (None, _) => Vec::new(),
                (Some(_), Some(leader)) => {
                    let others = (0..count).filter(|place| place != leader);
                    others.map(|place| (place, follows(all, mode, *leader, place, cut))).collect()
                }
                (Some(_), None) => {
                    let farthest = |place: &&usize| {
                        let beyond = |other: &usize| knows(*other, **place) && !knows(**place, *other);
                        !having.iter().any(beyond)
                    };
                    let first = having.iter().find(farthest).or(having.first()).unwrap();
                    let others = (0..count).filter(|place| place != first);
                    let stated = |place: usize| {
                        if all[place].fresh { ReplicaState::Diverged } else { ReplicaState::Unknown }
                    };
                    others.map(|place| (place, nothing(stated(place)))).collect()
                }
            }
        }
        _ => Vec::new(),
    }
}

fn fleet_of(all: &[Has], mode: GroupMode, cut: Option<(usize, usize)>) -> Fleet {
    static TEMPLATE: OnceLock<Fleet> = OnceLock::new();
    let script =
        "system nas1\ntank\nsystem nas2\ntank\nsystem nas3\ntank\ngroup g one_way source=nas1 include=tank/x";
    let mut fleet = TEMPLATE.get_or_init(|| Fleet::parse(script)).clone();
    fleet.group.mode = mode;
    fleet.group.members.truncate(all.len());
    fleet.systems.retain(|id, _| fleet.group.members.contains(id));
    for (place, has) in all.iter().enumerate() {
        let system = fleet.system(place + 1);
        system.fresh = has.fresh;
        if !has.exists {
            continue;
        }
        let mut made = dataset("tank/x");
        // Each pool counts its transactions from another beginning.
        let txg = |number: u8| u64::from(number) + 100 * place as u64;
        let label = |number: u8| format!("s{number}");
        made.snapshots =
            members(has.snapshots).map(|one| snapshot(&label(one), u64::from(one), txg(one))).collect();
        made.bookmarks =
            members(has.marks).map(|one| bookmark(&label(one), u64::from(one), txg(one))).collect();
        made.properties.written = u64::from(has.written);
        system.inventory.as_mut().unwrap().datasets.insert(made.name.clone(), made);
    }
    fleet.unreachable = cut.iter().map(|(from, to)| (system_id(from + 1), system_id(to + 1))).collect();
    fleet
}

fn found(report: &ReplicaReport) -> Must {
    let place = |system: SystemId| (0..3).find(|place| system_id(place + 1) == system).unwrap();
    let number = |guid: Guid| u8::try_from(guid.get()).unwrap();
    let sends = report.step.as_ref().map(|step| {
        let Action::Send(Send { base, to, .. }) = &step.action else { panic!("nobody decided anything") };
        let from = base.as_ref().map_or(0, |base| number(base.point().guid));
        (place(step.source_system), from, number(to.guid))
    });
    Must { state: report.state, sends }
}

fn compare_with_planner(all: &[Has], mode: GroupMode, cut: Option<(usize, usize)>) {
    let (_, report) = fleet_of(all, mode, cut).plan();
    let mut planned: Vec<(usize, Must)> = report
        .replicas
        .iter()
        .filter(|replica| replica.reason != Some(Reason::Orphaned))
        .map(|replica| {
            let place = (0..all.len()).find(|place| system_id(place + 1) == replica.target_system).unwrap();
            (place, found(replica))
        })
        .collect();
    planned.sort_by_key(|(place, _)| *place);
    assert_eq!(planned, expected(all, mode, cut), "{mode:?}, cut {cut:?}: {all:#?}");
}

const MODES: [GroupMode; 3] = [GroupMode::OneWay, GroupMode::Chain, GroupMode::Mesh];

/// Every history of up to `count` snapshots, and none.
fn histories(count: u8) -> Vec<Has> {
    let absent = Has { exists: false, snapshots: 0, marks: 0, written: false, fresh: true };
    let sets = (0..1_u8 << count).map(|bits| Has { exists: true, snapshots: bits << 1, ..absent });
    std::iter::once(absent).chain(sets).collect()
}

#[test]
fn one_way_with_three_systems_and_four_snapshots() {
    let histories = histories(4);
    for one in &histories {
        for (place, two) in histories.iter().enumerate() {
            // The two targets have nothing to do with one another, so their order does not matter.
            for three in &histories[place..] {
                compare_with_planner(&[*one, *two, *three], GroupMode::OneWay, None);
            }
        }
    }
}

#[test]
fn a_chain_of_three_systems_and_four_snapshots() {
    let histories = histories(4);
    for one in histories.iter().filter(|has| has.exists) {
        for two in &histories {
            for three in &histories {
                compare_with_planner(&[*one, *two, *three], GroupMode::Chain, None);
            }
        }
    }
}

#[test]
fn a_mesh_of_three_systems_and_four_snapshots() {
    let histories = histories(4);
    for one in &histories {
        for (place, two) in histories.iter().enumerate() {
            for three in &histories[place..] {
                compare_with_planner(&[*one, *two, *three], GroupMode::Mesh, None);
            }
        }
    }
}

#[test]
fn three_systems_of_which_one_is_silent_or_written_to() {
    let histories = histories(2);
    for one in &histories {
        for two in &histories {
            for three in &histories {
                for flags in 1..16_usize {
                    let (silent, written) = (flags % 4, flags / 4);
                    let mut all = [*one, *two, *three];
                    if let Some(has) = silent.checked_sub(1).map(|place| &mut all[place]) {
                        has.fresh = false;
                    }
                    if let Some(has) = written.checked_sub(1).map(|place| &mut all[place]) {
                        has.written = has.exists;
                    }
                    for mode in MODES {
                        compare_with_planner(&all, mode, None);
                    }
                }
            }
        }
    }
}

#[test]
fn three_systems_with_a_broken_link() {
    let histories = histories(3);
    for one in histories.iter().filter(|has| has.exists) {
        for two in &histories {
            for three in &histories {
                for (mode, cut) in
                    [(GroupMode::OneWay, (0, 1)), (GroupMode::Chain, (1, 2)), (GroupMode::Mesh, (0, 1))]
                {
                    compare_with_planner(&[*one, *two, *three], mode, Some(cut));
                }
            }
        }
    }
}

#[test]
fn two_systems_with_every_set_of_bookmarks() {
    let histories = histories(3);
    for one in histories.iter().filter(|has| has.exists) {
        for two in &histories {
            for marks in 0..8_u8 {
                for written in [false, true] {
                    let one = Has { marks: marks << 1, ..*one };
                    let two = Has { written: written && two.exists, ..*two };
                    for mode in [GroupMode::OneWay, GroupMode::Mesh] {
                        compare_with_planner(&[one, two], mode, None);
                    }
                }
            }
        }
    }
}

#[test]
fn two_systems_with_four_snapshots_and_every_set_of_bookmarks() {
    let histories = histories(4);
    for one in histories.iter().filter(|has| has.exists) {
        for two in &histories {
            for marks in 0..16_u8 {
                let one = Has { marks: marks << 1, ..*one };
                compare_with_planner(&[one, *two], GroupMode::OneWay, None);
            }
        }
    }
}

#[test]
fn one_way_with_three_systems_and_every_set_of_bookmarks() {
    let histories = histories(3);
    for one in histories.iter().filter(|has| has.exists) {
        for two in &histories {
            for three in &histories {
                for marks in 0..8_u8 {
                    let one = Has { marks: marks << 1, ..*one };
                    compare_with_planner(&[one, *two, *three], GroupMode::OneWay, None);
                }
            }
        }
    }
}

/// Adds a dataset with this history.
fn add(fleet: &mut Fleet, system: usize, name: &str, has: Has) {
    if !has.exists {
        return;
    }
    let mut made = dataset(name);
    let label = |number: u8| format!("s{number}");
    let txg = |number: u8| u64::from(number) + 100 * system as u64;
    let snapshots = members(has.snapshots).map(|one| snapshot(&label(one), u64::from(one), txg(one)));
    made.snapshots = snapshots.collect();
    let bookmarks = members(has.marks).map(|one| bookmark(&label(one), u64::from(one), txg(one)));
    made.bookmarks = bookmarks.collect();
    fleet.system(system).inventory.as_mut().unwrap().datasets.insert(made.name.clone(), made);
}

/// What the planner says of the replicas of one home; there is at most one.
fn of_home(report: &[ReplicaReport], home: SystemId) -> Option<(ReplicaState, Option<(u8, u8)>)> {
    let mut living = report.iter().filter(|replica| replica.reason != Some(Reason::Orphaned));
    let replica = living.find(|replica| replica.home == home)?;
    let Must { state, sends } = found(replica);
    Some((state, sends.map(|(_, from, to)| (from, to))))
}

fn must(source: Has, target: Has) -> Option<(ReplicaState, Option<(u8, u8)>)> {
    source.exists.then(|| between(source, target))
}

#[test]
fn two_sources_that_are_collected_have_nothing_to_do_with_one_another() {
    let template = Fleet::parse(
        "system nas1\nsafe\nsystem nas2\ntank\nsystem nas3\ntank\n\
         group g many_to_one hub=nas1 include=tank/x map@nas2=tank=safe/two map@nas3=tank=safe/three",
    );
    let histories = histories(3);
    for (two, of_two) in histories.iter().flat_map(|has| histories.iter().map(move |of| (has, of))) {
        for (three, of_three) in histories.iter().flat_map(|has| histories.iter().map(move |of| (has, of))) {
            let mut fleet = template.clone();
            add(&mut fleet, 2, "tank/x", *two);
            add(&mut fleet, 1, "safe/two/x", *of_two);
            add(&mut fleet, 3, "tank/x", *three);
            add(&mut fleet, 1, "safe/three/x", *of_three);
            let (_, report) = fleet.plan();
            let said = [2, 3].map(|number| of_home(&report.replicas, system_id(number)));
            assert_eq!(said, [must(*two, *of_two), must(*three, *of_three)], "{fleet:?}");
        }
    }
}

#[test]
fn within_one_system_with_four_snapshots_and_every_set_of_bookmarks() {
    let template =
        Fleet::parse("system nas1\ntank\nsafe\ngroup g local source=nas1 include=tank/x map=tank=safe");
    let histories = histories(4);
    for (source, target) in histories.iter().flat_map(|has| histories.iter().map(move |of| (has, of))) {
        for marks in 0..16_u8 {
            let source = Has { marks: if source.exists { marks << 1 } else { 0 }, ..*source };
            let mut fleet = template.clone();
            add(&mut fleet, 1, "tank/x", source);
            add(&mut fleet, 1, "safe/x", *target);
            let (_, report) = fleet.plan();
            assert_eq!(of_home(&report.replicas, system_id(1)), must(source, *target), "{fleet:?}");
        }
    }
}
