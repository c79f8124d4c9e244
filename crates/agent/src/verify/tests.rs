use std::{
    fs,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, PermissionsExt as _},
    },
    path::Path,
    sync::Arc,
};

use camino::Utf8Path;
use zfs_sync_core::{
    time::{ManualClock, Timestamp},
    verify::{Outcome, Verdict},
};
use zfs_sync_zfs::memory::Host;

use super::*;

/// Two hosts; what `nas1` has in `tank` is replicated by nobody here, but by the same seed both write the same.
fn twin(name: &str, kind: DatasetKind) -> Host {
    let host = Host::new(name, Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH)), 5);
    host.create_pool("tank", 1 << 30).unwrap();
    host.create_dataset("tank/a", kind).unwrap();
    host.write("tank/a", 3 << 20).unwrap();
    host.snapshot("tank/a@one").unwrap();
    host
}

fn session(host: &Host, scratch: &Utf8Path) -> Box<dyn Side> {
    let snapshot = "tank/a@one".parse().unwrap();
    Box::new(Session::new(host.runner(), snapshot, scratch, Arc::new(Control::default())))
}

async fn compared(left: &Host, right: &Host, deep: bool) -> Verdict {
    let scratch = tempfile::tempdir().unwrap();
    let scratch = Utf8Path::from_path(scratch.path()).unwrap();
    let (mut left, mut right) = (session(left, scratch), session(right, scratch));
    let verdict = compare(&mut *left, &mut *right, deep).await;
    left.close().await.unwrap();
    right.close().await.unwrap();
    assert_eq!(fs::read_dir(scratch).unwrap().count(), 0, "nothing is left behind");
    verdict
}

fn lines(verdict: &Verdict) -> Vec<String> {
    verdict.differences.iter().map(|difference| difference.words("nas1", "nas2")).collect()
}

#[tokio::test]
async fn equal_trees_match_and_one_damaged_write_is_named() {
    let (left, right) = (twin("nas1", DatasetKind::Filesystem), twin("nas2", DatasetKind::Filesystem));
    let verdict = compared(&left, &right, true).await;
    assert_eq!((verdict.outcome, verdict.deep), (Outcome::Matched, true), "{verdict:?}");
    assert_eq!((verdict.entries, verdict.bytes), (4, 3 << 20));
    right.corrupt("tank/a", 1).unwrap();
    let verdict = compared(&left, &right, true).await;
    assert_eq!(verdict.outcome, Outcome::Differs);
    assert_eq!(lines(&verdict), ["write-000001: content differs from byte 0"]);
    // GUID and properties know nothing of it.
    assert_eq!(compared(&left, &right, false).await.outcome, Outcome::Matched);
}

#[tokio::test]
async fn a_volume_is_compared_byte_by_byte() {
    let (left, right) = (twin("nas1", DatasetKind::Volume), twin("nas2", DatasetKind::Volume));
    assert_eq!(compared(&left, &right, true).await.outcome, Outcome::Matched);
    right.corrupt("tank/a", 2).unwrap();
    let verdict = compared(&left, &right, true).await;
    assert_eq!(lines(&verdict), [format!("(the whole): content differs from byte {}", 2 << 20)]);
}

#[tokio::test]
async fn over_ssh_contents_stay_unproven() {
    let (left, right) = (twin("nas1", DatasetKind::Filesystem), twin("nas2", DatasetKind::Filesystem));
    let scratch = tempfile::tempdir().unwrap();
    let scratch = Utf8Path::from_path(scratch.path()).unwrap();
    let snapshot: SnapshotName = "tank/a@one".parse().unwrap();
    let control = Arc::new(Control::default());
    let mut right = Session::new(right.remote_runner(), snapshot, scratch, control);
    let verdict = compare(&mut *session(&left, scratch), &mut right, true).await;
    assert_eq!((verdict.outcome, verdict.code.as_deref()), (Outcome::Unproven, Some("E_VERIFY_UNSUPPORTED")));
}

