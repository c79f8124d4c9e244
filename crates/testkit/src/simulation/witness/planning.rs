//! From reports to queued steps: the real planner, between this model's facts and this model's queue.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem::discriminant,
};

use zfs_sync_core::{
    group::Strategy,
    guid::Guid,
    ids::{SystemId, TransferId},
    name::DatasetName,
    plan::{
        self, Action, Copies, Input, Place, Plan, Proposal, Reason, ReplicaKey, ReplicaReport, Report,
        Running, Standing, Step, SystemView,
    },
    time::Timestamp,
};

use super::{Basis, State, Transfer, Witness};

/// Every group is planned this often.
const PERIOD: i64 = 5 * 60_000;

/// A plan that broke a rule, or two that should be equal and are not.
#[derive(Clone, Debug)]
pub(in crate::simulation) struct Refused {
    pub(in crate::simulation) group: usize,
    pub(in crate::simulation) why: String,
}

/// A replica whose transfer waits for its next attempt or for a person.
#[derive(Clone, Debug)]
struct Waiting {
    transfer: TransferId,
    reason: Reason,
    queued: bool,
    sender: SystemId,
    action: Action,
}

impl Waiting {
    fn holds(&self, step: &Step) -> bool {
        discriminant(&self.action) == discriminant(&step.action) && self.sender == step.source_system
    }
}

type Target = (SystemId, DatasetName);

/// What the queue says about a group.
struct Queue {
    running: Vec<Running>,
    waiting: BTreeMap<Target, Waiting>,
    unreachable: BTreeSet<(SystemId, SystemId)>,
}

struct Planned {
    report: Report,
    ready: Vec<(Step, Option<TransferId>)>,
}

impl Witness {
    /// Plans everything whose answer may have changed, and queues what may start.
    pub(in crate::simulation) fn pass(&mut self, now: Timestamp) -> Result<Vec<Step>, Refused> {
        for (id, known) in &self.systems {
            let fresh = known.is_fresh(now);
            if self.fresh.insert(*id, fresh) != Some(fresh) {
                let of_system = self.groups.iter().enumerate();
                let of_system = of_system.filter(|(_, kept)| kept.group.members.contains(id));
                self.dirty.extend(of_system.map(|(index, _)| index));
            }
        }
        for (index, kept) in self.groups.iter().enumerate() {
            let due = |at: Timestamp| now.as_millisecond() - at.as_millisecond() >= PERIOD;
            if kept.planned_at.is_none_or(due) {
                self.dirty.insert(index);
            }
        }
        let mut started = Vec::new();
        for index in std::mem::take(&mut self.dirty) {
            started.extend(self.plan_and_queue(index, now)?);
        }
        Ok(started)
    }

    fn plan_and_queue(&mut self, index: usize, now: Timestamp) -> Result<Vec<Step>, Refused> {
        let mut planned = self.plan(index, now)?;
        let mut started = Vec::new();
        if self.groups[index].group.auto {
            for (step, instead_of) in std::mem::take(&mut planned.ready) {
                started.extend(self.start(index, step, instead_of, now));
            }
        }
        let settled = self.settle_decisions(index, &planned.report);
        if settled || !started.is_empty() {
            planned = self.plan(index, now)?;
        }
        let rows = planned.report.replicas.into_iter().map(|row| (row.key(), row));
        self.groups[index].rows = rows.collect();
        self.groups[index].planned_at = Some(now);
        Ok(started)
    }

    fn start(
        &mut self,
        index: usize,
        step: Step,
        instead_of: Option<TransferId>,
        now: Timestamp,
    ) -> Option<Step> {
        if let Some(waiting) = instead_of {
            self.supersede(waiting, now);
        }
        let local = step.source_system == step.target_system || step.action.is_local();
        let executor = if local { step.target_system } else { step.source_system };
        let basis = self.basis(index, &step);
        self.enqueue(index, executor, step.clone(), basis, now).map(|_| step)
    }

    fn basis(&self, index: usize, step: &Step) -> Basis {
        if matches!(step.action, Action::Send(_)) {
            return Basis::default();
        }
        let kept = &self.groups[index];
        let by_person = kept.decisions.iter().any(|decision| {
            decision.targets.contains(&step.target_system)
                && kept.group.target_name(decision.home, &decision.dataset, step.target_system).as_ref()
                    == Ok(&step.target)
                && step.action.destroys().iter().all(|lost| decision.gives_up(step.target_system, lost.guid))
        });
        let looked_at = self.systems.iter().map(|(id, known)| (*id, known.looked_at)).collect();
        Basis { by_person, looked_at }
    }

