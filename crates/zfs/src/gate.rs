//! What somebody with a restricted ssh key may run: one role, one tree of datasets, and only lines that we write ourselves.
//!
//! `command="zfs-sync ssh-gate …",restrict` in `authorized_keys` makes sshd start the gate instead of a shell, with the line that was
//! asked for in `SSH_ORIGINAL_COMMAND`. The line is read back into a typed [`Command`] ([`command::read`]), the
//! table below says whether the role has it and whether every dataset it names lies in the tree, and the command that was *read*, not
//! the line, is executed. No shell is started, and an option that [`Command`] does not write can not be said.
//!
//! | what | source | target | target, append-only |
//! | --- | --- | --- | --- |
//! | looking (`list`, `get`, `holds`, `version`, pools, events) | yes | yes | yes |
//! | our holds | yes | yes | yes |
//! | `send`, bookmarks of ours | yes | | |
//! | `receive`, `receive -A`, placeholders | | yes | yes |
//! | `rename`, `rollback`, `destroy` of one snapshot | | yes | |
//!
//! Listings of more than the tree are answered with the tree and the datasets above it, without the histories of those: for
//! whoever is behind the gate nothing else exists.

use zfs_sync_core::{
    guid::Guid,
    name::{DatasetName, SnapshotName},
    plan::Casualty,
};

use crate::{
    command::{self, Command, Dependents, Doomed, ReceiveCommand, Scope, SendCommand, Spared, Spoken},
    parse::{History, SnapshotDependents, resume_token::ResumeToken},
    runner::{Privilege, REMOTE_ENVIRONMENT},
};

/// What the other side is to do here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Fetch: this host has the data.
    Source,
    /// Bring: this host receives.
    Target {
        /// Nothing may be taken away: no rename, no rollback, no snapshot destroyed.
        append_only: bool,
    },
}

/// One restricted key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// What for.
    pub role: Role,
    /// Where: this dataset and all below it.
    pub tree: DatasetName,
}

/// What may be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// These, one after the other; what they print is one answer.
    Run(Vec<Command>),
    /// One snapshot may be destroyed, when a look says that nobody holds it and nothing was cloned from it: see [`doomed`].
    Destroy(SnapshotName),
    /// An interrupted stream is continued, when a look says that the tree has what it is made of: see [`Resumed::is_of`].
    Resume(Resumed),
}

/// A stream that is continued by a token. The token comes from the other side; `zfs send` goes by the GUIDs in it, and looks for them in the
/// whole pool, whatever dataset it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumed {
    /// As it was asked for.
    pub command: Command,
    /// The dataset it names, which lies in the tree.
    pub dataset: DatasetName,
    /// Where it ends.
    pub to: Guid,
    /// Where it starts, unless it is whole.
    pub from: Option<Guid>,
}

impl Resumed {
    /// True when it ends in a snapshot of the dataset it names, and starts from a snapshot or bookmark within the tree, whose histories
    /// these are.
    pub fn is_of(&self, histories: &History) -> bool {
        let ends = histories
            .get(&self.dataset)
            .is_some_and(|(snapshots, _)| snapshots.iter().any(|snapshot| snapshot.guid == self.to));
        let starts = |from: Guid| {
            histories.values().any(|(snapshots, bookmarks)| {
                let mut guids = snapshots.iter().map(|snapshot| snapshot.guid);
                guids.any(|guid| guid == from) || bookmarks.iter().any(|bookmark| bookmark.guid == from)
            })
        };
        ends && self.from.is_none_or(starts)
    }
}

/// Why a line is not run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not one that we write.
    #[error("this key runs only single commands as zfs-sync writes them, and no shell")]
    NotOurLine,
    /// Another role has it.
    #[error("this key is for a {role} and may not run `zfs {verb}`")]
    NotForRole {
        /// The role.
        role: &'static str,
        /// The command's verb.
        verb: String,
    },
    /// It names a dataset outside the tree.
    #[error("this key is for {tree} and may not touch {outside}")]
    OutsideTree {
        /// The tree.
        tree: DatasetName,
        /// What was named.
        outside: String,
    },
}

impl Gate {
    /// Decides about one line.
    pub fn admit(&self, line: &str) -> Result<Admitted, Refused> {
        let line =
            line.strip_prefix(REMOTE_ENVIRONMENT).and_then(|rest| rest.strip_prefix(' ')).unwrap_or(line);
        // What the command is run through is the gate's own setting, whatever the other side believes.
        let through = [Privilege::Sudo, Privilege::Doas].map(|privilege| privilege.line(""));
        let line = through.iter().find_map(|prefix| line.strip_prefix(prefix.as_str())).unwrap_or(line);
        match command::read(line).map_err(|_| Refused::NotOurLine)? {
            Spoken::DestroySnapshot(snapshot) => {
                self.for_destroying_target("destroy")?;
                self.within(snapshot.dataset())?;
                Ok(Admitted::Destroy(snapshot))
            }
            Spoken::Command(command) => {
                let resumed = self.resumed(&command)?;
                let commands = self.admit_command(command)?;
                Ok(resumed.map_or(Admitted::Run(commands), Admitted::Resume))
            }
        }
    }

