//! Large numbers.

use anyhow::ensure;

use super::{Case, seen};
use crate::stage::Stage;

/// Of one dataset.
const SNAPSHOTS: usize = 2000;

/// Below one dataset.
const DATASETS: usize = 200;

pub(super) const CASES: &[Case] = &[
    Case {
        number: "F104",
        name: "f104-snapshots",
        title: "2,000 snapshots of one dataset",
        expected: "all of them arrive in their order; the next one as well",
        play: |stage| {
            stage.here(&format!(
                "zfs create \"$from\"; for i in $(seq 1 {SNAPSHOTS}); do zfs snapshot \"$from@s$i\"; done"
            ))?;
            stage.replicate("")?.must_be_in_step()?;
            stage.write("last")?;
            let said = stage.catch_up("")?;
            let there = Stage::history(stage.source, &stage.from)?;
            let here = Stage::history(stage.target, &stage.to)?;
            ensure!(there == here, "the histories differ");
            seen![said, format!("{} snapshots, the same on both sides", here.len())]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F104",
        name: "f104-datasets",
        title: "200 datasets below one",
        expected: "all of them arrive; the next snapshots as well",
        play: |stage| {
            stage.here(&format!(
                "zfs create -o canmount=off \"$from\"; for i in $(seq 1 {DATASETS}); do zfs create -o canmount=off \"$from/d$i\"; done; zfs snapshot -r \"$from@one\""
            ))?;
            stage.replicate("--recursive")?.must_be_in_step()?;
            stage.here("zfs snapshot -r \"$from@two\"")?;
            let said = stage.replicate("--recursive")?;
            said.must_be_in_step()?;
            let list = |dataset: &str| format!("zfs list -Hp -r -t snapshot -o guid \"{dataset}\" | sort");
            let (there, here) = (stage.here(&list("$from"))?, stage.there(&list("$to"))?);
            ensure!(there == here && here.lines().count() == 2 * (DATASETS + 1), "the snapshots differ");
            seen![said]
        },
        ..Case::PLAIN
    },
];
