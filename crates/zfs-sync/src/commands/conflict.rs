//! `conflict`: what left its source, and how that ends.

mod resolve;
mod sides;
mod withdraw;

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serialize;
use zfs_sync_api::{
    client::ConflictQuery,
    codes::ErrorCode,
    v1::conflict::{Conflict, ConflictState, Decided, Head},
};
use zfs_sync_core::{
    group::Strategy,
    plan::{ConflictSide, Offer},
};
use zfs_sync_zfs::command::quote;

use super::{Context, Exit, lookup};
use crate::{
    cli::{ConflictCommand, ConflictList, OutputFormat},
    failure::Failure,
    printer::{
        Beside, Cell, Row,
        words::{ago, count, printable, size, word},
    },
};

/// From what loses nothing to what asks for the most trust.
const SAFEST_FIRST: [Strategy; 6] = [
    Strategy::KeepBoth,
    Strategy::UseSourceOfTruth,
    Strategy::RollbackTarget,
    Strategy::UseMajority,
    Strategy::UseNewest,
    Strategy::UseLargest,
];

/// So much of an id is shown in tables: a beginning is enough to name a conflict, and one that fits several is refused.
const ID_SHOWN: usize = 8;

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct ConflictLine(Conflict);

/// `backup/media@nas2`: how a person names the replica.
pub(super) fn replica(conflict: &Conflict) -> String {
    format!("{}@{}", conflict.target, conflict.target_system)
}

/// `nas1@two`: a member that the conflict is about, and its newest snapshot.
fn head(head: &Head) -> String {
    format!("{}@{}", head.system, head.snapshot.as_deref().unwrap_or("–"))
}

/// What a wrong decision would lose.
fn at_stake(conflict: &Conflict) -> String {
    conflict.bytes_at_stake.map_or_else(|| "unknown".to_owned(), size)
}

/// What there is to say of the newest snapshot that both sides have.
fn only_bookmark(conflict: &Conflict) -> String {
    if conflict.common_is_bookmark {
        format!("; {} has only a bookmark of it", conflict.source_system)
    } else {
        String::new()
    }
}

fn kind(conflict: &Conflict) -> String {
    conflict.kind.as_str().replace('_', " ")
}

impl Row for ConflictLine {
    const COLUMNS: &'static [&'static str] =
        &["replica", "heads", "kind", "severity", "since", "at stake", "only there", "suggested", "id"];
    const FIELDS: &'static [&'static str] = &[
        "id",
        "group",
        "source_system",
        "source",
        "target_system",
        "target",
        "kind",
        "severity",
        "state",
        "since",
        "ignored_until",
        "resolved_at",
        "bytes_at_stake",
        "only_on_target",
        "suggested",
        "heads",
    ];

    fn cells(&self, now: Timestamp) -> Vec<Cell> {
        let conflict = &self.0;
        let severity = conflict.severity.as_str();
        let id = conflict.id.to_string();
        vec![
            Cell::text(replica(conflict)),
            Cell::text(conflict.heads.iter().map(head).collect::<Vec<_>>().join(", ")),
            Cell::text(match conflict.state {
                ConflictState::Open => kind(conflict),
                ConflictState::Ignored => format!("{} (ignored)", kind(conflict)),
                ConflictState::Resolved => format!("{} (over)", kind(conflict)),
            }),
            match severity {
                "high" => Cell::verdict(severity, false),
                other => Cell::text(other),
            },
            Cell::text(ago(now, conflict.since)),
            Cell::number(at_stake(conflict)),
            Cell::number(conflict.report.target.only_here_count.to_string()),
            Cell::text(conflict.suggested.map(|strategy| word(&strategy)).unwrap_or_default()),
            Cell::text(id.get(..ID_SHOWN).unwrap_or(&id)),
        ]
    }

    fn fields(&self) -> Vec<String> {
        let conflict = &self.0;
        let time = |time: Option<Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
        vec![
            conflict.id.to_string(),
            conflict.group.clone(),
            conflict.source_system.clone(),
            conflict.source.clone(),
            conflict.target_system.clone(),
            conflict.target.clone(),
            conflict.kind.as_str().to_owned(),
            conflict.severity.as_str().to_owned(),
            conflict.state.as_str().to_owned(),
            conflict.since.to_string(),
            time(conflict.ignored_until),
            time(conflict.resolved_at),
            conflict.bytes_at_stake.map(|bytes| bytes.to_string()).unwrap_or_default(),
            conflict.report.target.only_here_count.to_string(),
            conflict.suggested.map(|strategy| strategy.as_str().to_owned()).unwrap_or_default(),
            conflict.heads.iter().map(head).collect::<Vec<_>>().join(" "),
        ]
    }
}

