//! `plan`: what waits to be applied, with everything that it would cost.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serialize;
use zfs_sync_api::{
    client::Client,
    codes::ErrorCode,
    v1::plan::{ApplyAnswer, Destroyed, Plan},
};
use zfs_sync_zfs::command::quote;

use super::{Context, Exit, lookup};
use crate::{
    cli::{OutputFormat, PlanCommand},
    failure::Failure,
    printer::{
        Beside, Cell, Row,
        words::{ago, count, maybe_ago, printable, size, word},
    },
};

/// One snapshot that a plan destroys.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Casualty(pub(super) Destroyed);

impl Row for Casualty {
    const COLUMNS: &'static [&'static str] = &["system", "snapshot", "taken", "used", "refers to", "kept by"];
    const FIELDS: &'static [&'static str] =
        &["system", "snapshot", "guid", "creation", "used", "referenced", "other_copies"];

    fn cells(&self, now: Timestamp) -> Vec<Cell> {
        let Destroyed { system, snapshot, creation, used, referenced, other_copies, .. } = &self.0;
        vec![
            Cell::text(system),
            Cell::text(snapshot),
            Cell::text(maybe_ago(now, *creation)),
            Cell::number(size(*used)),
            Cell::number(size(*referenced)),
            Cell::text(kept_by(other_copies)),
        ]
    }

    fn fields(&self) -> Vec<String> {
        let Destroyed { system, snapshot, guid, creation, used, referenced, other_copies } = &self.0;
        vec![
            system.clone(),
            snapshot.clone(),
            guid.to_string(),
            creation.map(|at| at.to_string()).unwrap_or_default(),
            used.to_string(),
            referenced.to_string(),
            other_copies.join(" "),
        ]
    }
}

/// Who else has a snapshot that is destroyed.
fn kept_by(others: &[String]) -> String {
    if others.is_empty() { "LAST COPY".to_owned() } else { others.join(", ") }
}

/// Every snapshot that is destroyed, one a line; nothing where none is.
pub(super) fn casualties(destroys: &[Destroyed], now: Timestamp) -> String {
    let mut text = String::new();
    if !destroys.is_empty() {
        let _ = writeln!(text, "\ndestroyed, for good:");
    }
    for Destroyed { system, snapshot, creation, used, other_copies, .. } in destroys {
        let (taken, kept) = (maybe_ago(now, *creation), kept_by(other_copies));
        let kept = if other_copies.is_empty() { kept } else { format!("kept by {kept}") };
        let line = format!("  ✖ {snapshot} on {system}, taken {taken}, {}; {kept}", size(*used));
        let _ = writeln!(text, "{}", printable(&line));
    }
    text
}

/// True when something is gone after it.
pub(super) fn costs_something(plan: &Plan) -> bool {
    !plan.destroys.is_empty() || !plan.discards.is_empty()
}

/// All of it, for people.
pub(super) fn text(plan: &Plan, now: Timestamp) -> String {
    let mut text = String::new();
    let mut line = |line: String| {
        let _ = writeln!(text, "{}", printable(line.trim_end()));
    };
    let cost = match (plan.destroys.len(), plan.discards.is_empty()) {
        (0, true) => "nothing is destroyed".to_owned(),
        (0, false) => "GIVES UP what was written".to_owned(),
        (number, _) => format!("DESTROYS {}", count(number as u64, "snapshot")),
    };
    line(format!("plan {}: {}, {cost}", plan.id, word(&plan.strategy)));
    line(format!("{} on {}, group {}; follows {}", plan.target, plan.target_system, plan.group, plan.winner));
    line(format!("made {} by {}", ago(now, plan.created_at), plan.created_by));
    if let (Some(at), Some(by)) = (plan.applied_at, &plan.applied_by) {
        let ended = plan.outcome.as_ref().map(|outcome| format!("; what it decided is {outcome}"));
        line(format!("applied {} by {by}{}", ago(now, at), ended.unwrap_or_default()));
    }
    line(plan.note.clone());
    text.push_str(&casualties(&plan.destroys, now));
    let mut line = |line: String| {
        let _ = writeln!(text, "{}", printable(line.trim_end()));
    };
    for discarded in &plan.discards {
        let what = format!("{} on {}", discarded.dataset, discarded.system);
        line(format!("  ✖ written to {what} since its newest snapshot: {}", size(discarded.bytes)));
    }
    line(String::new());
    line("kept:".to_owned());
    for kept in &plan.keeps {
        line(format!("  ✓ {} on {}: {}", kept.dataset, kept.system, kept.detail));
    }
    line(String::new());
    for (number, step) in plan.steps.iter().enumerate() {
        line(format!("{:>3}  {}", number + 1, step.summary));
        for command in &step.commands {
            line(format!("       {command}"));
        }
    }
    line("     whatever the replica lacks then is sent".to_owned());
    text
}

