//! A plan that ends a conflict: what it does, what is lost, what stays; and applying it.

use askama::Template;
use axum::{
    Form,
    extract::{Path, Query, State},
    response::{IntoResponse as _, Redirect},
};
use serde::Deserialize;
use zfs_sync_api::{codes::ErrorCode, v1::plan::Plan};
use zfs_sync_core::ids::PlanId;

use super::{
    decider::Decider,
    page::{Frame, page},
    problem::Answer,
    row::ago,
    session::Viewer,
    words,
};
use crate::{extract::Id, routes, state::AppState};

/// Why a plan was not applied, in the address that the browser is sent to, so that the message outlives a refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    /// Something has moved.
    Stale,
    /// The name that was typed is another one.
    Name,
}

impl Refused {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Stale => "stale",
            Self::Name => "name",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Stale, Self::Name].into_iter().find(|refused| refused.as_str() == name)
    }
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct ShowQuery {
    #[serde(default)]
    refused: Option<String>,
}

/// A snapshot that is destroyed.
#[derive(Debug)]
struct CasualtyRow {
    system: String,
    snapshot: String,
    guid: String,
    taken: String,
    used: String,
    referenced: String,
    /// Who else keeps it; nobody, when empty.
    others: String,
}

#[derive(Debug, Template)]
#[template(path = "plan.html")]
struct PlanTemplate {
    frame: Frame,
    plan: Plan,
    title: &'static str,
    does: &'static str,
    made: String,
    applied: Option<String>,
    /// What became of what it decided.
    ended: Option<&'static str>,
    casualties: Vec<CasualtyRow>,
    /// What destroying all of them frees, at least; `None` where that can not be told, because several share it.
    freed: Option<String>,
    /// System, dataset, bytes.
    discards: Vec<(String, String, String)>,
    /// The dataset whose name is typed before something is destroyed.
    confirm: Option<String>,
    stale: bool,
    wrong_name: bool,
}

/// The dataset that loses something; its name is typed before that happens. `None` when nothing is lost.
fn confirmation(plan: &Plan) -> Option<String> {
    let of_snapshot = plan.destroys.first().and_then(|one| one.snapshot.split_once('@'));
    if let Some((dataset, _)) = of_snapshot {
        return Some(dataset.to_owned());
    }
    if let Some(discarded) = plan.discards.first() {
        return Some(discarded.dataset.clone());
    }
    // What may be destroyed and is listed nowhere makes a plan stale; it needs no less than the others.
    let decision = &plan.decision;
    let loses = !decision.may_destroy.is_empty() || decision.may_discard.values().any(|bytes| *bytes > 0);
    loses.then(|| plan.target.clone())
}

/// `GET /dashboard/plans/{id}`.
pub(super) async fn show(
    viewer: Viewer,
    State(state): State<AppState>,
    Path(id): Path<PlanId>,
    Query(query): Query<ShowQuery>,
) -> Answer {
    let now = state.now();
    let plan = routes::plans::find_plan(State(state.clone()), Id(id)).await?.0;
    let refused = query.refused.as_deref().and_then(Refused::from_name);
    let path = match refused {
        Some(refused) => format!("{}?refused={}", address(id), refused.as_str()),
        None => address(id),
    };
    let casualties = plan.destroys.iter().map(|one| CasualtyRow {
        system: one.system.clone(),
        snapshot: one.snapshot.clone(),
        guid: one.guid.to_string(),
        taken: one.creation.map_or_else(|| "–".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M:%S").to_string()),
        used: words::bytes(one.used),
        referenced: words::bytes(one.referenced),
        others: one.other_copies.join(", "),
    });
    let freed = plan.destroys.iter().fold(0_u64, |sum, one| sum.saturating_add(one.used));
    let discards = plan.discards.iter();
    let discards = discards.map(|one| (one.system.clone(), one.dataset.clone(), words::bytes(one.bytes)));
    Ok(page(&PlanTemplate {
        frame: Frame::load(&state, "conflicts", path, viewer).await?,
        title: words::strategy(plan.strategy),
        does: words::does(plan.strategy),
        made: ago(Some(plan.created_at), now),
        applied: plan.applied_at.map(|at| ago(Some(at), now)),
        ended: plan.outcome.as_deref().and_then(words::ended),
        casualties: casualties.collect(),
        freed: (freed > 0).then(|| words::bytes(freed)),
        discards: discards.collect(),
        confirm: confirmation(&plan),
        stale: refused == Some(Refused::Stale) && plan.applied_at.is_none(),
        wrong_name: refused == Some(Refused::Name) && plan.applied_at.is_none(),
        plan,
    }))
}

fn address(id: PlanId) -> String {
    format!("/dashboard/plans/{id}")
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct ApplyForm {
    /// What was typed.
    #[serde(default)]
    name: String,
}

/// `POST /dashboard/plans/{id}/apply`.
pub(super) async fn apply(
    Decider(actor): Decider,
    State(state): State<AppState>,
    Path(id): Path<PlanId>,
    Form(form): Form<ApplyForm>,
) -> Answer {
    let plan = routes::plans::find_plan(State(state.clone()), Id(id)).await?.0;
    let refused = |refused: Refused| {
        Ok(Redirect::to(&format!("{}?refused={}", address(id), refused.as_str())).into_response())
    };
    if confirmation(&plan).is_some_and(|name| name != form.name.trim()) {
        return refused(Refused::Name);
    }
    match routes::plans::apply_plan(State(state), actor, Id(id)).await {
        Ok(_) => {}
        Err(error) if error.code() == ErrorCode::PlanStale => return refused(Refused::Stale),
        // Somebody was faster, or the button was pressed twice: the plan's page says who it was.
        Err(error) if error.code() == ErrorCode::PlanApplied => {
            return Ok(Redirect::to(&address(id)).into_response());
        }
        Err(error) => return Err(error.into()),
    }
    let next = match plan.conflict_id {
        Some(conflict) => format!("/dashboard/conflicts/{conflict}"),
        None => address(id),
    };
    Ok(Redirect::to(&next).into_response())
}
