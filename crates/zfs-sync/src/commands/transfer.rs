//! `transfer`: what is under way and what has ended.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use zfs_sync_api::{
    client::{Client, TransferQuery},
    v1::transfer::Transfer,
};
use zfs_sync_core::{flow::FlowReport, ids::TransferId};

use super::{Context, Exit, lookup};
use crate::{
    cli::TransferCommand,
    failure::Failure,
    printer::{
        Beside, Cell, Row,
        words::{ago, maybe_ago, rate, size, span, took},
    },
};

/// Between two looks at a transfer that is watched: agents tell their progress once a second.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct TransferLine(Transfer);

impl Row for TransferLine {
    const COLUMNS: &'static [&'static str] =
        &["id", "dataset", "from", "to", "state", "progress", "queued", "error"];
    const FIELDS: &'static [&'static str] = &[
        "id",
        "source_system",
        "source",
        "target_system",
        "target",
        "state",
        "attempts",
        "bytes",
        "total",
        "resumed_from",
        "error_code",
        "created_at",
        "started_at",
        "finished_at",
        "transport",
    ];

    fn cells(&self, now: Timestamp) -> Vec<Cell> {
        let transfer = &self.0;
        vec![
            Cell::text(transfer.id.to_string()),
            Cell::text(&transfer.target),
            Cell::text(&transfer.source_system),
            Cell::text(&transfer.target_system),
            match transfer.state.as_str() {
                "failed" => Cell::verdict("failed", false),
                "succeeded" => Cell::verdict("succeeded", true),
                other => Cell::text(other),
            },
            Cell::text(progress(transfer)),
            Cell::text(ago(now, transfer.created_at)),
            Cell::text(transfer.error_code.as_deref().unwrap_or_default()),
        ]
    }

    fn fields(&self) -> Vec<String> {
        let transfer = &self.0;
        let time = |time: Option<Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
        let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
        vec![
            transfer.id.to_string(),
            transfer.source_system.clone(),
            transfer.source.clone(),
            transfer.target_system.clone(),
            transfer.target.clone(),
            transfer.state.clone(),
            transfer.attempts.to_string(),
            transfer.bytes.to_string(),
            number(transfer.total),
            number(transfer.resumed_from),
            transfer.error_code.clone().unwrap_or_default(),
            transfer.created_at.to_string(),
            time(transfer.started_at),
            time(transfer.finished_at),
            transfer.transport.clone().unwrap_or_default(),
        ]
    }
}

/// `62 %, 1.20/1.90 GiB, 112 MiB/s, 3 m left`: what is known of it.
pub(super) fn progress(transfer: &Transfer) -> String {
    let total = transfer.total.filter(|total| *total > 0);
    if transfer.state != "leased" {
        let resumed =
            transfer.resumed_from.map(|from| format!(", resumed at {}", size(from))).unwrap_or_default();
        return if transfer.bytes == 0 {
            String::new()
        } else {
            format!("{}{resumed}", size(transfer.bytes))
        };
    }
    let mut parts = Vec::new();
    match total {
        // What an estimate says of the end is not more exact than that.
        Some(total) => {
            parts.push(format!("{} %", (transfer.bytes.saturating_mul(100) / total).min(100)));
            parts.push(format!("{} of ~{}", size(transfer.bytes), size(total)));
        }
        None => parts.push(size(transfer.bytes)),
    }
    if transfer.rate > 0 {
        parts.push(rate(transfer.rate));
    }
    let left = transfer.flow.as_ref().and_then(|flow| flow.seconds_left);
    let own = || Some(total?.saturating_sub(transfer.bytes)).and_then(|left| left.checked_div(transfer.rate));
    if let Some(left) = left.or_else(own) {
        parts.push(format!("{} left", span(left)));
    }
    if let Some(flow) = transfer.flow.as_ref().filter(|_| transfer.stalled) {
        parts.push(format!("stalled: nothing moved for {}", span(flow.idle_seconds)));
    }
    if let Some(from) = transfer.resumed_from {
        parts.push(format!("resumed at {}", size(from)));
    }
    if let Some(stage) = &transfer.stage {
        parts.push(stage.clone());
    }
    parts.join(", ")
}

