//! Receiving: what `zfs receive -s -u` checks, keeps and refuses.

use zfs_sync_core::{
    guid::Guid,
    inventory::DatasetKind,
    name::{DatasetName, SnapshotName},
    stream::PIN,
};

use super::{
    state::{Dataset, Extent, Partial, Refusal, Snapshot, State},
    stream::{Header, Piece},
};
use crate::{command::ReceiveCommand, parse::resume_token::ResumeToken};

/// What happens with one snapshot of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begun {
    /// It is there already: read and forgotten.
    Skipped,
    /// It is received.
    Receiving,
}

/// Why a piece can not be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It does not follow on what is there.
    Damaged,
    /// The pool is full.
    OutOfSpace,
}

/// How the messages about this stream begin.
const fn subject(header: &Header) -> &'static str {
    match (header.resume, begins_a_dataset(header)) {
        (Some(_), _) => "cannot receive resume stream",
        (None, false) => "cannot receive incremental stream",
        (None, true) => NEW_FILESYSTEM,
    }
}

/// Said of everything that makes a dataset, volumes too.
const NEW_FILESYSTEM: &str = "cannot receive new filesystem stream";

/// True for a full stream and for a clone's: neither is taken into a dataset that exists.
const fn begins_a_dataset(header: &Header) -> bool {
    header.from_guid.is_none() || header.clone
}

pub(super) fn refusal(header: &Header, why: &str) -> Refusal {
    Refusal::new(format!("{}: {why}", subject(header)))
}

fn partial_of(header: &Header, base_extents: usize, newest: Option<Guid>, new_dataset: bool) -> Partial {
    Partial {
        to_guid: header.to_guid,
        from_guid: header.from_guid,
        to_name: header.to_name.clone(),
        creation: header.creation,
        raw: header.raw,
        base_extents,
        extents: Vec::new(),
        last_received: 0,
        bytes: 0,
        newest,
        new_dataset,
        active: true,
    }
}

/// The `receive_resume_token` of an interrupted (or running) receive.
pub(super) fn token(partial: &Partial) -> String {
    ResumeToken {
        object: 1,
        offset: partial.bytes,
        bytes: partial.bytes,
        to_guid: partial.to_guid.get(),
        to_name: partial.to_name.to_string(),
        from_guid: partial.from_guid.map(Guid::get),
        large_blocks: !partial.raw,
        embedded: !partial.raw,
        compressed: !partial.raw,
        raw: partial.raw,
    }
    .encode()
}

impl State {
    /// Everything that is checked before the first byte of content is read.
    pub(super) fn begin_receive(
        &mut self,
        command: &ReceiveCommand,
        header: &Header,
        now: i64,
    ) -> Result<Begun, Refusal> {
        let target = &command.dataset;
        // The state of an interrupted receive is kept in such a dataset (dmu_recv.c).
        let pool = self.pools.get(target.pool());
        if command.resumable && pool.is_some_and(|pool| pool.disabled.contains("extensible_dataset")) {
            return Err(refusal(header, "pool must be upgraded to receive this stream."));
        }
        let origin = self.origin_of_receive(command, header)?;
        let Some(dataset) = self.datasets.get_mut(target) else {
            return self.begin_new(command, header, origin.as_ref(), now);
        };
        let refused = |why: String| Err(refusal(header, &why));
        if let Some(offset) = header.resume.filter(|_| command.origin.is_none()) {
            return begin_resumed(target, dataset, header, offset);
        }
        let Some(from) = header.from_guid.filter(|_| !header.clone && command.origin.is_none()) else {
            return Err(Refusal::new(format!(
                "{NEW_FILESYSTEM}: destination '{target}' exists\nmust specify -F to overwrite it"
            )));
        };
        if header.raw && !dataset.encrypted {
            return refused("cannot perform raw receive on top of existing unencrypted dataset".to_owned());
        }
        if header.raw && dataset.plain_received {
            return refused("IV set guid mismatch. See the 'zfs receive' man page section\n discussing the limitations of raw encrypted send streams.".to_owned());
        }
        if !header.raw && dataset.encrypted && !dataset.key_loaded {
            return refused("inherited key must be loaded".to_owned());
        }
        if dataset.partial.is_some() {
            return refused(format!(
                "destination {target} contains partially-complete state from \"zfs receive -s\"."
            ));
        }
        if dataset.snapshot(header.to_name.label()).is_some() {
            return if dataset.by_guid(header.to_guid).is_some() {
                Ok(Begun::Skipped)
            } else {
                Err(already_there(target, header))
            };
        }
        let Some(base) = dataset.by_guid(from) else {
            return refused(format!("most recent snapshot of {target} does not\nmatch incremental source"));
        };
        // As in OpenZFS: snapshots without any content of their own may lie above the base, except for a raw stream.
        let newest = dataset.newest().map(|snapshot| snapshot.guid) == Some(from);
        if dataset.log.len() != base.extents || (header.raw && !newest) {
            return refused(format!("destination {target} has been modified\nsince most recent snapshot"));
        }
        let newest = dataset.newest().map(|snapshot| snapshot.guid);
        dataset.partial = Some(partial_of(header, base.extents, newest, false));
        Ok(Begun::Receiving)
    }