    fn queue(&self, index: usize, now: Timestamp) -> Queue {
        let mut queue = Queue { running: Vec::new(), waiting: BTreeMap::new(), unreachable: BTreeSet::new() };
        for parked in self.parked_of(index) {
            queue.waiting.insert(target_of(parked), waiting(parked, Reason::Parked));
        }
        for transfer in self.transfers_of(index) {
            match transfer.state {
                State::Queued if transfer.error.is_some() && transfer.next_attempt_at > now => {
                    if transfer.error.as_ref().is_some_and(|(code, _)| code == "E_SSH_UNREACHABLE") {
                        queue.unreachable.insert((transfer.step.source_system, transfer.step.target_system));
                    }
                    queue.waiting.insert(target_of(transfer), waiting(transfer, Reason::Backoff));
                }
                State::Queued | State::Leased => queue.running.push(running(transfer)),
                State::Succeeded if self.is_awaited(transfer, now) => queue.running.push(running(transfer)),
                State::Succeeded | State::Failed | State::Stale => {}
            }
        }
        queue
    }

    /// True when it has ended and the reports of both sides are still to come.
    fn is_awaited(&self, transfer: &Transfer, now: Timestamp) -> bool {
        let Some(finished_at) = transfer.finished_at else { return false };
        let sides = [transfer.step.source_system, transfer.step.target_system];
        let mut known = sides.iter().filter_map(|id| self.systems.get(id));
        let reported = known.clone().all(|known| known.shows().is_some_and(|shown| shown > finished_at));
        !reported && known.all(|known| known.is_fresh(now))
    }

