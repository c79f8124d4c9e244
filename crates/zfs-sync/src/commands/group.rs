//! `group`: which datasets are kept where.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serialize;
use zfs_sync_api::v1::group::{self, Group, UpdateGroup};
use zfs_sync_core::{group::OnDivergence, plan::ReplicaState};
use zfs_sync_zfs::command::quote;

use super::{Context, Exit, lookup};
use crate::{
    cli::{CreateGroup, GroupCommand},
    failure::Failure,
    printer::{Beside, Cell, Row, words::ago},
};

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct GroupLine(Group);

impl Row for GroupLine {
    const COLUMNS: &'static [&'static str] = &["group", "mode", "source", "targets", "datasets", "replicas"];
    const FIELDS: &'static [&'static str] = &[
        "name",
        "id",
        "enabled",
        "auto",
        "source_of_truth",
        "systems",
        "datasets",
        "exclude",
        "mappings",
        "in_sync",
        "replicas",
    ];

    fn cells(&self, _now: Timestamp) -> Vec<Cell> {
        let group = &self.0;
        vec![
            Cell::text(&group.name),
            Cell::text(mode(group)),
            Cell::text(&group.source_of_truth_name),
            Cell::text(targets(group).join(", ")),
            Cell::text(selection(group)),
            Cell::text(counts(group)),
        ]
    }

    fn fields(&self) -> Vec<String> {
        let group = &self.0;
        let in_sync = group.replicas.get(ReplicaState::InSync.as_str()).copied().unwrap_or_default();
        vec![
            group.name.clone(),
            group.id.to_string(),
            group.enabled.to_string(),
            group.auto.to_string(),
            group.source_of_truth_name.clone(),
            group.systems.iter().map(|member| member.hostname.as_str()).collect::<Vec<_>>().join(" "),
            texts(&group.datasets).join(" "),
            texts(&group.exclude).join(" "),
            texts(&group.mappings).join(" "),
            in_sync.to_string(),
            group.replicas.values().sum::<u64>().to_string(),
        ]
    }
}

fn texts(items: &[impl ToString]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

fn mode(group: &Group) -> &'static str {
    match (group.enabled, group.auto) {
        (false, _) => "‖ disabled",
        (true, true) => "automatic",
        (true, false) => "by hand",
    }
}

fn targets(group: &Group) -> Vec<&str> {
    let others = group.systems.iter().filter(|member| member.id != group.source_of_truth);
    others.map(|member| member.hostname.as_str()).collect()
}

fn selection(group: &Group) -> String {
    let mut text = texts(&group.datasets).join(", ");
    if !group.exclude.is_empty() {
        let _ = write!(text, " without {}", texts(&group.exclude).join(", "));
    }
    text
}

/// `1 diverged · 5 in sync`, worst first.
fn counts(group: &Group) -> String {
    let text = state_counts(&group.replicas);
    if text.is_empty() { "none known".to_owned() } else { text }
}

/// Counts of states in words, worst first.
pub(super) fn state_counts(counts: &std::collections::BTreeMap<String, u64>) -> String {
    const WORST_FIRST: [ReplicaState; 7] = [
        ReplicaState::Diverged,
        ReplicaState::Unknown,
        ReplicaState::NeverSeeded,
        ReplicaState::Behind,
        ReplicaState::Syncing,
        ReplicaState::Paused,
        ReplicaState::InSync,
    ];
    let known = WORST_FIRST.into_iter().filter_map(|state| {
        let number = counts.get(state.as_str()).filter(|number| **number > 0)?;
        Some(format!("{number} {}", state.words()))
    });
    known.collect::<Vec<_>>().join(" · ")
}

