//! Commands that are executed to their end, and what is looked at before and after.

use std::{collections::BTreeSet, io};

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use zfs_sync_core::{
    name::{DatasetName, SnapshotName},
    plan::Action,
};
use zfs_sync_zfs::{
    command::{Command, ListColumns, Scope},
    error::Error,
    features::Features,
    inventory::{list_datasets, read_history},
    runner::{Output, Runner},
};

use super::{Connection, Reply};
use crate::{
    holdings::{BATCH, holds_of},
    tls::{
        authorise::{Check, authorise},
        frame::{CHUNK, Kind, unexpected},
        ticket::Session,
        wire::{DEADLINE, PING_EVERY, Refusal},
    },
};

/// Why a command was not executed to its end.
pub(super) enum NotDone {
    Refused(Refusal),
    Failed(Error),
}

impl From<Error> for NotDone {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Connection<'_> {
    /// Executes and answers. An error ends the connection.
    pub(super) async fn run(
        &mut self,
        session: &Session,
        command: Command,
        stop: &CancellationToken,
    ) -> io::Result<()> {
        let runner = &*self.serving.local;
        let done = {
            let work = execute(runner, session, &command);
            tokio::pin!(work);
            let mut pings = interval(PING_EVERY);
            pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
            pings.reset();
            loop {
                // Whoever asked and has gone needs no answer: the command is ended with this future.
                tokio::select! {
                    done = &mut work => break done,
                    frame = self.reader.next(DEADLINE) => match frame? {
                        (Kind::Ping, _) => {}
                        _ => return Err(unexpected("another request before the answer to the first")),
                    },
                    _ = pings.tick() => self.writer.lock().await.send(Kind::Ping, &[]).await?,
                    () = session.closed.cancelled() => return Err(fenced()),
                    () = stop.cancelled() => return Err(io::Error::other("the agent stops")),
                }
            }
        };
        match done {
            Ok(Output { stdout, stderr }) => {
                let mut writer = self.writer.lock().await;
                for chunk in stdout.as_bytes().chunks(CHUNK) {
                    writer.send(Kind::Data, chunk).await?;
                }
                writer.message(&Reply::Done { stderr }).await
            }
            Err(NotDone::Failed(Error { status, stderr, kind, .. })) => {
                self.reply(&Reply::Failed { status, stderr, kind }).await
            }
            Err(NotDone::Refused(refusal)) => {
                self.tell(&refusal);
                self.reply(&refusal.into()).await
            }
        }
    }
}

/// A newer attempt has come.
pub(super) fn fenced() -> io::Error {
    io::Error::other("a newer attempt of the same transfer has come")
}

async fn execute(runner: &dyn Runner, session: &Session, command: &Command) -> Result<Output, NotDone> {
    let check = authorise(session, command).map_err(NotDone::Refused)?;
    if matches!(command, Command::Send(_) | Command::Receive(_)) {
        return Err(NotDone::Refused(Refusal::forbidden("a stream is no command")));
    }
    look(runner, session, &check).await?;
    let mut output = runner.run(command).await?;
    match check {
        Check::OnlySource => output.stdout = only_source(session, &output.stdout),
        Check::OnlyHeld => output.stdout = only_held(runner, session, &output.stdout).await?,
        Check::Nothing | Check::NotEncrypted | Check::Token { .. } => {}
    }
    Ok(output)
}

/// What must be true of the source before a stream of it is sent, whatever the other side says.
pub(super) async fn look(runner: &dyn Runner, session: &Session, check: &Check) -> Result<(), NotDone> {
    let source = &session.ticket.step.source;
    match check {
        Check::Nothing | Check::OnlySource | Check::OnlyHeld => Ok(()),
        Check::NotEncrypted => refuse_encrypted(runner, source).await,
        Check::Token { to, from, raw } => {
            let features = Features::probe(runner).await?;
            let history = read_history(runner, &Scope::Only(source.clone()), &features).await?;
            let (snapshots, bookmarks) = history.get(source).cloned().unwrap_or_default();
            let has = |guid| snapshots.iter().any(|snapshot| snapshot.guid == guid);
            let starts = |guid| has(guid) || bookmarks.iter().any(|bookmark| bookmark.guid == guid);
            let planned = match &session.ticket.step.action {
                Action::Send(send) => send.base.as_ref().map(|base| base.point().guid),
                _ => None,
            };
            if !has(*to) || from.is_some_and(|from| !starts(from) && Some(from) != planned) {
                let detail = format!("the resume token names snapshots that {source} has not");
                return Err(NotDone::Refused(Refusal::forbidden(detail)));
            }
            if *raw { Ok(()) } else { refuse_encrypted(runner, source).await }
        }
    }
}

async fn refuse_encrypted(runner: &dyn Runner, source: &DatasetName) -> Result<(), NotDone> {
    let features = Features::probe(runner).await?;
    let rows = list_datasets(runner, &Scope::Only(source.clone()), &features).await?;
    match rows.iter().find(|row| row.name == *source) {
        Some(row) if !row.properties.encrypted => Ok(()),
        Some(_) => {
            let detail = format!("{source} is encrypted, and this stream would not be raw");
            Err(NotDone::Refused(Refusal::forbidden(detail)))
        }
        // Not there any more: whatever is sent, it will fail.
        None => Err(NotDone::Refused(Refusal::forbidden(format!("{source} is not there")))),
    }
}

/// Lines of datasets that are the source, under whatever name.
fn only_source(session: &Session, listing: &str) -> String {
    let guid = session.ticket.step.source_guid.get().to_string();
    let column = ListColumns::Dataset.names().iter().position(|name| *name == "guid");
    keep(session, listing, |fields| column.and_then(|at| fields.get(at)).is_some_and(|field| *field == guid))
}

/// Lines of snapshots that hold the tag of this transfer's steps: what else is held is nobody's business over there.
async fn only_held(runner: &dyn Runner, session: &Session, listing: &str) -> Result<String, NotDone> {
    // Of `name,guid,createtxg,creation,used,referenced,userrefs` the last is not 0.
    let is_held = |fields: &[&str]| fields.get(6).is_some_and(|holds| holds.parse::<u64>().unwrap_or(0) > 0);
    let rows = listing.lines().map(|line| line.split('\t').collect::<Vec<&str>>());
    let held: Vec<SnapshotName> =
        rows.filter(|fields| is_held(fields)).filter_map(|fields| fields.first()?.parse().ok()).collect();
    let step_hold = session.ticket.step.protection().step_hold();
    let mut ours = BTreeSet::new();
    for some in held.chunks(BATCH) {
        let holds = holds_of(runner, some.to_vec(), false).await?;
        ours.extend(
            holds.into_iter().filter(|hold| hold.tag == step_hold).map(|hold| hold.snapshot.to_string()),
        );
    }
    Ok(keep(session, listing, |fields| fields.first().is_some_and(|name| ours.contains(*name))))
}

/// The session may look at what it was told of.
fn keep(session: &Session, listing: &str, wanted: impl Fn(&[&str]) -> bool) -> String {
    let mut kept = String::new();
    for line in listing.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        if !wanted(&fields) {
            continue;
        }
        let name = fields.first().copied().unwrap_or_default();
        let dataset = match name.parse::<SnapshotName>() {
            Ok(snapshot) => Some(snapshot.dataset().clone()),
            Err(_) => name.parse::<DatasetName>().ok(),
        };
        session.add_found(dataset);
        kept.push_str(line);
        kept.push('\n');
    }
    kept
}
