//! `system`: registered hosts and the tokens that let them in.

use jiff::Timestamp;
use serde::Serialize;
use zfs_sync_api::v1::{
    key::{CreateEnrolmentToken, EnrolmentToken},
    system::{System, UpdateSystem},
};
use zfs_sync_core::flow::RateLimit;

use super::{Context, Exit, lookup};
use crate::{
    cli::{OutputFormat, Switch, SystemCommand, TokenCommand},
    failure::Failure,
    printer::{
        Beside, Cell, Row,
        words::{ago, count, maybe_ago},
    },
};

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct SystemLine(System);

impl Row for SystemLine {
    const COLUMNS: &'static [&'static str] =
        &["system", "health", "last seen", "inventory", "datasets", "snapshots", "agent", "zfs"];
    const FIELDS: &'static [&'static str] = &[
        "hostname",
        "id",
        "health",
        "last_seen",
        "inventory_as_of",
        "datasets",
        "snapshots",
        "agent_version",
        "zfs_version",
        "platform",
        "ssh_hostname",
        "ssh_user",
        "ssh_port",
    ];

    fn cells(&self, now: Timestamp) -> Vec<Cell> {
        let system = &self.0;
        let number = |number: u64| match system.inventory_as_of {
            Some(_) => Cell::number(number.to_string()),
            None => Cell::number("–"),
        };
        vec![
            Cell::text(&system.hostname),
            Cell::verdict(&system.health, system.health == "healthy"),
            Cell::text(maybe_ago(now, system.last_seen)),
            Cell::text(maybe_ago(now, system.inventory_as_of)),
            number(system.datasets),
            number(system.snapshots),
            Cell::text(system.agent_version.as_deref().unwrap_or("–")),
            Cell::text(system.zfs_version.as_deref().unwrap_or("–")),
        ]
    }

    fn fields(&self) -> Vec<String> {
        let system = &self.0;
        let time = |time: Option<Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
        let known = |number: u64| system.inventory_as_of.map(|_| number.to_string()).unwrap_or_default();
        vec![
            system.hostname.clone(),
            system.id.to_string(),
            system.health.clone(),
            time(system.last_seen),
            time(system.inventory_as_of),
            known(system.datasets),
            known(system.snapshots),
            system.agent_version.clone().unwrap_or_default(),
            system.zfs_version.clone().unwrap_or_default(),
            system.platform.clone(),
            system.ssh_hostname.clone().unwrap_or_default(),
            system.ssh_user.clone().unwrap_or_default(),
            system.ssh_port.to_string(),
        ]
    }
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct TokenLine(EnrolmentToken);

impl Row for TokenLine {
    const COLUMNS: &'static [&'static str] = &["id", "begins with", "made", "ends", "uses left"];
    const FIELDS: &'static [&'static str] = &["id", "prefix", "created_at", "expires_at", "uses_left"];

    fn cells(&self, now: Timestamp) -> Vec<Cell> {
        let token = &self.0;
        vec![
            Cell::text(token.id.to_string()),
            Cell::text(&token.prefix),
            Cell::text(ago(now, token.created_at)),
            Cell::text(ago(now, token.expires_at)),
            Cell::number(token.uses_left.to_string()),
        ]
    }

    fn fields(&self) -> Vec<String> {
        let token = &self.0;
        vec![
            token.id.to_string(),
            token.prefix.clone(),
            token.created_at.to_string(),
            token.expires_at.to_string(),
            token.uses_left.to_string(),
        ]
    }
}

pub(super) async fn run(context: &Context, command: SystemCommand) -> Result<Exit, Failure> {
    let client = context.client()?;
    let now = context.now();
    match command {
        SystemCommand::List => {
            let rows: Vec<_> = client.list_systems().await?.into_iter().map(SystemLine).collect();
            let when_empty = "no system yet; let one in with `zfs-sync system token create`";
            context.printer.rows("system.list", &rows, &Beside { when_empty, ..Beside::default() }, now)?;
        }
        SystemCommand::Show { system } => {
            let system = lookup::system(&client, &system).await?;
            let pairs = describe(&system, now);
            context.printer.one("system.show", &SystemLine(system), &pairs, now)?;
        }
        SystemCommand::Set { system, limit } => {
            let system = lookup::system(&client, &system).await?;
            let change = UpdateSystem { limit: limit.map(Switch::value), ..UpdateSystem::default() };
            let system = client.update_system(system.id, &change).await?;
            let pairs = describe(&system, now);
            context.printer.one("system.set", &SystemLine(system), &pairs, now)?;
        }
        SystemCommand::Token(command) => token(context, &client, command).await?,
    }
    Ok(Exit::Done)
}

