//! Reads everything below a directory, in the order of the bytes of names.
//!
//! Files are opened relative to their directory, never by a path from the root, so that no path is too long. While the walk is below a
//! directory, its descriptor is closed and opened again on the way back, so that no tree is too deep for the number of open files.

use std::{
    collections::HashMap,
    fs::File,
    io,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
};

use camino::Utf8Path;
use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, lgetxattr, llistxattr, openat, readlinkat, statat},
    io::Errno,
};
use zfs_sync_core::verify::{ByteText, Digest, Entry, EntryKind, Summary};

use super::{
    blocks,
    control::Control,
    manifest::{Manifest, Open, Record, Writer},
};

/// The longest list of names of attributes, and the longest value, that Linux hands out.
const ATTRIBUTE: usize = 64 << 10;
/// Each level takes a few kilobytes of the thread's stack, and anybody who may write can nest directories without end.
const DEEPEST: u32 = 5000;
/// What the security module of this very machine answers, whatever is stored.
const OF_THIS_MACHINE: &[u8] = b"security.selinux";
const ACCESS_LISTS: &[u8] = b"system.posix_acl_";

/// Reads everything. Directories and files that can not be read are noted as such; only a manifest that can not be written is an error.
pub(super) fn read(
    root: &OwnedFd,
    scratch: &Utf8Path,
    access_lists: bool,
    control: &Control,
) -> io::Result<(Manifest, Summary)> {
    let never_equal: [u8; 32] = rand::random();
    let mut walk = Walk {
        writer: Writer::create(scratch, never_equal)?,
        links: HashMap::new(),
        access_lists,
        control,
        names: vec![0; ATTRIBUTE],
        value: vec![0; ATTRIBUTE],
        entries: 0,
        depth: 0,
    };
    let root = openat(root, ".", DIRECTORY, Mode::empty())?;
    let stat = statat(&root, ".", AtFlags::SYMLINK_NOFOLLOW)?;
    let mut entry = walk.describe(&root, b".", &stat)?;
    entry.name = ByteText::default();
    let (_, digest, listing) = walk.directory(root, &ByteText::default())?;
    entry.content = Some(digest);
    let (_, bytes) = control.progress();
    let summary = Summary { root: entry, entries: walk.entries + 1, bytes };
    Ok((walk.writer.finish(listing)?, summary))
}

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Not blocked by a pipe that was put in the place of a file.
const FILE: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

/// Opens a file by its path below the root.
pub(super) fn open_file(root: &OwnedFd, path: &ByteText) -> io::Result<File> {
    let mut components = path.components().peekable();
    let mut directory = openat(root, ".", DIRECTORY, Mode::empty())?;
    while let Some(name) = components.next() {
        if components.peek().is_none() {
            return Ok(openat(&directory, name, FILE, Mode::empty())?.into());
        }
        directory = openat(&directory, name, DIRECTORY, Mode::empty())?;
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "the root is no file"))
}

/// The descriptor of a directory comes back, whether it could be listed or not.
type Below = (OwnedFd, io::Result<(Digest, u64)>);

/// A file with several names, of which the first was read.
struct Link {
    first: ByteText,
    content: Option<Digest>,
    unreadable: Option<String>,
    /// Names that were not seen yet.
    left: u32,
}

struct Walk<'a> {
    writer: Writer,
    links: HashMap<u64, Link>,
    access_lists: bool,
    control: &'a Control,
    names: Vec<u8>,
    value: Vec<u8>,
    entries: u64,
    /// Directories between the root and where it is.
    depth: u32,
}