#[tokio::test]
async fn a_snapshot_that_is_not_there_has_a_code() {
    let host = twin("nas1", DatasetKind::Filesystem);
    let snapshot = "tank/a@two".parse().unwrap();
    let mut session = Session::new(host.runner(), snapshot, Utf8Path::new("/"), Arc::new(Control::default()));
    let answer = Session::answer(&mut session, &Question::Inspect).await;
    assert!(matches!(answer, Answer::Refused { code, .. } if code == "E_DATASET_NOT_FOUND"));
}

/// Reads a directory of this machine.
fn walked(root: &Path, control: &Control) -> (Manifest, Summary) {
    let scratch = tempfile::tempdir().unwrap();
    let root = fs::File::open(root).unwrap().into();
    walk::read(&root, Utf8Path::from_path(scratch.path()).unwrap(), true, control).unwrap()
}

/// What differs between two directories of this machine, apart from times, which are not the same in copies made by a test.
fn differing(left: &Path, right: &Path) -> Vec<String> {
    let (left, right) = (walked(left, &Control::default()), walked(right, &Control::default()));
    assert_ne!(left.1.root.content, right.1.root.content);
    let name = |path: &str| path.parse::<ByteText>().unwrap();
    let entries = |manifest: &Manifest| match manifest.directory(&name(""), &[], false).unwrap() {
        Answer::Entries { entries } => entries,
        other => panic!("{other:?}"),
    };
    let (left, right) = (entries(&left.0), entries(&right.0));
    let differs = |(left, right): (&Entry, &Entry)| (left != right).then(|| left.name.to_string());
    left.iter().zip(&right).filter_map(differs).collect()
}

fn settle(root: &Path) {
    let times = fs::FileTimes::new().set_modified(std::time::SystemTime::UNIX_EPOCH);
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.symlink_metadata().unwrap().is_dir() {
            settle(&path);
        }
        if !path.is_symlink() {
            fs::File::open(&path).unwrap().set_times(times).unwrap();
        }
    }
    fs::File::open(root).unwrap().set_times(times).unwrap();
}

fn sample(root: &Path) {
    fs::create_dir_all(root.join("deep/er")).unwrap();
    fs::write(root.join("deep/er/file"), "x").unwrap();
    fs::write(root.join("file"), "content").unwrap();
    fs::hard_link(root.join("file"), root.join("same")).unwrap();
    fs::write(root.join("perm"), "").unwrap();
    fs::write(root.join(std::ffi::OsStr::from_bytes(b"not\xffutf8\n")), "").unwrap();
    settle(root);
}

#[test]
fn every_kind_of_difference_reaches_the_digest_of_the_root() {
    let copies = tempfile::tempdir().unwrap();
    let (left, right) = (copies.path().join("left"), copies.path().join("right"));
    sample(&left);
    sample(&right);
    let content = |path: &Path| walked(path, &Control::default()).1.root.content;
    assert_eq!(content(&left), content(&right));
    fs::set_permissions(right.join("perm"), fs::Permissions::from_mode(0o4711)).unwrap();
    assert_eq!(differing(&left, &right), ["perm"]);
    sample_again(&right);
    fs::write(right.join("deep/er/file"), "y").unwrap();
    settle(&right);
    assert_eq!(differing(&left, &right), ["deep"]);
    sample_again(&right);
    fs::remove_file(right.join("same")).unwrap();
    fs::copy(right.join("file"), right.join("same")).unwrap();
    settle(&right);
    assert_eq!(differing(&left, &right), ["same"], "a copy is no hard link");
    sample_again(&right);
    fs::write(right.join(std::ffi::OsStr::from_bytes(b"not\xffutf8\n")), "!").unwrap();
    settle(&right);
    assert_eq!(differing(&left, &right), ["not\\xffutf8\\x0a"]);
}

