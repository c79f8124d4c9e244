//! The ordinary course of things.

use std::time::Instant;

use anyhow::{Result, ensure};

use crate::fleet::{figure, fleet};

#[test]
fn nested_datasets_and_a_volume_stay_in_step_for_five_rounds() -> Result<()> {
    let fleet = fleet();
    let nas1 = fleet.machine("nas1");
    fleet.make_dataset("nas1", "tank/media", 2)?;
    fleet.make_dataset("nas1", "tank/media/films", 2)?;
    fleet.make_dataset("nas1", "tank/media/films/2026 new", 1)?;
    nas1.ok("zfs create -s -V 16M tank/media/disk && until dd if=/dev/urandom of=/dev/zvol/tank/media/disk bs=1M count=2 conv=nocreat,fsync status=none 2>/dev/null; do sleep 0.1; done && zfs snapshot tank/media/disk@one")?;
    fleet.make_group("media", "nas1", "nas2", "tank/media/**", "tank/media=tank/backup/media")?;
    fleet.wait_for_state("media", 4, "in_sync")?;

    let pairs = ["", "/films", "/films/2026 new", "/disk"]
        .map(|below| (format!("tank/media{below}"), format!("tank/backup/media{below}")));
    for round in 1..=5 {
        nas1.ok(&format!("dd if=/dev/urandom of=/tank/media/films/round{round} bs=256k count=1 status=none; zfs snapshot -r tank/media@round{round}"))?;
        fleet.wait_for_newest("media", ("nas1", "nas2"), &pairs)?;
    }
    fleet.wait_for_state("media", 4, "in_sync")?;

    let nas2 = fleet.machine("nas2");
    for (source, target) in &pairs {
        fleet.assert_same(("nas1", source), ("nas2", target))?;
        fleet.assert_nothing_left(("nas1", source), ("nas2", target))?;
        ensure!(
            nas2.ok(&format!("zfs get -Hp -o value readonly '{target}'"))?.trim() == "on",
            "{target} is writable"
        );
        let mounted = nas2.ok(&format!("zfs get -Hp -o value mounted '{target}'"))?;
        ensure!(mounted.trim() != "yes", "{target} is mounted");
    }
    // The content is the source's, read through the target's own snapshot.
    let hash = "sha256sum | cut -d' ' -f1";
    let sent = nas1.ok(&format!("cat /tank/media/.zfs/snapshot/round5/payload | {hash}"))?;
    let received = nas2.ok(&format!(
        "mkdir -p /mnt/look && mount -t zfs tank/backup/media@round5 /mnt/look && cat /mnt/look/payload | {hash}; umount /mnt/look"
    ))?;
    ensure!(sent == received, "the payload differs");
    // The links to devices come and go while udev looks at them, and what it looks at is busy.
    let look = |snapshot: &str| {
        format!(
            "zfs clone -o volmode=dev {snapshot} tank/look && until dd if=/dev/zvol/tank/look of=/tmp/look bs=1M status=none 2>/dev/null; do sleep 0.1; done; </tmp/look {hash}; rm /tmp/look; until zfs destroy tank/look 2>/dev/null; do sleep 0.1; done"
        )
    };
    let sent = nas1.ok(&look("tank/media/disk@round5"))?;
    let received = nas2.ok(&look("tank/backup/media/disk@round5"))?;
    ensure!(sent == received, "the volume differs");

    let check = fleet.cli(&["sync", "check", "--sync-group", "media", "--exit-code"])?;
    ensure!(check.contains("in sync"), "{check}");
    Ok(())
}

#[test]
fn a_new_snapshot_arrives_without_anybody_calling_anything() -> Result<()> {
    let fleet = fleet();
    fleet.make_dataset("nas1", "tank/latency", 1)?;
    fleet.make_group("latency", "nas1", "nas2", "tank/latency", "tank/latency=tank/latency-copy")?;
    fleet.wait_for_state("latency", 1, "in_sync")?;
    let mut figures = Vec::new();
    for round in 0..5 {
        // The watching loop runs in the machine itself: a question through the harness costs a fifth of a second.
        let guid_line =
            format!("zfs snapshot tank/latency@n{round} && zfs get -Hp -o value guid tank/latency@n{round}");
        let begun = Instant::now();
        let guid = fleet.machine("nas1").ok(&guid_line)?;
        let guid = guid.trim();
        fleet.machine("nas2").ok(&format!(
            "for i in $(seq 1 600); do zfs list -Hp -d 1 -t snapshot -o guid tank/latency-copy | grep -qx {guid} && exit 0; sleep 0.05; done; exit 1"
        ))?;
        figures.push(begun.elapsed().as_millis());
        // The next round measures an idle pair again, not the end of this step's bookkeeping.
        fleet.wait_for_state("latency", 1, "in_sync")?;
    }
    figures.sort_unstable();
    figure(&format!(
        "latency from `zfs snapshot` to the GUID on the target, emulated machines, ms: {figures:?}"
    ));
    Ok(())
}
