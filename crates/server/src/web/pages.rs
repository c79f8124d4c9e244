//! The pages that only show what there is.

use axum::extract::State;
use zfs_sync_api::v1::system::System;

use super::{
    page::{Frame, OverviewTemplate, SystemsTemplate, TransfersTemplate, page},
    problem::Answer,
    proofs,
    row::{ReplicaRow, SystemRow, TransferRow, by_severity, counts_in_words},
    session::Viewer,
};
use crate::{state::AppState, views};

/// `GET /dashboard`.
pub(super) async fn overview(viewer: Viewer, State(state): State<AppState>) -> Answer {
    let now = state.now();
    let status = views::status(&state).await?;
    let running = views::transfers(&state, &views::unfinished_transfers(20)).await?;
    let attention: Vec<ReplicaRow> =
        status.attention.iter().cloned().map(|replica| ReplicaRow::new(replica, now)).collect();
    let differing = status.proofs.get("differs").copied().unwrap_or(0);
    let sentence = match attention.len() {
        0 if differing > 0 => {
            format!("{} {}.", proofs::sentence(&status.proofs), counts_in_words(&status.replicas))
        }
        0 => format!("Nothing needs you. {}.", counts_in_words(&status.replicas)),
        1 => format!("One replica needs you. {}.", counts_in_words(&status.replicas)),
        many => format!("{many} replicas need you. {}.", counts_in_words(&status.replicas)),
    };
    Ok(page(&OverviewTemplate {
        frame: Frame::load(&state, "overview", "/dashboard", viewer).await?,
        sentence,
        replicas: by_severity(&status.replicas),
        attention,
        differing,
        running: running.into_iter().map(|transfer| TransferRow::new(transfer, now)).collect(),
        first_steps: status.replicas.is_empty(),
        status,
    }))
}

/// `GET /dashboard/systems`.
pub(super) async fn systems(viewer: Viewer, State(state): State<AppState>) -> Answer {
    let now = state.now();
    let pools = state.store.pool_health().await?;
    let row = |system: System| {
        let pools = proofs::pools_of(pools.get(&system.id), now);
        SystemRow::new(system, pools, now)
    };
    let rows = views::systems(&state).await?.into_iter().map(row).collect();
    let frame = Frame::load(&state, "systems", "/dashboard/systems", viewer).await?;
    Ok(page(&SystemsTemplate { frame, rows }))
}

/// `GET /dashboard/transfers`.
pub(super) async fn transfers(viewer: Viewer, State(state): State<AppState>) -> Answer {
    let now = state.now();
    let rows =
        |transfers: Vec<_>| transfers.into_iter().map(|transfer| TransferRow::new(transfer, now)).collect();
    let running = rows(views::transfers(&state, &views::unfinished_transfers(200)).await?);
    let finished = rows(views::transfers(&state, &views::finished_transfers(100)).await?);
    Ok(page(&TransfersTemplate {
        frame: Frame::load(&state, "transfers", "/dashboard/transfers", viewer).await?,
        running,
        finished,
    }))
}
