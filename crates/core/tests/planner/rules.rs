//! `check` finds every rule that a tampered plan breaks.

use zfs_sync_core::{
    guid::{Guid, Txg},
    ids::TransferId,
    inventory::{Dataset, Inventory},
    plan::{Action, Base, Casualty, Destroy, Plan, Running, Send, check, plan},
};

use crate::fleet::{Fleet, dataset, snapshot, system_id};

fn fleet() -> Fleet {
    Fleet::parse(
        "system nas1
           tank/a a1:1:1 a2:2:2
           tank/b b1:11:1
           tank/c c1:21:1 c2:22:2
           tank/d d1:31:1
           tank/e e1:41:1 e2:42:2
         system nas2
           backup
           backup/a a1:1:5
           backup/c c1:21:5 partial=22<21
           backup/d x:99:9
           backup/e e1:41:5 y:98:6
         group g source=nas1 include=tank/* map=tank=backup on-divergence=keep_both
         decide tank/e follow=nas1 on=nas2 roll_back destroy@nas2=98",
    )
}

fn send_of<'a>(plan: &'a mut Plan, target: &str) -> &'a mut Send {
    let step = plan.steps.iter_mut().find(|step| step.target.as_str() == target).unwrap();
    let Action::Send(send) = &mut step.action else { panic!("{target} is not sent to") };
    send
}

fn rename(plan: &mut Plan, to: &str) {
    let step = plan.steps.iter_mut().find(|step| step.target.as_str() == "backup/d").unwrap();
    let Action::SetAside { rename_to, .. } = &mut step.action else { panic!("backup/d is not set aside") };
    *rename_to = to.parse().unwrap();
}

fn inventory(fleet: &mut Fleet, number: usize) -> &mut Inventory {
    fleet.systems.get_mut(&system_id(number)).unwrap().inventory.as_mut().unwrap()
}

fn reported<'a>(fleet: &'a mut Fleet, number: usize, name: &str) -> &'a mut Dataset {
    inventory(fleet, number).datasets.get_mut(&name.parse().unwrap()).unwrap()
}

fn run(fleet: &mut Fleet, target: &str) {
    let transfer = TransferId::from_uuid(uuid::Uuid::from_u128(1));
    let target = target.parse().unwrap();
    fleet.running.push(Running {
        transfer,
        target_system: system_id(2),
        target,
        renames: false,
        destroys: vec![],
    });
}

type Tamper = fn(&mut Fleet, &mut Plan);

const DIRECTION: &str = "data flows as the group says";
const FRESH: &str = "nothing is done on missing or old reports";
const BASE: &str = "an incremental base is on both sides and older than what is sent";
const PARTIAL: &str = "only the interrupted receive that is there is continued or discarded";
const PARENTS: &str = "only missing ancestors are created";
const ASIDE: &str = "a target is set aside alone, to a free name in its pool";

const LISTED: &str = "what a plan destroys is what its steps destroy";
const APPROVED: &str =
    "nothing is moved or destroyed that neither a person nor the group's policy has approved";
const GUARDED: &str = "what is held, cloned, common, or by policy the last copy is not destroyed";
const EXACT: &str = "a target goes back to a snapshot of its own, over exactly what is listed";

fn casualties(plan: &mut Plan) -> &mut Vec<Casualty> {
    let step = plan.steps.iter_mut().find(|step| step.target.as_str() == "backup/e").unwrap();
    let Action::RollBack { destroys, .. } = &mut step.action else { panic!("backup/e is not rolled back") };
    destroys
}

const TAMPERED: [(&str, &str, Tamper); 36] = [
    ("a snapshot to destroy", LISTED, |_, plan| {
        let casualty = Casualty::from(&snapshot("a1", 1, 5));
        plan.destroys.push(Destroy { system: system_id(2), dataset: "backup/a".parse().unwrap(), casualty });
    }),
    ("a loss that is not shown", LISTED, |_, plan| plan.destroys.clear()),
    ("a loss that nobody approved", APPROVED, |fleet, _| fleet.decisions.clear()),
    ("one loss more than was approved", APPROVED, |fleet, plan| {
        reported(fleet, 2, "backup/e").snapshots.push(snapshot("z", 97, 7));
        casualties(plan).insert(0, Casualty::from(&snapshot("z", 97, 7)));
    }),
    ("a snapshot that is not on the list", EXACT, |fleet, _| {
        reported(fleet, 2, "backup/e").snapshots.push(snapshot("z", 97, 7));
    }),
    ("more written than is given up", EXACT, |fleet, _| {
        reported(fleet, 2, "backup/e").properties.written = 1;
    }),
    ("a held casualty", GUARDED, |fleet, _| reported(fleet, 2, "backup/e").snapshots[1].holds = 1),
    ("a casualty with a clone", GUARDED, |fleet, _| {
        let mut clone = dataset("backup/clone");
        clone.properties.origin = Some("backup/e@y".into());
        inventory(fleet, 2).datasets.insert(clone.name.clone(), clone);
    }),
    ("a casualty that the source has too", GUARDED, |fleet, _| {
        reported(fleet, 1, "tank/e").snapshots.push(snapshot("y", 98, 9));
    }),
    ("moved away though nobody wants it", APPROVED, |fleet, _| {
        fleet.group.on_divergence = zfs_sync_core::group::OnDivergence::Stop;
    }),
    ("a step twice", "one step a replica", |_, plan| plan.steps.push(plan.steps[0].clone())),
    ("a disabled group", "a disabled group does nothing", |fleet, _| fleet.group.enabled = false),
    ("from a replica", DIRECTION, |_, plan| plan.steps[0].source_system = system_id(2)),
    ("onto the source of truth", DIRECTION, |_, plan| plan.steps[0].target_system = system_id(1)),
    ("to another name", DIRECTION, |_, plan| plan.steps[0].target = "backup/z".parse().unwrap()),
    ("to a stranger", DIRECTION, |fleet, _| fleet.group.members.truncate(1)),
    ("not selected", DIRECTION, |fleet, _| fleet.group.include = vec!["tank/z".parse().unwrap()]),
    ("an old report", FRESH, |fleet, _| fleet.systems.get_mut(&system_id(2)).unwrap().fresh = false),
    ("no report", FRESH, |fleet, _| fleet.systems.get_mut(&system_id(1)).unwrap().inventory = None),
    ("a transfer", "a replica with a transfer is left alone", |fleet, _| run(fleet, "backup/a")),
    ("a base from another time", BASE, |_, plan| {
        let Some(Base::Snapshot(point)) = &mut send_of(plan, "backup/a").base else { panic!("no base") };
        point.createtxg = Txg::new(2);
    }),
    ("a base nobody has", BASE, |_, plan| {
        let Some(Base::Snapshot(point)) = &mut send_of(plan, "backup/a").base else { panic!("no base") };
        point.guid = Guid::new(5);
    }),
    ("a source that lost the base", BASE, |fleet, _| {
        reported(fleet, 1, "tank/a").snapshots.remove(0);
    }),
    ("a target that moved", BASE, |fleet, _| {
        reported(fleet, 2, "backup/a").snapshots.push(snapshot("y", 98, 98));
    }),
    ("an end nobody has", BASE, |_, plan| send_of(plan, "backup/b").to.guid = Guid::new(4)),
    ("a full stream over data", "a full stream never meets existing data", |_, plan| {
        send_of(plan, "backup/a").base = None;
    }),
    ("another receive than the one that waits", PARTIAL, |_, plan| {
        send_of(plan, "backup/c").to.guid = Guid::new(21);
    }),
    ("a receive that does not wait", PARTIAL, |_, plan| {
        send_of(plan, "backup/a").discard_partial = Some(Guid::new(4));
    }),
    ("an encrypted source in the clear", "an encrypted source is sent raw", |fleet, _| {
        reported(fleet, 1, "tank/a").properties.encrypted = true;
    }),
    ("no ancestor", PARENTS, |_, plan| {
        send_of(plan, "backup/b").create_parents.push("backup/x".parse().unwrap());
    }),
    ("an ancestor that exists", PARENTS, |_, plan| {
        send_of(plan, "backup/b").create_parents.push("backup".parse().unwrap());
    }),
    ("a name that is taken", ASIDE, |_, plan| rename(plan, "backup/a")),
    ("another pool", ASIDE, |_, plan| rename(plan, "tank/d")),
    ("a dataset below", ASIDE, |fleet, _| {
        let below = dataset("backup/d/e");
        inventory(fleet, 2).datasets.insert(below.name.clone(), below);
    }),
    ("a receive below", ASIDE, |fleet, _| run(fleet, "backup/d/e")),
    ("what is set aside moved", ASIDE, |fleet, _| {
        reported(fleet, 2, "backup/d").snapshots.push(snapshot("later", 100, 100));
    }),
];

#[test]
fn tampering_is_found() {
    for (what, rule, tamper) in TAMPERED {
        let mut fleet = fleet();
        let mut plan = fleet.with_input(|input| plan(input).0);
        assert_eq!(plan.steps.len(), 5);
        assert_eq!(fleet.with_input(|input| check(&plan, input)), vec![]);
        tamper(&mut fleet, &mut plan);
        let broken = fleet.with_input(|input| check(&plan, input));
        assert!(broken.iter().any(|violation| violation.rule == rule), "{what}: {broken:?}");
    }
}
