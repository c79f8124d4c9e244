use std::collections::{BTreeMap, BTreeSet};

use proptest::{collection::vec, option, prelude::*, sample};
use rstest::rstest;

use super::{
    super::{
        GroupMode,
        tests::{group, system},
    },
    *,
};
use crate::{ids::GroupId, name::DatasetName, pattern::DatasetPattern};

/// `one_way 1,2 tank/** -tank/tmp tank=backup 2:tank/a=fast/a`: mode, members (the hub first), patterns, excludes, mappings, mappings of
/// a member.
fn made(name: &str, text: &str) -> SyncGroup {
    let mut words = text.split(' ');
    let mode = serde_json::from_value(words.next().unwrap().into()).unwrap();
    let members: Vec<_> =
        words.next().unwrap().split(',').map(|number| system(number.parse().unwrap())).collect();
    let mut made = SyncGroup {
        id: GroupId::from_uuid(uuid::Uuid::from_u128(name.bytes().map(u128::from).sum())),
        name: name.into(),
        mode,
        hub: members[0],
        members,
        include: vec![],
        exclude: vec![],
        mappings: vec![],
        ..group()
    };
    for word in words {
        if let Some(pattern) = word.strip_prefix('-') {
            made.exclude.push(pattern.parse().unwrap());
        } else if let Some((member, mapping)) = word.split_once(':') {
            let mappings = made.member_mappings.entry(system(member.parse().unwrap())).or_default();
            mappings.push(mapping.parse().unwrap());
        } else if word.contains('=') {
            made.mappings.push(word.parse().unwrap());
        } else {
            made.include.push(word.parse().unwrap());
        }
    }
    made
}

fn nas(id: SystemId) -> String {
    format!("nas{}", id.as_uuid().as_u128())
}

fn problems(texts: &[&str]) -> Vec<GroupProblem> {
    let groups: Vec<_> =
        texts.iter().zip(["a", "b", "c", "d"]).map(|(text, name)| made(name, text)).collect();
    clashes(&groups[0], &groups[1..].iter().collect::<Vec<_>>(), nas)
}

const OVERLAP: &str = "E_GROUP_OVERLAP";
const CYCLE: &str = "E_GROUP_CYCLE";
const NESTED: &str = "E_MAPPING_NESTED";

