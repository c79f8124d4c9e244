//! Clocks that are wrong.

use super::{Case, Seen, seen};
use crate::stage::{Pair, Stage};

/// Brings a clock back however the case ends.
fn with_clock(stage: &Stage<'_>, years: &str, then: impl FnOnce() -> Seen) -> Seen {
    let right = stage.target.ok("cat /proc/uptime; date +%s")?;
    let mut words = right.split_whitespace();
    let (uptime, seconds) = (words.next().unwrap_or("0").to_owned(), words.nth(1).unwrap_or("0").to_owned());
    stage.target.ok(&format!("date -s '{years}' >/dev/null"))?;
    let outcome = then();
    stage.target.ok(&format!(
        "now=$(cut -d' ' -f1 /proc/uptime); date -s \"@$(echo \"$now {uptime} {seconds}\" | awk '{{ printf \"%d\", $3 + $1 - $2 }}')\" >/dev/null"
    ))?;
    outcome
}

pub(super) const CASES: &[Case] = &[
    Case {
        number: "F100",
        name: "f100-ahead",
        title: "the target's clock is a year ahead",
        expected: "in step: histories are told by GUIDs and transactions, not by times",
        pairs: Pair::BOTH,
        alone: true,
        play: |stage| {
            stage.seed()?;
            with_clock(stage, "+1 year", || {
                stage.write("two")?;
                seen![stage.catch_up("")?]
            })
        },
    },
    Case {
        number: "F46",
        name: "f46-back",
        title: "the clock goes back by a year between two snapshots of the source: the newer one has the older date",
        expected: "the newer one arrives, and the next; the order is that of their making",
        pairs: Pair::BOTH,
        alone: true,
        play: |stage| {
            stage.seed()?;
            // The same pair the other way round: it is the source's clock that is set.
            let turned = Stage { source: stage.target, target: stage.source, ..stage.clone() };
            with_clock(&turned, "-1 year", || {
                stage.write("two")?;
                stage.catch_up("")?;
                stage.write("three")?;
                seen![stage.catch_up("")?]
            })
        },
    },
];
