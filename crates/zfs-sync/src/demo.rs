//! `demo`: a whole fleet in one process.
//!
//! Witness, agents, enrolment, HTTP, database and transfers are the real ones; only `zfs` itself is simulated
//! ([`zfs_sync_zfs::memory`]). Nothing is shown that did not happen.

mod fleet;
mod life;
mod proof;
mod story;

use std::net::SocketAddr;

use secrecy::ExposeSecret as _;
use zfs_sync_api::v1::key::{CreateKey, Role};

use self::fleet::Fleet;
use crate::{
    cli::{DemoArgs, OutputFormat},
    commands::{Context, Exit, listen, title_of},
    failure::Failure,
    logging,
    settings::LogFormat,
    signals::Signals,
};

/// Where the demo's witness listens when nothing else is said.
const USUAL_ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8000);

pub(crate) async fn run(context: &Context, arguments: &DemoArgs) -> Result<Exit, Failure> {
    let level = match context.global.verbose {
        // What fails here fails on purpose.
        0 => "off",
        1 => "info",
        _ => "debug",
    };
    logging::start(level, LogFormat::Human, context.printer.colors_talk())?;
    let listener = match arguments.listen {
        Some(address) => listen(address).await?,
        // A check needs no known address, and must not fail because a witness runs here.
        None if arguments.check => listen(SocketAddr::from(([127, 0, 0, 1], 0))).await?,
        None => {
            if let Ok(listener) = listen(USUAL_ADDRESS).await {
                listener
            } else {
                context.printer.say(format!("{USUAL_ADDRESS} is taken; a free port is used instead"));
                listen(SocketAddr::from(([127, 0, 0, 1], 0))).await?
            }
        }
    };
    let mut signals = Signals::listen()?;
    let mut fleet = Fleet::start(context, listener).await?;
    let ended = tokio::select! {
        result = act(context, arguments, &mut fleet) => result,
        () = signals.next() => {
            context.printer.say("stopping");
            Ok(if arguments.check { Exit::Interrupted } else { Exit::Done })
        }
    };
    let stopped = tokio::select! {
        stopped = fleet.stop() => stopped,
        () = signals.next() => return Ok(Exit::Interrupted),
    };
    let exit = ended?;
    stopped?;
    Ok(exit)
}

async fn act(context: &Context, arguments: &DemoArgs, fleet: &mut Fleet) -> Result<Exit, Failure> {
    if arguments.check { story::play(context, fleet).await } else { watch(context, fleet).await }
}

/// Lets the fleet live until somebody ends it.
async fn watch(context: &Context, fleet: &mut Fleet) -> Result<Exit, Failure> {
    fleet.seed()?;
    fleet.create_group().await?;
    let key = fleet
        .client
        .create_key(&CreateKey { name: "demo".into(), role: Role::Operator, expires_in_seconds: None })
        .await?;
    let key = secrecy::SecretString::from(key.api_key);
    let url = &fleet.url;
    let diverging = format!("{}@nas2", life::DIVERGING);
    if context.printer.format() == OutputFormat::Json {
        let item = serde_json::json!({ "url": url, "api_key": key.expose_secret(), "group": fleet::GROUP });
        context.printer.item("demo", &item, &[], context.now())?;
    } else {
        context.printer.text(&format!(
            "\
Three systems replicate: nas1 makes snapshots, nas2 and nas3 receive them. ZFS is simulated, everything else is real.

  dashboard   {url}
  API         {url}docs
  key         {key}  (operator; for the dashboard and the commands below)

In another terminal:
  export ZFS_SYNC_URL={url}
  export ZFS_SYNC_API_KEY={key}
  zfs-sync status
  zfs-sync sync check --sync-group {group}
  zfs-sync transfer list --unfinished
  zfs-sync why {diverging}
  zfs-sync explain R_DIVERGED

After half a minute somebody writes to {dataset} on nas2, and nas3 goes away for a while. To resolve the first:
  zfs-sync sync execute --sync-group {group} --keep-both {diverging} --wait

Ctrl-C ends it; nothing stays behind.
",
            key = key.expose_secret(),
            group = fleet::GROUP,
            dataset = life::DIVERGING,
        ))?;
    }
    life::live(context, fleet).await?;
    Ok(Exit::Done)
}

/// A reason code with its title.
fn reason_text(code: &str) -> String {
    format!("{code} ({})", title_of(code).unwrap_or_default())
}
