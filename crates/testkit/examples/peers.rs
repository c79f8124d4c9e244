//! The same work by `syncoid`, `bzfs` and `zfs-sync`, from one machine to another over ssh, on real OpenZFS. `bench/peers/run` starts it.
//!
//! Each tool has a tree of its own on the same pool, made alike. Times are taken in the machine, by its clock. Settings come from the
//! environment, because this is no program for people:
//!
//! - `ZFS_SYNC_BINARY`: the program; `ZFS_SYNC_BZFS_WHEEL`: bzfs as PyPI has it;
//! - `ZFS_SYNC_PEERS_TOOLS` (`syncoid bzfs zfs-sync`), `ZFS_SYNC_PEERS_DATASETS` (30), `ZFS_SYNC_PEERS_TINY` (0: how many datasets get one tiny
//!   incremental each from zfs-sync alone), `ZFS_SYNC_PEERS_PROBE` (a script that is run in the first machine afterwards).

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the table is what it is for")]

use std::{collections::BTreeMap, env, fs, path::PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use zfs_sync_testkit::testbed::{Machine, MachineSpec, Suite, Testbed};

/// Of each dataset.
const BYTES: u32 = 300_000;

/// What is measured, in this order.
const ROWS: [&str; 3] = ["first full", "nothing to do", "3 new snapshots each"];

fn main() -> Result<()> {
    let tools = env::var("ZFS_SYNC_PEERS_TOOLS").unwrap_or_else(|_| "syncoid bzfs zfs-sync".to_owned());
    let tools: Vec<&str> = tools.split_whitespace().collect();
    let datasets = number("ZFS_SYNC_PEERS_DATASETS", 30)?;
    let bed = Testbed::start(&[spec("nas1")?, spec("nas2")?])?;
    let (source, target) = (bed.machine("nas1"), bed.machine("nas2"));
    source.create_pool("tank")?;
    target.create_pool("backup")?;
    source.ok("[ ! -e /opt/bzfs.whl ] || python3 -m zipfile -e /opt/bzfs.whl /opt/bzfs")?;
    println!("{} datasets of {BYTES} bytes, seconds; {}", datasets, source.zfs_version()?);
    let mut times: BTreeMap<(usize, &str), f64> = BTreeMap::new();
    for &tool in &tools {
        make(source, &tree(tool), datasets, BYTES)?;
    }
    for &tool in &tools {
        times.insert((0, tool), timed(source, tool)?);
        times.insert((1, tool), timed(source, tool)?);
        for round in 1..=3 {
            grow(source, &tree(tool), datasets, round)?;
        }
        times.insert((2, tool), timed(source, tool)?);
        check(source, target, tool, datasets)?;
    }
    show(&tools, &times);
    let tiny = number("ZFS_SYNC_PEERS_TINY", 0)?;
    if tiny > 0 {
        tiny_incrementals(source, tiny)?;
    }
    if let Ok(script) = env::var("ZFS_SYNC_PEERS_PROBE") {
        let script = fs::read_to_string(&script).with_context(|| format!("could not read {script}"))?;
        println!("{}", source.run(&script)?.stdout);
    }
    Ok(())
}

fn number(name: &str, default: u32) -> Result<u32> {
    match env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name}={text} is no number")),
        Err(_) => Ok(default),
    }
}

fn spec(name: &str) -> Result<MachineSpec> {
    let binary = env::var("ZFS_SYNC_BINARY").context("ZFS_SYNC_BINARY names the program")?;
    let mut spec = MachineSpec::new(name, Suite::Trixie).with_file(binary, "/usr/local/bin/zfs-sync", 0o755);
    if let Ok(wheel) = env::var("ZFS_SYNC_BZFS_WHEEL") {
        spec = spec.with_file(PathBuf::from(wheel), "/opt/bzfs.whl", 0o644);
    }
    Ok(spec)
}

fn tree(tool: &str) -> String {
    format!("tank/{tool}")
}

/// A tree of datasets with content that can not be compressed, and one snapshot of all.
fn make(machine: &Machine, tree: &str, datasets: u32, bytes: u32) -> Result<()> {
    machine.ok(&format!(
        "zfs create {tree} && for i in $(seq {datasets}); do zfs create {tree}/$i && head -c {bytes} /dev/urandom > /{tree}/$i/file || exit 1; done \
         && zfs snapshot -r {tree}@round-0"
    ))?;
    Ok(())
}

