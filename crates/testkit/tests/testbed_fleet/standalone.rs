//! Two hosts and no witness.

use anyhow::{Result, ensure};

use crate::fleet::fleet;

#[test]
fn replicate_twice_and_the_second_run_sends_nothing_and_says_so() -> Result<()> {
    let fleet = fleet();
    let nas1 = fleet.machine("nas1");
    fleet.make_dataset("nas1", "tank/alone", 2)?;
    fleet.make_dataset("nas1", "tank/alone/below", 1)?;
    nas1.ok("zfs snapshot -r tank/alone@two")?;

    let plan = nas1.ok("zfs-sync replicate tank/alone root@nas2:tank/alone-copy --recursive --dry-run")?;
    ensure!(plan.contains("zfs send") && plan.contains("zfs receive"), "{plan}");
    ensure!(fleet.machine("nas2").run("zfs list tank/alone-copy")?.status != 0, "a dry run made something");

    nas1.ok("zfs-sync replicate tank/alone root@nas2:tank/alone-copy --recursive")?;
    for below in ["", "/below"] {
        let (source, target) = (format!("tank/alone{below}"), format!("tank/alone-copy{below}"));
        fleet.assert_same(("nas1", &source), ("nas2", &target))?;
        fleet.assert_nothing_left(("nas1", &source), ("nas2", &target))?;
    }

    let second = nas1.ok("zfs-sync replicate tank/alone root@nas2:tank/alone-copy --recursive 2>&1")?;
    ensure!(second.to_lowercase().contains("nothing to send"), "{second}");

    // The other way round: the target fetches.
    nas1.ok("zfs snapshot -r tank/alone@three")?;
    fleet.machine("nas2").ok("zfs-sync replicate root@nas1:tank/alone tank/alone-copy --recursive")?;
    fleet.assert_same(("nas1", "tank/alone/below"), ("nas2", "tank/alone-copy/below"))
}

#[test]
fn a_wrong_name_is_refused_before_anything_runs() -> Result<()> {
    let nas1 = fleet().machine("nas1");
    for (arguments, code) in [
        ("'tank/a;reboot' root@nas2:tank/b", "E_NAME_INVALID"),
        ("tank/alone 'root@-oProxyCommand=x:tank/b'", "E_HOST_INVALID"),
        ("tank/missing root@nas2:tank/b", "E_DATASET_NOT_FOUND"),
    ] {
        let output = nas1.run(&format!("zfs-sync replicate {arguments}"))?;
        ensure!(
            output.status != 0 && output.stderr.contains(code),
            "{arguments}: {} {}",
            output.status,
            output.stderr
        );
    }
    Ok(())
}
