//! Limits of bandwidth, and what may still end when the agent is asked to stop.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use zfs_sync_api::v1::transfer::Transfer;
use zfs_sync_testkit::testbed::wait_until;

use crate::fleet::{Fleet, PATIENCE, figure, fleet};

const MIB: u64 = 1024 * 1024;

/// Waits until the group's transfer is under way and has moved so many bytes.
pub(crate) fn wait_for_bytes(fleet: &Fleet, group: &str, bytes: u64) -> Result<Transfer> {
    let waited = wait_until(PATIENCE, &format!("a transfer of {group} to move {bytes} bytes"), || {
        let transfers = fleet.transfers(group)?;
        Ok(transfers.into_iter().find(|transfer| transfer.state == "leased" && transfer.bytes > bytes))
    });
    waited.with_context(|| fleet.describe(group))
}

/// Waits until a transfer of the group resumed what an earlier attempt had brought.
pub(crate) fn wait_for_resumed(fleet: &Fleet, group: &str) -> Result<Transfer> {
    let waited = wait_until(PATIENCE, &format!("a transfer of {group} to resume"), || {
        let resumed = |transfer: &Transfer| transfer.resumed_from.is_some_and(|bytes| bytes > 0);
        Ok(fleet.transfers(group)?.into_iter().find(resumed))
    });
    waited.with_context(|| fleet.describe(group))
}

#[test]
fn a_limit_holds_by_what_is_counted_and_is_lifted_while_the_transfer_runs() -> Result<()> {
    let fleet = fleet();
    let (name, source, target) = ("limit", "tank/limit", "tank/limit-copy");
    fleet.make_dataset("nas1", source, 64)?;
    // Of two limits the lower one holds: that of the receiving system.
    fleet.cli(&["system", "set", "nas2", "--limit", "1MiB/s"])?;
    fleet.make_group(name, "nas1", "nas2", source, &format!("{source}={target}"))?;
    fleet.cli(&["group", "edit", name, "--limit", "2MiB/s"])?;
    let first = wait_for_bytes(fleet, name, 2 * MIB)?;
    let second = wait_for_bytes(fleet, name, first.bytes + 12 * MIB)?;
    let time = second.updated_at.duration_since(first.updated_at).as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "some megabytes")]
    let rate = (second.bytes - first.bytes) as f64 / time / MIB as f64;
    figure(&format!("limit of 1 MiB/s: {rate:.2} MiB/s over {time:.1} s"));
    ensure!((0.7..1.3).contains(&rate), "{rate:.2} MiB/s under a limit of 1 MiB/s");
    let flow = second.flow.context("a measured flow")?;
    ensure!(flow.limit == Some(MIB) && flow.waits_for.as_deref() == Some("limit"), "{flow:?}");
    let left = flow.seconds_left.context("an estimate of the end")?;
    ensure!((20..100).contains(&left), "{left} s left for some fifty megabytes at 1 MiB/s");
    fleet.cli(&["system", "set", "nas2", "--limit", "off"])?;
    fleet.cli(&["group", "edit", name, "--limit", "off"])?;
    fleet.wait_for_state(name, 1, "in_sync")?;
    fleet.assert_same(("nas1", source), ("nas2", target))?;
    let attempts = fleet.transfers(name)?.len();
    ensure!(attempts == 1, "a changed limit is no reason to begin again: {attempts} transfers");
    Ok(())
}

/// Asks the agent of a machine to stop, and waits until it has.
fn stop_agent(fleet: &Fleet, machine: &str) -> Result<()> {
    let line = "pkill -TERM -f '^zfs-sync agent run'";
    fleet.machine(machine).ok(line)?;
    wait_until(Duration::from_mins(1), "the agent to end", || {
        let running = fleet.machine(machine).run("pgrep -f '^zfs-sync agent run'")?;
        Ok((!running.is_success()).then_some(()))
    })
}

#[test]
fn an_agent_that_is_asked_to_stop_ends_what_is_nearly_done_and_keeps_what_is_not() -> Result<()> {
    let fleet = fleet();
    let (name, source, target) = ("drain", "tank/drain", "tank/drain-copy");
    fleet.make_dataset("nas1", source, 16)?;
    fleet.make_group(name, "nas1", "nas2", source, &format!("{source}={target}"))?;
    fleet.cli(&["group", "edit", name, "--limit", "1MiB/s"])?;
    // Four megabytes are missing, and ten seconds are allowed.
    wait_for_bytes(fleet, name, 12 * MIB)?;
    stop_agent(fleet, "nas1")?;
    fleet.assert_same(("nas1", source), ("nas2", target))?;
    fleet.assert_nothing_left(("nas1", source), ("nas2", target))?;
    let ended = fleet.transfers(name)?;
    ensure!(ended.len() == 1 && ended[0].state == "succeeded", "{}", fleet.describe(name));
    ensure!(ended[0].resumed_from.is_none(), "it ended by itself, in its first attempt");
    fleet.start_agent("nas1")?;

    let (name, source, target) = ("no-drain", "tank/no-drain", "tank/no-drain-copy");
    fleet.make_dataset("nas1", source, 32)?;
    fleet.make_group(name, "nas1", "nas2", source, &format!("{source}={target}"))?;
    fleet.cli(&["group", "edit", name, "--limit", "1MiB/s"])?;
    wait_for_bytes(fleet, name, 8 * MIB)?;
    stop_agent(fleet, "nas1")?;
    let token = fleet.machine("nas2").ok(&format!("zfs get -Hp -o value receive_resume_token {target}"))?;
    ensure!(token.trim().len() > 10, "what had come is kept: {token}");
    fleet.cli(&["group", "edit", name, "--limit", "off"])?;
    fleet.start_agent("nas1")?;
    fleet.wait_for_state(name, 1, "in_sync")?;
    wait_for_resumed(fleet, name)?;
    fleet.assert_same(("nas1", source), ("nas2", target))
}
