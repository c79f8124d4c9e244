//! Steps and what they destroy, in words.

use std::collections::BTreeSet;

use jiff::Timestamp;
use zfs_sync_api::v1::{plan::Destroyed, sync::PlannedStep};
use zfs_sync_core::{
    ids::SystemId,
    name::DatasetName,
    plan::{Action, Base, Casualty, Destroy, Send, Step},
    size::ByteCount,
};

use super::Directory;
use crate::{command_line, error::Answer, planning::other_copies, state::AppState};

/// A step in one sentence.
pub(crate) fn summary(step: &Step, directory: &Directory) -> String {
    let Step { source, target, .. } = step;
    let (from, to) = (directory.hostname(step.source_system), directory.hostname(step.target_system));
    match &step.action {
        Action::SetAside { rename_to, .. } => {
            format!("rename {target} on {to} to {rename_to}, with all it holds")
        }
        Action::FollowRename { rename_from, .. } => {
            format!("rename {rename_from} on {to} to {target}, as its source was renamed")
        }
        Action::RollBack { to_label, destroys, discards, .. } => {
            let written = match discards {
                0 => String::new(),
                bytes => format!(" and what was written since, {}", ByteCount(*bytes)),
            };
            let lost = match (destroys.len(), written.is_empty()) {
                (0, true) => String::new(),
                (0, false) => format!(": gives up{}", written.trim_start_matches(" and")),
                (number, _) => format!(": destroys {}{written}", snapshots(number)),
            };
            format!("take {target} on {to} back to @{to_label}{lost}")
        }
        Action::DestroySnapshots { destroys, .. } => {
            let number = snapshots(destroys.len());
            format!("destroy {number} of {target} on {to} that {source} on {from} no longer has")
        }
        Action::Send(send) => format!("{}, from {from} to {target} on {to}", sending(source, send)),
    }
}

fn sending(source: &DatasetName, send: &Send) -> String {
    let end = &send.to.label;
    match (&send.base, send.resume) {
        (_, true) => format!("continue {source}@{end}"),
        (None, false) => format!("send {source}@{end} in full"),
        (Some(Base::Origin { dataset, point }), false) => {
            format!("send {source}@{end} as a clone of {dataset}@{}", point.label)
        }
        (Some(_), false) if send.snapshots > 1 => {
            format!("send {} snapshots of {source} up to @{end}", send.snapshots)
        }
        (Some(base), false) => format!("send {source} from @{} to @{end}", base.point().label),
    }
}

fn snapshots(number: usize) -> String {
    if number == 1 { "1 snapshot".to_owned() } else { format!("{number} snapshots") }
}

/// A step as it is shown.
pub(crate) fn planned_step(step: &Step, directory: &Directory) -> PlannedStep {
    PlannedStep {
        source_system: directory.hostname(step.source_system),
        target_system: directory.hostname(step.target_system),
        source: step.source.to_string(),
        target: step.target.to_string(),
        summary: summary(step, directory),
        commands: command_line::of_step(step, &directory.systems),
    }
}

/// Snapshots that are destroyed, as they are shown, with who else has them.
pub(crate) async fn destroyed(
    state: &AppState,
    destroys: &[Destroy],
    directory: &Directory,
) -> Answer<Vec<Destroyed>> {
    let others = other_copies(state, destroys).await?;
    let show = |(destroy, others): (&Destroy, BTreeSet<SystemId>)| {
        let Destroy { system, dataset, casualty } = destroy;
        let Casualty { guid, label, creation, used, referenced } = casualty;
        let mut other_copies: Vec<String> = others.into_iter().map(|id| directory.hostname(id)).collect();
        other_copies.sort();
        Destroyed {
            system: directory.hostname(*system),
            snapshot: format!("{dataset}@{label}"),
            guid: *guid,
            creation: Timestamp::from_second(*creation).ok(),
            used: *used,
            referenced: *referenced,
            other_copies,
        }
    };
    Ok(destroys.iter().zip(others).map(show).collect())
}