fn describe(system: &System, now: Timestamp) -> Vec<(&'static str, String)> {
    let ssh = format!(
        "{}@{} port {}",
        system.ssh_user.as_deref().unwrap_or("root"),
        system.ssh_hostname.as_deref().unwrap_or(&system.hostname),
        system.ssh_port
    );
    let tls = match (&system.transfer_address, system.certificate_expires_at) {
        (Some(address), Some(end)) => format!("{address}, certificate until {end}"),
        (Some(address), None) => format!("{address}, no certificate yet"),
        (None, Some(end)) => format!("does not listen, certificate until {end}"),
        (None, None) => "does not listen".to_owned(),
    };
    let known = match system.inventory_as_of {
        Some(as_of) => format!(
            "{}, {}, as of {}",
            count(system.datasets, "dataset"),
            count(system.snapshots, "snapshot"),
            ago(now, as_of)
        ),
        None => "unknown: it has never reported".to_owned(),
    };
    vec![
        ("system", system.hostname.clone()),
        ("id", system.id.to_string()),
        ("health", system.health.clone()),
        ("last seen", maybe_ago(now, system.last_seen)),
        ("inventory", known),
        ("agent", system.agent_version.clone().unwrap_or_else(|| "–".to_owned())),
        ("zfs", system.zfs_version.clone().unwrap_or_else(|| "–".to_owned())),
        ("platform", system.platform.clone()),
        ("ssh", ssh),
        ("limit", limit_words(system.limit.as_ref())),
        ("tls", tls),
        ("registered", ago(now, system.created_at)),
    ]
}

/// A limit of bandwidth, or that there is none.
pub(super) fn limit_words(limit: Option<&RateLimit>) -> String {
    limit.map_or_else(|| "none".to_owned(), ToString::to_string)
}

async fn token(
    context: &Context,
    client: &zfs_sync_api::client::Client,
    command: TokenCommand,
) -> Result<(), Failure> {
    let printer = &context.printer;
    match command {
        TokenCommand::Create { ttl } => {
            let created = client
                .create_enrolment_token(&CreateEnrolmentToken { ttl_seconds: Some(ttl.as_secs()) })
                .await?;
            match printer.format() {
                OutputFormat::Json => printer.item("system.token.create", &created, &[], context.now())?,
                OutputFormat::Csv => printer.text(&format!(
                    "id,token,expires_at\n{},{},{}\n",
                    created.id, created.token, created.expires_at
                ))?,
                OutputFormat::Table => {
                    printer.text(&created.token)?;
                    printer.say(format!(
                        "Good for one host, until {} (UTC). On that host, as root, with an address of the witness that works from there:\n  zfs-sync agent enroll {} --token-file FILE\n  zfs-sync agent run",
                        created.expires_at.strftime("%Y-%m-%d %H:%M"),
                        context.global.server,
                    ));
                }
            }
        }
        TokenCommand::List => {
            let rows: Vec<_> = client.list_enrolment_tokens().await?.into_iter().map(TokenLine).collect();
            let when_empty = "no token; make one with `zfs-sync system token create`";
            printer.rows(
                "system.token.list",
                &rows,
                &Beside { when_empty, ..Beside::default() },
                context.now(),
            )?;
        }
        TokenCommand::Revoke { token } => {
            let token = lookup::token(client, &token).await?;
            client.revoke_enrolment_token(token.id).await?;
            printer.say(format!("token {}… is revoked; systems that enrolled with it stay", token.prefix));
        }
    }
    Ok(())
}
