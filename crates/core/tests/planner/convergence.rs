//! Doing what plans say, again and again, comes to rest: everything is in step, or in a conflict that is stated, or waits for such a one.
//!
//! That nothing is lost on the way is asserted with every plan that the model carries out ([`World::apply_plan`]).

use std::collections::BTreeSet;

use proptest::prelude::*;
use zfs_sync_core::{
    group::{GroupMode, OnDivergence, Strategy as Resolution},
    guid::Guid,
    ids::SystemId,
    plan::{Action, Base, Reason, ReplicaReport, ReplicaState, Report, Send, propose},
};

use crate::{
    events::Event,
    fleet::system_id,
    model::{SOURCES, World},
    worlds::{a_world, a_world_with, any_event, examples, start},
};

/// Ends all faults, then does what plans say until they say nothing more.
fn settle(world: &mut World) -> Report {
    for system in world.fleet.systems.values_mut() {
        system.fresh = true;
    }
    world.fleet.unreachable.clear();
    for _ in 0..60 {
        let (steps, report) = world.apply_plan();
        if steps == 0 {
            return report;
        }
    }
    let mut last = String::new();
    for _ in 0..3 {
        last.push_str(&world.fleet.render());
        world.apply_plan();
    }
    panic!("there are still steps after 60 plans; the last ones:\n{last}");
}

/// A replica at rest is in step, in a stated conflict, or waits for something that is.
fn assert_at_rest(world: &World, report: &Report, replica: &ReplicaReport) {
    assert_eq!(replica.step, None);
    let context = || format!("{replica:?}\nin the end:\n{:?}{}", world.fleet, world.fleet.render());
    let others = || report.replicas.iter().filter(|other| other.key() != replica.key());
    let at_fault = |other: &ReplicaReport| other.state != ReplicaState::InSync;
    let reason = replica.reason.expect("without a step there is a reason");
    match reason {
        Reason::NoNewSnapshot | Reason::DeletesHeldBack => assert_eq!(replica.state, ReplicaState::InSync),
        Reason::SourceNoSnapshot => {
            assert_eq!(replica.newest_source, None, "{replica:?}");
        }
        Reason::DependsOnParent => {
            let above = |other: &&ReplicaReport| {
                other.target_system == replica.target_system && replica.target.is_within(&other.target)
            };
            assert!(others().filter(above).any(at_fault), "{}", context());
        }
        Reason::OriginFirst => {
            // What waits may be the origin's replica here, or the sender's own, that has gone its own way.
            let ends = [replica.source_system, replica.target_system];
            let concerned = |other: &&ReplicaReport| ends.contains(&other.target_system);
            assert!(others().filter(concerned).any(at_fault), "{}", context());
        }
        Reason::UpstreamFirst => {
            let before = |other: &&ReplicaReport| {
                other.target_system == replica.source_system && other.dataset == replica.dataset
            };
            assert!(others().filter(before).any(at_fault), "{}", context());
        }
        // A volume stands where a parent should.
        Reason::KindMismatch if replica.state == ReplicaState::NeverSeeded => {}
        Reason::SourceRenamed => assert!(replica.conflict.is_some() || replica.state == ReplicaState::Behind),
        Reason::DeleteBrake => assert!(world.fleet.group.mirror_deletes.is_some()),
        _ => {
            assert_eq!(replica.state, ReplicaState::Diverged, "{}", context());
            assert!(replica.conflict.is_some(), "{replica:?}");
        }
    }
}

