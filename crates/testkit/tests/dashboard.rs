//! The dashboard in a real browser: what a person sees, also when the witness dies.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use fantoccini::{Client as Browser, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use secrecy::ExposeSecret as _;
use zfs_sync_api::v1::group::Group;
use zfs_sync_core::{inventory::DatasetKind, plan::ReplicaState};
use zfs_sync_testkit::fleet::Fleet;

/// A ChromeDriver of this test's own; its browsers end with it.
struct Driver {
    process: Child,
    port: u16,
    profile: tempfile::TempDir,
}

impl Driver {
    #[expect(clippy::disallowed_methods, reason = "the browser is a process of its own")]
    fn start() -> Result<Self> {
        let mut process = Command::new("chromedriver")
            .args(["--port=0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context(
                "chromedriver could not be started; ci/test installs it (Debian package chromium-driver)",
            )?;
        let stdout = process.stdout.take().context("its output is a pipe")?;
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            if let Some((_, rest)) = line.split_once("successfully on port ") {
                let port = rest.trim_end_matches('.').parse()?;
                return Ok(Self { process, port, profile: tempfile::tempdir()? });
            }
        }
        bail!("chromedriver ended before it listened")
    }

    async fn browser(&self) -> Result<Browser> {
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--window-size=1280,900",
            &format!("--user-data-dir={}", self.profile.path().display()),
        ];
        let capabilities = serde_json::json!({ "goog:chromeOptions": { "args": arguments } });
        let capabilities = capabilities.as_object().cloned().context("an object")?;
        let address = format!("http://127.0.0.1:{}", self.port);
        Ok(ClientBuilder::new(HttpConnector::new()).capabilities(capabilities).connect(&address).await?)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits until the page's text contains all of `words`.
async fn wait_for_words(browser: &Browser, words: &[&str]) -> Result<String> {
    let mut text = String::new();
    for _ in 0..300 {
        if let Ok(body) = browser.find(Locator::Css("body")).await
            && let Ok(found) = body.text().await
        {
            text = found;
            if words.iter().all(|word| text.contains(word)) {
                return Ok(text);
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bail!("the page never showed {words:?}; it shows:\n{text}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_watches_a_transfer_arrive_and_reads_on_when_the_witness_dies() -> Result<()> {
    let mut fleet = Fleet::start(&["nas1", "nas2"]).await?;
    let nas1 = fleet.host("nas1");
    nas1.create_dataset("tank/media", DatasetKind::Filesystem)?;
    nas1.write("tank/media", 100_000)?;
    nas1.snapshot("tank/media@one")?;
    let group = fleet.make_group("media", &["nas1", "nas2"], "tank/media", "tank/media=tank/copy").await?;
    fleet.wait_for_state(&group, 1, ReplicaState::InSync).await?;

    let driver = Driver::start()?;
    let browser = driver.browser().await?;
    browser.goto(&format!("{}/dashboard", fleet.url())).await?;
    ensure!(browser.current_url().await?.path() == "/login", "a stranger sees the dashboard");

    let key = browser.find(Locator::Css("#key")).await?;
    key.send_keys("zsk_wrongkey").await?;
    browser.find(Locator::Css("button.primary")).await?.click().await?;
    wait_for_words(&browser, &["E_KEY_INVALID"]).await?;
    let key = browser.find(Locator::Css("#key")).await?;
    key.send_keys(fleet.admin_key().expose_secret()).await?;
    browser.find(Locator::Css("button.primary")).await?.click().await?;
    wait_for_words(&browser, &["Overview", "1 in sync", "Nothing needs you", "Live"]).await?;

    browser.find(Locator::LinkText("Systems")).await?.click().await?;
    wait_for_words(&browser, &["nas1", "nas2", "healthy"]).await?;
    browser.find(Locator::LinkText("Groups")).await?.click().await?;
    wait_for_words(&browser, &["media", "nas1 → nas2"]).await?;
    browser.find(Locator::LinkText("media")).await?.click().await?;
    wait_for_words(
        &browser,
        &["tank/media", "nas2", "in sync", "one way: nas1 → nas2", "tank/media is tank/copy"],
    )
    .await?;
    wait_for_words(
        &browser,
        &["Nothing; a person decides each conflict", "No, unless a person applies a plan"],
    )
    .await?;

    // The page changes by itself: the target diverges, and the cell says so.
    let nas2 = fleet.host("nas2");
    nas2.set_readonly("tank/copy", false)?;
    nas2.write("tank/copy", 5000)?;
    nas2.snapshot("tank/copy@mine")?;
    wait_for_words(&browser, &["diverged"]).await?;
    browser.find(Locator::XPath("//a[contains(., 'diverged')]")).await?.click().await?;
    let trace = [
        "tank/copy on nas2",
        "Which rules hold",
        "holds:",
        "does not hold:",
        "R_DIVERGED",
        "What happens next",
    ];
    wait_for_words(&browser, &trace).await?;
    browser.find(Locator::LinkText("Compare both sides and decide")).await?.click().await?;
    wait_for_words(&browser, &["nas2 ends with tank/copy@mine", "What can be done"]).await?;

    browser.find(Locator::LinkText("Transfers")).await?.click().await?;
    wait_for_words(&browser, &["Finished", "succeeded", "nas1 → nas2"]).await?;

    fleet.stop_server().await?;
    let text = wait_for_words(&browser, &["Stale since", "does not answer"]).await?;
    ensure!(text.contains("nas1 → nas2"), "what was shown is gone:\n{text}");
    fleet.start_server().await?;
    wait_for_words(&browser, &["Live"]).await?;
    let banner = browser.find(Locator::Css("#stale-banner")).await?;
    ensure!(!banner.is_displayed().await?, "the banner stays");

    browser.close().await?;
    fleet.stop().await
}

/// The way to the conflicts in the navigation.
const CONFLICTS: Locator<'static> = Locator::Css("header nav a[href='/dashboard/conflicts']");

/// A replica with `mine` beside `two` on its source; both have `one`.
async fn diverged() -> Result<(Fleet, Group)> {
    let fleet = Fleet::start(&["nas1", "nas2"]).await?;
    let (nas1, nas2) = (fleet.host("nas1"), fleet.host("nas2"));
    nas1.create_dataset("tank/media", DatasetKind::Filesystem)?;
    nas1.write("tank/media", 100_000)?;
    nas1.snapshot("tank/media@one")?;
    let group = fleet.make_group("media", &["nas1", "nas2"], "tank/media", "tank/media=tank/copy").await?;
    fleet.wait_for_state(&group, 1, ReplicaState::InSync).await?;
    nas2.set_readonly("tank/copy", false)?;
    nas2.write("tank/copy", 5000)?;
    nas2.snapshot("tank/copy@mine")?;
    fleet.wait_for_state(&group, 1, ReplicaState::Diverged).await?;
    nas1.write("tank/media", 7000)?;
    nas1.snapshot("tank/media@two")?;
    Ok((fleet, group))
}

/// Clicks what may have to appear first, and may be swapped for its successor just then.
async fn click(browser: &Browser, what: Locator<'_>) -> Result<()> {
    let mut last = None;
    for _ in 0..300 {
        let clicked = match browser.find(what).await {
            Ok(element) => element.click().await,
            Err(error) => Err(error),
        };
        match clicked {
            Ok(()) => return Ok(()),
            Err(error) => last = Some(error),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bail!("{what:?} could not be clicked: {last:?}")
}

async fn type_into(browser: &Browser, css: &str, text: &str) -> Result<()> {
    browser.find(Locator::Css(css)).await.with_context(|| format!("no {css}"))?.send_keys(text).await?;
    Ok(())
}

async fn sign_in(browser: &Browser, fleet: &Fleet) -> Result<()> {
    browser.goto(&format!("{}/login", fleet.url())).await?;
    type_into(browser, "#key", fleet.admin_key().expose_secret()).await?;
    click(browser, Locator::Css("button.primary")).await?;
    wait_for_words(browser, &["Overview", "Live"]).await?;
    Ok(())
}

async fn labels(fleet: &Fleet, dataset: &str) -> Result<Vec<String>> {
    Ok(fleet.history(("nas2", dataset)).await?.into_iter().map(|(label, _)| label).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_compares_both_sides_keeps_both_and_sees_the_conflict_resolved() -> Result<()> {
    let (fleet, group) = diverged().await?;
    let driver = Driver::start()?;
    let browser = driver.browser().await?;
    sign_in(&browser, &fleet).await?;
    let count = browser.find(Locator::Css("#conflict-count")).await?.text().await?;
    ensure!(count.starts_with('1'), "the navigation counts open conflicts: {count:?}");

    click(&browser, CONFLICTS).await?;
    wait_for_words(&browser, &["nas1 → nas2", "newer snapshots on both sides", "high", "Keep both"]).await?;
    click(&browser, Locator::LinkText("tank/copy")).await?;
    let heads = "nas1 ends with tank/media@two, nas2 ends with tank/copy@mine";
    wait_for_words(&browser, &[heads, "Only on nas1", "Only on nas2", "On both", "@one", "Live"]).await?;
    let guid = fleet.history(("nas2", "tank/copy")).await?.last().context("a snapshot")?.1;
    wait_for_words(&browser, &[&guid.to_string(), "R_DIVERGED", "Destroys 1 snapshot"]).await?;

    // What somebody has typed, and where their keyboard is, outlives that the page changes by itself.
    type_into(&browser, "#note", "waiting for Anna").await?;
    fleet.host("nas2").snapshot("tank/copy@yours")?;
    wait_for_words(&browser, &["nas2 ends with tank/copy@yours"]).await?;
    type_into(&browser, "#note", "!").await?;
    let script = "return [document.activeElement.id, document.getElementById('note').value, document.activeElement.selectionStart]";
    let left = browser.execute(script, Vec::new()).await?;
    ensure!(left == serde_json::json!(["note", "waiting for Anna!", 17]), "{left}");
    let script = "document.getElementById('plan-keep_both').focus()";
    browser.execute(script, Vec::new()).await?;
    fleet.host("nas2").snapshot("tank/copy@ours")?;
    wait_for_words(&browser, &["nas2 ends with tank/copy@ours"]).await?;
    let focused = browser.execute("return document.activeElement.id", Vec::new()).await?;
    ensure!(focused == "plan-keep_both", "the keyboard has lost its place: {focused}");

    click(&browser, Locator::Css("#plan-keep_both")).await?;
    let plan = ["Nothing is destroyed", "What stays", "zfs rename tank/copy tank/copy.aside-", "fingerprint"];
    wait_for_words(&browser, &plan).await?;
    ensure!(browser.find(Locator::Css("#name")).await.is_err(), "nothing is lost, so nothing is typed");
    ensure!(
        labels(&fleet, "tank/copy").await? == ["one", "mine", "yours", "ours"],
        "looking changes nothing"
    );
    click(&browser, Locator::Css("#apply")).await?;
    wait_for_words(&browser, &["tank/copy on nas2", "Resolved"]).await?;
    fleet.wait_for_state(&group, 1, ReplicaState::InSync).await?;
    // What differs was sent onto what had been set aside, so that the common snapshot stays there.
    ensure!(
        labels(&fleet, "tank/copy").await? == ["two"],
        "the new replica begins after the common snapshot"
    );
    let (nas1, nas2) = (fleet.host("nas1"), fleet.host("nas2"));
    ensure!(
        nas1.content("tank/media@two")? == nas2.content("tank/copy@two")?,
        "the replica has other content"
    );
    let census = nas2.census();
    let aside = census.iter().find(|dataset| dataset.name.as_str().starts_with("tank/copy.aside-"));
    let aside = aside.context("nothing was set aside")?.name.as_str();
    ensure!(labels(&fleet, aside).await? == ["one", "mine", "yours", "ours"], "something was lost");

    click(&browser, Locator::LinkText("All conflicts")).await?;
    wait_for_words(&browser, &["No conflict waits for you"]).await?;
    click(&browser, Locator::LinkText("Resolved")).await?;
    wait_for_words(&browser, &["tank/copy", "nas1 → nas2", "resolved"]).await?;
    browser.close().await?;
    fleet.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_destroys_snapshots_lists_them_and_needs_the_name_and_an_unchanged_world() -> Result<()> {
    let (fleet, group) = diverged().await?;
    let driver = Driver::start()?;
    let browser = driver.browser().await?;
    sign_in(&browser, &fleet).await?;
    click(&browser, CONFLICTS).await?;
    wait_for_words(&browser, &["nas1 → nas2"]).await?;
    click(&browser, Locator::LinkText("tank/copy")).await?;
    click(&browser, Locator::Css("#plan-rollback_target")).await?;
    wait_for_words(&browser, &["1 snapshot will be destroyed", "tank/copy@mine", "Type tank/copy"]).await?;

    type_into(&browser, "#name", "tank/media").await?;
    click(&browser, Locator::Css("#apply")).await?;
    wait_for_words(&browser, &["The name that was typed is not the dataset's", "tank/copy@mine"]).await?;
    ensure!(labels(&fleet, "tank/copy").await? == ["one", "mine"], "a wrong name changes nothing");

    // A snapshot comes that the plan does not list: it must not be lost with the others.
    fleet.host("nas2").snapshot("tank/copy@yours")?;
    fleet
        .wait_for("the conflict to know of @yours", &group, async |fleet| {
            let replicas = fleet.replicas(&group).await?;
            Ok(replicas
                .iter()
                .any(|replica| replica.report.only_on_target.iter().any(|one| one.contains("yours"))))
        })
        .await?;
    type_into(&browser, "#name", "tank/copy").await?;
    click(&browser, Locator::Css("#apply")).await?;
    let text = wait_for_words(&browser, &["Things have changed", "E_PLAN_STALE", "Make a new plan"]).await?;
    ensure!(!text.contains("Destroy and apply"), "a stale plan can not be applied:\n{text}");
    ensure!(labels(&fleet, "tank/copy").await? == ["one", "mine", "yours"], "a stale plan changes nothing");

    click(&browser, Locator::Css("#plan-anew")).await?;
    wait_for_words(&browser, &["2 snapshots will be destroyed", "tank/copy@yours", "tank/copy@mine"]).await?;
    type_into(&browser, "#name", "tank/copy").await?;
    click(&browser, Locator::Css("#apply")).await?;
    wait_for_words(&browser, &["Resolved"]).await?;
    fleet.wait_for_state(&group, 1, ReplicaState::InSync).await?;
    ensure!(labels(&fleet, "tank/copy").await? == ["one", "two"], "it follows again");
    browser.close().await?;
    fleet.stop().await
}
