//! The fleet and the questions scenarios ask it.

use std::{
    collections::BTreeMap,
    fs::File,
    future::Future,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{LazyLock, Mutex, MutexGuard},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use secrecy::SecretString;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use zfs_sync_api::{
    client::{Client, ClientError, TransferQuery},
    v1::{group::Group, replica::Replica, transfer::Transfer},
};
use zfs_sync_core::plan::ReplicaState;
use zfs_sync_testkit::{
    failures::{self, Extent, Row, short_version},
    testbed::{Background, Bound, HOST, Machine, MachineSpec, Suite, Testbed, mortal_command, wait_until},
};

/// What a transfer of some megabytes may take on emulated machines.
pub(crate) const PATIENCE: Duration = Duration::from_mins(3);

static FLEET: LazyLock<Fleet> = LazyLock::new(|| Fleet::start().expect("the fleet starts"));

/// The fleet, started by whoever asks first.
pub(crate) fn fleet() -> &'static Fleet {
    &FLEET
}

/// A witness here and agents on three machines.
#[derive(Debug)]
pub(crate) struct Fleet {
    testbed: Testbed,
    directory: TempDir,
    witness: Mutex<Option<Bound>>,
    agents: Mutex<BTreeMap<String, Background>>,
    port: u16,
    runtime: Runtime,
    client: Client,
}

/// Says a figure that docs/MEASUREMENTS.md quotes.
#[expect(clippy::print_stdout, reason = "a test that measures says what it measured")]
pub(crate) fn figure(text: &str) {
    println!("{text}");
}

/// Puts what a scenario saw into docs/FAILURES.md, or compares it with that: in words that are the same every time.
pub(crate) fn seen(number: &str, title: &str, expected: &str, seen: &str) -> Result<()> {
    let version = |name| Ok::<_, anyhow::Error>(short_version(&fleet().machine(name).zfs_version()?));
    let row = Row {
        number: number.to_owned(),
        title: title.to_owned(),
        expected: expected.to_owned(),
        seen: seen.to_owned(),
        versions: format!("{} → {}", version("nas1")?, version("nas2")?),
        suite: failures::Suite::Fleet,
    };
    failures::compare(failures::Suite::Fleet, &[row], Extent::Named)
}

fn binary() -> Result<PathBuf> {
    let path = std::env::var_os("ZFS_SYNC_BINARY")
        .context("ZFS_SYNC_BINARY must name the zfs-sync binary; ci/test sets it")?;
    let path = PathBuf::from(path);
    ensure!(path.is_file(), "{} is no file", path.display());
    Ok(path)
}

#[expect(clippy::disallowed_methods, reason = "the binary under test is a process of its own")]
fn program() -> Result<Command> {
    Ok(Command::new(binary()?))
}

