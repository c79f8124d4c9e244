//! Both hosts of a transfer, ready for the engine.

use std::sync::Arc;

use zfs_sync_api::{
    codes::ErrorCode,
    v1::agent::{Peer, TransferOutcome},
};
use zfs_sync_core::plan::Step;
use zfs_sync_zfs::{features::Features, runner::Runner};

use super::Shared;
use crate::engine::Sides;

/// Both hosts.
#[derive(Debug)]
pub(super) struct Hosts {
    source: (Arc<dyn Runner>, Features),
    target: (Arc<dyn Runner>, Features),
}

impl Hosts {
    /// As the engine takes them.
    pub(super) fn sides(&self) -> Sides<'_> {
        let ((source, source_features), (target, target_features)) = (&self.source, &self.target);
        Sides { source: &**source, target: &**target, source_features, target_features }
    }

    /// Reaches the peer, and asks what it can do.
    pub(super) async fn connect(
        shared: &Shared,
        step: &Step,
        peer: Option<&Peer>,
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
        let Some(peer) = peer else { return Ok(Self { source: local.clone(), target: local }) };
        let runner = shared.connector.runner(peer);
        let runner = runner
            .map_err(|error| failed(error.code.code(), error.to_string(), error.code.is_retryable()))?;
        let host = runner.host().to_owned();
        let remote = shared.peers.meet(&peer.hostname, runner).await.map_err(|error| {
            let detail = format!("could not use ZFS on {host}: {error}");
            failed(error.code(), detail, error.is_retryable())
        })?;
        Ok(if push { Self { source: local, target: remote } } else { Self { source: remote, target: local } })
    }
}

pub(super) fn failed(code: &str, detail: String, retryable: bool) -> TransferOutcome {
    TransferOutcome::Failed { code: code.to_owned(), detail, retryable }
}
