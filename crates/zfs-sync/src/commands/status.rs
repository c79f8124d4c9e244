//! `status`: the fleet on one screen.

use std::{collections::BTreeMap, fmt::Write as _};

use jiff::Timestamp;
use serde::Serialize;
use zfs_sync_api::v1::sync::Status;

use super::{Context, Exit, group::state_counts, replicas::ReplicaLine};
use crate::{
    cli::OutputFormat,
    failure::Failure,
    printer::{Beside, Cell, Row},
};

/// One number of the fleet.
#[derive(Debug, Serialize)]
struct Number {
    what: &'static str,
    state: String,
    count: u64,
}

impl Row for Number {
    const COLUMNS: &'static [&'static str] = &["what", "state", "count"];
    const FIELDS: &'static [&'static str] = Self::COLUMNS;

    fn cells(&self, _now: Timestamp) -> Vec<Cell> {
        self.fields().into_iter().map(Cell::from).collect()
    }

    fn fields(&self) -> Vec<String> {
        vec![self.what.to_owned(), self.state.clone(), self.count.to_string()]
    }
}

pub(super) async fn run(context: &Context) -> Result<Exit, Failure> {
    let client = context.client()?;
    let status = client.status().await?;
    let printer = &context.printer;
    match printer.format() {
        OutputFormat::Json => printer.item("status", &status, &[], status.as_of)?,
        OutputFormat::Csv => printer.rows("status", &numbers(&status), &Beside::default(), status.as_of)?,
        OutputFormat::Table => printer.text(&screen(context, &status))?,
    }
    Ok(Exit::Done)
}

fn numbers(status: &Status) -> Vec<Number> {
    let groups = [
        ("systems", &status.systems),
        ("replicas", &status.replicas),
        ("transfers", &status.transfers),
        ("proofs", &status.proofs),
    ];
    let of = |(what, counts): (&'static str, &BTreeMap<String, u64>)| {
        counts
            .iter()
            .map(|(state, count)| Number { what, state: state.clone(), count: *count })
            .collect::<Vec<_>>()
    };
    groups.into_iter().flat_map(of).collect()
}

fn screen(context: &Context, status: &Status) -> String {
    let total = |counts: &BTreeMap<String, u64>| counts.values().sum::<u64>();
    let words = |counts: &BTreeMap<String, u64>| {
        let known: Vec<_> = counts
            .iter()
            .filter(|(_, count)| **count > 0)
            .map(|(state, count)| format!("{count} {state}"))
            .collect();
        known.join(" · ")
    };
    let mut text = String::new();
    let mut line = |name: &str, number: u64, detail: String| {
        let _ = writeln!(text, "{}", format!("{name:<10} {number:>6}   {detail}").trim_end());
    };
    line("systems", total(&status.systems), words(&status.systems));
    line("replicas", total(&status.replicas), state_counts(&status.replicas));
    line("transfers", total(&status.transfers), words(&status.transfers));
    if total(&status.proofs) > 0 {
        line("proofs", total(&status.proofs), words(&status.proofs));
    }
    let _ = writeln!(
        text,
        "witness    {} {}, as of {} UTC",
        context.global.server,
        status.version,
        status.as_of.strftime("%H:%M:%S")
    );
    if status.attention.is_empty() {
        text.push_str(if total(&status.replicas) == 0 {
            "\nNo replicas yet: they appear when there is a group (`zfs-sync group list`) and its source has reported.\n"
        } else {
            "\nNothing needs you.\n"
        });
        return text;
    }
    text.push_str("\nNeeds a look, worst first (why: zfs-sync why DATASET@SYSTEM)\n");
    let rows = status.attention.iter().map(|replica| ReplicaLine(replica.clone()).cells(status.as_of));
    text.push_str(&context.printer.table(ReplicaLine::COLUMNS, rows));
    text
}
