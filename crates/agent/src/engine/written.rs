//! Whether a target was written to, beyond what a rollback may give up.
//!
//! While the newest snapshot is there, `written` tells all: whatever was written since, it is in there, even where it took the place of
//! older content and the dataset refers to as much as before. With the newest snapshot its content is counted as well, and
//! then nobody can tell approved content from what came later. So the newest goes last, what the target is like is measured right before,
//! and compared right after; a process that did not see it go can not go on ([`check`] then counts everything).

use zfs_sync_core::{
    inventory::{Dataset, Snapshot},
    size::ByteCount,
};
use zfs_sync_zfs::{command::Command, parse};

use super::{Run, failure::Failure, view::name_of};

/// What a target was like in the moment before its newest listed snapshot went.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before {
    /// Bytes, of the dataset itself.
    referenced: u64,
    /// Bytes that it referred to and the snapshot to go back to did not.
    since_goal: u64,
    /// Bytes that might have been written besides.
    spare: u64,
}

/// Nothing was written since the newest snapshot but what may be given up.
pub(super) fn check(run: &Run<'_>, discards: u64, dataset: &Dataset) -> Result<(), Failure> {
    let written = dataset.properties.written;
    if written <= discards { Ok(()) } else { Err(refuse(run, written, discards)) }
}

fn refuse(run: &Run<'_>, written: u64, discards: u64) -> Failure {
    let (written, discards, target) = (ByteCount(written), ByteCount(discards), &run.step.target);
    Failure::stale(format!("{written} were written to {target}, and {discards} may be given up"))
}

/// Bytes that the dataset refers to and this snapshot of it does not (`written@SNAPSHOT`).
pub(super) async fn since(run: &Run<'_>, dataset: &Dataset, snapshot: &Snapshot) -> Result<u64, Failure> {
    let runner = run.sides.target;
    let name = name_of(dataset, snapshot)?;
    let properties = vec![format!("written@{}", snapshot.label)];
    let doing = format!("read what was written since {name} on {}", runner.host());
    let output = runner.run(&Command::Get { dataset: dataset.name.clone(), properties }).await;
    let output = output.map_err(|error| Failure::command(&doing, &error))?;
    let found = parse::properties(&output.stdout).unwrap_or_default();
    let written = found.first().and_then(|property| property.value.parse().ok());
    written.ok_or_else(|| Failure::stale(format!("could not {doing}: it is not told")))
}

impl Before {
    /// Fails when more was written than may be given up. `since_goal` was read before `dataset`: whatever is written after it
    /// was read counts once at least.
    pub(super) fn new(
        run: &Run<'_>,
        discards: u64,
        since_goal: u64,
        dataset: &Dataset,
    ) -> Result<Self, Failure> {
        check(run, discards, dataset)?;
        let properties = &dataset.properties;
        let spare = discards.saturating_sub(properties.written);
        Ok(Self { referenced: properties.referenced, since_goal, spare })
    }

    /// Fails when the dataset has changed since.
    ///
    /// What can not be seen is what took the place of content that the destroyed snapshots had brought, within the moment
    /// between two commands.
    pub(super) fn compare(self, run: &Run<'_>, after: &Dataset) -> Result<(), Failure> {
        let Self { referenced, since_goal, spare } = self;
        let properties = &after.properties;
        let grown = properties.written.saturating_sub(since_goal);
        let changed = grown.max(properties.referenced.abs_diff(referenced));
        if changed <= spare { Ok(()) } else { Err(refuse(run, changed, spare)) }
    }
}
