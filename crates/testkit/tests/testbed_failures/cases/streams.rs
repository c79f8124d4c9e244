//! What a stream can carry, and what the target can take.

use anyhow::ensure;

use super::{Case, seen};
use crate::stage::Pair;

pub(super) const CASES: &[Case] = &[Case {
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
}];
