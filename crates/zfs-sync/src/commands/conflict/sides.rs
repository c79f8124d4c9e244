//! `conflict diff`: what only one side has, in three columns.

use jiff::Timestamp;
use serde::Serialize;
use zfs_sync_api::v1::conflict::Conflict;
use zfs_sync_core::plan::{Casualty, ConflictSide};

use super::Context;
use crate::{
    cli::OutputFormat,
    failure::Failure,
    printer::{
        Beside, Cell, Row,
        words::{ago, size},
    },
};

/// One snapshot of one side, for programs.
#[derive(Debug, Serialize)]
struct Line {
    side: &'static str,
    system: String,
    snapshot: String,
    guid: String,
    creation: String,
    used: Option<u64>,
}

impl Row for Line {
    const COLUMNS: &'static [&'static str] = &["side", "system", "snapshot", "guid", "creation", "used"];
    const FIELDS: &'static [&'static str] = Self::COLUMNS;

    fn cells(&self, _now: Timestamp) -> Vec<Cell> {
        self.fields().into_iter().map(Cell::from).collect()
    }

    fn fields(&self) -> Vec<String> {
        let used = self.used.map(|used| used.to_string()).unwrap_or_default();
        let Self { side, system, snapshot, guid, creation, .. } = self;
        vec![(*side).to_owned(), system.clone(), snapshot.clone(), guid.clone(), creation.clone(), used]
    }
}

pub(super) fn show(context: &Context, conflict: &Conflict) -> Result<(), Failure> {
    let now = context.now();
    match context.printer.format() {
        OutputFormat::Json => context.printer.item("conflict.diff", conflict, &[], now),
        OutputFormat::Csv => context.printer.rows("conflict.diff", &lines(conflict), &Beside::default(), now),
        OutputFormat::Table => {
            let (source, target) = (&conflict.report.source, &conflict.report.target);
            let columns = [
                format!("only on {}", conflict.source_system),
                "common".to_owned(),
                format!("only on {}", conflict.target_system),
            ];
            let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
            let rows = rows(conflict, now).into_iter().map(|row| row.map(Cell::from).to_vec());
            let mut text = format!(
                "{} on {}, {} on {}\n",
                source.dataset, conflict.source_system, target.dataset, conflict.target_system
            );
            text.push_str(&context.printer.table(&columns, rows));
            context.printer.text(&text)
        }
    }
}

fn taken(creation: i64) -> Option<Timestamp> {
    Timestamp::from_second(creation).ok()
}

/// Newest first: what was written since, snapshots, and below them what both have.
fn rows(conflict: &Conflict, now: Timestamp) -> Vec<[String; 3]> {
    let (left, right) = (column(&conflict.report.source, now), column(&conflict.report.target, now));
    let mut rows = Vec::new();
    for index in 0..left.len().max(right.len()) {
        let cell = |column: &[String]| column.get(index).cloned().unwrap_or_default();
        rows.push([cell(&left), String::new(), cell(&right)]);
    }
    let common = match &conflict.report.last_common {
        Some(point) => {
            let age = taken(point.creation).map(|at| ago(now, at)).unwrap_or_default();
            format!("@{}  {age}", point.label)
        }
        None => "nothing".to_owned(),
    };
    let source_side = if conflict.common_is_bookmark { "only a bookmark" } else { "" };
    rows.push([source_side.to_owned(), common, String::new()]);
    rows
}

fn column(side: &ConflictSide, now: Timestamp) -> Vec<String> {
    let mut cells = Vec::new();
    if side.written > 0 {
        cells.push(format!("{} written since", size(side.written)));
    }
    cells.extend(side.only_here.iter().map(|snapshot| {
        let age = taken(snapshot.creation).map(|at| ago(now, at)).unwrap_or_default();
        format!("@{}  {age}  {}", snapshot.label, size(snapshot.used))
    }));
    let listed = u32::try_from(side.only_here.len()).unwrap_or(u32::MAX);
    if side.only_here_count > listed {
        cells.push(format!("… and {} more", side.only_here_count - listed));
    }
    cells
}

fn lines(conflict: &Conflict) -> Vec<Line> {
    let line = |name: &'static str, system: &str, snapshot: &Casualty| Line {
        side: name,
        system: system.to_owned(),
        snapshot: snapshot.label.to_string(),
        guid: snapshot.guid.to_string(),
        creation: taken(snapshot.creation).map(|at| at.to_string()).unwrap_or_default(),
        used: Some(snapshot.used),
    };
    let report = &conflict.report;
    let mut lines: Vec<Line> =
        report.source.only_here.iter().map(|one| line("source", &conflict.source_system, one)).collect();
    lines.extend(report.last_common.iter().map(|point| Line {
        side: "common",
        system: String::new(),
        snapshot: point.label.to_string(),
        guid: point.guid.to_string(),
        creation: taken(point.creation).map(|at| at.to_string()).unwrap_or_default(),
        used: None,
    }));
    lines.extend(report.target.only_here.iter().map(|one| line("target", &conflict.target_system, one)));
    lines
}
