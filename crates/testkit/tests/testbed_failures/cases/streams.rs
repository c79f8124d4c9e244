//! What a stream can carry, and what the target can take.

use anyhow::ensure;

use super::{Case, seen};
use crate::stage::Pair;

pub(super) const CASES: &[Case] = &[
    Case {
        number: "F85",
        name: "f85-large",
        title: "a record size of 1 MiB",
        expected: "blocks arrive as large as they are, contents are the same, also after an incremental stream",
        pairs: Pair::MIXED,
        play: |stage| {
            stage.here(
                "zfs create -o recordsize=1M \"$from\"; write \"$from\" first 16; zfs snapshot \"$from@one\"",
            )?;
            stage.catch_up("")?;
            stage.here("dd if=/dev/urandom of=\"/$from/first\" bs=64k seek=20 count=3 conv=notrunc status=none; zfs snapshot \"$from@two\"")?;
            let said = stage.catch_up("")?;
            stage.same_content("one", "first")?;
            stage.same_content("two", "first")?;
            let sizes = stage.there("m=$(mktemp -d); mount -t zfs \"$to@two\" $m; zdb -dddd \"$to@two\" \"$(stat -c %i $m/first)\" 2>/dev/null | grep -A1 dblk | tail -n1 | tr -s ' ' | cut -d' ' -f5; umount $m")?;
            ensure!(sizes.trim() == "1M", "blocks of {sizes}");
            seen![said, "blocks of 1M on the target"]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F88",
        name: "f88-feature",
        title: "large blocks on the source, and the feature is disabled on the target's pool",
        expected: "refused with E_STREAM_FEATURE, or sent without what the target lacks; in step when it is enabled",
        play: |stage| {
            let stage = stage.with(&stage.from, format!("f88{}/copy", stage.source.name()));
            stage.there("mkdir -p /var/lib/pools; p=${to%/copy}; truncate -s 128M /var/lib/pools/$p; zpool create -f -o feature@large_blocks=disabled $p /var/lib/pools/$p; [ $(zpool get -H -o value feature@large_blocks $p) = disabled ]")?;
            stage.here(
                "zfs create -o recordsize=1M \"$from\"; write \"$from\" first 8; zfs snapshot \"$from@one\"",
            )?;
            let refused = stage.replicate("")?;
            stage.there("zpool set feature@large_blocks=enabled \"${to%/copy}\"")?;
            let again = stage.catch_up("")?;
            stage.there("p=${to%/copy}; zpool destroy $p; rm /var/lib/pools/$p")?;
            seen![refused, again]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F91",
        name: "f91-unreadable",
        title: "a block of the source can not be read: `zfs send` ends with an I/O error",
        expected: "a code that says so and is not tried again for ever; what had arrived is kept, other datasets go on",
        play: |stage| {
            let stage = stage.with("f91/data", &stage.to);
            // The damaged file is in the second of two datasets: what a tree lacks in one place does not keep the other back.
            stage.here("mkdir -p /var/lib/pools; truncate -s 128M /var/lib/pools/f91; zpool create -f -O compression=off f91 /var/lib/pools/f91
                zfs create f91/data; zfs create f91/data/bad; zfs create f91/data/fine
                for i in 1 2 3 4 5 6 7 8; do yes \"this is block $i\" | head -c 262144 >/f91/data/bad/file$i; done; zfs snapshot -r f91/data@one; zpool export f91
                grep -abo 'this is block 5' /var/lib/pools/f91 | head -n 2000 | cut -d: -f1 >/tmp/f91; at=$(sed -n 1000p /tmp/f91)
                dd if=/dev/urandom of=/var/lib/pools/f91 bs=1 seek=$at count=4096 conv=notrunc status=none; zpool import -d /var/lib/pools f91")?;
            let said = stage.replicate("--recursive")?;
            said.must_say("E_SOURCE_UNREADABLE")?;
            ensure!(said.text.contains("Input/output error"), "{}", said.text);
            stage.here("zpool destroy f91; rm /var/lib/pools/f91")?;
            seen![said]
        },
        ..Case::PLAIN
    },
];
