//! Proofs: which replicas were compared with their sources, and what was found.

use std::{collections::BTreeMap, fmt::Write as _};

use askama::Template;
use axum::extract::{Path, State};
use zfs_sync_api::v1::verification::{Proof, Verification};
use zfs_sync_core::{health::PoolHealth, ids::VerificationId, size::ByteCount, time::Timestamp};
use zfs_sync_store::PoolHealthRow;

use super::{
    page::{Frame, page},
    problem::Answer,
    row::{ago, why_link},
    session::Viewer,
};
use crate::{routes::verifications::not_found, state::AppState, views};

/// Newest verifications on the page.
const NEWEST: u64 = 50;

/// `ONLINE, scrubbed 2 d ago without errors`.
pub(super) fn pool_words(pool: &PoolHealth, now: Timestamp) -> String {
    let mut text = match (pool.scrubbed_at, &pool.scan) {
        (Some(when), _) => {
            let errors = match pool.scrub_errors {
                Some(0) => "without errors".to_owned(),
                Some(1) => "with 1 error".to_owned(),
                Some(many) => format!("with {many} errors"),
                None => "with an unknown result".to_owned(),
            };
            format!("{}, scrubbed {} {errors}", pool.state, ago(Some(when), now))
        }
        (None, Some(scan)) => format!("{}, {scan}", pool.state),
        (None, None) => format!("{}, never scrubbed", pool.state),
    };
    for more in [&pool.errors, &pool.problem].into_iter().flatten() {
        text.push_str("; ");
        text.push_str(more);
    }
    text
}

/// One word about a replica.
#[derive(Debug)]
pub(super) struct ProofRow {
    pub(super) link: String,
    pub(super) verification: String,
    /// `content` or `GUID and properties`.
    pub(super) by: &'static str,
    pub(super) when: String,
    pub(super) pool: String,
    pub(super) pool_is_well: bool,
    pub(super) proof: Proof,
}

impl ProofRow {
    pub(super) fn new(proof: Proof, now: Timestamp) -> Self {
        let pool = proof.pool.as_ref();
        Self {
            link: why_link(proof.target.as_str(), &proof.target_system),
            verification: format!("/dashboard/verifications/{}", proof.verification_id),
            by: by(proof.deep),
            when: ago(Some(proof.at), now),
            pool: pool.map_or_else(
                || "unknown".to_owned(),
                |pool| format!("{} {}", pool.name, pool_words(pool, now)),
            ),
            pool_is_well: pool.is_some_and(PoolHealth::is_well),
            proof,
        }
    }
}

const fn by(deep: bool) -> &'static str {
    if deep { "content" } else { "GUID and properties" }
}

/// A verification in a list.
#[derive(Debug)]
struct VerificationRow {
    link: String,
    by: &'static str,
    when: String,
    /// What has been read, or what was found.
    what: String,
    verification: Verification,
}

impl VerificationRow {
    fn new(verification: Verification, now: Timestamp) -> Self {
        let what = match &verification.result {
            Some(result) => match result.differences.len() as u64 + result.more {
                0 => result.code.clone().unwrap_or_default(),
                1 => "1 difference".to_owned(),
                many => format!("{many} differences"),
            },
            None if verification.finished_at.is_some() => String::new(),
            None => {
                let (left, right) = (&verification.left, &verification.right);
                let (one, other) = (ByteCount(left.bytes), ByteCount(right.bytes));
                format!("{} read {one}, {} read {other}", left.system, right.system)
            }
        };
        Self {
            link: format!("/dashboard/verifications/{}", verification.id),
            by: by(verification.deep),
            when: ago(Some(verification.finished_at.unwrap_or(verification.created_at)), now),
            what,
            verification,
        }
    }
}

#[derive(Debug, Template)]
#[template(path = "verifications.html")]
struct VerificationsTemplate {
    frame: Frame,
    sentence: String,
    proofs: Vec<ProofRow>,
    rows: Vec<VerificationRow>,
}

#[derive(Debug, Template)]
#[template(path = "verification.html")]
struct VerificationTemplate {
    frame: Frame,
    row: VerificationRow,
    differences: Vec<String>,
    /// Beyond those; all of them where the reader may not see names.
    more: u64,
    properties: Vec<String>,
    pools: Vec<(String, String)>,
}

/// `3 replicas are the same as their sources, 1 is not`.
pub(super) fn sentence(standing: &BTreeMap<String, u64>) -> String {
    let of = |name: &str| standing.get(name).copied().unwrap_or(0);
    let same = match of("same") {
        1 => "1 replica was found to be the same as its source".to_owned(),
        many => format!("{many} replicas were found to be the same as their sources"),
    };
    match of("differs") {
        0 => format!("{same}."),
        1 => format!("{same}; 1 is not the same."),
        many => format!("{same}; {many} are not the same."),
    }
}

