//! Streams that travel compressed.

use anyhow::{Context as _, Result, ensure};

use crate::{
    fleet::{figure, fleet},
    limits::{wait_for_bytes, wait_for_resumed},
};

/// Makes a file system whose blocks are stored as they are, and shrink to a third on their way.
fn make_dataset(machine: &str, dataset: &str, mebibytes: u32) -> Result<()> {
    let bytes = u64::from(mebibytes) * 1024 * 1024;
    fleet().machine(machine).ok(&format!(
        "zfs create -p -o compression=off {dataset} && dd if=/dev/urandom bs=1M count={} status=none | od -An -v -tx1 | head -c {bytes} >/{dataset}/payload && zfs snapshot {dataset}@one",
        mebibytes.div_ceil(2)
    ))?;
    Ok(())
}

fn same_content(source: &str, target: &str) -> Result<()> {
    let sum = |machine: &str, dataset: &str| {
        let line = format!(
            "d=$(mktemp -d) && mount -t zfs -o ro {dataset}@one $d && sha256sum <$d/payload; umount $d"
        );
        fleet().machine(machine).ok(&line)
    };
    let (there, here) = (sum("nas1", source)?, sum("nas2", target)?);
    ensure!(there.len() > 60 && there == here, "{there:?} and {here:?}");
    Ok(())
}

#[test]
fn a_compressed_stream_arrives_whole_with_fewer_bytes_and_survives_a_cut() -> Result<()> {
    let fleet = fleet();
    let (name, source, target) = ("packed", "tank/packed", "tank/packed-copy");
    make_dataset("nas1", source, 32)?;
    fleet.make_group(name, "nas1", "nas2", source, &format!("{source}={target}"))?;
    // The limit is one of what travels.
    fleet.cli(&["group", "edit", name, "--compress", "3", "--limit", "512KiB/s"])?;
    wait_for_bytes(fleet, name, 8 << 20)?;
    // The connection dies in the middle of a frame of zstd; the receive must see a stream that ends, and keep it.
    fleet.machine("nas1").ok("pkill -KILL -f '^ssh .*packed-copy'")?;
    fleet.cli(&["group", "edit", name, "--limit", "off"])?;
    fleet.wait_for_state(name, 1, "in_sync")?;
    let resumed = wait_for_resumed(fleet, name)?;
    fleet.assert_same(("nas1", source), ("nas2", target))?;
    fleet.assert_nothing_left(("nas1", source), ("nas2", target))?;
    same_content(source, target)?;
    let flow = resumed.flow.context("a measured flow")?;
    let wire = flow.wire_bytes.context("what travelled")?;
    figure(&format!(
        "zstd 3: {} bytes of stream after {:?} travelled as {wire} ({:?})",
        resumed.bytes, resumed.resumed_from, flow.compression
    ));
    ensure!(wire < resumed.bytes * 2 / 3, "{wire} of {} bytes travelled", resumed.bytes);
    Ok(())
}

#[test]
fn a_compressed_stream_is_fetched_too_and_without_zstd_it_comes_as_it_is() -> Result<()> {
    let fleet = fleet();
    make_dataset("nas1", "tank/fetched", 8)?;
    let nas2 = fleet.machine("nas2");
    let fetch = |target: &str| {
        nas2.run(&format!("zfs-sync replicate --compress auto root@nas1:tank/fetched {target} 2>&1"))
    };
    let fetched = fetch("tank/fetched-copy")?;
    ensure!(fetched.is_success(), "{fetched:?}");
    same_content("tank/fetched", "tank/fetched-copy")?;
    fleet.machine("nas1").ok("mv /usr/bin/zstd /usr/bin/zstd.away")?;
    let plain = fetch("tank/fetched-plain");
    fleet.machine("nas1").ok("mv /usr/bin/zstd.away /usr/bin/zstd")?;
    let plain = plain?;
    ensure!(plain.is_success(), "{plain:?}");
    ensure!(plain.stdout.contains("has no zstd"), "it is said why nothing is compressed: {plain:?}");
    same_content("tank/fetched", "tank/fetched-plain")
}
