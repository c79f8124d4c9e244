//! Names that are odd, long, many, or others than before.

use anyhow::ensure;

use super::{Case, seen};
use crate::stage::Pair;

pub(super) const CASES: &[Case] = &[
    Case {
        number: "F102",
        name: "f102-odd",
        title: "spaces and every odd character that is legal, in names of datasets and snapshots",
        expected: "in step",
        pairs: Pair::ALL,
        play: |stage| {
            let stage =
                stage.with(format!("{} a:b_c.d-e", stage.from), format!("{} a:b_c.d-e/x  y", stage.to));
            stage.here("zfs create \"$from\"; write \"$from\" first; zfs snapshot \"$from@one two:three_4.5-6\"; write \"$from\" b; zfs snapshot \"$from@  \"")?;
            stage.catch_up("")?;
            stage.here("write \"$from\" c; zfs snapshot \"$from@-n\"")?;
            seen![stage.catch_up("")?]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F103",
        name: "f103-long",
        title: "below the target's prefix a snapshot's name would be longer than ZFS allows",
        expected: "refused before anything is sent; the dataset's neighbour is in step",
        play: |stage| {
            let (long, prefix) = ("n".repeat(100), "p".repeat(120));
            let stage = stage.with(&stage.from, format!("{}-{prefix}", stage.to));
            stage.here(&format!(
                "zfs create -p \"$from/{long}\"; zfs create \"$from/short\"; zfs snapshot -r \"$from@{}\"",
                "s".repeat(20)
            ))?;
            let said = stage.replicate("--recursive")?;
            let half =
                stage.there("zfs list -H -r -o receive_resume_token \"$to\" | grep -v '^-$' | wc -l")?;
            ensure!(half.trim() == "0", "something is half received");
            seen![said]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F10",
        name: "f10-both",
        title: "the common snapshot is renamed on both sides, to different names",
        expected: "in step: GUIDs tell",
        pairs: Pair::FROM_OLD,
        play: |stage| {
            stage.seed()?;
            stage.here("zfs rename \"$from@one\" \"$from@first\"")?;
            stage.there("zfs rename \"$to@one\" \"$to@uno\"")?;
            stage.write("two")?;
            seen![stage.catch_up("")?]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F09",
        name: "f09-both",
        title: "both datasets are renamed, and replicated under their new names",
        expected: "in step: nothing is sent again",
        play: |stage| {
            stage.seed()?;
            stage.here("zfs rename \"$from\" \"$from-new\"")?;
            stage.there("zfs rename \"$to\" \"$to-new\"")?;
            let stage = stage.with(format!("{}-new", stage.from), format!("{}-new", stage.to));
            stage.write("two")?;
            seen![stage.catch_up("")?]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F104",
        name: "f104-snapshots",
        title: "2,000 snapshots on one dataset",
        expected: "all of them arrive; then a new one",
        play: |stage| {
            // In memory: what costs is a transaction group for each snapshot on either side.
            let stage = stage.with("f104/many", "f104/copy");
            for machine in [stage.source, stage.target] {
                machine.ok("truncate -s 192M /dev/shm/f104; zpool create -f f104 /dev/shm/f104")?;
            }
            stage.here("zfs create \"$from\"; i=0; while [ $i -lt 2000 ]; do zfs snapshot \"$from@s$i\"; i=$((i+1)); done")?;
            let said = stage.catch_up("")?;
            stage.write("last")?;
            let again = stage.catch_up("")?;
            let count = stage.history(stage.target, &stage.to)?.len();
            for machine in [stage.source, stage.target] {
                machine.ok("zpool destroy f104; rm /dev/shm/f104")?;
            }
            seen![said, again, format!("{count} snapshots on the target")]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F104",
        name: "f104-datasets",
        title: "200 datasets in one tree",
        expected: "all of them arrive",
        play: |stage| {
            stage.here("zfs create \"$from\"; i=1; while [ $i -lt 200 ]; do zfs create -u \"$from/d$i\"; i=$((i+1)); done; zfs snapshot -r \"$from@one\"")?;
            let said = stage.replicate("--recursive")?;
            let count = stage.there("zfs list -H -r -t snapshot -o name \"$to\" | wc -l")?;
            seen![said, format!("{} snapshots on the target", count.trim())]
        },
        ..Case::PLAIN
    },
];
