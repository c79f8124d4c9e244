//! What was found in each directory, on disk, in the order in which the walk left them: a directory comes after all that is below it, and
//! its entries say where their own listings begin. So the root is found at the end, every other directory from its parent, and
//! no index is needed in memory. A listing is written in pieces while its directory is walked, and ends with where these pieces are: so a
//! directory of ten million names is never in memory as a whole.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Read, Seek as _, SeekFrom, Write as _},
    sync::Mutex,
};

use camino::Utf8Path;
use zfs_sync_core::verify::{Answer, ByteText, Digest, Entry};

/// Entries in one answer; a larger directory is answered in parts.
const MOST_ENTRIES: usize = 256;
/// Parts of parts, and so on: enough for four thousand million names.
const DEEPEST_PREFIX: usize = 4;

/// One entry with what only this side needs.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) entry: Entry,
    /// Where the listing of this directory is found.
    pub(super) listing: Option<u64>,
}

/// The digest of an entry: everything that both sides must agree in. What can not be read equals nothing, not even itself on the other side.
pub(super) fn digest_of(entry: &Entry, never_equal: &[u8; 32]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&serde_json::to_vec(entry).expect("entries are plain data"));
    if entry.unreadable.is_some() {
        hasher.update(never_equal);
    }
    Digest::new(*hasher.finalize().as_bytes())
}

/// Entries of a directory that are kept until they are written.
const PIECE: usize = 256;

/// A directory that is being walked.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// Not written yet.
    records: Vec<(Record, Digest)>,
    /// Where pieces that were written begin.
    pieces: Vec<u64>,
    /// Two kilobytes, which each level of directories would take from the stack.
    hasher: Box<blake3::Hasher>,
}

/// Writes a manifest.
#[derive(Debug)]
pub(super) struct Writer {
    file: BufWriter<File>,
    position: u64,
    never_equal: [u8; 32],
}

impl Writer {
    /// In a file without a name in `scratch`. What can not be read is told apart from the other side's by `never_equal`.
    pub(super) fn create(scratch: &Utf8Path, never_equal: [u8; 32]) -> io::Result<Self> {
        Ok(Self { file: BufWriter::new(tempfile::tempfile_in(scratch)?), position: 0, never_equal })
    }

    /// Adds the next entry of a directory, by name.
    pub(super) fn add(&mut self, directory: &mut Open, record: Record) -> io::Result<()> {
        let digest = digest_of(&record.entry, &self.never_equal);
        directory.hasher.update(digest.as_bytes());
        directory.records.push((record, digest));
        if directory.records.len() >= PIECE { self.put_piece(directory) } else { Ok(()) }
    }

    /// All entries of a directory were added. Answers its digest and where its listing is found.
    pub(super) fn end(&mut self, mut directory: Open) -> io::Result<(Digest, u64)> {
        if !directory.records.is_empty() {
            self.put_piece(&mut directory)?;
        }
        let at = self.position;
        self.put(&(directory.pieces.len() as u64).to_le_bytes())?;
        for piece in &directory.pieces {
            self.put(&piece.to_le_bytes())?;
        }
        Ok((Digest::new(*directory.hasher.finalize().as_bytes()), at))
    }

    fn put_piece(&mut self, directory: &mut Open) -> io::Result<()> {
        directory.pieces.push(self.position);
        self.put(&(directory.records.len() as u64).to_le_bytes())?;
        for (Record { entry, listing }, digest) in directory.records.drain(..) {
            let text = serde_json::to_vec(&entry)?;
            self.put(digest.as_bytes())?;
            // An offset can not be so large.
            self.put(&listing.unwrap_or(u64::MAX).to_le_bytes())?;
            self.put(&u32::try_from(text.len()).map_err(io::Error::other)?.to_le_bytes())?;
            self.put(&text)?;
        }
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    /// The manifest whose root directory is listed there.
    pub(super) fn finish(self, root: u64) -> io::Result<Manifest> {
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(Manifest { file: Mutex::new(file), root })
    }
}

/// A manifest that is complete.
#[derive(Debug)]
pub(super) struct Manifest {
    file: Mutex<File>,
    root: u64,
}

/// Reads the entries of one directory, one after the other.
struct Listing<'a> {
    file: BufReader<&'a File>,
    /// Pieces that were not begun, the next one last.
    pieces: Vec<u64>,
    /// Entries of the present piece that were not read.
    left: u64,
}

