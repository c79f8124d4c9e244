//! Conflicts: the list, one with both sides beside each other, and what can be decided about it.

use std::collections::BTreeSet;

use askama::Template;
use axum::{
    Form,
    extract::{Path, Query, State},
    response::{IntoResponse as _, Redirect},
};
use serde::Deserialize;
use zfs_sync_api::{
    codes::ErrorCode,
    v1::conflict::{Conflict, ConflictState, Decided, IgnoreConflict, ProposePlan},
};
use zfs_sync_core::{
    group::{Strategy, SyncGroup},
    ids::ConflictId,
    time::Timestamp,
};
use zfs_sync_store::{ConflictFilter, ConflictRow as Stored, ReplicaFilter, ReplicaRow as StoredReplica};

use super::{
    conflict_row::{BaseRow, ConflictRow, SideColumn, StrategyCard, nothing, obstacle, others_end_with},
    decider::Decider,
    page::{Frame, page},
    problem::Answer,
    prose::Prose,
    row::{ago, why_link},
    session::Viewer,
    words,
};
use crate::{
    error::{Answer as ApiAnswer, ApiError},
    extract::{Body, Id},
    planning::Fleet,
    routes,
    state::AppState,
    views::{self, Directory},
};

/// What fits on a page that people read.
const SHOWN: u64 = 200;

#[derive(Debug, Default, Deserialize)]
pub(super) struct ListQuery {
    #[serde(default)]
    state: Option<String>,
}

#[derive(Debug, Template)]
#[template(path = "conflicts.html")]
struct ConflictsTemplate {
    frame: Frame,
    /// Name in the address, words, and whether it is shown now.
    filters: Vec<(&'static str, &'static str, bool)>,
    nothing: &'static str,
    rows: Vec<ConflictRow>,
    /// Set where there may be more.
    most: Option<u64>,
}

/// `GET /dashboard/conflicts?state=open|ignored|resolved|all`; what is no state means open ones.
pub(super) async fn list(
    viewer: Viewer,
    State(state): State<AppState>,
    Query(query): Query<ListQuery>,
) -> Answer {
    let name = match query.state.as_deref() {
        Some("all") => "all",
        Some(text) => ConflictState::from_name(text).unwrap_or(ConflictState::Open).as_str(),
        None => ConflictState::Open.as_str(),
    };
    let wanted = ConflictState::from_name(name);
    let filter = ConflictFilter { limit: Some(SHOWN), ..ConflictFilter::default() };
    let mut conflicts = views::conflicts(&state, filter, wanted).await?;
    let most = (conflicts.len() as u64 >= SHOWN).then_some(SHOWN);
    // Those that wait come first, and of them the worst; among equals the newest, as they come.
    conflicts.sort_by_key(|conflict| (conflict.state, std::cmp::Reverse(conflict.severity)));
    let now = state.now();
    let all = [("open", "Open"), ("ignored", "Ignored"), ("resolved", "Resolved"), ("all", "All")];
    Ok(page(&ConflictsTemplate {
        frame: Frame::load(&state, "conflicts", format!("/dashboard/conflicts?state={name}"), viewer).await?,
        filters: all.into_iter().map(|(filter, words)| (filter, words, filter == name)).collect(),
        nothing: nothing(wanted),
        rows: conflicts.into_iter().map(|conflict| ConflictRow::new(conflict, now)).collect(),
        most,
    }))
}

#[derive(Debug, Template)]
#[template(path = "conflict.html")]
struct ConflictTemplate {
    frame: Frame,
    conflict: Conflict,
    kind: &'static str,
    severity: (&'static str, &'static str),
    since: String,
    resolved: Option<String>,
    /// What a wrong decision would lose, as a sentence; `None` where nothing is at stake.
    stake: Option<String>,
    source: SideColumn,
    target: SideColumn,
    /// Mesh only: where the other members stand that have gone on by themselves.
    others: Vec<String>,
    base: Option<BaseRow>,
    /// The replica as it is now: where it is explained, its reason, what comes next.
    why: Option<(String, Option<String>, Prose)>,
    /// What was decided and is not carried out yet.
    decided: Option<String>,
    cards: Vec<StrategyCard>,
    ignored_until: Option<String>,
    /// The first day that can be chosen.
    tomorrow: String,
}

