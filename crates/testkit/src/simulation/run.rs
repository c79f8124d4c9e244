//! The events of one history, in their order.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::AtomicBool, atomic::Ordering},
};

use camino::Utf8PathBuf;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use zfs_sync_core::{
    group::SyncGroup,
    ids::{SystemId, TransferId},
    time::{Clock, Timestamp},
};
use zfs_sync_zfs::{
    features::Features,
    memory::{Backup, Host},
};

use super::{
    Failure, Settings, Summary,
    agent::SimulatedAgent,
    clock::{SkewedClock, VirtualTime, moment},
    gate::Link,
    messages::Call,
    person::Pending,
    quiet,
    random::Random,
    truth::{Cause, Truth},
    witness::{Refused, Witness},
    world::{self, Draw, system},
};

/// Something that is to happen.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    /// An operator does something.
    Operate,
    /// A person looks at a conflict.
    Decide,
    /// A person applies what was proposed.
    Apply(usize),
    /// Something breaks.
    Break,
    /// An agent starts.
    Start(SystemId),
    /// The way between two systems works again.
    Join(SystemId, SystemId),
    /// A system and the witness hear each other again.
    Rejoin(SystemId),
    /// A pool answers again.
    Resume(SystemId),
    /// The witness is there again.
    Witness,
    /// A request arrives.
    Deliver(u64),
    /// An answer arrives.
    Answer(u64),
    /// Nobody waits for an answer any longer.
    GiveUp(u64),
    /// A lease request has waited long enough.
    LeaseOver(SystemId, u64),
    /// An agent looks at its host.
    Scan(SystemId, u64),
    /// An agent asks for transfers.
    Lease(SystemId, u64),
    /// An agent says hello.
    Greet(SystemId, u64),
    /// A task's next command.
    Advance(SystemId, u64, u64),
    /// A task tells how far it is.
    Tell(SystemId, u64, u64),
    /// An agent delivers results.
    Post(SystemId, u64),
    /// An agent looks after holds.
    Tidy(SystemId, u64),
    /// The witness plans.
    Pass,
    /// The witness looks at leases.
    Leases,
}

/// A rule was broken.
#[derive(Clone, Debug)]
pub(super) struct Broken(pub(super) String);

impl From<String> for Broken {
    fn from(why: String) -> Self {
        Self(why)
    }
}

pub(super) struct Simulation {
    pub(super) settings: Settings,
    pub(super) runtime: Runtime,
    pub(super) random: Random,
    pub(super) time: Arc<VirtualTime>,
    pub(super) now: u64,
    thought_of: u64,
    queue: BTreeMap<(u64, u64), Event>,
    pub(super) agents: BTreeMap<SystemId, SimulatedAgent>,
    pub(super) witness: Witness,
    pub(super) witness_up: bool,
    pub(super) truth: Truth,
    pub(super) links: BTreeMap<(SystemId, SystemId), Link>,
    /// Systems that the witness does not hear.
    pub(super) unheard: BTreeSet<SystemId>,
    pub(super) calls: BTreeMap<u64, Call>,
    pub(super) next_call: u64,
    /// Lease requests that wait for something to do.
    pub(super) parked_calls: BTreeMap<SystemId, u64>,
    pub(super) pending: Vec<Pending>,
    pub(super) backups: BTreeMap<SystemId, Backup>,
    pub(super) next_task: u64,
    pub(super) next_label: u64,
    /// Percent of messages that get lost, and that come twice.
    pub(super) loss: (u64, u64),
    /// Faults may happen.
    pub(super) is_rough: bool,
    pass_due: bool,
    /// A restore has put holds of ours where no ledger says.
    pub(super) holds_went_astray: bool,
    /// Systems where people have taken away what protects the base of the next stream, or moved what it protects.
    pub(super) meddled: BTreeSet<SystemId>,
    pub(super) summary: Summary,
    pub(super) features: Features,
    directory: TempDir,
}

