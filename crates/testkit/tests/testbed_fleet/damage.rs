//! People at work on the target.

use anyhow::{Result, ensure};

use crate::fleet::fleet;

#[test]
fn a_target_written_to_by_hand_is_left_alone_and_explained() -> Result<()> {
    let fleet = fleet();
    for name in ["touched", "untouched"] {
        fleet.make_dataset("nas1", &format!("tank/hand/{name}"), 1)?;
    }
    fleet.make_group("hand", "nas1", "nas2", "tank/hand/*", "tank/hand=tank/hand-copy")?;
    fleet.wait_for_state("hand", 2, "in_sync")?;

    let nas2 = fleet.machine("nas2");
    nas2.ok("zfs set readonly=off tank/hand-copy/touched && zfs mount tank/hand-copy/touched && echo mine >/tank/hand-copy/touched/mine && zpool sync tank")?;
    fleet.machine("nas1").ok("zfs snapshot -r tank/hand@two")?;

    let states = zfs_sync_testkit::testbed::wait_until(
        crate::fleet::PATIENCE,
        "one to diverge and the other to go on",
        || {
            let replicas = fleet.replicas("hand")?;
            let state = |name: &str| {
                replicas
                    .iter()
                    .find(|replica| replica.target.ends_with(name))
                    .map(|replica| replica.state.as_str())
            };
            let found = (state("/touched"), state("/untouched"));
            Ok((found == (Some("diverged"), Some("in_sync"))).then_some(found))
        },
    );
    ensure!(states.is_ok(), "{}", fleet.describe("hand"));
    fleet.assert_same(("nas1", "tank/hand/untouched"), ("nas2", "tank/hand-copy/untouched"))?;
    ensure!(nas2.ok("cat /tank/hand-copy/touched/mine")? == "mine\n", "the change was overwritten");
    ensure!(
        !fleet.guids("nas2", "tank/hand-copy/touched")?.contains_key("two"),
        "something was received on top of the change"
    );

    let why = fleet.cli(&["why", "tank/hand-copy/touched@nas2"])?;
    ensure!(why.contains("R_TARGET_MODIFIED") && why.contains("written"), "{why}");

    // The way out destroys nothing: the changed copy is kept under another name.
    fleet.cli(&[
        "sync",
        "execute",
        "--sync-group",
        "hand",
        "--keep-both",
        "tank/hand-copy/touched@nas2",
        "--wait",
    ])?;
    fleet.wait_for_state("hand", 2, "in_sync")?;
    let aside = nas2.ok("zfs list -H -o name -r tank/hand-copy | grep 'touched.aside-'")?;
    let aside = aside.trim();
    // The replica begins anew as a clone of what was set aside: what both had in common is there, and is not sent again.
    let (source, replica) =
        (fleet.guids("nas1", "tank/hand/touched")?, fleet.guids("nas2", "tank/hand-copy/touched")?);
    ensure!(replica.get("two") == source.get("two"), "{source:?} {replica:?}");
    ensure!(fleet.guids("nas2", aside)?.get("one") == source.get("one"), "{source:?}");
    let origin = nas2.ok("zfs get -H -o value origin tank/hand-copy/touched")?;
    ensure!(origin.trim() == format!("{aside}@one"), "{origin}");
    ensure!(
        nas2.ok(&format!("cat $(zfs get -H -o value mountpoint '{aside}')/mine"))? == "mine\n",
        "the change is gone"
    );
    Ok(())
}
