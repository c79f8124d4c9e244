//! `verify` and `verification`: proofs that a snapshot is the same in two places.

mod hosts;
mod remote;
mod schedule;
mod show;

use std::time::Duration;

use tokio::time::{Instant, sleep};
use zfs_sync_api::{
    client::Client,
    codes::ErrorCode,
    v1::verification::{CreateVerification, Verification},
};
use zfs_sync_core::ids::VerificationId;

pub(super) use self::remote::serve;
use self::show::{ProofLine, VerificationLine, exit_of, show, wait_exit};
use super::{Context, Exit};
use crate::{
    cli::{VerificationCommand, VerifyArgs},
    failure::Failure,
    printer::Beside,
};

/// Between two looks at a verification.
const PAUSE: Duration = Duration::from_millis(500);
/// Within which both agents have answered for GUID and properties, if they are there.
const MOMENT: Duration = Duration::from_secs(30);
/// Among how many the beginning of an id is looked for.
const NEWEST: u32 = 1000;

pub(super) async fn run(context: &Context, arguments: &VerifyArgs) -> Result<Exit, Failure> {
    if let Some(other) = &arguments.other {
        return hosts::run(context, arguments, other).await;
    }
    let between = arguments.between.clone().unwrap_or_default();
    if between.len() != 2 {
        let detail = "two systems are compared";
        return Err(Failure::new(ErrorCode::ValueInvalid, detail)
            .hint("write --between nas1,nas2")
            .unchanged());
    }
    let snapshot = arguments.snapshot.parse().map_err(|error| {
        let detail = format!("`{}` is no snapshot: {error}", arguments.snapshot);
        Failure::new(ErrorCode::NameInvalid, detail).hint("write tank/media@monday").unchanged()
    })?;
    let client = context.client()?;
    let body = CreateVerification {
        snapshot,
        between,
        dataset: arguments.dataset.clone(),
        deep: arguments.deep,
        rate: arguments.rate.map(|mebibytes| mebibytes << 20),
    };
    let verification = client.create_verification(&body).await?;
    // Without contents the agents need a moment.
    let limit = arguments.wait.or_else(|| (!arguments.deep).then_some(Some(MOMENT)));
    let Some(limit) = limit else {
        show(context, "verify", verification)?;
        context.printer.say("`zfs-sync verification show ID` tells how it goes");
        return Ok(Exit::Done);
    };
    let verification = tokio::select! {
        ended = wait(&client, verification.id, limit) => ended?,
        _ = tokio::signal::ctrl_c() => {
            context.printer.say("it goes on without this command; `zfs-sync verification cancel` stops it");
            return Ok(Exit::Interrupted);
        }
    };
    let exit = wait_exit(&verification);
    show(context, "verify", verification)?;
    Ok(exit)
}

async fn wait(client: &Client, id: VerificationId, limit: Option<Duration>) -> Result<Verification, Failure> {
    let begun = Instant::now();
    loop {
        match client.find_verification(id).await {
            Ok(verification) if verification.finished_at.is_some() => return Ok(verification),
            Ok(_) => {}
            // A witness that restarts goes on with it.
            Err(error) if error.is_retryable() => {}
            Err(error) => return Err(error.into()),
        }
        if limit.is_some_and(|limit| begun.elapsed() >= limit) {
            let detail = format!("verification {id} has not ended yet; it goes on");
            return Err(
                Failure::new(ErrorCode::WaitTimeout, detail).fix(format!("zfs-sync verification show {id}"))
            );
        }
        sleep(PAUSE).await;
    }
}

pub(super) async fn manage(context: &Context, command: VerificationCommand) -> Result<Exit, Failure> {
    let client = context.client()?;
    let (printer, now) = (&context.printer, context.now());
    match command {
        VerificationCommand::List { limit } => {
            let found = client.list_verifications(limit).await?;
            let rows: Vec<_> = found.into_iter().map(VerificationLine).collect();
            let beside = Beside { when_empty: "no verifications", ..Beside::default() };
            printer.rows("verification.list", &rows, &beside, now)?;
            Ok(Exit::Done)
        }
        VerificationCommand::Show { verification } => {
            let verification = find(&client, &verification).await?;
            let exit = exit_of(&verification);
            show(context, "verification.show", verification)?;
            Ok(exit)
        }
        VerificationCommand::Cancel { verification } => {
            let verification = find(&client, &verification).await?;
            let verification = client.cancel_verification(verification.id).await?;
            show(context, "verification.cancel", verification)?;
            Ok(Exit::Done)
        }
        VerificationCommand::Schedule { group, every, budget, rate, off } => {
            schedule::run(context, &client, group.as_deref(), &schedule::Wanted { every, budget, rate, off })
                .await
        }
        VerificationCommand::Proofs => {
            let rows: Vec<_> = client.list_proofs().await?.into_iter().map(ProofLine).collect();
            let beside = Beside { when_empty: "nothing was proven yet", ..Beside::default() };
            printer.rows("verification.proofs", &rows, &beside, now)?;
            Ok(Exit::Done)
        }
    }
}

/// The verification with this id, or the one whose id begins so.
async fn find(client: &Client, text: &str) -> Result<Verification, Failure> {
    if let Ok(id) = text.parse() {
        return Ok(client.find_verification(id).await?);
    }
    let mut found = client.list_verifications(NEWEST).await?;
    found.retain(|verification| verification.id.to_string().starts_with(text));
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(Failure::new(
            ErrorCode::VerificationNotFound,
            format!("no verification begins with `{text}`"),
        )
        .fix("zfs-sync verification list")
        .unchanged()),
        many => {
            Err(Failure::new(ErrorCode::SelectorInvalid, format!("{many} verifications begin with `{text}`"))
                .fix("zfs-sync verification list")
                .unchanged())
        }
    }
}
