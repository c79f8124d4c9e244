//! Send and receive, up to one snapshot.

use std::time::Duration;

use zfs_sync_api::{codes::ErrorCode, v1::agent::TransferOutcome};
use zfs_sync_core::{
    guid::Guid,
    inventory::{Dataset, PartialReceive},
    name::DatasetName,
    plan::{Base, Point, Send},
    size::ByteCount,
};
use zfs_sync_zfs::{
    command::{Command, OwnTag, ReceiveCommand, SendCommand},
    error::Kind,
    parse,
    pipeline::{PipelineError, StageName, Transfer, transfer},
};

use super::{
    Execution, Run, Settled, Side, Stage,
    as_clone::Origins,
    failure::{Failure, in_words},
    route::{Route, choose},
    settle::{Protecting, bookmark, hold, tidy_up},
    view::View,
};

/// How long nothing may move. Longer than any pause of a healthy pair: a sender that walks over unchanged data, or a
/// receiver that frees much, is silent for minutes. A dead connection is noticed by ssh itself, far earlier.
const STALL_TIMEOUT: Duration = Duration::from_mins(10);

/// Everything is in place for a stream.
struct Stream {
    command: SendCommand,
    receive: ReceiveCommand,
    /// The stream's end: what must be on the target afterwards.
    goal: Point,
    resumed_from: Option<u64>,
}

enum Prepared {
    AlreadyThere(Box<View>),
    Ready(Stream),
}

pub(super) async fn execute(run: &Run<'_>, send: &Send) -> Execution {
    run.watcher.stage(Stage::Preparing);
    match prepare(run, send).await {
        // An attempt whose end nobody heard of; what it could not do afterwards is done now.
        Ok(Prepared::AlreadyThere(view)) => {
            run.watcher.stage(Stage::Finishing);
            let settled = tidy_up(run, &view).await;
            Execution { outcome: TransferOutcome::Succeeded, bytes: 0, resumed_from: None, settled }
        }
        Ok(Prepared::Ready(stream)) => {
            let before = run.watcher.counter().bytes();
            let (outcome, settled) = move_data(run, send, &stream).await;
            let bytes = run.watcher.counter().bytes().saturating_sub(before);
            Execution { outcome, bytes, resumed_from: stream.resumed_from, settled }
        }
        Err(failure) => {
            let settled = if run.has_noted() { look_and_tidy_up(run).await } else { Settled::Untouched };
            Execution { outcome: failure.into_outcome(), bytes: 0, resumed_from: None, settled }
        }
    }
}

async fn prepare(run: &Run<'_>, send: &Send) -> Result<Prepared, Failure> {
    let view = View::read(run.step, run.sides).await?;
    let origins = Origins::read(send, run.sides).await?;
    let route = choose(run.step, send, &view, &origins)?;
    let Some(source) = &view.source else {
        return Err(Failure::stale(format!("{} does not exist any more", run.step.source)));
    };
    run.check_cancelled()?;
    let stream = match route {
        Route::AlreadyThere => return Ok(Prepared::AlreadyThere(Box::new(view))),
        Route::Resume { token, base, to, bytes } => {
            protect(run, source, base.as_ref(), &to).await?;
            let receive = ReceiveCommand { dataset: run.step.target.clone(), first: None, origin: None };
            Stream { command: SendCommand::Resume { token }, receive, goal: to, resumed_from: Some(bytes) }
        }
        Route::Fresh { base, to, discard, origin } => {
            protect(run, source, base.as_ref(), &to).await?;
            if let Some(partial) = discard {
                discard_partial(run, &partial).await?;
            }
            let is_first = base.is_none() || origin.is_some();
            if is_first {
                create_parents(run, &send.create_parents).await?;
            }
            let first = is_first.then_some(run.step.kind);
            let command = match (&base, &origin) {
                (Some(base), Some(_)) => single_command(source, base, &to, send.raw)?,
                (base, _) => send_command(source, base.as_ref(), &to, send.raw)?,
            };
            let receive = ReceiveCommand { dataset: run.step.target.clone(), first, origin };
            Stream { command, receive, goal: to, resumed_from: None }
        }
    };
    let total = estimate(run, &stream.command).await;
    run.watcher.expect(total, stream.resumed_from);
    Ok(Prepared::Ready(stream))
}

