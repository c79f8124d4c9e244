//! Histories that do not follow from each other.

use anyhow::ensure;

use super::{Case, seen};
use crate::stage::{Pair, Stage};

pub(super) const CASES: &[Case] = &[
    Case {
        number: "F01",
        name: "f01-written",
        title: "readonly was taken away from the target, and somebody wrote there",
        expected: "R_TARGET_MODIFIED and nothing is touched; with --keep-both what was written is kept aside",
        pairs: Pair::ALL,
        play: |stage| {
            stage.seed()?;
            stage.there("zfs set readonly=off \"$to\"; zfs mount \"$to\"; write \"$to\" mine; zpool sync; zfs unmount \"$to\"")?;
            stage.write("two")?;
            let refused = stage.replicate("")?;
            refused.must_say("R_TARGET_MODIFIED")?;
            ensure!(
                Stage::history(stage.target, &stage.to)?.len() == 1,
                "something was received on top of it"
            );
            let kept = stage.replicate("--keep-both")?;
            kept.must_be_in_step()?;
            stage.must_be_same()?;
            let aside = stage.there("zfs list -H -o name | grep \"^$to.aside-\"")?;
            let aside = aside.trim();
            ensure!(
                stage
                    .there(&format!(
                        "zfs mount '{aside}'; ls \"$(zfs get -H -o value mountpoint '{aside}')\""
                    ))?
                    .contains("mine"),
                "it is gone"
            );
            seen![refused, kept, "what was written is kept aside"]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F02",
        name: "f02-newer",
        title: "the target has a newer snapshot of its own",
        expected: "R_DIVERGED and nothing is touched",
        pairs: Pair::ALL,
        play: |stage| {
            stage.seed()?;
            stage.there("zfs snapshot \"$to@mine\"")?;
            stage.write("two")?;
            let refused = stage.replicate("")?;
            refused.must_say("R_DIVERGED")?;
            ensure!(
                Stage::history(stage.target, &stage.to)?.len() == 2,
                "something was received on top of it"
            );
            seen![refused]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F118",
        name: "f118-direction",
        title: "an operator types the wrong direction: from the older copy to the newer source",
        expected: "refused, nothing is touched",
        play: |stage| {
            stage.seed()?;
            stage.write("two")?;
            let before = Stage::history(stage.source, &stage.from)?;
            let line = format!(
                "zfs-sync replicate '{}' 'root@{}:{}' --output json",
                stage.to,
                stage.source.name(),
                stage.from
            );
            let said = crate::said::Said::new(&stage.target.run(&line)?)?;
            ensure!(said.exit != 0, "{said}");
            ensure!(Stage::history(stage.source, &stage.from)? == before, "the source was changed");
            seen![said]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F05",
        name: "f05-bookmark",
        title: "the common snapshot is destroyed on the source",
        expected: "our bookmark of it serves: an incremental stream",
        pairs: Pair::BOTH,
        play: |stage| {
            stage.here("zfs create \"$from\"; write \"$from\" first 16; zfs snapshot \"$from@one\"")?;
            stage.replicate("")?.must_be_in_step()?;
            stage.here("zfs destroy \"$from@one\"; write \"$from\" b; zfs snapshot \"$from@two\"; write \"$from\" c; zfs snapshot \"$from@three\"")?;
            let said = stage.catch_up("")?;
            let labels: Vec<_> =
                Stage::history(stage.target, &stage.to)?.into_iter().map(|(label, _)| label).collect();
            ensure!(labels == ["one", "two", "three"], "{labels:?}");
            seen![said, "@one stays on the target"]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F07",
        name: "f07-clash",
        title: "the same snapshot name on both sides, and another snapshot",
        expected: "told as diverged, nothing is touched",
        pairs: Pair::BOTH,
        play: |stage| {
            stage.seed()?;
            stage.there("zfs snapshot \"$to@two\"")?;
            stage.write("two")?;
            let refused = stage.replicate("")?;
            ensure!(refused.exit != 0, "{refused}");
            seen![refused]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F08",
        name: "f08-again",
        title: "the source was destroyed and made again under its name",
        expected: "refused, the copy of the former one stays; with --keep-both it is kept aside",
        pairs: Pair::BOTH,
        play: |stage| {
            stage.seed()?;
            stage.here("zfs destroy -r \"$from\"; zfs create \"$from\"; write \"$from\" other; zfs snapshot \"$from@new\"")?;
            let refused = stage.replicate("")?;
            ensure!(refused.exit != 0, "{refused}");
            let kept = stage.catch_up("--keep-both")?;
            seen![refused, kept]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F13",
        name: "f13-kind",
        title: "a file system here, a volume there",
        expected: "refused, nothing is touched",
        pairs: Pair::BOTH,
        play: |stage| {
            stage.make()?;
            stage.there("zfs create -s -V 16M \"$to\"; zfs snapshot \"$to@mine\"")?;
            let refused = stage.replicate("")?;
            ensure!(refused.exit != 0, "{refused}");
            seen![refused]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F16",
        name: "f16-clone",
        title: "somebody has cloned a snapshot on the target and works there",
        expected: "in step, the clone is untouched",
        pairs: Pair::BOTH,
        play: |stage| {
            stage.seed()?;
            stage.there("zfs clone \"$to@one\" \"$to-clone\"; zfs set readonly=off \"$to-clone\"; write \"$to-clone\" mine")?;
            stage.write("two")?;
            let said = stage.catch_up("")?;
            let origin = stage.there("ls \"$(zfs get -H -o value mountpoint \"$to-clone\")/mine\" >/dev/null; zfs get -H -o value origin \"$to-clone\"")?;
            ensure!(origin.trim() == format!("{}@one", stage.to), "{origin}");
            seen![said, "the clone is as it was"]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F43",
        name: "f43-holds",
        title: "other tools hold snapshots on both sides",
        expected: "in step; their holds stay, and ours are told apart",
        play: |stage| {
            stage.seed()?;
            stage.here("zfs hold keep \"$from@one\"; zfs hold zrepl_x \"$from@one\"")?;
            stage.there("zfs hold keep \"$to@one\"")?;
            stage.write("two")?;
            let said = stage.replicate("")?;
            said.must_be_in_step()?;
            let there = stage.there("zfs holds -H \"$to@one\" | cut -f2; zfs release keep \"$to@one\"")?;
            let here = stage.here("zfs holds -H \"$from@one\" | cut -f2 | sort; zfs release keep \"$from@one\"; zfs release zrepl_x \"$from@one\"")?;
            ensure!(there == "keep\n" && here == "keep\nzrepl_x\n", "{there} {here}");
            stage.must_be_same()?;
            seen![said, "their holds are as they were"]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F61",
        name: "f61-made",
        title: "the target dataset was made by hand before the first receive",
        expected: "refused: `zfs receive -F` would be needed",
        pairs: Pair::BOTH,
        play: |stage| {
            stage.make()?;
            stage.there("zfs create \"$to\"; write \"$to\" mine")?;
            let refused = stage.replicate("")?;
            ensure!(refused.exit != 0, "{refused}");
            ensure!(
                stage.there("ls \"$(zfs get -H -o value mountpoint \"$to\")\"")?.contains("mine"),
                "it is gone"
            );
            seen![refused]
        },
        ..Case::PLAIN
    },
];
