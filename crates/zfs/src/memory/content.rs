//! What a snapshot holds, as files: each write of the dataset is one, so that equal content gives equal trees.

use std::{
    fs::{File, FileTimes},
    io::{self, Seek as _, Write as _},
    time::SystemTime,
};

use zfs_sync_core::{inventory::DatasetKind, name::SnapshotName};

use super::{operator::Host, random::fill_payload, state::Extent};
use crate::{
    content::{self, Content, Tree, Volume},
    error::{Error, Kind},
};

/// Payload is made in pieces of this size; a multiple of eight.
const PIECE: usize = 64 * 1024;

pub(super) fn open(host: &Host, snapshot: &SnapshotName) -> Result<Content, Error> {
    let fail = |kind: Kind, why: String| content::error(host.name(), snapshot, kind, why);
    let found = host.0.read(|state| {
        let (dataset, found) = state.snapshot(snapshot)?;
        let readable = !dataset.encrypted || dataset.key_loaded;
        Ok((dataset.kind, readable, dataset.log[..found.extents].to_vec()))
    });
    let (kind, readable, extents) =
        found.map_err(|refusal: super::state::Refusal| fail(Kind::NotFound, refusal.stderr))?;
    if !readable {
        return Err(fail(Kind::KeyNotLoaded, "could not be mounted: encryption key not loaded".to_owned()));
    }
    let made = match kind {
        DatasetKind::Filesystem => tree(&extents),
        DatasetKind::Volume => volume(&extents),
    };
    made.map_err(|error| fail(Kind::Unclassified, format!("could not be made of memory: {error}")))
}

fn tree(extents: &[Extent]) -> io::Result<Content> {
    let directory = tempfile::tempdir()?;
    let same_time = FileTimes::new().set_modified(SystemTime::UNIX_EPOCH);
    for (number, extent) in extents.iter().enumerate() {
        let mut file = File::create(directory.path().join(format!("write-{number:06}")))?;
        write(&mut file, extent)?;
        file.set_times(same_time)?;
    }
    let root = File::open(directory.path())?;
    root.set_times(same_time)?;
    Ok(Content::Tree(Tree::new(root.into(), Some(Box::new(directory)))))
}

fn volume(extents: &[Extent]) -> io::Result<Content> {
    let mut file = tempfile::tempfile()?;
    for extent in extents {
        write(&mut file, extent)?;
    }
    let size = file.stream_position()?;
    Ok(Content::Volume(Volume::new(file, size, None)))
}

fn write(file: &mut File, extent: &Extent) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    let mut offset = 0;
    while offset < extent.length {
        let length = usize::try_from(extent.length - offset).map_or(PIECE, |rest| rest.min(PIECE));
        fill_payload(extent.seed, offset, &mut piece[..length]);
        file.write_all(&piece[..length])?;
        offset += length as u64;
    }
    Ok(())
}

impl Host {
    /// A disk gives other bits than were written, and nobody notices: the dataset's write with this number is another from now on, in every
    /// snapshot that has it.
    pub fn corrupt(&self, dataset: &str, write: usize) -> Result<(), Error> {
        let done = self.0.change_silently(|state, _| {
            let name = dataset.parse().ok()?;
            let extent = state.datasets.get_mut(&name)?.log.get_mut(write)?;
            extent.seed ^= 1;
            Some(())
        });
        done.ok_or_else(|| Error {
            host: self.name().to_owned(),
            command: format!("corrupt {dataset}"),
            status: "found nothing to corrupt".to_owned(),
            stderr: String::new(),
            kind: Kind::NotFound,
        })
    }
}
