//! Names that lie: only GUIDs tell.

use anyhow::{Result, ensure};

use crate::fleet::fleet;

#[test]
fn a_snapshot_renamed_on_the_source_is_still_the_base() -> Result<()> {
    let fleet = fleet();
    fleet.make_dataset("nas1", "tank/renamed", 4)?;
    fleet.make_group("renamed", "nas1", "nas2", "tank/renamed", "tank/renamed=tank/renamed-copy")?;
    fleet.wait_for_state("renamed", 1, "in_sync")?;
    fleet.machine("nas1").ok("zfs rename tank/renamed@one tank/renamed@first && echo more >/tank/renamed/more && zfs snapshot tank/renamed@two")?;
    let pair = [("tank/renamed".to_owned(), "tank/renamed-copy".to_owned())];
    fleet.wait_for_newest("renamed", ("nas1", "nas2"), &pair)?;
    let (there, here) = (fleet.guids("nas1", "tank/renamed")?, fleet.guids("nas2", "tank/renamed-copy")?);
    ensure!(there["first"] == here["one"] && there["two"] == here["two"], "{there:?} {here:?}");
    let last = &fleet.transfers("renamed")?[0];
    ensure!(last.bytes < 1_000_000, "{} bytes: the base was not used", last.bytes);
    Ok(())
}

#[test]
fn the_same_name_with_other_content_is_not_taken_for_the_same() -> Result<()> {
    let fleet = fleet();
    fleet.make_dataset("nas1", "tank/again", 1)?;
    fleet.make_group("again", "nas1", "nas2", "tank/again", "tank/again=tank/again-copy")?;
    fleet.machine("nas1").ok("zfs snapshot tank/again@same")?;
    fleet.wait_for_state("again", 1, "in_sync")?;
    let old = fleet.guids("nas2", "tank/again-copy")?;
    ensure!(old.contains_key("same"), "{old:?}");
    // Our own bookmark must not make the re-created one look familiar either.
    fleet
        .machine("nas1")
        .ok("zfs destroy tank/again@same && echo other >/tank/again/other && zfs snapshot tank/again@same")?;
    let new = fleet.guids("nas1", "tank/again")?;
    ensure!(new["same"] != old["same"], "ZFS gave the same GUID twice");

    let result =
        zfs_sync_testkit::testbed::wait_until(crate::fleet::PATIENCE, "the clash to be seen", || {
            let replicas = fleet.replicas("again")?;
            Ok(replicas.first().filter(|replica| replica.state.as_str() == "diverged").cloned())
        });
    let replica = result.map_err(|error| error.context(fleet.describe("again")))?;
    ensure!(replica.reason.as_deref() == Some("R_SNAPSHOT_NAME_CLASH"), "{:?}", replica.reason);
    ensure!(fleet.guids("nas2", "tank/again-copy")? == old, "the target was changed");
    Ok(())
}

#[test]
fn a_base_destroyed_on_the_source_lives_on_as_a_bookmark() -> Result<()> {
    let fleet = fleet();
    fleet.make_dataset("nas1", "tank/pruned", 8)?;
    fleet.make_group("pruned", "nas1", "nas2", "tank/pruned", "tank/pruned=tank/pruned-copy")?;
    fleet.wait_for_state("pruned", 1, "in_sync")?;
    fleet.assert_nothing_left(("nas1", "tank/pruned"), ("nas2", "tank/pruned-copy"))?;
    fleet.machine("nas1").ok("zfs destroy tank/pruned@one && echo a >/tank/pruned/a && zfs snapshot tank/pruned@two && echo b >/tank/pruned/b && zfs snapshot tank/pruned@three")?;
    let pair = [("tank/pruned".to_owned(), "tank/pruned-copy".to_owned())];
    fleet.wait_for_newest("pruned", ("nas1", "nas2"), &pair)?;
    let (there, here) = (fleet.guids("nas1", "tank/pruned")?, fleet.guids("nas2", "tank/pruned-copy")?);
    ensure!(there["two"] == here["two"] && there["three"] == here["three"], "{there:?} {here:?}");
    ensure!(here.contains_key("one"), "what the source pruned is kept on the target");
    let most = fleet.transfers("pruned")?.iter().take(2).map(|transfer| transfer.bytes).max();
    ensure!(most.is_some_and(|bytes| bytes < 1_000_000), "{most:?} bytes: everything was sent again");
    Ok(())
}