pub(super) async fn run(context: &Context, command: TransferCommand) -> Result<Exit, Failure> {
    let client = context.client()?;
    let (printer, now) = (&context.printer, context.now());
    match command {
        TransferCommand::List { sync_group, system, unfinished, limit } => {
            let group = match sync_group {
                Some(group) => Some(lookup::group(&client, &group).await?.id),
                None => None,
            };
            let system = match system {
                Some(system) => Some(lookup::system(&client, &system).await?.id),
                None => None,
            };
            let transfers =
                client.list_transfers(&TransferQuery { group, system, unfinished, limit }).await?;
            let shown = transfers.len();
            let rows: Vec<_> = transfers.into_iter().map(TransferLine).collect();
            printer.rows(
                "transfer.list",
                &rows,
                &Beside { when_empty: "no transfers", ..Beside::default() },
                now,
            )?;
            if shown == usize::try_from(limit).unwrap_or(usize::MAX) {
                printer.say(format!("only the newest {limit} are shown; --limit shows more"));
            }
        }
        TransferCommand::Show { transfer } => {
            show(context, "transfer.show", lookup::transfer(&client, &transfer).await?)?;
        }
        TransferCommand::Watch { transfer } => {
            let id = lookup::transfer(&client, &transfer).await?.id;
            return watch(context, &client, id).await;
        }
        TransferCommand::Cancel { transfer } => {
            let transfer = lookup::transfer(&client, &transfer).await?;
            let transfer = client.cancel_transfer(transfer.id).await?;
            show(context, "transfer.cancel", transfer)?;
            printer.say("What has arrived is kept on the target and continued by the next transfer");
        }
        TransferCommand::Retry { transfer } => {
            let transfer = lookup::transfer(&client, &transfer).await?;
            show(context, "transfer.retry", client.retry_transfer(transfer.id).await?)?;
        }
    }
    Ok(Exit::Done)
}

/// Says how far it is whenever that has changed, until it has ended.
async fn watch(context: &Context, client: &Client, id: TransferId) -> Result<Exit, Failure> {
    let mut said = String::new();
    loop {
        let transfer = client.find_transfer(id).await?;
        let slow = transfer.flow.as_ref().filter(|_| transfer.state == "leased");
        let words = [Some(progress(&transfer)), slow.and_then(FlowReport::bottleneck)];
        let words: Vec<String> = words.into_iter().flatten().filter(|words| !words.is_empty()).collect();
        let line = format!("{}  {}", transfer.state, words.join("; "));
        if line != said {
            context.printer.say(&line);
            said = line;
        }
        if transfer.finished_at.is_some() {
            let succeeded = transfer.state == "succeeded";
            show(context, "transfer.watch", transfer)?;
            return Ok(if succeeded { Exit::Done } else { Exit::Failed });
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// How it flows, in words: only what was measured.
fn flow_pairs(transfer: &Transfer) -> Vec<(&'static str, String)> {
    let Some(flow) = &transfer.flow else { return Vec::new() };
    let mut pairs = Vec::new();
    if transfer.state == "leased" {
        pairs.extend(flow.bottleneck().map(|words| ("slow part", words)));
        pairs.extend(flow.limit.map(|limit| ("limit now", rate(limit))));
    }
    if let Some(compression) = &flow.compression {
        let travelled = flow.wire_bytes.map(|bytes| format!("; {} travelled", size(bytes)));
        pairs.push(("compression", format!("{compression}{}", travelled.unwrap_or_default())));
    }
    pairs
}

/// `tls`, or `ssh (E_TLS_UNREACHABLE: …)`.
fn over(transfer: &Transfer) -> String {
    match (&transfer.transport, &transfer.transport_note) {
        (Some(transport), Some(note)) => format!("{transport} ({note})"),
        (Some(transport), None) => transport.clone(),
        (None, _) => String::new(),
    }
}

fn show(context: &Context, command: &str, transfer: Transfer) -> Result<(), Failure> {
    let now = context.now();
    let mut pairs = vec![
        ("transfer", transfer.id.to_string()),
        ("what", transfer.summary.clone()),
        ("from", format!("{} on {}", transfer.source, transfer.source_system)),
        ("to", format!("{} on {}", transfer.target, transfer.target_system)),
        ("done by", transfer.executor.clone()),
        ("state", transfer.state.clone()),
        ("progress", progress(&transfer)),
        ("over", over(&transfer)),
        ("attempts", transfer.attempts.to_string()),
        ("queued", ago(now, transfer.created_at)),
        ("started", maybe_ago(now, transfer.started_at)),
        ("ended", maybe_ago(now, transfer.finished_at)),
    ];
    if let (Some(started), Some(finished)) = (transfer.started_at, transfer.finished_at) {
        let took_millis = finished.duration_since(started).as_millis();
        let took_millis = u64::try_from(took_millis).unwrap_or_default();
        pairs.push(("took", took(Duration::from_millis(took_millis))));
    }
    pairs.extend(flow_pairs(&transfer));
    if let Some(next) = transfer.next_attempt_at.filter(|_| transfer.finished_at.is_none()) {
        pairs.push(("next try", ago(now, next)));
    }
    if transfer.cancel_requested {
        pairs.push(("cancel", "asked for".to_owned()));
    }
    if let Some(code) = &transfer.error_code {
        pairs.push(("error", format!("{code}: {}", transfer.error_detail.as_deref().unwrap_or_default())));
        pairs.push(("more", format!("zfs-sync explain {code}")));
    }
    context.printer.one(command, &TransferLine(transfer), &pairs, now)
}
