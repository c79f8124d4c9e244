//! One virtual machine with real OpenZFS.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::image::{Image, Suite};
use super::network;
use super::process::{self, Bound, POLL, mortal_command};
use super::seed::Keys;
use super::ssh::{Door, Output, Session};

/// From the start of the emulator to a shell. It takes 15 s alone; four machines beside a compiler take minutes.
const BOOT_LIMIT: Duration = Duration::from_mins(5);

/// For one command. Long enough for a transfer of a few hundred megabytes under emulation.
const COMMAND_LIMIT: Duration = Duration::from_mins(5);

/// What a machine should be.
#[derive(Debug, Clone)]
pub struct MachineSpec {
    /// Its host name, by which the other machines know it.
    pub name: String,
    /// Its Debian, and with it its OpenZFS.
    pub suite: Suite,
    /// Memory; ZFS takes up to half for its cache.
    pub memory_mib: u32,
    /// Size of the disk for [`Machine::create_pool`]. Costs nothing until it is written.
    pub pool_disk_mib: u32,
    /// Files it has from its first boot: for what is too large for 4 MB/s of emulated ssh, such as our own binary.
    pub files: Vec<SeedFile>,
}

impl MachineSpec {
    /// A machine with 1 GiB of memory and a disk of 1 GiB for a pool.
    pub fn new(name: impl Into<String>, suite: Suite) -> Self {
        Self { name: name.into(), suite, memory_mib: 1024, pool_disk_mib: 1024, files: Vec::new() }
    }

    /// Adds a file that the machine has from its first boot.
    #[must_use]
    pub fn with_file(mut self, local: impl Into<PathBuf>, remote: impl Into<String>, mode: u32) -> Self {
        self.files.push(SeedFile { local: local.into(), remote: remote.into(), mode });
        self
    }
}

/// A file of the host that a machine has from its first boot.
#[derive(Debug, Clone)]
pub struct SeedFile {
    /// Where it is here.
    pub local: PathBuf,
    /// Its absolute path there.
    pub remote: String,
    /// Its permissions there.
    pub mode: u32,
}

/// A process started by [`Machine::spawn`].
#[derive(Debug, Clone)]
pub struct Background {
    /// Its process id in the machine; it leads a session and a process group of this number.
    pub pid: u32,
    /// The file in the machine that has its output. It survives a reboot.
    pub log: String,
}

/// A machine, on from [`super::Testbed::start`] until the testbed is dropped.
///
/// All methods take `&self`, so tests on several threads can share it.
#[derive(Debug)]
pub struct Machine {
    spec: MachineSpec,
    index: u8,
    directory: PathBuf,
    image: Image,
    keys: Arc<Keys>,
    switch: PathBuf,
    spawned: AtomicU32,
    boots: AtomicU32,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    door: Door,
    // Fields drop in this order: first the connection, then the machine it leads to.
    _session: Session,
    _emulator: Bound,
}

impl Machine {
    /// Makes its disks and boots it.
    pub(super) fn create(
        spec: MachineSpec,
        index: u8,
        run: &Path,
        image: Image,
        keys: Arc<Keys>,
        switch: &Path,
    ) -> Result<Self> {
        let directory = run.join(&spec.name);
        fs::create_dir(&directory).with_context(|| format!("could not create {}", directory.display()))?;
        let machine = Self {
            spec,
            index,
            directory,
            image,
            keys,
            switch: switch.to_owned(),
            spawned: AtomicU32::new(0),
            boots: AtomicU32::new(0),
            running: Mutex::new(None),
        };
        machine.create_disks()?;
        machine.power_on()?;
        Ok(machine)
    }

    /// Its host name.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Its Debian.
    pub fn suite(&self) -> Suite {
        self.spec.suite
    }

    /// Its OpenZFS as `zfs version` prints it, such as `zfs-2.3.9-1`.
    pub fn zfs_version(&self) -> Result<String> {
        self.image.zfs_version()
    }

    /// Its address on the network between machines.
    pub fn address(&self) -> Ipv4Addr {
        network::address_of(self.index)
    }

    /// Runs a line by root's shell in the machine. An error means that ssh failed or that the line took minutes.
    pub fn run(&self, line: &str) -> Result<Output> {
        self.run_for(line, COMMAND_LIMIT)
    }

    /// Like [`Machine::run`] with a limit of time of its own.
    pub fn run_for(&self, line: &str, limit: Duration) -> Result<Output> {
        self.door()?.run(line, Stdio::null(), limit)
    }

    /// Runs a line that must succeed and returns its standard output.
    pub fn ok(&self, line: &str) -> Result<String> {
        self.succeeded(line, self.run(line)?)
    }

    /// Copies a file of the host into the machine, atomically, so that a running program can be replaced.
    pub fn copy_to(&self, local: impl AsRef<Path>, remote: &str, mode: u32) -> Result<()> {
        let local = local.as_ref();
        let file = File::open(local).with_context(|| format!("could not open {}", local.display()))?;
        self.receive_file(file.into(), remote, mode)
    }

