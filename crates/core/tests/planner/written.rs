//! Fleets written as the scripts that [`Fleet::parse`] reads: what a failing property prints can be saved, read and looked at.

use std::fmt;

use zfs_sync_core::{
    group::{GroupMode, Profile},
    guid::Guid,
    ids::SystemId,
    inventory::{Dataset, DatasetKind},
    plan::{Decision, MakeRoom, Place, Standing},
    time::Timestamp,
};

use crate::fleet::{Fleet, guid_on};

impl fmt::Debug for Fleet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (id, system) in &self.systems {
            let Some(inventory) = &system.inventory else {
                writeln!(out, "system {} silent", system.name)?;
                continue;
            };
            let stale = if system.fresh { "" } else { " stale" };
            let guids = if inventory.without_guids { " no-guids" } else { "" };
            writeln!(out, "system {}{stale}{guids}", system.name)?;
            for dataset in inventory.datasets.values() {
                write_dataset(out, dataset, guid_on(*id, &dataset.name))?;
            }
        }
        self.write_group(out)?;
        for running in &self.running {
            let renames = if running.renames { " renames" } else { "" };
            writeln!(out, "running {}@{}{renames}", running.target, self.called(running.target_system))?;
        }
        for (key, remembered) in &self.memory {
            let target = self.called(key.target_system);
            write!(out, "remember {}@{target} home={}", key.dataset, self.called(key.home))?;
            write!(out, " source={}", remembered.source_guid)?;
            if let Some(common) = remembered.common {
                write!(out, " common={common}")?;
            }
            match (remembered.replaced, remembered.replaced_until) {
                (true, Some(until)) => writeln!(out, " replaced={until}")?,
                (true, None) => writeln!(out, " replaced")?,
                (false, _) => writeln!(out)?,
            }
        }
        for decision in &self.decisions {
            self.write_decision(out, decision)?;
        }
        for (from, to) in &self.unreachable {
            writeln!(out, "unreachable {} {}", self.called(*from), self.called(*to))?;
        }
        for (guid, copies) in &self.holders {
            for (Place { system, dataset }, standing) in copies.places() {
                let word = match standing {
                    Standing::Stays => "",
                    Standing::Doomed => " doomed",
                    Standing::Unheard => " unheard",
                };
                writeln!(out, "holder {guid} {} dataset={dataset}{word}", self.called(system))?;
            }
        }
        Ok(())
    }
}

fn write_dataset(out: &mut fmt::Formatter<'_>, made: &Dataset, usual: Guid) -> fmt::Result {
    let properties = &made.properties;
    write!(out, "  {}", made.name)?;
    if properties.guid != usual {
        write!(out, " guid={}", properties.guid)?;
    }
    if properties.kind == DatasetKind::Volume {
        write!(out, " volume")?;
    }
    if !properties.readonly {
        write!(out, " writable")?;
    }
    if properties.encrypted {
        write!(out, " encrypted")?;
    }
    if properties.written > 0 {
        write!(out, " written={}", properties.written)?;
    }
    if let Some(origin) = &properties.origin {
        write!(out, " origin={origin}")?;
    }
    if let Some(partial) = &properties.partial {
        write!(out, " partial={}", partial.to_guid)?;
        if let Some(from) = partial.from_guid {
            write!(out, "<{from}")?;
        }
        if let Some((source, _)) = partial.to_name.split_once('@') {
            write!(out, " of={source}")?;
        }
        if partial.raw {
            write!(out, " raw-partial")?;
        }
    }
    for snapshot in &made.snapshots {
        write!(out, " {}:{}:{}", snapshot.label, snapshot.guid, snapshot.createtxg)?;
        if snapshot.creation != 0 {
            let time = Timestamp::from_second(snapshot.creation).map_err(|_| fmt::Error)?;
            write!(out, ",time={time}")?;
        }
        write!(out, "{}", ",held".repeat(snapshot.holds as usize))?;
    }
    for mark in &made.bookmarks {
        write!(out, " #{}:{}:{}", mark.label, mark.guid, mark.createtxg)?;
    }
    writeln!(out)
}

impl Fleet {
    fn called(&self, system: SystemId) -> String {
        self.systems.get(&system).map_or_else(|| system.to_string(), |known| known.name.clone())
    }

    fn write_group(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let group = &self.group;
        let mode = match group.mode {
            GroupMode::OneWay => "one_way",
            GroupMode::ManyToOne => "many_to_one",
            GroupMode::Chain => "chain",
            GroupMode::Mesh => "mesh",
            GroupMode::Local => "local",
        };
        let name = if group.name.is_empty() { "g" } else { &group.name };
        let members: Vec<String> = group.members.iter().map(|member| self.called(*member)).collect();
        write!(out, "group {name} {mode} source={} members={}", self.called(group.hub), members.join(","))?;
        for pattern in &group.include {
            write!(out, " include={pattern}")?;
        }
        for pattern in &group.exclude {
            write!(out, " exclude={pattern}")?;
        }
        for mapping in &group.mappings {
            write!(out, " map={mapping}")?;
        }
        for (member, mappings) in &group.member_mappings {
            for mapping in mappings {
                write!(out, " map@{}={mapping}", self.called(*member))?;
            }
        }
        if let Some(policy) = group.on_divergence.strategy() {
            write!(out, " on-divergence={}", policy.as_str())?;
        }
        if let Some(mirror) = group.mirror_deletes {
            write!(out, " mirror-deletes={}%", mirror.max_percent)?;
        }
        let words = [
            (!group.enabled, " disabled"),
            (!group.auto, " manual"),
            (group.allow_destroy, " allow-destroy"),
            (group.follow_renames, " follow-renames"),
            (group.profile == Profile::Classic, " profile=classic"),
        ];
        for (_, word) in words.iter().filter(|(applies, _)| *applies) {
            write!(out, "{word}")?;
        }
        writeln!(out)
    }

    fn write_decision(&self, out: &mut fmt::Formatter<'_>, decision: &Decision) -> fmt::Result {
        let how = match decision.how {
            MakeRoom::SetAside => "set_aside",
            MakeRoom::RollBack => "roll_back",
            MakeRoom::RollBackOnly => "roll_back_only",
        };
        let targets: Vec<String> = decision.targets.iter().map(|target| self.called(*target)).collect();
        write!(out, "decide {} home={}", decision.dataset, self.called(decision.home))?;
        write!(out, " follow={} on={} {how}", self.called(decision.winner), targets.join(","))?;
        for (system, guids) in &decision.may_destroy {
            let guids: Vec<String> = guids.iter().map(ToString::to_string).collect();
            write!(out, " destroy@{}={}", self.called(*system), guids.join(","))?;
        }
        for (system, bytes) in &decision.may_discard {
            write!(out, " discard@{}={bytes}", self.called(*system))?;
        }
        for (system, guid) in &decision.may_move {
            write!(out, " move@{}={guid}", self.called(*system))?;
        }
        writeln!(out)
    }
}

#[test]
fn what_is_written_is_read_as_the_same_fleet() {
    for world in crate::worlds::examples(&crate::worlds::a_world(), 200) {
        let text = format!("{:?}", world.fleet);
        let read = Fleet::parse(&text);
        assert_eq!(format!("{read:?}"), text);
        assert_eq!(read.render(), world.fleet.render(), "{text}");
    }
}