    fn begin_new(
        &mut self,
        command: &ReceiveCommand,
        header: &Header,
        origin: Option<&(Dataset, Snapshot)>,
        now: i64,
    ) -> Result<Begun, Refusal> {
        let target = &command.dataset;
        let starts_elsewhere =
            |(_, snapshot): &(Dataset, Snapshot)| header.from_guid.is_some_and(|from| from != snapshot.guid);
        if origin.is_some_and(starts_elsewhere) {
            let why = format!("most recent snapshot of {target} does not\nmatch incremental source");
            return Err(refusal(header, &why));
        }
        let is_whole = header.from_guid.is_none() || origin.is_some();
        let Some(parent) = target.parent().filter(|_| header.resume.is_none() && is_whole) else {
            return Err(refusal(header, &format!("destination '{target}' does not exist")));
        };
        match self.datasets.get(&parent) {
            None => {
                let why = refusal(header, "unable to restore to destination");
                let stderr = format!("cannot open '{parent}': dataset does not exist\n{}", why.stderr);
                return Err(Refusal { stderr, ..why });
            }
            Some(parent_dataset) if parent_dataset.kind == DatasetKind::Volume => {
                return Err(refusal(header, &format!("parent '{parent}' is not a filesystem")));
            }
            Some(above) if !header.raw && above.encrypted && !above.key_loaded => {
                return Err(refusal(header, "inherited key must be loaded"));
            }
            Some(_) => {}
        }
        let mut dataset = self.new_dataset(target, header.kind, now);
        if header.raw {
            (dataset.encrypted, dataset.key_loaded, dataset.own_key) = (true, false, true);
        }
        let base_extents = origin.map_or(0, |(_, snapshot)| snapshot.extents);
        if let Some((of, snapshot)) = origin {
            let (encrypted, key_loaded) = (dataset.encrypted, dataset.key_loaded);
            Self::become_clone(&mut dataset, of, snapshot);
            if header.raw {
                (dataset.encrypted, dataset.key_loaded) = (encrypted, key_loaded);
            }
        }
        dataset.mounted = false;
        if let Some(first) = &command.first {
            dataset.readonly = true;
            dataset.canmount = if first.kind == DatasetKind::Volume { "on" } else { "noauto" };
            dataset.local.insert(PIN.to_owned(), first.form.to_string());
            let copied = first.properties.iter();
            dataset.local.extend(copied.map(|(property, value)| (property.to_string(), value.clone())));
        }
        dataset.partial = Some(partial_of(header, base_extents, None, true));
        self.datasets.insert(target.clone(), dataset);
        Ok(Begun::Receiving)
    }

    /// Takes the next piece of content.
    pub(super) fn take_piece(&mut self, target: &DatasetName, piece: &Piece) -> Result<(), Trouble> {
        if self.available(target.pool()) < piece.length {
            return Err(Trouble::OutOfSpace);
        }
        let partial = self.datasets.get_mut(target).and_then(|dataset| dataset.partial.as_mut());
        let partial = partial.filter(|partial| partial.active).ok_or(Trouble::Damaged)?;
        let complete = partial.extents.last().is_none_or(|extent| extent.length == partial.last_received);
        let follows = if piece.offset == 0 {
            complete
        } else {
            partial.extents.last() == Some(&piece.extent) && partial.last_received == piece.offset
        };
        if !follows || piece.offset + piece.length > piece.extent.length {
            return Err(Trouble::Damaged);
        }
        if piece.offset == 0 {
            partial.extents.push(piece.extent);
            partial.last_received = 0;
        }
        partial.last_received += piece.length;
        partial.bytes += piece.length;
        Ok(())
    }

