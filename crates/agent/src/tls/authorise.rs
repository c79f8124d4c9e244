//! What a ticket allows: exactly the commands that the engine gives the other side of one transfer.
//!
//! On a source that is reading it, holding and bookmarking with our tags, and sending it; on a target reading it, our hold on its base,
//! placeholders above it that the plan lists, and receiving into it. Nothing that destroys, rolls back or renames is ever asked of another
//! host: such steps concern the target alone, which carries them out itself. Some answers need a look at this host first ([`Check`]);
//! that is done where the command is executed.

use zfs_sync_core::{
    guid::Guid,
    name::{DatasetName, SnapshotName},
    plan::{Action, Base, Protection, Send, Step},
    stream::CopiedProperty,
};
use zfs_sync_zfs::{
    command::{Command, Dependents, ReceiveCommand, Scope, SendCommand, Setting},
    parse::resume_token::ResumeToken,
};

use super::{
    ticket::{Session, moves_data},
    wire::Refusal,
};

/// What has to be looked at besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// Nothing.
    Nothing,
    /// Of a listing of all datasets, only what has the source's GUID is answered: where the source was renamed to.
    OnlySource,
    /// Of a listing of all snapshots, only those that this transfer's steps hold are answered: where such a hold may have gone to.
    OnlyHeld,
    /// The source must not be encrypted: it would be sent in the clear.
    NotEncrypted,
    /// A token names snapshots by GUID, and `zfs send` looks for them far beyond the dataset that it names: they must be the source's own.
    Token {
        /// The end.
        to: Guid,
        /// What the stream starts from.
        from: Option<Guid>,
        /// Raw.
        raw: bool,
    },
}

/// Says what has to be checked, or why the command is refused.
pub(super) fn authorise(session: &Session, command: &Command) -> Result<Check, Refusal> {
    let step = &session.ticket.step;
    let Action::Send(send) = &step.action else { return Err(refuse(command)) };
    let is_source = session.ticket.server == step.source_system;
    let checked = match command {
        Command::Version | Command::ListPools => Some(Check::Nothing),
        _ if is_source => on_source(session, step, send, command)?,
        _ => on_target(session, step, send, command),
    };
    checked.ok_or_else(|| refuse(command))
}

fn refuse(command: &Command) -> Refusal {
    Refusal::forbidden(format!("`{}` is nothing that this transfer needs here", command.display_line()))
}

/// `None`: not allowed.
fn on_source(
    session: &Session,
    step: &Step,
    send: &Send,
    command: &Command,
) -> Result<Option<Check>, Refusal> {
    let protection = step.protection();
    let origin = base_origin(send);
    let is_source = |dataset: &DatasetName| *dataset == step.source;
    let reads =
        |dataset: &DatasetName| is_source(dataset) || Some(dataset) == origin || session.has_found(dataset);
    let holds = |dataset: &DatasetName| is_source(dataset) || session.has_found(dataset);
    let allowed = match command {
        Command::ListDatasets { scope: Scope::Everything, .. } => return Ok(Some(Check::OnlySource)),
        Command::ListHistory { scope: Scope::Everything } => return Ok(Some(Check::OnlyHeld)),
        Command::ListDatasets { scope: Scope::Only(dataset), .. }
        | Command::ListHistory { scope: Scope::Only(dataset) }
        | Command::GetTree { scope: Scope::Only(dataset), .. }
        | Command::Get { dataset, .. }
        | Command::GetValue { dataset, .. }
        | Command::GetSource { dataset, .. }
        | Command::ListDependents { of: Dependents::Dataset(dataset) } => reads(dataset),
        Command::Holds { snapshot } => holds(snapshot.dataset()),
        Command::Hold { tag, snapshot } => {
            tag.as_str() == protection.step_hold() && is_source(snapshot.dataset())
        }
        Command::Release { tag, snapshot } => {
            tag.as_str() == protection.step_hold() && holds(snapshot.dataset())
        }
        Command::HoldAll { tag, snapshots } => {
            tag.as_str() == protection.step_hold() && snapshots.iter().all(|name| is_source(name.dataset()))
        }
        Command::ReleaseAll { tag, snapshots } => {
            tag.as_str() == protection.step_hold() && snapshots.iter().all(|name| holds(name.dataset()))
        }
        Command::PoolFeatures { pool } => pool == step.source.pool(),
        Command::Bookmark { snapshot, label } => {
            is_source(snapshot.dataset()) && protection.owns_bookmark(label)
        }
        Command::DestroyBookmark { bookmark } => {
            let name = bookmark.name();
            is_source(name.dataset()) && protection.owns_bookmark(name.label())
        }
        Command::Send(stream) | Command::Estimate(stream) if moves_data(&session.ticket) => {
            return stream_check(step, origin, stream);
        }
        _ => false,
    };
    Ok(allowed.then_some(Check::Nothing))
}

/// The dataset that the source is a clone of, where the plan's stream starts there.
fn base_origin(send: &Send) -> Option<&DatasetName> {
    match &send.base {
        Some(Base::Origin { dataset, .. }) => Some(dataset),
        _ => None,
    }
}

