//! Verifications by a witness and agents together, on the in-memory ZFS.

use anyhow::{Context as _, Result, ensure};
use zfs_sync_api::v1::verification::{CreateVerification, Verification};
use zfs_sync_core::{health::PoolHealth, inventory::DatasetKind, plan::ReplicaState, verify::Verdict};
use zfs_sync_testkit::fleet::Fleet;
use zfs_sync_zfs::memory::Host;

const MEBIBYTE: u64 = 1 << 20;

fn make_dataset(host: &Host, name: &str, kind: DatasetKind) -> Result<()> {
    host.create_dataset(name, kind)?;
    host.write(name, 3 * MEBIBYTE)?;
    host.snapshot(&format!("{name}@one"))?;
    Ok(())
}

fn deep(snapshot: &str) -> Result<CreateVerification> {
    let between = vec!["nas1".to_owned(), "nas2".to_owned()];
    Ok(CreateVerification { snapshot: snapshot.parse()?, between, dataset: None, deep: true, rate: None })
}

/// A fleet with a replica of `tank/media` and one of the volume `tank/media/disk`, both in sync.
async fn replicated() -> Result<(Fleet, zfs_sync_api::v1::group::Group)> {
    let fleet = Fleet::start(&["nas1", "nas2"]).await?;
    let nas1 = fleet.host("nas1");
    make_dataset(&nas1, "tank/media", DatasetKind::Filesystem)?;
    make_dataset(&nas1, "tank/media/disk", DatasetKind::Volume)?;
    let group = fleet.make_group("media", &["nas1", "nas2"], "tank/media/**", "tank/media=tank/copy").await?;
    fleet.wait_for_state(&group, 2, ReplicaState::InSync).await?;
    Ok((fleet, group))
}

async fn ended(
    fleet: &Fleet,
    group: &zfs_sync_api::v1::group::Group,
    asked: Verification,
) -> Result<Verification> {
    fleet
        .wait_for("the verification to end", group, async |fleet| {
            let Ok(found) = fleet.client().find_verification(asked.id).await else { return Ok(false) };
            Ok(found.finished_at.is_some())
        })
        .await?;
    Ok(fleet.client().find_verification(asked.id).await?)
}

fn lines(result: &Verdict) -> Vec<String> {
    result.differences.iter().map(|difference| difference.words("nas1", "nas2")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_replicated_matches_and_what_a_disk_has_changed_is_named() -> Result<()> {
    let (fleet, group) = replicated().await?;
    let client = fleet.client();
    for snapshot in ["tank/media@one", "tank/media/disk@one"] {
        let asked = client.create_verification(&deep(snapshot)?).await?;
        ensure!(asked.right.snapshot.to_string() == snapshot.replace("media", "copy"), "{asked:?}");
        let found = ended(&fleet, &group, asked).await?;
        ensure!(found.state == "matched", "{found:?}");
        ensure!(found.result.is_some_and(|result| result.deep && result.bytes == 3 * MEBIBYTE));
    }
    let proofs = client.list_proofs().await?;
    ensure!(
        proofs.len() == 2 && proofs.iter().all(|proof| proof.deep && proof.target_system == "nas2"),
        "{proofs:?}"
    );

    fleet
        .wait_for("the agent to tell how its pool is", &group, async |fleet| {
            let pools = fleet.client().list_pools().await?;
            Ok(pools.iter().any(|of| of.system == "nas2" && of.pools.iter().all(PoolHealth::is_well)))
        })
        .await?;
    ensure!(client.list_proofs().await?.iter().all(|proof| proof.pool.is_some()));

    fleet.host("nas2").corrupt("tank/copy", 2)?;
    fleet.host("nas2").corrupt("tank/copy/disk", 1)?;
    let found = ended(&fleet, &group, client.create_verification(&deep("tank/media@one")?).await?).await?;
    let result = found.result.context("it has a result")?;
    ensure!(lines(&result) == ["write-000002: content differs from byte 0"], "{result:?}");
    // By the name on the second system, too.
    let asked = CreateVerification { snapshot: "tank/copy/disk@one".parse()?, ..deep("tank/x@y")? };
    let found = ended(&fleet, &group, client.create_verification(&asked).await?).await?;
    let result = found.result.context("it has a result")?;
    ensure!(found.state == "differs", "{}", found.state);
    ensure!(lines(&result) == ["(the whole): content differs from byte 1048576"], "{result:?}");
    fleet.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn it_begins_anew_when_an_agent_dies_and_goes_on_when_the_witness_does() -> Result<()> {
    let (mut fleet, group) = replicated().await?;
    // Slow enough to be met while it reads, and begun again as slowly: four seconds.
    let asked = CreateVerification { rate: Some(3 * MEBIBYTE / 4), ..deep("tank/media@one")? };
    let asked = fleet.client().create_verification(&asked).await?;
    fleet
        .wait_for("both to read", &group, async |fleet| {
            let Ok(found) = fleet.client().find_verification(asked.id).await else { return Ok(false) };
            Ok(found.left.working && found.right.working)
        })
        .await?;
    fleet.crash_agent("nas2").await?;
    fleet.start_agent("nas2")?;
    fleet
        .wait_for("it to begin anew", &group, async |fleet| {
            let Ok(found) = fleet.client().find_verification(asked.id).await else { return Ok(false) };
            Ok(found.attempts == 2 && found.left.working && found.right.working)
        })
        .await?;
    fleet.stop_server().await?;
    fleet.start_server().await?;
    let found = ended(&fleet, &group, asked).await?;
    ensure!(found.state == "matched", "{found:?}");
    fleet.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_cancelled_ends_and_one_without_a_key_is_unproven() -> Result<()> {
    let fleet = Fleet::start(&["nas1", "nas2"]).await?;
    let (nas1, nas2) = (fleet.host("nas1"), fleet.host("nas2"));
    nas1.create_encrypted_dataset("tank/secret", DatasetKind::Filesystem)?;
    nas1.write("tank/secret", MEBIBYTE)?;
    nas1.snapshot("tank/secret@one")?;
    let group = fleet.make_group("secret", &["nas1", "nas2"], "tank/secret", "tank/secret=tank/copy").await?;
    fleet.wait_for_state(&group, 1, ReplicaState::InSync).await?;
    nas2.set_key_loaded("tank/copy", false)?;
    let client = fleet.client();
    let found = ended(&fleet, &group, client.create_verification(&deep("tank/secret@one")?).await?).await?;
    ensure!(found.state == "unproven", "{found:?}");
    ensure!(found.result.and_then(|result| result.code).as_deref() == Some("E_KEY_NOT_LOADED"));
    nas2.set_key_loaded("tank/copy", true)?;
    // At this pace it would take twelve days.
    let asked = CreateVerification { rate: Some(1), ..deep("tank/secret@one")? };
    let asked = client.create_verification(&asked).await?;
    fleet
        .wait_for("both to read", &group, async |fleet| {
            let Ok(found) = fleet.client().find_verification(asked.id).await else { return Ok(false) };
            Ok(found.left.working && found.right.working)
        })
        .await?;
    let cancelled = client.cancel_verification(asked.id).await?;
    ensure!(cancelled.state == "cancelled", "{cancelled:?}");
    // The agents are free for another one.
    let asked = client.create_verification(&deep("tank/secret@one")?).await?;
    let found = ended(&fleet, &group, asked).await?;
    ensure!(found.state == "matched", "{found:?}");
    fleet.stop().await
}
