//! What real systems printed, through our parsers. `tests/golden/PLATFORM-VERSION/` holds the outputs; `commands.tsv` there says
//! which command each came from.

#![expect(clippy::unwrap_used, reason = "a test that can not go on has failed")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use zfs_sync_core::{guid::Guid, inventory::DatasetKind};
use zfs_sync_zfs::{
    command::ListColumns,
    delegation::{self, Duty},
    error::{Kind, classify},
    parse::{self, resume_token::ResumeToken},
};

/// One captured system.
struct System {
    directory: PathBuf,
    /// The command line of each file.
    commands: BTreeMap<String, String>,
}

impl System {
    fn all() -> Vec<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let mut systems: Vec<_> = fs::read_dir(root)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|directory| directory.join("commands.tsv").exists())
            .map(|directory| {
                let commands = fs::read_to_string(directory.join("commands.tsv")).unwrap();
                let commands = commands.lines().filter_map(|line| line.split_once('\t'));
                let commands =
                    commands.map(|(file, command)| (file.to_owned(), command.to_owned())).collect();
                Self { directory, commands }
            })
            .collect();
        systems.sort_by(|a, b| a.directory.cmp(&b.directory));
        assert!(!systems.is_empty());
        systems
    }

    fn text(&self, name: &str) -> String {
        let path = self.directory.join(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// A captured listing with the columns we ask for: those captured, picked and put in order, and `-` for others.
    fn listing(&self, name: &str, wanted: &[&str]) -> String {
        let command = &self.commands[name];
        let mut words = command.split(' ');
        words.find(|word| *word == "-o").unwrap_or_else(|| panic!("{command} names no columns"));
        let captured: Vec<_> = words.next().unwrap().split(',').collect();
        let mut listing = String::new();
        for line in self.text(name).lines() {
            let values: Vec<_> = line.split('\t').collect();
            assert_eq!(values.len(), captured.len(), "{name}: {line}");
            let picked = wanted.iter().map(|column| {
                captured.iter().position(|known| known == column).map_or("-", |index| values[index])
            });
            listing.push_str(&picked.collect::<Vec<_>>().join("\t"));
            listing.push('\n');
        }
        listing
    }

    fn files(&self, folder: &str) -> Vec<(String, String)> {
        let Ok(entries) = fs::read_dir(self.directory.join(folder)) else { return Vec::new() };
        let mut files: Vec<_> = entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_file())
            .map(|path| {
                let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
                (name, fs::read_to_string(&path).unwrap())
            })
            .collect();
        files.sort();
        files
    }

    fn columns(&self) -> ListColumns {
        let newer = self.commands["list-datasets.txt"].contains("snapshots_changed");
        if newer { ListColumns::DatasetWithChanges } else { ListColumns::Dataset }
    }
}

#[test]
fn versions_are_read() {
    for system in System::all() {
        let versions = parse::versions(&system.text("zfs-version.txt")).unwrap();
        let (_, version) = system.directory.file_name().unwrap().to_str().unwrap().split_once('-').unwrap();
        assert!(versions.kernel.starts_with(version), "{versions:?}");
        assert!(versions.userland.starts_with(version), "{versions:?}");
        assert!(versions.common().unwrap() >= (2, 1));
    }
}

#[test]
fn every_dataset_is_read_with_its_kind_encryption_and_origin() {
    for system in System::all() {
        let columns = system.columns();
        let text = system.listing("list-datasets.txt", columns.names());
        let rows = parse::datasets(&text, columns).unwrap();
        assert_eq!(rows.len(), text.lines().count());
        let find = |name: &str| rows.iter().find(|row| row.name.as_str() == name).unwrap();
        let volume = &find("tank/vm-1").properties;
        assert_eq!((volume.kind, volume.mounted), (DatasetKind::Volume, false));
        assert!(find("tank/media/home videos").properties.mounted);
        assert!(find("tank/media/legacy").properties.readonly);
        assert!(find("tank/secret/child").properties.encrypted);
        assert!(!find("tank/media").properties.encrypted);
        let origin = find("tank/clone").properties.origin.as_deref();
        assert_eq!(origin, Some("tank/media/home videos@before the cleanup"));
        let changed = rows.iter().filter(|row| row.snapshots_changed.is_some()).count();
        assert_eq!(changed > 0, columns == ListColumns::DatasetWithChanges);
        assert!(rows.iter().all(|row| row.resume_token.is_none()));
    }
}

