//! What comparisons say of replicas, and how the pools are that they lie in.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use zfs_sync_api::v1::verification::Proof;
use zfs_sync_core::{health::PoolHealth, ids::SystemId, time::Timestamp};
use zfs_sync_store::PoolHealthRow;

use super::Directory;
use crate::{error::Answer, state::AppState};

/// Agents say it again every hour; what is older than three of these is not known any more.
const POOLS_FRESH: SignedDuration = SignedDuration::from_hours(3);

/// What every compared replica's newest comparisons say, by content and by GUID.
pub(crate) async fn proofs(state: &AppState) -> Answer<Vec<Proof>> {
    let rows = state.store.proofs().await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let directory = Directory::load(state).await?;
    let (pools, now) = (state.store.pool_health().await?, state.now());
    let pool = |system: SystemId, name: &str| {
        fresh_pools(pools.get(&system)?, now)?.iter().find(|pool| pool.name == name).cloned()
    };
    let show = |row: zfs_sync_store::ProofRow| Proof {
        pool: pool(row.system, row.dataset.pool()),
        target_system: directory.hostname(row.system),
        target: row.dataset,
        snapshot: row.snapshot,
        verification_id: row.verification,
        matched: row.matched,
        at: row.at,
        deep: row.deep,
    };
    // Of a system that was deleted nobody wants to know.
    let known = rows.into_iter().filter(|row| directory.systems.contains_key(&row.system));
    Ok(known.map(show).collect())
}

/// Pools as a system's agent has told them lately; `None` when that is long ago: unknown is not well.
pub(crate) fn fresh_pools(row: &PoolHealthRow, now: Timestamp) -> Option<&[PoolHealth]> {
    (now.duration_since(row.reported_at) <= POOLS_FRESH).then_some(&*row.pools)
}

/// The word that counts, of all that is known of one replica.
///
/// A difference stands until a comparison of at least the same depth has found none: that GUIDs are equal says nothing of damaged
/// content. Of two good words the one by content counts, however old.
fn word_on<'a>(proofs: &'a [Proof], target_system: &str, target: &str) -> Option<&'a Proof> {
    let all: Vec<&Proof> = proofs
        .iter()
        .filter(|proof| proof.target_system == target_system && proof.target.as_str() == target)
        .collect();
    let stands = |bad: &&&Proof| {
        !all.iter().any(|other| other.matched && (other.deep || !bad.deep) && other.at > bad.at)
    };
    let bad = all.iter().filter(|proof| !proof.matched).filter(stands).max_by_key(|proof| proof.at);
    let good = all.iter().filter(|proof| proof.matched).max_by_key(|proof| (proof.deep, proof.at));
    bad.or(good).copied()
}

/// Of how many replicas which word counts.
pub(crate) fn standing(proofs: &[Proof]) -> BTreeMap<String, u64> {
    let mut replicas: BTreeMap<(&str, &str), Vec<Proof>> = BTreeMap::new();
    for proof in proofs {
        let key = (proof.target_system.as_str(), proof.target.as_str());
        replicas.entry(key).or_default().push(proof.clone());
    }
    let mut counts = BTreeMap::new();
    for ((system, target), of) in &replicas {
        if let Some(word) = word_on(of, system, target) {
            let name = if word.matched { "same" } else { "differs" };
            *counts.entry(name.to_owned()).or_default() += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use zfs_sync_core::ids::VerificationId;

    use super::*;

    fn proof((deep, matched, second): (bool, bool, i64)) -> Proof {
        Proof {
            target_system: "nas2".to_owned(),
            target: "tank/a".parse().unwrap(),
            snapshot: "tank/a@one".parse().unwrap(),
            verification_id: VerificationId::from_uuid(uuid::Uuid::nil()),
            matched,
            at: Timestamp::from_second(second).unwrap(),
            deep,
            pool: None,
        }
    }

    #[rstest]
    #[case::by_content_counts_more(&[(true, true, 1), (false, true, 2)], (true, true, 1))]
    #[case::damage_is_not_healed_by_a_guid(&[(true, false, 1), (false, true, 2)], (true, false, 1))]
    #[case::content_has_the_properties_too(&[(false, false, 1), (true, true, 2)], (true, true, 2))]
    #[case::a_new_difference_is_told(&[(true, true, 1), (false, false, 2)], (false, false, 2))]
    fn a_difference_stands_until_as_deep_a_comparison_finds_none(
        #[case] known: &[(bool, bool, i64)],
        #[case] expected: (bool, bool, i64),
    ) {
        let proofs: Vec<Proof> = known.iter().copied().map(proof).collect();
        let word = word_on(&proofs, "nas2", "tank/a").unwrap();
        assert_eq!((word.deep, word.matched, word.at.as_second()), expected);
        let name = if expected.1 { "same" } else { "differs" };
        assert_eq!(standing(&proofs), BTreeMap::from([(name.to_owned(), 1)]));
        assert!(word_on(&proofs, "nas1", "tank/a").is_none());
    }

    #[test]
    fn pools_of_an_agent_that_is_silent_are_not_known() {
        let row = PoolHealthRow { pools: vec![], reported_at: Timestamp::UNIX_EPOCH };
        let at = |hours: i64| Timestamp::from_second(hours * 3600).unwrap();
        assert!(fresh_pools(&row, at(3)).is_some());
        assert!(fresh_pools(&row, at(4)).is_none());
    }
}
