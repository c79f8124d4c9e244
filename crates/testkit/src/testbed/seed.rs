//! What differs from run to run: keys, host keys, names. Each machine gets its part as a tar archive on a disk.
//!
//! All keys are made here before anything boots, so every machine knows every other's host key from its first
//! second and strict host-key checking stays on everywhere, as it would be on a well kept fleet.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::process;
use super::{MachineSpec, network};

/// The keys of one run.
#[derive(Debug)]
pub(super) struct Keys {
    directory: PathBuf,
    machines: Vec<MachineKeys>,
}

#[derive(Debug)]
struct MachineKeys {
    name: String,
    address: Ipv4Addr,
    /// Root's own key on that machine, for replication to the others.
    root: KeyPair,
    host: KeyPair,
}

#[derive(Debug)]
struct KeyPair {
    private: PathBuf,
    public: String,
}

impl Keys {
    pub(super) fn generate(directory: &Path, specs: &[MachineSpec]) -> Result<Self> {
        let mut machines = Vec::new();
        for (index, spec) in (0u8..).zip(specs) {
            machines.push(MachineKeys {
                name: spec.name.clone(),
                address: network::address_of(index),
                root: generate(
                    &directory.join(format!("{}-root", spec.name)),
                    &format!("root@{}", spec.name),
                )?,
                host: generate(&directory.join(format!("{}-host", spec.name)), &spec.name)?,
            });
        }
        generate(&directory.join("operator"), "operator")?;
        let keys = Self { directory: directory.to_owned(), machines };
        write_private(&keys.known_hosts_file(), &keys.known_hosts())?;
        Ok(keys)
    }

    /// The private key the test itself logs in with.
    pub(super) fn operator_key(&self) -> PathBuf {
        self.directory.join("operator")
    }

    /// The host keys of all machines, by name and by address between machines.
    pub(super) fn known_hosts_file(&self) -> PathBuf {
        self.directory.join("known_hosts")
    }

    fn known_hosts(&self) -> String {
        let mut text = String::new();
        for machine in &self.machines {
            let MachineKeys { name, address, host, root: _ } = machine;
            let _ = writeln!(text, "{name},{address} {}", host.public);
        }
        text
    }

    fn hosts(&self) -> String {
        let mut text = format!("127.0.0.1 localhost\n{} host\n", network::HOST);
        for machine in &self.machines {
            let _ = writeln!(text, "{} {}", machine.address, machine.name);
        }
        text
    }

    fn authorized_keys(&self) -> Result<String> {
        let operator = self.directory.join("operator.pub");
        let mut text = fs::read_to_string(&operator)
            .with_context(|| format!("could not read {}", operator.display()))?;
        for machine in &self.machines {
            let _ = writeln!(text, "{}", machine.root.public);
        }
        Ok(text)
    }

    /// Writes the archive for one machine to `archive`.
    pub(super) fn write_seed(&self, index: u8, spec: &MachineSpec, archive: &Path) -> Result<()> {
        let machine = &self.machines[usize::from(index)];
        let mut tree = Tree::create(archive.with_extension("tree"))?;
        tree.write("etc/hosts", &self.hosts(), 0o644)?;
        tree.write("root/.ssh/authorized_keys", &self.authorized_keys()?, 0o600)?;
        tree.write("root/.ssh/known_hosts", &self.known_hosts(), 0o600)?;
        tree.copy(&machine.root.private, "root/.ssh/id_ed25519", 0o600)?;
        tree.write("root/.ssh/id_ed25519.pub", &machine.root.public, 0o644)?;
        tree.copy(&machine.host.private, "etc/ssh/ssh_host_ed25519_key", 0o600)?;
        tree.write("etc/ssh/ssh_host_ed25519_key.pub", &machine.host.public, 0o644)?;
        for file in &spec.files {
            tree.copy(&file.local, file.remote.trim_start_matches('/'), file.mode)?;
        }
        tree.archive(archive)
    }
}

fn generate(file: &Path, comment: &str) -> Result<KeyPair> {
    process::output(
        process::command("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f"]).arg(file),
    )?;
    let public = fs::read_to_string(file.with_added_extension("pub"))
        .with_context(|| format!("could not read the public key of {}", file.display()))?;
    Ok(KeyPair { private: file.to_owned(), public: public.trim_end().to_owned() })
}

fn write_private(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("could not write {}", file.display()))?;
    set_mode(file, 0o600)
}

fn set_mode(file: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(file, Permissions::from_mode(mode))
        .with_context(|| format!("could not set the mode of {}", file.display()))
}

/// Files on their way into an archive. Directories are not archived, except root's `.ssh`: unpacking must not
/// change the mode of directories that the machine has already.
#[derive(Debug)]
struct Tree {
    directory: PathBuf,
    members: BTreeSet<String>,
}

impl Tree {
    fn create(directory: PathBuf) -> Result<Self> {
        let ssh = directory.join("root/.ssh");
        fs::create_dir_all(&ssh).with_context(|| format!("could not create {}", ssh.display()))?;
        set_mode(&ssh, 0o700)?;
        Ok(Self { directory, members: BTreeSet::from(["root/.ssh".to_owned()]) })
    }

    fn place_for(&mut self, member: &str) -> Result<PathBuf> {
        let place = self.directory.join(member);
        let parent = place.parent().expect("a member is below the tree's directory");
        fs::create_dir_all(parent).with_context(|| format!("could not create {}", parent.display()))?;
        self.members.insert(member.to_owned());
        Ok(place)
    }

    fn write(&mut self, member: &str, text: &str, mode: u32) -> Result<()> {
        let place = self.place_for(member)?;
        fs::write(&place, text).with_context(|| format!("could not write {}", place.display()))?;
        set_mode(&place, mode)
    }

    fn copy(&mut self, from: &Path, member: &str, mode: u32) -> Result<()> {
        let place = self.place_for(member)?;
        fs::copy(from, &place).with_context(|| format!("could not copy {}", from.display()))?;
        set_mode(&place, mode)
    }

    /// Packs and removes the tree. The archive's length is a multiple of a disk's sector size, as tar makes it.
    fn archive(self, archive: &Path) -> Result<()> {
        let mut tar = process::command("tar");
        tar.args(["--create", "--owner=root:0", "--group=root:0", "--no-recursion", "--file"]).arg(archive);
        tar.arg("--directory").arg(&self.directory).args(&self.members);
        process::output(&mut tar)?;
        fs::remove_dir_all(&self.directory)
            .with_context(|| format!("could not remove {}", self.directory.display()))
    }
}