#[test]
fn interrupted_receives_are_found_and_understood() {
    for system in System::all() {
        let text = system.listing("list-datasets-partial.txt", ListColumns::Dataset.names());
        let rows = parse::datasets(&text, ListColumns::Dataset).unwrap();
        let partial: Vec<_> = rows.iter().filter(|row| row.resume_token.is_some()).collect();
        assert!(!partial.is_empty());
        for row in partial {
            let partial = row.properties.partial.as_ref().unwrap();
            assert!(partial.to_name.starts_with("tank/"), "{partial:?}");
            assert!(partial.bytes > 0, "{partial:?}");
        }
    }
}

#[test]
fn snapshots_and_bookmarks_are_read_in_their_order() {
    let columns = ["name", "guid", "createtxg", "creation", "used", "referenced", "userrefs"];
    for system in System::all() {
        for name in ["list-snapshots.txt", "list-snapshots-of-one.txt"] {
            let text = system.listing(name, &columns);
            let history = parse::history(&text).unwrap();
            let read: usize =
                history.values().map(|(snapshots, bookmarks)| snapshots.len() + bookmarks.len()).sum();
            assert_eq!(read, text.lines().count());
            let (snapshots, bookmarks) = &history[&"tank/media".parse().unwrap()];
            assert!(snapshots.is_sorted_by_key(|snapshot| snapshot.createtxg));
            assert!(bookmarks.iter().all(|bookmark| snapshots.iter().any(|snapshot| {
                (snapshot.guid, snapshot.createtxg) == (bookmark.guid, bookmark.createtxg)
            })));
            assert!(!bookmarks.is_empty());
            assert!(snapshots.iter().any(|snapshot| snapshot.holds > 0));
        }
        assert_eq!(parse::history(&system.text("list-empty.txt")).unwrap().len(), 0);
    }
}

#[test]
fn holds_are_read() {
    for system in System::all() {
        let holds = parse::holds(&system.text("holds.txt")).unwrap();
        let tags: Vec<_> = holds.iter().map(|hold| hold.tag.as_str()).collect();
        assert!(tags.contains(&"keep for the auditor"), "{tags:?}");
        assert!(tags.iter().any(|tag| tag.starts_with("zfs-sync:")), "{tags:?}");
        assert!(holds.iter().all(|hold| hold.snapshot.to_string() == "tank/media@daily-2026-11-19"));
    }
}

#[test]
fn pools_are_read() {
    let columns = ["name", "guid", "size", "allocated", "free", "health"];
    for system in System::all() {
        let text = system.listing("zpool-list.txt", &columns);
        let pools = parse::pools(&text).unwrap();
        let tank = pools.iter().find(|pool| pool.name == "tank").unwrap();
        assert_eq!(tank.health, "ONLINE");
        assert_eq!(tank.allocated + tank.free, tank.size);
        assert_ne!(tank.guid, Guid::new(0));
    }
}

#[test]
fn every_dry_run_has_its_size() {
    for system in System::all() {
        let mut found = 0;
        for (name, text) in system.files("") {
            let is_dry_run =
                name.starts_with("send-dry-run") || name.ends_with("-dry-run") && name.starts_with("token");
            if !is_dry_run || name == "send-dry-run-for-people" {
                continue;
            }
            let size = parse::estimate(&text, "").unwrap_or_else(|| panic!("{name}: {text}"));
            // What the single streams add up to.
            let parts: u64 = text
                .lines()
                .filter(|line| line.starts_with("full\t") || line.starts_with("incremental\t"))
                .map(|line| line.rsplit('\t').next().unwrap().parse::<u64>().unwrap())
                .sum();
            assert_eq!(size, parts, "{name}: {text}");
            found += 1;
        }
        assert!(found >= 6, "{found}");
    }
}

/// What `zfs send -nv -t` says is in a token.
fn contents(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(|line| line.strip_prefix('\t')?.split_once(" = ")).collect()
}

