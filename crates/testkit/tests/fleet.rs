//! A witness and its agents together, on the in-memory ZFS, with things going wrong.

use anyhow::{Context as _, Result, ensure};
use zfs_sync_core::{inventory::DatasetKind, plan::ReplicaState};
use zfs_sync_testkit::fleet::Fleet;
use zfs_sync_zfs::memory::Host;

const MEBIBYTE: u64 = 1 << 20;

fn make_dataset(host: &Host, name: &str, bytes: u64) -> Result<()> {
    host.create_dataset(name, DatasetKind::Filesystem)?;
    host.write(name, bytes)?;
    host.snapshot(&format!("{name}@one"))?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nested_datasets_and_a_volume_follow_their_source_to_two_targets() -> Result<()> {
    let fleet = Fleet::start(&["nas1", "nas2", "nas3"]).await?;
    let nas1 = fleet.host("nas1");
    make_dataset(&nas1, "tank/media", MEBIBYTE)?;
    make_dataset(&nas1, "tank/media/films", MEBIBYTE)?;
    nas1.create_dataset("tank/media/disk", DatasetKind::Volume)?;
    nas1.write("tank/media/disk", MEBIBYTE)?;
    nas1.snapshot("tank/media/disk@one")?;
    let group =
        fleet.make_group("media", &["nas1", "nas2", "nas3"], "tank/media/**", "tank/media=tank/copy").await?;
    for round in 0..3 {
        nas1.write("tank/media/films", 10_000)?;
        nas1.snapshot_recursive(&format!("tank/media@round{round}"))?;
        for target in ["nas2", "nas3"] {
            for below in ["", "/films", "/disk"] {
                let (source, copy) = (format!("tank/media{below}"), format!("tank/copy{below}"));
                fleet.wait_until_equal(&group, ("nas1", &source), (target, &copy)).await?;
            }
        }
    }
    fleet.wait_for_state(&group, 6, ReplicaState::InSync).await?;
    fleet.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crashed_sender_resumes_where_its_stream_was_cut() -> Result<()> {
    let mut fleet = Fleet::start(&["nas1", "nas2"]).await?;
    let nas1 = fleet.host("nas1");
    make_dataset(&nas1, "tank/big", 24 * MEBIBYTE)?;
    nas1.faults().slow(Some(8 * MEBIBYTE));
    let group = fleet.make_group("big", &["nas1", "nas2"], "tank/big", "tank/big=tank/copy").await?;
    fleet
        .wait_for("a transfer to be under way", &group, async |fleet| {
            let transfers = fleet.transfers(&group).await?;
            Ok(transfers.iter().any(|transfer| transfer.state == "leased" && transfer.bytes > 2 * MEBIBYTE))
        })
        .await?;
    fleet.crash_agent("nas1").await?;
    nas1.faults().slow(None);
    fleet.start_agent("nas1")?;
    fleet.wait_until_equal(&group, ("nas1", "tank/big"), ("nas2", "tank/copy")).await?;
    fleet.wait_for_state(&group, 1, ReplicaState::InSync).await?;
    let resumed = fleet.transfers(&group).await?.into_iter().find(|transfer| transfer.resumed_from.is_some());
    let resumed = resumed.context("no transfer resumed")?;
    ensure!(resumed.resumed_from.is_some_and(|bytes| bytes > MEBIBYTE), "{resumed:?}");
    ensure!(resumed.bytes < 23 * MEBIBYTE, "everything was sent again: {resumed:?}");
    fleet.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_that_restarts_finds_its_fleet_at_work() -> Result<()> {
    let mut fleet = Fleet::start(&["nas1", "nas2"]).await?;
    let nas1 = fleet.host("nas1");
    make_dataset(&nas1, "tank/a", 4 * MEBIBYTE)?;
    nas1.faults().slow(Some(4 * MEBIBYTE));
    let group = fleet.make_group("a", &["nas1", "nas2"], "tank/a", "tank/a=tank/copy").await?;
    fleet
        .wait_for("a transfer to run", &group, async |fleet| {
            Ok(fleet.transfers(&group).await?.iter().any(|transfer| transfer.bytes > 0))
        })
        .await?;
    fleet.stop_server().await?;
    nas1.snapshot("tank/a@while-away")?;
    fleet.start_server().await?;
    fleet.wait_until_equal(&group, ("nas1", "tank/a"), ("nas2", "tank/copy")).await?;
    fleet.wait_for_state(&group, 1, ReplicaState::InSync).await?;
    fleet.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_diverged_target_waits_while_others_go_on() -> Result<()> {
    let fleet = Fleet::start(&["nas1", "nas2"]).await?;
    let (nas1, nas2) = (fleet.host("nas1"), fleet.host("nas2"));
    for name in ["tank/x", "tank/x/a", "tank/x/b"] {
        make_dataset(&nas1, name, 10_000)?;
    }
    let group = fleet.make_group("x", &["nas1", "nas2"], "tank/x/**", "tank/x=tank/copy").await?;
    fleet.wait_for_state(&group, 3, ReplicaState::InSync).await?;
    nas2.set_readonly("tank/copy/a", false)?;
    nas2.write("tank/copy/a", 5000)?;
    nas2.snapshot("tank/copy/a@mine")?;
    nas1.write("tank/x/a", 5000)?;
    nas1.write("tank/x/b", 5000)?;
    nas1.snapshot_recursive("tank/x@two")?;
    fleet.wait_until_equal(&group, ("nas1", "tank/x/b"), ("nas2", "tank/copy/b")).await?;
    fleet
        .wait_for("the divergence to be seen", &group, async |fleet| {
            Ok(fleet.replicas(&group).await?.iter().any(|replica| {
                replica.state == ReplicaState::Diverged
                    && replica.target == "tank/copy/a"
                    && replica.reason.as_deref() == Some("R_DIVERGED")
            }))
        })
        .await?;
    let labels: Vec<String> =
        fleet.history(("nas2", "tank/copy/a")).await?.into_iter().map(|(label, _)| label).collect();
    ensure!(labels == ["one", "mine"], "{labels:?}");
    fleet.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_system_is_unknown_and_not_green() -> Result<()> {
    let mut fleet = Fleet::start(&["nas1", "nas2"]).await?;
    make_dataset(&fleet.host("nas1"), "tank/a", 10_000)?;
    let group = fleet.make_group("a", &["nas1", "nas2"], "tank/a", "tank/a=tank/copy").await?;
    fleet.wait_for_state(&group, 1, ReplicaState::InSync).await?;
    fleet.stop_agent("nas2").await?;
    fleet.wait_for_state(&group, 1, ReplicaState::Unknown).await?;
    fleet.start_agent("nas2")?;
    fleet.wait_for_state(&group, 1, ReplicaState::InSync).await?;
    fleet.stop().await
}