fn sample_again(root: &Path) {
    fs::remove_dir_all(root).unwrap();
    sample(root);
}

#[test]
fn a_deep_tree_needs_few_open_files_and_is_found_again_by_path() {
    let root = tempfile::tempdir().unwrap();
    // Deeper than the usual limit of open files; made from within, because the path is too long for one call.
    let mut directory: OwnedDirectory = fs::File::open(root.path()).unwrap().into();
    // One more than is gone into.
    let depth = 5001;
    for _ in 0..depth {
        rustix::fs::mkdirat(&directory, "d", rustix::fs::Mode::RWXU).unwrap();
        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY;
        directory = rustix::fs::openat(&directory, "d", flags, rustix::fs::Mode::empty()).unwrap();
    }
    let source = root.path().to_owned();
    let (manifest, summary) = std::thread::Builder::new()
        .stack_size(STACK)
        .spawn(move || walked(&source, &Control::default()))
        .unwrap()
        .join()
        .unwrap();
    assert_eq!(summary.entries, depth + 1);
    let entries_of = |depth: usize| {
        let path = ByteText::new(vec!["d"; depth].join("/"));
        let Answer::Entries { entries } = manifest.directory(&path, &[], false).unwrap() else {
            panic!("one entry")
        };
        entries
    };
    assert_eq!((entries_of(1000).len(), &entries_of(1000)[0].unreadable), (1, &None));
    assert_eq!(
        entries_of(5000)[0].unreadable.as_deref(),
        Some("directories are nested too deeply here"),
        "which is told, and ends nothing"
    );
    // From below, or removing it would need as many open files as it has levels.
    for _ in 0..depth {
        directory =
            rustix::fs::openat(&directory, "..", rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty())
                .unwrap();
        rustix::fs::unlinkat(&directory, "d", rustix::fs::AtFlags::REMOVEDIR).unwrap();
    }
}

type OwnedDirectory = std::os::fd::OwnedFd;

#[test]
fn a_large_directory_is_answered_in_parts_that_hold_all_of_it() {
    let root = tempfile::tempdir().unwrap();
    // More than a piece of a listing has.
    for number in 0..600 {
        fs::write(root.path().join(format!("file-{number}")), "").unwrap();
    }
    fs::create_dir(root.path().join("below")).unwrap();
    fs::write(root.path().join("below/x"), "").unwrap();
    let (manifest, _) = walked(root.path(), &Control::default());
    let whole = ByteText::default();
    assert!(
        matches!(manifest.directory(&whole, &[], false).unwrap(), Answer::Parts { digests } if digests.len() == 256)
    );
    let mut found = 0;
    for byte in 0..=u8::MAX {
        let Answer::Entries { entries } = manifest.directory(&whole, &[byte], false).unwrap() else {
            panic!("a part of 600 names has few");
        };
        assert!(entries.windows(2).all(|pair| pair[0].name < pair[1].name));
        found += entries.len();
    }
    assert_eq!(found, 601);
    let Answer::Entries { entries } = manifest.directory(&ByteText::new(*b"below"), &[], false).unwrap()
    else {
        panic!("one name");
    };
    assert_eq!(entries[0].name, ByteText::new(*b"x"));
}