/// A little more in each dataset, and a snapshot of all.
fn grow(machine: &Machine, tree: &str, datasets: u32, round: u32) -> Result<()> {
    machine.ok(&format!(
        "for i in $(seq {datasets}); do head -c 2000 /dev/urandom > /{tree}/$i/new-{round}; done; zfs snapshot -r {tree}@round-{round}"
    ))?;
    Ok(())
}

fn line(tool: &str) -> Result<String> {
    let (source, target) = (tree(tool), format!("root@nas2:backup/{tool}"));
    Ok(match tool {
        "syncoid" => {
            format!("syncoid --recursive --no-sync-snap --no-privilege-elevation --quiet {source} {target}")
        }
        "bzfs" => format!(
            "cd /opt/bzfs && python3 -m bzfs_main.bzfs --recursive --no-privilege-elevation {source} {target}"
        ),
        "zfs-sync" => format!("zfs-sync replicate --recursive {source} {target}"),
        other => bail!("nobody knows how `{other}` is called"),
    })
}

/// Seconds that one run takes.
fn timed(machine: &Machine, tool: &str) -> Result<f64> {
    let line = line(tool)?;
    let printed = machine.ok(&format!(
        "begun=$(date +%s%N); ( {line} ) > /tmp/said 2>&1 || {{ tail -n 30 /tmp/said >&2; exit 1; }}; echo $(( ($(date +%s%N) - begun) / 1000000 ))"
    ))?;
    let millis: u32 = printed.trim().parse().with_context(|| format!("no time in `{printed}`"))?;
    eprintln!("{tool}: {millis} ms");
    Ok(f64::from(millis) / 1000.0)
}

/// Everything has arrived, by GUID.
fn check(source: &Machine, target: &Machine, tool: &str, datasets: u32) -> Result<()> {
    let guids = |machine: &Machine, tree: &str| -> Result<Vec<String>> {
        let listed = machine.ok(&format!("zfs list -Hp -t snapshot -o guid -r {tree}"))?;
        let mut guids: Vec<String> = listed.lines().map(str::to_owned).collect();
        guids.sort();
        Ok(guids)
    };
    let sent = guids(source, &tree(tool))?;
    ensure!(sent.len() == (datasets as usize + 1) * 4, "{tool}: {} snapshots", sent.len());
    ensure!(sent == guids(target, &format!("backup/{tool}"))?, "{tool} has not brought everything");
    Ok(())
}

fn show(tools: &[&str], times: &BTreeMap<(usize, &str), f64>) {
    let peers = tools.iter().filter(|tool| **tool != "zfs-sync");
    println!("| run | {} | the better peer / zfs-sync |", tools.join(" | "));
    for (row, what) in ROWS.iter().enumerate() {
        let cells: Vec<String> = tools.iter().map(|tool| format!("{:.1}", times[&(row, *tool)])).collect();
        let best = peers.clone().map(|tool| times[&(row, *tool)]).fold(f64::INFINITY, f64::min);
        let ratio =
            times.get(&(row, "zfs-sync")).map_or_else(String::new, |ours| format!("{:.1}", best / ours));
        println!("| {what} | {} | {ratio} |", cells.join(" | "));
    }
}

/// Many datasets with one small snapshot each.
fn tiny_incrementals(source: &Machine, datasets: u32) -> Result<()> {
    make(source, "tank/tiny", datasets, 2000)?;
    let line = "zfs-sync replicate --recursive tank/tiny root@nas2:backup/tiny";
    let run = format!(
        "begun=$(date +%s%N); {line} >/dev/null 2>&1 || exit 1; echo $(( ($(date +%s%N) - begun) / 1000000 ))"
    );
    let seeded: f64 = source.ok(&run)?.trim().parse()?;
    grow(source, "tank/tiny", datasets, 1)?;
    let sent: f64 = source.ok(&run)?.trim().parse()?;
    let each = |millis: f64| millis / f64::from(datasets);
    println!(
        "{datasets} tiny datasets: seeded in {:.0} ms each, one incremental in {:.0} ms each",
        each(seeded),
        each(sent)
    );
    Ok(())
}
