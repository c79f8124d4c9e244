//! `sync`: compare, plan and replicate a group now.

use std::fmt::Write as _;

use jiff::Timestamp;
use zfs_sync_api::{
    client::Client,
    codes::ErrorCode,
    v1::{
        group::Note,
        sync::{Change, CheckAnswer, ExecuteAnswer, PlanAnswer, PlanRequest, Standing},
    },
};
use zfs_sync_core::plan::ReplicaState;
use zfs_sync_zfs::command::quote;

use super::{
    Context, Exit, explain,
    group::state_counts,
    lookup,
    plan::casualties,
    replicas::ReplicaLine,
    wait::{self, End},
};
use crate::{
    cli::{OutputFormat, SyncCommand, SyncExecute, SyncPlan},
    failure::Failure,
    printer::{
        Beside,
        words::{count, printable, took},
    },
};

pub(super) async fn run(context: &Context, command: SyncCommand) -> Result<Exit, Failure> {
    let client = context.client()?;
    match command {
        SyncCommand::Check { sync_group, exit_code } => {
            let group = lookup::group(&client, &sync_group).await?;
            let answer = client.check_group(group.id).await?;
            show_check(context, "sync.check", &answer)?;
            Ok(if exit_code && !answer.in_sync { Exit::Finding } else { Exit::Done })
        }
        SyncCommand::Plan(arguments) => plan(context, &client, &arguments).await,
        SyncCommand::Execute(arguments) => execute(context, &client, &arguments).await,
    }
}

fn show_check(context: &Context, command: &str, answer: &CheckAnswer) -> Result<(), Failure> {
    let rows: Vec<_> = answer.replicas.iter().cloned().map(ReplicaLine).collect();
    let when_empty = "the group has no replica: nothing selected, or the source has not reported yet";
    let beside = Beside { warnings: answer.warnings.clone(), when_empty };
    context.printer.rows(command, &rows, &beside, answer.as_of)?;
    if context.printer.is_table() && !rows.is_empty() {
        context.printer.say(format!("{}: {}", answer.group, state_counts(&answer.counts)));
    }
    Ok(())
}

async fn plan(context: &Context, client: &Client, arguments: &SyncPlan) -> Result<Exit, Failure> {
    let SyncPlan { selector, diff } = arguments;
    let group = lookup::group(client, &selector.sync_group).await?;
    let request =
        PlanRequest { keep_both: selector.keep_both.clone(), diff: *diff, ..PlanRequest::default() };
    let answer = client.plan_group(group.id, &request).await?;
    match context.printer.format() {
        OutputFormat::Json => context.printer.item("sync.plan", &answer, &answer.warnings, context.now())?,
        OutputFormat::Csv => {
            let mut writer = String::from("source_system,source,target_system,target,summary\n");
            for step in &answer.steps {
                let fields =
                    [&step.source_system, &step.source, &step.target_system, &step.target, &step.summary];
                let quoted: Vec<_> =
                    fields.iter().map(|field| format!("\"{}\"", field.replace('"', "\"\""))).collect();
                let _ = writeln!(writer, "{}", quoted.join(","));
            }
            context.printer.text(&writer)?;
        }
        OutputFormat::Table => {
            talk_warnings(context, &answer.warnings);
            context.printer.text(&plan_text(&answer, &selector.keep_both, context.now()))?;
        }
    }
    Ok(Exit::Done)
}

fn talk_warnings(context: &Context, warnings: &[Note]) {
    for note in warnings {
        context.printer.say(format!("warning[{}]: {}", note.code, note.detail));
    }
}

fn plan_text(answer: &PlanAnswer, keep_both: &[String], now: Timestamp) -> String {
    let mut text = String::new();
    let destroyed = match answer.destroys.len() {
        0 => "nothing is destroyed".to_owned(),
        number => format!("DESTROYS {}", count(number as u64, "snapshot")),
    };
    let _ = writeln!(
        text,
        "plan for {}: {}, {destroyed}\nfingerprint {}",
        answer.group,
        count(answer.steps.len() as u64, "step"),
        answer.fingerprint
    );
    text.push_str(&casualties(&answer.destroys, now));
    for (number, step) in answer.steps.iter().enumerate() {
        let _ = writeln!(text, "\n{:>3}  {}", number + 1, printable(&step.summary));
        for command in &step.commands {
            let _ = writeln!(text, "       {}", printable(command));
        }
    }
    if let Some(changes) = &answer.changes {
        text.push_str(&changed(changes));
    }
    if !answer.suppressed.is_empty() {
        text.push_str("\nnot done:\n");
        text.push_str(&suppressed(&answer.suppressed));
    }
    if !answer.steps.is_empty() {
        let _ = write!(text, "\napply: zfs-sync sync execute --sync-group {}", quote(&answer.group));
        for replica in keep_both {
            let _ = write!(text, " --keep-both {}", quote(replica));
        }
        text.push_str(" --wait\n");
    }
    text
}

