//! Real OpenZFS in virtual machines: what a simulator claims is checked here.
//!
//! [`Testbed::start`] boots machines from an image that `tests/testbed/build-image` builds once per host, gives
//! each a disk for a pool, and joins them by a network that nobody else can reach. Everything is emulated, so no
//! hardware virtualisation and no kernel module is needed on the host; a machine boots in about 15 s, a command
//! takes 0.2 s, ssh between machines moves some MB/s. Keep payloads small: one megabyte proves as much as a thousand.
//!
//! A test file shares one testbed: `static TESTBED: LazyLock<Testbed>`, with a dataset or a
//! [`Machine::create_file_pool`] per test. Statics are not dropped, which is fine: processes end with the test,
//! and files it leaves are removed by the next run.
//!
//! Nothing here knows the product. Scenarios do.

mod image;
mod machine;
mod network;
mod process;
mod seed;
mod ssh;

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use tempfile::TempDir;

pub use image::Suite;
pub use machine::{Background, Machine, MachineSpec, SeedFile, quote};
pub use network::HOST;
pub use process::{Bound, mortal_command};
pub use ssh::Output;

use image::Image;
use network::Switch;
use process::POLL;
use seed::Keys;

/// Machines that know each other. Everything it started ends when it is dropped, or when the process dies.
#[derive(Debug)]
pub struct Testbed {
    // Fields drop in this order: machines before the switch between them before their files.
    machines: Vec<Machine>,
    _switch: Switch,
    _run: RunDirectory,
}

impl Testbed {
    /// Boots the machines, all at once, and waits until each answers by ssh.
    ///
    /// The first call on a host builds the image, which takes root and some six minutes.
    pub fn start(specs: &[MachineSpec]) -> Result<Self> {
        let run = RunDirectory::create()?;
        let mut images = BTreeMap::new();
        for spec in specs {
            if !images.contains_key(spec.suite.to_string().as_str()) {
                images.insert(spec.suite.to_string(), Image::of(spec.suite)?);
            }
        }
        let keys = Arc::new(Keys::generate(run.path(), specs)?);
        let switch = Switch::start(run.path())?;
        let machines = thread::scope(|scope| {
            let boots: Vec<_> = (0u8..)
                .zip(specs)
                .map(|(index, spec)| {
                    let image = images[spec.suite.to_string().as_str()].clone();
                    let (keys, run, switch) = (Arc::clone(&keys), run.path(), switch.socket());
                    scope.spawn(move || Machine::create(spec.clone(), index, run, image, keys, switch))
                })
                .collect();
            let joined = boots.into_iter().map(|boot| match boot.join() {
                Ok(machine) => machine,
                Err(_) => Err(anyhow!("the thread that booted a machine panicked")),
            });
            joined.collect::<Result<Vec<_>>>()
        })?;
        Ok(Self { machines, _switch: switch, _run: run })
    }

    /// The machine of this name.
    ///
    /// # Panics
    /// When no machine has it: the test is wrong.
    pub fn machine(&self, name: &str) -> &Machine {
        self.machines
            .iter()
            .find(|machine| machine.name() == name)
            .unwrap_or_else(|| panic!("this testbed has no machine `{name}`"))
    }

    /// All machines, in the order of their specs.
    pub fn machines(&self) -> &[Machine] {
        &self.machines
    }
}

/// Looks at a state again and again until it is there, and returns what was seen; an error of a look ends the wait.
pub fn wait_until<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(seen) = look().with_context(|| format!("waiting for {what}"))? {
            return Ok(seen);
        }
        if start.elapsed() > limit {
            bail!("waited {limit:?} in vain for {what}");
        }
        thread::sleep(POLL);
    }
}

/// The files of one run, under the system's directory for temporary ones: sockets have short paths there.
///
/// A lock says that the run lives. Directories without a living owner are removed by the next run: a test that is
/// killed, or that keeps its testbed in a static, cannot tidy up.
#[derive(Debug)]
struct RunDirectory {
    directory: TempDir,
    _lock: File,
}

const RUN_PREFIX: &str = "zfs-sync-testbed-";

impl RunDirectory {
    fn create() -> Result<Self> {
        Self::remove_abandoned();
        let directory = tempfile::Builder::new()
            .prefix(RUN_PREFIX)
            .tempdir()
            .context("could not create a run directory")?;
        // Locked before it has its name, so that nobody can find it unlocked.
        let new = directory.path().join("lock.new");
        let lock = File::create(&new).context("could not create the lock of a run directory")?;
        lock.lock().context("could not lock a run directory")?;
        fs::rename(&new, directory.path().join("lock"))
            .context("could not name the lock of a run directory")?;
        Ok(Self { directory, _lock: lock })
    }

    fn path(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// Best effort: whatever cannot be removed now is somebody else's or for the next run.
    fn remove_abandoned() {
        let Ok(entries) = fs::read_dir(std::env::temp_dir()) else { return };
        for entry in entries.flatten() {
            if !entry.file_name().to_string_lossy().starts_with(RUN_PREFIX) {
                continue;
            }
            let Ok(lock) = File::open(entry.path().join("lock")) else { continue };
            match lock.try_lock() {
                Ok(()) => drop(fs::remove_dir_all(entry.path())),
                Err(TryLockError::WouldBlock | TryLockError::Error(_)) => {}
            }
        }
    }
}
