//! Verifications for people, scripts and spreadsheets.

use jiff::Timestamp;
use serde::Serialize;
use zfs_sync_api::v1::verification::{Proof, Verification};
use zfs_sync_core::{
    health::PoolHealth,
    verify::{Outcome, Verdict},
};

use crate::{
    commands::{Context, Exit},
    failure::Failure,
    printer::{
        Cell, Row,
        words::{ago, count, maybe_ago, size},
    },
};

#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct VerificationLine(pub(super) Verification);

impl Row for VerificationLine {
    const COLUMNS: &'static [&'static str] =
        &["id", "snapshot", "on", "other", "on", "kind", "state", "asked", "by"];
    const FIELDS: &'static [&'static str] = &[
        "id",
        "left_system",
        "left_snapshot",
        "right_system",
        "right_snapshot",
        "deep",
        "state",
        "differences",
        "bytes",
        "code",
        "created_at",
        "finished_at",
    ];

    fn cells(&self, now: Timestamp) -> Vec<Cell> {
        let Verification { id, left, right, deep, state, created_at, requested_by, .. } = &self.0;
        vec![
            Cell::text(id.to_string()),
            Cell::text(left.snapshot.to_string()),
            Cell::text(&left.system),
            Cell::text(right.snapshot.to_string()),
            Cell::text(&right.system),
            Cell::text(kind(*deep)),
            match state.as_str() {
                "matched" => Cell::verdict("matched", true),
                "differs" => Cell::verdict("differs", false),
                "failed" => Cell::verdict("failed", false),
                other => Cell::text(other),
            },
            Cell::text(ago(now, *created_at)),
            Cell::text(requested_by),
        ]
    }

    fn fields(&self) -> Vec<String> {
        let Verification { id, left, right, deep, state, created_at, finished_at, result, .. } = &self.0;
        let of = |text: fn(&Verdict) -> String| result.as_ref().map(text).unwrap_or_default();
        vec![
            id.to_string(),
            left.system.clone(),
            left.snapshot.to_string(),
            right.system.clone(),
            right.snapshot.to_string(),
            deep.to_string(),
            state.clone(),
            of(|result| (result.differences.len() as u64 + result.more).to_string()),
            of(|result| result.bytes.to_string()),
            of(|result| result.code.clone().unwrap_or_default()),
            created_at.to_string(),
            finished_at.map(|time| time.to_string()).unwrap_or_default(),
        ]
    }
}

const fn kind(deep: bool) -> &'static str {
    if deep { "content" } else { "guid" }
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct ProofLine(pub(super) Proof);

impl Row for ProofLine {
    const COLUMNS: &'static [&'static str] =
        &["replica", "on", "snapshot", "result", "compared", "by", "pool", "scrubbed"];
    const FIELDS: &'static [&'static str] = &[
        "target_system",
        "target",
        "snapshot",
        "matched",
        "at",
        "deep",
        "pool_state",
        "scrubbed_at",
        "scrub_errors",
        "verification_id",
    ];

    fn cells(&self, now: Timestamp) -> Vec<Cell> {
        let Proof { target_system, target, snapshot, matched, at, deep, pool, verification_id: _ } = &self.0;
        let health = match pool {
            Some(pool) => Cell::verdict(pool.state.to_lowercase(), pool.is_well()),
            None => Cell::text("unknown"),
        };
        let scrubbed = pool.as_ref().map(|pool| scrubbed(pool, now));
        vec![
            Cell::text(target.to_string()),
            Cell::text(target_system),
            Cell::text(snapshot.label().to_string()),
            if *matched { Cell::verdict("the same", true) } else { Cell::verdict("differs", false) },
            Cell::text(ago(now, *at)),
            Cell::text(kind(*deep)),
            health,
            Cell::text(scrubbed.unwrap_or_default()),
        ]
    }

    fn fields(&self) -> Vec<String> {
        let Proof { target_system, target, snapshot, matched, at, deep, pool, verification_id } = &self.0;
        let of = |text: fn(&PoolHealth) -> String| pool.as_ref().map(text).unwrap_or_default();
        vec![
            target_system.clone(),
            target.to_string(),
            snapshot.to_string(),
            matched.to_string(),
            at.to_string(),
            deep.to_string(),
            of(|pool| pool.state.clone()),
            of(|pool| pool.scrubbed_at.map(|time| time.to_string()).unwrap_or_default()),
            of(|pool| pool.scrub_errors.map(|errors| errors.to_string()).unwrap_or_default()),
            verification_id.to_string(),
        ]
    }
}

/// When a pool was last scrubbed, and with what result.
fn scrubbed(pool: &PoolHealth, now: Timestamp) -> String {
    match (pool.scrubbed_at, &pool.scan) {
        (Some(when), _) => match pool.scrub_errors.filter(|errors| *errors > 0) {
            Some(errors) => format!("{}, {}", ago(now, when), count(errors, "error")),
            None => ago(now, when),
        },
        // One that runs, a resilver, or one of a host whose time zone is not known: in the words of ZFS.
        (None, Some(scan)) => scan.clone(),
        (None, None) => "never".to_owned(),
    }
}

/// `tank ONLINE, scrubbed 2 d ago`.
fn pool_words(pool: &PoolHealth, now: Timestamp) -> String {
    let mut text = format!("{} {}, scrubbed {}", pool.name, pool.state, scrubbed(pool, now));
    for more in [&pool.errors, &pool.problem].into_iter().flatten() {
        text.push_str("; ");
        text.push_str(more);
    }
    text
}

