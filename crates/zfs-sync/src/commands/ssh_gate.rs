//! `ssh-gate`: runs what a restricted key may run, and nothing else.
//!
//! Whoever is on the other side sees what `zfs` prints; a refusal is one line on standard error with its code.

use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    os::unix::{fs::OpenOptionsExt as _, net::UnixDatagram},
    process,
};

use zfs_sync_api::codes::ErrorCode;
use zfs_sync_zfs::{
    command::{Command, Dependents, Scope},
    error::{Error, Kind},
    features::Features,
    gate::{Admitted, Gate, Role, doomed},
    inventory::{read_dependents, read_history},
    runner::{LocalRunner, Runner as _},
};

use super::Exit;
use crate::{
    cli::{GateArgs, GateRole},
    failure::Failure,
};

/// Longer than any line of ours: a batch of two hundred names.
const LINE_LIMIT: usize = 128 << 10;

/// Of a line in the log.
const LOGGED: usize = 500;

/// `authpriv`, `notice`.
const PRIORITY: u8 = 10 * 8 + 5;

pub(super) async fn run(arguments: &GateArgs) -> Result<Exit, Failure> {
    let line = std::env::var_os("SSH_ORIGINAL_COMMAND").unwrap_or_default();
    let line = line.to_string_lossy();
    let gate = Gate { role: role(arguments)?, tree: arguments.dataset.clone() };
    let runner = LocalRunner::new().through(arguments.privilege);
    let admitted = if line.len() > LINE_LIMIT {
        Err("the line is too long".to_owned())
    } else {
        gate.admit(&line).map_err(|refused| refused.to_string())
    };
    let why = match admitted {
        Ok(Admitted::Run(commands)) => return run_all(&runner, commands).await,
        Ok(Admitted::Destroy(snapshot)) => {
            let of = Dependents::Snapshot(snapshot.clone());
            let found = match read_dependents(&runner, of).await {
                Ok(found) => found,
                Err(error) => return Ok(pass_on(&error)),
            };
            match doomed(&snapshot, &found) {
                Ok(snapshot) => return run_all(&runner, vec![Command::DestroySnapshot { snapshot }]).await,
                Err(spared) => spared.to_string(),
            }
        }
        Ok(Admitted::Resume(resumed)) => {
            let look = async {
                let features = Features::probe(&runner).await?;
                read_history(&runner, &Scope::Tree(gate.tree.clone()), &features).await
            };
            match look.await {
                Ok(histories) if resumed.is_of(&histories) => {
                    return run_all(&runner, vec![resumed.command]).await;
                }
                Ok(_) => format!("the token is of snapshots that {} has not", gate.tree),
                Err(error) => return Ok(pass_on(&error)),
            }
        }
        Err(why) => why,
    };
    log(arguments, &line, &why);
    talk(&format!("zfs-sync: {}: {why}", ErrorCode::GateRefused));
    Ok(Exit::Failed)
}

fn role(arguments: &GateArgs) -> Result<Role, Failure> {
    match (arguments.role, arguments.append_only) {
        (GateRole::Source, false) => Ok(Role::Source),
        (GateRole::Target, append_only) => Ok(Role::Target { append_only }),
        (GateRole::Source, true) => {
            Err(Failure::new(ErrorCode::ValueInvalid, "--append-only is for --role target").unchanged())
        }
    }
}

/// All but the last are short listings; this process becomes the last one, so that a stream goes through no hands of ours.
async fn run_all(runner: &LocalRunner, mut commands: Vec<Command>) -> Result<Exit, Failure> {
    let Some(last) = commands.pop() else { return Ok(Exit::Done) };
    for command in commands {
        match runner.run(&command).await {
            Ok(output) => {
                let mut out = io::stdout().lock();
                out.write_all(output.stdout.as_bytes())?;
                out.flush()?;
            }
            Err(error) => return Ok(pass_on(&error)),
        }
    }
    Ok(pass_on(&runner.become_command(&last)))
}

/// What `zfs` said is what the other side classifies.
fn pass_on(error: &Error) -> Exit {
    let said = error.stderr.trim_end();
    match error.kind {
        Kind::ZfsNotFound => talk("zfs: command not found"),
        _ if said.is_empty() => talk(&error.to_string()),
        _ => talk(said),
    }
    Exit::Failed
}

fn talk(text: &str) {
    // Nobody is left to tell when the connection is gone.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// A refusal may be the first sign of a stolen key. One that can not be logged is refused all the same.
fn log(arguments: &GateArgs, line: &str, why: &str) {
    let from = std::env::var("SSH_CONNECTION").unwrap_or_default();
    let from = from.split(' ').next().filter(|from| !from.is_empty()).unwrap_or("unknown");
    let printable: String = line.chars().take(LOGGED).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let text = format!("refused `{printable}` from {from} for {}: {why}", arguments.dataset);
    let id = process::id();
    if let Ok(socket) = UnixDatagram::unbound() {
        let message = format!("<{PRIORITY}>zfs-sync-ssh-gate[{id}]: {text}");
        let _ = socket.set_nonblocking(true).and_then(|()| socket.send_to(message.as_bytes(), "/dev/log"));
    }
    let Some(path) = &arguments.log else { return };
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    if let Err(error) = file.and_then(|mut file| writeln!(file, "zfs-sync-ssh-gate[{id}]: {text}")) {
        talk(&format!("zfs-sync: the log {path} can not be written: {error}"));
    }
}
