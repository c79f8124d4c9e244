//! `group`: which datasets are kept where.

mod definition;

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serialize;
use zfs_sync_api::v1::group::{Group, UpdateGroup};
use zfs_sync_core::{
    flow::{Compression, Transport},
    group::{GroupMode, OnDivergence, Profile},
    plan::ReplicaState,
};
use zfs_sync_zfs::command::quote;

use super::{Context, Exit, lookup, system::limit_words};
use crate::{
    cli::GroupCommand,
    failure::Failure,
    printer::{
        Beside, Cell, Row,
        words::{ago, word},
    },
};

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct GroupLine(Group);

impl Row for GroupLine {
    const COLUMNS: &'static [&'static str] = &["group", "starts", "flow", "datasets", "replicas"];
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
        "mode",
        "hub",
    ];

    fn cells(&self, _now: Timestamp) -> Vec<Cell> {
        let group = &self.0;
        vec![
            Cell::text(&group.name),
            Cell::text(starts(group)),
            Cell::text(flow(group)),
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
            group.source_of_truth_name.clone().unwrap_or_default(),
            group.systems.iter().map(|member| member.hostname.as_str()).collect::<Vec<_>>().join(" "),
            texts(&group.datasets).join(" "),
            texts(&group.exclude).join(" "),
            mappings(group).join(" "),
            in_sync.to_string(),
            group.replicas.values().sum::<u64>().to_string(),
            word(&group.mode),
            group.hub_name.clone(),
        ]
    }
}

fn texts(items: &[impl ToString]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

fn starts(group: &Group) -> &'static str {
    match (group.enabled, group.auto) {
        (false, _) => "‖ disabled",
        (true, true) => "automatic",
        (true, false) => "by hand",
    }
}

/// `nas1 → nas2, nas3`: who copies from whom.
fn flow(group: &Group) -> String {
    let names = |members: &mut dyn Iterator<Item = &zfs_sync_api::v1::group::Member>, between: &str| {
        members.map(|member| member.hostname.as_str()).collect::<Vec<_>>().join(between)
    };
    let others = names(&mut group.systems.iter().filter(|member| member.id != group.hub), ", ");
    match group.mode {
        GroupMode::OneWay => format!("{} → {others}", group.hub_name),
        GroupMode::ManyToOne => format!("{others} → {}", group.hub_name),
        GroupMode::Chain => names(&mut group.systems.iter(), " → "),
        GroupMode::Mesh => names(&mut group.systems.iter(), " ↔ "),
        GroupMode::Local => format!("within {}", group.hub_name),
    }
}

/// `tank=backup`, and what holds for single members.
fn mappings(group: &Group) -> Vec<String> {
    let of_members = group.systems.iter().flat_map(|member| {
        let mappings = group.member_mappings.get(&member.id).into_iter().flatten();
        mappings.map(|mapping| format!("{}:{mapping}", member.hostname))
    });
    texts(&group.mappings).into_iter().chain(of_members).collect()
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
            let created = client.create_group(&definition::request(&arguments)).await?;
            show(context, "group.create", created)?;
            if !arguments.auto {
                printer.say(format!(
                    "It waits for you: zfs-sync sync execute --sync-group {} --wait",
                    quote(&arguments.name)
                ));
            }
        }
        GroupCommand::Edit(arguments) => {
            let group = lookup::group(&client, &arguments.group).await?;
            let change = definition::change(&arguments, &group);
            show(context, "group.edit", client.update_group(group.id, &change).await?)?;
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
    let names = mappings(&group);
    let mut pairs = vec![
        ("group", group.name.clone()),
        ("id", group.id.to_string()),
        ("starts", starts(&group).to_owned()),
        ("mode", word(&group.mode)),
        ("flow", flow(&group)),
        ("datasets", selection(&group)),
        ("mapping", if names.is_empty() { "same names".to_owned() } else { names.join(", ") }),
        ("divergence", divergence(group.on_divergence).to_owned()),
        ("deletions", deletions(&group)),
        ("renames", if group.follow_renames { "followed" } else { "shown as conflicts" }.to_owned()),
        ("limit", limit_words(group.limit.as_ref())),
        ("compression", group.compression.to_string()),
        ("transport", transport_words(group.transport).to_owned()),
        ("replicas", counts(&group)),
        ("made", ago(now, group.created_at)),
    ];
    if group.profile == Profile::Classic {
        pairs.insert(7, ("profile", "classic: midnight snapshots, when 72 hours behind".to_owned()));
    }
    if let Some(description) = &group.description {
        pairs.insert(1, ("about", description.clone()));
    }
    context.printer.one(command, &GroupLine(group), &pairs, now)
}

const fn transport_words(transport: Transport) -> &'static str {
    match transport {
        Transport::Auto => "TLS where it is possible, else ssh",
        Transport::Tls => "TLS alone",
        Transport::Ssh => "ssh alone",
    }
}

const fn divergence(policy: OnDivergence) -> &'static str {
    match policy {
        OnDivergence::Stop => "stop and ask",
        OnDivergence::KeepBoth => "keep both: rename the target's copy, seed anew",
        OnDivergence::UseSourceOfTruth => {
            "the target goes back to what is common, or is set aside; may destroy"
        }
        OnDivergence::UseNewest => "all follow the member with the newest snapshot; may destroy",
        OnDivergence::UseLargest => "all follow the member with the most data; may destroy",
        OnDivergence::UseMajority => "all follow the history that most have; may destroy",
        OnDivergence::RollbackTarget => "the target goes back to what is common; may destroy",
    }
}

fn deletions(group: &Group) -> String {
    match group.mirror_deletes {
        Some(mirror) => {
            format!("carried over, at most {} % of a replica's snapshots in one run", mirror.max_percent)
        }
        None => "never carried over".to_owned(),
    }
}

/// The words that make a group of the same definition.
fn command_to_create(group: &Group) -> String {
    let systems: Vec<&str> = group.systems.iter().map(|member| member.hostname.as_str()).collect();
    let mut text =
        format!("zfs-sync group create --name {} --systems {}", quote(&group.name), systems.join(","));
    match group.mode {
        GroupMode::OneWay => {
            let _ = write!(text, " --source-of-truth {}", group.hub_name);
        }
        mode => {
            let _ = write!(text, " --mode {} --hub {}", word(&mode), group.hub_name);
        }
    }
    let lists = [
        ("--dataset", texts(&group.datasets)),
        ("--exclude", texts(&group.exclude)),
        ("--map", mappings(group)),
    ];
    for (option, values) in lists {
        for value in values {
            let _ = write!(text, " {option} {}", quote(&value));
        }
    }
    match group.on_divergence {
        OnDivergence::Stop => {}
        policy => {
            let _ = write!(text, " --on-divergence {}", word(&policy));
        }
    }
    if let Some(mirror) = group.mirror_deletes {
        let _ = write!(text, " --mirror-deletes {}", mirror.max_percent);
    }
    if let Some(limit) = &group.limit {
        let _ = write!(text, " --limit {}", quote(&limit.to_string()));
    }
    if group.compression != Compression::Off {
        let _ = write!(text, " --compress {}", group.compression);
    }
    if group.transport != Transport::Auto {
        let _ = write!(text, " --transport {}", group.transport);
    }
    for (option, applies) in [
        ("--auto", group.auto),
        ("--allow-destroy", group.allow_destroy),
        ("--follow-renames", group.follow_renames),
        ("--profile classic", group.profile == Profile::Classic),
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
