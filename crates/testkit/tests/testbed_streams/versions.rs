//! OpenZFS 2.1 and 2.3 together.

use anyhow::{Result, ensure};

use crate::hosts::{ensure_same, host, replicate, value};

fn both_ways(from: &str, to: &str) -> Result<()> {
    let dataset = format!("tank/from-{from}-to-{to}");
    host(from).ok(&format!(
        "zfs create -o recordsize=1M {dataset} && zfs create -o encryption=on -o keyformat=raw -o keylocation=file:///root/key {dataset}/secret && for d in {dataset} {dataset}/secret; do dd if=/dev/urandom of=/$d/file bs=1M count=1 status=none; done && zfs snapshot -r {dataset}@one"
    ))?;
    replicate(from, &dataset, to, &dataset, "--recursive")?;
    host(from).ok(&format!(
        "for d in {dataset} {dataset}/secret; do dd if=/dev/urandom of=/$d/more bs=1M count=1 status=none; done && zfs snapshot -r {dataset}@two"
    ))?;
    replicate(from, &dataset, to, &dataset, "--recursive")?;
    for (below, form) in [("", "-L -c -e"), ("/secret", "-w")] {
        let name = format!("{dataset}{below}");
        ensure_same(from, &name, to, &name)?;
        let found = value(to, &name, "zfs-sync:stream")?;
        ensure!(found == form, "{name} on {to} remembers {found}");
        ensure!(value(to, &name, "canmount")? == "noauto" && value(to, &name, "readonly")? == "on", "{name}");
    }
    ensure!(value(to, &dataset, "recordsize")? == "1048576", "the record size did not come");
    ensure!(value(to, &format!("{dataset}/secret"), "keystatus")? == "unavailable", "a key was needed");
    Ok(())
}

#[test]
fn from_2_1_to_2_3() -> Result<()> {
    both_ways("old", "nas2")
}

#[test]
fn from_2_3_to_2_1() -> Result<()> {
    both_ways("nas1", "old")
}

#[test]
fn an_interrupted_raw_beginning_is_continued_raw_on_both_versions() -> Result<()> {
    for to in ["nas2", "old"] {
        let dataset = format!("tank/cut-for-{to}");
        host("nas1").ok(&format!(
            "zfs create -o encryption=on -o keyformat=raw -o keylocation=file:///root/key {dataset} && dd if=/dev/urandom of=/{dataset}/file bs=1M count=6 status=none && zfs snapshot {dataset}@one"
        ))?;
        // As if `replicate` had been cut: the same options as it gives.
        host("nas1").ok(&format!(
            "zfs send -w {dataset}@one | head -c 3000000 | ssh {to} \"zfs receive -s -u -o readonly=on -o canmount=noauto -o 'zfs-sync:stream=-w' {dataset}\" || true"
        ))?;
        let said = replicate("nas1", &dataset, to, &dataset, "")?;
        ensure!(said.contains("resumed at"), "{said}");
        ensure_same("nas1", &dataset, to, &dataset)?;
        ensure!(value(to, &dataset, "keystatus")? == "unavailable", "a key was needed");
    }
    Ok(())
}

#[test]
fn doctor_names_what_is_known_of_a_release() -> Result<()> {
    let said = host("old").run("zfs-sync doctor -o json")?.stdout;
    for code in ["W_VERSION_HOLES", "W_VERSION_PLAIN_SEND", "W_VERSION_LARGE_BLOCKS", "W_VERSION_EXCLUDE"] {
        ensure!(said.contains(code), "{code} is missing: {said}");
    }
    let said = host("nas1").run("zfs-sync doctor -o json")?.stdout;
    ensure!(!said.contains("W_VERSION_HOLES") && said.contains("W_VERSION_LARGE_BLOCKS"), "{said}");
    Ok(())
}