/// Both ends of the stream are held, and the end has its bookmark: were this process to die after the last byte, the next
/// step would still have its base.
async fn protect(run: &Run<'_>, source: &Dataset, base: Option<&Base>, to: &Point) -> Result<(), Failure> {
    let tag = OwnTag::step(&run.protection);
    let ends = base.map(Base::point).into_iter().chain([to]);
    for snapshot in ends.filter_map(|point| source.snapshot(point.guid)) {
        hold(run, Side::Source, source, snapshot, &tag).await?;
    }
    let Some(snapshot) = source.snapshot(to.guid) else { return Ok(()) };
    let label = run.protection.bookmark(to.guid);
    if source.bookmarks.iter().any(|bookmark| bookmark.label == label) {
        return Ok(());
    }
    match bookmark(run, source, snapshot).await {
        Ok(()) => Ok(()),
        Err(Protecting::Command { error, doing }) if error.kind.is_transport() => {
            Err(Failure::command(&doing, &error))
        }
        // Without `bookmark` permission, or where the name would be too long: the hold on the target still protects.
        Err(protecting) => {
            run.warn_failure(protecting.into());
            Ok(())
        }
    }
}

pub(super) async fn discard_partial(run: &Run<'_>, partial: &PartialReceive) -> Result<(), Failure> {
    let target = &run.step.target;
    let PartialReceive { to_name, bytes, .. } = partial;
    match run.run(Side::Target, Command::AbortReceive { dataset: target.clone() }).await {
        Ok(()) => {
            let lost = ByteCount(*bytes);
            run.watcher.warn(&format!(
                "discarded the interrupted receive of {to_name} into {target}: {lost} are lost"
            ));
            Ok(())
        }
        Err(error) if matches!(error.kind, Kind::NothingToAbort | Kind::NotFound) => Ok(()),
        Err(error) => {
            Err(Failure::command(&format!("discard the interrupted receive into {target}"), &error))
        }
    }
}

async fn create_parents(run: &Run<'_>, parents: &[DatasetName]) -> Result<(), Failure> {
    let mut parents: Vec<&DatasetName> = parents.iter().collect();
    // A parent's name is the beginning of its children's.
    parents.sort();
    for dataset in parents {
        match run.run(Side::Target, Command::CreatePlaceholder { dataset: dataset.clone() }).await {
            Ok(()) => {}
            Err(error) if error.kind == Kind::AlreadyExists => {}
            Err(error) => return Err(Failure::command(&format!("create {dataset}"), &error)),
        }
    }
    Ok(())
}

fn send_command(
    source: &Dataset,
    base: Option<&Base>,
    to: &Point,
    raw: bool,
) -> Result<SendCommand, Failure> {
    let too_long = |error| Failure::name(&error);
    let to = source.name.snapshot(&to.label).map_err(too_long)?;
    Ok(match base {
        None => SendCommand::Full { to, raw },
        Some(Base::Snapshot(point)) => {
            SendCommand::Incremental { base: source.name.snapshot(&point.label).map_err(too_long)?, to, raw }
        }
        Some(Base::Bookmark(point)) => {
            SendCommand::FromBookmark { base: source.name.bookmark(&point.label).map_err(too_long)?, to, raw }
        }
        Some(Base::Origin { dataset, point }) => {
            SendCommand::Single { base: dataset.snapshot(&point.label).map_err(too_long)?, to, raw }
        }
    })
}

/// For a target that becomes a clone: one snapshot, however the base is there.
fn single_command(source: &Dataset, base: &Base, to: &Point, raw: bool) -> Result<SendCommand, Failure> {
    match send_command(source, Some(base), to, raw)? {
        SendCommand::Incremental { base, to, raw } => Ok(SendCommand::Single { base, to, raw }),
        other => Ok(other),
    }
}

/// How many bytes the stream will be. Only for people, so no failure of it is one.
async fn estimate(run: &Run<'_>, command: &SendCommand) -> Option<u64> {
    let output = run.sides.source.run(&Command::Estimate(command.clone())).await.ok()?;
    parse::estimate(&output.stdout, &output.stderr)
}