    /// The end record came: the snapshot becomes visible.
    pub(super) fn finish_receive(
        &mut self,
        target: &DatasetName,
        header: &Header,
        now: i64,
    ) -> Result<(), Refusal> {
        let createtxg = self.next_txg(target.pool());
        let dataset = self.dataset_mut(target)?;
        let damaged = || refusal(header, "checksum mismatch");
        let partial = dataset.partial.as_ref().filter(|partial| partial.active).ok_or_else(damaged)?;
        if partial.extents.last().is_some_and(|extent| extent.length != partial.last_received) {
            return Err(damaged());
        }
        if dataset.log.len() != partial.base_extents {
            let why = format!("destination {target} has been modified\nsince most recent snapshot");
            return Err(refusal(header, &why));
        }
        if dataset.snapshot(header.to_name.label()).is_some() {
            return Err(already_there(target, header));
        }
        // Somebody made a snapshot meanwhile. OpenZFS has one text for everything that does not continue what is there.
        if !partial.new_dataset && dataset.newest().map(|newest| newest.guid) != partial.newest {
            return Err(refusal(header, "kernel modules must be upgraded to receive this stream."));
        }
        if let Some(partial) = dataset.partial.take() {
            dataset.plain_received |= dataset.encrypted && !partial.raw;
            dataset.content_bytes += partial.extents.iter().map(Extent::growth).sum::<u64>();
            dataset.log.extend(partial.extents);
            dataset.snapshots_changed = Some(now);
            dataset.snapshots.push(Snapshot {
                guid: partial.to_guid,
                createtxg,
                creation: partial.creation,
                label: header.to_name.label().clone(),
                extents: dataset.log.len(),
                holds: std::collections::BTreeMap::new(),
                readers: 0,
            });
        }
        Ok(())
    }

    /// The receiving process ended early: what came stays, as `-s` promises; a receive without any content leaves nothing.
    pub(super) fn interrupt_receive(&mut self, target: &DatasetName) {
        let Some(dataset) = self.datasets.get_mut(target) else { return };
        match &mut dataset.partial {
            Some(partial) if partial.bytes > 0 => partial.active = false,
            Some(partial) if partial.new_dataset => {
                self.datasets.remove(target);
            }
            Some(_) => dataset.partial = None,
            None => {}
        }
    }

    /// What `zfs receive -s` says when its stream was cut, after [`Self::interrupt_receive`].
    pub(super) fn cut(&self, target: &DatasetName, header: &Header, damaged: bool) -> Refusal {
        let damage = if damaged { "checksum mismatch" } else { "incomplete stream" };
        let partial = self.datasets.get(target).and_then(|dataset| dataset.partial.as_ref());
        match partial.filter(|partial| partial.to_guid == header.to_guid) {
            None => refusal(header, damage),
            Some(partial) => refusal(
                header,
                &format!(
                    "checksum mismatch or incomplete stream.\nPartially received snapshot is saved.\nA resuming stream can be generated on the sending system by running:\n    zfs send -t {}",
                    token(partial)
                ),
            ),
        }
    }
}

fn begin_resumed(
    target: &DatasetName,
    dataset: &mut Dataset,
    header: &Header,
    offset: u64,
) -> Result<Begun, Refusal> {
    match &mut dataset.partial {
        // OpenZFS says this of every busy dataset that has a token, and a receive that is running has one.
        Some(partial) if partial.active => Err(refusal(
            header,
            &format!("destination {target} contains partially-complete state from \"zfs receive -s\"."),
        )),
        Some(partial)
            if (partial.to_guid, partial.from_guid, partial.bytes, partial.raw)
                == (header.to_guid, header.from_guid, offset, header.raw) =>
        {
            partial.active = true;
            Ok(Begun::Receiving)
        }
        // What OpenZFS says of every stream that does not continue the saved state.
        _ => Err(refusal(header, "kernel modules must be upgraded to receive this stream.")),
    }
}

fn already_there(target: &DatasetName, header: &Header) -> Refusal {
    let name = SnapshotName::new(target.clone(), header.to_name.label().clone());
    let name = name.map_or_else(|_| target.to_string(), |name| name.to_string());
    Refusal::new(format!("cannot restore to {name}: destination already exists"))
}