#[rstest]
// The ordinary.
#[case::other_trees(&["one_way 1,2 tank/db/**", "one_way 2,1 tank/media/**"], &[])]
#[case::other_leaves(&["one_way 1,2 tank/*/a", "one_way 2,1 tank/*/b"], &[])]
#[case::two_targets(&["one_way 1,2 tank/**", "one_way 1,3 tank/**"], &[])]
#[case::places_of_their_own(&["one_way 1,3 tank/** tank=backup/nas1", "one_way 2,3 tank/** tank=backup/nas2"], &[])]
#[case::forwarding(&["one_way 1,2 tank/** tank=backup", "one_way 2,3 backup/** backup=vault"], &[])]
#[case::each_keeps_the_other(&["one_way 1,2 tank/** tank=backup/nas1", "one_way 2,1 tank/** tank=backup/nas2"], &[])]
#[case::excluded(&["one_way 1,2 tank/** -tank/media/**", "one_way 2,1 tank/media/**"], &[])]
#[case::excluded_by_a_wider_pattern(&["one_way 1,2 tank/** -tank/m*/**", "one_way 2,1 tank/media/**"], &[])]
#[case::copies_excluded(
    &["one_way 1,2 tank/** -tank/nas2/** tank=tank/nas1", "one_way 2,1 tank/** -tank/nas1/** tank=tank/nas2"], &[]
)]
#[case::same_source_twice(&["one_way 1,2 tank/media/**", "one_way 1,2 tank/**"], &[])]
#[case::same_source_by_other_mappings(&["one_way 1,2 tank/a/** tank=backup", "one_way 1,2 tank/** tank/a=backup/a"], &[])]
#[case::a_mesh_alone(&["mesh 1,2,3 tank/** 2:tank=backup"], &[])]
#[case::many_to_one_takes_only_what_is_mapped(&["many_to_one 3,1,2 tank/** 1:tank/a=x/a 2:tank/b=x/b", "one_way 4,3 tank/**"], &[])]
#[case::local_forward(&["local 1 tank/a/** tank/a=backup/a", "one_way 1,2 backup/**"], &[])]
#[case::a_round_trip_copy(&["one_way 1,2 tank/** -tank/copy/** tank=backup", "one_way 2,1 backup/** backup=tank/copy"], &[])]
// Two sources for one target.
#[case::two_sources(&["one_way 1,3 tank/media/**", "one_way 2,3 tank/**"], &[("/datasets", OVERLAP)])]
#[case::two_datasets(&["one_way 1,2 tank/a tank/a=x/y", "one_way 1,2 tank/b tank/b=x/y"], &[("/mappings", OVERLAP)])]
#[case::below(&["one_way 1,3 tank/** tank=backup", "one_way 2,3 data/** 3:data=backup/data"], &[("/mappings", OVERLAP)])]
#[case::above(&["one_way 2,3 data/** 3:data=backup/data", "one_way 1,3 tank/** tank=backup"], &[("MEMBER3", OVERLAP)])]
#[case::literally(&["one_way 1,3 tank/a", "one_way 2,3 tank/a"], &[("/datasets", OVERLAP)])]
#[case::shortcut_past_a_chain(&["chain 1,2,3 tank/a", "one_way 1,3 tank/a"], &[("/datasets", OVERLAP)])]
#[case::not_all_is_excluded(&["one_way 1,3 tank/** -tank/media/*", "one_way 2,3 tank/media"], &[("/datasets", OVERLAP)])]
#[case::only_longer_components(&["many_to_one 1,2 ** 2:a=a/a", "one_way 3,1 ** -**/?"], &[("MEMBER2", OVERLAP)])]
// There and back.
#[case::back(&["one_way 1,2 tank/media/**", "one_way 2,1 tank/**"], &[("/datasets", CYCLE)])]
#[case::back_by_mapping(&["one_way 1,2 tank/** tank=backup", "one_way 2,1 backup/media backup=tank"], &[("/mappings", CYCLE)])]
#[case::over_three(&["one_way 1,2 tank/a", "one_way 2,3 tank/* tank=x", "one_way 3,1 x/** x=tank"], &[("/datasets", CYCLE)])]
#[case::behind_a_chain(&["chain 1,2,3 tank/**", "one_way 3,1 tank/vm/**"], &[("/datasets", CYCLE)])]
#[case::locally(&["local 1 tank/a tank/a=tank/b", "local 1 tank/b tank/b=tank/a"], &[("/mappings", CYCLE)])]
#[case::locally_alone(&["local 1 tank/a tank/b tank/a=tank/b tank/b=tank/a"], &[("/mappings", CYCLE)])]
#[case::the_others_way_twice(
    &["one_way 1,2 tank/** tank/a=bk/b tank/b=bk/a", "one_way 2,1 bk/** bk=tank"], &[("/mappings", CYCLE)]
)]
#[case::past_a_mesh(&["mesh 1,2 tank/a", "one_way 2,3 tank/a tank=x", "one_way 3,1 x/a x=tank"], &[("/datasets", OVERLAP), ("/datasets", CYCLE)])]
// There and back, below itself.
#[case::deeper(
    &["one_way 1,2 tank/** tank=tank/nas1", "one_way 2,1 tank/** tank=tank/nas2"], &[("/mappings", NESTED)]
)]
#[case::deeper_locally(&["one_way 1,2 tank/** tank=backup", "one_way 2,1 backup/** backup=tank/copy"], &[("/mappings", NESTED)])]
fn clashing(#[case] groups: &[&str], #[case] expected: &[(&str, &str)]) {
    let found = problems(groups);
    let member = |number| format!("/member_mappings/{}", system(number));
    let expected: Vec<_> = expected
        .iter()
        .map(|(pointer, code)| (pointer.replace("MEMBER3", &member(3)).replace("MEMBER2", &member(2)), *code))
        .collect();
    let short: Vec<_> = found.iter().map(|problem| (problem.pointer.clone(), problem.code)).collect();
    assert_eq!(short, expected, "{found:#?}");
}

#[rstest]
#[case(&["one_way 1,3 tank/media/** tank=backup", "one_way 2,3 data/** data=backup"],
    "nas3 backup/media would be received from nas1 tank/media (group a, by `tank/media/**`) and from \
     nas2 data/media (group b, by `data/**`): two histories can not live in one dataset. Give this \
     group a target of its own by a mapping, exclude these datasets, or change or delete group b")]
#[case(&["one_way 1,2 tank/media/** tank=backup", "one_way 2,1 backup/** backup=tank"],
    "data would come back to where it came from: nas1 tank/media → nas2 backup/media (group a) → \
     nas1 tank/media (group b). Exclude these datasets in one of the groups or map them to another \
     target; if each system is to receive what the others write, make one group of mode `mesh`")]
#[case(&["one_way 1,2 tank/** tank=backup", "one_way 2,1 backup/** backup=tank/copy"],
    "copies would be copied again, deeper with each round: nas1 tank → nas2 backup (group a) → nas1 \
     tank/copy (group b) → … Exclude what arrives in `tank/copy` on nas1 where it is sent on, or \
     choose a target outside of what nas1 sends")]
fn details_name_everything(#[case] groups: &[&str], #[case] expected: &str) {
    let found: Vec<_> = problems(groups).into_iter().map(|problem| problem.detail).collect();
    assert_eq!(found, [expected]);
}

