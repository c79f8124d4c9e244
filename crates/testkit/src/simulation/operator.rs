//! People with a shell, and everything that breaks by itself.

use std::sync::atomic::Ordering;

use zfs_sync_core::{group::GroupMode, ids::SystemId, inventory::DatasetKind, name::DatasetName};
use zfs_sync_zfs::memory::CountedDataset;

use super::run::{Event, Simulation};

impl Simulation {
    /// One act, on a dataset of a group.
    pub(super) fn operate(&mut self) {
        let index = usize::try_from(self.random.below(self.witness.groups.len() as u64)).unwrap_or(0);
        let group = self.witness.groups[index].group.clone();
        // Who writes: the source of truth, in a mesh anybody; sometimes somebody does on a replica.
        let homes = if group.mode == GroupMode::Mesh { group.members.clone() } else { group.homes() };
        let on_replica = self.random.chance(18);
        let member = if on_replica { self.random.one(&group.members) } else { self.random.one(&homes) };
        let base = group.include[0].to_string();
        let base: DatasetName = base.trim_end_matches("/**").parse().expect("a group's root");
        let home = if homes.contains(&member) { member } else { self.random.one(&homes) };
        let root = if on_replica || !homes.contains(&member) {
            group.target_name(home, &base, member)
        } else {
            group.name_on(home, &base, member)
        };
        let Ok(root) = root else { return };
        let host = self.host(member);
        let near = |dataset: &CountedDataset| {
            dataset.name.is_within(&root) || dataset.name.as_str().starts_with(&format!("{root}."))
        };
        let all: Vec<CountedDataset> = host.census().into_iter().filter(near).collect();
        let Some(dataset) = self.random.pick(&all).cloned() else {
            // It may have been destroyed; somebody makes it anew.
            if !on_replica
                && self.random.chance(50)
                && host.create_dataset(root.as_str(), DatasetKind::Filesystem).is_ok()
            {
                self.act(member, &format!("zfs create {root}"));
            }
            return;
        };
        self.act_on(member, &root, &dataset);
    }

    fn act_on(&mut self, member: SystemId, root: &DatasetName, dataset: &CountedDataset) {
        let host = self.host(member);
        let name = dataset.name.as_str().to_owned();
        let snapshot = self.random.pick(&dataset.snapshots).cloned();
        let dice = self.random.below(100);
        match (dice, snapshot) {
            (0..=44, _) => self.write_and_snapshot(member, dataset),
            (45..=49, _) => {
                let label = self.label();
                let done = host.snapshot_recursive(&format!("{root}@{label}"));
                self.told(member, done, &format!("zfs snapshot -r {root}@{label}"));
            }
            (50..=61, Some(snapshot)) => {
                let full = format!("{name}@{}", snapshot.label);
                // Holds of ours are no wall for somebody who is set on it.
                if self.random.chance(15) {
                    for tag in &snapshot.holds {
                        let done = host.release(tag, &full);
                        self.told(member, done, &format!("zfs release {tag} {full}"));
                    }
                }
                let done = host.destroy_snapshot(&full);
                self.told(member, done, &format!("zfs destroy {full}"));
            }
            (62..=64, Some(snapshot)) => {
                let full = format!("{name}@{}", snapshot.label);
                // Old names come again.
                let label = if self.random.chance(50) { "daily".to_owned() } else { self.label() };
                let done = host.rename_snapshot(&full, &label);
                self.told(member, done, &format!("zfs rename {full} @{label}"));
            }
            (65..=69, Some(snapshot)) => {
                let full = format!("{name}@{}", snapshot.label);
                let done = host.rollback(&full);
                self.told(member, done, &format!("zfs rollback -r {full}"));
            }
            (70..=73, _) => {
                let label = self.label();
                let to = format!("{root}/{label}");
                let to = if self.random.chance(30) { format!("tank/elsewhere-{label}") } else { to };
                let done = host.rename_dataset(&name, &to);
                self.told(member, done, &format!("zfs rename {name} {to}"));
            }
            (74..=76, _) => {
                let done = host.destroy_dataset(&name);
                self.told(member, done, &format!("zfs destroy -r {name}"));
                if self.random.chance(50) {
                    let done = host.create_dataset(&name, DatasetKind::Filesystem);
                    self.told(member, done, &format!("zfs create {name}"));
                }
            }
            (77..=81, Some(snapshot)) => {
                let (full, label) = (format!("{name}@{}", snapshot.label), self.label());
                let to = format!("{root}/c{label}");
                let done = host.clone_snapshot(&full, &to);
                self.told(member, done, &format!("zfs clone {full} {to}"));
            }
            (82..=83, _) => {
                let done = host.promote(&name);
                self.told(member, done, &format!("zfs promote {name}"));
            }
            (84..=86, Some(snapshot)) => {
                let (full, label) = (format!("{name}@{}", snapshot.label), self.label());
                let done = host.bookmark(&full, &label);
                self.told(member, done, &format!("zfs bookmark {full} #{label}"));
            }
            (87..=89, Some(snapshot)) => {
                let full = format!("{name}@{}", snapshot.label);
                let done = host.hold("keep", &full);
                self.told(member, done, &format!("zfs hold keep {full}"));
            }
            (90..=92, Some(snapshot)) => {
                let full = format!("{name}@{}", snapshot.label);
                let done = host.release("keep", &full);
                self.told(member, done, &format!("zfs release keep {full}"));
            }
            (93..=95, _) => {
                let child = format!("{root}/d{}", self.random.below(6));
                let done = host.create_dataset(&child, DatasetKind::Filesystem);
                self.told(member, done, &format!("zfs create {child}"));
            }
            (96..=97, _) => {
                let done = host.set_readonly(&name, true);
                self.told(member, done, &format!("zfs set readonly=on {name}"));
            }
            _ => {
                // Only written to.
                let _ = host.set_readonly(&name, false);
                let bytes = self.random.within(50, 4000);
                let done = host.write(&name, bytes);
                self.told(member, done, &format!("write {bytes} bytes into {name}"));
            }
        }
    }

