//! `conflict resolve`: a plan, everything that it costs, a question where it costs something, and then it is applied.

use std::io::{self, IsTerminal as _};

use serde::Serialize;
use zfs_sync_api::{
    client::Client,
    codes::ErrorCode,
    v1::{
        conflict::Conflict,
        plan::{ApplyAnswer, Plan},
    },
};
use zfs_sync_zfs::command::quote;

use super::{Context, Exit, lookup, replica};
use crate::{
    cli::{OutputFormat, Resolve},
    commands::plan::{self, costs_something},
    failure::Failure,
    printer::words::word,
};

/// What was planned, and what became of it.
#[derive(Debug, Serialize)]
struct Resolution<'a> {
    plan: &'a Plan,
    /// Null: it was not applied.
    applied: Option<&'a ApplyAnswer>,
}

pub(super) async fn run(context: &Context, client: &Client, arguments: &Resolve) -> Result<Exit, Failure> {
    let conflict = lookup::conflict(client, &arguments.conflict).await?;
    let plan = match &arguments.approve {
        Some(id) => approved(lookup::plan(client, id).await?, &conflict, arguments)?,
        None => client.propose_plan(conflict.id, arguments.strategy).await?,
    };
    let is_table = context.printer.is_table();
    if is_table {
        plan::show(context, "conflict.resolve", &plan)?;
    }
    if arguments.dry_run {
        if !is_table {
            show(context, &plan, None)?;
        }
        context.printer.say(format!("apply: zfs-sync plan apply {}", plan.id));
        return Ok(Exit::Done);
    }
    if costs_something(&plan) && arguments.approve.is_none() {
        confirm(context, &plan, &conflict, arguments).await?;
    }
    let answer = plan::apply(client, &plan).await?;
    if is_table {
        context.printer.text(&plan::applied(&answer))?;
    } else {
        show(context, &plan, Some(&answer))?;
    }
    Ok(Exit::Done)
}

fn show(context: &Context, plan: &Plan, applied: Option<&ApplyAnswer>) -> Result<(), Failure> {
    match context.printer.format() {
        OutputFormat::Json => {
            context.printer.item("conflict.resolve", &Resolution { plan, applied }, &[], context.now())
        }
        OutputFormat::Csv | OutputFormat::Table => plan::show(context, "conflict.resolve", plan),
    }
}

/// The plan that was named must be one for this conflict and strategy: an approval is for what was looked at.
fn approved(plan: Plan, conflict: &Conflict, arguments: &Resolve) -> Result<Plan, Failure> {
    let fits = plan.group_id == conflict.group_id
        && plan.dataset == conflict.dataset
        && plan.target_system == conflict.target_system
        && plan.strategy == arguments.strategy;
    if fits {
        return Ok(plan);
    }
    let detail = format!(
        "plan {} is for {}@{} with {}, which is not what is asked for",
        plan.id,
        plan.target,
        plan.target_system,
        word(&plan.strategy)
    );
    Err(Failure::new(ErrorCode::PlanNotApproved, detail)
        .argument("--approve", "an approval is for one conflict and one strategy")
        .unchanged()
        .fix(format!("zfs-sync plan show {}", plan.id))
        .fix(format!(
            "zfs-sync conflict resolve {} --strategy {} --dry-run",
            quote(&replica(conflict)),
            word(&arguments.strategy)
        )))
}

/// Asks for the dataset's name; whoever can not be asked must have named the plan.
async fn confirm(
    context: &Context,
    plan: &Plan,
    conflict: &Conflict,
    arguments: &Resolve,
) -> Result<(), Failure> {
    let refused = |detail: &str| {
        let strategy = word(&plan.strategy);
        let name = replica(conflict);
        Failure::new(ErrorCode::PlanNotApproved, detail)
            .argument("--approve", "the plan that was looked at is not named")
            .unchanged()
            .fix(format!("zfs-sync plan show {}", plan.id))
            .fix(format!(
                "zfs-sync conflict resolve {} --strategy {strategy} --yes --approve {}",
                quote(&name),
                plan.id
            ))
    };
    let can_ask = io::stdin().is_terminal() && io::stderr().is_terminal();
    if arguments.yes || !can_ask {
        return Err(refused("this plan destroys what is listed; look at it, then name it with --approve"));
    }
    if !context.printer.is_table() {
        context.printer.warn(&plan::text(plan, context.now()));
    }
    context.printer.warn(&format!("\nType the dataset's name ({}) to destroy what is listed:", plan.target));
    let typed = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        io::stdin().read_line(&mut line).map(|_| line)
    });
    let typed = typed.await.map_err(|error| Failure::from(io::Error::other(error)))??;
    if typed.trim() == plan.target { Ok(()) } else { Err(refused("the name was not typed")) }
}