/// One verification.
pub(super) fn show(context: &Context, command: &str, verification: Verification) -> Result<(), Failure> {
    let now = context.now();
    let Verification { id, left, right, state, deep, result, .. } = &verification;
    let mut pairs = vec![
        ("verification", id.to_string()),
        ("first", format!("{} on {}", left.snapshot, left.system)),
        ("second", format!("{} on {}", right.snapshot, right.system)),
        ("compares", compares(*deep).to_owned()),
        ("state", state.clone()),
        ("asked", format!("{} by {}", ago(now, verification.created_at), verification.requested_by)),
        ("started", maybe_ago(now, verification.started_at)),
        ("ended", maybe_ago(now, verification.finished_at)),
    ];
    if verification.finished_at.is_none() {
        for (name, side) in [("first read", left), ("second read", right)] {
            let working = if side.working { "" } else { " (its agent has not begun)" };
            pairs.push((name, format!("{}, {}{working}", count(side.entries, "item"), size(side.bytes))));
        }
    }
    if verification.attempts > 1 {
        pairs.push(("begun", count(u64::from(verification.attempts), "time")));
    }
    if let Some(result) = result {
        pairs.extend(lines(result, (&left.system, &right.system), now));
    }
    context.printer.one(command, &VerificationLine(verification), &pairs, now)
}

const fn compares(deep: bool) -> &'static str {
    if deep { "GUID, properties and all content" } else { "GUID and properties" }
}

/// What was found.
fn lines(result: &Verdict, (left, right): (&str, &str), now: Timestamp) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    if let Some(guid) = result.guid {
        lines.push(("guid", format!("{guid} on both")));
    }
    for found in &result.properties {
        let name = if found.expected { "may differ" } else { "differs" };
        let text = format!(
            "{} is {} on {left} and {} on {right}: {}",
            found.name, found.left, found.right, found.why
        );
        lines.push((name, text));
    }
    if result.deep && result.entries > 0 {
        lines.push(("compared", format!("{}, {}", count(result.entries, "item"), size(result.bytes))));
    }
    lines.extend(result.differences.iter().map(|difference| ("differs", difference.words(left, right))));
    if result.more > 0 {
        lines.push(("more", count(result.more, "difference")));
    }
    if result.not_looked_into > 0 {
        let text = format!("{} that differ as well", count(result.not_looked_into, "part"));
        lines.push(("not shown", text));
    }
    for (pool, side) in [(&result.left_pool, left), (&result.right_pool, right)] {
        let words = pool.as_ref().map_or_else(|| "unknown".to_owned(), |pool| pool_words(pool, now));
        lines.push(("pool", format!("{side}: {words}")));
    }
    if let Some(code) = &result.code {
        lines.push(("reason", format!("{code}: {}", result.detail.as_deref().unwrap_or_default())));
        lines.push(("more", format!("zfs-sync explain {code}")));
    }
    lines
}

/// A comparison without a witness.
#[derive(Debug, Serialize)]
pub(super) struct PairLine {
    pub(super) left: String,
    pub(super) right: String,
    #[serde(flatten)]
    pub(super) result: Verdict,
}

impl Row for PairLine {
    const COLUMNS: &'static [&'static str] = &["first", "second", "result"];
    const FIELDS: &'static [&'static str] =
        &["left", "right", "outcome", "deep", "differences", "bytes", "code"];

    fn cells(&self, _now: Timestamp) -> Vec<Cell> {
        vec![Cell::text(&self.left), Cell::text(&self.right), Cell::text(self.result.outcome.as_str())]
    }

    fn fields(&self) -> Vec<String> {
        let Verdict { outcome, deep, differences, more, bytes, code, .. } = &self.result;
        vec![
            self.left.clone(),
            self.right.clone(),
            outcome.as_str().to_owned(),
            deep.to_string(),
            (differences.len() as u64 + more).to_string(),
            bytes.to_string(),
            code.clone().unwrap_or_default(),
        ]
    }
}

/// The comparison of two hosts.
pub(super) fn show_pair(context: &Context, line: &PairLine, hosts: (&str, &str)) -> Result<(), Failure> {
    let mut pairs = vec![
        ("first", line.left.clone()),
        ("second", line.right.clone()),
        ("compares", compares(line.result.deep).to_owned()),
        ("result", line.result.outcome.as_str().to_owned()),
    ];
    pairs.extend(lines(&line.result, hosts, context.now()));
    context.printer.one("verify", line, &pairs, context.now())
}

/// How a command that shows it ends.
pub(super) fn exit_of(verification: &Verification) -> Exit {
    match verification.state.as_str() {
        "differs" | "failed" => Exit::Failed,
        "unproven" => Exit::Finding,
        _ => Exit::Done,
    }
}

/// How a command that waited for it ends: what was asked for was not given when it was cancelled.
pub(super) fn wait_exit(verification: &Verification) -> Exit {
    let cancelled = verification.state == "cancelled";
    if cancelled { Exit::Failed } else { exit_of(verification) }
}

/// How a comparison without a witness ends.
pub(super) const fn exit_of_outcome(outcome: Outcome) -> Exit {
    match outcome {
        Outcome::Matched => Exit::Done,
        Outcome::Differs | Outcome::Failed => Exit::Failed,
        Outcome::Unproven => Exit::Finding,
    }
}
