//! No room on the target.

use anyhow::ensure;

use super::{Case, seen};
use crate::stage::Pair;

pub(super) const CASES: &[Case] = &[
    Case {
        number: "F51",
        name: "f51-quota",
        title: "a quota on the target's parent is too small; later it is raised",
        expected: "E_RECV_QUOTA or E_RECV_NO_SPACE before or while it is received, then in step",
        pairs: Pair::ALL,
        play: |stage| {
            let stage = stage.with(&stage.from, format!("{}/tight/copy", stage.to));
            stage.here("zfs create \"$from\"; write \"$from\" first 16; zfs snapshot \"$from@one\"")?;
            stage.there("zfs create -p -o quota=2M \"${to%/copy}\"")?;
            let refused = stage.replicate("")?;
            ensure!(refused.exit != 0, "4 MiB went into 2 MiB: {refused}");
            stage.there("zfs set quota=none \"${to%/copy}\"")?;
            let again = stage.replicate("")?;
            again.must_be_in_step()?;
            stage.must_be_same()?;
            seen![refused, again]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F50",
        name: "f50-added",
        title: "the pool gets full in the middle of a stream; later a disk is added to it",
        expected: "E_RECV_NO_SPACE, and what has arrived is kept; then continued",
        play: |stage| {
            stage.target.create_file_pool("f50", 128)?;
            let stage = stage.with(&stage.from, "f50/copy");
            stage.here("zfs create \"$from\"; write \"$from\" first 64; zfs snapshot \"$from@one\"")?;
            let full = stage.meanwhile("", |stage| {
                stage.there("zfs create f50/other; until a=$(zfs get -Hp -o value available f50) && zfs set reservation=$((a - 1048576)) f50/other; do :; done; zpool sync f50").map(drop)
            })?;
            full.must_say("E_RECV_NO_SPACE")?;
            ensure!(stage.target_is("receive_resume_token")?.len() > 10, "nothing was kept");
            stage.there("truncate -s 256M /var/tmp/f50-added; zpool add f50 /var/tmp/f50-added")?;
            let again = stage.catch_up("")?;
            stage.target.destroy_pool("f50")?;
            stage.there("rm /var/tmp/f50-added")?;
            seen![full, again]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F52",
        name: "f52-thick",
        title: "a volume with a reservation for its whole size",
        expected: "in step, and no reservation on the target",
        pairs: Pair::BOTH,
        play: |stage| {
            stage.here("zfs create -V 64M \"$from\"; until dd if=/dev/urandom of=\"/dev/zvol/$from\" bs=256k count=2 conv=nocreat,fsync status=none 2>/dev/null; do sleep 0.1; done; zfs snapshot \"$from@one\"")?;
            let reserved = stage.here("zfs get -Hp -o value refreservation \"$from\"")?;
            ensure!(reserved.trim() != "0", "the source reserves nothing");
            let said = stage.catch_up("")?;
            seen![said, format!("refreservation={}", stage.target_is("refreservation")?)]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F105",
        name: "f105-limit",
        title: "the target's parent allows no further file system",
        expected: "root is not bound by it, as with any `zfs` command: in step",
        play: |stage| {
            let stage = stage.with(&stage.from, format!("{}/limited/copy", stage.to));
            stage.make()?;
            stage.there(
                "zfs create -p \"${to%/copy}\"; zfs set filesystem_limit=0 snapshot_limit=0 \"${to%/copy}\"",
            )?;
            seen![stage.catch_up("")?]
        },
        ..Case::PLAIN
    },
];
