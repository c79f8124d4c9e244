//! `hold`: what zfs-sync holds on a host, and what of it nobody needs any more.

mod evidence;
mod release;

use jiff::Timestamp;
use serde::Serialize;
use zfs_sync_agent::holdings::{Holding, Judgement, Kind, Verdict, find, judge};
use zfs_sync_api::v1::group::Note;
use zfs_sync_core::name::DatasetName;
use zfs_sync_zfs::{command::Scope, features::Features, runner::Runner};

use super::{Context, Exit, reach};
use crate::{
    cli::{HoldCommand, HoldList, OnHost},
    failure::Failure,
    printer::{Beside, Cell, Row, words::maybe_ago},
};

pub(super) async fn run(context: &Context, command: HoldCommand) -> Result<Exit, Failure> {
    match command {
        HoldCommand::List(arguments) => list(context, &arguments).await,
        HoldCommand::Release(arguments) => release::run(context, &arguments).await,
    }
}

async fn list(context: &Context, arguments: &HoldList) -> Result<Exit, Failure> {
    let runner = reach::runner(&arguments.on)?;
    let scope = arguments.dataset.as_ref();
    let found = look(context, &*runner, scope, &arguments.on, arguments.data_dir.as_ref()).await?;
    let lines = found.judged.iter().map(|(holding, judgement)| HoldLine::new(holding, judgement));
    let lines: Vec<_> = lines.filter(|line| !arguments.stale || line.verdict == Verdict::Stale).collect();
    let beside = Beside { warnings: found.doubts, when_empty: "zfs-sync holds nothing there" };
    context.printer.rows("hold.list", &lines, &beside, context.now())?;
    if context.printer.is_table() && lines.iter().any(|line| line.verdict == Verdict::Stale) {
        context.printer.say("what is stale goes with: zfs-sync hold release");
    }
    Ok(Exit::Done)
}

/// Everything of ours on a host, judged.
struct Found {
    judged: Vec<(Holding, Judgement)>,
    /// Evidence that could not be had.
    doubts: Vec<Note>,
}

async fn look(
    context: &Context,
    runner: &dyn Runner,
    dataset: Option<&DatasetName>,
    on: &OnHost,
    data_dir: Option<&camino::Utf8PathBuf>,
) -> Result<Found, Failure> {
    let features = Features::probe(runner).await.map_err(|error| reach::failed(&error))?;
    let scope = dataset.map_or(Scope::Everything, |dataset| Scope::Tree(dataset.clone()));
    let holdings = find(runner, &features, &scope).await.map_err(|error| reach::failed(&error))?;
    // After the listing: see `zfs_sync_agent::holdings`.
    let (evidence, doubts) = evidence::gather(context, &holdings, on, data_dir).await;
    let judgements = judge(&holdings, &evidence);
    Ok(Found { judged: holdings.into_iter().zip(judgements).collect(), doubts })
}

#[derive(Debug, Serialize)]
struct HoldLine {
    name: String,
    tag: Option<String>,
    kind: Kind,
    guid: String,
    replica: Option<String>,
    since: Option<Timestamp>,
    verdict: Verdict,
    why: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<String>,
}

impl HoldLine {
    fn new(holding: &Holding, judgement: &Judgement) -> Self {
        Self {
            name: holding.place.name(),
            tag: holding.place.tag().map(ToString::to_string),
            kind: holding.kind,
            guid: holding.guid.to_string(),
            replica: judgement.replica.clone(),
            since: holding.since,
            verdict: judgement.verdict,
            why: judgement.why.clone(),
            result: None,
        }
    }
}

impl Row for HoldLine {
    const COLUMNS: &'static [&'static str] = &["", "name", "kind", "replica", "since", "why"];
    const FIELDS: &'static [&'static str] =
        &["verdict", "name", "kind", "tag", "guid", "replica", "since", "why", "result"];

    fn cells(&self, now: Timestamp) -> Vec<Cell> {
        let word = self.result.clone().unwrap_or_else(|| verdict(self.verdict).to_owned());
        vec![
            Cell::text(word),
            Cell::text(&self.name),
            Cell::text(kind(self.kind)),
            Cell::text(self.replica.as_deref().unwrap_or("–")),
            Cell::text(maybe_ago(now, self.since)),
            Cell::text(&self.why),
        ]
    }

    fn fields(&self) -> Vec<String> {
        vec![
            verdict(self.verdict).to_owned(),
            self.name.clone(),
            kind(self.kind).to_owned(),
            self.tag.clone().unwrap_or_default(),
            self.guid.clone(),
            self.replica.clone().unwrap_or_default(),
            self.since.map(|since| since.to_string()).unwrap_or_default(),
            self.why.clone(),
            self.result.clone().unwrap_or_default(),
        ]
    }
}

const fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Needed => "needed",
        Verdict::Stale => "stale",
        Verdict::Unsure => "unsure",
    }
}

const fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Step => "step hold",
        Kind::Base => "base hold",
        Kind::Bookmark => "bookmark",
        Kind::Other => "other",
    }
}