impl<'a> Listing<'a> {
    fn open(mut file: &'a File, at: u64) -> io::Result<Self> {
        file.seek(SeekFrom::Start(at))?;
        let mut file = BufReader::new(file);
        let count = u64::from_le_bytes(bytes(&mut file)?);
        let mut pieces = Vec::new();
        for _ in 0..count {
            pieces.push(u64::from_le_bytes(bytes(&mut file)?));
        }
        pieces.reverse();
        Ok(Self { file, pieces, left: 0 })
    }

    fn next(&mut self) -> io::Result<Option<(Record, Digest)>> {
        if self.left == 0 {
            let Some(piece) = self.pieces.pop() else { return Ok(None) };
            self.file.seek(SeekFrom::Start(piece))?;
            self.left = u64::from_le_bytes(bytes(&mut self.file)?);
        }
        self.left -= 1;
        let digest = Digest::new(bytes(&mut self.file)?);
        let listing = Some(u64::from_le_bytes(bytes(&mut self.file)?)).filter(|at| *at != u64::MAX);
        let length = u32::from_le_bytes(bytes(&mut self.file)?);
        let mut text = vec![0; length as usize];
        self.file.read_exact(&mut text)?;
        let entry = serde_json::from_slice(&text)?;
        Ok(Some((Record { entry, listing }, digest)))
    }
}

fn bytes<const N: usize>(file: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The hash by which large directories are divided.
fn hash_of(name: &ByteText) -> [u8; 32] {
    *blake3::hash(name.as_bytes()).as_bytes()
}

impl Manifest {
    /// What is in a directory, as far as the hashes of names begin with `prefix`.
    pub(super) fn directory(&self, path: &ByteText, prefix: &[u8], split: bool) -> io::Result<Answer> {
        let file = self.file.lock().expect("no holder of this lock panics");
        let at = self.find(&file, path)?;
        let may_split = prefix.len() < DEEPEST_PREFIX;
        if !(split && may_split) {
            let mut entries = Vec::new();
            let mut listing = Listing::open(&file, at)?;
            while let Some((Record { entry, .. }, _)) = listing.next()? {
                if hash_of(&entry.name).starts_with(prefix) {
                    entries.push(entry);
                }
                if entries.len() > MOST_ENTRIES && may_split {
                    break;
                }
            }
            if entries.len() <= MOST_ENTRIES || !may_split {
                return Ok(Answer::Entries { entries });
            }
        }
        let mut parts: Vec<blake3::Hasher> = (0..256).map(|_| blake3::Hasher::new()).collect();
        let mut listing = Listing::open(&file, at)?;
        while let Some((Record { entry, .. }, digest)) = listing.next()? {
            let hash = hash_of(&entry.name);
            if hash.starts_with(prefix) {
                parts[usize::from(hash[prefix.len()])].update(digest.as_bytes());
            }
        }
        let digests = parts.iter().map(|part| Digest::new(*part.finalize().as_bytes())).collect();
        Ok(Answer::Parts { digests })
    }

    /// Where the listing of a directory is found.
    fn find(&self, file: &File, path: &ByteText) -> io::Result<u64> {
        let mut at = self.root;
        for name in path.components() {
            let mut listing = Listing::open(file, at)?;
            let found = loop {
                match listing.next()? {
                    Some((record, _)) if record.entry.name.as_bytes() == name => break record.listing,
                    Some(_) => {}
                    None => break None,
                }
            };
            let missing = || io::Error::new(io::ErrorKind::NotFound, format!("no directory {path} was read"));
            at = found.ok_or_else(missing)?;
        }
        Ok(at)
    }
}
