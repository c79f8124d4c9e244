//! Proof that copies are the same, and that a byte which is not is found: what a disk changes behind the back of ZFS.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use zfs_sync_testkit::testbed::{Machine, wait_until};

use crate::fleet::{fleet, seen};

/// Marks the byte that is changed; nothing else on a new pool has it.
const MARK: &str = "THE-BYTE-AFTER-THIS-IS-CHANGED:";

/// What `verify` prints as JSON.
fn item(text: &str) -> Result<Value> {
    let answer: Value = serde_json::from_str(text).with_context(|| format!("no JSON in `{text}`"))?;
    Ok(answer["item"].clone())
}

/// Files of every kind, whose replica must be found equal.
fn furnish(machine: &Machine, dataset: &str) -> Result<()> {
    machine.ok(&format!(
        "cd '/{dataset}' && mkdir -p deep/er && echo x > deep/er/x && ln deep/er/x hard && ln -s nowhere soft && mkfifo pipe \
         && mknod null c 1 3 && chmod 4711 hard && chown 7:8 deep && printf y > \"$(printf 'not\\377utf8')\" && truncate -s 5M holes \
         && touch -d 2001-02-03T04:05:06.789012345 deep/er"
    ))?;
    Ok(())
}

/// By the witness, from one version of OpenZFS to the other.
fn verifies(name: &str, source: &str, target: &str) -> Result<()> {
    let fleet = fleet();
    let (from, to) = (format!("tank/{name}"), format!("tank/{name}-copy"));
    fleet.make_dataset(source, &from, 2)?;
    furnish(fleet.machine(source), &from)?;
    fleet.machine(source).ok(&format!("zfs create -V 8M {from}/disk && udevadm settle && dd if=/dev/urandom of=/dev/zvol/{from}/disk bs=1M count=3 status=none && zfs snapshot -r {from}@proof"))?;
    fleet.make_group(name, source, target, &format!("{from}/**"), &format!("{from}={to}"))?;
    fleet.wait_for_state(name, 2, "in_sync")?;
    for below in ["", "/disk"] {
        let pairs = [(format!("{from}{below}"), format!("{to}{below}"))];
        fleet.wait_for_newest(name, (source, target), &pairs)?;
        let snapshot = format!("{from}{below}@proof");
        let between = format!("{source},{target}");
        let text =
            fleet.cli(&["verify", &snapshot, "--between", &between, "--deep", "--wait=4m", "-o", "json"])?;
        let found = item(&text)?;
        ensure!(found["state"] == "matched" && found["result"]["deep"] == true, "{text}");
    }
    // Nothing of it is seen on the target, nor left there.
    let target = fleet.machine(target);
    let mounted =
        target.ok(&format!("zfs get -H -o value mounted {to}; grep -c '{to}@' /proc/mounts || true"))?;
    ensure!(mounted == "no\n0\n", "{mounted}");
    // The agent tidies up when it has heard that the verification is over.
    wait_until(Duration::from_mins(1), "the volume's snapshots to be hidden again", || {
        let snapdev = target.ok(&format!("zfs get -H -o value,source snapdev,zfs-sync:snapdev {to}/disk"))?;
        Ok((snapdev == "hidden\tdefault\n-\t-\n").then_some(()))
    })?;
    let proofs = fleet.cli(&["verification", "proofs", "-o", "csv"])?;
    ensure!(proofs.contains(&format!("{to}/disk")), "{proofs}");
    Ok(())
}

#[test]
fn verify_from_2_1_to_2_3() -> Result<()> {
    verifies("proof-old-new", "old", "nas2")
}

#[test]
fn verify_from_2_3_to_2_1() -> Result<()> {
    verifies("proof-new-old", "nas1", "old")
}