#[test]
fn every_token_is_decoded_as_zfs_does_and_encoded_to_the_same_list() {
    for system in System::all() {
        let mut found = 0;
        for (name, text) in system.files("") {
            let Some(case) = name.strip_suffix("-contents") else { continue };
            let token = system.text(&format!("{case}.txt"));
            let decoded = ResumeToken::decode(&token).unwrap_or_else(|error| panic!("{case}: {error}"));
            let contents = contents(&text);
            let number = |name: &str| {
                contents
                    .get(name)
                    .map(|text| u64::from_str_radix(text.strip_prefix("0x").unwrap(), 16).unwrap())
            };
            let flag = |name: &str| contents.contains_key(name);
            let expected = ResumeToken {
                object: number("object").unwrap(),
                offset: number("offset").unwrap(),
                bytes: number("bytes").unwrap(),
                to_guid: number("toguid").unwrap(),
                to_name: contents["toname"].to_owned(),
                from_guid: number("fromguid"),
                large_blocks: flag("largeblockok"),
                embedded: flag("embedok"),
                compressed: flag("compressok"),
                raw: flag("rawok"),
            };
            assert_eq!(decoded, expected, "{case}");
            let encoded = decoded.encode();
            assert_eq!(ResumeToken::decode(&encoded), Ok(decoded), "{case}");
            // Another deflate may give other bytes, but the list inside has the same length to the byte.
            assert_eq!(encoded.split('-').nth(2), token.split('-').nth(2), "{case}");
            found += 1;
        }
        assert!(found >= 5, "{found}");
    }
}

/// Failures that are not ours to classify: we never run these commands (we always receive unmounted), or a person typed something wrong.
const NOT_OURS: &[&str] = &[
    "receive-mount-not-permitted",
    "receive-mountpoint-impossible",
    "destroy-has-children",
    "receive-property-fails",
    "send-all-from-bookmark",
    "send-to-terminal",
    "set-readonly-property",
    "snapshot-bad-name",
    // 2.1 can not resume what was renamed and says only "Invalid argument": too little to call the token dead.
    "token-snapshot-renamed",
];

/// What each captured failure means; where versions differ, a name stands twice.
const MEANINGS: &[(Kind, &[&str])] = &[
    (Kind::BaseMismatch, &["receive-no-matching-source", "send-other-dataset", "send-wrong-order"]),
    (
        Kind::TargetModified,
        &["receive-destination-modified", "receive-over-written-local-snapshot", "resume-full-into-existing"],
    ),
    (
        Kind::DestinationExists,
        &[
            "receive-destination-exists",
            "receive-destination-has-snapshots",
            "receive-destination-has-snapshots-forced",
            "receive-destination-is-clone",
            "receive-destination-is-pool",
            "receive-over-partial-state",
            "receive-raw-over-unencrypted",
            "receive-snapshot-name-taken",
            "receive-volume-over-children",
            "resume-full-into-existing",
        ],
    ),
    (
        Kind::NotFound,
        &[
            "bookmark-snapshot-missing",
            "destroy-bookmark-missing",
            "destroy-dataset-missing",
            "destroy-snapshot-missing",
            "get-dataset-missing",
            "hold-snapshot-missing",
            "holds-snapshot-missing",
            "list-dataset-missing",
            "list-one-of-two-missing",
            "list-pool-missing",
            "receive-abort-missing",
            "receive-incremental-into-nothing",
            "receive-parent-missing",
            "receive-pool-missing",
            "release-missing",
            "release-snapshot-missing",
            "rename-parent-missing",
            "send-base-missing",
            "send-bookmark-missing",
            "send-dataset-missing",
            "send-snapshot-missing",
            "send-wrong-order-all",
            "snapshot-dataset-missing",
        ],
    ),
    (
        Kind::AlreadyExists,
        &[
            "bookmark-exists",
            "bookmark-name-taken",
            "create-exists",
            "hold-exists",
            "rename-exists",
            "snapshot-exists",
        ],
    ),
    (Kind::NothingToAbort, &["receive-abort-nothing"]),
    (
        Kind::PartialState,
        &[
            "destroy-snapshot-under-partial-state",
            "destroy-while-receiving",
            "receive-incremental-over-partial-state",
            "receive-while-receiving",
        ],
    ),
    (
        Kind::TokenDead,
        &[
            "token-base-destroyed",
            "token-corrupt-checksum",
            "token-corrupt-cut",
            "token-corrupt-text",
            "token-corrupt-version",
            "token-dataset-destroyed",
            "token-snapshot-destroyed",
            "token-snapshot-destroyed-dry-run",
            "token-snapshot-recreated",
        ],
    ),
    (
        Kind::StreamCut,
        &[
            "receive-corrupt-stream",
            "receive-corrupt-stream-saved",
            "receive-cut-in-header",
            "receive-empty-stream",
            "receive-incomplete-stream",
            "receive-incomplete-stream-saved",
        ],
    ),
    (Kind::StreamInvalid, &["receive-not-a-stream"]),
    (
        Kind::StreamFeature,
        &[
            "receive-large-block-mismatch",
            "receive-pool-without-encryption",
            "receive-pool-without-feature",
            "receive-wrong-resume-stream",
        ],
    ),
    (
        Kind::Crypto,
        &[
            "receive-forced-over-encrypted",
            "receive-raw-incremental-over-unencrypted",
            "receive-raw-on-not-raw",
            "send-properties-of-encrypted",
        ],
    ),
    (
        Kind::KeyNotLoaded,
        &[
            "mount-key-not-loaded",
            "receive-not-raw-on-raw",
            "receive-parent-key-not-loaded",
            "send-key-not-loaded",
        ],
    ),
    (Kind::NoSpace, &["receive-out-of-space"]),
    (Kind::Quota, &["receive-quota-exceeded"]),
    (Kind::Held, &["destroy-held", "destroy-held-dataset", "rollback-held"]),
    (Kind::HasClones, &["destroy-has-clone"]),
    (Kind::NewerExist, &["rollback-newer-exist"]),
    (
        Kind::Busy,
        &[
            "destroy-held",
            "destroy-held-dataset",
            "rollback-held",
            "destroy-mounted-busy",
            "receive-while-receiving-unsaved",
            "rename-busy",
            "unmount-busy",
        ],
    ),
    (
        Kind::Permission,
        &[
            "device-not-permitted",
            "permission-bookmark",
            "permission-create",
            "permission-destroy",
            "permission-events",
            "permission-hold",
            "permission-receive",
            "permission-send",
            "permission-snapshot",
        ],
    ),
    (
        Kind::PoolUnavailable,
        &[
            "create-suspended",
            "destroy-suspended",
            "get-suspended",
            "hold-suspended",
            "list-dataset-suspended",
            "receive-suspended",
            "send-suspended",
            "snapshot-suspended",
            "zpool-pool-missing",
        ],
    ),
    (Kind::ZfsNotFound, &["module-not-loaded"]),
    (
        Kind::Unsupported,
        &[
            "bookmark-without-feature",
            "holds-unknown-option",
            "list-unknown-column",
            "list-unknown-option",
            "receive-property-of-volume",
            "receive-readonly-property",
            "receive-unknown-property",
            "unknown-command",
        ],
    ),
    (Kind::Interrupted, &["send-receiver-gone-signal-ignored"]),
];

