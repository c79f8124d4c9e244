//! The machines and the witness.

use std::{
    fs::File,
    path::PathBuf,
    process::{Command, Stdio},
    sync::{LazyLock, Mutex},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;
use zfs_sync_testkit::testbed::{
    Bound, HOST, Machine, MachineSpec, Suite, Testbed, mortal_command, quote, wait_until,
};

/// What a transfer of a megabyte may take on emulated machines.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

static BEDS: LazyLock<Beds> = LazyLock::new(|| Beds::start().expect("the machines start"));

pub(crate) fn beds() -> &'static Beds {
    &BEDS
}

#[derive(Debug)]
pub(crate) struct Beds {
    testbed: Testbed,
    directory: TempDir,
    _witness: Mutex<Bound>,
    port: u16,
}

fn binary() -> Result<PathBuf> {
    let path =
        std::env::var_os("ZFS_SYNC_BINARY").context("ZFS_SYNC_BINARY must name the zfs-sync binary")?;
    Ok(PathBuf::from(path))
}

impl Beds {
    fn start() -> Result<Self> {
        let binary = binary()?;
        let specs: Vec<_> = [("nas1", Suite::Trixie), ("nas2", Suite::Trixie), ("old", Suite::Bookworm)]
            .into_iter()
            .map(|(name, suite)| {
                MachineSpec::new(name, suite).with_file(&binary, "/usr/local/bin/zfs-sync", 0o755)
            })
            .collect();
        let testbed = Testbed::start(&specs)?;
        for machine in testbed.machines() {
            machine.create_pool("tank")?;
            // Users who log in to each other as root does.
            for user in ["repl", "deputy"] {
                machine.ok(&format!(
                    "useradd --create-home --shell /bin/bash {user} && cp -a /root/.ssh /home/{user}/ && chown -R {user}: /home/{user}/.ssh"
                ))?;
            }
        }
        let directory = tempfile::tempdir()?;
        let (witness, port) = start_witness(&directory)?;
        Ok(Self { testbed, directory, _witness: Mutex::new(witness), port })
    }

    pub(crate) fn machine(&self, name: &str) -> &Machine {
        self.testbed.machine(name)
    }

    /// The witness, as the machines reach it.
    pub(crate) fn witness(&self) -> String {
        format!("http://{HOST}:{}", self.port)
    }

    /// Runs the command line against the witness, as an operator outside would.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Result<String> {
        #[expect(clippy::disallowed_methods, reason = "the binary under test is a process of its own")]
        let output = Command::new(binary()?)
            .args(arguments)
            .env("ZFS_SYNC_URL", format!("http://127.0.0.1:{}", self.port))
            .env("ZFS_SYNC_API_KEY_FILE", self.directory.path().join("data/admin.key"))
            .stdin(Stdio::null())
            .output()?;
        ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Puts an enrolment token into a file of a machine.
    pub(crate) fn token(&self, machine: &str, file: &str) -> Result<()> {
        let token = self.cli(&["system", "token", "create"])?;
        self.machine(machine).write(file, token.trim(), 0o644)
    }

    /// Makes a file system with some random data and a first snapshot `one`.
    pub(crate) fn make_dataset(&self, machine: &str, dataset: &str) -> Result<()> {
        self.machine(machine).ok(&format!(
            "zfs create -p {dataset} && dd if=/dev/urandom of=/{dataset}/payload bs=64k count=16 status=none && zfs snapshot {dataset}@one"
        ))?;
        Ok(())
    }

    pub(crate) fn guids(&self, machine: &str, dataset: &str) -> Result<Vec<String>> {
        let output = self
            .machine(machine)
            .run(&format!("zfs list -Hp -d 1 -t snapshot -s createtxg -o guid {dataset}"))?;
        Ok(output.stdout.lines().map(str::to_owned).collect())
    }

    /// Waits until both have the same snapshots, by GUID.
    pub(crate) fn wait_for_same(&self, source: (&str, &str), target: (&str, &str)) -> Result<()> {
        wait_until(PATIENCE, &format!("{target:?} to follow {source:?}"), || {
            let (there, here) = (self.guids(source.0, source.1)?, self.guids(target.0, target.1)?);
            Ok((!there.is_empty() && there == here).then_some(()))
        })
    }

    /// The findings of `doctor` there, which may find something to be wrong.
    pub(crate) fn doctor(&self, machine: &str, arguments: &str) -> Result<Vec<Value>> {
        let output = self.machine(machine).run(&format!("zfs-sync doctor {arguments} -o json"))?;
        let answer: Value = serde_json::from_str(&output.stdout)
            .with_context(|| format!("{}{}", output.stdout, output.stderr))?;
        Ok(answer["items"].as_array().context("items")?.clone())
    }

    /// Runs, verbatim, what `doctor` says under a check.
    pub(crate) fn apply_fixes(&self, machine: &str, arguments: &str, check: &str) -> Result<Vec<String>> {
        let findings = self.doctor(machine, arguments)?;
        let fixes = findings.iter().filter(|finding| finding["check"] == check);
        let fixes: Vec<String> =
            fixes.filter_map(|finding| finding["fix"].as_str()).map(str::to_owned).collect();
        for fix in &fixes {
            self.machine(machine).ok(fix)?;
        }
        Ok(fixes)
    }
}

/// A line for a user's shell.
pub(crate) fn as_user(user: &str, line: &str) -> String {
    format!("su - {user} -c {}", quote(line))
}

fn start_witness(directory: &TempDir) -> Result<(Bound, u16)> {
    let (said, log) = (directory.path().join("witness.out"), directory.path().join("witness.log"));
    let mut command = mortal_command(binary()?);
    command
        .args(["server", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(directory.path().join("data"))
        .stdin(Stdio::null())
        .stdout(File::create(&said)?)
        .stderr(File::create(&log)?);
    let mut witness = Bound::start(command)?;
    let port = wait_until(Duration::from_secs(30), "the witness to say where it listens", || {
        let text = std::fs::read_to_string(&said)? + &std::fs::read_to_string(&log)?;
        if let Some(status) = witness.ended()? {
            bail!("the witness ended with {status}: {text}");
        }
        let rest = text.split_once("http://127.0.0.1:").map(|(_, rest)| rest.to_owned());
        Ok(rest
            .and_then(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()))
    })?;
    Ok((witness, port))
}
