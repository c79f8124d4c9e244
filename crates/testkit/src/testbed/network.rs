//! The network between machines: one `vde_switch` per testbed, reachable only through a unix socket of this run.
//!
//! Every machine has two cards. `eth0` is the emulator's own user network: the test reaches the machine's ssh
//! through a forwarded port on 127.0.0.1, and the machine reaches servers of the test at [`HOST`]. `eth1` is on
//! the switch, with a static address that the other machines know by name.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::process::{Bound, mortal_command};
use super::wait_until;

/// Where a machine finds what listens on 127.0.0.1 of the test's own host.
pub const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

/// The address of the machine with this index on the network between machines.
pub(super) fn address_of(index: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 168, 77, 11 + index)
}

/// The hardware address of the card on that network. The switch tells machines apart by it.
pub(super) fn hardware_address_of(index: u8) -> String {
    format!("52:54:00:77:00:{:02x}", 11 + index)
}

/// A port of 127.0.0.1 that is free now. Somebody may take it before the emulator does, who then says so.
pub(super) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("could not find a free port")?;
    Ok(listener.local_addr().context("could not find a free port")?.port())
}

/// The running switch.
#[derive(Debug)]
pub(super) struct Switch {
    socket: PathBuf,
    /// Ends with this value. Its standard input is a pipe from us that says nothing: the switch also ends at
    /// the end of its input.
    _process: Bound,
}

impl Switch {
    pub(super) fn start(directory: &Path) -> Result<Self> {
        let socket = directory.join("switch");
        let mut command = mortal_command("vde_switch");
        command.arg("-sock").arg(&socket);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = Bound::start(command)?;
        wait_until(Duration::from_secs(10), "the network switch to listen", || {
            if let Some(status) = process.ended()? {
                bail!("vde_switch ended ({status})");
            }
            Ok(socket.join("ctl").exists().then_some(()))
        })?;
        Ok(Self { socket, _process: process })
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }
}
