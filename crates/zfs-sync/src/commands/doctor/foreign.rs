//! Other tools on the same datasets.

use std::collections::BTreeMap;

use zfs_sync_core::plan::Warning;
use zfs_sync_zfs::{
    command::{Command, Scope},
    delegation::Duty,
    features::Features,
    foreign::{Trace, is_leftover, traces},
    inventory::{list_datasets, read_history},
    parse,
    runner::Runner,
};

use super::{Check, permission::Duties};

const NAME: &str = "zfs.foreign";

/// Held snapshots that are asked about, in one command: enough to know a tool by its tag.
const HOLDS: usize = 200;

/// Looks for traces. On a source a snapshot tool is as it should be; on a target one that prunes is in the way.
pub(super) async fn check(
    runner: &dyn Runner,
    features: &Features,
    duties: &Duties,
    checks: &mut Vec<Check>,
) {
    check_leftovers(runner, features, checks).await;
    let history = match read_history(runner, &Scope::Everything, features).await {
        Ok(history) => history,
        Err(error) => {
            checks.push(Check::fail(NAME, error.code(), error.to_string()));
            return;
        }
    };
    let held = history.iter().flat_map(|(dataset, (snapshots, _))| {
        let held = snapshots.iter().filter(|snapshot| snapshot.holds > 0);
        held.filter_map(|snapshot| dataset.snapshot(&snapshot.label).ok())
    });
    let held: Vec<_> = held.take(HOLDS).collect();
    let command = Command::HoldsOf { snapshots: held.clone(), exact: features.snapshots_changed };
    // What can not be had is a trace fewer, not a failure.
    let holds = if held.is_empty() { None } else { runner.run(&command).await.ok() };
    let holds = holds.and_then(|output| parse::holds(&output.stdout).ok()).unwrap_or_default();
    let set = runner.run(&Command::ListSet { datasets: Vec::new() }).await.ok();
    let set = set.and_then(|output| parse::set_properties(&output.stdout).ok()).unwrap_or_default();
    let is_target = |trace: &Trace| {
        duties.iter().any(|(duty, dataset)| *duty == Duty::Target && trace.dataset.is_within(dataset))
    };
    let mut found: BTreeMap<(&'static str, bool), Vec<Trace>> = BTreeMap::new();
    for trace in traces(&history, &holds, &set) {
        if trace.replicates || is_target(&trace) {
            found.entry((trace.tool, trace.replicates)).or_default().push(trace);
        }
    }
    if found.is_empty() {
        checks.push(Check::pass(NAME, "no traces of other replicators"));
    }
    for ((tool, replicates), traces) in found {
        checks.push(finding(tool, replicates, &traces));
    }
}

async fn check_leftovers(runner: &dyn Runner, features: &Features, checks: &mut Vec<Check>) {
    // What can not be listed fails in the next check, with its reason.
    let rows = list_datasets(runner, &Scope::Everything, features).await.unwrap_or_default();
    for row in rows.iter().filter(|row| is_leftover(&row.name)) {
        let detail =
            format!("{} was left by an interrupted receive of another tool; nobody continues it", row.name);
        checks.push(Check::warn(NAME, detail));
    }
}

fn finding(tool: &str, replicates: bool, traces: &[Trace]) -> Check {
    let Trace { dataset, what, .. } = &traces[0];
    let more = match traces.len() - 1 {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    let (code, doubt) = if replicates {
        (Warning::ForeignReplicator, "two tools must not receive into one dataset")
    } else {
        (Warning::ForeignSnapshots, "it must not make or prune snapshots on a replica")
    };
    let mut check = Check::warn(NAME, format!("{tool} was here: {what} on {dataset}{more}; {doubt}"));
    check.code = Some(code.code().to_owned());
    check
}
