//! Sending: which snapshots a stream has, how large it is, and what `zfs send` refuses.

use zfs_sync_core::{
    guid::Guid,
    name::{BookmarkName, DatasetName, SnapshotName},
};

use super::{
    state::{Dataset, Extent, Refusal, Snapshot, State},
    stream::{FRAME, Header, Piece, Record, pieces},
};
use crate::{
    command::SendCommand,
    parse::resume_token::{ResumeToken, ResumeTokenError},
};

/// One snapshot of a stream.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) header: Header,
    /// How the source calls what the part starts from.
    pub(super) from: Option<String>,
    pub(super) extents: Vec<Extent>,
}

impl Part {
    pub(super) fn pieces(&self) -> impl Iterator<Item = Piece> + '_ {
        pieces(&self.extents, self.header.resume.unwrap_or(0))
    }

    /// Bytes in the stream.
    pub(super) fn size(&self) -> u64 {
        let content: u64 = self.pieces().map(|piece| piece.record_size()).sum();
        Record::begin_size(&self.header) + content + FRAME as u64
    }
}

/// A stream that can be written.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    pub(super) parts: Vec<Part>,
    /// The source's GUID, and the snapshots that are read from.
    pub(super) dataset: Guid,
    pub(super) reads: Vec<Guid>,
}

/// What an incremental stream starts from.
struct Base {
    guid: Guid,
    extents: usize,
    name: String,
    /// It lies in another dataset than what is sent.
    elsewhere: bool,
}

impl Base {
    fn snapshot(snapshot: &Snapshot) -> Self {
        Self {
            guid: snapshot.guid,
            extents: snapshot.extents,
            name: snapshot.label.to_string(),
            elsewhere: false,
        }
    }
}

fn part(
    name: &DatasetName,
    dataset: &Dataset,
    base: Option<&Base>,
    to: &Snapshot,
    raw: bool,
) -> Result<Part, Refusal> {
    let to_name = SnapshotName::new(name.clone(), to.label.clone())
        .map_err(|error| Refusal::new(format!("cannot open '{name}@{}': {error}", to.label)))?;
    // A bookmark newer than the snapshot is silently taken by OpenZFS: the stream then lacks everything between.
    let start = base.map_or(0, |base| base.extents).min(to.extents);
    Ok(Part {
        header: Header {
            to_guid: to.guid,
            from_guid: base.map(|base| base.guid),
            to_name,
            kind: dataset.kind,
            creation: to.creation,
            raw,
            clone: base.is_some_and(|base| base.elsewhere),
            resume: None,
            package: false,
        },
        from: base.map(|base| base.name.clone()),
        extents: dataset.log[start..to.extents].to_vec(),
    })
}

impl State {
    /// Decides what the stream consists of.
    pub(super) fn prepare_send(&self, command: &SendCommand) -> Result<Outgoing, Refusal> {
        match command {
            SendCommand::Full { to, form } => self.prepare_one(to, None, form.is_raw()),
            SendCommand::FromBookmark { base, to, form } => {
                let found = self.find_bookmark(base, to)?;
                self.prepare_one(to, Some(&found), form.is_raw())
            }
            SendCommand::Incremental { base, to, form } => self.prepare_package(base, to, form.is_raw()),
            SendCommand::Single { base, to, form } => {
                let found = self.find_earlier(base, to)?;
                self.prepare_one(to, Some(&found), form.is_raw())
            }
            SendCommand::Resume { token, raw } => self.prepare_resumed(token, *raw),
        }
    }

    fn prepare_one(&self, to: &SnapshotName, base: Option<&Base>, raw: bool) -> Result<Outgoing, Refusal> {
        let (dataset, snapshot) = self.snapshot(to)?;
        check_key(dataset, to, raw)?;
        let part = part(to.dataset(), dataset, base, snapshot, raw && dataset.encrypted)?;
        Ok(Outgoing { parts: vec![part], dataset: dataset.guid, reads: vec![snapshot.guid] })
    }

    fn find_bookmark(&self, base: &BookmarkName, to: &SnapshotName) -> Result<Base, Refusal> {
        let dataset = self.dataset(base.dataset()).map_err(|_| Refusal::missing(to))?;
        let bookmark = dataset.bookmarks.iter().find(|bookmark| bookmark.label == *base.label());
        match bookmark {
            Some(bookmark) => Ok(Base {
                guid: bookmark.guid,
                extents: bookmark.extents,
                name: base.to_string(),
                elsewhere: base.dataset() != to.dataset(),
            }),
            None => Err(Refusal::new(format!(
                "warning: cannot send '{to}': incremental source ({base}) does not exist"
            ))),
        }
    }

