//! Connections that die without a word.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use zfs_sync_testkit::testbed::wait_until;

use crate::{
    fleet::{Fleet, PATIENCE, figure, fleet},
    limits::{wait_for_bytes, wait_for_resumed},
};

const MIB: u64 = 1024 * 1024;

/// Drops every packet between nas1 and nas2 while this exists; neither side hears of it.
struct Silence(&'static Fleet);

impl Silence {
    fn between_nas1_and_nas2(fleet: &'static Fleet) -> Result<Self> {
        let peer = fleet.machine("nas2").address();
        fleet.machine("nas1").ok(&format!(
            "nft add table ip silence && nft 'add chain ip silence in {{ type filter hook input priority 0; }}' \
             && nft 'add chain ip silence out {{ type filter hook output priority 0; }}' \
             && nft add rule ip silence in ip saddr {peer} drop && nft add rule ip silence out ip daddr {peer} drop"
        ))?;
        Ok(Self(fleet))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        if let Err(error) = self.0.machine("nas1").ok("nft delete table ip silence") {
            panic!("later scenarios need the connection between nas1 and nas2: {error:#}");
        }
    }
}

#[test]
fn a_half_open_connection_ends_the_attempt_in_time_and_the_next_one_resumes() -> Result<()> {
    let fleet = fleet();
    let (name, source, target) = ("silence", "tank/silence", "tank/silence-copy");
    fleet.make_dataset("nas1", source, 32)?;
    fleet.make_group(name, "nas1", "nas2", source, &format!("{source}={target}"))?;
    fleet.cli(&["group", "edit", name, "--limit", "1MiB/s"])?;
    wait_for_bytes(fleet, name, 8 * MIB)?;
    let silence = Silence::between_nas1_and_nas2(fleet)?;
    let begun = Instant::now();
    // ssh asks its peer every five seconds and gives up after three answers that did not come; emulated machines take their time.
    let ended = wait_until(Duration::from_secs(90), "the attempt to end", || {
        let transfers = fleet.transfers(name)?;
        Ok(transfers.into_iter().find(|transfer| transfer.error_code.is_some()))
    });
    let ended = ended.with_context(|| fleet.describe(name))?;
    figure(&format!("half-open connection: the attempt ended after {} s", begun.elapsed().as_secs()));
    let code = ended.error_code.unwrap_or_default();
    ensure!(code == "E_SSH_UNREACHABLE" || code == "E_TRANSFER_INTERRUPTED", "{code}");
    drop(silence);
    fleet.cli(&["group", "edit", name, "--limit", "off"])?;
    let waited = wait_until(PATIENCE * 2, "the replica to be in sync", || {
        let replicas = fleet.replicas(name)?;
        Ok(replicas.iter().all(|replica| replica.state.as_str() == "in_sync").then_some(()))
    });
    waited.with_context(|| fleet.describe(name))?;
    wait_for_resumed(fleet, name)?;
    fleet.assert_same(("nas1", source), ("nas2", target))?;
    fleet.assert_nothing_left(("nas1", source), ("nas2", target))
}