    /// Lets `work` see what the witness knows as the planner's input.
    fn with_input<T>(
        &self,
        index: usize,
        scope: Option<&BTreeSet<DatasetName>>,
        queue: &Queue,
        now: Timestamp,
        work: impl FnOnce(&Input<'_>) -> T,
    ) -> T {
        let kept = &self.groups[index];
        let members = kept.group.members.iter().filter_map(|id| Some((*id, self.systems.get(id)?)));
        let systems: BTreeMap<SystemId, SystemView<'_>> = members
            .map(|(id, known)| {
                let inventory = known.as_of.map(|_| &known.inventory);
                (id, SystemView { name: &known.name, inventory, fresh: known.is_fresh(now) })
            })
            .collect();
        let memory =
            kept.rows.iter().filter_map(|(key, row)| Some((key.clone(), row.remembered.clone()?))).collect();
        let holders = self.holders(index, now);
        work(&Input {
            group: &kept.group,
            systems: &systems,
            scope,
            running: &queue.running,
            decisions: &kept.decisions,
            memory: &memory,
            unreachable: &queue.unreachable,
            holders: &holders,
            now,
        })
    }

    /// What in the whole fleet has what this group's policy might destroy.
    fn holders(&self, index: usize, now: Timestamp) -> BTreeMap<Guid, Copies> {
        let group = &self.groups[index].group;
        if !group.allow_destroy {
            return BTreeMap::new();
        }
        let targets = group.targets().into_iter().filter_map(|target| self.systems.get(&target));
        let datasets = targets.flat_map(|known| known.inventory.datasets.values());
        let snapshots = datasets.flat_map(|dataset| &dataset.snapshots);
        self.copies(&snapshots.map(|snapshot| snapshot.guid).collect(), now)
    }

    /// The copies of these snapshots, as the server looks for them.
    pub(super) fn copies(&self, asked: &BTreeSet<Guid>, now: Timestamp) -> BTreeMap<Guid, Copies> {
        let doomed = self.doomed();
        let mut copies: BTreeMap<Guid, Copies> = BTreeMap::new();
        for (id, known) in &self.systems {
            for dataset in known.inventory.datasets.values() {
                let mut is_kept = None;
                for snapshot in dataset.snapshots.iter().filter(|snapshot| asked.contains(&snapshot.guid)) {
                    let of_snapshot = copies.entry(snapshot.guid).or_default();
                    of_snapshot.report(*id);
                    let kept = || self.groups.iter().any(|kept| kept.group.keeps(*id, &dataset.name));
                    if !*is_kept.get_or_insert_with(kept) {
                        continue;
                    }
                    let standing = if doomed.contains(&(*id, snapshot.guid)) {
                        Standing::Doomed
                    } else if known.is_heard(now) {
                        Standing::Stays
                    } else {
                        Standing::Unheard
                    };
                    of_snapshot.keep(Place { system: *id, dataset: dataset.properties.guid }, standing);
                }
            }
        }
        copies
    }

    /// Copies that some group is about to destroy, or has destroyed since their system reported.
    fn doomed(&self) -> BTreeSet<(SystemId, Guid)> {
        let decided = self.groups.iter().flat_map(|kept| &kept.decisions);
        let decided = decided.flat_map(|decision| &decision.may_destroy);
        let mut doomed: BTreeSet<(SystemId, Guid)> =
            decided.flat_map(|(target, guids)| guids.iter().map(|guid| (*target, *guid))).collect();
        for transfer in self.transfers.iter().filter(|transfer| !transfer.step.action.destroys().is_empty()) {
            let target = transfer.step.target_system;
            let shows = self.systems.get(&target).and_then(|known| known.shows);
            let over_at = transfer.finished_at.max(transfer.acts_until);
            if !transfer.state.is_finished() || transfer.generation > 0 && over_at >= shows {
                doomed.extend(transfer.step.action.destroys().iter().map(|lost| (target, lost.guid)));
            }
        }
        doomed
    }

    fn plan(&self, index: usize, now: Timestamp) -> Result<Planned, Refused> {
        let refused = |why: String| Refused { group: index, why };
        let queue = self.queue(index, now);
        let (plan, report) = self.with_input(index, None, &queue, now, |input| {
            let (plan, report) = plan::plan(input);
            let violations = plan::check(&plan, input);
            if let Some(first) = violations.first() {
                let steps: Vec<String> = plan.steps.iter().map(words).collect();
                return Err(refused(format!("plan::check: {first}\nof the plan {}", steps.join("; "))));
            }
            same_when_planned_alone(input, &report).map_err(refused)?;
            Ok((plan, report))
        })?;
        Ok(self.sort_out(index, &queue, &plan, report))
    }

    /// Takes out the steps that wait, or whose target an older group keeps something else in.
    fn sort_out(&self, index: usize, queue: &Queue, plan: &Plan, mut report: Report) -> Planned {
        let mut ready = Vec::new();
        for step in &plan.steps {
            let key = (step.target_system, step.target.clone());
            let row = report.replicas.iter_mut().find(|row| row.step.as_ref() == Some(step));
            let Some(row) = row else { continue };
            let claimed = self.groups[..index].iter().flat_map(|kept| kept.rows.values()).any(|other| {
                (other.target_system, &other.target) == (key.0, &key.1)
                    && (other.home, &other.dataset) != (row.home, &row.dataset)
            });
            let mut hold = |reason: Reason| {
                row.reason = Some(reason);
                row.step = None;
            };
            let before = queue.waiting.get(&key);
            match before.filter(|waiting| waiting.holds(step)) {
                _ if claimed => hold(Reason::MappingCollision),
                Some(waiting) => hold(waiting.reason),
                None => {
                    let instead_of = before.filter(|waiting| waiting.queued).map(|waiting| waiting.transfer);
                    ready.push((step.clone(), instead_of));
                }
            }
        }
        Planned { report, ready }
    }

    fn settle_decisions(&mut self, index: usize, report: &Report) -> bool {
        let kept = &mut self.groups[index];
        let before = kept.decisions.clone();
        for decision in &mut kept.decisions {
            decision.take_out_arrived(&kept.group, &report.replicas);
        }
        kept.decisions.retain(|decision| !decision.targets.is_empty());
        kept.decisions != before
    }

    /// What a strategy would come to for one replica.
    pub(in crate::simulation) fn propose(
        &self,
        index: usize,
        key: &ReplicaKey,
        strategy: Strategy,
        now: Timestamp,
    ) -> Result<Proposal, plan::Refusal> {
        let scope = BTreeSet::from([key.dataset.clone()]);
        let queue = self.queue(index, now);
        self.with_input(index, Some(&scope), &queue, now, |input| plan::propose(input, key, strategy))
    }

    /// Applies what was proposed a while ago, unless the world has moved. False when it has.
    pub(in crate::simulation) fn apply(
        &mut self,
        index: usize,
        key: &ReplicaKey,
        proposal: &Proposal,
        now: Timestamp,
    ) -> bool {
        let again = self.propose(index, key, proposal.strategy, now);
        if !again.is_ok_and(|again| again.plan.fingerprint == proposal.plan.fingerprint) {
            return false;
        }
        let decisions = &mut self.groups[index].decisions;
        decisions.retain(|other| (other.home, &other.dataset) != (key.home, &key.dataset));
        decisions.push(proposal.decision.clone());
        self.dirty.insert(index);
        true
    }
}

fn target_of(transfer: &Transfer) -> Target {
    (transfer.step.target_system, transfer.step.target.clone())
}

fn waiting(transfer: &Transfer, reason: Reason) -> Waiting {
    Waiting {
        transfer: transfer.id,
        reason,
        queued: reason == Reason::Backoff,
        sender: transfer.step.source_system,
        action: transfer.step.action.clone(),
    }
}

fn running(transfer: &Transfer) -> Running {
    let renames = matches!(transfer.step.action, Action::SetAside { .. } | Action::FollowRename { .. });
    Running {
        transfer: transfer.id,
        target_system: transfer.step.target_system,
        target: transfer.step.target.clone(),
        renames,
        destroys: transfer.step.action.destroys().iter().map(|lost| lost.guid).collect(),
    }
}

/// A plan of one dataset must say of it what the plan of everything says.
fn same_when_planned_alone(input: &Input<'_>, whole: &Report) -> Result<(), String> {
    let datasets: BTreeSet<&DatasetName> = whole.replicas.iter().map(|row| &row.dataset).collect();
    // One of them, another one each time.
    let count = datasets.len().max(1);
    let turn = usize::try_from(input.now.as_millisecond()).unwrap_or(0) % count;
    let Some(dataset) = datasets.into_iter().nth(turn) else { return Ok(()) };
    // Where a replica may be renamed, the witness plans the whole group.
    let renames = |row: &ReplicaReport| {
        let step = row.step.as_ref();
        step.is_some_and(|step| matches!(step.action, Action::FollowRename { .. }))
    };
    if whole.replicas.iter().any(|row| row.dataset == *dataset && renames(row)) {
        return Ok(());
    }
    let scope = BTreeSet::from([dataset.clone()]);
    let (_, alone) = plan::plan(&Input { scope: Some(&scope), ..*input });
    let brief = |row: &ReplicaReport| format!("{:?} {:?} {:?}", row.key(), (row.state, row.reason), row.step);
    let of_whole: Vec<String> =
        whole.replicas.iter().filter(|row| row.dataset == *dataset).map(brief).collect();
    let of_alone: Vec<String> = alone.replicas.iter().map(brief).collect();
    if of_whole == of_alone {
        return Ok(());
    }
    Err(format!(
        "the plan of {dataset} alone differs from the plan of everything:\n  alone: {}\n  whole: {}",
        of_alone.join("\n         "),
        of_whole.join("\n         ")
    ))
}

/// A step in one line.
pub(in crate::simulation) fn words(step: &Step) -> String {
    let what = match &step.action {
        Action::Send(send) => {
            let base = send
                .base
                .as_ref()
                .map_or_else(|| "all".to_owned(), |base| format!("@{}", base.point().label));
            let resume = if send.resume { ", resumed" } else { "" };
            format!("send {base}..@{}{resume}", send.to.label)
        }
        Action::SetAside { rename_to, .. } => format!("set aside as {rename_to}"),
        Action::FollowRename { rename_from, .. } => format!("rename from {rename_from}"),
        Action::RollBack { to_label, destroys, .. } => {
            format!("roll back to @{to_label}, destroying {}", labels(destroys))
        }
        Action::DestroySnapshots { destroys, .. } => format!("destroy {}", labels(destroys)),
    };
    format!(
        "{what}: n{} {} -> n{} {}",
        step.source_system.as_uuid().as_u128(),
        step.source,
        step.target_system.as_uuid().as_u128(),
        step.target
    )
}

fn labels(destroys: &[plan::Casualty]) -> String {
    destroys.iter().map(|lost| format!("@{}", lost.label)).collect::<Vec<_>>().join(" ")
}
