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
        pairs: Pair::FROM_OLD,
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
        pairs: Pair::BOTH,
        play: |stage| {
            make(stage)?;
            stage.here("zfs send \"$from@one\" | ssh \"$target\" zfs receive -u \"$to\"")?;
            stage.write("two")?;
            let refused = stage.replicate("")?;
            ensure!(refused.exit != 0 && stage.history(stage.target, &stage.to)?.len() == 1, "{refused}");
            seen![refused]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F79",
        name: "f79-upon",
        title: "an encrypted source, and on the target an unencrypted dataset of that name",
        expected: "refused, nothing is touched",
        play: |stage| {
            make(stage)?;
            stage.there("zfs create \"$to\"; zfs snapshot \"$to@mine\"")?;
            let refused = stage.replicate("")?;
            ensure!(refused.exit != 0, "{refused}");
            seen![refused]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F72",
        name: "f72-into",
        title: "an unencrypted source, and the target's parent is encrypted",
        expected: "in step, encrypted by the parent's key on the target",
        pairs: Pair::BOTH,
        play: |stage| {
            let stage = stage.with(&stage.from, format!("{}/vault/copy", stage.to));
            stage.here("zfs create \"$from\"; write \"$from\" first 2; echo small >\"$(zfs get -H -o value mountpoint \"$from\")/small\"; zfs snapshot \"$from@one\"")?;
            stage.there(&format!(
                "{ENCRYPTED}; zfs create -p \"${{to%/vault/copy}}\"; encrypted \"${{to%/copy}}\""
            ))?;
            let said = stage.catch_up("")?;
            stage.same_content("one", "small")?;
            ensure!(stage.target_is("encryption")? != "off", "it is not encrypted");
            stage.write("two")?;
            seen![said, stage.catch_up("")?, "encrypted on the target"]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F72",
        name: "f72-locked",
        title: "the same, and the parent's key is not loaded",
        expected: "E_KEY_NOT_LOADED and nothing is received; in step when the key is loaded",
        play: |stage| {
            let stage = stage.with(&stage.from, format!("{}/vault/copy", stage.to));
            stage.make()?;
            stage.there(&format!("{ENCRYPTED}; zfs create -p \"${{to%/vault/copy}}\"; encrypted \"${{to%/copy}}\"; zfs unmount \"${{to%/copy}}\"; zfs unload-key \"${{to%/copy}}\""))?;
            let refused = stage.replicate("")?;
            ensure!(refused.exit != 0, "{refused}");
            stage.there("zfs load-key \"${to%/copy}\"")?;
            seen![refused, stage.catch_up("")?]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F20",
        name: "f20-raw",
        title: "a raw first receive of an encrypted dataset was cut, and its token is good",
        expected: "continued, raw; the target lacks the key",
        pairs: Pair::TO_OLD,
        play: |stage| {
            make(stage)?;
            stage.cut("zfs send -w \"$from@one\"", 300_000)?;
            let said = stage.catch_up("")?;
            ensure!(said.resumed, "it began again: {said}");
            seen![said, format!("keystatus={}", stage.target_is("keystatus")?)]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F70",
        name: "f70-token",
        title: "somebody began to send an encrypted dataset in the clear, and its token waits",
        expected: "not continued: no byte more is sent in the clear",
        play: |stage| {
            make(stage)?;
            stage.cut("zfs send -L -c \"$from@one\"", 300_000)?;
            let said = stage.replicate("")?;
            ensure!(!said.resumed, "it was continued in the clear: {said}");
            let encrypted = stage.there("zfs list -H -o encryption \"$to\" 2>/dev/null || echo none")?;
            ensure!(said.exit != 0 || encrypted.trim() != "off", "{said} {encrypted}");
            seen![
                said,
                format!(
                    "encryption={}",
                    if encrypted.trim() == "off" { "off, still half received" } else { "on" }
                )
            ]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F75",
        name: "f75-rekeyed",
        title: "the raw copy got a key of its own on the target (`zfs change-key`)",
        expected: "raw streams must not go in there any more: they would take the target's key away",
        play: |stage| {
            make(stage)?;
            stage.catch_up("")?;
            // The source's key is known to the operator, who makes the copy use one of the target's.
            let key = stage.here("base64 -w0 /root/key")?;
            stage.there(&format!(
                "echo {} | base64 -d >/root/key-of-source; zfs load-key -L file:///root/key-of-source \"$to\"; head -c 32 /dev/urandom >/root/key-own; zfs change-key -o keyformat=raw -o keylocation=file:///root/key-own \"$to\"; zfs unload-key \"$to\"",
                key.trim()
            ))?;
            stage.write("two")?;
            let said = stage.replicate("")?;
            let keys = stage.target.run(&format!("zfs load-key -n -L file:///root/key-own '{0}' || zfs load-key -n -L file:///root/key-of-source '{0}'", stage.to))?;
            let own = stage
                .target
                .run(&format!("zfs load-key -n -L file:///root/key-own '{}'", stage.to))?
                .is_success();
            ensure!(keys.is_success(), "neither key opens it: {}", keys.stderr);
            seen![said, if own { "the target's key opens it" } else { "the source's key opens it" }]
        },
        ..Case::PLAIN
    },
];
