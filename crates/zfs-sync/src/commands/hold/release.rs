//! `hold release`: what is stale goes; what is not, only by name, by force, and after a question.

use std::io::{self, IsTerminal as _};

use zfs_sync_agent::holdings::{Holding, Judgement, Released, Verdict, release};
use zfs_sync_api::codes::ErrorCode;
use zfs_sync_core::name::DatasetName;

use super::{
    super::{Context, Exit, reach},
    HoldLine, look,
};
use crate::{
    cli::HoldRelease,
    failure::Failure,
    printer::{Beside, words::count},
};

pub(super) async fn run(context: &Context, arguments: &HoldRelease) -> Result<Exit, Failure> {
    let names = arguments.names.iter().map(|name| Named::parse(name)).collect::<Result<Vec<_>, _>>()?;
    let runner = reach::runner(&arguments.on)?;
    // All of it is looked at, whatever is named: what lies beside is part of the evidence.
    let found = look(context, &*runner, None, &arguments.on, arguments.data_dir.as_ref()).await?;
    let is_named = |holding: &Holding| names.is_empty() || names.iter().any(|name| name.covers(holding));
    let named: Vec<_> = found.judged.into_iter().filter(|(holding, _)| is_named(holding)).collect();
    let is_stale = |(_, judgement): &&(Holding, Judgement)| judgement.verdict == Verdict::Stale;
    let doubtful: Vec<_> = named.iter().filter(|each| !is_stale(each)).cloned().collect();
    let chosen: Vec<_> =
        if arguments.force { named } else { named.iter().filter(is_stale).cloned().collect() };
    if chosen.is_empty() && !names.is_empty() && !doubtful.is_empty() {
        return Err(needed(&doubtful));
    }
    if arguments.force && !arguments.dry_run && !doubtful.is_empty() {
        confirm(context, arguments, &doubtful).await?;
    }
    let (holdings, judgements): (Vec<_>, Vec<_>) = chosen.into_iter().unzip();
    let results = if arguments.dry_run { Vec::new() } else { release(&*runner, &holdings).await };
    let mut lines: Vec<_> = holdings
        .iter()
        .zip(&judgements)
        .map(|(holding, judgement)| HoldLine::new(holding, judgement))
        .collect();
    let mut failures = 0_u64;
    for (line, result) in lines.iter_mut().zip(&results) {
        line.result = Some(match result {
            Released::Gone => "released".to_owned(),
            Released::Failed(error) => {
                failures += 1;
                context.printer.fail(&reach::failed(error).context("hold", line.name.clone()));
                "failed".to_owned()
            }
        });
    }
    let beside = Beside { warnings: found.doubts, when_empty: "nothing to release" };
    context.printer.rows("hold.release", &lines, &beside, context.now())?;
    if context.printer.is_table() && !lines.is_empty() {
        let done = lines.len() as u64 - failures;
        context.printer.say(if arguments.dry_run {
            format!("would release {}", count(done, "hold or bookmark"))
        } else {
            format!("released {done}, {failures} failed")
        });
    }
    Ok(if failures > 0 { Exit::Partial } else { Exit::Done })
}

/// What a person names: a snapshot, a bookmark, or a dataset with all below it.
enum Named {
    Exactly(String),
    Tree(DatasetName),
}

impl Named {
    fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = |error: zfs_sync_core::name::NameError| {
            Failure::new(ErrorCode::NameInvalid, format!("`{text}`: {error}"))
                .hint("name a snapshot (tank/a@monday), a bookmark (tank/a#…) or a dataset (tank/a)")
                .unchanged()
        };
        match text.split_once(['@', '#']) {
            Some((dataset, _)) => dataset.parse::<DatasetName>().map(|_| Self::Exactly(text.to_owned())),
            None => text.parse().map(Self::Tree),
        }
        .map_err(wrong)
    }

    fn covers(&self, holding: &Holding) -> bool {
        match self {
            Self::Exactly(name) => holding.place.name() == *name,
            Self::Tree(dataset) => holding.place.dataset().is_within(dataset),
        }
    }
}

fn needed(doubtful: &[(Holding, Judgement)]) -> Failure {
    let (holding, judgement) = &doubtful[0];
    let (name, why) = (holding.place.name(), &judgement.why);
    let verb = if judgement.verdict == Verdict::Needed { "is needed" } else { "may be needed" };
    Failure::new(ErrorCode::HoldNeeded, format!("{name} {verb}: {why}"))
        .hint("--force releases what is named all the same")
        .unchanged()
}

async fn confirm(
    context: &Context,
    arguments: &HoldRelease,
    doubtful: &[(Holding, Judgement)],
) -> Result<(), Failure> {
    if arguments.yes {
        return Ok(());
    }
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Err(needed(doubtful).hint("--yes together with --force releases it without a question"));
    }
    for (holding, judgement) in doubtful {
        context.printer.warn(&format!("{}: {}", holding.place.name(), judgement.why));
    }
    context
        .printer
        .warn(&format!("\nType `release` to release {}:", count(doubtful.len() as u64, "of these")));
    let typed = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        io::stdin().read_line(&mut line).map(|_| line)
    });
    let typed = typed.await.map_err(|error| Failure::from(io::Error::other(error)))??;
    if typed.trim() == "release" { Ok(()) } else { Err(needed(doubtful)) }
}