    /// What `-i` starts from: an earlier snapshot of the same dataset, or one in the past of the dataset it is a clone of.
    fn find_earlier(&self, base: &SnapshotName, to: &SnapshotName) -> Result<Base, Refusal> {
        let (dataset, end) = self.snapshot(to)?;
        let Ok((of, start)) = self.snapshot(base) else {
            return Err(Refusal::new(format!(
                "warning: cannot send '{to}': incremental source ({base}) does not exist"
            )));
        };
        if !self.is_before(of, start, dataset, end) {
            return Err(Refusal::new(format!(
                "warning: cannot send '{to}': not an earlier snapshot from the same fs"
            )));
        }
        let elsewhere = base.dataset() != to.dataset();
        Ok(Base { name: base.to_string(), elsewhere, ..Base::snapshot(start) })
    }

    fn prepare_package(
        &self,
        base: &SnapshotName,
        to: &SnapshotName,
        raw: bool,
    ) -> Result<Outgoing, Refusal> {
        let dataset = self.dataset(to.dataset())?;
        let refused = |why: &str| Refusal::new(format!("WARNING: could not send {to}:{why}"));
        let end = dataset.snapshot(to.label()).ok_or_else(|| refused(" does not exist"))?;
        let start = Some(base)
            .filter(|base| base.dataset() == to.dataset())
            .and_then(|base| dataset.snapshot(base.label()))
            // Of a base that is newer, OpenZFS says the same: it looks among the earlier ones.
            .filter(|base| base.createtxg < end.createtxg)
            .ok_or_else(|| refused(&format!("\nincremental source ({base}) does not exist")))?;
        check_key(dataset, to, raw)?;
        let between = dataset
            .snapshots
            .iter()
            .filter(|snapshot| snapshot.createtxg > start.createtxg && snapshot.createtxg <= end.createtxg);
        let mut previous = Base::snapshot(start);
        let (mut parts, mut reads) = (Vec::new(), vec![start.guid]);
        for snapshot in between {
            parts.push(part(to.dataset(), dataset, Some(&previous), snapshot, raw && dataset.encrypted)?);
            reads.push(snapshot.guid);
            previous = Base::snapshot(snapshot);
        }
        if parts.len() > 1 {
            for part in &mut parts {
                part.header.package = true;
            }
        }
        Ok(Outgoing { parts, dataset: dataset.guid, reads })
    }

    fn prepare_resumed(&self, token: &str, raw: bool) -> Result<Outgoing, Refusal> {
        let refused = |why: &str| Refusal { code: 255, ..Refusal::new(format!("cannot resume send: {why}")) };
        let token = ResumeToken::decode(token).map_err(|error| {
            let what = if error == ResumeTokenError::Form { "invalid format" } else { "incorrect checksum" };
            refused(&format!("resume token is corrupt ({what})"))
        })?;
        let to_name: SnapshotName = token.to_name.parse().map_err(|_| refused("resume token is corrupt"))?;
        let Some((name, dataset, snapshot)) = self.find_snapshot(to_name.dataset(), Guid::new(token.to_guid))
        else {
            return Err(if self.snapshot(&to_name).is_ok() {
                refused(&format!("'{to_name}' is no longer the same snapshot used in the initial send"))
            } else {
                refused(&format!("'{to_name}' used in the initial send no longer exists"))
            });
        };
        let base = match token.from_guid {
            None => None,
            Some(guid) => Some(
                find_base(name, dataset, Guid::new(guid))
                    .or_else(|| self.find_inherited_base(dataset, Guid::new(guid)))
                    .ok_or_else(|| refused(&format!("incremental source {guid:#x} no longer exists")))?,
            ),
        };
        // `-w` makes the rest raw, whatever the token says (OpenZFS 2.3.9).
        let raw = token.raw || (raw && dataset.encrypted);
        let mut part = part(name, dataset, base.as_ref(), snapshot, raw)?;
        part.header.resume = Some(token.bytes);
        check_key(dataset, &part.header.to_name, raw)?;
        Ok(Outgoing { parts: vec![part], dataset: dataset.guid, reads: vec![snapshot.guid] })
    }

