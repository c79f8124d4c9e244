//! `conflict withdraw`: what was decided is decided no longer.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serialize;
use zfs_sync_api::{client::Client, v1::conflict::WithdrawAnswer};
use zfs_sync_zfs::command::quote;

use super::{Context, lookup, replica};
use crate::{
    failure::Failure,
    printer::{
        Cell, Row,
        words::{count, printable},
    },
};

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Withdrawn(WithdrawAnswer);

impl Row for Withdrawn {
    const COLUMNS: &'static [&'static str] = &["plan", "targets", "dropped", "running"];
    const FIELDS: &'static [&'static str] = &["plan_id", "targets", "dropped", "running"];

    fn cells(&self, _now: Timestamp) -> Vec<Cell> {
        self.fields().into_iter().map(Cell::from).collect()
    }

    fn fields(&self) -> Vec<String> {
        let WithdrawAnswer { plan_id, targets, dropped, running, .. } = &self.0;
        vec![plan_id.to_string(), targets.join(" "), dropped.len().to_string(), running.len().to_string()]
    }
}

pub(super) async fn run(context: &Context, client: &Client, text: &str) -> Result<(), Failure> {
    let conflict = lookup::conflict(client, text).await?;
    let answer = client.withdraw_decision(conflict.id).await?;
    if !context.printer.is_table() {
        return context.printer.one("conflict.withdraw", &Withdrawn(answer), &[], context.now());
    }
    let WithdrawAnswer { plan_id, targets, dropped, running, .. } = &answer;
    let mut text = String::new();
    let mut line = |line: String| {
        let _ = writeln!(text, "{}", printable(&line));
    };
    line(format!(
        "what plan {plan_id} decided about {} on {} is withdrawn; {} dropped",
        answer.decision.dataset,
        targets.join(", "),
        count(dropped.len() as u64, "queued transfer")
    ));
    for id in running {
        line(format!("  {id} runs already and is not cut off; to stop it: zfs-sync transfer cancel {id}"));
    }
    line(format!("how it stands:  zfs-sync why {}", quote(&replica(&conflict))));
    context.printer.text(&text)
}