#[test]
fn disabled_groups_count_and_are_named_so() {
    let group = made("a", "one_way 1,3 tank/a");
    let other = SyncGroup { enabled: false, ..made("b", "one_way 2,3 tank/a") };
    let found = clashes(&group, &[&other], nas);
    assert!(found[0].detail.contains("group b, disabled"), "{found:?}");
    // Its own earlier definition is no other group.
    assert_eq!(clashes(&group, &[&SyncGroup { id: group.id, ..other }], nas), vec![]);
}

#[test]
fn large_groups_are_no_work() {
    let large = |name: &str, from: u128, kind: &str| {
        let mut made = made(name, &format!("one_way {from},9 tank/nothing"));
        for number in 0..2000 {
            made.include.push(format!("tank/{kind}/vm-{number}").parse().unwrap());
            made.mappings.push(format!("tank/{kind}/vm-{number}=backup/vm-{number}/{kind}").parse().unwrap());
        }
        made
    };
    let (one, mut two) = (large("a", 1, "one"), large("b", 2, "two"));
    two.include.remove(0);
    assert_eq!(clashes(&one, &[&two], nas), vec![]);
    two.mappings[1999].to = one.mappings[7].to.clone();
    assert_eq!(clashes(&one, &[&two], nas).len(), 1);
}

#[test]
fn datasets_named_in_full_are_seen_even_without_time_to_look() {
    let see = |one: &str, two: &str| {
        let (one, two) = (made("a", one), made("b", two));
        let flows = Flows::new(&one, &[&two]);
        (shared_targets(&flows, &mut Work::new(0, 0)).len(), cycles(&flows, &mut Work::new(0, 0)).len())
    };
    assert_eq!(see("one_way 1,3 tank/a tank=x", "one_way 2,3 data/a data=x"), (1, 0));
    assert_eq!(see("one_way 1,2 tank/a tank=x", "one_way 2,1 x/a x=tank"), (0, 1));
    assert_eq!(see("one_way 1,3 tank/a", "one_way 2,3 tank/b"), (0, 0));
}

const PARTS: [&str; 4] = ["a", "b", "c", "ab"];

/// All names up to three levels of [`PARTS`].
fn universe() -> Vec<DatasetName> {
    let deeper = |level: &[String]| -> Vec<String> {
        level.iter().flat_map(|above| PARTS.map(|part| format!("{above}/{part}"))).collect()
    };
    let one = deeper(&[String::new()]);
    let two = deeper(&one);
    let three = deeper(&two);
    [one, two, three].concat().iter().map(|name| name[1..].parse().unwrap()).collect()
}

/// What a group copies of [`universe`], by names alone: source and target, both with their system.
fn copies(group: &SyncGroup) -> Vec<((SystemId, DatasetName), (SystemId, DatasetName))> {
    let selected: Vec<_> = universe().into_iter().filter(|name| group.selects(name)).collect();
    let all = group.edges().into_iter().flat_map(|edge| {
        selected.iter().filter_map(move |name| {
            let source = (edge.source, group.name_on(edge.home, name, edge.source).ok()?);
            let target = (edge.target, group.target_name(edge.home, name, edge.target).ok()?);
            (source != target).then_some((source, target))
        })
    });
    all.collect()
}

/// True when one of the first group's copies leads back to itself; steps from a mesh to itself do not count.
fn has_cycle(groups: &[SyncGroup]) -> bool {
    let all: Vec<_> =
        groups.iter().flat_map(|group| copies(group).into_iter().map(move |copy| (group, copy))).collect();
    let mut by_source: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (index, (_, (source, _))) in all.iter().enumerate() {
        by_source.entry(source).or_default().push(index);
    }
    let next = |index: usize| {
        let (group, (_, target)) = &all[index];
        let followers = by_source.get(target).into_iter().flatten().copied();
        followers.filter(|later| all[*later].0.id != group.id || group.mode != GroupMode::Mesh)
    };
    (0..all.len()).take_while(|start| all[*start].0.id == groups[0].id).any(|start| {
        let mut seen = BTreeSet::new();
        let mut stack: Vec<usize> = next(start).collect();
        while let Some(index) = stack.pop() {
            if index == start {
                return true;
            }
            if seen.insert(index) {
                stack.extend(next(index));
            }
        }
        false
    })
}

fn any_pattern() -> impl Strategy<Value = DatasetPattern> {
    let part = sample::select(&["a", "b", "*", "?", "a*", "**"][..]);
    vec(part, 1..4).prop_map(|parts| parts.join("/").parse().unwrap())
}

fn any_name() -> impl Strategy<Value = DatasetName> {
    vec(sample::select(&PARTS[..2]), 1..3).prop_map(|parts| parts.join("/").parse().unwrap())
}

