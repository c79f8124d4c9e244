//! Which systems and groups a history has.

use std::collections::BTreeMap;

use zfs_sync_core::{
    group::{GroupMode, Mapping, MirrorDeletes, OnDivergence, Profile, SyncGroup},
    ids::{GroupId, SystemId},
};

use super::random::Random;

/// The identity of the system with this number; its name is `n7`.
pub(super) fn system(number: u64) -> SystemId {
    SystemId::from_uuid(uuid::Uuid::from_u128(u128::from(number)))
}

/// What [`groups`] draws from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draw {
    pub(super) systems: u64,
    pub(super) groups: u64,
    pub(super) only: Option<GroupMode>,
}

/// Groups of all kinds. Each has datasets of its own, `tank/gNUMBER` and below, but for some that copy another group's elsewhere too.
pub(super) fn groups(draw: Draw, random: &mut Random) -> Vec<SyncGroup> {
    let mut groups: Vec<SyncGroup> = Vec::new();
    for number in 1..=draw.groups {
        let twin = groups.last().filter(|last| last.mode == GroupMode::OneWay && random.chance(20)).cloned();
        let group = match twin {
            Some(of) => second_of(&of, number, draw, random),
            None => one(number, draw, random),
        };
        assert_eq!(group.problems(), vec![], "{group:?}");
        groups.push(group);
    }
    groups
}

fn members(count: u64, draw: Draw, random: &mut Random) -> Vec<SystemId> {
    let mut members = Vec::new();
    while members.len() < usize::try_from(count).unwrap_or(1) {
        let next = system(random.within(1, draw.systems));
        if !members.contains(&next) {
            members.push(next);
        }
    }
    members
}

fn mapping(from: &str, to: &str) -> Mapping {
    format!("{from}={to}").parse().expect("both are names")
}

fn one(number: u64, draw: Draw, random: &mut Random) -> SyncGroup {
    let modes = [
        GroupMode::OneWay,
        GroupMode::OneWay,
        GroupMode::Chain,
        GroupMode::Mesh,
        GroupMode::ManyToOne,
        GroupMode::Local,
    ];
    let mode = draw.only.unwrap_or_else(|| random.one(&modes));
    let count = match mode {
        GroupMode::Local => 1,
        GroupMode::Mesh => 3,
        _ => random.within(2, 4.min(draw.systems)),
    };
    let members = members(count, draw, random);
    let hub = members[0];
    let root = format!("tank/g{number}");
    let mappings = match mode {
        GroupMode::OneWay | GroupMode::Chain | GroupMode::Local => {
            vec![mapping(&root, &format!("safe/g{number}"))]
        }
        GroupMode::Mesh | GroupMode::ManyToOne => Vec::new(),
    };
    let mut member_mappings = BTreeMap::new();
    if mode == GroupMode::ManyToOne {
        for member in &members[1..] {
            let place = format!("safe/from/n{}/g{number}", member.as_uuid().as_u128());
            member_mappings.insert(*member, vec![mapping(&root, &place)]);
        }
    }
    let policies = [
        OnDivergence::Stop,
        OnDivergence::Stop,
        OnDivergence::KeepBoth,
        OnDivergence::KeepBoth,
        OnDivergence::RollbackTarget,
        OnDivergence::UseSourceOfTruth,
        OnDivergence::UseNewest,
        OnDivergence::UseLargest,
        OnDivergence::UseMajority,
    ];
    let on_divergence = random.one(&policies);
    let mirrors = mode != GroupMode::Mesh && random.chance(30);
    let destructive = on_divergence.strategy().is_some_and(zfs_sync_core::group::Strategy::is_destructive);
    SyncGroup {
        id: GroupId::from_uuid(uuid::Uuid::from_u128(u128::from(number))),
        name: format!("g{number}"),
        enabled: true,
        mode,
        hub,
        members,
        include: vec![format!("{root}/**").parse().expect("a pattern")],
        exclude: Vec::new(),
        mappings,
        member_mappings,
        auto: true,
        on_divergence,
        allow_destroy: mirrors || destructive,
        mirror_deletes: mirrors.then(|| MirrorDeletes { max_percent: random.one(&[20, 50, 99]) }),
        follow_renames: random.chance(40),
        profile: Profile::Standard,
    }
}

/// The same datasets, to another place on other systems.
fn second_of(of: &SyncGroup, number: u64, draw: Draw, random: &mut Random) -> SyncGroup {
    let mut group = SyncGroup {
        member_mappings: BTreeMap::new(),
        ..one(number, Draw { only: Some(GroupMode::OneWay), ..draw }, random)
    };
    let root = of.mappings[0].from.clone();
    group.hub = of.hub;
    group.members.retain(|member| *member != of.hub);
    group.members.insert(0, of.hub);
    if group.members.len() == 1 {
        group.members.extend(of.members.get(1));
    }
    group.include.clone_from(&of.include);
    group.mappings = vec![mapping(root.as_str(), &format!("safe/again{number}/{}", root.last_component()))];
    group
}
