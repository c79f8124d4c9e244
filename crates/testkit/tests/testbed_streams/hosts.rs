//! Three machines that know each other, and the questions scenarios ask them.

use std::{path::PathBuf, sync::LazyLock};

use anyhow::{Context as _, Result, ensure};
use zfs_sync_testkit::testbed::{Machine, MachineSpec, Suite, Testbed, quote};

static HOSTS: LazyLock<Testbed> = LazyLock::new(|| start().expect("the machines start"));

fn start() -> Result<Testbed> {
    let binary = std::env::var_os("ZFS_SYNC_BINARY")
        .context("ZFS_SYNC_BINARY must name the zfs-sync binary; ci/test sets it")?;
    let binary = PathBuf::from(binary);
    let specs: Vec<_> = [("nas1", Suite::Trixie), ("nas2", Suite::Trixie), ("old", Suite::Bookworm)]
        .into_iter()
        .map(|(name, suite)| {
            MachineSpec::new(name, suite).with_file(&binary, "/usr/local/bin/zfs-sync", 0o755)
        })
        .collect();
    let testbed = Testbed::start(&specs)?;
    for machine in testbed.machines() {
        machine.create_pool("tank")?;
        machine.ok("head -c 32 /dev/urandom >/root/key")?;
    }
    Ok(testbed)
}

/// A machine by name: `nas1` and `nas2` have OpenZFS 2.3, `old` has 2.1.
pub(crate) fn host(name: &str) -> &'static Machine {
    HOSTS.machine(name)
}

/// Replicates from one machine, on which it runs, to another.
pub(crate) fn replicate(from: &str, source: &str, to: &str, target: &str, options: &str) -> Result<String> {
    host(from).ok(&line(source, to, target, options))
}

fn line(source: &str, to: &str, target: &str, options: &str) -> String {
    let (source, target) = (quote(source), quote(&format!("root@{to}:{target}")));
    format!("zfs-sync replicate {source} {target} {options} 2>&1")
}

/// As [`replicate`], and it has to fail with this code.
pub(crate) fn refused(from: &str, source: &str, to: &str, target: &str, code: &str) -> Result<String> {
    let output = host(from).run(&line(source, to, target, ""))?;
    ensure!(
        output.status != 0 && output.stdout.contains(code),
        "{code}: {} {}",
        output.status,
        output.stdout
    );
    Ok(output.stdout)
}

/// A property's value alone.
pub(crate) fn value(on: &str, dataset: &str, property: &str) -> Result<String> {
    let text = host(on).ok(&format!("zfs get -Hp -o value {property} {}", quote(dataset)))?;
    Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}

/// Where a property's value comes from.
pub(crate) fn origin(on: &str, dataset: &str, property: &str) -> Result<String> {
    let text = host(on).ok(&format!("zfs get -Hp -o source {property} {}", quote(dataset)))?;
    Ok(text.trim().to_owned())
}

/// GUIDs of a dataset's snapshots, oldest first.
pub(crate) fn guids(on: &str, dataset: &str) -> Result<Vec<String>> {
    let line = format!("zfs list -Hp -d 1 -t snapshot -s createtxg -o guid {}", quote(dataset));
    Ok(host(on).ok(&line)?.lines().map(str::to_owned).collect())
}

/// The same snapshots on both sides, and the same content in the newest.
pub(crate) fn ensure_same(from: &str, source: &str, to: &str, target: &str) -> Result<()> {
    let (there, here) = (guids(from, source)?, guids(to, target)?);
    ensure!(!there.is_empty() && there == here, "{source}: {there:?}, {target}: {here:?}");
    Ok(())
}

/// A digest over the files of a dataset's newest snapshot.
pub(crate) fn content(on: &str, dataset: &str) -> Result<String> {
    let newest = format!("zfs list -Hp -d 1 -t snapshot -s createtxg -o name {} | tail -n 1", quote(dataset));
    host(on).ok(&format!(
        "mkdir -p /mnt/look && mount -t zfs \"$({newest})\" /mnt/look && (cd /mnt/look && find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum); umount /mnt/look"
    ))
}
