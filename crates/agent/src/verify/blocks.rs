//! Bytes of files and volumes, as digests.
//!
//! Content is hashed in pieces, and the pieces' digests are hashed again. So a hole is not read: each of its pieces has the digest of as many
//! zeros, which is known. Where one side stores zeros and the other a hole, both say the same.

use std::{fs::File, io, os::unix::fs::FileExt as _};

use rustix::{fs::SeekFrom, io::Errno};
use zfs_sync_core::verify::Digest;

use super::control::Control;

/// Read and hashed at once: the largest record of ZFS that is common.
const PIECE: usize = 1 << 20;
/// Blocks in one answer.
const MOST_BLOCKS: u64 = 256;

/// Of everything up to `size`, which must be there.
pub(super) fn digest(file: &File, size: u64, control: &Control) -> io::Result<Digest> {
    Reader::new(file, control).part(0, size)
}

/// Of each block of a part.
pub(super) fn digests(
    file: &File,
    (offset, length, block): (u64, u64, u64),
    control: &Control,
) -> io::Result<Vec<Digest>> {
    let invalid = || io::Error::new(io::ErrorKind::InvalidInput, "a part that does not exist was asked for");
    let end = offset.checked_add(length).ok_or_else(invalid)?;
    if block == 0 || length.div_ceil(block) > MOST_BLOCKS {
        return Err(invalid());
    }
    let mut reader = Reader::new(file, control);
    let mut found = Vec::new();
    let mut from = offset;
    while from < end {
        let length = block.min(end - from);
        found.push(reader.part(from, length)?);
        from += length;
    }
    Ok(found)
}

struct Reader<'a> {
    file: &'a File,
    control: &'a Control,
    buffer: Vec<u8>,
    /// Of a whole piece of zeros.
    zeros: blake3::Hash,
    /// From where on, as far as was looked, there are data; what lies between the place that was asked about and it is a hole.
    data: Option<u64>,
}

impl<'a> Reader<'a> {
    fn new(file: &'a File, control: &'a Control) -> Self {
        let buffer = vec![0; PIECE];
        Self { file, control, zeros: blake3::hash(&buffer), buffer, data: None }
    }

    /// The digest of a part, all of which must be there.
    fn part(&mut self, offset: u64, length: u64) -> io::Result<Digest> {
        let mut hasher = blake3::Hasher::new();
        let (mut at, end) = (offset, offset + length);
        while at < end {
            let most = usize::try_from(end - at).map_or(PIECE, |rest| rest.min(PIECE));
            if most == PIECE && self.is_hole(at)? {
                self.control.check()?;
                hasher.update(self.zeros.as_bytes());
            } else {
                let piece = &mut self.buffer[..most];
                read_exactly(self.file, piece, at)?;
                self.control.read(most)?;
                hasher.update(blake3::hash(piece).as_bytes());
            }
            at += most as u64;
        }
        Ok(Digest::new(*hasher.finalize().as_bytes()))
    }

    /// True when nothing is stored in the whole piece that begins there.
    fn is_hole(&mut self, at: u64) -> io::Result<bool> {
        let end = at + PIECE as u64;
        match self.data {
            Some(data) if data >= end => return Ok(true),
            // Data may begin again anywhere behind it.
            Some(data) if data > at => return Ok(false),
            _ => {}
        }
        match rustix::fs::seek(self.file, SeekFrom::Data(at)) {
            Ok(data) => {
                self.data = Some(data);
                Ok(data >= end)
            }
            // From here on there is nothing but a hole, up to the end: which must be where the size says.
            Err(Errno::NXIO) => Ok(self.file.metadata()?.len() >= end),
            // Devices have no holes.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }
}

fn read_exactly(file: &File, piece: &mut [u8], offset: u64) -> io::Result<()> {
    file.read_exact_at(piece, offset).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            let text = format!("it ended before its byte {}", offset + piece.len() as u64);
            io::Error::new(io::ErrorKind::UnexpectedEof, text)
        }
        _ => error,
    })
}
