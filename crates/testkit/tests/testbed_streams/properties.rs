//! Large blocks, names, copied properties, and what a new replica does not get.

use anyhow::{Result, ensure};

use crate::hosts::{content, ensure_same, guids, host, origin, replicate, value};

#[test]
fn large_blocks_are_pinned_and_the_record_size_comes_along() -> Result<()> {
    let nas1 = host("nas1");
    nas1.ok("zfs create -o recordsize=1M tank/large && dd if=/dev/urandom of=/tank/large/file bs=1M count=2 status=none && zfs snapshot tank/large@one")?;
    replicate("nas1", "tank/large", "nas2", "tank/large-copy", "")?;
    ensure!(value("nas2", "tank/large-copy", "recordsize")? == "1048576", "the record size did not come");
    ensure!(value("nas2", "tank/large-copy", "zfs-sync:stream")? == "-L -c -e", "not pinned");
    nas1.ok("echo more >/tank/large/more && zfs snapshot tank/large@two")?;
    replicate("nas1", "tank/large", "nas2", "tank/large-copy", "")?;
    ensure!(content("nas1", "tank/large")? == content("nas2", "tank/large-copy")?, "the content differs");

    // Another tool began it without `-L`, and somebody who knew wrote that down: it is continued so.
    nas1.ok("zfs send -c tank/large@one | ssh nas2 zfs receive -u -o readonly=on -o zfs-sync:stream=-c tank/split")?;
    let plan = replicate("nas1", "tank/large", "nas2", "tank/split", "--dry-run")?;
    ensure!(plan.contains("zfs send -c -I"), "{plan}");
    replicate("nas1", "tank/large", "nas2", "tank/split", "")?;
    ensure!(content("nas1", "tank/large")? == content("nas2", "tank/split")?, "the content differs");

    // Nobody wrote it down: it goes on, and says so.
    nas1.ok("zfs send -L tank/large@one | ssh nas2 zfs receive -u -o readonly=on tank/unknown")?;
    let said = replicate("nas1", "tank/large", "nas2", "tank/unknown", "")?;
    ensure!(said.contains("W_STREAM_NOT_PINNED"), "{said}");
    Ok(())
}

#[test]
fn what_the_targets_pool_may_not_have_is_left_out_or_refused() -> Result<()> {
    let (nas1, nas2) = (host("nas1"), host("nas2"));
    nas2.ok("truncate -s 256M /tmp/bare.img && zpool create -d -o feature@lz4_compress=enabled -o feature@extensible_dataset=enabled bare /tmp/bare.img")?;
    nas1.ok("zfs create -o recordsize=1M -o compression=zstd tank/rich && dd if=/dev/urandom of=/tank/rich/file bs=1M count=1 status=none && echo tiny >/tank/rich/tiny && zfs snapshot tank/rich@one")?;
    let said = replicate("nas1", "tank/rich", "nas2", "bare/rich", "")?;
    for code in ["W_FEATURE_LARGE_BLOCKS", "W_FEATURE_COMPRESSED", "W_FEATURE_EMBEDDED"] {
        ensure!(said.contains(code), "{code} is not named: {said}");
    }
    ensure!(value("nas2", "bare/rich", "zfs-sync:stream")? == "none", "another form");
    ensure!(content("nas1", "tank/rich")? == content("nas2", "bare/rich")?, "the content differs");
    // Allowing it later changes nothing for this replica.
    nas2.ok("zpool set feature@large_blocks=enabled bare")?;
    nas1.ok("dd if=/dev/urandom of=/tank/rich/two bs=1M count=1 status=none && zfs snapshot tank/rich@two")?;
    replicate("nas1", "tank/rich", "nas2", "bare/rich", "")?;
    ensure!(value("nas2", "bare/rich", "zfs-sync:stream")? == "none", "another form");
    ensure!(content("nas1", "tank/rich")? == content("nas2", "bare/rich")?, "the content differs");

    nas1.ok("zfs create -o dnodesize=auto tank/dnodes && zfs snapshot tank/dnodes@one")?;
    let said = crate::hosts::refused("nas1", "tank/dnodes", "nas2", "bare/dnodes", "E_STREAM_FEATURE")?;
    ensure!(said.contains("zpool set feature@large_dnode=enabled bare"), "{said}");
    Ok(())
}

#[test]
fn spaces_in_all_names_and_a_thick_volume() -> Result<()> {
    let nas1 = host("nas1");
    nas1.ok("zfs create 'tank/with space' && zfs create -V 16M 'tank/with space/disk one' && zfs snapshot -r 'tank/with space@first of all'")?;
    replicate("nas1", "tank/with space", "nas2", "tank/copy of it", "--recursive")?;
    nas1.ok("until dd if=/dev/urandom of=/dev/zvol/tank/with+space/disk+one bs=1M count=1 conv=nocreat,fsync status=none 2>/dev/null; do sleep 0.1; done && echo a >'/tank/with space/a b' && zfs snapshot -r 'tank/with space@2026-11-27T000000Z'")?;
    replicate("nas1", "tank/with space", "nas2", "tank/copy of it", "--recursive")?;
    for below in ["", "/disk one"] {
        ensure_same("nas1", &format!("tank/with space{below}"), "nas2", &format!("tank/copy of it{below}"))?;
    }
    let volume = "tank/copy of it/disk one";
    ensure!(value("nas1", "tank/with space/disk one", "refreservation")? != "0", "the source is not thick");
    ensure!(value("nas2", volume, "refreservation")? == "0", "the reservation came along");
    ensure!(value("nas2", volume, "readonly")? == "on", "writable");
    ensure!(guids("nas2", volume)?.len() == 2, "not both snapshots");
    Ok(())
}

#[test]
fn a_value_with_a_tab_and_a_line_break_comes_as_it_is_and_nothing_else_does() -> Result<()> {
    let nas1 = host("nas1");
    nas1.ok("zfs create -o quota=64M -o reservation=8M -o sharenfs=off -o mountpoint=/srv/props -o exec=off -o compression=gzip tank/props && zfs set com.example:note=\"$(printf 'a\\tb\\nc\\\\d  \"e\"')\" com.example:other=x tank/props && zfs snapshot tank/props@one")?;
    replicate(
        "nas1",
        "tank/props",
        "nas2",
        "tank/props-copy",
        "--property com.example:note --property compression",
    )?;
    let note = value("nas1", "tank/props", "com.example:note")?;
    ensure!(note == "a\tb\nc\\d  \"e\"", "{note:?}");
    ensure!(value("nas2", "tank/props-copy", "com.example:note")? == note, "it changed on its way");
    ensure!(value("nas2", "tank/props-copy", "compression")? == "gzip", "not copied");
    for (property, expected) in [
        ("quota", "0"),
        ("reservation", "0"),
        ("exec", "on"),
        ("com.example:other", "-"),
        ("canmount", "noauto"),
    ] {
        let found = value("nas2", "tank/props-copy", property)?;
        ensure!(found == expected, "{property} is {found}");
    }
    ensure!(
        value("nas2", "tank/props-copy", "mountpoint")? == "/tank/props-copy",
        "the mount point came along"
    );
    ensure!(origin("nas2", "tank/props-copy", "mountpoint")? == "default", "the mount point was set");
    let refused = nas1.run("zfs-sync replicate tank/props root@nas2:tank/props-2 --property mountpoint")?;
    ensure!(
        refused.status != 0 && refused.stderr.contains("no property that can be copied"),
        "{}",
        refused.stderr
    );
    Ok(())
}
