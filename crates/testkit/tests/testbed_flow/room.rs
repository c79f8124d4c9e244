//! Pools that get full.

use anyhow::{Context as _, Result, ensure};
use zfs_sync_testkit::testbed::wait_until;

use crate::{
    fleet::{PATIENCE, fleet},
    limits::{wait_for_bytes, wait_for_resumed},
};

const MIB: u64 = 1024 * 1024;

/// Gives back what was reserved.
const FREE: &str = "zfs set reservation=none small/filler && zpool sync small";

/// Reserves what is available for somebody else, but for some megabytes. What is received meanwhile can make it less between the two
/// commands: then again.
fn reserve_all_but(mebibytes: u32) -> Result<()> {
    fleet().machine("nas2").ok(&format!(
        "until a=$(zfs get -Hp -o value available small) && zfs set reservation=$((a - {mebibytes} * 1048576)) small/filler; do :; done; zpool sync small"
    ))?;
    Ok(())
}

#[test]
fn a_full_pool_keeps_the_partial_and_goes_on_by_itself_when_there_is_room() -> Result<()> {
    let fleet = fleet();
    let (name, source, target) = ("full", "tank/full", "small/full");
    fleet.make_dataset("nas1", source, 48)?;
    let nas2 = fleet.machine("nas2");
    nas2.create_file_pool("small", 384)?;
    nas2.ok("zfs create small/filler")?;
    // Somebody else's reservation leaves no room: then nothing is begun.
    reserve_all_but(30)?;
    fleet.make_group(name, "nas1", "nas2", source, &format!("{source}={target}"))?;
    fleet.cli(&["group", "edit", name, "--limit", "2MiB/s"])?;
    let refused = wait_until(PATIENCE, "the transfer to be refused", || {
        let transfers = fleet.transfers(name)?;
        Ok(transfers.into_iter().find(|transfer| transfer.error_code.as_deref() == Some("E_RECV_NO_SPACE")))
    });
    let refused = refused.with_context(|| fleet.describe(name))?;
    let detail = refused.error_detail.unwrap_or_default();
    ensure!(detail.contains("are missing") && detail.contains("Nothing was sent"), "{detail}");
    ensure!(refused.bytes == 0, "{} bytes were sent all the same", refused.bytes);

    // Room for all of it, which somebody else takes while it is on its way.
    nas2.ok(FREE)?;
    fleet.cli(&["transfer", "retry", &refused.id.to_string()])?;
    wait_for_bytes(fleet, name, 12 * MIB)?;
    reserve_all_but(2)?;
    let token = wait_until(PATIENCE, "the receive to end for lack of room", || {
        let waiting = fleet.transfers(name)?.into_iter().any(|transfer| {
            transfer.state == "queued" && transfer.error_code.as_deref() == Some("E_RECV_NO_SPACE")
        });
        let token = nas2.ok(&format!("zfs get -Hp -o value receive_resume_token {target}"))?;
        Ok((waiting && token.trim().len() > 10).then_some(token))
    });
    token.with_context(|| fleet.describe(name))?;

    // Nobody tells us that there is room again.
    fleet.cli(&["group", "edit", name, "--limit", "off"])?;
    nas2.ok(FREE)?;
    fleet.wait_for_state(name, 1, "in_sync")?;
    wait_for_resumed(fleet, name)?;
    fleet.assert_same(("nas1", source), ("nas2", target))?;
    fleet.assert_nothing_left(("nas1", source), ("nas2", target))?;
    fleet.cli(&["group", "delete", name])?;
    nas2.destroy_pool("small")
}