    /// The base of a clone's first stream lies in the dataset that it is a clone of.
    fn find_inherited_base(&self, dataset: &Dataset, guid: Guid) -> Option<Base> {
        let (name, parent) = self.by_dataset_guid(dataset.origin?.dataset)?;
        let own = find_base(name, parent, guid).map(|base| Base { elsewhere: true, ..base });
        own.or_else(|| self.find_inherited_base(parent, guid))
    }

    /// Looks first where the token says, then in the whole pool: a renamed snapshot or dataset is found.
    fn find_snapshot(&self, hint: &DatasetName, guid: Guid) -> Option<(&DatasetName, &Dataset, &Snapshot)> {
        let named = self.datasets.get_key_value(hint).into_iter();
        let others = self.datasets.iter().filter(|(name, _)| name.pool() == hint.pool());
        named.chain(others).find_map(|(name, dataset)| Some((name, dataset, dataset.by_guid(guid)?)))
    }

    /// Marks snapshots as being read, so that they can not be destroyed meanwhile.
    pub(super) fn count_readers(&mut self, outgoing: &Outgoing, begin: bool) {
        let Some(dataset) = self.datasets.values_mut().find(|dataset| dataset.guid == outgoing.dataset)
        else {
            return;
        };
        for snapshot in dataset.snapshots.iter_mut().filter(|found| outgoing.reads.contains(&found.guid)) {
            snapshot.readers = if begin { snapshot.readers + 1 } else { snapshot.readers.saturating_sub(1) };
        }
    }
}

/// Plain text is sent of what can be decrypted only.
fn check_key(dataset: &Dataset, to: &SnapshotName, raw: bool) -> Result<(), Refusal> {
    if dataset.encrypted && !dataset.key_loaded && !raw {
        return Err(Refusal::new(format!("warning: cannot send '{to}': dataset key must be loaded")));
    }
    Ok(())
}

fn find_base(name: &DatasetName, dataset: &Dataset, guid: Guid) -> Option<Base> {
    let bookmark = || {
        let found = dataset.bookmarks.iter().find(|bookmark| bookmark.guid == guid)?;
        let name = format!("{name}#{}", found.label);
        Some(Base { guid, extents: found.extents, name, elsewhere: false })
    };
    let snapshot = dataset.by_guid(guid).map(|found| {
        let name = format!("{name}@{}", found.label);
        Base { name, ..Base::snapshot(found) }
    });
    snapshot.or_else(bookmark)
}

/// What a dry run of `zfs send -t` prints about the token before everything else.
fn token_contents(token: &ResumeToken) -> String {
    let from = token.from_guid.map(|guid| format!("\tfromguid = {guid:#x}\n")).unwrap_or_default();
    let ResumeToken { object, offset, bytes, to_guid, to_name, .. } = token;
    let flags = [
        ("largeblockok", token.large_blocks),
        ("embedok", token.embedded),
        ("compressok", token.compressed),
        ("rawok", token.raw),
    ];
    let flags: Vec<_> =
        flags.iter().filter(|(_, set)| *set).map(|(name, _)| format!("\t{name} = 1\n")).collect();
    let flags = flags.concat();
    format!(
        "resume token contents:\nnvlist version: 0\n{from}\tobject = {object:#x}\n\toffset = {offset:#x}\n\tbytes = {bytes:#x}\n\ttoguid = {to_guid:#x}\n\ttoname = {to_name}\n{flags}"
    )
}

/// What `zfs send -nvP` prints.
pub(super) fn estimate(command: &SendCommand, outgoing: &Outgoing) -> String {
    let contents = match command {
        SendCommand::Resume { token, .. } => ResumeToken::decode(token).map(|token| token_contents(&token)),
        _ => Ok(String::new()),
    };
    let line = |part: &Part| {
        let (to, size) = (&part.header.to_name, part.size());
        match &part.from {
            Some(from) => format!("incremental\t{from}\t{to}\t{size}"),
            None => format!("full\t{to}\t{size}"),
        }
    };
    let total: u64 = outgoing.parts.iter().map(Part::size).sum();
    let lines = outgoing.parts.iter().map(line).chain(std::iter::once(format!("size\t{total}\n")));
    contents.unwrap_or_default() + &lines.collect::<Vec<_>>().join("\n")
}
