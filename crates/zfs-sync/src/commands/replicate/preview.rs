//! What would be done, with the commands.

use serde::Serialize;
use zfs_sync_agent::engine::{Caution, Chosen, Sides, choose_form};
use zfs_sync_api::{codes::ErrorCode, v1::agent::TransferOutcome};
use zfs_sync_core::{
    name::NameError,
    plan::{Action, Base, Plan, Report, Send, Step},
    stream::StreamForm,
};
use zfs_sync_zfs::{
    command::{Command, FirstReceive, ReceiveCommand, SendCommand},
    features::Ability,
    parse,
};

use super::explain;
use crate::{
    cli::OutputFormat,
    commands::Context,
    failure::Failure,
    printer::words::{count, size},
};

#[derive(Debug, Serialize)]
struct Preview {
    steps: Vec<PreviewStep>,
    destroys: Vec<String>,
    not_done: Vec<NotDone>,
}

#[derive(Debug, Serialize)]
struct PreviewStep {
    source: String,
    target: String,
    summary: String,
    commands: Vec<String>,
    estimated_bytes: Option<u64>,
    /// What is done otherwise than wished for, each with its code.
    warnings: Vec<String>,
    /// Why it would be refused.
    refused: Option<String>,
}

#[derive(Debug, Serialize)]
struct NotDone {
    target: String,
    state: String,
    reason: Option<String>,
    next: String,
}

/// One sentence about a step.
pub(super) fn summary(step: &Step) -> String {
    match &step.action {
        Action::Send(send) => {
            let to = format!("{}@{}", step.source, send.to.label);
            match (&send.base, send.resume) {
                (_, true) => format!("continue {to} → {}", step.target),
                (None, false) => format!("{to} in full → {}", step.target),
                (Some(base), false) => {
                    let snapshots = count(u64::from(send.snapshots), "snapshot");
                    format!("{snapshots} since @{} up to {to} → {}", base.point().label, step.target)
                }
            }
        }
        Action::SetAside { rename_to, .. } => format!("rename {} → {rename_to}", step.target),
        Action::FollowRename { rename_from, .. } => format!("rename {rename_from} → {}", step.target),
        Action::RollBack { to_label, destroys, .. } => {
            let lost = count(destroys.len() as u64, "snapshot");
            format!("take {} back to @{to_label}, which destroys {lost}", step.target)
        }
        Action::DestroySnapshots { destroys, .. } => {
            format!("destroy {} of {}", count(destroys.len() as u64, "snapshot"), step.target)
        }
    }
}

pub(super) async fn show(
    context: &Context,
    plan: &Plan,
    report: &Report,
    sides: &Sides<'_>,
) -> Result<(), Failure> {
    let mut steps = Vec::new();
    for step in &plan.steps {
        let named = |error: NameError| Failure::from_code("E_NAME_INVALID", error.to_string()).unchanged();
        let (chosen, refused) = match &step.action {
            // The token says how the rest of an interrupted stream travels.
            Action::Send(send) if !send.resume => match choose_form(step, send, sides).await {
                Ok(chosen) => (Some(chosen), None),
                Err(outcome) => (None, Some(in_words(&outcome))),
            },
            _ => (None, None),
        };
        let caution = |Caution { code, detail }: &Caution| format!("{code}: {detail}");
        steps.push(PreviewStep {
            source: step.source.to_string(),
            target: step.target.to_string(),
            summary: summary(step),
            commands: commands(step, chosen.as_ref(), sides).map_err(named)?,
            estimated_bytes: estimate(step, chosen.as_ref(), sides).await,
            warnings: chosen.iter().flat_map(|chosen| &chosen.cautions).map(caution).collect(),
            refused,
        });
    }
    let idle = report.replicas.iter().filter(|replica| replica.step.is_none());
    let preview = Preview {
        steps,
        destroys: plan
            .destroys
            .iter()
            .map(|lost| format!("{}@{}", lost.dataset, lost.casualty.label))
            .collect(),
        not_done: idle
            .map(|replica| NotDone {
                target: replica.target.to_string(),
                state: replica.state.as_str().to_owned(),
                reason: replica.reason.map(|reason| reason.code().to_owned()),
                next: replica.next.clone(),
            })
            .collect(),
    };
    if context.printer.format() == OutputFormat::Table {
        context.printer.text(&text(&preview))
    } else {
        context.printer.item("replicate.plan", &preview, &[], context.now())
    }
}

