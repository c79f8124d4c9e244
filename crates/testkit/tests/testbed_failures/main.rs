//! The transfer engine among the field guide's failure cases, on real OpenZFS.
//!
//! One testbed serves all of them: `nas1` and `nas2` with OpenZFS 2.3, `old` with 2.1. A case has datasets of its own, or pools in files; plain
//! commands stage it, `zfs-sync replicate` acts, and what is then true is asked of `zfs`. Cases are played side by side, except those
//! that change something of a whole machine. What was seen is compared with docs/FAILURES.md.
//!
//! `ZFS_SYNC_FAILURES=f50,f31` plays only those whose name begins so.

mod cases;
mod said;
mod stage;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use zfs_sync_testkit::{
    failures::{self, Extent, Row},
    testbed::{MachineSpec, Suite, Testbed},
};

use crate::{
    cases::Case,
    stage::{Pair, Stage},
};

/// Cases that are played side by side: most of a case is waiting for ssh.
const PLAYERS: usize = 4;

#[test]
fn every_case_ends_as_the_table_says() -> Result<()> {
    let wanted = std::env::var("ZFS_SYNC_FAILURES").unwrap_or_default();
    let wanted: Vec<&str> = wanted.split(',').filter(|name| !name.is_empty()).collect();
    let mut cases = cases::all();
    cases.retain(|case| wanted.is_empty() || wanted.iter().any(|name| case.name.starts_with(name)));
    ensure!(!cases.is_empty(), "there is no such case");
    let begun = Instant::now();
    let testbed = start()?;
    say(&format!("machines after {} s", begun.elapsed().as_secs()));
    let (alone, together): (Vec<_>, Vec<_>) = plays(&cases).into_iter().partition(|(case, _)| case.alone);
    let mut seen = play(&testbed, together, PLAYERS);
    seen.extend(play(&testbed, alone, 1));
    say(&format!("{} plays of {} cases after {} s", seen.len(), cases.len(), begun.elapsed().as_secs()));

    let mut failed = Vec::new();
    let mut rows: Vec<Row> = Vec::new();
    for Played { case, pair, ended } in seen {
        let words = match ended {
            Ok(words) => words.join("; "),
            Err(error) => {
                failed.push(format!("{} ({}): {error:#}", case.name, case.title));
                continue;
            }
        };
        let versions = pair.versions(&testbed)?;
        let same = |row: &&mut Row| row.title == case.title && row.seen == words;
        if let Some(row) = rows.iter_mut().find(same) {
            row.versions = format!("{}, {versions}", row.versions);
        } else {
            rows.push(Row {
                number: case.number.to_owned(),
                title: case.title.to_owned(),
                expected: case.expected.to_owned(),
                seen: words,
                versions,
                suite: failures::Suite::Transfers,
            });
        }
    }
    let extent = if wanted.is_empty() && failed.is_empty() { Extent::Whole } else { Extent::Named };
    let compared = failures::compare(failures::Suite::Transfers, &rows, extent);
    ensure!(failed.is_empty(), "{} cases went wrong:\n{}", failed.len(), failed.join("\n\n"));
    compared
}

fn start() -> Result<Testbed> {
    let binary = PathBuf::from(
        std::env::var_os("ZFS_SYNC_BINARY")
            .context("ZFS_SYNC_BINARY must name the zfs-sync binary; ci/test sets it")?,
    );
    ensure!(binary.is_file(), "{} is no file", binary.display());
    let spec =
        |(name, suite)| MachineSpec::new(name, suite).with_file(&binary, "/usr/local/bin/zfs-sync", 0o755);
    let machines = [("nas1", Suite::Trixie), ("nas2", Suite::Trixie), ("old", Suite::Bookworm)];
    let testbed = Testbed::start(&machines.map(spec))?;
    for machine in testbed.machines() {
        machine.create_pool("tank")?;
    }
    Pair::prepare(&testbed)?;
    Ok(testbed)
}

/// How a case went on one pair of machines.
struct Played {
    case: &'static Case,
    pair: Pair,
    ended: Result<Vec<String>>,
}

fn plays(cases: &[&'static Case]) -> Vec<(&'static Case, Pair)> {
    cases.iter().flat_map(|case| case.pairs.iter().map(|pair| (*case, *pair))).collect()
}

/// Plays everything in its order, so many at a time; answers in the same order.
fn play(testbed: &Testbed, plays: Vec<(&'static Case, Pair)>, players: usize) -> Vec<Played> {
    let queue = Mutex::new(plays.into_iter().enumerate());
    let played = Mutex::new(BTreeMap::new());
    let work = || loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        let Some((number, (case, pair))) = next else { return };
        let begun = Instant::now();
        let ended = (case.play)(&Stage::new(testbed, case.name, pair));
        let words = match &ended {
            Ok(words) => words.join("; "),
            Err(error) => format!("WRONG: {error:#}"),
        };
        say(&format!("{} {pair}, {} s: {words}", case.name, begun.elapsed().as_secs()));
        played.lock().unwrap_or_else(PoisonError::into_inner).insert(number, Played { case, pair, ended });
    };
    std::thread::scope(|scope| {
        for _ in 0..players {
            scope.spawn(work);
        }
    });
    played.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
}

/// Says how long what took, for docs/MEASUREMENTS.md, and how far it is.
#[expect(clippy::print_stdout, reason = "a test of minutes says how far it is")]
fn say(text: &str) {
    println!("failure cases: {text}");
}
