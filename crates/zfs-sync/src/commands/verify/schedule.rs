//! `verification schedule`: what groups prove by themselves.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde::Serialize;
use zfs_sync_api::{client::Client, codes::ErrorCode, v1::verification::VerificationSchedule};
use zfs_sync_core::ids::GroupId;

use crate::{
    commands::{Context, Exit, lookup},
    failure::Failure,
    printer::{
        Beside, Cell, Row,
        words::{rate, size, span},
    },
};

/// What was asked for.
pub(super) struct Wanted {
    pub(super) every: Option<Duration>,
    pub(super) budget: Option<u64>,
    pub(super) rate: Option<u64>,
    pub(super) off: bool,
}

#[derive(Debug, Serialize)]
struct ScheduleLine {
    group: String,
    #[serde(flatten)]
    schedule: VerificationSchedule,
}

impl Row for ScheduleLine {
    const COLUMNS: &'static [&'static str] = &["group", "every", "budget a day", "at most"];
    const FIELDS: &'static [&'static str] = &["group", "every_ms", "budget_per_day", "rate"];

    fn cells(&self, _now: Timestamp) -> Vec<Cell> {
        let VerificationSchedule { every_ms, budget_per_day, rate: most, .. } = &self.schedule;
        vec![
            Cell::text(&self.group),
            Cell::text(span(every_ms / 1000)),
            Cell::text(size(*budget_per_day)),
            Cell::text(most.map(rate).unwrap_or_default()),
        ]
    }

    fn fields(&self) -> Vec<String> {
        let VerificationSchedule { every_ms, budget_per_day, rate, .. } = &self.schedule;
        let rate = rate.map(|rate| rate.to_string()).unwrap_or_default();
        vec![self.group.clone(), every_ms.to_string(), budget_per_day.to_string(), rate]
    }
}

pub(super) async fn run(
    context: &Context,
    client: &Client,
    group: Option<&str>,
    wanted: &Wanted,
) -> Result<Exit, Failure> {
    let (printer, now) = (&context.printer, context.now());
    let Some(group) = group else {
        let groups = client.list_groups().await?;
        let names: BTreeMap<GroupId, String> =
            groups.into_iter().map(|group| (group.id, group.name)).collect();
        let schedules = client.list_verification_schedules().await?;
        let line = |schedule: VerificationSchedule| {
            let group = schedule.group_id.and_then(|id| names.get(&id).cloned()).unwrap_or_default();
            ScheduleLine { group, schedule }
        };
        let rows: Vec<_> = schedules.into_iter().map(line).collect();
        let beside = Beside { when_empty: "no group proves anything by itself", ..Beside::default() };
        printer.rows("verification.schedule", &rows, &beside, now)?;
        return Ok(Exit::Done);
    };
    let group = lookup::group(client, group).await?;
    if wanted.off {
        client.delete_verification_schedule(group.id).await?;
        printer.say(format!("group {} proves nothing by itself any more", group.name));
        return Ok(Exit::Done);
    }
    let (Some(every), Some(budget)) = (wanted.every, wanted.budget) else {
        let detail = "a schedule says how old a proof may become, and how much may be read in a day";
        return Err(Failure::new(ErrorCode::FieldRequired, detail)
            .hint("write --every 7d --budget 50GiB, or --off")
            .unchanged());
    };
    let body = VerificationSchedule {
        group_id: None,
        every_ms: u64::try_from(every.as_millis()).unwrap_or(u64::MAX),
        budget_per_day: budget,
        rate: wanted.rate.map(|mebibytes| mebibytes << 20),
    };
    let schedule = client.set_verification_schedule(group.id, &body).await?;
    printer.rows(
        "verification.schedule",
        &[ScheduleLine { group: group.name, schedule }],
        &Beside::default(),
        now,
    )?;
    Ok(Exit::Done)
}