    fn admit_command(&self, command: Command) -> Result<Vec<Command>, Refused> {
        match &command {
            Command::Version | Command::ListPools | Command::WatchEvents => {}
            Command::ListDatasets { scope, columns } => {
                return Ok(self
                    .narrow(scope, true)?
                    .into_iter()
                    .map(|scope| Command::ListDatasets { scope, columns: *columns })
                    .collect());
            }
            Command::ListHistory { scope } => {
                let narrowed = self.narrow(scope, false)?.into_iter();
                return Ok(narrowed.map(|scope| Command::ListHistory { scope }).collect());
            }
            Command::ListDependents { of } => self.within(match of {
                Dependents::Dataset(dataset) => dataset,
                Dependents::Snapshot(snapshot) => snapshot.dataset(),
            })?,
            Command::Get { dataset, .. }
            | Command::GetValue { dataset, .. }
            | Command::GetSource { dataset, .. } => {
                if !self.tree.is_within(dataset) {
                    self.within(dataset)?;
                }
            }
            Command::GetOfSnapshot { snapshot, .. }
            | Command::Holds { snapshot }
            | Command::Hold { snapshot, .. }
            | Command::Release { snapshot, .. } => {
                self.within(snapshot.dataset())?;
            }
            Command::HoldsOf { snapshots, .. }
            | Command::HoldAll { snapshots, .. }
            | Command::ReleaseAll { snapshots, .. } => {
                snapshots.iter().try_for_each(|snapshot| self.within(snapshot.dataset()))?;
            }
            Command::Bookmark { snapshot, .. } => {
                self.for_source("bookmark")?;
                self.within(snapshot.dataset())?;
            }
            Command::DestroyBookmark { bookmark } => {
                self.for_source("destroy")?;
                self.within(bookmark.dataset())?;
            }
            Command::Send(send) | Command::Estimate(send) => {
                self.for_source("send")?;
                self.sends_from_tree(send)?;
            }
            Command::Receive(ReceiveCommand { dataset, first, origin, .. }) => {
                self.for_target("receive")?;
                self.within(dataset)?;
                if first.is_some() {
                    self.below(dataset)?;
                }
                origin.iter().try_for_each(|origin| self.within(origin.dataset()))?;
            }
            Command::AbortReceive { dataset } => {
                self.for_target("receive -A")?;
                self.within(dataset)?;
            }
            Command::CreatePlaceholder { dataset } | Command::CreateBare { dataset } => {
                self.for_target("create")?;
                self.within(dataset)?;
            }
            Command::Set { dataset, .. } => {
                self.for_target("set")?;
                self.below(dataset)?;
            }
            Command::PoolFeatures { pool } => {
                if pool != self.tree.pool() {
                    let (tree, outside) = (self.tree.clone(), pool.clone());
                    return Err(Refused::OutsideTree { tree, outside });
                }
            }
            Command::Rename { from, to } => {
                self.for_destroying_target("rename")?;
                self.within(from)?;
                self.within(to)?;
            }
            Command::RollBack { to } => {
                self.for_destroying_target("rollback")?;
                self.within(to.dataset())?;
            }
            // Nobody asks for these from afar, or they arrive as `Spoken::DestroySnapshot`. Contents are not read through a gate: who may
            // send and receive need not know what is in files, and digests tell it to who can guess.
            Command::Snapshot { .. }
            | Command::DestroySnapshot { .. }
            | Command::GetTree { .. }
            | Command::ShowAllowed { .. }
            | Command::ListSet { .. }
            | Command::AnswerForSnapshot { .. }
            | Command::PoolStatus
            | Command::ShowSnapshotDevices { .. }
            | Command::RestoreSnapshotDevices { .. }
            | Command::ForgetSnapshotDevices { .. }
            | Command::ListShownVolumes => return Err(self.not_for_role(command.arguments()[0].as_str())),
        }
        Ok(vec![command])
    }

