//! Agent to agent over TLS, between machines that have no SSH key for each other.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use zfs_sync_testkit::testbed::wait_until;

use crate::{
    fleet::{Fleet, PATIENCE, figure, fleet},
    kills::survives,
};

const LISTEN: &str = "--transfer-listen 0.0.0.0:8001 --report-interval 2s";
const MACHINES: [&str; 2] = ["nas1", "nas2"];

/// While this exists, nas1 and nas2 have no keys for each other and their agents listen.
struct WithoutKeys(&'static Fleet);

impl WithoutKeys {
    fn new(fleet: &'static Fleet) -> Result<Self> {
        let without = Self(fleet);
        for name in MACHINES {
            fleet.machine(name).ok("mkdir -p /root/away && mv /root/.ssh/id_* /root/away/")?;
            fleet.kill_agent(name)?;
            fleet.start_agent_with(name, LISTEN)?;
        }
        let other = "ssh -o BatchMode=yes -o ControlPath=none -o ConnectTimeout=5 nas2 true";
        ensure!(fleet.machine("nas1").ok(other).is_err(), "there is still a key for nas2");
        wait_until(PATIENCE, "both agents to listen", || {
            let systems = fleet.ask(|client| async move { client.list_systems().await })?;
            let listen = systems.iter().filter(|system| {
                system.transfer_address.is_some() && system.certificate_expires_at.is_some()
            });
            Ok((listen.count() == MACHINES.len()).then_some(()))
        })?;
        Ok(without)
    }
}

impl Drop for WithoutKeys {
    fn drop(&mut self) {
        for name in MACHINES {
            // Later scenarios need both; one that has no agent to kill has had a worse failure already.
            let _ = self.0.machine(name).run("mv /root/away/id_* /root/.ssh/");
            let _ = self.0.kill_agent(name);
            if let Err(error) = self.0.start_agent(name) {
                panic!("later scenarios need the agent of {name}: {error:#}");
            }
        }
    }
}

fn assert_over_tls(fleet: &Fleet, group: &str) -> Result<()> {
    for transfer in fleet.transfers(group)?.iter().filter(|transfer| transfer.state == "succeeded") {
        ensure!(
            transfer.transport.as_deref() == Some("tls"),
            "{} went over {:?}: {:?}",
            transfer.summary,
            transfer.transport,
            transfer.transport_note
        );
    }
    Ok(())
}

#[test]
fn agents_replicate_without_any_ssh_key() -> Result<()> {
    let fleet = fleet();
    let _without = WithoutKeys::new(fleet)?;
    let (source, target) = ("tank/tls", "tank/tls-copy");
    fleet.make_dataset("nas1", source, 4)?;
    fleet.make_group("tls", "nas1", "nas2", source, &format!("{source}={target}"))?;
    fleet.wait_for_state("tls", 1, "in_sync")?;
    fleet.assert_same(("nas1", source), ("nas2", target))?;
    fleet.assert_nothing_left(("nas1", source), ("nas2", target))?;
    assert_over_tls(fleet, "tls")?;

    // From the snapshot to its GUID on the other machine, as the witness's clock sees both.
    let mut took = Vec::new();
    for number in 1..=5 {
        fleet.machine("nas1").ok(&format!("echo {number} > /{source}/n"))?;
        let begun = Instant::now();
        fleet.machine("nas1").ok(&format!("zfs snapshot {source}@n{number}"))?;
        wait_until(PATIENCE, "the snapshot to arrive", || {
            let replicas = fleet.replicas("tls")?;
            let there = fleet.transfers("tls")?.iter().any(|transfer| {
                transfer.state == "succeeded" && transfer.summary.contains(&format!("n{number}"))
            });
            Ok((there && replicas.len() == 1).then_some(()))
        })
        .with_context(|| fleet.describe("tls"))?;
        took.push(begun.elapsed());
    }
    took.sort();
    let median = took.get(took.len() / 2).copied().unwrap_or(Duration::MAX);
    figure(&format!("tls: snapshot created → GUID on target, median of 5: {} ms", median.as_millis()));
    fleet.wait_for_state("tls", 1, "in_sync")?;
    fleet.assert_same(("nas1", source), ("nas2", target))?;

    // Both ends are in the way of the data now, and either may die in its middle.
    survives(
        "tls-kill-sender",
        |fleet| fleet.kill_agent("nas1"),
        |fleet| fleet.start_agent_with("nas1", LISTEN),
    )?;
    assert_over_tls(fleet, "tls-kill-sender")?;
    survives(
        "tls-kill-receiver",
        |fleet| fleet.kill_agent("nas2"),
        |fleet| fleet.start_agent_with("nas2", LISTEN),
    )?;
    assert_over_tls(fleet, "tls-kill-receiver")
}