fn text(preview: &Preview) -> String {
    let mut lines = Vec::new();
    let destroyed = if preview.destroys.is_empty() {
        "nothing is destroyed".to_owned()
    } else {
        format!("DESTROYS {}", preview.destroys.join(", "))
    };
    lines.push(format!("plan: {}, {destroyed}", count(preview.steps.len() as u64, "step")));
    for (number, step) in preview.steps.iter().enumerate() {
        let estimate = step.estimated_bytes.map(|bytes| format!(" (~{})", size(bytes))).unwrap_or_default();
        lines.push(format!("\n{:>3}  {}{estimate}", number + 1, step.summary));
        lines.extend(step.commands.iter().map(|command| format!("       {command}")));
        lines.extend(step.warnings.iter().map(|warning| format!("       {warning}")));
        lines.extend(step.refused.iter().map(|refused| format!("       would be refused: {refused}")));
    }
    if !preview.steps.is_empty() {
        lines.push(
            "\nAfter these steps both sides are looked at again: what then is missing follows.".to_owned(),
        );
    }
    for line in &preview.not_done {
        let reason = line.reason.as_deref().unwrap_or("–");
        lines.push(format!("     {}: {reason}: {}", line.target, explain::title(reason).unwrap_or_default()));
    }
    lines.join("\n")
}

/// The commands as they will be run; a resume token is read then.
fn commands(step: &Step, chosen: Option<&Chosen>, sides: &Sides<'_>) -> Result<Vec<String>, NameError> {
    let (source_host, target_host) = (sides.source.host(), sides.target.host());
    let mut lines = Vec::new();
    let on = |host: &str, command: &Command| format!("{host}: {}", command.display_line());
    match &step.action {
        Action::SetAside { rename_to, .. } => {
            let rename = Command::Rename { from: step.target.clone(), to: rename_to.clone() };
            lines.push(on(target_host, &rename));
        }
        Action::FollowRename { rename_from, .. } => {
            let rename = Command::Rename { from: rename_from.clone(), to: step.target.clone() };
            lines.push(on(target_host, &rename));
        }
        // No option of this command lets anything be destroyed, so that no plan of it has such a step.
        Action::RollBack { .. } | Action::DestroySnapshots { .. } => {}
        Action::Send(send) => {
            for parent in &send.create_parents {
                lines.push(on(target_host, &Command::CreatePlaceholder { dataset: parent.clone() }));
            }
            if send.discard_partial.is_some() {
                lines.push(on(target_host, &Command::AbortReceive { dataset: step.target.clone() }));
            }
            let begins = send.base.is_none() || send.target_origin.is_some();
            let takes_properties = sides.target_features.can(Ability::ReceiveProperties);
            let first = chosen.filter(|_| begins && takes_properties).map(|chosen| FirstReceive {
                kind: step.kind,
                form: chosen.form,
                properties: chosen.properties.clone(),
            });
            let resumable = [sides.source_features, sides.target_features];
            let resumable = resumable.iter().all(|features| features.can(Ability::Resume))
                && chosen.is_none_or(|chosen| chosen.keeps_partial);
            // Named as on the source; when it is done, it is found by its GUID.
            let origin = send.target_origin.as_ref().zip(send.base.as_ref());
            let origin =
                origin.map(|(origin, base)| origin.dataset.snapshot(&base.point().label)).transpose()?;
            let dataset = step.target.clone();
            let receive = Command::Receive(ReceiveCommand { dataset, first, origin, resumable });
            let sent = Command::Send(send_command(step, send, chosen)?);
            lines.push(format!("{} | {}", on(source_host, &sent), on(target_host, &receive)));
        }
    }
    Ok(lines)
}

fn send_command(step: &Step, send: &Send, chosen: Option<&Chosen>) -> Result<SendCommand, NameError> {
    if send.resume {
        return Ok(SendCommand::Resume { token: "TOKEN".to_owned(), raw: send.raw });
    }
    let form = chosen.map_or_else(|| StreamForm::wished(send.raw), |chosen| chosen.form);
    let to = step.source.snapshot(&send.to.label)?;
    Ok(match &send.base {
        None => SendCommand::Full { to, form },
        Some(Base::Snapshot(base)) => {
            SendCommand::Incremental { base: step.source.snapshot(&base.label)?, to, form }
        }
        Some(Base::Bookmark(base)) => {
            SendCommand::FromBookmark { base: step.source.bookmark(&base.label)?, to, form }
        }
        Some(Base::Origin { dataset, point }) => {
            SendCommand::Single { base: dataset.snapshot(&point.label)?, to, form }
        }
    })
}

fn in_words(outcome: &TransferOutcome) -> String {
    match outcome {
        TransferOutcome::Failed { code, detail, .. } => format!("{code}: {detail}"),
        TransferOutcome::Stale { detail } => format!("{}: {detail}", ErrorCode::PlanStale),
        TransferOutcome::Succeeded | TransferOutcome::Cancelled | TransferOutcome::Interrupted => {
            String::new()
        }
    }
}

/// How many bytes a stream would have; an estimate that can not be had is none.
async fn estimate(step: &Step, chosen: Option<&Chosen>, sides: &Sides<'_>) -> Option<u64> {
    let Action::Send(send) = &step.action else { return None };
    if send.resume {
        return None;
    }
    let command = Command::Estimate(send_command(step, send, chosen).ok()?);
    let output = sides.source.run(&command).await.ok()?;
    parse::estimate(&output.stdout, &output.stderr)
}