fn day(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d").to_string()
}

/// `GET /dashboard/conflicts/{id}`.
pub(super) async fn show(
    viewer: Viewer,
    State(state): State<AppState>,
    Path(id): Path<ConflictId>,
) -> Answer {
    let now = state.now();
    let row = views::conflict(&state, id).await?;
    let directory = Directory::load(&state).await?;
    let group = state.store.group(row.group).await?.map(|row| row.group);
    let cards = match &group {
        Some(group) if row.resolved_at.is_none() => cards(&state, group, &row, &directory).await?,
        _ => Vec::new(),
    };
    let replica = replica(&state, &row).await?;
    let why = replica.map(|replica| {
        let link = why_link(replica.target.as_str(), &directory.hostname(replica.target_system));
        (link, replica.reason, Prose::new(&replica.report.next))
    });
    let conflict = views::show_one_conflict(&state, row).await?;
    let decided = conflict.decision.as_ref().map(|decision| decided(decision, now));
    let report = &conflict.report;
    Ok(page(&ConflictTemplate {
        frame: Frame::load(&state, "conflicts", format!("/dashboard/conflicts/{id}"), viewer).await?,
        kind: words::kind(conflict.kind),
        severity: words::severity(conflict.severity),
        since: ago(Some(conflict.since), now),
        resolved: conflict.resolved_at.map(|at| ago(Some(at), now)),
        stake: stake(&conflict),
        source: SideColumn::new(
            "source",
            "the side that is followed",
            &report.source,
            &conflict.source_system,
        ),
        target: SideColumn::new("target", "the replica", &report.target, &conflict.target_system),
        others: others_end_with(&conflict.heads),
        base: report.last_common.as_ref().map(|point| BaseRow::new(point, conflict.common_is_bookmark)),
        why,
        decided,
        cards,
        ignored_until: conflict.ignored_until.map(|until| until.strftime("%Y-%m-%d %H:%M UTC").to_string()),
        tomorrow: day(now + jiff::SignedDuration::from_hours(24)),
        conflict,
    }))
}

fn stake(conflict: &Conflict) -> Option<String> {
    let system = &conflict.target_system;
    match conflict.bytes_at_stake {
        Some(0) => None,
        Some(bytes) => Some(format!("At stake on {system}: at least {}.", words::bytes(bytes))),
        None => Some(format!(
            "How much is at stake on {system} is unknown: what a snapshot shares with another one or with the dataset itself is \
             counted for neither."
        )),
    }
}

/// The replica of a conflict as it was last planned.
async fn replica(state: &AppState, conflict: &Stored) -> ApiAnswer<Option<StoredReplica>> {
    let filter = ReplicaFilter {
        group: Some(conflict.group),
        target_system: Some(conflict.replica.target_system),
        datasets: Some(BTreeSet::from([conflict.replica.dataset.clone()])),
        ..ReplicaFilter::default()
    };
    let rows = state.store.replicas(&filter).await?;
    Ok(rows.into_iter().find(|row| row.key() == conflict.replica))
}

/// What each strategy comes to now, made as the plan would be, and kept nowhere.
async fn cards(
    state: &AppState,
    group: &SyncGroup,
    conflict: &Stored,
    directory: &Directory,
) -> ApiAnswer<Vec<StrategyCard>> {
    let mut fleet = Fleet::load(state).await?;
    let suggested = conflict.detail.suggested;
    let mut cards = Vec::new();
    for strategy in words::BY_SAFETY {
        let card = if let Some(obstacle) = obstacle(&conflict.detail.strategies, strategy) {
            StrategyCard::new(strategy, suggested, Err(obstacle), directory)
        } else {
            let answer =
                routes::conflicts::propose(state, &mut fleet, group, &conflict.replica, strategy).await?;
            StrategyCard::new(strategy, suggested, answer.as_ref().map_err(ToString::to_string), directory)
        };
        cards.push(card);
    }
    Ok(cards)
}

