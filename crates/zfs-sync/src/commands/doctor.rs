//! `doctor`: what is right and wrong on this host and on its way to the witness.
//!
//! It shows what it can and goes on after each finding; it changes nothing.

mod foreign;
mod peer;
mod permission;
mod probe;

use jiff::Timestamp;
use serde::Serialize;
use zfs_sync_agent::identity::{self, DataDirLock, Identity, IdentityError};
use zfs_sync_api::{
    client::{Client, ClientError},
    codes::ErrorCode,
};
use zfs_sync_zfs::{
    advisories::advisories,
    command::Command,
    delegation::Duty,
    features::Features,
    parse,
    runner::{LocalRunner, Privilege, Runner},
};

use self::permission::{Duties, Replicator};
use super::{Context, Exit, agent};
use crate::{
    cli::DoctorArgs,
    credential,
    failure::Failure,
    printer::{
        Beside, Cell, Row,
        words::{count, size, took},
    },
};

/// A pool that is fuller makes ZFS slow, and soon stops replication.
const FULL_PERCENT: u64 = 90;
/// Clocks further apart make ages misleading.
const SKEW_SECONDS: u64 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Pass,
    Warn,
    Fail,
}

impl Verdict {
    const fn word(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
        }
    }
}

/// One check.
#[derive(Debug, Serialize)]
struct Check {
    verdict: Verdict,
    #[serde(rename = "check")]
    name: &'static str,
    code: Option<String>,
    detail: String,
    fix: Option<String>,
}

impl Check {
    fn pass(name: &'static str, detail: impl Into<String>) -> Self {
        Self { verdict: Verdict::Pass, name, code: None, detail: detail.into(), fix: None }
    }

    fn warn(name: &'static str, detail: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warn, ..Self::pass(name, detail) }
    }

    fn fail(name: &'static str, code: &str, detail: impl Into<String>) -> Self {
        Self { verdict: Verdict::Fail, code: Some(code.to_owned()), ..Self::pass(name, detail) }
    }

    fn code(mut self, code: ErrorCode) -> Self {
        self.code = Some(code.code().to_owned());
        self
    }

    fn fix(mut self, command: impl Into<String>) -> Self {
        self.fix = Some(command.into());
        self
    }
}

impl Row for Check {
    const COLUMNS: &'static [&'static str] = &["", "check", "finding", "fix"];
    const FIELDS: &'static [&'static str] = &["verdict", "check", "code", "detail", "fix"];

    fn cells(&self, _now: Timestamp) -> Vec<Cell> {
        let detail = match &self.code {
            Some(code) => format!("{code}: {}", self.detail),
            None => self.detail.clone(),
        };
        vec![
            Cell::verdict(self.verdict.word(), self.verdict == Verdict::Pass),
            Cell::text(self.name),
            Cell::text(detail),
            Cell::text(self.fix.clone().unwrap_or_default()),
        ]
    }

    fn fields(&self) -> Vec<String> {
        vec![
            self.verdict.word().to_lowercase(),
            self.name.to_owned(),
            self.code.clone().unwrap_or_default(),
            self.detail.clone(),
            self.fix.clone().unwrap_or_default(),
        ]
    }
}

pub(super) async fn run(context: &Context, arguments: &DoctorArgs) -> Result<Exit, Failure> {
    let mut checks = Vec::new();
    let enrolled = check_agent(&agent::data_dir(arguments.data_dir.as_ref()), &mut checks);
    let mut duties: Duties =
        arguments.sources.iter().map(|dataset| (Duty::Source, dataset.clone())).collect();
    duties.extend(arguments.targets.iter().map(|dataset| (Duty::Target, dataset.clone())));
    // With another host, what is named is named there.
    let mut here = if arguments.peers.is_empty() { duties.clone() } else { Duties::new() };
    if let Some(identity) = &enrolled {
        here.extend(duties_by_witness(context, identity).await);
    }
    check_zfs(enrolled.is_some(), arguments, &here, &mut checks).await;
    checks.push(check_ssh());
    for text in &arguments.peers {
        peer::check(text, &arguments.ssh, &duties, &mut checks).await;
    }
    check_witness(context, enrolled.as_ref(), &mut checks).await;
    let failed = checks.iter().filter(|check| check.verdict == Verdict::Fail).count();
    context.printer.rows("doctor", &checks, &Beside::default(), context.now())?;
    if context.printer.is_table() {
        let warned = checks.iter().filter(|check| check.verdict == Verdict::Warn).count();
        context
            .printer
            .say(format!("{} passed, {warned} doubtful, {failed} failed", checks.len() - warned - failed));
    }
    Ok(if failed > 0 { Exit::Failed } else { Exit::Done })
}