/// Makes one history, and says how it ended.
///
/// # Errors
///
/// The first rule that was broken.
pub fn run(settings: &Settings) -> Result<Summary, Box<Failure>> {
    let mut simulation = Simulation::new(settings);
    let ended = simulation.live();
    let Simulation { mut summary, truth, .. } = simulation;
    (summary.destroyed, summary.races) = (truth.destroyed, truth.races);
    match ended {
        Ok(()) => Ok(summary),
        Err(Broken(why)) => {
            Err(Box::new(Failure { settings: settings.clone(), why, script: summary.script }))
        }
    }
}

impl Simulation {
    fn new(settings: &Settings) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let shared_memory = std::path::Path::new("/dev/shm");
        // Ledgers are flushed to disk again and again; in memory that is free.
        let directory =
            if shared_memory.is_dir() { tempfile::tempdir_in(shared_memory) } else { tempfile::tempdir() };
        let time = Arc::new(VirtualTime::default());
        let probe = Host::new("probe", Arc::new(SkewedClock::new(Arc::clone(&time), 0)), 0);
        let features =
            runtime.block_on(Features::probe(&*probe.runner())).expect("the in-memory ZFS has a version");
        let mut simulation = Self {
            settings: settings.clone(),
            runtime,
            random: Random::new(settings.seed),
            time,
            now: 0,
            thought_of: 0,
            queue: BTreeMap::new(),
            agents: BTreeMap::new(),
            witness: Witness::default(),
            witness_up: true,
            truth: Truth::default(),
            links: BTreeMap::new(),
            unheard: BTreeSet::new(),
            calls: BTreeMap::new(),
            next_call: 0,
            parked_calls: BTreeMap::new(),
            pending: Vec::new(),
            backups: BTreeMap::new(),
            next_task: 0,
            next_label: 0,
            loss: if settings.faults > 0 { (4, 4) } else { (0, 0) },
            is_rough: settings.faults > 0,
            pass_due: false,
            holds_went_astray: false,
            meddled: BTreeSet::new(),
            summary: Summary::default(),
            features,
            directory: directory.expect("a temporary directory"),
        };
        simulation.populate();
        simulation
    }

    fn populate(&mut self) {
        let draw =
            Draw { systems: self.settings.systems, groups: self.settings.groups, only: self.settings.mode };
        let groups = world::groups(draw, &mut self.random);
        let members: BTreeSet<SystemId> =
            groups.iter().flat_map(|group| group.members.iter().copied()).collect();
        for id in members {
            self.add_system(id);
        }
        for group in groups {
            let members: Vec<String> = group.members.iter().map(|id| self.name(*id)).collect();
            let SyncGroup { name, mode, on_divergence, mirror_deletes, follow_renames, include, .. } = &group;
            let text = format!(
                "group {name}: {mode:?} of {} with {include:?}, {on_divergence:?}, {mirror_deletes:?}, follow_renames {follow_renames}",
                members.join(" ")
            );
            self.say(text);
            self.found(&group);
            self.witness.add_group(group);
        }
        for number in 0..self.settings.acts {
            // On the average one act every few seconds for each group, so that they meet what is under way.
            let span = self.span();
            let at = if number < self.settings.groups * 2 {
                self.random.below(60_000)
            } else {
                self.random.below(span)
            };
            self.at(at, Event::Operate);
        }
        for _ in 0..self.settings.faults {
            let at = self.random.below(self.span());
            self.at(at, Event::Break);
        }
        for _ in 0..self.settings.acts / 4 {
            let at = self.random.below(self.span());
            self.at(at, Event::Decide);
        }
        self.after(1000, Event::Leases);
        self.after(5000, Event::Pass);
    }

    /// How long faults and people are at it.
    fn span(&self) -> u64 {
        (20 * 60_000).max(self.settings.acts * 60_000 / self.settings.groups.max(1) / 2)
    }

    fn add_system(&mut self, id: SystemId) {
        let number = id.as_uuid().as_u128();
        let name = format!("n{number}");
        // A third of all clocks is wrong, by up to six hours.
        let ahead = if self.random.chance(33) { self.random.below(12 * 3_600_000) } else { 6 * 3_600_000 };
        let ahead = i64::try_from(ahead).unwrap_or(0) - 6 * 3_600_000;
        let clock = SkewedClock::new(Arc::clone(&self.time), ahead);
        let seed = self.random.next();
        let host = Host::new(name.clone(), Arc::new(clock.clone()) as Arc<dyn Clock>, seed);
        for pool in ["tank", "safe"] {
            host.create_pool(pool, 1 << 40).expect("a new host has no pools");
        }
        let data_dir =
            Utf8PathBuf::try_from(self.directory.path().join(&name)).expect("temporary paths are UTF-8");
        std::fs::create_dir_all(&data_dir).expect("a directory below a temporary one");
        self.witness.add_system(id, name.clone());
        let agent = SimulatedAgent { name, host, clock, data_dir, incarnation: 0, life: None };
        self.agents.insert(id, agent);
        let at = self.random.below(5000);
        self.at(at, Event::Start(id));
    }

    /// Makes the group's first datasets.
    fn found(&mut self, group: &SyncGroup) {
        let root = group.include[0].to_string();
        let root = root.trim_end_matches("/**").to_owned();
        for home in group.homes() {
            let host = self.host(home);
            let mut names = vec![root.clone()];
            for child in 0..self.random.below(3) {
                names.push(format!("{root}/d{child}"));
            }
            for name in names {
                // Another group may copy the same.
                if host.create_dataset(&name, zfs_sync_core::inventory::DatasetKind::Filesystem).is_ok() {
                    let label = self.label();
                    let bytes = self.random.within(100, 5000);
                    let done =
                        host.write(&name, bytes).and_then(|()| host.snapshot(&format!("{name}@{label}")));
                    done.expect("the dataset is new");
                    self.act(home, &format!("zfs create {name}; zfs snapshot {name}@{label}"));
                }
            }
        }
    }

    pub(super) fn label(&mut self) -> String {
        self.next_label += 1;
        format!("s{}", self.next_label)
    }

    pub(super) fn host(&self, id: SystemId) -> Host {
        self.agents[&id].host.clone()
    }

    pub(super) fn name(&self, id: SystemId) -> String {
        self.agents.get(&id).map_or_else(|| id.to_string(), |agent| agent.name.clone())
    }

    pub(super) fn moment(&self) -> Timestamp {
        moment(self.now)
    }

    pub(super) fn say(&mut self, text: impl std::fmt::Display) {
        let (seconds, milliseconds) = (self.now / 1000, self.now % 1000);
        self.summary.script.push(format!("{seconds:>6}.{milliseconds:03} {text}"));
    }

    pub(super) fn at(&mut self, at: u64, event: Event) {
        self.thought_of += 1;
        self.queue.insert((at.max(self.now), self.thought_of), event);
    }

    pub(super) fn after(&mut self, delay: u64, event: Event) {
        self.at(self.now + delay, event);
    }

    /// An operator has done something on a host.
    pub(super) fn act(&mut self, id: SystemId, text: &str) {
        let name = self.name(id);
        self.say(format!("{name}# {text}"));
        let host = self.host(id);
        let seen = self.truth.observe(id, &host, Cause::Operator, self.now);
        seen.expect("what operators do is always allowed, and content follows from what was written");
        // `zpool events` wakes the agent, most of the time.
        if self.random.chance(80) {
            let delay = self.random.within(100, 2000);
            self.scan_within(id, delay);
        }
    }

    /// The way from one system to another.
    pub(super) fn link(&mut self, a: SystemId, b: SystemId) -> Link {
        let key = if a < b { (a, b) } else { (b, a) };
        Arc::clone(self.links.entry(key).or_insert_with(|| Arc::new(AtomicBool::new(false))))
    }

    pub(super) fn plan_soon(&mut self) {
        if !std::mem::replace(&mut self.pass_due, true) {
            let delay = self.random.within(10, 500);
            self.after(delay, Event::Pass);
        }
    }

    fn live(&mut self) -> Result<(), Broken> {
        let end = self.span();
        self.until(end)?;
        self.calm();
        quiet::wait(self)
    }

    /// Faults stop, people go home.
    fn calm(&mut self) {
        self.say("faults and people stop here");
        self.is_rough = false;
        self.loss = (0, 0);
        self.queue.retain(|_, event| {
            !matches!(event, Event::Operate | Event::Decide | Event::Apply(_) | Event::Break)
        });
        for link in self.links.values() {
            link.store(false, Ordering::Relaxed);
        }
        self.unheard.clear();
        let agents: Vec<SystemId> = self.agents.keys().copied().collect();
        for id in agents {
            for pool in ["tank", "safe"] {
                self.host(id).set_suspended(pool, false).expect("the pool exists");
            }
            if self.agents[&id].life.is_none() {
                self.after(1, Event::Start(id));
            }
        }
        if !self.witness_up {
            self.after(1, Event::Witness);
        }
    }

    /// Everything that happens up to a moment.
    pub(super) fn until(&mut self, end: u64) -> Result<(), Broken> {
        while let Some(((at, number), _)) = self.queue.first_key_value() {
            let (at, number) = (*at, *number);
            if at > end {
                break;
            }
            let Some(event) = self.queue.remove(&(at, number)) else { break };
            self.now = at;
            self.time.set(at);
            self.happen(event)?;
        }
        self.now = self.now.max(end);
        self.time.set(self.now);
        Ok(())
    }

    fn happen(&mut self, event: Event) -> Result<(), Broken> {
        match event {
            Event::Operate => self.operate(),
            Event::Decide => self.decide(),
            Event::Apply(index) => self.apply(index),
            Event::Break => self.break_something(),
            Event::Start(id) => self.start(id)?,
            Event::Join(a, b) => {
                self.link(a, b).store(false, Ordering::Relaxed);
            }
            Event::Rejoin(id) => {
                self.unheard.remove(&id);
            }
            Event::Resume(id) => {
                for pool in ["tank", "safe"] {
                    self.host(id).set_suspended(pool, false).map_err(|error| Broken(error.to_string()))?;
                }
            }
            Event::Witness => {
                self.witness_up = true;
                self.witness.restart();
                self.plan_soon();
            }
            Event::Deliver(call) => self.deliver(call),
            Event::Answer(call) => self.answer(call)?,
            Event::GiveUp(call) => self.give_up(call),
            Event::LeaseOver(id, call) => self.lease_over(id, call),
            Event::Scan(id, incarnation) => self.scan(id, incarnation),
            Event::Lease(id, incarnation) => self.ask_for_leases(id, incarnation),
            Event::Greet(id, incarnation) => self.greet(id, incarnation),
            Event::Advance(id, incarnation, task) => self.advance(id, incarnation, task)?,
            Event::Tell(id, incarnation, task) => self.tell(id, incarnation, task),
            Event::Post(id, incarnation) => self.post(id, incarnation),
            Event::Tidy(id, incarnation) => self.tidy(id, incarnation),
            Event::Pass => self.pass()?,
            Event::Leases => {
                if self.witness_up {
                    self.witness.expire_leases(self.moment());
                    self.wake_systems();
                }
                self.after(1000, Event::Leases);
            }
        }
        Ok(())
    }

    fn pass(&mut self) -> Result<(), Broken> {
        if std::mem::take(&mut self.pass_due) && !self.witness_up {
            return Ok(());
        }
        if self.witness_up {
            let now = self.moment();
            match self.witness.pass(now) {
                Ok(started) => {
                    for step in started {
                        self.summary.transfers += 1;
                        self.say(format!("witness: {}", super::witness::words(&step)));
                    }
                }
                Err(Refused { group, why }) => {
                    return Err(Broken(format!("group g{}: {why}", group + 1)));
                }
            }
            self.wake_systems();
        }
        // The safety net.
        if !self.queue.values().any(|event| matches!(event, Event::Pass)) {
            self.after(10_000, Event::Pass);
        }
        Ok(())
    }

    /// Answers the lease requests of systems that there is something for.
    pub(super) fn wake_systems(&mut self) {
        for id in std::mem::take(&mut self.witness.woken) {
            self.try_parked(id);
        }
        if !self.witness.dirty.is_empty() {
            self.plan_soon();
        }
    }

    /// The system a command of this transfer belongs to, for the truth.
    pub(super) fn basis(&self, transfer: TransferId) -> super::witness::Basis {
        self.witness.transfer(transfer).map_or_else(Default::default, |transfer| transfer.basis.clone())
    }

    pub(super) fn any_system(&mut self) -> SystemId {
        let all: Vec<SystemId> = self.agents.keys().copied().collect();
        self.random.pick(&all).copied().unwrap_or_else(|| system(1))
    }
}
