//! `whatif`: what would be lost with a system, and what can be deleted.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serialize;
use zfs_sync_api::{
    codes::ErrorCode,
    v1::whatif::{SystemLost, WhatIfDestroy},
};
use zfs_sync_core::whatif::{Loss, SystemLoss, Verdict};

use super::{Context, Exit, lookup};
use crate::{
    cli::{OutputFormat, WhatIf},
    failure::Failure,
    printer::{
        Beside, Cell, Row,
        words::{count, maybe_ago, printable, size, span, word},
    },
};

pub(super) async fn run(context: &Context, arguments: &WhatIf) -> Result<Exit, Failure> {
    match &arguments.system_lost {
        Some(system) => system_lost(context, system, arguments.limit).await,
        None => destroy(context, &arguments.destroy, arguments.system.as_deref()).await,
    }
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct LossLine(Loss);

impl Row for LossLine {
    const COLUMNS: &'static [&'static str] = &["dataset", "role", "lost", "time", "bytes", "go on with"];
    const FIELDS: &'static [&'static str] = &[
        "dataset",
        "role",
        "extent",
        "minutes_lost",
        "bytes_lost",
        "snapshots_lost",
        "snapshots_uncertain",
        "survivor_system",
        "survivor_dataset",
        "survivor_snapshot",
        "doubts",
    ];

    fn cells(&self, _now: Timestamp) -> Vec<Cell> {
        let loss = &self.0;
        let extent = word(&loss.extent).replace('-', " ");
        let best = loss.promote.as_ref().map(|promotion| promotion.place.to_string());
        let best = best.or_else(|| loss.survivors.first().map(|survivor| survivor.place.to_string()));
        vec![
            Cell::text(loss.dataset.to_string()),
            Cell::text(word(&loss.role).replace('-', " ")),
            if loss.doubts.is_empty() {
                Cell::verdict(extent.clone(), extent == "nothing")
            } else {
                Cell::text(format!("{extent}, as far as is known"))
            },
            Cell::number(loss.minutes_lost.map_or_else(|| "all".to_owned(), |minutes| span(minutes * 60))),
            Cell::number(size(loss.bytes_lost)),
            Cell::text(best.unwrap_or_else(|| "–".to_owned())),
        ]
    }

    fn fields(&self) -> Vec<String> {
        let loss = &self.0;
        let best = loss.survivors.first();
        vec![
            loss.dataset.to_string(),
            word(&loss.role).replace('-', "_"),
            word(&loss.extent).replace('-', "_"),
            loss.minutes_lost.map(|minutes| minutes.to_string()).unwrap_or_default(),
            loss.bytes_lost.to_string(),
            loss.snapshots_lost.to_string(),
            loss.snapshots_uncertain.to_string(),
            best.map(|best| best.place.system_name.clone()).unwrap_or_default(),
            best.map(|best| best.place.dataset.to_string()).unwrap_or_default(),
            best.map(|best| best.newest.label.to_string()).unwrap_or_default(),
            loss.doubts.len().to_string(),
        ]
    }
}

async fn system_lost(context: &Context, system: &str, limit: u32) -> Result<Exit, Failure> {
    let client = context.client()?;
    let system = lookup::system(&client, system).await?;
    let answer = client.what_if_system_lost(system.id, Some(limit)).await?;
    let now = context.now();
    match context.printer.format() {
        OutputFormat::Json => context.printer.item("whatif.system_lost", &answer, &[], now)?,
        OutputFormat::Csv => {
            let rows: Vec<_> = answer.loss.losses.iter().cloned().map(LossLine).collect();
            context.printer.rows("whatif.system_lost", &rows, &Beside::default(), now)?;
        }
        OutputFormat::Table => {
            let rows: Vec<_> = answer.loss.losses.iter().cloned().map(LossLine).collect();
            let mut text = head(&answer, now);
            if !rows.is_empty() {
                let cells = rows.iter().map(|row| row.cells(now));
                text.push_str(&context.printer.table(LossLine::COLUMNS, cells));
                text.push('\n');
            }
            text.push_str(&details(&answer.loss));
            context.printer.text(&text)?;
        }
    }
    let listed = answer.loss.losses.len() as u64;
    if listed < answer.datasets {
        context.printer.say(format!(
            "only the {listed} of {} datasets that lose most are listed; --limit lists more",
            answer.datasets
        ));
    }
    Ok(Exit::Done)
}

fn head(answer: &SystemLost, now: Timestamp) -> String {
    let mut text = format!(
        "if {} were lost now: {} at least in {}, as it reported {}\n",
        answer.loss.system_name,
        size(answer.bytes_lost),
        count(answer.datasets, "dataset"),
        maybe_ago(now, answer.loss.as_of),
    );
    for doubt in &answer.loss.doubts {
        let _ = writeln!(text, "  ? {}", printable(&doubt.text));
    }
    text.push('\n');
    text
}

