//! What holds for every fleet, whatever is reported, decided and remembered.

use std::collections::BTreeSet;

use proptest::prelude::*;
use zfs_sync_core::{
    guid::Txg,
    plan::{Action, Plan, Reason, ReplicaReport, ReplicaState, Report, Step, check, plan},
};

use crate::{
    fleet::{bookmark, snapshot},
    worlds::any_fleet,
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn plans_break_no_rule_whatever_is_reported(fleet in any_fleet()) {
        fleet.with_input(|input| {
            let (plan, report) = plan(input);
            prop_assert_eq!(check(&plan, input), vec![]);
            let planned = report.replicas.iter().filter(|replica| replica.step.is_some());
            let carried_out = planned.filter(|replica| replica.reason != Some(Reason::NoGuid)).count();
            prop_assert_eq!(plan.steps.len(), carried_out);
            Ok(())
        })?;
    }

    #[test]
    fn every_replica_has_one_report_and_a_step_or_a_reason(fleet in any_fleet()) {
        let (_, report) = fleet.plan();
        let keys: BTreeSet<_> = report.replicas.iter().map(ReplicaReport::key).collect();
        prop_assert_eq!(keys.len(), report.replicas.len());
        for replica in &report.replicas {
            let by_itself = replica.reason.is_none();
            let waits = matches!(replica.reason, Some(Reason::ManualMode | Reason::NoGuid));
            let decided = fleet.decisions.iter().any(|decision| decision.dataset == replica.dataset);
            prop_assert!(!by_itself || replica.step.is_some());
            prop_assert!(!by_itself || fleet.group.auto || decided, "{:?}", replica);
            prop_assert_eq!(replica.step.is_some() && !by_itself, waits);
            prop_assert!(!replica.next.is_empty() && replica.next.ends_with('.'), "{}", replica.next);
            prop_assert!(!replica.facts.is_empty());
            let target_fresh = fleet.systems[&replica.target_system].fresh;
            prop_assert!(target_fresh || replica.state != ReplicaState::InSync, "old reports are never green");
            if let Some(conflict) = &replica.conflict {
                prop_assert!(by_itself || replica.reason.is_some());
                prop_assert_eq!(conflict.target.system, replica.target_system);
            }
        }
    }

    #[test]
    fn the_same_fleet_gives_the_same_plan_at_any_time(fleet in any_fleet()) {
        let (plan, report) = fleet.plan();
        prop_assert_eq!((&plan, &report), (&fleet.plan().0, &fleet.plan().1));
        let mut later = fleet.clone();
        later.now = "2031-01-01T00:00:00Z".parse().unwrap();
        prop_assert_eq!(&later.plan().0.fingerprint, &plan.fingerprint);
        let aside = |step: &Step| matches!(step.action, Action::SetAside { .. });
        if !plan.steps.iter().any(aside) {
            prop_assert_eq!(later.plan().0, plan);
        }
    }

    #[test]
    fn plans_and_reports_survive_json(fleet in any_fleet()) {
        let (plan, report) = fleet.plan();
        let text = serde_json::to_string(&(&plan, &report)).unwrap();
        prop_assert_eq!(serde_json::from_str::<(Plan, Report)>(&text).unwrap(), (plan, report));
    }

    #[test]
    fn no_run_carries_over_more_deletions_than_the_groups_share(fleet in any_fleet()) {
        let Some(mirror) = fleet.group.mirror_deletes else { return Ok(()) };
        let (plan, _) = fleet.plan();
        let approved = |step: &Step| fleet.decisions.iter().any(|decision| decision.approves(step.target_system, &step.action));
        let (mut gone, mut of) = (0, 0);
        for step in plan.steps.iter().filter(|step| matches!(step.action, Action::DestroySnapshots { .. })) {
            if approved(step) {
                continue;
            }
            gone += step.action.destroys().len();
            let inventory = fleet.systems[&step.target_system].inventory.as_ref().unwrap();
            of += inventory.datasets[&step.target].snapshots.len();
        }
        prop_assert!(gone * 100 <= of * usize::from(mirror.max_percent), "{} of {}", gone, of);
    }

    #[test]
    fn parents_come_before_children(fleet in any_fleet()) {
        let (plan, _) = fleet.plan();
        for (index, step) in plan.steps.iter().enumerate() {
            for later in &plan.steps[index + 1..] {
                prop_assert!(
                    later.target_system != step.target_system || !step.target.is_within(&later.target),
                    "{} before {}", step.target, later.target
                );
            }
        }
    }

    #[test]
    fn a_fingerprint_moves_with_what_is_done_and_with_what_targets_have(fleet in any_fleet()) {
        let (plan, report) = fleet.plan();
        // Those whose source is gone are looked at by no rule.
        for replica in report.replicas.iter().filter(|replica| !replica.rules.is_empty()) {
            for system in [replica.source_system, replica.target_system] {
                let of_target = system == replica.target_system;
                let name = if of_target { &replica.target } else { &replica.source };
                let mut moved = fleet.clone();
                let inventory = moved.systems.get_mut(&system).unwrap().inventory.as_mut();
                let Some(dataset) = inventory.and_then(|inventory| inventory.datasets.get_mut(name)) else { continue };
                let side = usize::from(of_target);
                if replica.facts.get(side).is_none_or(|fact| fact.text.contains("does not exist")) {
                    continue;
                }
                let mut newest = snapshot("new", 77, 99);
                newest.createtxg = Txg::new(99);
                dataset.snapshots.push(newest);
                let (moved, _) = moved.plan();
                if of_target || moved.steps != plan.steps {
                    prop_assert_ne!(&moved.fingerprint, &plan.fingerprint);
                }
            }
        }
    }

    #[test]
    fn a_fingerprint_stays_when_bookmarks_come_that_change_no_step(fleet in any_fleet()) {
        let (plan, _) = fleet.plan();
        let mut later = fleet.clone();
        for system in later.systems.values_mut() {
            for dataset in system.inventory.iter_mut().flat_map(|inventory| inventory.datasets.values_mut()) {
                let Some(newest) = dataset.snapshots.last() else { continue };
                let of_it = bookmark("zfs-sync:1:other", newest.guid.get(), newest.createtxg.get());
                dataset.bookmarks.push(of_it);
                dataset.sort();
            }
        }
        let (later, _) = later.plan();
        if later.steps == plan.steps {
            prop_assert_eq!(later.fingerprint, plan.fingerprint);
        }
    }
}