impl Fleet {
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
        }
        let directory = tempfile::tempdir()?;
        let (child, port) = start_witness(directory.path(), 0)?;
        let key =
            std::fs::read_to_string(directory.path().join("data/admin.key")).context("read the admin key")?;
        let client =
            Client::new(&format!("http://127.0.0.1:{port}").parse()?, Some(SecretString::from(key.trim())))?;
        let fleet = Self {
            testbed,
            directory,
            witness: Mutex::new(Some(child)),
            agents: Mutex::default(),
            port,
            runtime: Runtime::new()?,
            client,
        };
        for name in ["nas1", "nas2", "old"] {
            fleet.enrol(name)?;
            fleet.start_agent(name)?;
        }
        Ok(fleet)
    }

    fn enrol(&self, name: &str) -> Result<()> {
        let token = self.cli(&["system", "token", "create"])?;
        let machine = self.machine(name);
        machine.write("/root/token", token.trim(), 0o600)?;
        let url = format!("http://{HOST}:{}", self.port);
        machine.ok(&format!("zfs-sync agent enroll {url} --token-file /root/token --hostname {name}"))?;
        machine.ok("rm /root/token")?;
        Ok(())
    }

    /// A machine by name.
    pub(crate) fn machine(&self, name: &str) -> &Machine {
        self.testbed.machine(name)
    }

    /// Starts the agent of a machine.
    pub(crate) fn start_agent(&self, name: &str) -> Result<()> {
        self.start_agent_with(name, "")
    }

    /// The same, with these options.
    pub(crate) fn start_agent_with(&self, name: &str, options: &str) -> Result<()> {
        let agent = self.machine(name).spawn(&format!("exec zfs-sync agent run {options}"))?;
        lock(&self.agents).insert(name.to_owned(), agent);
        Ok(())
    }

    /// Kills the agent of a machine, and only it: what it started is left to find out by itself.
    pub(crate) fn kill_agent(&self, name: &str) -> Result<()> {
        let agent = lock(&self.agents).remove(name).context("this agent is not running")?;
        self.machine(name).kill9(agent.pid)
    }

    /// Kills the witness.
    pub(crate) fn kill_witness(&self) -> Result<()> {
        lock(&self.witness).take().context("the witness is not running")?.kill();
        Ok(())
    }

    /// Starts the witness again on its port and database.
    pub(crate) fn start_witness(&self) -> Result<()> {
        let (child, _) = start_witness(self.directory.path(), self.port)?;
        *lock(&self.witness) = Some(child);
        Ok(())
    }

    /// Runs the command line as an operator would and answers its standard output.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Result<String> {
        let output = self.cli_output(arguments)?;
        ensure!(
            output.status.success(),
            "zfs-sync {} ended with {}\n{}{}",
            arguments.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?)
    }

    /// The same, whatever its exit code.
    pub(crate) fn cli_output(&self, arguments: &[&str]) -> Result<Output> {
        Ok(program()?
            .args(arguments)
            .env("ZFS_SYNC_URL", format!("http://127.0.0.1:{}", self.port))
            .env("ZFS_SYNC_API_KEY_FILE", self.directory.path().join("data/admin.key"))
            .env("XDG_CONFIG_HOME", self.directory.path())
            .stdin(Stdio::null())
            .output()?)
    }

    /// Asks the witness.
    pub(crate) fn ask<T, F: Future<Output = Result<T, ClientError>>>(
        &self,
        question: impl FnOnce(Client) -> F,
    ) -> Result<T> {
        Ok(self.runtime.block_on(question(self.client.clone()))?)
    }

    /// Says where others reach a system by ssh; without an address it fetches instead of being sent to.
    #[expect(clippy::disallowed_methods, reason = "an explicit null is what only a script sends")]
    pub(crate) fn set_ssh_hostname(&self, system: &str, address: Option<&str>) -> Result<()> {
        let systems = self.ask(|client| async move { client.list_systems().await })?;
        let id = systems.iter().find(|known| known.hostname == system).context("the system is enrolled")?.id;
        let key = std::fs::read_to_string(self.directory.path().join("data/admin.key"))?;
        let header = self.directory.path().join("header");
        std::fs::write(&header, format!("X-API-Key: {}\n", key.trim()))?;
        let status = Command::new("curl")
            .args(["--silent", "--show-error", "--fail", "--output", "/dev/null", "--request", "PUT"])
            .arg("--header")
            .arg(format!("@{}", header.display()))
            .args(["--json", &serde_json::json!({ "ssh_hostname": address }).to_string()])
            .arg(format!("http://127.0.0.1:{}/api/v1/systems/{id}", self.port))
            .status()?;
        ensure!(status.success(), "the witness refused the address of {system}");
        Ok(())
    }

    /// A group's definition, by name.
    pub(crate) fn group(&self, name: &str) -> Result<Group> {
        let groups = self.ask(|client| async move { client.list_groups().await })?;
        groups.into_iter().find(|group| group.name == name).with_context(|| format!("no group {name}"))
    }

    /// The replicas of a group.
    pub(crate) fn replicas(&self, group: &str) -> Result<Vec<Replica>> {
        let id = self.group(group)?.id;
        self.ask(|client| async move { client.list_replicas(Some(id)).await })
    }

    /// The transfers of a group, newest first.
    pub(crate) fn transfers(&self, group: &str) -> Result<Vec<Transfer>> {
        let query =
            TransferQuery { group: Some(self.group(group)?.id), limit: 200, ..TransferQuery::default() };
        self.ask(|client| async move { client.list_transfers(&query).await })
    }

    /// Waits until `count` replicas of the group have this state, and all of them do.
    pub(crate) fn wait_for_state(&self, group: &str, count: usize, state: &str) -> Result<()> {
        let waited = wait_until(PATIENCE, &format!("{count} replicas of {group} to be {state}"), || {
            // A witness that is down for the moment is asked again.
            let Ok(replicas) = self.replicas(group) else { return Ok(None) };
            Ok((replicas.len() == count && replicas.iter().all(|replica| replica.state.as_str() == state))
                .then_some(()))
        });
        waited.with_context(|| self.describe(group))
    }

    /// Waits until the newest snapshot of each source dataset is, by GUID, the newest of its target, as `zfs` on both machines says.
    ///
    /// The witness is asked first: it answers from here, while each `zfs list` costs an emulated machine what it needs for its transfers.
    pub(crate) fn wait_for_newest(
        &self,
        group: &str,
        machines: (&str, &str),
        datasets: &[(String, String)],
    ) -> Result<()> {
        let newest: Vec<String> =
            datasets.iter().map(|(source, _)| self.newest_guid(machines.0, source)).collect::<Result<_>>()?;
        let waited = wait_until(PATIENCE, &format!("the newest snapshots of {group} to arrive"), || {
            let Ok(replicas) = self.replicas(group) else { return Ok(None) };
            if replicas.iter().any(|replica| replica.state != ReplicaState::InSync) {
                return Ok(None);
            }
            for ((_, target), newest) in datasets.iter().zip(&newest) {
                if self.newest_guid(machines.1, target)? != *newest {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        });
        waited.with_context(|| self.describe(group))
    }

    /// Waits until a transfer of the group has moved eight megabytes and is not at its end. The socket buffers on the way hold some of them.
    pub(crate) fn wait_for_mid_transfer(&self, group: &str) -> Result<Transfer> {
        let waited = wait_until(PATIENCE, &format!("a transfer of {group} to be under way"), || {
            let transfers = self.transfers(group)?;
            Ok(transfers
                .into_iter()
                .find(|transfer| transfer.state == "leased" && transfer.bytes > 8_000_000))
        });
        waited.with_context(|| self.describe(group))
    }

    /// Everything that helps to understand a failed wait.
    pub(crate) fn describe(&self, group: &str) -> String {
        let replicas = self.replicas(group).unwrap_or_default().into_iter().map(|replica| {
            let Replica { target, target_system, state, reason, report, .. } = replica;
            format!("{target} on {target_system}: {state} {reason:?}; {}", report.next)
        });
        let transfers = self.transfers(group).unwrap_or_default().into_iter().map(|transfer| {
            let Transfer { source, target, state, attempts, bytes, resumed_from, error_code, error_detail, .. } =
                transfer;
            format!(
                "transfer {source} → {target}: {state}, attempt {attempts}, {bytes} bytes after {resumed_from:?}, \
                 {error_code:?} {error_detail:?}"
            )
        });
        let mut lines: Vec<String> = replicas.chain(transfers).collect();
        for (name, agent) in lock(&self.agents).iter() {
            let log = self.machine(name).ok(&format!("tail -n 25 {}", agent.log)).unwrap_or_default();
            lines.push(format!("--- agent on {name}\n{log}"));
        }
        lines.push("--- witness".into());
        let log = std::fs::read_to_string(self.directory.path().join("witness.log")).unwrap_or_default();
        let log: Vec<&str> = log.lines().collect();
        lines.extend(log[log.len().saturating_sub(25)..].iter().map(|&line| line.to_owned()));
        lines.join("\n")
    }

    /// `label → guid` of a dataset's snapshots, as `zfs` on that machine says.
    pub(crate) fn guids(&self, machine: &str, dataset: &str) -> Result<BTreeMap<String, String>> {
        let lines =
            self.machine(machine).ok(&format!("zfs list -Hp -d 1 -t snapshot -o name,guid '{dataset}'"))?;
        lines
            .lines()
            .map(|line| {
                let (name, guid) = line.split_once('\t').with_context(|| format!("odd line {line}"))?;
                let label = name.split_once('@').context("a snapshot has a label")?.1;
                Ok((label.to_owned(), guid.to_owned()))
            })
            .collect()
    }

    /// The newest snapshot's GUID, or nothing where there is none.
    pub(crate) fn newest_guid(&self, machine: &str, dataset: &str) -> Result<String> {
        let line = format!("zfs list -Hp -d 1 -t snapshot -s createtxg -o guid '{dataset}' | tail -n 1");
        Ok(self.machine(machine).ok(&line)?.trim().to_owned())
    }

    /// Fails unless both datasets have the same snapshots by GUID.
    pub(crate) fn assert_same(&self, source: (&str, &str), target: (&str, &str)) -> Result<()> {
        let (there, here) = (self.guids(source.0, source.1)?, self.guids(target.0, target.1)?);
        ensure!(!there.is_empty(), "{}:{} has no snapshot", source.0, source.1);
        ensure!(there == here, "{source:?} has {there:?}, {target:?} has {here:?}");
        Ok(())
    }

    /// Waits until no hold of a step and no partial receive is left for `dataset` on either machine.
    ///
    /// A replica is in step as soon as both machines have reported its newest snapshot: what the step held is let go a moment later.
    pub(crate) fn assert_nothing_left(&self, source: (&str, &str), target: (&str, &str)) -> Result<()> {
        for (name, dataset) in [source, target] {
            let mut left = String::new();
            let waited = wait_until(PATIENCE, &format!("nothing to be left of a step on {name}"), || {
                left = self.left(name, dataset)?;
                Ok(left.is_empty().then_some(()))
            });
            waited.with_context(|| format!("{name}:{dataset} still has\n{left}"))?;
        }
        Ok(())
    }

    /// Tokens of partial receives and holds of steps.
    fn left(&self, machine: &str, dataset: &str) -> Result<String> {
        self.machine(machine).ok(&format!(
            "zfs get -Hp -o value receive_resume_token '{dataset}' | sed '/^-$/d'
            zfs list -H -d 1 -t snapshot -o name '{dataset}' | while read -r s; do zfs holds -H \"$s\"; done | grep zfs-sync:step || true"
        ))
    }

    /// Makes a file system with `mebibytes` of random data and a first snapshot `one`.
    pub(crate) fn make_dataset(&self, machine: &str, dataset: &str, mebibytes: u32) -> Result<()> {
        self.machine(machine).ok(&format!(
            "zfs create -p '{dataset}' && dd if=/dev/urandom of='/{dataset}/payload' bs=1M count={mebibytes} status=none && zfs snapshot '{dataset}@one'"
        ))?;
        Ok(())
    }

    /// Creates a group from `nas1` (or another source) to one target, starting steps by itself.
    pub(crate) fn make_group(
        &self,
        name: &str,
        source: &str,
        target: &str,
        dataset: &str,
        map: &str,
    ) -> Result<()> {
        let systems = format!("{source},{target}");
        self.cli(&[
            "group",
            "create",
            "--name",
            name,
            "--systems",
            &systems,
            "--source-of-truth",
            source,
            "--dataset",
            dataset,
            "--map",
            map,
            "--auto",
        ])?;
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Starts a witness and waits until it says where it listens.
fn start_witness(directory: &Path, port: u16) -> Result<(Bound, u16)> {
    let (said, log) = (directory.join("witness.out"), directory.join("witness.log"));
    // The machines reach this machine's loopback at their gateway's address, so nothing listens on any network.
    let mut command = mortal_command(binary()?);
    command
        .args(["server", "--listen", &format!("127.0.0.1:{port}"), "--data-dir"])
        .arg(directory.join("data"))
        .env("ZFS_SYNC_LOG_LEVEL", "INFO")
        .stdin(Stdio::null())
        .stdout(File::create(&said)?)
        .stderr(File::options().create(true).append(true).open(&log)?);
    let mut witness = Bound::start(command)?;
    let port = wait_until(Duration::from_secs(30), "the witness to say where it listens", || {
        if let Some(status) = witness.ended()? {
            bail!("the witness ended with {status}: {}", std::fs::read_to_string(&log)?);
        }
        let text = std::fs::read_to_string(&said)? + &std::fs::read_to_string(&log)?;
        Ok(text.lines().rev().find_map(port_of))
    })?;
    Ok((witness, port))
}

/// The port in a line that names `http://127.0.0.1:PORT`.
fn port_of(line: &str) -> Option<u16> {
    let rest = line.split_once("http://127.0.0.1:")?.1;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}