pub(super) async fn run(context: &Context, command: GroupCommand) -> Result<Exit, Failure> {
    let client = context.client()?;
    let (printer, now) = (&context.printer, context.now());
    match command {
        GroupCommand::Create(arguments) => {
            let created = client.create_group(&request(&arguments)).await?;
            show(context, "group.create", created)?;
            if !arguments.auto {
                printer.say(format!(
                    "It waits for you: zfs-sync sync execute --sync-group {} --wait",
                    quote(&arguments.name)
                ));
            }
        }
        GroupCommand::List => {
            let rows: Vec<_> = client.list_groups().await?.into_iter().map(GroupLine).collect();
            let when_empty = "no sync group yet; make one with `zfs-sync group create`";
            printer.rows("group.list", &rows, &Beside { when_empty, ..Beside::default() }, now)?;
        }
        GroupCommand::Show { group } => {
            let group = lookup::group(&client, &group).await?;
            show(context, "group.show", client.find_group(group.id).await?)?;
        }
        GroupCommand::Enable { group } => set_enabled(context, &client, &group, true).await?,
        GroupCommand::Disable { group } => set_enabled(context, &client, &group, false).await?,
        GroupCommand::Delete { group } => {
            let group = lookup::group(&client, &group).await?;
            client.delete_group(group.id).await?;
            printer.say(format!(
                "group {} is deleted; no data was touched anywhere. To have it back:\n  {}",
                group.name,
                command_to_create(&group)
            ));
        }
    }
    Ok(Exit::Done)
}

fn request(arguments: &CreateGroup) -> group::CreateGroup {
    group::CreateGroup {
        name: arguments.name.clone(),
        description: arguments.description.clone(),
        systems: arguments.systems.clone(),
        source_of_truth: Some(arguments.source_of_truth.clone()),
        datasets: arguments.datasets.clone(),
        exclude: arguments.exclude.clone(),
        mappings: arguments.mappings.clone(),
        auto: arguments.auto,
        on_divergence: if arguments.keep_both { OnDivergence::KeepBoth } else { OnDivergence::Stop },
        enabled: Some(!arguments.paused),
        ..group::CreateGroup::default()
    }
}

async fn set_enabled(
    context: &Context,
    client: &zfs_sync_api::client::Client,
    name: &str,
    enabled: bool,
) -> Result<(), Failure> {
    let group = lookup::group(client, name).await?;
    let change = UpdateGroup { enabled: Some(enabled), ..UpdateGroup::default() };
    let changed = client.update_group(group.id, &change).await?;
    show(context, if enabled { "group.enable" } else { "group.disable" }, changed)
}

fn show(context: &Context, command: &str, group: Group) -> Result<(), Failure> {
    let now = context.now();
    for note in &group.warnings {
        context.printer.say(format!("warning[{}]: {}", note.code, note.detail));
    }
    let divergence = match group.on_divergence {
        OnDivergence::Stop => "stop and ask",
        OnDivergence::KeepBoth => "keep both: rename the target's copy, seed anew",
    };
    let mappings =
        if group.mappings.is_empty() { "same names".to_owned() } else { texts(&group.mappings).join(", ") };
    let mut pairs = vec![
        ("group", group.name.clone()),
        ("id", group.id.to_string()),
        ("mode", mode(&group).to_owned()),
        ("source", group.source_of_truth_name.clone()),
        ("targets", targets(&group).join(", ")),
        ("datasets", selection(&group)),
        ("mapping", mappings),
        ("divergence", divergence.to_owned()),
        ("replicas", counts(&group)),
        ("made", ago(now, group.created_at)),
    ];
    if let Some(description) = &group.description {
        pairs.insert(1, ("about", description.clone()));
    }
    context.printer.one(command, &GroupLine(group), &pairs, now)
}

/// The words that make a group of the same definition.
fn command_to_create(group: &Group) -> String {
    let systems: Vec<&str> = group.systems.iter().map(|member| member.hostname.as_str()).collect();
    let mut text = format!(
        "zfs-sync group create --name {} --systems {} --source-of-truth {}",
        quote(&group.name),
        systems.join(","),
        group.source_of_truth_name
    );
    let lists = [
        ("--dataset", texts(&group.datasets)),
        ("--exclude", texts(&group.exclude)),
        ("--map", texts(&group.mappings)),
    ];
    for (option, values) in lists {
        for value in values {
            let _ = write!(text, " {option} {}", quote(&value));
        }
    }
    for (option, applies) in [
        ("--auto", group.auto),
        ("--keep-both", group.on_divergence == OnDivergence::KeepBoth),
        ("--paused", !group.enabled),
    ] {
        if applies {
            let _ = write!(text, " {option}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_state_comes_first() {
        let counts = [("in_sync".to_owned(), 5), ("diverged".to_owned(), 1), ("behind".to_owned(), 0)];
        assert_eq!(state_counts(&counts.into()), "1 diverged · 5 in sync");
    }
}