#[test]
fn every_captured_failure_has_its_meaning() {
    let meanings = |name: &str| {
        let with_name = MEANINGS.iter().filter(|(_, names)| names.contains(&name));
        with_name.map(|(kind, _)| *kind).collect::<Vec<_>>()
    };
    let mut wrong = Vec::new();
    for system in System::all() {
        let directory = system.directory.file_name().unwrap().display();
        let failures = system.text("stderr.tsv");
        assert!(failures.lines().count() > 50);
        for line in failures.lines() {
            let (name, rest) = line.split_once('\t').unwrap();
            let failed = !rest.starts_with("0\t");
            let text = system.text(&format!("stderr/{name}.txt"));
            // Without a word there is nothing to classify: the status says it.
            if !failed || text.trim().is_empty() || NOT_OURS.contains(&name) {
                continue;
            }
            let kind = classify(&text);
            if !meanings(name).contains(&kind) {
                wrong.push(format!("{directory} {name}: {kind:?} instead of {:?}: {text}", meanings(name)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn permissions_are_read_with_what_comes_from_above() {
    for system in System::all() {
        let allowed = parse::allowed(&system.text("allow.txt")).unwrap();
        let identities = [parse::Who::User("repl".into()), parse::Who::Everyone];
        let media = "tank/media".parse().unwrap();
        let expected = ["bookmark", "destroy", "hold", "mount", "release", "rollback", "send", "snapshot"];
        assert_eq!(allowed.on(&media, &identities).into_iter().collect::<Vec<_>>(), expected);
        assert!(!allowed.below(&media, &identities).contains("snapshot"), "local");
        let missing = delegation::missing(Duty::Target, &media, &allowed, &identities);
        let missing: Vec<_> =
            missing.iter().filter(|need| need.required).map(|need| need.permission).collect();
        assert_eq!(missing, ["create", "readonly", "receive"]);
        let other = allowed.on(&media, &[parse::Who::User("other".into())]);
        assert!(other.contains("bookmark"), "a set within a set: {other:?}");
    }
}
