//! What happens on the demo's hosts while somebody watches: work on nas1, a nas3 that goes away, a hand that writes to nas2.

use std::{collections::VecDeque, time::Duration};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::time::{Instant, interval};

use super::fleet::{DATASETS, Fleet, ROOTS, SOURCE, simulation};
use crate::{commands::Context, failure::Failure};

/// The dataset that is written to on nas2.
pub(super) const DIVERGING: &str = "tank/media/photos";

const MIB: u64 = 1024 * 1024;
const BETWEEN_SNAPSHOTS: Duration = Duration::from_secs(4);
/// A simulated link, so that one sees bytes move.
const LINK: u64 = 24 * MIB;
/// Older ones are destroyed, as a retention tool would.
const KEPT: usize = 20;
/// nas3's day, in rounds of snapshots.
const AWAY_EVERY: u64 = 24;
const AWAY_FROM: u64 = 8;
const AWAY_UNTIL: u64 = 13;
const DIVERGENCE_AT: u64 = 6;

/// Lives until dropped.
pub(super) async fn live(context: &Context, fleet: &mut Fleet) -> Result<(), Failure> {
    let source = fleet.host(SOURCE);
    source.faults().slow(Some(LINK));
    let mut random = StdRng::seed_from_u64(8000);
    let mut labels: VecDeque<String> = VecDeque::new();
    let mut rounds = interval(BETWEEN_SNAPSHOTS);
    let begun = Instant::now();
    let mut round = 0_u64;
    loop {
        rounds.tick().await;
        round += 1;
        for (name, _) in DATASETS {
            // Mostly small changes; now and then one that takes a second or two.
            let large = random.random_ratio(1, 20);
            let bytes =
                if large { random.random_range(16..40) * MIB } else { random.random_range(64..1024) * 1024 };
            source.write(name, bytes).map_err(|error| simulation(&error))?;
        }
        let label = format!("auto-{:04}", round + 1);
        fleet.snapshot(&label)?;
        labels.push_back(label);
        if labels.len() > KEPT
            && let Some(oldest) = labels.pop_front()
        {
            prune(fleet, &oldest);
        }
        let say = |text: &str| context.printer.say(format!("{:>4} s  {text}", begun.elapsed().as_secs()));
        if round == DIVERGENCE_AT {
            diverge(fleet)?;
            say(&format!("somebody wrote to {DIVERGING} on nas2 and made a snapshot there"));
        }
        match round % AWAY_EVERY {
            AWAY_FROM => {
                fleet.take_away("nas3").await;
                say("nas3 has gone away");
            }
            AWAY_UNTIL => {
                fleet.bring_back("nas3")?;
                say("nas3 is back");
            }
            _ => {}
        }
    }
}

/// A held snapshot stays, as with every retention tool.
fn prune(fleet: &Fleet, label: &str) {
    let source = fleet.host(SOURCE);
    let selected = DATASETS.iter().filter(|(name, _)| ROOTS.iter().any(|root| name.starts_with(root)));
    for (name, _) in selected {
        if let Err(error) = source.destroy_snapshot(&format!("{name}@{label}")) {
            tracing::debug!(error = %error, "kept {name}@{label}");
        }
    }
}

/// Somebody works on the copy instead of the original.
pub(super) fn diverge(fleet: &Fleet) -> Result<(), Failure> {
    let target = fleet.host("nas2");
    let worked = target
        .set_readonly(DIVERGING, false)
        .and_then(|()| target.write(DIVERGING, 3 * MIB))
        .and_then(|()| target.snapshot(&format!("{DIVERGING}@by-hand")));
    worked.map_err(|error| simulation(&error))
}