#[test]
fn devices_pipes_sockets_and_links_are_described_and_never_opened() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    // A pipe that was opened would wait for its writer for ever.
    rustix::fs::mknodat(rustix::fs::CWD, path("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    std::os::unix::fs::symlink("/proc/self/mem", path("link")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
    let (manifest, _) = walked(root.path(), &Control::default());
    let Answer::Entries { entries } = manifest.directory(&ByteText::default(), &[], false).unwrap() else {
        panic!("three names");
    };
    let kinds: Vec<_> = entries.iter().map(|entry| (entry.kind, &entry.unreadable, entry.content)).collect();
    let expected = [EntryKind::Symlink, EntryKind::Pipe, EntryKind::Socket].map(|kind| (kind, &None, None));
    assert_eq!(kinds, expected);
    assert_eq!(entries[0].target, Some(ByteText::new(*b"/proc/self/mem")));
}

#[test]
fn a_hole_is_not_read_and_equals_zeros() {
    let root = tempfile::tempdir().unwrap();
    let (size, hole, zeros) = (8_u64 << 20, root.path().join("hole"), root.path().join("zeros"));
    let file = fs::File::create(&hole).unwrap();
    file.set_len(size + 5).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"x", 3 << 20).unwrap();
    let mut text = vec![0; usize::try_from(size).unwrap() + 5];
    text[3 << 20] = b'x';
    fs::write(&zeros, text).unwrap();
    let digest = |path: &Path| {
        let control = Control::default();
        let digest = blocks::digest(&fs::File::open(path).unwrap(), size + 5, &control).unwrap();
        (digest, control.progress().1)
    };
    let (with_hole, read) = digest(&hole);
    let (with_zeros, all) = digest(&zeros);
    assert_eq!((with_hole, all), (with_zeros, size + 5));
    assert!(read < size / 2, "{read} bytes were read");
    let short = blocks::digest(&fs::File::open(&hole).unwrap(), size * 2, &Control::default()).unwrap_err();
    assert_eq!(short.kind(), std::io::ErrorKind::UnexpectedEof, "a hole ends where the file does");
}

#[tokio::test]
async fn another_snapshot_that_took_the_name_is_never_compared() {
    let right = twin("nas2", DatasetKind::Filesystem);
    let scratch = tempfile::tempdir().unwrap();
    let scratch = Utf8Path::from_path(scratch.path()).unwrap();
    let mut changed = session(&right, scratch);
    changed.answer(&[Question::Inspect]).await;
    right.destroy_snapshot("tank/a@one").unwrap();
    right.write("tank/a", 1 << 10).unwrap();
    right.snapshot("tank/a@one").unwrap();
    let answers = changed.answer(&[Question::Digest { access_lists: true }]).await;
    assert!(
        matches!(&answers[0], Answer::Refused { code, .. } if code == "E_DATASET_NOT_FOUND"),
        "{answers:?}"
    );
    changed.close().await.unwrap();
}

#[test]
fn a_cancelled_reading_ends_and_its_pace_is_kept() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("f"), vec![1; 100]).unwrap();
    let control = Control::default();
    control.cancel();
    let scratch = Utf8Path::from_path(root.path()).unwrap();
    let open = fs::File::open(root.path()).unwrap().into();
    let error = walk::read(&open, scratch, true, &control).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::Interrupted);
    let slow = Control::new(Some(1000));
    let begun = std::time::Instant::now();
    slow.read(100).unwrap();
    assert!(begun.elapsed() >= std::time::Duration::from_millis(100), "100 bytes at 1000 a second");
}

#[test]
fn blocks_are_read_again_exactly() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("d")).unwrap();
    fs::write(root.path().join("d/f"), b"aabbc").unwrap();
    let open = fs::File::open(root.path()).unwrap().into();
    let file = walk::open_file(&open, &ByteText::new(*b"d/f")).unwrap();
    assert_eq!(file.metadata().unwrap().size(), 5);
    let control = Control::default();
    let found = blocks::digests(&file, (0, 5, 2), &control).unwrap();
    // The digest of the digest of its only piece.
    let of = |part: &[u8]| *blake3::hash(blake3::hash(part).as_bytes()).as_bytes();
    let expected = [&b"aa"[..], b"bb", b"c"].map(of);
    assert_eq!(found.iter().map(|digest| *digest.as_bytes()).collect::<Vec<_>>(), expected);
    assert!(blocks::digests(&file, (0, 6, 2), &control).is_err(), "longer than it is");
    assert!(blocks::digests(&file, (0, 5, 0), &control).is_err());
}