pub(super) async fn run(context: &Context, command: ConflictCommand) -> Result<Exit, Failure> {
    let client = context.client()?;
    match command {
        ConflictCommand::List(arguments) => list(context, &client, arguments).await?,
        ConflictCommand::Show { conflict } => {
            let id = lookup::conflict(&client, &conflict).await?.id;
            show(context, "conflict.show", client.find_conflict(id).await?)?;
        }
        ConflictCommand::Diff { conflict } => {
            let id = lookup::conflict(&client, &conflict).await?.id;
            // Lists name only a few snapshots of each side.
            sides::show(context, &client.find_conflict(id).await?)?;
        }
        ConflictCommand::Resolve(arguments) => return resolve::run(context, &client, &arguments).await,
        ConflictCommand::Withdraw { conflict } => withdraw::run(context, &client, &conflict).await?,
        ConflictCommand::Ignore { conflict, until, note } => {
            let conflict = lookup::conflict(&client, &conflict).await?;
            let until = until.from(context.now()).ok_or_else(|| {
                Failure::new(ErrorCode::ValueInvalid, "this time is beyond the calendar")
                    .argument("--until", "no calendar has this time")
                    .hint("name a date, for example 2026-12-24, or a shorter duration, for example 14d")
                    .unchanged()
            })?;
            let ignored = client.ignore_conflict(conflict.id, Some(until), note).await?;
            show(context, "conflict.ignore", ignored)?;
        }
        ConflictCommand::Unignore { conflict } => {
            let conflict = lookup::conflict(&client, &conflict).await?;
            show(context, "conflict.unignore", client.ignore_conflict(conflict.id, None, None).await?)?;
        }
    }
    Ok(Exit::Done)
}

async fn list(
    context: &Context,
    client: &zfs_sync_api::client::Client,
    arguments: ConflictList,
) -> Result<(), Failure> {
    let ConflictList { sync_group, system, dataset, kind, severity, state, limit } = arguments;
    let plain = |text: Option<String>| text.map(|text| text.replace('-', "_"));
    let is_open = state == "open";
    let query = ConflictQuery {
        group: sync_group,
        system,
        dataset,
        kind: plain(kind),
        severity,
        state: Some(state),
        limit: Some(limit),
    };
    let conflicts = client.list_conflicts(&query).await?;
    let shown = conflicts.len();
    let rows: Vec<_> = conflicts.into_iter().map(ConflictLine).collect();
    let when_empty = if is_open { "no conflicts" } else { "no conflicts of that kind" };
    let beside = Beside { when_empty, ..Beside::default() };
    context.printer.rows("conflict.list", &rows, &beside, context.now())?;
    if shown == usize::try_from(limit).unwrap_or(usize::MAX) {
        context.printer.say(format!("only the newest {limit} are shown; --limit shows more"));
    }
    Ok(())
}

fn side(side: &ConflictSide, now: Timestamp) -> String {
    let mut text = match &side.head {
        Some(head) => {
            let taken = Timestamp::from_second(head.creation).map(|at| ago(now, at)).unwrap_or_default();
            format!("newest @{}, {taken}", head.label)
        }
        None => "no snapshot".to_owned(),
    };
    if side.only_here_count > 0 {
        let number = count(u64::from(side.only_here_count), "snapshot");
        let _ = match side.only_here_bytes {
            0 => write!(text, "; {number} only here, of unknown size"),
            bytes => write!(text, "; {number} only here, {} or more", size(bytes)),
        };
    }
    if side.written > 0 {
        let _ = write!(text, "; {} written since", size(side.written));
    }
    text
}

