//! Send and receive, up to one snapshot.

use zfs_sync_api::{codes::ErrorCode, v1::agent::TransferOutcome};
use zfs_sync_core::{
    guid::Guid,
    inventory::{Dataset, PartialReceive, Snapshot},
    name::DatasetName,
    plan::{Base, Point, Send, Warning},
    size::ByteCount,
    stream::StreamForm,
};
use zfs_sync_zfs::{
    command::{Command, FirstReceive, OwnTag, ReceiveCommand, SendCommand},
    error::Kind,
    features::Ability,
    parse,
    pipeline::{Finished, Packed, PipelineError, StageName, Transfer, transfer},
};

use super::{
    Execution, Run, Settled, Side, Stage,
    as_clone::Origins,
    facts::{Chosen, birth, further, is_resumable, target_facts, why_not_resumable},
    failure::{Failure, in_words},
    form::Caution,
    newborn::inspect,
    room,
    route::{Route, check_token, choose, is_of_source},
    settle::{Protecting, bookmark, hold, tidy_up},
    view::View,
};

/// A stream of at most so many bytes is over before setting up a connection for it would pay.
const SMALL: u64 = 8 << 20;

/// Everything is in place for a stream.
struct Stream {
    command: SendCommand,
    receive: ReceiveCommand,
    /// How it travels.
    chosen: Chosen,
    /// The replica has no snapshot yet: what arrives makes it one.
    newborn: bool,
    /// The stream's end: what must be on the target afterwards.
    goal: Point,
    resumed_from: Option<u64>,
    /// At most [`SMALL`] bytes, as far as anybody knows.
    small: bool,
}

enum Prepared {
    AlreadyThere(Box<View>),
    Ready(Box<Stream>),
}