fn any_mappings() -> impl Strategy<Value = Vec<super::super::Mapping>> {
    let one = (any_name(), any_name()).prop_map(|(from, to)| super::super::Mapping { from, to });
    vec(one, 0..3)
}

fn any_group(number: u128) -> impl Strategy<Value = SyncGroup> {
    let mode = sample::select(
        &[
            GroupMode::OneWay,
            GroupMode::OneWay,
            GroupMode::ManyToOne,
            GroupMode::Chain,
            GroupMode::Mesh,
            GroupMode::Local,
        ][..],
    );
    let members = Just([1, 2, 3]).prop_shuffle();
    let patterns = (vec(any_pattern(), 1..3), vec(any_pattern(), 0..3));
    let names = (any_mappings(), option::weighted(0.3, any_mappings()));
    (mode, members, 2..=3_usize, patterns, names).prop_map(move |(mode, members, count, patterns, names)| {
        let count = if mode == GroupMode::Local { 1 } else { count };
        let members: Vec<_> = members.into_iter().take(count).map(system).collect();
        SyncGroup {
            id: GroupId::from_uuid(uuid::Uuid::from_u128(number)),
            mode,
            hub: members[0],
            include: patterns.0,
            exclude: patterns.1,
            mappings: names.0,
            member_mappings: names.1.map(|own| (members[count - 1], own)).into_iter().collect(),
            members,
            ..group()
        }
    })
}

/// What is reported is so, by the group's own functions.
fn is_carried(flows: &Flows<'_>, (index, route): &(usize, Route)) -> bool {
    let (group, edge) = (flows.all[*index].group, flows.all[*index].edge);
    group.selects(&route.logical)
        && group.name_on(edge.home, &route.logical, edge.source).as_ref() == Ok(&route.source)
        && group.target_name(edge.home, &route.logical, edge.target).as_ref() == Ok(&route.target)
}

proptest! {
    /// Each dataset that two groups receive from different places is a reason to report, and nothing else is.
    #[test]
    fn shared_targets_are_found_where_there_are_some(one in any_group(1), two in any_group(2)) {
        let flows = Flows::new(&one, &[&two]);
        let found = shared_targets(&flows, &mut Work::new(WORK, WORK_EACH));
        for shared in &found {
            let (own, other) = (&flows.all[shared.own.0].edge, &flows.all[shared.other.0].edge);
            prop_assert!(is_carried(&flows, &shared.own) && is_carried(&flows, &shared.other));
            prop_assert_eq!((own.target, &shared.own.1.target), (other.target, &shared.other.1.target));
            prop_assert_ne!((own.source, &shared.own.1.source), (other.source, &shared.other.1.source));
        }
        let (mine, others) = (copies(&one), copies(&two));
        let mut by_target: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (source, target) in &others {
            by_target.entry(target).or_default().push(source);
        }
        let shared = mine.iter().find(|(source, target)| {
            by_target.get(target).is_some_and(|sources| sources.iter().any(|other| *other != source))
        });
        if let Some(shared) = shared {
            prop_assert!(!found.is_empty(), "{shared:?} was not found");
        }
    }

    /// Each way back to the beginning is found, and what is reported is one.
    #[test]
    fn cycles_are_found_where_there_are_some(one in any_group(1), two in any_group(2), three in any_group(3)) {
        let flows = Flows::new(&one, &[&two, &three]);
        let found = cycles(&flows, &mut Work::new(WORK, WORK_EACH));
        for cycle in &found {
            prop_assert!(cycle.hops[0].0 < flows.own);
            prop_assert!(cycle.hops.iter().all(|hop| is_carried(&flows, hop)));
            for pair in cycle.hops.windows(2) {
                let (earlier, later) = (&flows.all[pair[0].0], &flows.all[pair[1].0]);
                prop_assert_eq!((earlier.edge.target, &pair[0].1.target), (later.edge.source, &pair[1].1.source));
            }
            let (first, last) = (&cycle.hops[0], cycle.hops.last().unwrap());
            prop_assert_eq!(flows.all[first.0].edge.source, flows.all[last.0].edge.target);
            if cycle.grows_in.is_some() {
                let (begun, ended) = (first.1.source.as_str(), last.1.target.as_str());
                prop_assert!(ended.len() > begun.len(), "{ended} is not deeper than {begun}");
                let flow = &flows.all[first.0];
                prop_assert!(flow.route(crate::pattern::prefix::below(ended, &flow.source).unwrap()).is_some(), "{ended} is not sent on");
            } else {
                prop_assert_eq!(&first.1.source, &last.1.target);
            }
        }
        if has_cycle(&[one.clone(), two.clone(), three.clone()]) {
            prop_assert!(found.iter().any(|cycle| cycle.grows_in.is_none()), "a cycle was not found");
        }
    }
}