/// A person resolves what is in conflict, with the strategies that are offered; `choice` says which. Ends when nothing can be done any more.
fn resolve(world: &mut World, choice: usize) -> Report {
    for round in 0..40 {
        let report = settle(world);
        world.fleet.decisions.clear();
        let proposal =
            report.replicas.iter().filter(|replica| replica.conflict.is_some()).find_map(|replica| {
                let offers = &replica.conflict.as_ref()?.strategies;
                let possible: Vec<_> = offers.iter().filter(|offer| offer.obstacle.is_none()).collect();
                // After a few rounds of whatever, the one that loses nothing, so that this ends.
                let first = if round < 10 { (choice + round) % possible.len().max(1) } else { 0 };
                let mut tried = possible.iter().cycle().skip(first).take(possible.len());
                tried.find_map(|offer| {
                    world.fleet.with_input(|input| propose(input, &replica.key(), offer.strategy)).ok()
                })
            });
        let Some(proposal) = proposal else { return report };
        let listed = proposal.plan.destroys.iter().map(|lost| (lost.system, lost.casualty.guid));
        let listed: BTreeSet<(SystemId, Guid)> = listed.collect();
        let on = |(system, guids): (&SystemId, &BTreeSet<Guid>)| {
            guids.iter().map(|guid| (*system, *guid)).collect()
        };
        let approved: Vec<Vec<(SystemId, Guid)>> = proposal.decision.may_destroy.iter().map(on).collect();
        let shown = approved.iter().flatten().all(|lost| listed.contains(lost));
        assert!(shown, "nothing is approved that was not shown");
        world.fleet.decisions.push(proposal.decision);
    }
    // Where two members can not be set aside because of what lies below, a third can be made to follow the one and the other for ever.
    let report = settle(world);
    let stuck = report.replicas.iter().filter_map(|replica| replica.conflict.as_ref());
    let mut stuck = stuck.flat_map(|conflict| &conflict.strategies).filter(|offer| offer.obstacle.is_some());
    assert!(
        stuck.any(|offer| offer.strategy == Resolution::KeepBoth),
        "there are still conflicts that can be resolved after 40 decisions"
    );
    report
}

