//! Another host: the way to it, its ZFS, and what our user may do there. Each stage is shown; the first that fails ends them.

use zfs_sync_api::codes::ErrorCode;
use zfs_sync_zfs::{
    command::Command,
    error::{Error, Kind},
    features::Features,
    runner::{Privilege, Runner},
};

use super::{
    Check,
    permission::{self, Duties, Replicator},
};
use crate::{cli::SshArgs, commands::reach, failure::Failure};

pub(super) async fn check(text: &str, arguments: &SshArgs, duties: &Duties, checks: &mut Vec<Check>) {
    let (target, runner) = match (reach::target(text, arguments), reach::over_ssh(text, arguments)) {
        (Ok(target), Ok(runner)) => (target, runner),
        (Err(failure), _) | (_, Err(failure)) => {
            checks.push(refused(&failure));
            return;
        }
    };
    let output = match runner.run(&Command::Version).await {
        Ok(output) => output,
        Err(error) => {
            checks.extend(unusable(text, &error, arguments.privilege));
            return;
        }
    };
    checks.push(Check::pass("peer.ssh", format!("{text} lets us in; its host key is known")));
    let noise = output.stdout.lines().find(|line| !line.is_empty() && !line.starts_with("zfs-"));
    checks.push(match noise {
        None => Check::pass("peer.shell", "its shell prints nothing of its own"),
        Some(line) => {
            let line: String = line.chars().take(80).collect();
            Check::fail(
                "peer.shell",
                ErrorCode::ZfsOutput.code(),
                format!("its shell prints `{line}` before every command"),
            )
            .fix("print that only in interactive shells: case $- in *i*) … esac")
        }
    });
    let features = match Features::probe(&runner).await {
        Ok(features) => features,
        Err(error) => {
            checks.push(Check::fail("peer.zfs", error.code(), error.to_string()));
            return;
        }
    };
    let versions = format!("tools {}, kernel module {}", features.userland, features.kernel);
    checks.push(Check::pass("peer.zfs", versions));
    super::check_pools(&runner, "peer.pools", checks).await;
    match (target.user(), arguments.privilege) {
        (_, Privilege::Sudo | Privilege::Doas) => {
            checks.push(Check::pass(
                "peer.permission",
                format!("zfs runs through {} there", arguments.privilege),
            ));
        }
        (Some("root"), Privilege::Own) => checks.push(Check::pass("peer.permission", "root")),
        (Some(user), Privilege::Own) => {
            let replicator = Replicator::elsewhere(user.to_owned());
            permission::check(&runner, &replicator, duties, "peer.permission", checks).await;
        }
        (None, Privilege::Own) => checks.push(Check::warn(
            "peer.permission",
            "which user ssh takes is not known here; write USER@HOST to see what it lacks",
        )),
    }
}

fn refused(failure: &Failure) -> Check {
    Check::fail("peer.ssh", failure.code(), failure.detail())
}

/// What was reached, and what was not.
fn unusable(text: &str, error: &Error, privilege: Privilege) -> Vec<Check> {
    let said = error.stderr.trim().lines().last().unwrap_or(&error.status).to_owned();
    let failed =
        |name: &'static str, fix: String| Check::fail(name, error.code(), format!("{text}: {said}")).fix(fix);
    let reached = Check::pass("peer.ssh", format!("{text} lets us in; its host key is known"));
    match error.kind {
        Kind::SshUnreachable => vec![failed("peer.ssh", format!("ssh -v {text} true"))],
        Kind::SshHostKeyUnknown => {
            vec![failed(
                "peer.ssh",
                format!("ssh {text} true    # and compare the fingerprint with the host's own"),
            )]
        }
        Kind::SshHostKeyChanged => vec![failed(
            "peer.ssh",
            format!("find out why the key changed; only then: ssh-keygen -R {}", host_of(text)),
        )],
        Kind::SshAuthentication => vec![failed("peer.ssh", format!("ssh-copy-id {text}"))],
        Kind::ZfsNotFound => vec![reached, failed("peer.zfs", format!("ssh {text} command -v zfs"))],
        Kind::Permission if privilege == Privilege::Own => {
            vec![
                reached,
                failed("peer.permission", "look at this key's line in authorized_keys there".to_owned()),
            ]
        }
        Kind::Permission => vec![
            reached,
            failed(
                "peer.permission",
                format!("on {}: zfs-sync doctor --privilege {privilege}", host_of(text)),
            ),
        ],
        _ => vec![Check::fail("peer.ssh", error.code(), format!("{text}: {said}"))],
    }
}

fn host_of(text: &str) -> &str {
    text.rsplit_once('@').map_or(text, |(_, host)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: Kind) -> Error {
        Error {
            host: "repl@nas2".into(),
            command: "zfs version".into(),
            status: "exited with 255".into(),
            stderr: "Warning: something\nssh said no\n".into(),
            kind,
        }
    }

    #[test]
    fn each_way_of_failing_names_its_stage_and_a_fix() {
        for (kind, stage) in [
            (Kind::SshUnreachable, "peer.ssh"),
            (Kind::SshHostKeyUnknown, "peer.ssh"),
            (Kind::SshHostKeyChanged, "peer.ssh"),
            (Kind::SshAuthentication, "peer.ssh"),
            (Kind::ZfsNotFound, "peer.zfs"),
            (Kind::Permission, "peer.permission"),
        ] {
            let checks = unusable("repl@nas2", &error(kind), Privilege::Own);
            let last = checks.last().unwrap();
            assert_eq!(last.name, stage, "{kind:?}");
            assert!(last.fix.is_some(), "{kind:?}");
            assert_eq!(last.code.as_deref(), Some(kind.code()));
            assert!(last.detail.contains("ssh said no"), "{}", last.detail);
        }
    }
}