    /// Writes a file in the machine, atomically.
    pub fn write(&self, remote: &str, content: impl AsRef<[u8]>, mode: u32) -> Result<()> {
        // One of its own: several may be on their way.
        let file =
            tempfile::NamedTempFile::new_in(&self.directory).context("could not make a file to send")?;
        fs::write(&file, content).with_context(|| format!("could not write {}", file.path().display()))?;
        self.copy_to(&file, remote, mode)
    }

    /// Copies a file of the machine to the host.
    pub fn copy_from(&self, remote: &str, local: impl AsRef<Path>) -> Result<()> {
        let local = local.as_ref();
        let file = File::create(local).with_context(|| format!("could not create {}", local.display()))?;
        let line = format!("cat {}", quote(remote));
        self.succeeded(&line, self.door()?.run_into(&line, file, COMMAND_LIMIT)?)?;
        Ok(())
    }

    /// Starts a line by the shell as a process of its own that outlives this call, and writes its output to a log.
    ///
    /// Begin the line with `exec` to be sure that the process id is the program's and not its shell's.
    pub fn spawn(&self, line: &str) -> Result<Background> {
        let number = self.spawned.fetch_add(1, Ordering::Relaxed);
        let log = format!("/var/log/spawned-{number}.log");
        let printed =
            self.ok(&format!("setsid nohup sh -c {} >{log} 2>&1 </dev/null & echo $!", quote(line)))?;
        let pid = printed.trim().parse().with_context(|| format!("no process id in `{printed}`"))?;
        Ok(Background { pid, log })
    }

    /// Whether the process exists, zombies aside.
    pub fn is_alive(&self, pid: u32) -> Result<bool> {
        // The state follows the name, which may contain spaces but ends with the last parenthesis.
        Ok(self.run(&format!("sed 's/.*) //' /proc/{pid}/stat | grep -q '^[^ZX]'"))?.is_success())
    }

    /// Sends a signal by its name, such as `TERM`.
    pub fn signal(&self, pid: u32, signal: &str) -> Result<()> {
        self.ok(&format!("kill -s {signal} {pid}"))?;
        Ok(())
    }

    /// Ends one process without a chance to tidy up, and not its children: what a crash looks like.
    pub fn kill9(&self, pid: u32) -> Result<()> {
        self.signal(pid, "KILL")
    }

    /// Creates a pool with this name on the machine's second disk.
    pub fn create_pool(&self, name: &str) -> Result<()> {
        self.ok(&format!("zpool create -f {name} /dev/vdb"))?;
        Ok(())
    }

    /// Creates a pool with this name in a file: as many as a test wants, in a second each.
    pub fn create_file_pool(&self, name: &str, size_mib: u32) -> Result<()> {
        let file = format!("/var/lib/pools/{name}");
        self.ok(&format!(
            "mkdir -p /var/lib/pools && truncate -s {size_mib}M {file} && zpool create -f {name} {file}"
        ))?;
        Ok(())
    }

    /// Destroys a pool with all its data, and the file it may have been in.
    pub fn destroy_pool(&self, name: &str) -> Result<()> {
        self.ok(&format!("zpool destroy -f {name} && rm -f /var/lib/pools/{name}"))?;
        Ok(())
    }

    /// Takes its power away and gives it back: same disks, and everything lost that was not on them.
    pub fn reboot_hard(&self) -> Result<()> {
        self.power_off()?;
        self.power_on()
    }

    /// Takes its power away. Commands fail until [`Machine::power_on`].
    pub fn power_off(&self) -> Result<()> {
        *self.lock() = None;
        Ok(())
    }

    /// Boots it from its disks and waits for its shell. Does nothing when it is on.
    pub fn power_on(&self) -> Result<()> {
        let mut running = self.lock();
        if running.is_none() {
            *running = Some(self.boot().with_context(|| format!("could not boot {}", self.spec.name))?);
        }
        Ok(())
    }