/// `GET /dashboard/verifications`.
pub(super) async fn list(viewer: Viewer, State(state): State<AppState>) -> Answer {
    let now = state.now();
    let mut proofs = views::proofs(&state).await?;
    let sentence = sentence(&views::standing(&proofs));
    proofs.sort_by(|one, other| {
        let key =
            |proof: &Proof| (proof.matched, proof.target.clone(), proof.target_system.clone(), !proof.deep);
        key(one).cmp(&key(other))
    });
    let directory = views::Directory::load(&state).await?;
    let frame = Frame::load(&state, "verifications", "/dashboard/verifications", viewer).await?;
    let show = |row| VerificationRow::new(views::show_verification(row, &directory, frame.decides), now);
    let rows = state.store.verifications(NEWEST).await?.into_iter().map(show).collect();
    let proofs = proofs.into_iter().map(|proof| ProofRow::new(proof, now)).collect();
    Ok(page(&VerificationsTemplate { frame, sentence, proofs, rows }))
}

/// `GET /dashboard/verifications/{id}`.
pub(super) async fn show(
    viewer: Viewer,
    State(state): State<AppState>,
    Path(id): Path<VerificationId>,
) -> Answer {
    let now = state.now();
    let row = state.store.verification(id).await?.ok_or_else(|| not_found(id))?;
    let directory = views::Directory::load(&state).await?;
    let path = format!("/dashboard/verifications/{id}");
    let frame = Frame::load(&state, "verifications", path, viewer).await?;
    let row = VerificationRow::new(views::show_verification(row, &directory, frame.decides), now);
    let (left, right) = (row.verification.left.system.clone(), row.verification.right.system.clone());
    let (mut differences, mut properties, mut pools, mut more) = (Vec::new(), Vec::new(), Vec::new(), 0);
    if let Some(result) = &row.verification.result {
        differences.extend(result.differences.iter().map(|found| found.words(&left, &right)));
        more = result.more + result.not_looked_into;
        properties.extend(result.properties.iter().map(|found| {
            let may = if found.expected { "may differ" } else { "differs" };
            format!(
                "{} {may}: {} on {left}, {} on {right}: {}",
                found.name, found.left, found.right, found.why
            )
        }));
        for (system, pool) in [(&left, &result.left_pool), (&right, &result.right_pool)] {
            if let Some(pool) = pool {
                pools.push((system.clone(), format!("{} {}", pool.name, pool_words(pool, now))));
            }
        }
    }
    Ok(page(&VerificationTemplate { frame, row, differences, more, properties, pools }))
}

/// The pools of one system, each in a line; old words say how old they are.
pub(super) fn pools_of(row: Option<&PoolHealthRow>, now: Timestamp) -> Vec<(String, bool)> {
    let Some(row) = row else { return Vec::new() };
    let is_fresh = views::fresh_pools(row, now).is_some();
    let line = |pool: &PoolHealth| {
        let mut text = format!("{} {}", pool.name, pool_words(pool, now));
        if !is_fresh {
            let _ = write!(text, " (as of {})", ago(Some(row.reported_at), now));
        }
        (text, is_fresh && pool.is_well())
    };
    row.pools.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_say_what_is_known_and_how_old_it_is() {
        let at = |hours: i64| Timestamp::from_second(hours * 3600).unwrap();
        let pool = PoolHealth {
            name: "tank".to_owned(),
            state: "ONLINE".to_owned(),
            problem: None,
            scan: Some("scrub repaired 0B".to_owned()),
            scrubbed_at: Some(at(0)),
            scrub_errors: Some(0),
            errors: None,
        };
        let row = PoolHealthRow { pools: vec![pool.clone()], reported_at: at(48) };
        let of = |now| pools_of(Some(&row), now);
        assert_eq!(of(at(48)), [("tank ONLINE, scrubbed 2 d ago without errors".to_owned(), true)]);
        let old = "tank ONLINE, scrubbed 2 d ago without errors (as of 4 h ago)".to_owned();
        assert_eq!(of(at(52)), [(old, false)], "what is old is not well");
        let bad = PoolHealth { errors: Some("3 data errors".to_owned()), scrub_errors: Some(3), ..pool };
        assert_eq!(pool_words(&bad, at(3)), "ONLINE, scrubbed 3 h ago with 3 errors; 3 data errors");
        assert_eq!(pools_of(None, at(1)), []);
    }

    #[test]
    fn a_difference_is_said_in_the_first_sentence() {
        let counts =
            |same, differs| BTreeMap::from([("same".to_owned(), same), ("differs".to_owned(), differs)]);
        assert_eq!(sentence(&counts(1, 0)), "1 replica was found to be the same as its source.");
        assert_eq!(
            sentence(&counts(3, 1)),
            "3 replicas were found to be the same as their sources; 1 is not the same."
        );
    }
}