    /// The part of a listing that lies in the tree; with `above`, also each dataset above it that the listing would have had.
    fn narrow(&self, scope: &Scope, above: bool) -> Result<Vec<Scope>, Refused> {
        let root = match scope {
            Scope::Only(dataset) if above && self.tree.is_within(dataset) => return Ok(vec![scope.clone()]),
            Scope::Only(dataset) => return self.within(dataset).map(|()| vec![scope.clone()]),
            Scope::These(datasets) => {
                let outside = |dataset: &&DatasetName| !(above && self.tree.is_within(dataset));
                datasets.iter().filter(outside).try_for_each(|dataset| self.within(dataset))?;
                return Ok(vec![scope.clone()]);
            }
            Scope::Tree(root) if !self.tree.is_within(root) => {
                return self.within(root).map(|()| vec![scope.clone()]);
            }
            Scope::Tree(root) => Some(root),
            Scope::Everything => None,
        };
        let mut narrowed = vec![Scope::Tree(self.tree.clone())];
        if above {
            let mut ancestor = self.tree.parent();
            while let Some(dataset) =
                ancestor.filter(|dataset| root.is_none_or(|root| dataset.is_within(root)))
            {
                ancestor = dataset.parent();
                narrowed.insert(0, Scope::Only(dataset));
            }
        }
        Ok(narrowed)
    }

    fn sends_from_tree(&self, send: &SendCommand) -> Result<(), Refused> {
        match send {
            SendCommand::Full { to, .. } => self.within(to.dataset()),
            SendCommand::Incremental { base, to, .. } | SendCommand::Single { base, to, .. } => {
                self.within(base.dataset())?;
                self.within(to.dataset())
            }
            SendCommand::FromBookmark { base, to, .. } => {
                self.within(base.dataset())?;
                self.within(to.dataset())
            }
            // A token comes from the other side and may ask for anything that this host has.
            SendCommand::Resume { token, raw: _ } => {
                let token = ResumeToken::decode(token).map_err(|_| Refused::NotOurLine)?;
                let to: SnapshotName = token.to_name.parse().map_err(|_| Refused::NotOurLine)?;
                self.within(to.dataset())
            }
        }
    }

    fn resumed(&self, command: &Command) -> Result<Option<Resumed>, Refused> {
        let (Command::Send(SendCommand::Resume { token, .. })
        | Command::Estimate(SendCommand::Resume { token, .. })) = command
        else {
            return Ok(None);
        };
        let token = ResumeToken::decode(token).map_err(|_| Refused::NotOurLine)?;
        let to: SnapshotName = token.to_name.parse().map_err(|_| Refused::NotOurLine)?;
        self.within(to.dataset())?;
        Ok(Some(Resumed {
            command: command.clone(),
            dataset: to.dataset().clone(),
            to: Guid::new(token.to_guid),
            from: token.from_guid.map(Guid::new),
        }))
    }

    fn within(&self, dataset: &DatasetName) -> Result<(), Refused> {
        if dataset.is_within(&self.tree) {
            return Ok(());
        }
        Err(Refused::OutsideTree { tree: self.tree.clone(), outside: dataset.to_string() })
    }

    /// Strictly: what is set on the tree's own root, a quota say, was set by whoever made it for this key.
    fn below(&self, dataset: &DatasetName) -> Result<(), Refused> {
        if *dataset == self.tree {
            return Err(Refused::OutsideTree {
                tree: self.tree.clone(),
                outside: "what is set on it".to_owned(),
            });
        }
        self.within(dataset)
    }

    fn for_source(&self, verb: &str) -> Result<(), Refused> {
        if self.role == Role::Source { Ok(()) } else { Err(self.not_for_role(verb)) }
    }

    fn for_target(&self, verb: &str) -> Result<(), Refused> {
        if self.role == Role::Source { Err(self.not_for_role(verb)) } else { Ok(()) }
    }

    fn for_destroying_target(&self, verb: &str) -> Result<(), Refused> {
        let may = self.role == Role::Target { append_only: false };
        if may { Ok(()) } else { Err(self.not_for_role(verb)) }
    }

    fn not_for_role(&self, verb: &str) -> Refused {
        let role = match self.role {
            Role::Source => "source",
            Role::Target { append_only: false } => "target",
            Role::Target { append_only: true } => "target that only grows",
        };
        Refused::NotForRole { role, verb: verb.to_owned() }
    }
}

/// A snapshot that was asked for by name, when `found` says that nothing stands in the way.
///
/// Which snapshot a plan meant was compared by GUID on the other side of the gate, a moment ago; here the name is all there is. Holds
/// and clones are looked at again.
pub fn doomed(snapshot: &SnapshotName, found: &[SnapshotDependents]) -> Result<Doomed, Spared> {
    let Some(there) = found.iter().find(|found| found.snapshot == *snapshot) else {
        return Err(Spared::Gone(snapshot.label().clone()));
    };
    let (guid, label) = (there.guid, snapshot.label().clone());
    let casualty = Casualty { guid, label, creation: 0, used: 0, referenced: 0 };
    Doomed::new(snapshot.dataset(), &casualty, found)
}

#[cfg(test)]
mod tests;
