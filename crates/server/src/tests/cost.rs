//! What one change costs the witness, in fleets of ten groups and of a thousand.
//!
//! `bench/planning` runs it: `cargo nextest run --release -p zfs-sync-server --run-ignored only --no-capture cost`

#![expect(clippy::print_stdout, reason = "it says what it measured")]

use std::time::{Duration, Instant};

use serde_json::json;

use crate::{
    background::Planner,
    testing::{Host, Witness},
};

/// Systems that take turns in being in groups.
const SYSTEMS: usize = 20;
/// Changes that are planned.
const ROUNDS: u64 = 60;

struct Fleet {
    witness: Witness,
    hosts: Vec<Host>,
}

impl Fleet {
    /// So many groups of two, each with a dataset of its own, that carry deletions over.
    async fn of(groups: usize) -> Self {
        let witness = Witness::start().await;
        let mut hosts = Vec::new();
        for number in 0..SYSTEMS + 2 {
            hosts.push(witness.enrol(&format!("nas{number:02}")).await);
        }
        for number in 0..groups {
            // The last two systems are in one group only, which is the one that changes.
            let (source, target) =
                if number == 0 { (SYSTEMS, SYSTEMS + 1) } else { (number % SYSTEMS, (number + 1) % SYSTEMS) };
            witness
                .group(json!({
                    "name": format!("g{number:04}"), "systems": [format!("nas{source:02}"), format!("nas{target:02}")],
                    "source_of_truth": format!("nas{source:02}"), "datasets": [format!("tank/g{number}")],
                    "mappings": [format!("tank=backup/from{source}")], "auto": false,
                    "allow_destroy": true, "mirror_deletes": { "max_percent": 50 },
                }))
                .await;
        }
        Self { witness, hosts }
    }

    /// The target has lost its source's oldest snapshots, and gets another newest one each time.
    async fn change(&self, round: u64) {
        let (source, target) = (&self.hosts[SYSTEMS], &self.hosts[SYSTEMS + 1]);
        let newest = 100 + round;
        self.witness.report(source, &[("tank", &[]), ("tank/g0", &[3, newest])]).await;
        let replica = format!("backup/from{SYSTEMS}/g0");
        self.witness.report(target, &[("backup", &[]), (&replica, &[1, 2, 3, newest])]).await;
    }
}

#[tokio::test]
#[ignore = "measures; run by hand when the machine is calm"]
async fn one_change_costs_the_same_whatever_else_there_is() {
    let mut first: Option<Duration> = None;
    for groups in [10, 100, 1000] {
        let fleet = Fleet::of(groups).await;
        let mut planner = Planner::default();
        fleet.change(0).await;
        let began = Instant::now();
        planner.pass(&fleet.witness.state).await.unwrap();
        let whole = began.elapsed();
        let mut times = Vec::new();
        for round in 1..=ROUNDS {
            fleet.change(round).await;
            let began = Instant::now();
            planner.pass(&fleet.witness.state).await.unwrap();
            times.push(began.elapsed());
        }
        times.sort();
        let one = times[times.len() / 2];
        println!("{groups:>5} groups: one change {one:.2?} (median of {ROUNDS}), everything {whole:.2?}");
        assert!(one <= *first.get_or_insert(one) * 3, "one change costs more where there are more groups");
    }
}
