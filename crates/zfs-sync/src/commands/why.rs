//! `why`: what is known of a replica and how old that is, what follows from it, what happens next.

use std::fmt::Write as _;

use jiff::Timestamp;
use zfs_sync_api::v1::{replica::Replica, verification::Proof};
use zfs_sync_core::plan::RuleApplied;
use zfs_sync_zfs::command::quote;

use super::{Context, Exit, explain, replicas::ReplicaLine};
use crate::{
    cli::WhyArgs,
    failure::Failure,
    printer::{
        Beside,
        words::{ago, count, maybe_ago, printable, word},
    },
};

pub(super) async fn run(context: &Context, arguments: &WhyArgs) -> Result<Exit, Failure> {
    let client = context.client()?;
    let replicas = client.explain_replica(&arguments.replica).await?;
    let now = context.now();
    if context.printer.is_table() {
        let proofs = client.list_proofs().await?;
        let traces: Vec<_> = replicas.iter().map(|replica| trace(replica, &proofs, now)).collect();
        context.printer.text(&traces.join("\n"))?;
    } else {
        let rows: Vec<_> = replicas.into_iter().map(ReplicaLine).collect();
        context.printer.rows("why", &rows, &Beside::default(), now)?;
    }
    Ok(Exit::Done)
}

fn trace(replica: &Replica, proofs: &[Proof], now: Timestamp) -> String {
    let state = replica.state;
    let mut text = String::new();
    let mut line = |line: String| {
        let _ = writeln!(text, "{}", printable(line.trim_end()));
    };
    line(format!(
        "{} on {}: {} {}, since {}",
        replica.target,
        replica.target_system,
        state.glyph(),
        state.words(),
        ago(now, replica.since)
    ));
    line(format!("group {}, from {} on {}", replica.group, replica.source, replica.source_system));
    let recovery = match replica.recovery_point {
        Some(point) => {
            format!("recovery point {} ({} UTC)", ago(now, point), point.strftime("%Y-%m-%d %H:%M:%S"))
        }
        None => "no recovery point".to_owned(),
    };
    let lag = match replica.snapshot_lag {
        0 => String::new(),
        lag => format!(", {} behind", count(u64::from(lag), "snapshot")),
    };
    line(format!("{recovery}{lag}"));
    let is_it = |proof: &&Proof| {
        proof.target_system == replica.target_system && proof.target.as_str() == replica.target
    };
    // By content first; there are two at most.
    for proof in proofs.iter().filter(is_it) {
        line(proven(proof, now));
    }
    line("\u{2500}\u{2500} facts".to_owned());
    for fact in &replica.report.facts {
        line(format!("  {:<10} {}", maybe_ago(now, fact.as_of), fact.text));
    }
    if !replica.report.rules.is_empty() {
        line("\u{2500}\u{2500} rules".to_owned());
    }
    for RuleApplied { rule, holds } in &replica.report.rules {
        line(format!("  {} {rule}", if *holds { "✓" } else { "✗" }));
    }
    line("\u{2500}\u{2500} decision".to_owned());
    match (&replica.reason, &replica.report.step) {
        (Some(reason), _) => line(format!("  {reason}: {}", explain::title(reason).unwrap_or_default())),
        (None, Some(_)) => line("  a step is due".to_owned()),
        (None, None) => line("  nothing is due".to_owned()),
    }
    for warning in &replica.report.warnings {
        line(format!("  {warning}: {}", explain::title(warning.code()).unwrap_or_default()));
    }
    line("\u{2500}\u{2500} next".to_owned());
    line(format!("  {}", replica.report.next));
    if let Some(at) = replica.report.next_at {
        line(format!("  {}: {} UTC", ago(now, at), at.strftime("%Y-%m-%d %H:%M:%S")));
    }
    if let Some(conflict) = &replica.report.conflict {
        let name = format!("{}@{}", replica.target, replica.target_system);
        let name = quote(&name);
        line(format!(
            "\u{2500}\u{2500} conflict: {}, {}",
            conflict.kind.as_str().replace('_', " "),
            conflict.severity.as_str()
        ));
        line(format!("  zfs-sync conflict diff {name}"));
        line(match conflict.suggested {
            Some(suggested) => {
                format!("  zfs-sync conflict resolve {name} --strategy {} --dry-run", word(&suggested))
            }
            None => format!("  zfs-sync conflict show {name}"),
        });
    }
    text
}

/// `proven 3 h ago: content of the snapshot monday as on its source; its pool is ONLINE, scrubbed 2 d ago`.
fn proven(proof: &Proof, now: Timestamp) -> String {
    let what = if proof.deep { "content" } else { "GUID and properties" };
    let (when, label) = (ago(now, proof.at), proof.snapshot.label());
    let mut text = if proof.matched {
        format!("proven {when}: {what} of the snapshot {label} as on its source")
    } else {
        format!(
            "NOT THE SAME as its source, {when}: {what} of the snapshot {label} (zfs-sync verification show {})",
            proof.verification_id
        )
    };
    if let Some(pool) = &proof.pool {
        let _ = write!(text, "; its pool is {}", pool.state);
        if let Some(when) = pool.scrubbed_at {
            let _ = write!(text, ", scrubbed {}", ago(now, when));
        }
        if let Some(errors) = &pool.errors {
            let _ = write!(text, ", {errors}");
        }
    }
    text
}