/// A plan in the form that was asked for; as CSV it is what it destroys.
pub(super) fn show(context: &Context, command: &str, plan: &Plan) -> Result<(), Failure> {
    let now = context.now();
    match context.printer.format() {
        OutputFormat::Json => context.printer.item(command, plan, &[], now),
        OutputFormat::Csv => {
            let rows: Vec<Casualty> = plan.destroys.iter().cloned().map(Casualty).collect();
            context.printer.rows(command, &rows, &Beside::default(), now)
        }
        OutputFormat::Table => context.printer.text(&text(plan, now)),
    }
}

/// What applying has started.
pub(super) fn applied(answer: &ApplyAnswer) -> String {
    let mut text = format!(
        "plan {} is applied; {} queued",
        answer.plan_id,
        count(answer.queued.len() as u64, "transfer")
    );
    text.push('\n');
    for id in &answer.queued {
        let _ = writeln!(text, "  {id}");
    }
    if answer.queued.is_empty() {
        text.push_str(
            "  what it decides starts as soon as nothing else is in the way: zfs-sync why DATASET@SYSTEM\n",
        );
    }
    text
}

/// Applies a plan; one that is refused since it is old is answered with how to make another.
pub(super) async fn apply(client: &Client, plan: &Plan) -> Result<ApplyAnswer, Failure> {
    client.apply_plan(plan.id).await.map_err(|error| {
        let stale = error.code() == ErrorCode::PlanStale;
        let failure = Failure::from(error).argument("PLAN", format!("{} is not applied", plan.id));
        if !stale {
            return failure;
        }
        let replica = format!("{}@{}", plan.target, plan.target_system);
        let strategy = word(&plan.strategy);
        failure.fix(format!("zfs-sync conflict resolve {} --strategy {strategy} --dry-run", quote(&replica)))
    })
}

pub(super) async fn run(context: &Context, command: PlanCommand) -> Result<Exit, Failure> {
    let client = context.client()?;
    match command {
        PlanCommand::Show { plan } => {
            let plan = lookup::plan(&client, &plan).await?;
            show(context, "plan.show", &plan)?;
            if plan.applied_at.is_none() {
                context.printer.say(format!("apply: zfs-sync plan apply {}", plan.id));
            }
        }
        PlanCommand::Apply { plan } => {
            let plan = lookup::plan(&client, &plan).await?;
            let answer = apply(&client, &plan).await?;
            match context.printer.format() {
                OutputFormat::Json => context.printer.item("plan.apply", &answer, &[], context.now())?,
                OutputFormat::Csv => {
                    let ids = answer
                        .queued
                        .iter()
                        .fold(String::from("transfer\n"), |text, id| format!("{text}{id}\n"));
                    context.printer.text(&ids)?;
                }
                OutputFormat::Table => context.printer.text(&applied(&answer))?,
            }
        }
    }
    Ok(Exit::Done)
}