/// What a table has no room for: sentences, doubts, what to do.
fn details(answer: &SystemLoss) -> String {
    let mut text = String::new();
    let mut line = |line: String| {
        let _ = writeln!(text, "{}", printable(line.trim_end()));
    };
    for loss in answer.losses.iter().filter(|loss| !loss.is_nothing() || loss.promote.is_some()) {
        line(String::new());
        line(format!("{}: {}", loss.dataset, loss.summary));
        for doubt in &loss.doubts {
            line(format!("  ? {}", doubt.text));
        }
        if let Some(promotion) = &loss.promote {
            line(format!("  go on with {}:", promotion.place));
            for command in &promotion.commands {
                line(format!("    {command}"));
            }
            for note in &promotion.notes {
                line(format!("    {note}"));
            }
        }
    }
    text
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct VerdictLine(Verdict);

impl Row for VerdictLine {
    const COLUMNS: &'static [&'static str] = &["system", "snapshot", "answer", "frees"];
    const FIELDS: &'static [&'static str] =
        &["system", "snapshot", "guid", "answer", "frees", "why", "as_of"];

    fn cells(&self, _now: Timestamp) -> Vec<Cell> {
        let Verdict { system_name, snapshot, guid, answer, frees, .. } = &self.0;
        vec![
            Cell::text(system_name),
            Cell::text(snapshot.to_string()),
            Cell::verdict(answer.words(), answer.is_safe()),
            // Of what was never reported nobody knows what it would free.
            Cell::number(guid.map_or_else(|| "–".to_owned(), |_| size(*frees))),
        ]
    }

    fn fields(&self) -> Vec<String> {
        let verdict = &self.0;
        vec![
            verdict.system_name.clone(),
            verdict.snapshot.to_string(),
            verdict.guid.map(|guid| guid.to_string()).unwrap_or_default(),
            verdict.answer.as_str().to_owned(),
            verdict.frees.to_string(),
            verdict.findings.first().map(|finding| finding.text.clone()).unwrap_or_default(),
            verdict.as_of.map(|at| at.to_string()).unwrap_or_default(),
        ]
    }
}

/// `SYSTEM:DATASET@SNAPSHOT`, the system from `--system` where that is given.
fn named(text: &str, system: Option<&str>) -> Result<String, Failure> {
    if let Some(system) = system {
        return Ok(format!("{system}:{text}"));
    }
    // A colon may be part of a snapshot's name; a system's name has neither `/` nor `@`.
    match text.split_once(':') {
        Some((system, _)) if !system.is_empty() && !system.contains(['/', '@']) => Ok(text.to_owned()),
        _ => Err(Failure::new(
            ErrorCode::SelectorInvalid,
            format!("`{text}` does not say on which system it is"),
        )
        .argument("--destroy", format!("`{text}` names no system"))
        .hint("write SYSTEM:DATASET@SNAPSHOT, or add --system SYSTEM")
        .unchanged()),
    }
}

async fn destroy(context: &Context, snapshots: &[String], system: Option<&str>) -> Result<Exit, Failure> {
    let snapshots: Result<Vec<String>, Failure> =
        snapshots.iter().map(|snapshot| named(snapshot, system)).collect();
    let verdicts = context.client()?.what_if_destroy(&WhatIfDestroy { snapshots: snapshots? }).await?;
    let now = context.now();
    let safe = verdicts.iter().all(|verdict| verdict.answer.is_safe());
    let rows: Vec<_> = verdicts.into_iter().map(VerdictLine).collect();
    if context.printer.is_table() {
        let cells = rows.iter().map(|row| row.cells(now));
        let mut text = context.printer.table(VerdictLine::COLUMNS, cells);
        text.push('\n');
        for VerdictLine(verdict) in &rows {
            let _ = writeln!(
                text,
                "\n{} on {}: {}",
                verdict.snapshot,
                verdict.system_name,
                verdict.answer.words()
            );
            for finding in &verdict.findings {
                let mark = if finding.answer.is_safe() { "✓" } else { "✗" };
                let _ = writeln!(
                    text,
                    "  {mark} {:<10} {}",
                    maybe_ago(now, finding.as_of),
                    printable(&finding.text)
                );
            }
        }
        context.printer.text(&text)?;
    } else {
        context.printer.rows("whatif.destroy", &rows, &Beside::default(), now)?;
    }
    Ok(if safe { Exit::Done } else { Exit::Finding })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_never_guessed_to_be_on_a_system() {
        assert_eq!(named("nas1:tank/a@x", None).unwrap(), "nas1:tank/a@x");
        assert_eq!(named("tank/a@x:y", Some("nas1")).unwrap(), "nas1:tank/a@x:y");
        for text in ["tank/a@x", "tank/a@x:y", ":tank/a@x"] {
            assert_eq!(named(text, None).unwrap_err().code(), "E_SELECTOR_INVALID", "{text}");
        }
    }
}
