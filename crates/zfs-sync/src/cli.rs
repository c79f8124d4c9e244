//! The words of the command line, as types; what they mean is in [`crate::commands`].

mod args;
mod conflict;
mod fleet;
mod group;
mod host;
mod operate;
mod verify;

pub(crate) use args::{Args, Command, DEFAULT_SERVER, Global, OutputFormat};
pub(crate) use conflict::{ConflictCommand, ConflictList, PlanCommand, Resolve, WhatIf};
pub(crate) use fleet::{
    SyncCommand, SyncExecute, SyncPlan, SystemCommand, TokenCommand, TransferCommand, WhyArgs,
};
pub(crate) use group::{CreateGroup, Definition, EditGroup, GroupCommand, Switch};
pub(crate) use host::{
    AgentCommand, AgentRun, DemoArgs, DoctorArgs, EnrollArgs, ExplainArgs, ReplicateArgs, ServerArgs,
};
pub(crate) use operate::{
    ExecutorAdd, ExecutorCommand, ExecutorFolder, ExecutorRun, GateArgs, GateRole, HoldCommand, HoldList,
    HoldRelease, OnHost, SshArgs,
};
pub(crate) use verify::{VerificationCommand, VerifyArgs, VerifySideArgs};

use std::{ffi::OsString, path::Path};

/// The program may be called by the name of its agent: `zfs-sync-agent run` is `zfs-sync agent run`.
pub(crate) fn expand_program_name(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    let called_agent = arguments
        .first()
        .and_then(|program| Path::new(program).file_stem())
        .is_some_and(|name| name == "zfs-sync-agent");
    if called_agent {
        arguments.insert(1, "agent".into());
    }
    arguments
}

/// A duration as people write it: `90s`, `10m`, `1h 30m`, or a bare number of seconds.
fn duration(text: &str) -> Result<std::time::Duration, String> {
    let wrong = || format!("`{text}` is no duration; write for example 90s, 10m or 1h30m");
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(std::time::Duration::from_secs(seconds));
    }
    let signed: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    std::time::Duration::try_from(signed).map_err(|_| wrong())
}

/// A word of the API as people write it: `keep-both` for `keep_both`.
fn word<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    let word = serde_json::Value::String(text.replace('-', "_"));
    serde_json::from_value(word).map_err(|error| {
        let text = error.to_string().replace('`', "").replace('_', "-");
        text.split_once("expected ")
            .map_or_else(|| text.clone(), |(_, expected)| format!("expected {expected}"))
    })
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::*;

    #[test]
    fn the_command_tree_is_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_agents_program_name_stands_for_its_command() {
        let expand = |words: &[&str]| expand_program_name(words.iter().map(OsString::from));
        assert_eq!(expand(&["/usr/bin/zfs-sync-agent", "run"]), ["/usr/bin/zfs-sync-agent", "agent", "run"]);
        assert_eq!(expand(&["zfs-sync-cli", "status"]), ["zfs-sync-cli", "status"]);
    }

    /// The words of one line, as a shell splits them.
    fn words(line: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        let mut quoted = false;
        for c in line.chars() {
            match c {
                '\'' => quoted = !quoted,
                ' ' if !quoted => words.push(String::new()),
                other => words.last_mut().unwrap().push(other),
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }

    #[test]
    fn every_command_that_a_page_of_a_code_names_exists() {
        let mut found = 0;
        for code in zfs_sync_api::codes::all_codes() {
            let page = zfs_sync_api::codes::explain(code).unwrap().replace("\\\n", " ");
            for line in page.lines().map(str::trim_start) {
                // A variable may stand before the program.
                let Some(start) =
                    line.find("zfs-sync ").filter(|start| *start == 0 || line[..*start].ends_with(' '))
                else {
                    continue;
                };
                if !line.starts_with("zfs-sync ") && !line.starts_with("ZFS_SYNC_") {
                    continue;
                }
                found += 1;
                if let Err(error) = Args::try_parse_from(words(&line[start..])) {
                    assert_eq!(error.kind(), clap::error::ErrorKind::DisplayHelp, "{code}: {line}: {error}");
                }
            }
        }
        assert!(found > 100, "only {found} commands were found in the pages");
    }

    #[test]
    fn words_are_written_with_hyphens() {
        use zfs_sync_core::group::{GroupMode, Strategy};
        assert_eq!(word::<Strategy>("keep-both"), Ok(Strategy::KeepBoth));
        assert_eq!(word::<GroupMode>("many_to_one"), Ok(GroupMode::ManyToOne));
        let error = word::<GroupMode>("ring").unwrap_err();
        assert_eq!(error, "expected one of one-way, many-to-one, chain, mesh, local");
    }

    #[test]
    fn durations_are_written_as_people_write_them() {
        assert_eq!(duration("90").unwrap().as_secs(), 90);
        assert_eq!(duration("10m").unwrap().as_secs(), 600);
        assert_eq!(duration("1h30m").unwrap().as_secs(), 5400);
        assert!(duration("soon").is_err());
        assert!(duration("-5s").is_err());
    }
}