pub(super) async fn execute(run: &Run<'_>, send: &Send) -> Execution {
    run.watcher.stage(Stage::Preparing);
    match prepare(run, send).await {
        // An attempt whose end nobody heard of; what it could not do afterwards is done now.
        Ok(Prepared::AlreadyThere(view)) => {
            let inspected = inspect_late(run, send, &view).await;
            run.watcher.stage(Stage::Finishing);
            let settled = tidy_up(run, &view).await;
            let outcome = inspected.map_or_else(Failure::into_outcome, |()| TransferOutcome::Succeeded);
            Execution { outcome, bytes: 0, resumed_from: None, settled }
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

/// A replica that began with an attempt which died before it could look at it is looked at now.
async fn inspect_late(run: &Run<'_>, send: &Send, view: &View) -> Result<(), Failure> {
    let begins = send.base.is_none() || send.target_origin.is_some();
    let is_newborn = view.target.as_ref().is_some_and(|target| target.snapshots.len() == 1);
    if !begins || !is_newborn {
        return Ok(());
    }
    let chosen = birth(run.step, send, run.sides).await?;
    inspect(run, send, &chosen).await
}

async fn prepare(run: &Run<'_>, send: &Send) -> Result<Prepared, Failure> {
    let begins = send.base.is_none() || send.target_origin.is_some();
    let facts = async {
        // A replica that begins remembers nothing, unless its first receive was interrupted.
        if begins && !send.resume {
            return Ok(None);
        }
        target_facts(run.sides.target, &run.step.target, run.sides.target_features).await
    };
    let (view, facts) = tokio::join!(View::read(run.step, run.sides), facts);
    let (view, facts) = (view?, facts?);
    let origins = Origins::read(send, run.sides).await?;
    let route = choose(run.step, send, &view, &origins)?;
    let Some(source) = &view.source else {
        return Err(Failure::stale(format!("{} does not exist any more", run.step.source)));
    };
    run.check_cancelled()?;
    let newborn = view.target.as_ref().is_none_or(|target| target.snapshots.is_empty());
    let is_clone = view.target.as_ref().is_some_and(|target| target.properties.origin.is_some());
    let resumable = is_resumable(run.sides);
    let mut at_most = None;
    let mut dead = None;
    let mut stream = match route {
        Route::AlreadyThere => return Ok(Prepared::AlreadyThere(Box::new(view))),
        Route::Resume { token, base, to, bytes } => {
            let facts = match facts {
                Some(facts) => facts,
                None => target_facts(run.sides.target, &run.step.target, run.sides.target_features)
                    .await?
                    .ok_or_else(|| Failure::stale(format!("{} does not exist any more", run.step.target)))?,
            };
            let chosen = further(run.step, send, run.sides, &facts, is_clone).await?;
            check_token(run.step, &token, &chosen)?;
            protect(run, source, base.as_ref(), &to).await?;
            let receive = ReceiveCommand::further(run.step.target.clone());
            let command = SendCommand::Resume { token, raw: chosen.form.is_raw() };
            Stream { command, receive, chosen, newborn, goal: to, resumed_from: Some(bytes), small: false }
        }
        Route::Fresh { base, to, discard, origin } => {
            let is_first = base.is_none() || origin.is_some();
            let chosen = match &facts {
                Some(facts) if !is_first => further(run.step, send, run.sides, facts, is_clone).await?,
                None if !is_first => {
                    return Err(Failure::stale(format!("{} does not exist any more", run.step.target)));
                }
                Some(_) | None => birth(run.step, send, run.sides).await?,
            };
            protect(run, source, base.as_ref(), &to).await?;
            if let Some(partial) = discard {
                if !is_of_source(run.step, &partial) {
                    let detail = format!(
                        "what waits in {} is of {}, and not of {}: it is discarded",
                        run.step.target, partial.to_name, run.step.source
                    );
                    run.watcher.caution(Warning::TokenForeign, &detail);
                }
                dead = Some(partial);
            }
            if is_first {
                create_parents(run, &send.create_parents).await?;
            }
            let command = match (&base, &origin) {
                (Some(base), Some(_)) => single_command(source, base, &to, chosen.form)?,
                (base, _) => send_command(source, base.as_ref(), &to, chosen.form)?,
            };
            // Where properties can not come with the stream, they are set as soon as it has arrived.
            let with_stream = is_first && run.sides.target_features.can(Ability::ReceiveProperties);
            let properties = chosen.properties.clone();
            let first =
                with_stream.then_some(FirstReceive { kind: run.step.kind, form: chosen.form, properties });
            let resumable = resumable && chosen.keeps_partial;
            let receive = ReceiveCommand { dataset: run.step.target.clone(), first, origin, resumable };
            at_most = bytes_at_most(source, base.as_ref(), &to);
            Stream { command, receive, chosen, newborn, goal: to, resumed_from: None, small: false }
        }
    };
    for Caution { code, detail } in &stream.chosen.cautions {
        run.watcher.caution(*code, detail);
    }
    let total = size_of(run, &view, at_most, dead.as_ref(), &stream).await?;
    // Not before it is known that what takes its place has room.
    if let Some(partial) = &dead {
        discard_partial(run, partial).await?;
    }
    stream.small = total.is_some_and(|bytes| bytes <= SMALL);
    run.watcher.expect(total, stream.resumed_from);
    Ok(Prepared::Ready(Box::new(stream)))
}

/// Both ends of the stream are held, and the end has its bookmark: were this process to die after the last byte, the next
/// step would still have its base.
async fn protect(run: &Run<'_>, source: &Dataset, base: Option<&Base>, to: &Point) -> Result<(), Failure> {
    let tag = OwnTag::step(&run.protection);
    let ends = base.map(Base::point).into_iter().chain([to]);
    let held: Vec<_> = ends.filter_map(|point| source.snapshot(point.guid)).collect();
    hold(run, Side::Source, source, &held, &tag).await?;
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
    run.check_may_destroy().await?;
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
            // Without `canmount` or `readonly` it is not created at all. It holds no data: what must be read-only is received below it.
            Err(error) if error.kind == Kind::Permission => create_bare(run, dataset).await?,
            Err(error) => return Err(Failure::command(&format!("create {dataset}"), &error)),
        }
    }
    Ok(())
}

async fn create_bare(run: &Run<'_>, dataset: &DatasetName) -> Result<(), Failure> {
    match run.run(Side::Target, Command::CreateBare { dataset: dataset.clone() }).await {
        Ok(()) => {
            let (code, host) = (Warning::PermissionPlaceholder, run.sides.target.host());
            run.watcher
                .warn(&format!("{code}: {dataset} on {host} has not got canmount=off and readonly=on"));
            Ok(())
        }
        Err(error) if error.kind == Kind::AlreadyExists => Ok(()),
        Err(error) => Err(Failure::command(&format!("create {dataset}"), &error)),
    }
}

fn send_command(
    source: &Dataset,
    base: Option<&Base>,
    to: &Point,
    form: StreamForm,
) -> Result<SendCommand, Failure> {
    let too_long = |error| Failure::name(&error);
    let to = source.name.snapshot(&to.label).map_err(too_long)?;
    Ok(match base {
        None => SendCommand::Full { to, form },
        Some(Base::Snapshot(point)) => {
            SendCommand::Incremental { base: source.name.snapshot(&point.label).map_err(too_long)?, to, form }
        }
        Some(Base::Bookmark(point)) => SendCommand::FromBookmark {
            base: source.name.bookmark(&point.label).map_err(too_long)?,
            to,
            form,
        },
        Some(Base::Origin { dataset, point }) => {
            SendCommand::Single { base: dataset.snapshot(&point.label).map_err(too_long)?, to, form }
        }
    })
}

/// For a target that becomes a clone: one snapshot, however the base is there.
fn single_command(
    source: &Dataset,
    base: &Base,
    to: &Point,
    form: StreamForm,
) -> Result<SendCommand, Failure> {
    match send_command(source, Some(base), to, form)? {
        SendCommand::Incremental { base, to, form } => Ok(SendCommand::Single { base, to, form }),
        other => Ok(other),
    }
}

/// What the stream takes up on the source at most, from what its snapshots refer to there; `None` where that says nothing.
///
/// Data that is compressed on the pool travels as it is (`-c`, `-w`) or, where that is not possible, larger.
fn bytes_at_most(source: &Dataset, base: Option<&Base>, to: &Point) -> Option<u64> {
    let after = match base {
        None => return Some(source.snapshot(to.guid)?.referenced),
        Some(Base::Origin { .. }) => return None,
        Some(Base::Snapshot(base) | Base::Bookmark(base)) => base.createtxg,
    };
    let sent = |snapshot: &&Snapshot| snapshot.createtxg > after && snapshot.createtxg <= to.createtxg;
    Some(source.snapshots.iter().filter(sent).map(|snapshot| snapshot.referenced).sum())
}

/// About how many bytes the stream will be, for which there has to be room; what is discarded for it makes some.
///
/// What is over in a moment needs no estimate, which is a process of its own: unless there may be no room for as much as it could be.
async fn size_of(
    run: &Run<'_>,
    view: &View,
    at_most: Option<u64>,
    dead: Option<&PartialReceive>,
    stream: &Stream,
) -> Result<Option<u64>, Failure> {
    let target = view.target.as_ref();
    let freed = dead.map_or(0, |partial| partial.bytes);
    let small = at_most.filter(|bytes| *bytes <= SMALL);
    if small.is_some() && room::check(run, target, freed, small).await.is_ok() {
        return Ok(small);
    }
    let total = estimate(run, &stream.command).await;
    let needed = room::needed(total, at_most, stream.chosen.form);
    room::check(run, target, freed, needed).await?;
    Ok(total)
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
        let moved = match connect(run, stream, &stream.receive).await {
            Err(error) if stream.receive.resumable && error.error.kind == Kind::StreamFeature => {
                without_partial(run, stream, error).await
            }
            moved => moved,
        };
        let moved = moved.map_err(Some);
        if let Some(Packed::Not(why)) = run.watcher.counter().packed() {
            run.watcher.warn(&format!("the stream was not compressed: {why}"));
        }
        moved
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
        let inspected = if stream.newborn { inspect(run, send, &stream.chosen).await } else { Ok(()) };
        inspected.map_or_else(Failure::into_outcome, |()| TransferOutcome::Succeeded)
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

/// Connects `zfs send` with `zfs receive`, and waits for the end of both.
async fn connect(
    run: &Run<'_>,
    stream: &Stream,
    receive: &ReceiveCommand,
) -> Result<Finished, PipelineError> {
    let work = Transfer {
        source: run.sides.source,
        send: &stream.command,
        target: run.sides.target,
        receive,
        flow: &run.watcher.flow(),
        small: stream.small,
    };
    transfer(work, run.watcher.counter(), run.cancel).await
}

/// Once more, without keeping what is interrupted, where it was only that which the pool can not do.
async fn without_partial(
    run: &Run<'_>,
    stream: &Stream,
    error: PipelineError,
) -> Result<Finished, PipelineError> {
    match why_not_resumable(run.step, run.sides).await {
        Some(Caution { code, detail }) => {
            run.watcher.caution(code, &detail);
            connect(run, stream, &ReceiveCommand { resumable: false, ..stream.receive.clone() }).await
        }
        None => Err(error),
    }
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
