//! Both hosts of a transfer, ready for the engine.

use std::sync::Arc;

use zfs_sync_api::{
    codes::ErrorCode,
    v1::{
        agent::{Peer, TransferOutcome},
        certificate::TransportUsed,
    },
};
use zfs_sync_core::plan::Step;
use zfs_sync_zfs::{error::Error, features::Features, runner::Runner};

use super::Shared;
use crate::{
    engine::Sides,
    tls::{Transport, pass::Pass, runner::TlsRunner},
};

/// Both hosts.
#[derive(Debug)]
pub(super) struct Hosts {
    source: (Arc<dyn Runner>, Features),
    target: (Arc<dyn Runner>, Features),
    /// How the peer is reached; `None` without one.
    transport: Option<TransportUsed>,
}

impl Hosts {
    /// As the engine takes them.
    pub(super) fn sides(&self) -> Sides<'_> {
        let Self { source: (source, source_features), target: (target, target_features), transport: _ } =
            self;
        Sides { source: &**source, target: &**target, source_features, target_features }
    }

    /// How the peer is reached; `None` without one.
    pub(super) fn transport(&self) -> Option<TransportUsed> {
        self.transport.clone()
    }

    /// Reaches the peer, over TLS where `pass` admits to it, and asks what it can do.
    pub(super) async fn connect(
        shared: &Shared,
        step: &Step,
        peer: Option<&Peer>,
        pass: Option<&Arc<Pass>>,
        push: bool,
    ) -> Result<Self, TransferOutcome> {
        let ours = if push { step.source_system } else { step.target_system };
        if ours != shared.system_id {
            // Executing it all the same would read or write datasets of another host's plan here.
            return Err(failed(ErrorCode::Internal.code(), format!("the step is for system {ours}"), false));
        }
        let local = match shared.local_features.get() {
            Some(features) => (Arc::clone(&shared.local), features.clone()),
            None => {
                return Err(failed(ErrorCode::Internal.code(), "the agent has not begun".to_owned(), true));
            }
        };
        let Some(peer) = peer else {
            return Ok(Self { source: local.clone(), target: local, transport: None });
        };
        let (runner, features, transport) = reach(shared, peer, pass).await?;
        let (remote, transport) = ((runner, features), Some(transport));
        let (source, target) = if push { (local, remote) } else { (remote, local) };
        Ok(Self { source, target, transport })
    }
}

type Reached = (Arc<dyn Runner>, Features, TransportUsed);

/// TLS where the peer listens and this agent may, else ssh. What failed over TLS goes by ssh only where both are allowed, and never unseen.
async fn reach(shared: &Shared, peer: &Peer, pass: Option<&Arc<Pass>>) -> Result<Reached, TransferOutcome> {
    let tls = match (shared.transport, &peer.tls, pass) {
        (Transport::Auto | Transport::Tls, Some(address), Some(pass))
            if shared.connections.has_certificate() =>
        {
            Some((address, pass))
        }
        (Transport::Tls, _, _) => {
            let hostname = &peer.hostname;
            let detail = format!(
                "this agent reaches others over TLS alone; {hostname} does not listen, or one of both has no certificate"
            );
            return Err(failed(ErrorCode::TlsUnreachable.code(), detail, true));
        }
        _ => None,
    };
    let Some((address, pass)) = tls else { return by_ssh(shared, peer, None).await };
    let (connections, name) = (Arc::clone(&shared.connections), peer.hostname.clone());
    let runner: Arc<dyn Runner> =
        Arc::new(TlsRunner::new(connections, address.clone(), name, Arc::clone(pass)));
    match Features::probe(&*runner).await {
        Ok(features) => Ok((runner, features, TransportUsed { kind: "tls".to_owned(), note: None })),
        Err(error)
            if error.kind.is_transport()
                && shared.transport == Transport::Auto
                && peer.ssh_hostname.is_some() =>
        {
            let note = error.stderr.trim().to_owned();
            tracing::warn!(
                code = error.code(),
                "reaches {} by ssh, because over TLS it can not: {note}",
                peer.hostname
            );
            by_ssh(shared, peer, Some(note)).await
        }
        Err(error) => Err(unusable(&*runner, &error)),
    }
}

async fn by_ssh(shared: &Shared, peer: &Peer, note: Option<String>) -> Result<Reached, TransferOutcome> {
    let runner = shared.connector.runner(peer);
    let runner =
        runner.map_err(|error| failed(error.code.code(), error.to_string(), error.code.is_retryable()))?;
    let met = shared.peers.meet(&peer.hostname, Arc::clone(&runner)).await;
    let (runner, features) = met.map_err(|error| unusable(&*runner, &error))?;
    Ok((runner, features, TransportUsed { kind: "ssh".to_owned(), note }))
}

fn unusable(runner: &dyn Runner, error: &Error) -> TransferOutcome {
    let detail = format!("could not use ZFS on {}: {error}", runner.host());
    failed(error.code(), detail, error.is_retryable())
}

pub(super) fn failed(code: &str, detail: String, retryable: bool) -> TransferOutcome {
    TransferOutcome::Failed { code: code.to_owned(), detail, retryable }
}
