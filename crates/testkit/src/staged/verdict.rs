//! What the planner says about a replica, as one line that two runs can be compared by.

use zfs_sync_api::v1::replica::Replica;
use zfs_sync_core::plan::{Action, Base, Send};

/// State, kind of conflict, reason, step and warnings, with labels and without GUIDs: `behind R_MANUAL_MODE: send #..@two
/// (W_BASE_IS_BOOKMARK)`, `diverged/target_modified R_TARGET_MODIFIED`.
pub(super) fn text(replica: &Replica) -> String {
    let report = &replica.report;
    let kind =
        report.conflict.as_ref().map(|conflict| format!("/{}", conflict.kind.as_str())).unwrap_or_default();
    let reason = replica.reason.as_deref().unwrap_or("-");
    let step =
        report.step.as_ref().map(|step| format!(": {}", action_text(&step.action))).unwrap_or_default();
    let warnings: Vec<&str> = report.warnings.iter().map(|warning| warning.code()).collect();
    let warnings = if warnings.is_empty() { String::new() } else { format!(" ({})", warnings.join(" ")) };
    format!("{}{kind} {reason}{step}{warnings}", replica.state)
}

fn action_text(action: &Action) -> String {
    match action {
        Action::Send(send) => send_text(send),
        Action::SetAside { .. } => "set aside".to_owned(),
        Action::FollowRename { rename_from, .. } => format!("rename {rename_from}"),
        Action::RollBack { to_label, .. } => format!("roll back to @{to_label}"),
        Action::DestroySnapshots { destroys, .. } => format!("destroy {} snapshots", destroys.len()),
    }
}

fn send_text(send: &Send) -> String {
    let verb = match (send.resume, &send.discard_partial) {
        (true, _) => "resume",
        (false, Some(_)) => "discard, send",
        (false, None) => "send",
    };
    let from = match &send.base {
        None => String::new(),
        Some(Base::Snapshot(point)) => format!("@{}..", point.label),
        Some(Base::Bookmark(_)) => "#..".to_owned(),
        Some(Base::Origin { dataset, point }) => format!("{dataset}@{}..", point.label),
    };
    let onto = match &send.target_origin {
        None => String::new(),
        Some(origin) => format!(" as clone of {}", origin.dataset),
    };
    let raw = if send.raw { "raw " } else { "" };
    format!("{verb} {raw}{from}@{}{onto}", send.to.label)
}