/// Changes one byte of the file in which a pool lies, while nobody looks. Without checksums ZFS delivers it.
fn flip(machine: &Machine, pool: &str, mark: &str) -> Result<()> {
    let file = format!("/var/lib/pools/{pool}");
    machine.ok(&format!("zpool export {pool}"))?;
    let places = machine.ok(&format!("grep -abo '{mark}' {file}"))?;
    let places: Vec<u64> = places.lines().filter_map(|line| line.split(':').next()?.parse().ok()).collect();
    let [place] = places.as_slice() else { anyhow::bail!("the mark is at {places:?}") };
    let byte = place + mark.len() as u64;
    machine.ok(&format!("printf X | dd of={file} bs=1 seek={byte} conv=notrunc status=none && sync"))?;
    machine.ok(&format!("zpool import -d /var/lib/pools {pool}"))?;
    Ok(())
}

#[test]
fn verify_finds_one_flipped_byte_in_a_file_and_one_in_a_volume() -> Result<()> {
    let fleet = fleet();
    let (nas1, nas2) = (fleet.machine("nas1"), fleet.machine("nas2"));
    nas2.create_file_pool("flip", 128)?;
    nas2.ok("zfs set checksum=off compression=off flip")?;
    nas1.ok("zfs create -o compression=off tank/flip && zfs create -V 8M -o compression=off tank/flip/disk && udevadm settle")?;
    // The mark ends right before the byte that is changed, and lies within one record: the next one may be anywhere in the pool.
    let (in_file, in_disk) = (1_048_700, 3_000_000);
    for (path, mark, at) in [("/tank/flip/file", "F", in_file), ("/dev/zvol/tank/flip/disk", "V", in_disk)] {
        let mark = format!("{mark}{MARK}");
        let begin = at - mark.len();
        nas1.ok(&format!(
            "dd if=/dev/urandom of={path} bs=1M count=4 conv=notrunc status=none && printf '{mark}.' | dd of={path} bs=1 seek={begin} conv=notrunc status=none && sync"
        ))?;
    }
    furnish(nas1, "tank/flip")?;
    nas1.ok("zfs snapshot -r tank/flip@one && zfs-sync replicate --recursive tank/flip root@nas2:flip/copy")?;
    let pair = |below: &str| {
        nas1.run_for(
            &format!("zfs-sync verify tank/flip{below}@one root@nas2:flip/copy{below} --deep -o json"),
            Duration::from_mins(4),
        )
    };
    for below in ["", "/disk"] {
        let equal = pair(below)?;
        ensure!(
            equal.status == 0 && item(&equal.stdout)?["outcome"] == "matched",
            "{} {}",
            equal.stdout,
            equal.stderr
        );
    }
    flip(nas2, "flip", &format!("F{MARK}"))?;
    flip(nas2, "flip", &format!("V{MARK}"))?;
    let guid = nas1.run("zfs-sync verify tank/flip@one root@nas2:flip/copy -o json")?;
    ensure!(guid.status == 0, "GUID and properties know nothing of it: {} {}", guid.stdout, guid.stderr);
    for (below, path, byte) in [("", "file", in_file), ("/disk", "", in_disk)] {
        let found = pair(below)?;
        ensure!(found.status == 1, "{} {}", found.stdout, found.stderr);
        let found = item(&found.stdout)?;
        let differences = found["differences"].as_array().context("a list")?;
        ensure!(differences.len() == 1 && differences[0]["path"] == path, "{found}");
        ensure!(differences[0]["aspects"][0]["first_byte"] == byte, "{found}");
    }
    // And by the witness, as soon as it knows of the pool; what was found stands as its word on the replica.
    let text = wait_until(Duration::from_mins(3), "the witness to compare them", || {
        let verify = ["verify", "tank/flip@one", "--between", "nas1,nas2", "--deep", "--wait=2m"];
        let output = fleet.cli_output(&verify)?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok((output.status.code() == Some(1) && text.contains("differs")).then_some(text))
    })?;
    ensure!(text.contains(&format!("file: content differs from byte {in_file}")), "{text}");
    let proofs = fleet.cli(&["verification", "proofs", "-o", "csv"])?;
    ensure!(proofs.lines().any(|line| line.contains("flip/copy@one,false")), "{proofs}");
    // A mount that was left would keep the pool busy.
    nas2.ok("zpool export flip && zpool import -d /var/lib/pools flip")?;
    nas2.destroy_pool("flip")?;
    seen(
        "F92",
        "one byte of a file and one of a volume change on the target's disk, below checksums",
        "GUIDs and properties are equal; deep verification names the file and the byte, and the byte of the volume",
        "named both, and nothing else; nothing stayed mounted",
    )
}