/// What was decided, and by whom.
fn decided(decision: &Decided, now: Timestamp) -> String {
    let Decided { winner, targets, decided_at, decided_by, .. } = decision;
    let verb = if targets.len() == 1 { "follows" } else { "follow" };
    let when = ago(Some(*decided_at), now);
    format!(
        "Decided by {decided_by} {when}: {} {verb} {winner}. What is still missing for that is being done.",
        words::list(targets)
    )
}

#[derive(Debug, Deserialize)]
pub(super) struct PlanForm {
    strategy: Strategy,
}

/// `POST /dashboard/conflicts/{id}/plan`: makes a plan and shows it.
pub(super) async fn plan(
    Decider(actor): Decider,
    State(state): State<AppState>,
    Path(id): Path<ConflictId>,
    Form(form): Form<PlanForm>,
) -> Answer {
    let body = ProposePlan { strategy: form.strategy };
    let (_, plan) = routes::conflicts::propose_plan(State(state), actor, Id(id), Body(body)).await?;
    Ok(Redirect::to(&format!("/dashboard/plans/{}", plan.id)).into_response())
}

/// `POST /dashboard/conflicts/{id}/withdraw`: takes back what was decided.
pub(super) async fn withdraw(
    Decider(actor): Decider,
    State(state): State<AppState>,
    Path(id): Path<ConflictId>,
) -> Answer {
    match routes::decisions::withdraw_decision(State(state), actor, Id(id)).await {
        Ok(_) => {}
        // Somebody was faster, it was just carried out, or the button was pressed twice: the page shows how it is.
        Err(error) if error.code() == ErrorCode::NoDecision => {}
        Err(error) => return Err(error.into()),
    }
    Ok(Redirect::to(&format!("/dashboard/conflicts/{id}")).into_response())
}

#[derive(Debug, Deserialize)]
pub(super) struct IgnoreForm {
    until: String,
    #[serde(default)]
    note: String,
}

/// The beginning of a day that a browser's date field names, in UTC.
fn beginning_of(text: &str) -> ApiAnswer<Timestamp> {
    let wrong = || ApiError::new(ErrorCode::ValueInvalid, "expected a day, for example 2026-12-31");
    let day: jiff::civil::Date = text.trim().parse().map_err(|_| wrong())?;
    Ok(day.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| wrong())?.timestamp())
}

/// `POST /dashboard/conflicts/{id}/ignore`.
pub(super) async fn ignore(
    decider: Decider,
    State(state): State<AppState>,
    Path(id): Path<ConflictId>,
    Form(form): Form<IgnoreForm>,
) -> Answer {
    let note = form.note.trim();
    let body = IgnoreConflict {
        until: Some(beginning_of(&form.until)?),
        note: (!note.is_empty()).then(|| note.to_owned()),
    };
    set_ignored(decider, state, id, body).await
}

/// `POST /dashboard/conflicts/{id}/unignore`.
pub(super) async fn unignore(
    decider: Decider,
    State(state): State<AppState>,
    Path(id): Path<ConflictId>,
) -> Answer {
    set_ignored(decider, state, id, IgnoreConflict::default()).await
}

async fn set_ignored(
    Decider(actor): Decider,
    state: AppState,
    id: ConflictId,
    body: IgnoreConflict,
) -> Answer {
    let _shown = routes::conflicts::ignore_conflict(State(state), actor, Id(id), Body(body)).await?;
    Ok(Redirect::to(&format!("/dashboard/conflicts/{id}")).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight_utc() {
        assert_eq!(beginning_of("2026-12-31").unwrap().to_string(), "2026-12-31T00:00:00Z");
        for text in ["", "tomorrow", "2026-13-01", "31.12.2026"] {
            assert_eq!(beginning_of(text).unwrap_err().code(), ErrorCode::ValueInvalid, "{text}");
        }
    }
}
