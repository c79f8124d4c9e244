//! Raw streams, and what must not be mixed with them.

use anyhow::{Result, ensure};

use crate::hosts::{content, ensure_same, guids, host, refused, replicate, value};

/// A dataset with a key of its own, a file and a snapshot.
fn make_secret(on: &str, dataset: &str) -> Result<()> {
    host(on).ok(&format!(
        "zfs create -o encryption=on -o keyformat=raw -o keylocation=file:///root/key {dataset} && dd if=/dev/urandom of=/{dataset}/file bs=128k count=8 status=none && zfs snapshot {dataset}@one"
    ))?;
    Ok(())
}

fn grow(on: &str, dataset: &str, label: &str) -> Result<()> {
    host(on).ok(&format!(
        "dd if=/dev/urandom of=/{dataset}/{label} bs=128k count=2 status=none && zfs snapshot {dataset}@{label}"
    ))?;
    Ok(())
}

#[test]
fn an_encrypted_source_travels_raw_and_no_key_is_needed_on_the_target() -> Result<()> {
    make_secret("nas1", "tank/secret")?;
    let plan = replicate("nas1", "tank/secret", "nas2", "tank/secret-copy", "--dry-run")?;
    ensure!(plan.contains("zfs send -w tank/secret@one"), "{plan}");
    replicate("nas1", "tank/secret", "nas2", "tank/secret-copy", "")?;
    grow("nas1", "tank/secret", "two")?;
    replicate("nas1", "tank/secret", "nas2", "tank/secret-copy", "")?;
    ensure_same("nas1", "tank/secret", "nas2", "tank/secret-copy")?;
    for (property, expected) in [
        ("encryption", "aes-256-gcm"),
        ("encryptionroot", "tank/secret-copy"),
        ("keystatus", "unavailable"),
        ("zfs-sync:stream", "-w"),
        ("readonly", "on"),
        ("canmount", "noauto"),
        ("mounted", "no"),
    ] {
        let found = value("nas2", "tank/secret-copy", property)?;
        ensure!(found == expected, "{property} is {found}");
    }
    // With its source's key the replica can be read.
    let key = host("nas1").ok("base64 -w0 /root/key")?;
    host("nas2").ok(&format!("echo {} | base64 -d | zfs load-key -L prompt tank/secret-copy", key.trim()))?;
    ensure!(content("nas1", "tank/secret")? == content("nas2", "tank/secret-copy")?, "the content differs");
    Ok(())
}

#[test]
fn raw_and_plain_are_not_mixed_though_zfs_lets_them() -> Result<()> {
    make_secret("nas1", "tank/mixed")?;
    // Begun in the clear by somebody.
    host("nas1").ok("zfs send tank/mixed@one | ssh nas2 zfs receive -u -o readonly=on tank/mixed-clear")?;
    grow("nas1", "tank/mixed", "two")?;
    refused("nas1", "tank/mixed", "nas2", "tank/mixed-clear", "E_ENCRYPTION_MISMATCH")?;
    ensure!(guids("nas2", "tank/mixed-clear")?.len() == 1, "something arrived");
    let plan = host("nas1").run("zfs-sync replicate tank/mixed root@nas2:tank/mixed-clear --dry-run")?.stdout;
    ensure!(plan.contains("would be refused: E_ENCRYPTION_MISMATCH"), "{plan}");

    // Begun raw, from a source that is encrypted no more: `zfs receive` itself would take that without a word.
    replicate("nas1", "tank/mixed", "nas2", "tank/mixed-raw", "")?;
    host("nas1").ok(
        "zfs send tank/mixed@two | zfs receive -u tank/mixed-plain && zfs snapshot tank/mixed-plain@three",
    )?;
    refused("nas1", "tank/mixed-plain", "nas2", "tank/mixed-raw", "E_STREAM_PINNED")?;
    ensure!(guids("nas2", "tank/mixed-raw")?.len() == 2, "something arrived");
    Ok(())
}

#[test]
fn a_raw_replica_that_took_its_parents_key_is_left_alone() -> Result<()> {
    make_secret("nas1", "tank/f75")?;
    let nas2 = host("nas2");
    nas2.ok("zfs create -o encryption=on -o keyformat=raw -o keylocation=file:///root/key tank/vault")?;
    replicate("nas1", "tank/f75", "nas2", "tank/vault/f75", "")?;
    ensure!(value("nas2", "tank/vault/f75", "encryptionroot")? == "tank/vault/f75", "not its own root");
    let key = host("nas1").ok("base64 -w0 /root/key")?;
    nas2.ok(&format!("echo {} | base64 -d | zfs load-key -L prompt tank/vault/f75", key.trim()))?;
    nas2.ok("zfs change-key -i tank/vault/f75")?;
    grow("nas1", "tank/f75", "two")?;
    refused("nas1", "tank/f75", "nas2", "tank/vault/f75", "E_ENCRYPTION_ROOT")?;
    ensure!(guids("nas2", "tank/vault/f75")?.len() == 1, "something arrived");
    ensure!(value("nas2", "tank/vault/f75", "encryptionroot")? == "tank/vault", "the key was changed");
    Ok(())
}

#[test]
fn a_plain_source_is_encrypted_by_its_new_parent() -> Result<()> {
    host("nas2")
        .ok("zfs create -o encryption=on -o keyformat=raw -o keylocation=file:///root/key tank/safe")?;
    host("nas1").ok("zfs create tank/open && echo small >/tank/open/small && zfs snapshot tank/open@one")?;
    let said = replicate("nas1", "tank/open", "nas2", "tank/safe/open", "")?;
    ensure!(said.contains("W_FEATURE_EMBEDDED"), "{said}");
    ensure!(value("nas2", "tank/safe/open", "encryptionroot")? == "tank/safe", "another root");
    ensure!(value("nas2", "tank/safe/open", "zfs-sync:stream")? == "-L -c", "another form");
    host("nas1").ok("echo more >/tank/open/more && zfs snapshot tank/open@two")?;
    replicate("nas1", "tank/open", "nas2", "tank/safe/open", "")?;
    ensure!(content("nas1", "tank/open")? == content("nas2", "tank/safe/open")?, "the content differs");
    Ok(())
}
