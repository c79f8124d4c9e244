//! Encrypted datasets.

use anyhow::{Result, ensure};

use super::{Case, seen};
use crate::stage::{Pair, Stage};

/// `encrypted DATASET` in scripts makes one; its key is in a file that replication does not copy.
const ENCRYPTED: &str = "encrypted() { [ -e /root/key ] || head -c 32 /dev/urandom >/root/key; zfs create -o encryption=on -o keyformat=raw -o keylocation=file:///root/key \"$1\"; }";

fn make(stage: &Stage<'_>) -> Result<()> {
    stage
        .here(&format!(
            "{ENCRYPTED}; encrypted \"$from\"; write \"$from\" first 2; zfs snapshot \"$from@one\""
        ))
        .map(drop)
}

pub(super) const CASES: &[Case] = &[
    Case {
        number: "F81",
        name: "f81-raw",
        title: "an encrypted source; the target never had the key",
        expected: "sent raw, in step, and the target still lacks the key",
        pairs: Pair::ALL,
        play: |stage| {
            make(stage)?;
            stage.catch_up("")?;
            stage.write("two")?;
            let said = stage.catch_up("")?;
            seen![said, format!("keystatus={}", stage.target_is("keystatus")?)]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F71",
        name: "f71-locked",
        title: "the source's key is not loaded",
        expected: "sent raw all the same, in step",
        pairs: Pair::ALL,
        play: |stage| {
            make(stage)?;
            stage.here("zfs unmount \"$from\"; zfs unload-key \"$from\"")?;
            seen![stage.catch_up("")?]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F70",
        name: "f70-mixed",
        title: "the target was once seeded in the clear by hand, the source is encrypted",
        expected: "refused with E_ENCRYPTION_MISMATCH; nothing more is sent in the clear",
        play: |stage| {
            make(stage)?;
            stage.here("zfs send \"$from@one\" | ssh \"$target\" zfs receive -u \"$to\"")?;
            stage.write("two")?;
            let refused = stage.replicate("")?;
            ensure!(refused.exit != 0 && Stage::history(stage.target, &stage.to)?.len() == 1, "{refused}");
            seen![refused]
        },
        ..Case::PLAIN
    },
];