    /// What it wrote to its console since it was last powered on.
    pub fn serial_log(&self) -> Result<String> {
        let file = self.serial_file(self.boots.load(Ordering::Relaxed));
        let bytes = fs::read(&file).with_context(|| format!("could not read {}", file.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Running>> {
        // A test that panicked while it held the lock leaves an `Option` that is still right.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn door(&self) -> Result<Door> {
        match self.lock().as_ref() {
            Some(running) => Ok(running.door.clone()),
            None => bail!("{} is powered off", self.spec.name),
        }
    }

    fn succeeded(&self, line: &str, output: Output) -> Result<String> {
        let Output { status, stdout, stderr } = output;
        if status != 0 {
            bail!("`{line}` on {} exited with {status}\nstdout: {stdout}\nstderr: {stderr}", self.spec.name);
        }
        Ok(stdout)
    }

    fn receive_file(&self, content: Stdio, remote: &str, mode: u32) -> Result<()> {
        let partial = quote(&format!("{remote}.partial"));
        let remote = quote(remote);
        let line = format!(
            "mkdir -p \"$(dirname {remote})\" && cat >{partial} && chmod {mode:o} {partial} && mv {partial} {remote}"
        );
        self.succeeded(&line, self.door()?.run(&line, content, COMMAND_LIMIT)?)?;
        Ok(())
    }

    fn create_disks(&self) -> Result<()> {
        process::output(
            process::command("qemu-img")
                .args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"])
                .arg(self.image.disk())
                .arg(self.disk("system.qcow2")),
        )?;
        let pool = self.disk("pool.raw");
        File::create(&pool)
            .and_then(|file| file.set_len(u64::from(self.spec.pool_disk_mib) << 20))
            .with_context(|| format!("could not create {}", pool.display()))?;
        self.keys.write_seed(self.index, &self.spec, &self.disk("seed.tar"))
    }

    fn disk(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn serial_file(&self, boot: u32) -> PathBuf {
        self.directory.join(format!("serial-{boot}.log"))
    }

    fn boot(&self) -> Result<Running> {
        let deadline = Instant::now() + BOOT_LIMIT;
        let (emulator, port) = self.start_emulator(deadline)?;
        let door = Door {
            name: self.spec.name.clone(),
            port,
            key: self.keys.operator_key(),
            known_hosts: self.keys.known_hosts_file(),
            control: self.directory.join("ssh"),
        };
        let session = Session::open(&door, deadline)?;
        Ok(Running { door, _session: session, _emulator: emulator })
    }

    /// Starts the emulator and waits for the machine's ready marker. Again when somebody was faster to take the
    /// free port that was chosen for it.
    fn start_emulator(&self, deadline: Instant) -> Result<(Bound, u16)> {
        let errors = self.disk("emulator.log");
        loop {
            let port = network::free_port()?;
            let boot = self.boots.fetch_add(1, Ordering::Relaxed) + 1;
            let mut command = self.emulator(port, &self.serial_file(boot));
            command.stdin(Stdio::null()).stdout(Stdio::null());
            command.stderr(
                File::create(&errors).with_context(|| format!("could not create {}", errors.display()))?,
            );
            let mut emulator = Bound::start(command)?;
            let trouble = match self.await_ready(&mut emulator, deadline)? {
                Ready::Yes => return Ok((emulator, port)),
                Ready::No(trouble) => trouble,
            };
            let said = fs::read_to_string(&errors).unwrap_or_default();
            if !said.contains("host forwarding") {
                let console = self.serial_log().unwrap_or_default();
                let console = last_lines(&console, 60);
                bail!("{trouble}; emulator: `{}`; its console ended with:\n{console}", said.trim_end());
            }
        }
    }

    fn emulator(&self, port: u16, serial: &Path) -> std::process::Command {
        let Self { spec, index, image, switch, .. } = self;
        let mut command = mortal_command("qemu-system-x86_64");
        // /dev/kvm may be offered and yet hang the guest, so always emulate.
        command.args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2"]);
        command.args(["-m", &spec.memory_mib.to_string()]);
        // After a kernel panic the emulator ends, and with it the wait for the machine.
        command.args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]);
        command.arg("-kernel").arg(image.kernel()).arg("-initrd").arg(image.initrd());
        command.args(["-append", &self.kernel_command_line()]);
        command.args(["-serial", &format!("file:{}", serial.display())]);
        // `unsafe` leaves out only the host's own disk cache: what the guest flushed survives its power cut.
        for (disk, format) in [("system.qcow2", "qcow2"), ("pool.raw", "raw"), ("seed.tar", "raw")] {
            let file = self.disk(disk);
            let drive = format!("file={},format={format},if=virtio,cache=unsafe", file.display());
            command.args(["-drive", &drive]);
        }
        command.args(["-object", "rng-random,id=entropy,filename=/dev/urandom"]);
        command.args(["-device", "virtio-rng-pci,rng=entropy"]);
        command.args(["-netdev", &format!("user,id=host,hostfwd=tcp:127.0.0.1:{port}-:22")]);
        command.args(["-device", "virtio-net-pci,netdev=host,romfile="]);
        command.args(["-netdev", &format!("vde,id=peers,sock={}", switch.display())]);
        let mac = network::hardware_address_of(*index);
        command.args(["-device", &format!("virtio-net-pci,netdev=peers,mac={mac},romfile=")]);
        command
    }

    fn kernel_command_line(&self) -> String {
        let (name, address) = (&self.spec.name, self.address());
        format!(
            "console=ttyS0 quiet panic=-1 mitigations=off net.ifnames=0 root=/dev/vda rw rootflags=noinit_itable \
             init=/sbin/vminit testbed.name={name} testbed.address={address}/24"
        )
    }

    fn await_ready(&self, emulator: &mut Bound, deadline: Instant) -> Result<Ready> {
        loop {
            // The emulator makes the file, a moment after its start.
            let console = self.serial_log().unwrap_or_default();
            if console.contains("testbed: ready") {
                return Ok(Ready::Yes);
            }
            if console.contains("testbed: failed") {
                return Ok(Ready::No("its init failed"));
            }
            if emulator.ended()?.is_some() {
                return Ok(Ready::No("the emulator ended"));
            }
            if Instant::now() > deadline {
                return Ok(Ready::No("it was not ready in time"));
            }
            std::thread::sleep(POLL);
        }
    }
}

enum Ready {
    Yes,
    No(&'static str),
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// Makes one word of a shell's line from any text.
pub fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