fn show(context: &Context, command: &str, conflict: Conflict) -> Result<(), Failure> {
    let now = context.now();
    if context.printer.format() != OutputFormat::Table {
        return context.printer.one(command, &ConflictLine(conflict), &[], now);
    }
    let report = &conflict.report;
    let common = match &report.last_common {
        Some(point) => {
            let taken = Timestamp::from_second(point.creation).map(|at| ago(now, at)).unwrap_or_default();
            format!("@{}, {taken}{}", point.label, only_bookmark(&conflict))
        }
        None => "nothing".to_owned(),
    };
    let mut pairs = vec![
        ("conflict", conflict.id.to_string()),
        ("replica", replica(&conflict)),
        ("group", conflict.group.clone()),
        ("kind", format!("{}, {}", kind(&conflict), conflict.severity.as_str())),
        ("state", conflict.state.as_str().to_owned()),
        ("since", ago(now, conflict.since)),
        (
            "source",
            format!("{} on {}: {}", conflict.source, conflict.source_system, side(&report.source, now)),
        ),
        (
            "target",
            format!("{} on {}: {}", conflict.target, conflict.target_system, side(&report.target, now)),
        ),
    ];
    // Where more members of a mesh have gone on than these two, it is about all of them.
    for (other, found) in conflict.heads.iter().skip(2).zip(&report.other_heads) {
        pairs.push(("also", format!("{} on {}: {}", other.dataset, other.system, side(found, now))));
    }
    pairs.extend([("common", common), ("at stake", at_stake(&conflict))]);
    if let Some(decision) = &conflict.decision {
        pairs.push(("decided", decided(decision, now)));
    }
    if let Some(until) = conflict.ignored_until {
        let by = conflict.ignored_by.as_deref().unwrap_or("somebody");
        pairs.push(("ignored", format!("until {} UTC by {by}", until.strftime("%Y-%m-%d %H:%M"))));
    }
    if let Some(note) = &conflict.note {
        pairs.push(("note", note.clone()));
    }
    if let Some(at) = conflict.resolved_at {
        pairs.push(("over", ago(now, at)));
    }
    context.printer.pairs(&pairs)?;
    if conflict.state != ConflictState::Resolved {
        context.printer.text(&strategies(&conflict))?;
    }
    if conflict.decision.is_some() {
        let command = format!("zfs-sync conflict withdraw {}", quote(&replica(&conflict)));
        context.printer.text(&format!("take it back:  {}\n", printable(&command)))?;
    }
    Ok(())
}

/// What is decided and by whom.
fn decided(decision: &Decided, now: Timestamp) -> String {
    let Decided { plan_id, winner, targets, decided_at, decided_by } = decision;
    let verb = if targets.len() == 1 { "follows" } else { "follow" };
    format!(
        "{} by {decided_by}: {} {verb} {winner} (zfs-sync plan show {plan_id})",
        ago(now, *decided_at),
        targets.join(", ")
    )
}

/// What can be done, the safest first, and why not.
fn strategies(conflict: &Conflict) -> String {
    let mut text = String::new();
    let offer =
        |strategy| conflict.report.strategies.iter().find(|offer: &&Offer| offer.strategy == strategy);
    let offers: Vec<&Offer> = SAFEST_FIRST.into_iter().filter_map(offer).collect();
    if offers.is_empty() {
        text.push_str("\nIt was decided, and what was decided is being carried out.\n");
        return text;
    }
    text.push_str("\nstrategies, the safest first\n");
    for offer in offers {
        let name = word(&offer.strategy);
        let line = match &offer.obstacle {
            None if Some(offer.strategy) == conflict.suggested => {
                format!("  ✓ {name}: loses nothing; suggested")
            }
            None if offer.strategy.is_destructive() => {
                format!("  ✓ {name}: may destroy; its plan lists what")
            }
            None => format!("  ✓ {name}"),
            Some(why) => format!("  ✗ {name}: {why}"),
        };
        let _ = writeln!(text, "{}", printable(&line));
    }
    let _ = writeln!(
        text,
        "look at one:  zfs-sync conflict resolve {} --strategy STRATEGY --dry-run",
        quote(&replica(conflict))
    );
    text
}