#[test]
fn the_worlds_need_every_kind_of_step() {
    let mut seen = BTreeSet::new();
    for mut world in examples(&a_world(), 400) {
        for system in world.fleet.systems.values_mut() {
            system.fresh = true;
        }
        for _ in 0..20 {
            let (plan, _) = world.fleet.plan();
            if plan.steps.is_empty() {
                break;
            }
            for step in &plan.steps {
                seen.insert(match &step.action {
                    Action::SetAside { .. } => "set aside",
                    Action::FollowRename { .. } => "follow a rename",
                    Action::RollBack { destroys, .. } if destroys.is_empty() => "discard what was written",
                    Action::RollBack { .. } => "roll back",
                    Action::DestroySnapshots { .. } => "destroy snapshots",
                    Action::Send(Send { resume: true, target_origin: Some(_), .. }) => "resume a clone",
                    Action::Send(Send { resume: true, base: None, .. }) => "resume a seed",
                    Action::Send(Send { resume: true, base: Some(_), .. }) => "resume",
                    Action::Send(Send {
                        target_origin: Some(_), base: Some(Base::Origin { .. }), ..
                    }) => "clone",
                    Action::Send(Send { target_origin: Some(_), .. }) => "from what was set aside",
                    Action::Send(Send { discard_partial: Some(_), base: None, .. }) => "discard and seed",
                    Action::Send(Send { discard_partial: Some(_), base: Some(_), .. }) => "discard",
                    Action::Send(Send { base: Some(Base::Bookmark(_)), .. }) => "from a bookmark",
                    Action::Send(Send { base: Some(Base::Snapshot(_)), snapshots: 1, .. }) => "one",
                    Action::Send(Send { base: Some(Base::Snapshot(_)), .. }) => "many",
                    Action::Send(Send { create_parents, .. }) if !create_parents.is_empty() => "parents",
                    Action::Send(_) => "seed",
                });
            }
            world.apply_plan();
        }
    }
    // The rest is rarer: the scripts have it.
    let needed = [
        "clone",
        "discard",
        "discard and seed",
        "discard what was written",
        "follow a rename",
        "from a bookmark",
        "from what was set aside",
        "many",
        "one",
        "parents",
        "resume",
        "resume a seed",
        "seed",
        "set aside",
    ];
    let missing: Vec<&str> = needed.into_iter().filter(|kind| !seen.contains(kind)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn doing_what_plans_say_ends_in_step_or_with_a_reason(world in a_world()) {
        let mut world = world;
        let report = settle(&mut world);
        for replica in &report.replicas {
            assert_at_rest(&world, &report, replica);
        }
    }

    #[test]
    fn with_strategies_applied_only_what_nobody_can_resolve_is_left(
        world in a_world_with(&[OnDivergence::Stop]),
        choice in 0..6_usize,
    ) {
        let mut world = world;
        let report = resolve(&mut world, choice);
        for replica in &report.replicas {
            assert_at_rest(&world, &report, replica);
        }
    }

    #[test]
    fn what_was_in_step_follows_the_next_snapshot(world in a_world()) {
        let mut world = world;
        let before = settle(&mut world);
        if world.fleet.group.mode == GroupMode::Mesh {
            return Ok(());
        }
        for number in 0..SOURCES.len() {
            world.happen(&Event::Snapshot(system_id(1), number));
        }
        let after = settle(&mut world);
        let in_sync = |replica: &&ReplicaReport| {
            replica.state == ReplicaState::InSync
                && matches!(replica.reason, Some(Reason::NoNewSnapshot | Reason::DeletesHeldBack))
                && replica.source_system == system_id(1)
                && SOURCES.contains(&replica.dataset.as_str())
        };
        for replica in before.replicas.iter().filter(in_sync) {
            let same = after.replicas.iter().find(|other| other.key() == replica.key()).unwrap();
            prop_assert_eq!(same.state, ReplicaState::InSync, "{:?}", same);
            prop_assert_ne!(same.newest_common.as_ref(), replica.newest_common.as_ref());
        }
    }

    #[test]
    fn a_mesh_of_three_writers_loses_no_update(
        events in prop::collection::vec(writers(), 1..60),
        policy in prop::sample::select(&POLICIES[..]),
    ) {
        let mut fleet = start(GroupMode::Mesh);
        fleet.group.include = vec!["tank/*".parse().unwrap()];
        fleet.group.on_divergence = policy;
        fleet.group.allow_destroy = policy != OnDivergence::Stop;
        let mut world = World::new(fleet);
        let mut heads: BTreeSet<Guid> = BTreeSet::new();
        for event in &events {
            world.happen(event);
            heads.extend(heads_of(&world));
            let there = world.everything();
            let lost: Vec<&Guid> = heads.difference(&there).collect();
            prop_assert!(lost.is_empty(), "{lost:?} was somewhere the newest, and is gone");
        }
        let report = settle(&mut world);
        prop_assert!(heads.is_subset(&world.everything()));
        for replica in &report.replicas {
            assert_at_rest(&world, &report, replica);
            if replica.reason == Some(Reason::NoElectedSource) {
                let named = replica.facts.iter().filter(|fact| fact.text.contains("is the end of one history")).count();
                prop_assert!(named >= 2, "both heads are named: {replica:?}");
            }
        }
    }
}

const POLICIES: [OnDivergence; 7] = [
    OnDivergence::Stop,
    OnDivergence::KeepBoth,
    OnDivergence::UseSourceOfTruth,
    OnDivergence::UseNewest,
    OnDivergence::UseLargest,
    OnDivergence::UseMajority,
    OnDivergence::RollbackTarget,
];

/// What people do in a mesh, except destroying and going back.
fn writers() -> impl Strategy<Value = Event> {
    let harmless = |event: &Event| {
        !matches!(
            event,
            Event::DestroySnapshot(..)
                | Event::DestroyDataset(..)
                | Event::BookmarkAndDestroy(..)
                | Event::Rollback(..)
                | Event::RecreateAsVolume(..)
        )
    };
    let system = || (1..4_usize).prop_map(system_id);
    prop_oneof![
        4 => (system(), 0..SOURCES.len()).prop_map(|(system, dataset)| Event::Snapshot(system, dataset)),
        3 => (system(), 0..SOURCES.len()).prop_map(|(system, dataset)| Event::Write(system, dataset)),
        4 => Just(Event::Steps),
        6 => any_event().prop_filter("destroys", harmless),
    ]
}

fn heads_of(world: &World) -> BTreeSet<Guid> {
    let inventories = world.fleet.systems.values().filter_map(|system| system.inventory.as_ref());
    let datasets = inventories.flat_map(|inventory| inventory.datasets.values());
    datasets.filter_map(|dataset| dataset.snapshots.last()).map(|newest| newest.guid).collect()
}
