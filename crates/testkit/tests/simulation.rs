//! Whole histories of fleets from seeds: see [`zfs_sync_testkit::simulation`].
//!
//! - `ZFS_SYNC_SIMULATION_FRESH`: `FIRST:COUNT`, so many seeds from this one on, in place of the fixed ones. CI takes the first from what it
//!   tests, so that each change tries others, and the same change the same ones.
//! - `ZFS_SYNC_SIMULATION_SECONDS`: how long seeds that nobody has tried are made after these.
//! - `ZFS_SYNC_SIMULATION_SEED`: `small:17`, `mesh:17` or `fleet:17` makes that one history alone and prints what happened in it.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher as _,
    ops::RangeInclusive,
    time::{Duration, Instant},
};

use zfs_sync_core::group::GroupMode;
use zfs_sync_testkit::simulation::{Settings, Summary, run};

fn made(settings: &Settings) -> Summary {
    match run(settings) {
        Ok(summary) => summary,
        Err(failure) => panic!("{failure}"),
    }
}

/// A mesh of three with writers everywhere.
fn mesh(seed: u64) -> Settings {
    Settings { mode: Some(GroupMode::Mesh), systems: 4, groups: 3, ..Settings::small(seed) }
}

/// Hundreds of systems, for as long as a test may take.
fn fleet(seed: u64) -> Settings {
    Settings { acts: 500, faults: 150, ..Settings::large(seed) }
}

/// The seeds that are asked for in place of the fixed ones.
fn fresh() -> Option<RangeInclusive<u64>> {
    let text = std::env::var("ZFS_SYNC_SIMULATION_FRESH").ok()?;
    let numbers =
        text.split_once(':').and_then(|(first, count)| Some((first.parse().ok()?, count.parse().ok()?)));
    let (first, count): (u64, u64) = numbers.expect("for example 5000:100");
    Some(first..=first + count - 1)
}

/// Makes the fixed seeds, or what is asked for.
fn explore(fixed: RangeInclusive<u64>, settings: impl Fn(u64) -> Settings) {
    for seed in fresh().unwrap_or(fixed) {
        made(&settings(seed));
    }
    let asked = std::env::var("ZFS_SYNC_SIMULATION_SECONDS").ok().and_then(|text| text.parse().ok());
    let end = Instant::now() + Duration::from_secs(asked.unwrap_or(0));
    let chosen = RandomState::new();
    for number in 0_u64.. {
        if Instant::now() >= end {
            break;
        }
        // Short enough to type.
        made(&settings(chosen.hash_one(number) % 1_000_000_000));
    }
}

#[test]
fn one_seed_is_one_history() {
    let settings = Settings::small(7);
    let (one, two) = (made(&settings), made(&settings));
    assert_eq!(one.script, two.script);
    assert_eq!(one, two);
}

#[test]
fn a_handful_of_systems_comes_to_rest_without_a_loss() {
    explore(1..=25, Settings::small);
}

#[test]
fn no_update_of_a_mesh_gets_lost_silently() {
    explore(1..=12, mesh);
}

#[test]
fn hundreds_of_systems_come_to_rest_without_a_loss() {
    let summary = made(&fleet(1));
    assert!(summary.deaths > 20, "too few deaths to have tested anything: {}", summary.deaths);
    assert!(summary.transfers > 500, "{} transfers", summary.transfers);
}

#[test]
fn replay() {
    let Ok(text) = std::env::var("ZFS_SYNC_SIMULATION_SEED") else { return };
    let (kind, seed) = text.split_once(':').expect("for example small:17");
    let seed = seed.parse().expect("a number");
    let settings = match kind {
        "small" => Settings::small(seed),
        "mesh" => mesh(seed),
        "fleet" => fleet(seed),
        other => panic!("{other} is none of small, mesh, fleet"),
    };
    let summary = made(&settings);
    panic!("{}\n\nended well: {:?}", summary.script.join("\n"), summary.replicas);
}