    fn write_and_snapshot(&mut self, member: SystemId, dataset: &CountedDataset) {
        let host = self.host(member);
        let name = dataset.name.as_str();
        if dataset.readonly {
            // A replica: somebody takes a snapshot there, or even writes.
            if self.random.chance(30) {
                let done = host.set_readonly(name, false);
                self.told(member, done, &format!("zfs set readonly=off {name}"));
            }
        }
        for _ in 0..self.random.within(0, 3) {
            let bytes = if self.random.chance(5) {
                self.random.within(60_000, 200_000)
            } else {
                self.random.within(50, 5000)
            };
            if host.write(name, bytes).is_ok() {
                self.act(member, &format!("write {bytes} bytes into {name}"));
            }
        }
        let label = if self.random.chance(5) { "daily".to_owned() } else { self.label() };
        let done = host.snapshot(&format!("{name}@{label}"));
        self.told(member, done, &format!("zfs snapshot {name}@{label}"));
    }

    fn told(&mut self, member: SystemId, done: Result<(), zfs_sync_zfs::error::Error>, line: &str) {
        match done {
            Ok(()) => {
                let harmless = [
                    "zfs snapshot",
                    "zfs create",
                    "zfs bookmark",
                    "zfs hold",
                    "zfs set",
                    "zfs clone",
                    "write",
                ];
                if !harmless.iter().any(|start| line.starts_with(start)) {
                    self.meddled.insert(member);
                }
                self.act(member, line);
            }
            Err(error) => {
                let name = self.name(member);
                let why = error.stderr.lines().next().unwrap_or_default().to_owned();
                self.say(format!("{name}# {line}  # refused: {why}"));
            }
        }
    }

    /// One fault.
    pub(super) fn break_something(&mut self) {
        let id = self.any_system();
        let name = self.name(id);
        let lasts = if self.random.chance(20) {
            self.random.within(120_000, 600_000)
        } else {
            self.random.within(500, 60_000)
        };
        match self.random.below(100) {
            0..=29 => {
                self.kill(id, "killed");
                self.after(lasts, Event::Start(id));
            }
            30..=54 => {
                let other = self.any_system();
                if other != id {
                    let far = self.name(other);
                    self.link(id, other).store(true, Ordering::Relaxed);
                    self.say(format!("{name} and {far} can not reach each other for {lasts} ms"));
                    self.after(lasts, Event::Join(id, other));
                }
            }
            55..=69 => {
                self.say(format!("the witness does not hear {name} for {lasts} ms"));
                self.unheard.insert(id);
                self.after(lasts, Event::Rejoin(id));
            }
            70..=77 => {
                let pool = self.random.one(&["tank", "safe"]);
                if self.host(id).set_suspended(pool, true).is_ok() {
                    self.say(format!("{name}: {pool} does not answer for {lasts} ms"));
                    self.after(lasts, Event::Resume(id));
                    // A report that knows nothing of this pool.
                    self.scan_within(id, 100);
                }
            }
            78..=82 => {
                self.say(format!("the witness dies, for {lasts} ms"));
                self.witness_up = false;
                self.parked_calls.clear();
                self.after(lasts, Event::Witness);
            }
            83..=86 => {
                let ahead = i64::try_from(self.random.below(24 * 3_600_000)).unwrap_or(0) - 12 * 3_600_000;
                self.agents[&id].clock.set_ahead(ahead);
                self.say(format!("{name}: the clock jumps, and is {ahead} ms ahead now"));
            }
            87..=92 => {
                let backup = self.host(id).backup();
                self.backups.insert(id, backup);
                self.say(format!("{name}: a backup of the whole machine"));
            }
            _ => self.restore(id, lasts),
        }
    }

    /// The machine comes back as it was when it was backed up; its data directory may be from then, or gone.
    fn restore(&mut self, id: SystemId, lasts: u64) {
        let Some(backup) = self.backups.get(&id).cloned() else { return };
        self.kill(id, "the machine burns");
        self.holds_went_astray = true;
        self.meddled.insert(id);
        let wiped = self.random.chance(50);
        if wiped {
            let transfers = self.agents[&id].data_dir.join("transfers");
            // It may never have been made.
            let _ = std::fs::remove_dir_all(transfers);
        }
        self.host(id).restore(&backup);
        let what =
            if wiped { "its backup is restored, without the agent's data" } else { "its backup is restored" };
        self.act(id, what);
        self.after(lasts, Event::Start(id));
    }
}