fn check_agent(data_dir: &camino::Utf8Path, checks: &mut Vec<Check>) -> Option<Identity> {
    match identity::load(data_dir) {
        Ok((identity, _key)) => {
            let detail = format!("enrolled as {} with {}", identity.hostname, identity.witness);
            checks.push(Check::pass("agent.enrolled", detail));
            // Whoever runs there holds the lock; trying takes and gives it back.
            checks.push(match DataDirLock::acquire(data_dir) {
                Err(IdentityError::Locked { .. }) => Check::pass("agent.running", "the agent runs"),
                _ => Check::warn("agent.running", "the agent does not run").fix("zfs-sync agent run"),
            });
            Some(identity)
        }
        Err(IdentityError::NotEnrolled { .. }) => {
            let detail =
                format!("this host is not enrolled ({data_dir}); a witness or a workstation need not be");
            let fix = "zfs-sync agent enroll http://WITNESS:8000 --token-file FILE";
            checks.push(Check::warn("agent.enrolled", detail).code(ErrorCode::NotEnrolled).fix(fix));
            None
        }
        Err(error @ IdentityError::KeyUnsafe { .. }) => {
            let code = error.code();
            let fix = format!("chmod 600 {}", data_dir.join("agent.key"));
            checks.push(Check::fail("agent.enrolled", code.code(), error.to_string()).fix(fix));
            None
        }
        Err(error) => {
            let cause =
                std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            checks.push(Check::fail("agent.enrolled", error.code().code(), format!("{error}{cause}")));
            None
        }
    }
}

/// What the witness says of this system, where there is a key for it.
async fn duties_by_witness(context: &Context, identity: &Identity) -> Duties {
    let Ok(Some(credential)) = credential::find(context.global.key_file.as_deref()) else {
        return Duties::new();
    };
    match Client::new(&identity.witness, Some(credential.key)) {
        Ok(client) => permission::duties_of(&client, &identity.hostname).await,
        Err(_) => Duties::new(),
    }
}

async fn check_zfs(enrolled: bool, arguments: &DoctorArgs, duties: &Duties, checks: &mut Vec<Check>) {
    let runner = LocalRunner::new();
    let features = match Features::probe(&runner).await {
        Ok(features) => features,
        Err(error) if !enrolled => {
            let detail =
                format!("ZFS can not be used here ({}); a witness or a workstation need not", error.status);
            let mut check = Check::warn("zfs.version", detail);
            check.code = Some(error.code().to_owned());
            checks.push(check);
            return;
        }
        Err(error) => {
            checks.push(Check::fail("zfs.version", error.code(), error.to_string()));
            return;
        }
    };
    let versions = format!("tools {}, kernel module {}", features.userland, features.kernel);
    let release = |version: &str| version.split(['-', '.']).take(2).collect::<Vec<_>>().join(".");
    checks.push(if release(&features.userland) == release(&features.kernel) {
        Check::pass("zfs.version", versions)
    } else {
        Check::warn(
            "zfs.version",
            format!("{versions}: of different releases; load the newer module, or restart"),
        )
    });
    checks.push(if features.resumable {
        Check::pass("zfs.resume", "interrupted transfers are continued")
    } else {
        Check::warn(
            "zfs.resume",
            "this version continues interrupted transfers with known faults; 2.1 or later does it well",
        )
    });
    check_release(&features, checks);
    check_pools(&runner, "zfs.pools", checks).await;
    let replicator = Replicator::here(arguments.user.as_deref());
    match arguments.ssh.privilege {
        Privilege::Own if replicator.user == "root" => checks.push(Check::pass("zfs.permission", "root")),
        Privilege::Own => permission::check(&runner, &replicator, duties, "zfs.permission", checks).await,
        privilege => checks.push(permission::check_privilege(privilege, &replicator.user).await),
    }
    if arguments.probe {
        let runner = runner.clone().through(arguments.ssh.privilege);
        for (duty, dataset) in duties {
            probe::check(&runner, &features, (*duty, dataset), checks).await;
        }
    }
    foreign::check(&runner, &features, duties, checks).await;
}

/// What is known of this release, and what older ones lack.
fn check_release(features: &Features, checks: &mut Vec<Check>) {
    for (code, consequence) in features.reductions() {
        let mut check = Check::warn("zfs.features", consequence);
        check.code = Some(code.code().to_owned());
        checks.push(check);
    }
    for advisory in features.release().map(advisories).unwrap_or_default() {
        let mut check = if advisory.is_avoided {
            Check::pass("zfs.release", advisory.detail)
        } else {
            Check::warn("zfs.release", advisory.detail).fix("install a release that has it mended")
        };
        check.code = Some(advisory.code.code().to_owned());
        checks.push(check);
    }
}

