//! Two machines with OpenZFS 2.3, their agents, and a witness outside.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use async_trait::async_trait;
use secrecy::SecretString;
use tempfile::TempDir;
use zfs_sync_api::{client::Client, v1::key::CreateEnrolmentToken};
use zfs_sync_testkit::{
    failures,
    staged::{History, Line, Machines, Side},
    testbed::{
        Background, Bound, HOST, Machine, MachineSpec, Suite, Testbed, mortal_command, quote, wait_until,
    },
};

/// What a script's lines may use besides `zfs`, and who says which line it was that went wrong.
const PRELUDE: &str = r#"set -e
trap 'status=$?; [ $status = 0 ] || echo "failed at: $at" >&2' EXIT
write() {
  if [ "$(zfs get -H -o value type "$1")" = volume ]; then
    until dd if=/dev/urandom of="/dev/zvol/$1" bs=1M count=1 conv=nocreat,fsync status=none 2>/dev/null; do sleep 0.1; done
  else
    [ "$(zfs get -H -o value mounted "$1")" = yes ] || zfs mount "$1"
    dd if=/dev/urandom of="$(zfs get -H -o value mountpoint "$1")/$(date +%s%N)" bs=1M count=1 status=none
  fi
  zpool sync tank
}
create_encrypted() {
  [ -e /root/key ] || head -c 32 /dev/urandom > /root/key
  zfs create -o encryption=on -o keyformat=raw -o keylocation=file:///root/key "$1"
}
release() {
  zfs holds -H "$1" | cut -f2 | while read -r tag; do zfs release "$tag" "$1"; done
}
destroy_bookmarks() {
  zfs list -H -d 1 -t bookmark -o name "$1" | while read -r name; do zfs destroy "$name"; done
}
"#;

/// What a case does to its datasets, done by shells.
pub(crate) struct RealMachines {
    testbed: Arc<Testbed>,
    agents: Vec<(Side, Background)>,
    client: Client,
    directory: TempDir,
    _witness: Bound,
}

impl RealMachines {
    /// Boots both machines and starts a witness here and an agent on each.
    pub(crate) async fn start() -> Result<Self> {
        let binary = PathBuf::from(
            std::env::var_os("ZFS_SYNC_BINARY")
                .context("ZFS_SYNC_BINARY must name the zfs-sync binary; ci/test sets it")?,
        );
        ensure!(binary.is_file(), "{} is no file", binary.display());
        let spec = |side: Side| {
            MachineSpec::new(side.host(), Suite::Trixie).with_file(&binary, "/usr/local/bin/zfs-sync", 0o755)
        };
        let testbed = Arc::new(Testbed::start(&Side::BOTH.map(spec))?);
        let directory = tempfile::tempdir()?;
        let (witness, port) = start_witness(&binary, directory.path())?;
        let key = std::fs::read_to_string(directory.path().join("data/admin.key")).context("read the key")?;
        let client =
            Client::new(&format!("http://127.0.0.1:{port}").parse()?, Some(SecretString::from(key.trim())))?;
        let mut agents = Vec::new();
        for side in Side::BOTH {
            let machine = testbed.machine(side.host());
            machine.create_pool("tank")?;
            let token = client.create_enrolment_token(&CreateEnrolmentToken::default()).await?;
            machine.write("/root/token", token.token, 0o600)?;
            machine.ok(&format!(
                "zfs-sync agent enroll http://{HOST}:{port} --token-file /root/token --hostname {side} && rm /root/token"
            ))?;
            agents.push((side, machine.spawn("exec zfs-sync agent run")?));
        }
        Ok(Self { testbed, agents, client, directory, _witness: witness })
    }

    /// From which OpenZFS to which: `2.3 → 2.3`.
    pub(crate) fn versions(&self) -> Result<String> {
        let version = |side: Side| {
            Ok::<_, anyhow::Error>(failures::short_version(&self.testbed.machine(side.host()).zfs_version()?))
        };
        Ok(format!("{} → {}", version(Side::Source)?, version(Side::Target)?))
    }

    /// The last words of everybody, for a run that failed.
    pub(crate) fn describe(&self) -> String {
        let mut text = String::new();
        for (side, agent) in &self.agents {
            let log = self.testbed.machine(side.host()).ok(&format!("tail -n 40 {}", agent.log));
            text = format!("{text}--- agent on {side}\n{}\n", log.unwrap_or_default());
        }
        let log = std::fs::read_to_string(self.directory.path().join("witness.log")).unwrap_or_default();
        let log: Vec<&str> = log.lines().collect();
        format!("{text}--- witness\n{}", log[log.len().saturating_sub(40)..].join("\n"))
    }

