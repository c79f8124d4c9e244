//! Why a replica is as it is: facts, rules, decision, what happens next.

use askama::Template;
use axum::extract::{Query, State};
use serde::Deserialize;
use zfs_sync_api::v1::{replica::Replica, verification::Proof};
use zfs_sync_core::time::Timestamp;
use zfs_sync_store::ConflictFilter;

use super::{
    page::{Frame, page},
    problem::Answer,
    proofs::ProofRow,
    row::{ago, span},
    session::Viewer,
};
use crate::{state::AppState, views};

#[derive(Debug, Deserialize)]
pub(super) struct WhyQuery {
    replica: String,
}

#[derive(Debug, Template)]
#[template(path = "why.html")]
struct WhyTemplate {
    frame: Frame,
    rows: Vec<WhyRow>,
}

/// A replica with its whole trace.
#[derive(Debug)]
struct WhyRow {
    since: String,
    /// In words, and how old it is.
    facts: Vec<(String, Option<String>)>,
    only_on_target: String,
    /// When what comes next is to happen.
    next_at: Option<String>,
    /// Where its conflict is decided.
    conflict: Option<String>,
    /// What comparisons with its source have found, by content and by GUID.
    proofs: Vec<ProofRow>,
    replica: Replica,
}

impl WhyRow {
    fn new(replica: Replica, conflict: Option<String>, proofs: Vec<ProofRow>, now: Timestamp) -> Self {
        let facts = replica.report.facts.iter();
        let facts = facts.map(|fact| (fact.text.clone(), fact.as_of.map(|as_of| ago(Some(as_of), now))));
        Self {
            since: ago(Some(replica.since), now),
            facts: facts.collect(),
            only_on_target: replica.report.only_on_target.join(", "),
            next_at: replica.report.next_at.map(|at| next_at(at, now)),
            conflict,
            proofs,
            replica,
        }
    }
}

/// `at 14:31:05 UTC, in 2 m`.
fn next_at(at: Timestamp, now: Timestamp) -> String {
    if at <= now {
        return "now".to_owned();
    }
    // More than a day away the hour alone says too little.
    let format = if at.as_second() - now.as_second() < 86_400 { "%H:%M:%S" } else { "%Y-%m-%d %H:%M" };
    format!("at {} UTC, in {}", at.strftime(format), span(now, at))
}

/// Where the replica's open conflict is.
async fn conflict(state: &AppState, replica: &Replica) -> Result<Option<String>, zfs_sync_store::Error> {
    let filter = ConflictFilter {
        group: Some(replica.group_id),
        dataset: Some(replica.report.dataset.clone()),
        ..ConflictFilter::default()
    };
    let rows = state.store.conflicts(&filter).await?;
    let found = rows.into_iter().find(|row| row.replica == replica.report.key());
    Ok(found.map(|row| format!("/dashboard/conflicts/{}", row.id)))
}

/// `GET /dashboard/why?replica=DATASET@SYSTEM`.
pub(super) async fn show(
    viewer: Viewer,
    State(state): State<AppState>,
    Query(query): Query<WhyQuery>,
    uri: axum::http::Uri,
) -> Answer {
    let now = state.now();
    let mut rows = Vec::new();
    let known = views::proofs(&state).await?;
    for replica in views::explain(&state, &query.replica).await? {
        let conflict = conflict(&state, &replica).await?;
        let is_it = |proof: &&Proof| {
            proof.target_system == replica.target_system && proof.target.as_str() == replica.target
        };
        let proofs = known.iter().filter(is_it).cloned().map(|proof| ProofRow::new(proof, now)).collect();
        rows.push(WhyRow::new(replica, conflict, proofs, now));
    }
    let frame = Frame::load(&state, "", uri.to_string(), viewer).await?;
    Ok(page(&WhyTemplate { frame, rows }))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("2026-01-01T12:00:00Z", "now")]
    #[case("2026-01-01T12:05:00Z", "at 12:05:00 UTC, in 5 m")]
    #[case("2026-01-05T12:00:00Z", "at 2026-01-05 12:00 UTC, in 4 d")]
    fn what_comes_next_has_a_time(#[case] at: &str, #[case] expected: &str) {
        let now = "2026-01-01T12:00:00Z".parse().unwrap();
        assert_eq!(next_at(at.parse().unwrap(), now), expected);
    }
}