impl Walk<'_> {
    /// Reads a directory and all below it. Gives its descriptor back, its digest, and where its listing begins.
    fn directory(&mut self, mut directory: OwnedFd, path: &ByteText) -> io::Result<(OwnedFd, Digest, u64)> {
        let names = Names::of(&directory)?;
        let mut open = Open::default();
        for name in names.sorted() {
            self.control.check()?;
            self.control.entry();
            self.entries += 1;
            let below = path.join(&ByteText::new(name));
            let stat = match statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(errno) => {
                    let mut entry = Entry::new(ByteText::new(name), EntryKind::File);
                    entry.unreadable = Some(words(&errno.into()));
                    self.writer.add(&mut open, Record { entry, listing: None })?;
                    continue;
                }
            };
            let mut entry = self.describe(&directory, name, &stat)?;
            let mut listing = None;
            match entry.kind {
                EntryKind::Directory => match openat(&directory, name, DIRECTORY, Mode::empty()) {
                    Ok(child) => {
                        drop(directory);
                        let (child, found) = self.below(child, &below)?;
                        directory = openat(&child, "..", DIRECTORY, Mode::empty())?;
                        match found {
                            Ok((digest, at)) => (entry.content, listing) = (Some(digest), Some(at)),
                            Err(error) => entry.unreadable = Some(words(&error)),
                        }
                    }
                    Err(errno) => entry.unreadable = Some(words(&errno.into())),
                },
                EntryKind::File => self.file(&directory, name, &stat, &below, &mut entry)?,
                EntryKind::Symlink
                | EntryKind::BlockDevice
                | EntryKind::CharacterDevice
                | EntryKind::Pipe
                | EntryKind::Socket
                | EntryKind::Volume => {}
            }
            self.writer.add(&mut open, Record { entry, listing })?;
        }
        let (digest, at) = self.writer.end(open)?;
        Ok((directory, digest, at))
    }

    /// Like [`Self::directory`], where a directory that can not be listed is told and not an error.
    fn below(&mut self, child: OwnedFd, path: &ByteText) -> io::Result<Below> {
        if self.depth >= DEEPEST {
            return Ok((child, Err(io::Error::other("directories are nested too deeply here"))));
        }
        // The listing is tried before anything is read, so that any error afterwards is ours.
        let listed =
            Dir::read_from(&child).and_then(|mut directory| directory.try_for_each(|entry| entry.map(drop)));
        match listed {
            Ok(()) => {
                self.depth += 1;
                let (child, digest, at) = self.directory(child, path)?;
                self.depth -= 1;
                Ok((child, Ok((digest, at))))
            }
            Err(errno) => Ok((child, Err(errno.into()))),
        }
    }

    /// What is known of an entry without reading its content.
    fn describe(&mut self, directory: &OwnedFd, name: &[u8], stat: &Stat) -> io::Result<Entry> {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => EntryKind::Directory,
            FileType::Symlink => EntryKind::Symlink,
            FileType::BlockDevice => EntryKind::BlockDevice,
            FileType::CharacterDevice => EntryKind::CharacterDevice,
            FileType::Fifo => EntryKind::Pipe,
            FileType::Socket => EntryKind::Socket,
            _ => EntryKind::File,
        };
        let mut entry = Entry::new(ByteText::new(name), kind);
        entry.mode = stat.st_mode & 0o7777;
        (entry.uid, entry.gid) = (stat.st_uid, stat.st_gid);
        entry.modified = stat.st_mtime;
        entry.modified_nanos = u32::try_from(stat.st_mtime_nsec).unwrap_or_default();
        match kind {
            EntryKind::File => entry.size = u64::try_from(stat.st_size).unwrap_or_default(),
            EntryKind::BlockDevice | EntryKind::CharacterDevice => entry.device = stat.st_rdev,
            EntryKind::Symlink => match readlinkat(directory, name, Vec::new()) {
                Ok(target) => entry.target = Some(ByteText::new(target.into_bytes())),
                Err(errno) => entry.unreadable = Some(words(&errno.into())),
            },
            EntryKind::Directory | EntryKind::Pipe | EntryKind::Socket | EntryKind::Volume => {}
        }
        if let Err(errno) = self.attributes(directory, name, &mut entry) {
            entry.unreadable = Some(format!("its attributes: {}", words(&errno.into())));
        }
        self.control.check()?;
        Ok(entry)
    }

    /// By path, because a link or a device must not be opened; through the descriptor of the directory, so that it is short.
    fn attributes(&mut self, directory: &OwnedFd, name: &[u8], entry: &mut Entry) -> Result<(), Errno> {
        let mut path = format!("/proc/self/fd/{}/", directory.as_raw_fd()).into_bytes();
        path.extend_from_slice(name);
        let path = std::ffi::OsStr::from_bytes(&path);
        let length = match llistxattr(path, &mut self.names[..]) {
            Ok(length) => length,
            Err(Errno::OPNOTSUPP) => return Ok(()),
            Err(errno) => return Err(errno),
        };
        for attribute in self.names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
            let is_access_list = attribute.starts_with(ACCESS_LISTS);
            if attribute == OF_THIS_MACHINE || (is_access_list && !self.access_lists) {
                continue;
            }
            let length = lgetxattr(path, attribute, &mut self.value[..])?;
            let digest = Digest::new(*blake3::hash(&self.value[..length]).as_bytes());
            entry.attributes.insert(ByteText::new(attribute), digest);
        }
        Ok(())
    }

    fn file(
        &mut self,
        directory: &OwnedFd,
        name: &[u8],
        stat: &Stat,
        path: &ByteText,
        entry: &mut Entry,
    ) -> io::Result<()> {
        let names = u32::try_from(stat.st_nlink).unwrap_or(u32::MAX);
        let inode = stat.st_ino;
        if let Some(link) = self.links.get_mut(&inode) {
            entry.linked = Some(link.first.clone());
            entry.content = link.content;
            entry.unreadable = entry.unreadable.take().or_else(|| link.unreadable.clone());
            link.left -= 1;
            if link.left == 0 {
                self.links.remove(&inode);
            }
            return Ok(());
        }
        let read = openat(directory, name, FILE, Mode::empty())
            .map_err(io::Error::from)
            .and_then(|file| blocks::digest(&file.into(), entry.size, self.control));
        self.control.check()?;
        match read {
            Ok(digest) => entry.content = Some(digest),
            Err(error) => entry.unreadable = Some(words(&error)),
        }
        if names > 1 {
            let link = Link {
                first: path.clone(),
                content: entry.content,
                unreadable: entry.unreadable.clone(),
                left: names - 1,
            };
            self.links.insert(inode, link);
        }
        Ok(())
    }
}

/// The names in a directory, in one piece of memory: there may be millions.
struct Names {
    bytes: Vec<u8>,
    /// Where each begins, and how long it is.
    places: Vec<(usize, u16)>,
}

impl Names {
    fn of(directory: &OwnedFd) -> io::Result<Self> {
        let (mut bytes, mut places) = (Vec::new(), Vec::new());
        for found in Dir::read_from(directory)? {
            let found = found?;
            let name = found.file_name().to_bytes();
            if name != b"." && name != b".." {
                let length = u16::try_from(name.len()).map_err(io::Error::other)?;
                places.push((bytes.len(), length));
                bytes.extend_from_slice(name);
            }
        }
        places.sort_unstable_by(|one, other| at(&bytes, *one).cmp(at(&bytes, *other)));
        Ok(Self { bytes, places })
    }

    /// In the order of their bytes.
    fn sorted(&self) -> impl Iterator<Item = &[u8]> {
        self.places.iter().map(|place| at(&self.bytes, *place))
    }
}

fn at(bytes: &[u8], (begin, length): (usize, u16)) -> &[u8] {
    &bytes[begin..begin + usize::from(length)]
}

/// What the system said, without the number that stands behind it.
fn words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split_once(" (os error").map_or(text.clone(), |(words, _)| words.to_owned())
}