/// What is planned otherwise than before.
fn changed(changes: &[Change]) -> String {
    if changes.is_empty() {
        return "\nnothing has changed since the group was last planned\n".to_owned();
    }
    let standing = |standing: &Option<Standing>| match standing {
        None => "–".to_owned(),
        Some(Standing { state, reason: None }) => format!("{} {}", state.glyph(), state.words()),
        Some(Standing { state, reason: Some(reason) }) => {
            format!("{} {} ({reason})", state.glyph(), state.words())
        }
    };
    let mut text = String::from("\nsince the group was last planned:\n");
    for change in changes {
        let what = format!("{} on {}", change.target, change.target_system);
        let line = format!("  {what}: {} → {}", standing(&change.before), standing(&change.after));
        let _ = writeln!(text, "{}", printable(&line));
    }
    text
}

fn suppressed(counts: &std::collections::BTreeMap<String, u64>) -> String {
    let line = |(code, number): (&String, &u64)| {
        format!("{number:>5} × {code}: {}\n", explain::title(code).unwrap_or_default())
    };
    counts.iter().map(line).collect()
}

async fn execute(context: &Context, client: &Client, arguments: &SyncExecute) -> Result<Exit, Failure> {
    let group = lookup::group(client, &arguments.selector.sync_group).await?;
    let request = PlanRequest {
        keep_both: arguments.selector.keep_both.clone(),
        fingerprint: arguments.fingerprint.clone(),
        diff: false,
    };
    let Some(limit) = arguments.wait else {
        let answer = client.execute_group(group.id, &request).await?;
        show_execute(context, &answer)?;
        let checked = if arguments.exit_code { Some(client.check_group(group.id).await?) } else { None };
        return Ok(if checked.is_some_and(|answer| !answer.in_sync) { Exit::Finding } else { Exit::Done });
    };
    let started = tokio::time::Instant::now();
    let waited = wait::until_arrived(context, client, &group, &request, limit).await?;
    let again = format!("zfs-sync sync execute --sync-group {} --wait", quote(&group.name));
    let Some(answer) = &waited.last else {
        context.printer.say(format!("stopped waiting; the work goes on. To wait again: {again}"));
        return Ok(Exit::Interrupted);
    };
    show_check(context, "sync.execute", answer)?;
    match waited.end {
        End::Arrived => {
            let time = took(started.elapsed());
            context.printer.say(match waited.arrived {
                0 => "there is nothing to replicate".to_owned(),
                number => format!("{} up to date, after {time}", count(number, "replica")),
            });
            let out_of_sync = answer.replicas.iter().any(|replica| replica.state != ReplicaState::InSync);
            Ok(if arguments.exit_code && out_of_sync { Exit::Finding } else { Exit::Done })
        }
        End::Stuck(stuck) => {
            context.printer.say(format!("{} up to date; stuck:", count(waited.arrived, "replica")));
            for replica in stuck {
                let reason = replica.reason.as_deref().unwrap_or("–");
                let name = format!("{}@{}", replica.target, replica.target_system);
                context.printer.say(format!("  {name}: {reason}. {}", printable(&replica.report.next)));
            }
            Ok(Exit::Partial)
        }
        End::TimedOut(pending) => {
            let detail = format!("{} not up to date yet; the work goes on", count(pending, "replica"));
            Err(Failure::new(ErrorCode::WaitTimeout, detail)
                .context("waited", took(started.elapsed()))
                .fix(again))
        }
        End::Interrupted => {
            context.printer.say(format!("stopped waiting; the work goes on. To wait again: {again}"));
            Ok(Exit::Interrupted)
        }
    }
}

fn show_execute(context: &Context, answer: &ExecuteAnswer) -> Result<(), Failure> {
    match context.printer.format() {
        OutputFormat::Json => context.printer.item("sync.execute", answer, &[], context.now()),
        OutputFormat::Csv => {
            let mut text = String::from("transfer\n");
            for id in &answer.queued {
                let _ = writeln!(text, "{id}");
            }
            context.printer.text(&text)
        }
        OutputFormat::Table => {
            let mut text = format!("{} queued", count(answer.queued.len() as u64, "transfer"));
            if answer.already_running > 0 {
                let _ = write!(text, ", {} under way already", answer.already_running);
            }
            text.push('\n');
            for id in &answer.queued {
                let _ = writeln!(text, "  {id}");
            }
            if !answer.suppressed.is_empty() {
                let _ = write!(text, "not done:\n{}", suppressed(&answer.suppressed));
            }
            context.printer.text(&text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_planned_otherwise_than_before_is_told_with_both() {
        let standing =
            |state, reason: Option<&str>| Some(Standing { state, reason: reason.map(str::to_owned) });
        let change = |target: &str, before, after| Change {
            dataset: "tank/media".into(),
            target_system: "nas2".into(),
            target: target.into(),
            before,
            after,
        };
        let text = changed(&[
            change(
                "backup/media",
                standing(ReplicaState::Diverged, Some("R_DIVERGED")),
                standing(ReplicaState::Behind, None),
            ),
            change("backup/new", None, standing(ReplicaState::NeverSeeded, None)),
            change("backup/old", standing(ReplicaState::InSync, Some("R_NO_NEW_SNAPSHOT")), None),
        ]);
        assert_eq!(
            text,
            "\nsince the group was last planned:\n  \
             backup/media on nas2: ✖ diverged (R_DIVERGED) → ↓ behind\n  \
             backup/new on nas2: – → ○ never seeded\n  \
             backup/old on nas2: ✓ in sync (R_NO_NEW_SNAPSHOT) → –\n"
        );
        assert!(changed(&[]).contains("nothing has changed"));
    }
}