#[test]
fn verify_that_is_killed_leaves_nothing_that_the_next_start_does_not_take_back() -> Result<()> {
    let fleet = fleet();
    let nas2 = fleet.machine("nas2");
    fleet.make_dataset("nas1", "tank/killed", 16)?;
    fleet.machine("nas1").ok("zfs create -V 16M tank/killed/disk && udevadm settle && dd if=/dev/urandom of=/dev/zvol/tank/killed/disk bs=1M count=16 status=none && zfs snapshot -r tank/killed@proof")?;
    fleet.make_group("killed", "nas1", "nas2", "tank/killed/**", "tank/killed=tank/killed-copy")?;
    fleet.wait_for_state("killed", 2, "in_sync")?;
    let volume = "tank/killed-copy/disk";
    fleet.wait_for_newest(
        "killed",
        ("nas1", "nas2"),
        &[("tank/killed/disk".to_owned(), volume.to_owned())],
    )?;
    let shown = || nas2.ok(&format!("zfs get -H -o value,source snapdev,zfs-sync:snapdev {volume}"));
    let begin = |snapshot: &str| {
        let verify = ["verify", snapshot, "--between", "nas1,nas2", "--deep", "--rate", "1", "-o", "json"];
        let text = fleet.cli(&verify)?;
        Ok::<_, anyhow::Error>(item(&text)?["id"].as_str().context("an id")?.to_owned())
    };
    // Sixteen seconds at this rate.
    let id = begin("tank/killed/disk@proof")?;
    wait_until(Duration::from_mins(2), "the volume's snapshots to be shown", || {
        Ok((shown()? == "visible\tlocal\ninherited\tlocal\n").then_some(()))
    })?;
    fleet.kill_agent("nas2")?;
    // So that nobody shows them again.
    fleet.cli(&["verification", "cancel", &id])?;
    ensure!(shown()? == "visible\tlocal\ninherited\tlocal\n", "nobody was there to take it back");
    fleet.start_agent("nas2")?;
    wait_until(Duration::from_mins(2), "the agent to take back what it had set", || {
        Ok((shown()? == "hidden\tdefault\n-\t-\n").then_some(()))
    })?;
    // A file system's mount dies with its process: nothing is to be taken back, and its snapshot can be destroyed at once.
    let id = begin("tank/killed@one")?;
    wait_until(Duration::from_mins(2), "the target's side to be read", || {
        let found = item(&fleet.cli(&["verification", "show", &id, "-o", "json"])?)?;
        ensure!(found["finished_at"].is_null(), "it was too fast: {found}");
        Ok(found["right"]["bytes"].as_u64().filter(|bytes| *bytes > 0))
    })?;
    let refused = nas2.run("zfs destroy tank/killed-copy@one")?;
    ensure!(refused.status != 0 && refused.stderr.contains("busy"), "it is being read: {}", refused.stderr);
    fleet.kill_agent("nas2")?;
    wait_until(Duration::from_mins(1), "the mount to be gone with its process", || {
        Ok((nas2.run("zfs destroy tank/killed-copy@one")?.status == 0).then_some(()))
    })?;
    fleet.cli(&["verification", "cancel", &id])?;
    fleet.start_agent("nas2")
}