async fn check_pools(runner: &dyn Runner, name: &'static str, checks: &mut Vec<Check>) {
    let output = match runner.run(&Command::ListPools).await {
        Ok(output) => output,
        Err(error) => {
            checks.push(Check::fail(name, error.code(), error.to_string()));
            return;
        }
    };
    let pools = match parse::pools(&output.stdout) {
        Ok(pools) => pools,
        Err(error) => {
            checks.push(Check::fail(name, ErrorCode::ZfsOutput.code(), error.to_string()));
            return;
        }
    };
    if pools.is_empty() {
        checks.push(
            Check::warn(name, "no pool is imported").code(ErrorCode::PoolUnavailable).fix("zpool import"),
        );
    }
    for pool in pools {
        let used = (pool.allocated.saturating_mul(100)).checked_div(pool.size).unwrap_or_default();
        let detail = format!("{} is {}, {} free, {used} % used", pool.name, pool.health, size(pool.free));
        let status = format!("zpool status {}", pool.name);
        checks.push(match pool.health.as_str() {
            "ONLINE" if used < FULL_PERCENT => Check::pass(name, detail),
            "ONLINE" => Check::warn(name, detail).code(ErrorCode::NoSpace).fix(status),
            "DEGRADED" => Check::warn(name, detail).fix(status),
            _ => Check::fail(name, ErrorCode::PoolUnavailable.code(), detail).fix(status),
        });
    }
}

fn check_ssh() -> Check {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&path).map(|folder| folder.join("ssh")).find(|program| program.is_file());
    match found {
        Some(program) => Check::pass("ssh.client", program.display().to_string()),
        None => Check::warn("ssh.client", "no ssh in PATH; other hosts can not be reached"),
    }
}

async fn check_witness(context: &Context, enrolled: Option<&Identity>, checks: &mut Vec<Check>) {
    let address = match context.witness() {
        Ok(address) => address,
        Err(failure) => {
            checks.push(Check::fail("witness.reachable", failure.code(), failure.detail()));
            return;
        }
    };
    let default =
        std::env::var_os("ZFS_SYNC_URL").is_none() && context.global.server == crate::cli::DEFAULT_SERVER;
    // On a host that is enrolled its own witness is meant, unless another one is named.
    let address = enrolled.filter(|_| default).map_or(address, |identity| identity.witness.clone());
    let started = tokio::time::Instant::now();
    let health = match Client::new(&address, None) {
        Ok(client) => client.health().await,
        Err(error) => Err(error),
    };
    match health {
        Ok(health) => {
            let detail = format!(
                "{address} answers in {}, version {}, database {}",
                took(started.elapsed()),
                health.version,
                health.database
            );
            let same = health.version == env!("CARGO_PKG_VERSION");
            checks.push(if same {
                Check::pass("witness.reachable", detail)
            } else {
                Check::warn(
                    "witness.reachable",
                    format!("{detail}; this program is {}", env!("CARGO_PKG_VERSION")),
                )
            });
        }
        Err(ClientError::Refused(problem)) => {
            checks.push(Check::fail("witness.reachable", &problem.code, problem.detail_text()));
            return;
        }
        Err(error) => {
            checks.push(Check::fail("witness.reachable", error.code().code(), error.to_string()));
            return;
        }
    }
    check_key(context, &address, checks).await;
}

async fn check_key(context: &Context, address: &url::Url, checks: &mut Vec<Check>) {
    let credential = match credential::find(context.global.key_file.as_deref()) {
        Ok(Some(credential)) => credential,
        Ok(None) => {
            let detail = "no key for the witness, so clocks were not compared; `agent run` has its own";
            checks.push(Check::warn("witness.key", detail).code(ErrorCode::CredentialMissing));
            return;
        }
        Err(failure) => {
            let mut check = Check::fail("witness.key", failure.code(), failure.detail());
            check.fix = failure.first_fix();
            checks.push(check);
            return;
        }
    };
    let asked = match Client::new(address, Some(credential.key)) {
        Ok(client) => client.status().await,
        Err(error) => Err(error),
    };
    match asked {
        Ok(status) => {
            checks
                .push(Check::pass("witness.key", format!("the key from {} is accepted", credential.origin)));
            let apart = context.now().duration_since(status.as_of).as_secs().unsigned_abs();
            checks.push(if apart <= SKEW_SECONDS {
                Check::pass("witness.clock", "both clocks agree")
            } else {
                Check::warn(
                    "witness.clock",
                    format!(
                        "both clocks are {} apart; ages mislead until they agree",
                        count(apart, "second")
                    ),
                )
                .fix("timedatectl")
            });
        }
        Err(error) => {
            let detail = format!("the key from {}: {error}", credential.origin);
            checks.push(Check::fail("witness.key", error.code().code(), detail));
        }
    }
}