async fn move_data(run: &Run<'_>, send: &Send, stream: &Stream) -> (TransferOutcome, Settled) {
    let step = run.step;
    let moved = if run.cancel.is_cancelled() {
        Err(None)
    } else {
        run.watcher.stage(Stage::Sending);
        let work = Transfer {
            source: run.sides.source,
            send: &stream.command,
            target: run.sides.target,
            receive: &stream.receive,
            rate_limit: None,
            stall_timeout: Some(STALL_TIMEOUT),
        };
        transfer(work, run.watcher.counter(), run.cancel).await.map_err(Some)
    };
    run.watcher.stage(Stage::Verifying);
    let view = match View::read(step, run.sides).await {
        Ok(view) => view,
        Err(unread) => {
            let failure = match moved {
                Err(error) => why_not(run, stream, error),
                Ok(_) => unread,
            };
            return (failure.into_outcome(), Settled::Open);
        }
    };
    let outcome = if view.has_arrived(stream.goal.guid) {
        if let Err(Some(error)) = &moved {
            let said = in_words(&error.error);
            run.watcher.warn(&format!("{} has arrived, although {}: {said}", goal(run, stream), error.stage));
        }
        TransferOutcome::Succeeded
    } else {
        let failure = match moved {
            Ok(_) => Failure::new(ErrorCode::NotArrived, format!("{} is not there", goal(run, stream))),
            Err(Some(error)) if is_token_dead(stream, &error) => {
                give_up_token(run, &view, stream.goal.guid, &error).await
            }
            Err(error) => {
                let is_cancelled = error.as_ref().is_none_or(|error| error.stage == StageName::Cancelled);
                let meanwhile = target_went_on(run, send, &view).filter(|_| !is_cancelled);
                meanwhile.unwrap_or_else(|| why_not(run, stream, error))
            }
        };
        failure.into_outcome()
    };
    run.watcher.stage(Stage::Finishing);
    // A stream of several snapshots may have brought some of them, so this comes whatever the outcome.
    (outcome, tidy_up(run, &view).await)
}

/// The target got a snapshot of its own while the stream was under way. ZFS refuses the stream's end then, in words that mean other
/// things too; a new plan says what it is.
fn target_went_on(run: &Run<'_>, send: &Send, view: &View) -> Option<Failure> {
    let (source, newest) = (view.source.as_ref()?, view.target.as_ref()?.newest()?);
    let of_source = source.snapshot(newest.guid).is_some()
        || source.bookmarks.iter().any(|bookmark| bookmark.guid == newest.guid);
    let own = !of_source && send.target_newest != Some(newest.guid);
    own.then(|| Failure::stale(format!("{} has @{} by now", run.step.target, newest.label)))
}

fn goal(run: &Run<'_>, stream: &Stream) -> String {
    format!("{}@{} on {}", run.step.target, stream.goal.label, run.sides.target.host())
}

fn why_not(run: &Run<'_>, stream: &Stream, error: Option<PipelineError>) -> Failure {
    match error {
        Some(error) if error.stage != StageName::Cancelled => {
            let doing = format!("send {}@{} to {}", run.step.source, stream.goal.label, run.step.target);
            let gone = error.error.kind == Kind::NotFound;
            let continues = stream.receive.first.is_none();
            if gone && (continues || stream.receive.origin.is_some() || error.stage == StageName::Send) {
                // What is sent, what it starts from, the target that has it, and what it was to become a clone of were there a moment ago.
                return Failure::stale(format!("could not {doing}: {}", in_words(&error.error)));
            }
            if error.error.kind == Kind::PartialState && stream.resumed_from.is_some() {
                // It was to be continued, and is what ZFS calls in the way: somebody else is receiving it just now.
                let target = &run.step.target;
                let detail =
                    format!("another receive into {target} is under way: {}", in_words(&error.error));
                return Failure::new(ErrorCode::Busy, detail);
            }
            Failure::stream(&doing, &error)
        }
        Some(_) | None => Failure::Cancelled,
    }
}

fn is_token_dead(stream: &Stream, error: &PipelineError) -> bool {
    matches!(stream.command, SendCommand::Resume { .. }) && error.error.kind == Kind::TokenDead
}

/// The source says that it can not continue. By GUID it should: without this, every new plan would try the same again.
async fn give_up_token(run: &Run<'_>, view: &View, goal: Guid, error: &PipelineError) -> Failure {
    let partial = view.target.as_ref().and_then(|target| target.properties.partial.as_ref());
    if let Some(partial) = partial.filter(|partial| partial.to_guid == goal)
        && let Err(failure) = discard_partial(run, partial).await
    {
        return failure;
    }
    let detail = in_words(&error.error);
    Failure::stale(format!("the interrupted receive into {} can not be continued: {detail}", run.step.target))
}

async fn look_and_tidy_up(run: &Run<'_>) -> Settled {
    match View::read_wherever(run.step, run.sides).await {
        Ok(view) => tidy_up(run, &view).await,
        Err(_) => Settled::Open,
    }
}
