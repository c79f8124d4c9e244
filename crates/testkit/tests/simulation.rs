//! Whole histories of fleets from seeds: see [`zfs_sync_testkit::simulation`].
//!
//! - `ZFS_SYNC_SIMULATION_SECONDS`: how long histories that nobody has tried are made besides the fixed ones; none without it.
//! - `ZFS_SYNC_SIMULATION_FIRST`: the first of their seeds, counted up from there. CI takes it from the tree that it tests, so that each change
//!   tries others, and the same change the same ones. Without it, chance decides.
//! - `ZFS_SYNC_SIMULATION_SEED`: `small:17`, `mesh:17` or `fleet:17` makes that one history alone and prints what happened in it.

use std::{
    collections::hash_map::RandomState,
    fmt,
    hash::BuildHasher as _,
    time::{Duration, Instant},
};

use zfs_sync_core::group::GroupMode;
use zfs_sync_testkit::simulation::{Settings, Summary, run};

/// What a history is about.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// A handful of systems, where everything meets everything.
    Small,
    /// A mesh of three with writers everywhere.
    Mesh,
    /// Hundreds of systems.
    Fleet,
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Small => "small",
            Self::Mesh => "mesh",
            Self::Fleet => "fleet",
        })
    }
}

impl Kind {
    fn settings(self, seed: u64) -> Settings {
        match self {
            Self::Small => Settings::small(seed),
            Self::Mesh => {
                Settings { mode: Some(GroupMode::Mesh), systems: 4, groups: 3, ..Settings::small(seed) }
            }
            // For as long as a test may take.
            Self::Fleet => Settings { acts: 500, faults: 150, ..Settings::large(seed) },
        }
    }
}

fn made(kind: Kind, seed: u64) -> Summary {
    run(&kind.settings(seed)).unwrap_or_else(|failure| {
        panic!(
            "{failure}\nTo make this history again:\n\n    \
             ZFS_SYNC_SIMULATION_SEED={kind}:{seed} cargo test -p zfs-sync-testkit --test simulation replay\n"
        )
    })
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not `{text}`")))
}

#[test]
fn one_seed_is_one_history() {
    let (one, two) = (made(Kind::Small, 7), made(Kind::Small, 7));
    assert_eq!(one.script, two.script);
    assert_eq!(one, two);
}

#[test]
fn a_handful_of_systems_comes_to_rest_without_a_loss() {
    let deaths: u64 = (1..=25).map(|seed| made(Kind::Small, seed).deaths_in_streams).sum();
    assert!(deaths > 0, "nobody has died in the middle of a stream");
}

#[test]
fn no_update_of_a_mesh_gets_lost_silently() {
    for seed in 1..=12 {
        made(Kind::Mesh, seed);
    }
}

#[test]
fn hundreds_of_systems_come_to_rest_without_a_loss() {
    let summary = made(Kind::Fleet, 1);
    assert!(summary.deaths > 20, "too few deaths to have tested anything: {}", summary.deaths);
    assert!(summary.transfers > 500, "{} transfers", summary.transfers);
}

/// A slower machine makes fewer of them.
#[test]
#[expect(clippy::print_stdout, reason = "whoever hunts wants to know how many were made")]
fn histories_that_nobody_has_tried() {
    let Some(seconds) = number("ZFS_SYNC_SIMULATION_SECONDS") else { return };
    let end = Instant::now() + Duration::from_secs(seconds);
    // Short enough to type.
    let first =
        number("ZFS_SYNC_SIMULATION_FIRST").unwrap_or_else(|| RandomState::new().hash_one(0) % 1_000_000_000);
    let mut made_of = [0_u64; 3];
    for seed in first.. {
        if Instant::now() >= end {
            break;
        }
        // A fleet takes as long as dozens of the others.
        let kind = match seed - first {
            8 => Kind::Fleet,
            count if count % 60 == 59 => Kind::Fleet,
            count if count % 3 == 2 => Kind::Mesh,
            _ => Kind::Small,
        };
        made(kind, seed);
        made_of[kind as usize] += 1;
    }
    let [small, mesh, fleet] = made_of;
    println!("from seed {first}: {small} small histories, {mesh} of meshes, {fleet} of fleets");
    assert!(small > 0, "not one history in {seconds} seconds");
}

#[test]
fn replay() {
    let Ok(text) = std::env::var("ZFS_SYNC_SIMULATION_SEED") else { return };
    let (name, seed) = text.split_once(':').expect("for example small:17");
    let kinds = [Kind::Small, Kind::Mesh, Kind::Fleet];
    let kind = kinds.into_iter().find(|kind| kind.to_string() == name);
    let kind = kind.unwrap_or_else(|| panic!("{name} is none of small, mesh, fleet"));
    let summary = made(kind, seed.parse().expect("a number"));
    panic!("{}\n\nended well: {:?}", summary.script.join("\n"), summary.replicas);
}
