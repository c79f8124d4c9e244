//! A receive that waits to be continued, and what became of its other end.

use anyhow::ensure;

use super::{Case, seen};
use crate::stage::{Pair, Stage};

const FULL: &str = "zfs send -L -c -e \"$from@one\"";

pub(super) const CASES: &[Case] = &[
    Case {
        number: "F29",
        name: "f29-blocks",
        title: "the target went its own way, and an interrupted receive waits in it besides",
        expected: "R_DIVERGED and nothing is touched; with --keep-both the target is set aside whole",
        play: |stage| {
            stage.seed()?;
            stage.here("write \"$from\" second 2; zfs snapshot \"$from@two\"")?;
            stage.cut("zfs send -L -c -e -i \"$from@one\" \"$from@two\"", 300_000)?;
            stage.there("zfs snapshot \"$to@mine\"")?;
            let refused = stage.replicate("")?;
            ensure!(refused.exit != 0, "{refused}");
            let kept = stage.replicate("--keep-both")?;
            kept.must_be_in_step()?;
            stage.must_be_same()?;
            let aside = stage.there("zfs list -H -o name -t snapshot | grep \"$to.aside-.*@mine\"")?;
            ensure!(aside.lines().count() == 1, "the target's own snapshot: {aside}");
            seen![refused, kept, "the target's own snapshot is kept aside"]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F33",
        name: "f33-books",
        title: "`replicate` died between the receive and its bookkeeping: no bookmark, no hold on the target, a hold of the step on the source",
        expected: "the next run sends what is new and puts everything in order",
        play: |stage| {
            stage.seed()?;
            let tag = stage.there("zfs holds -H \"$to@one\" | cut -f2; zfs release \"$(zfs holds -H \"$to@one\" | cut -f2)\" \"$to@one\"")?;
            let tag = tag.trim().replace("zfs-sync:base:", "zfs-sync:step:");
            ensure!(tag.starts_with("zfs-sync:step:"), "{tag}");
            stage.here(&format!("zfs list -H -o name -t bookmark \"$from\" | xargs -n1 zfs destroy; zfs hold {tag} \"$from@one\""))?;
            let idle = stage.replicate("")?;
            idle.must_be_in_step()?;
            let held = stage.here("zfs holds -H \"$from@one\"")?;
            ensure!(held.is_empty(), "the hold of the dead run is still there: {held}");
            stage.write("two")?;
            seen![idle, stage.catch_up("")?]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F20",
        name: "f20-good",
        title: "a first receive was cut, and its token is good",
        expected: "continued",
        pairs: Pair::ALL,
        play: |stage| {
            stage.make()?;
            stage.cut(FULL, 300_000)?;
            let said = stage.catch_up("")?;
            ensure!(said.resumed, "it began again: {said}");
            stage.same_content("one", "first")?;
            seen![said]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F21",
        name: "f21-gone",
        title: "the snapshot of the interrupted receive is destroyed on the source",
        expected: "the receive is discarded, the newest snapshot arrives",
        pairs: Pair::ALL,
        play: |stage| {
            stage.make()?;
            stage.cut(FULL, 300_000)?;
            stage.here("write \"$from\" more; zfs snapshot \"$from@two\"; zfs destroy \"$from@one\"")?;
            let said = stage.catch_up("")?;
            ensure!(!said.resumed, "a dead receive was continued: {said}");
            seen![said]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F26",
        name: "f26-asks",
        title: "the token on the target asks for another dataset of the source",
        expected: "nothing of that dataset is sent; the receive is discarded, the planned dataset arrives",
        pairs: Pair::BOTH,
        play: |stage| {
            stage.make()?;
            stage.here("zfs create \"$from-secret\"; write \"$from-secret\" secret 2; zfs snapshot \"$from-secret@s\"")?;
            stage.cut("zfs send -L -c -e \"$from-secret@s\"", 300_000)?;
            let said = stage.catch_up("")?;
            ensure!(!said.resumed, "the other dataset was sent: {said}");
            ensure!(
                Stage::history(stage.target, &stage.to)?.iter().all(|(label, _)| label == "one"),
                "more came"
            );
            seen![said]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F27",
        name: "f27-package",
        title: "a stream of many snapshots was cut in its middle: the token is of one of them",
        expected: "that one is continued, the rest follows",
        pairs: Pair::ALL,
        play: |stage| {
            stage.seed()?;
            for label in ["two", "three", "four"] {
                stage.write(label)?;
            }
            stage.cut("zfs send -L -c -e -I \"$from@one\" \"$from@four\"", 450_000)?;
            let said = stage.catch_up("")?;
            ensure!(said.resumed, "it began again: {said}");
            seen![said]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F22",
        name: "f22-other",
        title: "the snapshot of the interrupted receive is another one by now, under the same name",
        expected: "the receive is discarded, the present snapshot arrives",
        pairs: Pair::ALL,
        play: |stage| {
            stage.make()?;
            stage.cut(FULL, 300_000)?;
            stage.here("zfs destroy \"$from@one\"; write \"$from\" more; zfs snapshot \"$from@one\"")?;
            let said = stage.catch_up("")?;
            ensure!(!said.resumed, "a dead receive was continued: {said}");
            seen![said]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F23",
        name: "f23-base",
        title: "the base of the interrupted receive is destroyed on the source, our bookmark of it remains",
        expected: "continued",
        pairs: Pair::BOTH,
        play: |stage| {
            stage.seed()?;
            stage.here("write \"$from\" second 2; zfs snapshot \"$from@two\"")?;
            stage.cut("zfs send -L -c -e -i \"$from@one\" \"$from@two\"", 300_000)?;
            stage.here("zfs destroy \"$from@one\"")?;
            let said = stage.catch_up("")?;
            ensure!(said.resumed, "it began again: {said}");
            seen![said]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F28",
        name: "f28-killed",
        title: "`replicate` is killed in its first receive, with its connection",
        expected: "continued; the target is read-only and never mounted by itself, as if nothing had happened",
        pairs: Pair::ALL,
        play: |stage| {
            stage.here("zfs create \"$from\"; write \"$from\" first 32; zfs snapshot \"$from@one\"")?;
            let run = stage.start("")?;
            stage.there("until [ \"$(zfs get -H -o value receive_resume_token \"$to\" 2>/dev/null | cut -c1-2)\" = 1- ]; do :; done")?;
            stage.here(&format!("kill -KILL $(pgrep -g {} -x zfs-sync)", run.1))?;
            stage.there("while pgrep -f \"^zfs receive .*$to\\$\"; do sleep 0.1; done")?;
            let said = stage.catch_up("")?;
            ensure!(said.resumed, "it began again: {said}");
            let (readonly, canmount) = (stage.target_is("readonly")?, stage.target_is("canmount")?);
            ensure!(readonly == "on" && canmount == "noauto", "readonly={readonly} canmount={canmount}");
            seen![said, "readonly=on, canmount=noauto"]
        },
        ..Case::PLAIN
    },
];
