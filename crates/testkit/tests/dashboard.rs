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
    wait_for_words(&browser, &["media", "nas1, nas2"]).await?;
    browser.find(Locator::LinkText("media")).await?.click().await?;
    wait_for_words(&browser, &["tank/media", "nas2", "in sync"]).await?;

    // The page changes by itself: the target diverges, and the cell says so.
    let nas2 = fleet.host("nas2");
    nas2.set_readonly("tank/copy", false)?;
    nas2.write("tank/copy", 5000)?;
    nas2.snapshot("tank/copy@mine")?;
    wait_for_words(&browser, &["diverged"]).await?;
    browser.find(Locator::XPath("//a[contains(., 'diverged')]")).await?.click().await?;
    wait_for_words(&browser, &["tank/copy on nas2", "R_DIVERGED", "What happens next"]).await?;

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
