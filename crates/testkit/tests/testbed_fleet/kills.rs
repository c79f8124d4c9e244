//! `kill -9` in the middle of 20 MB, and what is left afterwards: nothing.

use anyhow::{Context as _, Result, ensure};

use crate::fleet::{Fleet, figure, fleet, seen};

const MEBIBYTES: u32 = 24;

/// Slows what nas1 sends to the other machines to two megabytes a second while this exists, so that "in the middle" is a time and not
/// an instant, however fast or busy the machine is that runs the tests.
pub(crate) struct SlowLink(&'static Fleet);

const LINK: &str =
    "dev=$(ip -o route get $(getent hosts nas2 | cut -d' ' -f1) | sed 's/.* dev \\([^ ]*\\).*/\\1/')";

impl SlowLink {
    pub(crate) fn new(fleet: &'static Fleet) -> Result<Self> {
        fleet.machine("nas1").ok(&format!(
            "{LINK}; tc qdisc replace dev $dev root tbf rate 16mbit burst 64kb latency 400ms"
        ))?;
        Ok(Self(fleet))
    }
}

impl Drop for SlowLink {
    fn drop(&mut self) {
        // A link that stays slow makes later scenarios slow, not wrong.
        let _ = self.0.machine("nas1").run(&format!("{LINK}; tc qdisc del dev $dev root"));
    }
}

const RESUMED: &str =
    "continued, without sending again what had arrived; nothing is left of the interrupted attempt";
const RESUMED_SEEN: &str = "in_sync, continued; no hold of a step and no partial receive is left";

/// Starts a transfer of 24 MiB, lets `strike` happen in its middle and `mend` after it, and demands that it resumed and ended well.
pub(crate) fn survives(
    name: &str,
    strike: impl FnOnce(&Fleet) -> Result<()>,
    mend: impl FnOnce(&Fleet) -> Result<()>,
) -> Result<()> {
    let fleet = fleet();
    let (source, target) = (format!("tank/{name}"), format!("tank/{name}-copy"));
    fleet.make_dataset("nas1", &source, MEBIBYTES)?;
    let slow = SlowLink::new(fleet)?;
    fleet.make_group(name, "nas1", "nas2", &source, &format!("{source}={target}"))?;
    let before = fleet.wait_for_mid_transfer(name)?;
    ensure!(before.resumed_from.is_none(), "this is the first attempt");
    strike(fleet)?;
    mend(fleet)?;
    drop(slow);
    fleet.wait_for_state(name, 1, "in_sync")?;
    fleet.assert_same(("nas1", &source), ("nas2", &target))?;
    fleet.assert_nothing_left(("nas1", &source), ("nas2", &target))?;

    let resumed = fleet
        .transfers(name)?
        .into_iter()
        .find(|transfer| transfer.resumed_from.is_some_and(|bytes| bytes > 0))
        .with_context(|| format!("no transfer resumed\n{}", fleet.describe(name)))?;
    let whole = u64::from(MEBIBYTES) * 1024 * 1024;
    let (kept, sent) = (resumed.resumed_from.unwrap_or_default(), resumed.bytes);
    ensure!(sent < whole, "{sent} bytes were sent after {kept} had been kept: that is everything again");
    figure(&format!("{name}: {kept} bytes had arrived, {sent} more were sent, of {whole}"));
    Ok(())
}

#[test]
fn the_agent_on_the_sending_side_is_killed() -> Result<()> {
    survives("kill-sender", |fleet| fleet.kill_agent("nas1"), |fleet| fleet.start_agent("nas1"))?;
    seen("F33", "the agent on the sending side is killed", RESUMED, RESUMED_SEEN)
}

#[test]
fn the_agent_on_the_receiving_side_is_killed() -> Result<()> {
    let fleet = fleet();
    let (source, target) = ("tank/kill-receiver", "tank/kill-receiver-copy");
    fleet.make_dataset("nas1", source, MEBIBYTES)?;
    let slow = SlowLink::new(fleet)?;
    fleet.make_group("kill-receiver", "nas1", "nas2", source, &format!("{source}={target}"))?;
    fleet.wait_for_mid_transfer("kill-receiver")?;
    // It is not in the way of the data: the transfer goes on, and its success is known before the agent is back.
    fleet.kill_agent("nas2")?;
    fleet.start_agent("nas2")?;
    drop(slow);
    fleet.wait_for_state("kill-receiver", 1, "in_sync")?;
    fleet.assert_same(("nas1", source), ("nas2", target))?;
    fleet.assert_nothing_left(("nas1", source), ("nas2", target))?;
    seen(
        "F33",
        "the agent on the receiving side is killed while it is sent to",
        "the transfer goes on: that agent is not in the way of the data",
        "in_sync; no hold of a step and no partial receive is left",
    )
}

/// Takes a system's ssh address away while this exists, so that it fetches by itself what it lacks.
struct WithoutAddress(&'static Fleet, &'static str);

impl WithoutAddress {
    fn new(fleet: &'static Fleet, system: &'static str) -> Result<Self> {
        fleet.set_ssh_hostname(system, None)?;
        Ok(Self(fleet, system))
    }
}

impl Drop for WithoutAddress {
    fn drop(&mut self) {
        if let Err(error) = self.0.set_ssh_hostname(self.1, Some(self.1)) {
            panic!("later scenarios need the address of {}: {error:#}", self.1);
        }
    }
}

#[test]
fn the_agent_on_the_receiving_side_is_killed_while_it_fetches() -> Result<()> {
    let _pulls = WithoutAddress::new(fleet(), "nas2")?;
    survives("kill-fetcher", |fleet| fleet.kill_agent("nas2"), |fleet| fleet.start_agent("nas2"))?;
    seen("F33", "the agent on the receiving side is killed while it fetches", RESUMED, RESUMED_SEEN)
}

#[test]
fn the_receiving_process_is_killed() -> Result<()> {
    survives(
        "kill-receive",
        |fleet| fleet.machine("nas2").ok("pkill -KILL -f 'zfs receive.*kill-receive-copy'").map(drop),
        |_| Ok(()),
    )?;
    seen("F32", "the receiving process of a fleet's transfer is killed", RESUMED, RESUMED_SEEN)
}

#[test]
fn the_witness_is_killed() -> Result<()> {
    let fleet = fleet();
    let (source, target) = ("tank/kill-witness", "tank/kill-witness-copy");
    fleet.make_dataset("nas1", source, MEBIBYTES)?;
    let slow = SlowLink::new(fleet)?;
    fleet.make_group("kill-witness", "nas1", "nas2", source, &format!("{source}={target}"))?;
    fleet.wait_for_mid_transfer("kill-witness")?;
    fleet.kill_witness()?;
    // The data does not pass through it; the agents go on.
    fleet.start_witness()?;
    drop(slow);
    fleet.wait_for_state("kill-witness", 1, "in_sync")?;
    fleet.assert_same(("nas1", source), ("nas2", target))?;
    fleet.assert_nothing_left(("nas1", source), ("nas2", target))?;
    seen(
        "F110",
        "the witness is killed in the middle of a transfer",
        "the transfer goes on, and its result is told when the witness is back",
        "in_sync; no hold of a step and no partial receive is left",
    )
}

#[test]
fn the_ssh_connection_is_killed() -> Result<()> {
    survives(
        "kill-ssh",
        |fleet| fleet.machine("nas1").ok("pkill -KILL -f '^ssh .*kill-ssh-copy'").map(drop),
        |_| Ok(()),
    )?;
    seen("F31", "the ssh connection is killed", RESUMED, RESUMED_SEEN)
}

#[test]
fn the_receiving_machine_loses_power() -> Result<()> {
    survives(
        "kill-power",
        |fleet| {
            // A resume point exists on disk only after the pool has written it out.
            fleet.machine("nas2").ok("zpool sync tank")?;
            fleet.machine("nas2").reboot_hard()
        },
        |fleet| {
            fleet.machine("nas2").ok("zpool import -f tank 2>/dev/null || zpool list tank")?;
            fleet.start_agent("nas2")
        },
    )?;
    seen("F32", "the receiving machine loses power", RESUMED, RESUMED_SEEN)
}
