//! The stream format of the in-memory ZFS: framed records, each with a checksum.
//!
//! A stream is one [`Record::Begin`], its [`Record::Data`] and an [`Record::End`] for each snapshot; a package (several
//! snapshots) closes with [`Record::Close`], so that a stream cut between two snapshots is known to be cut.

use zfs_sync_core::{guid::Guid, inventory::DatasetKind, name::SnapshotName};

use super::{
    random::{checksum, fill_payload},
    state::Extent,
};

/// Begins every stream.
const MAGIC: u64 = 0x5a53_594e_434d_454d;
/// Kind, length and checksum stand before each record's body.
pub(super) const FRAME: usize = 13;
/// Payload bytes in one record.
pub(super) const CHUNK: u64 = 64 * 1024;
/// Fixed part of a begin record's body.
const BEGIN: usize = 41;
/// Fixed part of a data record's body.
const DATA: usize = 24;

/// Set in an extent's length when it took the place of older content.
const IN_PLACE: u64 = 1 << 63;

/// What one snapshot's stream says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) to_guid: Guid,
    pub(super) from_guid: Option<Guid>,
    pub(super) to_name: SnapshotName,
    pub(super) kind: DatasetKind,
    pub(super) creation: i64,
    pub(super) raw: bool,
    /// It starts from a snapshot of another dataset: what receives it is a clone, which begins with it.
    pub(super) clone: bool,
    /// Continues an interrupted receive after this many payload bytes.
    pub(super) resume: Option<u64>,
    /// More snapshots may follow in the same stream.
    pub(super) package: bool,
}

/// A piece of one extent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) extent: Extent,
    pub(super) offset: u64,
    pub(super) length: u64,
}

impl Piece {
    /// The bytes a record with this piece takes in the stream.
    pub(super) const fn record_size(&self) -> u64 {
        (FRAME + DATA) as u64 + self.length
    }
}

/// The pieces of some extents, without the first `skip` bytes.
pub(super) fn pieces(extents: &[Extent], skip: u64) -> impl Iterator<Item = Piece> + '_ {
    let whole = extents.iter().flat_map(|extent| {
        (0..extent.length.div_ceil(CHUNK)).map(move |index| {
            let offset = index * CHUNK;
            Piece { extent: *extent, offset, length: CHUNK.min(extent.length - offset) }
        })
    });
    let mut passed = 0;
    whole.skip_while(move |piece| {
        passed += piece.length;
        passed <= skip
    })
}

/// One record, as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    Begin(Header),
    Data(Piece),
    End,
    Close,
}

/// Why bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Damage {
    /// Not a stream at all.
    Magic,
    /// It was one once.
    Checksum,
}

fn frame(kind: u8, body: &[u8], target: &mut Vec<u8>) {
    target.clear();
    target.push(kind);
    target.extend_from_slice(&u32::try_from(body.len()).expect("records are small").to_le_bytes());
    target.extend_from_slice(&checksum(body).to_le_bytes());
    target.extend_from_slice(body);
}

impl Record {
    /// Writes the record into `target`, whose former content goes.
    pub(super) fn encode(&self, target: &mut Vec<u8>) {
        match self {
            Self::Begin(header) => {
                let mut body = Vec::with_capacity(BEGIN + 255);
                body.extend_from_slice(&MAGIC.to_le_bytes());
                body.extend_from_slice(&header.to_guid.get().to_le_bytes());
                body.extend_from_slice(&header.from_guid.map_or(0, Guid::get).to_le_bytes());
                body.extend_from_slice(&header.creation.to_le_bytes());
                body.extend_from_slice(&header.resume.unwrap_or(0).to_le_bytes());
                body.push(
                    u8::from(header.raw)
                        | u8::from(header.kind == DatasetKind::Volume) << 1
                        | u8::from(header.package) << 2
                        | u8::from(header.resume.is_some()) << 3
                        | u8::from(header.clone) << 4,
                );
                body.extend_from_slice(header.to_name.to_string().as_bytes());
                frame(1, &body, target);
            }
            Self::Data(piece) => {
                let length = usize::try_from(piece.length).expect("a piece is at most CHUNK");
                let mut body = vec![0; DATA + length];
                body[..8].copy_from_slice(&piece.extent.seed.to_le_bytes());
                let place = if piece.extent.in_place { IN_PLACE } else { 0 };
                body[8..16].copy_from_slice(&(piece.extent.length | place).to_le_bytes());
                body[16..24].copy_from_slice(&piece.offset.to_le_bytes());
                fill_payload(piece.extent.seed, piece.offset, &mut body[DATA..]);
                frame(2, &body, target);
            }
            Self::End => frame(3, &[], target),
            Self::Close => frame(4, &[], target),
        }
    }

    /// The length of the body that follows a frame, and what the frame says of it.
    pub(super) fn frame_of(bytes: &[u8; FRAME]) -> Result<(u8, usize, u64), Damage> {
        let length = u32::from_le_bytes(bytes[1..5].try_into().expect("four bytes"));
        let sum = u64::from_le_bytes(bytes[5..13].try_into().expect("eight bytes"));
        let fits = matches!(bytes[0], 1..=4) && u64::from(length) <= CHUNK + 1024;
        if fits { Ok((bytes[0], length as usize, sum)) } else { Err(Damage::Magic) }
    }

    /// The record with this frame and body. Payload is compared with what its sender must have had.
    pub(super) fn decode(kind: u8, sum: u64, body: &[u8]) -> Result<Self, Damage> {
        if checksum(body) != sum {
            return Err(Damage::Checksum);
        }
        let word = |at: usize| {
            body.get(at..at + 8).map_or(0, |bytes| u64::from_le_bytes(bytes.try_into().expect("eight bytes")))
        };
        match kind {
            1 if body.len() > BEGIN && word(0) == MAGIC => {
                let flags = body[40];
                let name = std::str::from_utf8(&body[BEGIN..]).map_err(|_| Damage::Magic)?;
                Ok(Self::Begin(Header {
                    to_guid: Guid::new(word(8)),
                    from_guid: Some(word(16)).filter(|guid| *guid != 0).map(Guid::new),
                    creation: word(24).cast_signed(),
                    resume: (flags & 8 != 0).then(|| word(32)),
                    raw: flags & 1 != 0,
                    clone: flags & 16 != 0,
                    kind: if flags & 2 == 0 { DatasetKind::Filesystem } else { DatasetKind::Volume },
                    package: flags & 4 != 0,
                    to_name: name.parse().map_err(|_| Damage::Magic)?,
                }))
            }
            2 if body.len() >= DATA => {
                let (length, in_place) = (word(8) & !IN_PLACE, word(8) & IN_PLACE != 0);
                let extent = Extent { seed: word(0), length, in_place };
                let piece = Piece { extent, offset: word(16), length: (body.len() - DATA) as u64 };
                let mut expected = vec![0; body.len() - DATA];
                fill_payload(extent.seed, piece.offset, &mut expected);
                if expected == body[DATA..] { Ok(Self::Data(piece)) } else { Err(Damage::Checksum) }
            }
            3 => Ok(Self::End),
            4 => Ok(Self::Close),
            _ => Err(Damage::Magic),
        }
    }

    /// The bytes a begin record takes in the stream.
    pub(super) fn begin_size(header: &Header) -> u64 {
        (FRAME + BEGIN + header.to_name.to_string().len()) as u64
    }
}
