//! Who carries a step out, and where the other side is reached.

use std::collections::BTreeMap;

use zfs_sync_api::v1::{agent::Peer, certificate::TlsAddress};
use zfs_sync_core::{flow::Transport, ids::SystemId, plan::Step, time::Timestamp};
use zfs_sync_store::SystemRow;

/// What a person must do when nobody can carry a step out.
pub(crate) const fn no_address(transport: Transport) -> &'static str {
    match transport {
        Transport::Auto => NO_ADDRESS,
        Transport::Tls => NO_ADDRESS_OVER_TLS,
        Transport::Ssh => NO_ADDRESS_BY_SSH,
    }
}

const NO_ADDRESS_OVER_TLS: &str = "Nothing, until one of both systems can be reached over TLS from the other, which is all that the group \
     allows (`--transport tls`): start the agent of one with `--transfer-listen`, and see that both have certificates.";

const NO_ADDRESS_BY_SSH: &str = "Nothing, until one of both systems can be reached by ssh from the other, which is all that the group allows \
     (`--transport ssh`): set `ssh_hostname` of the target (the source then pushes) or of the source (the target then pulls).";

const NO_ADDRESS: &str = "Nothing, until one of both systems can be reached from the other: start the agent of one with \
     `--transfer-listen`, or set `ssh_hostname` of the target (the source then pushes) or of the source (the target then pulls).";

/// The system that carries the step out: the source pushes where the target can be reached, otherwise the target pulls. TLS comes before
/// ssh: that it works is known, while a name for ssh is only a name.
pub(crate) fn executor(
    step: &Step,
    systems: &BTreeMap<SystemId, SystemRow>,
    transport: Transport,
    now: Timestamp,
) -> Option<SystemId> {
    let Step { source_system, target_system, .. } = step;
    // What moves no data concerns the target alone; so does a copy within one system.
    if source_system == target_system || step.action.is_local() {
        return Some(*target_system);
    }
    let (source, target) = (systems.get(source_system)?, systems.get(target_system)?);
    let by_tls =
        |client, server| transport.allows_tls() && has_certificate(client, now) && tls(server, now).is_some();
    let by_ssh = |server: &SystemRow| transport.allows_ssh() && server.ssh_hostname.is_some();
    if by_tls(source, target) {
        Some(*source_system)
    } else if by_tls(target, source) {
        Some(*target_system)
    } else if by_ssh(target) {
        Some(*source_system)
    } else if by_ssh(source) {
        Some(*target_system)
    } else {
        None
    }
}

/// Where a system is reached by what may be used; `None`: nowhere. An agent can not use what it is not told.
pub(crate) fn address(system: &SystemRow, transport: Transport, now: Timestamp) -> Option<Peer> {
    let tls = tls(system, now).filter(|_| transport.allows_tls());
    let ssh_hostname = system.ssh_hostname.as_ref().filter(|_| transport.allows_ssh());
    if tls.is_none() && ssh_hostname.is_none() {
        return None;
    }
    Some(Peer {
        hostname: system.hostname.to_string(),
        ssh_hostname: ssh_hostname.map(ToString::to_string),
        ssh_user: system.ssh_user.clone(),
        ssh_port: system.ssh_port,
        tls,
    })
}

/// True when the system can show a certificate.
pub(crate) fn has_certificate(system: &SystemRow, now: Timestamp) -> bool {
    system.certificate_expires_at.is_some_and(|end| end > now)
}

/// Where a system's agent listens, whether or not it has a certificate: by the name it gave, else where ssh reaches it, else by its own.
pub(crate) fn listener(system: &SystemRow) -> Option<TlsAddress> {
    let listener = system.listener.as_ref()?;
    let host = listener.host.clone();
    let host = host.or_else(|| system.ssh_hostname.as_ref().map(ToString::to_string));
    let host = host.unwrap_or_else(|| system.hostname.to_string());
    Some(TlsAddress { system_id: system.id, host, port: listener.port })
}

fn tls(system: &SystemRow, now: Timestamp) -> Option<TlsAddress> {
    listener(system).filter(|_| has_certificate(system, now))
}