fn stream_check(
    step: &Step,
    origin: Option<&DatasetName>,
    stream: &SendCommand,
) -> Result<Option<Check>, Refusal> {
    let is_source = |dataset: &DatasetName| *dataset == step.source;
    let (fits, raw) = match stream {
        SendCommand::Full { to, form } => (is_source(to.dataset()), form.is_raw()),
        SendCommand::Incremental { base, to, form } => {
            (is_source(base.dataset()) && is_source(to.dataset()), form.is_raw())
        }
        SendCommand::FromBookmark { base, to, form } => {
            (is_source(base.dataset()) && is_source(to.dataset()), form.is_raw())
        }
        SendCommand::Single { base, to, form } => {
            let starts = is_source(base.dataset()) || Some(base.dataset()) == origin;
            (starts && is_source(to.dataset()), form.is_raw())
        }
        SendCommand::Resume { token, .. } => {
            let token = ResumeToken::decode(token)
                .map_err(|error| Refusal::forbidden(format!("the resume token can not be read: {error}")))?;
            if token.to_name.split('@').next() != Some(step.source.as_str()) {
                return Err(Refusal::forbidden(format!("the resume token is of {}", token.to_name)));
            }
            let (to, from) = (Guid::new(token.to_guid), token.from_guid.map(Guid::new));
            return Ok(Some(Check::Token { to, from, raw: token.raw }));
        }
    };
    Ok(fits.then_some(if raw { Check::Nothing } else { Check::NotEncrypted }))
}

fn on_target(session: &Session, step: &Step, send: &Send, command: &Command) -> Option<Check> {
    let protection = step.protection();
    let origin = send.target_origin.as_ref().map(|origin| &origin.dataset);
    let is_target = |dataset: &DatasetName| *dataset == step.target;
    let is_above = |dataset: &DatasetName| step.target.strip_prefix(dataset).is_some();
    // Room is looked for above the target as well.
    let reads = |dataset: &DatasetName| is_target(dataset) || is_above(dataset) || Some(dataset) == origin;
    let may_receive = moves_data(&session.ticket);
    // What the plan, which the witness has signed, wants to have copied.
    let may_copy = |property: &CopiedProperty| {
        send.properties.contains(property) || *property == CopiedProperty::record_size()
    };
    // A replica that exists keeps what its owner has set.
    let begins = send.base.is_none() || send.target_origin.is_some();
    let allowed = match command {
        Command::ListDatasets { scope: Scope::Only(dataset), .. }
        | Command::ListHistory { scope: Scope::Only(dataset) }
        | Command::GetTree { scope: Scope::Only(dataset), .. }
        | Command::Get { dataset, .. } => reads(dataset),
        Command::Holds { snapshot } => is_target(snapshot.dataset()),
        Command::Hold { tag, snapshot } => {
            tag.as_str() == protection.base_hold() && is_target(snapshot.dataset())
        }
        Command::Release { tag, snapshot } => {
            is_base_hold(step, tag.as_str()) && is_target(snapshot.dataset())
        }
        Command::HoldAll { tag, snapshots } => {
            tag.as_str() == protection.base_hold() && snapshots.iter().all(|name| is_target(name.dataset()))
        }
        Command::ReleaseAll { tag, snapshots } => {
            is_base_hold(step, tag.as_str()) && snapshots.iter().all(|name| is_target(name.dataset()))
        }
        Command::PoolFeatures { pool } => pool == step.target.pool(),
        Command::CreatePlaceholder { dataset } | Command::CreateBare { dataset } => {
            may_receive && is_above(dataset) && !is_target(dataset) && send.create_parents.contains(dataset)
        }
        Command::AbortReceive { dataset } => may_receive && is_target(dataset),
        // Nothing but what a new replica gets can be set.
        Command::Set { dataset, setting } => {
            let is_planned = match setting {
                Setting::Copied(property, _) => may_copy(property),
                _ => true,
            };
            may_receive && begins && is_target(dataset) && is_planned
        }
        Command::Receive(receive) => {
            let ReceiveCommand { dataset, first, origin: from, .. } = receive;
            let mut copied = first.iter().flat_map(|first| &first.properties);
            let are_planned = copied.all(|(property, _)| may_copy(property));
            let from = from.as_ref().map(SnapshotName::dataset);
            let may_begin = begins || first.is_none();
            may_receive
                && may_begin
                && are_planned
                && is_target(dataset)
                && from.is_none_or(|from| Some(from) == origin)
        }
        _ => false,
    };
    allowed.then_some(Check::Nothing)
}

/// A hold of ours on the base of this replica, for whatever source: an older one goes when another source has taken its place.
fn is_base_hold(step: &Step, tag: &str) -> bool {
    let rest = tag.strip_prefix(Protection::PREFIX).and_then(|rest| rest.strip_prefix("base:"));
    rest.and_then(|rest| rest.split_once(':')).is_some_and(|(_, of)| of == step.receiver.as_str())
}

#[cfg(test)]
mod tests;