    /// Runs something that waits for ssh, away from the threads that talk to the witness.
    async fn on<T: Send + 'static>(
        &self,
        side: Side,
        work: impl FnOnce(&Machine) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let testbed = Arc::clone(&self.testbed);
        tokio::task::spawn_blocking(move || work(testbed.machine(side.host()))).await?
    }
}

#[async_trait]
impl Machines for RealMachines {
    fn client(&self) -> &Client {
        &self.client
    }

    async fn operate(&self, side: Side, lines: &[Line]) -> Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let script = PRELUDE.to_owned() + &lines.iter().map(shell_text).collect::<String>();
        self.on(side, move |machine| machine.ok(&script).map(drop)).await
    }

    async fn throttle(&self, bytes_per_second: Option<u64>) -> Result<()> {
        let change = match bytes_per_second {
            Some(bytes) => {
                format!("replace dev $dev root tbf rate {}bit burst 32kb latency 400ms", bytes * 8)
            }
            None => "del dev $dev root".to_owned(),
        };
        let to = Side::Target;
        let line = format!(
            "dev=$(ip -o route get $(getent hosts {to} | cut -d' ' -f1) | sed 's/.* dev \\([^ ]*\\).*/\\1/'); tc qdisc {change}"
        );
        self.on(Side::Source, move |machine| machine.ok(&line).map(drop)).await
    }

    async fn histories(&self, side: Side) -> Result<BTreeMap<String, History>> {
        let text = self
            .on(side, |machine| {
                machine.ok("zfs list -Hp -r -t filesystem,volume,snapshot -o name,guid -s createtxg tank")
            })
            .await?;
        let mut histories = BTreeMap::<String, History>::new();
        for line in text.lines() {
            let (name, guid) = line.split_once('\t').with_context(|| format!("odd line {line}"))?;
            match name.split_once('@') {
                None => drop(histories.entry(name.to_owned()).or_default()),
                Some((dataset, label)) => {
                    let history = histories.entry(dataset.to_owned()).or_default();
                    history.push((label.to_owned(), guid.parse()?));
                }
            }
        }
        Ok(histories)
    }

    async fn origins(&self, side: Side) -> Result<BTreeMap<String, String>> {
        let line = "zfs list -H -r -t filesystem,volume -o name,origin tank";
        let text = self.on(side, move |machine| machine.ok(line)).await?;
        let pairs = text.lines().map(|line| {
            let (name, origin) = line.split_once('\t').with_context(|| format!("odd line {line}"))?;
            Ok((name.to_owned(), origin.to_owned()))
        });
        pairs.collect()
    }

    async fn encrypted(&self, side: Side) -> Result<BTreeSet<String>> {
        let line = "zfs list -H -r -t filesystem,volume -o name,encryption tank";
        let text = self.on(side, move |machine| machine.ok(line)).await?;
        let pairs = text.lines().filter_map(|line| line.split_once('\t'));
        Ok(pairs.filter(|(_, value)| *value != "off").map(|(name, _)| name.to_owned()).collect())
    }

    async fn left_behind(&self, side: Side) -> Result<Vec<String>> {
        let text = self
            .on(side, |machine| {
                machine.ok("zfs list -H -r -t filesystem,volume -o receive_resume_token tank | sed '/^-$/d'
                    zfs list -Hp -r -t snapshot -o name,userrefs tank | awk -F '\\t' '$2 > 0 { print $1 }' \
                    | xargs -r -d '\\n' zfs holds -H | grep zfs-sync:step || true")
            })
            .await?;
        Ok(text.lines().map(str::to_owned).collect())
    }
}

fn shell_text(line: &Line) -> String {
    let (at, command) = (quote(&line.to_string()), &line.command);
    if line.refused {
        format!("at={at}\nif {command}; then echo 'it was not refused' >&2; exit 1; fi\n")
    } else {
        format!("at={at}\n{command}\n")
    }
}

/// Starts a witness and waits until it says where it listens.
fn start_witness(binary: &Path, directory: &Path) -> Result<(Bound, u16)> {
    let (said, log) = (directory.join("witness.out"), directory.join("witness.log"));
    // The machines reach this machine's loopback at their gateway's address, so nothing listens on any network.
    let mut command = mortal_command(binary);
    command
        .args(["server", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(directory.join("data"))
        .env("ZFS_SYNC_LOG_LEVEL", "INFO")
        .stdin(Stdio::null())
        .stdout(File::create(&said)?)
        .stderr(File::create(&log)?);
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
