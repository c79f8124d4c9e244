//! What this host and the witness know of the replicas that holds name.

use camino::{Utf8Path, Utf8PathBuf};
use zfs_sync_agent::{
    holdings::{Evidence, Holding, Knowledge},
    identity::{self, DataDirLock, IdentityError},
    ledger::Ledger,
};
use zfs_sync_api::{
    client::{Client, ClientError, TransferQuery},
    codes::ErrorCode,
    v1::{group::Note, replica::Replica, transfer::Transfer},
};
use zfs_sync_core::plan::{Action, Receiver, ReplicaState};

use super::super::{Context, agent, replicate};
use crate::{cli::OnHost, credential};

/// The most that the witness lists at once.
const TRANSFERS: u32 = 1000;

/// Everything that can be had, and doubts about what could not.
pub(super) async fn gather(
    context: &Context,
    holdings: &[Holding],
    on: &OnHost,
    data_dir: Option<&Utf8PathBuf>,
) -> (Evidence, Vec<Note>) {
    let mut evidence = Evidence::default();
    let mut doubts = Vec::new();
    add_witness(context, &mut evidence, &mut doubts).await;
    if on.host.is_none() {
        add_this_host(&agent::data_dir(data_dir), holdings, &mut evidence);
    }
    (evidence, doubts)
}

/// The ledger of the agent here, and which of the receivers are datasets of this host.
fn add_this_host(data_dir: &Utf8Path, holdings: &[Holding], evidence: &mut Evidence) {
    let mut systems = vec![(replicate::this_host_as_target(), "replicate")];
    if let Ok((identity, _key)) = identity::load(data_dir) {
        systems.push((identity.system_id, "agent"));
        // Whoever runs there holds the lock; trying takes and gives it back.
        let running = matches!(DataDirLock::acquire(data_dir), Err(IdentityError::Locked { .. }));
        evidence.add_ledger(&Ledger::look(data_dir), running);
    }
    for holding in holdings {
        let dataset = holding.place.dataset();
        for (system, by) in &systems {
            let receiver = Receiver::new(*system, dataset);
            if holding.receiver.as_deref() == Some(receiver.as_str()) {
                let why = "only the witness knows how it stands".to_owned();
                evidence.add(receiver.as_str(), format!("{dataset} here ({by})"), Knowledge::Unknown(why));
            }
        }
    }
}

async fn add_witness(context: &Context, evidence: &mut Evidence, doubts: &mut Vec<Note>) {
    let mut doubt = |code: &str, detail: String| {
        let detail = format!("the witness was not asked, so more than need be is unsure: {detail}");
        doubts.push(Note { code: code.to_owned(), detail });
    };
    let (address, credential) =
        match (context.witness(), credential::find(context.global.key_file.as_deref())) {
            (Ok(address), Ok(Some(credential))) => (address, credential),
            (_, Ok(None)) => {
                return doubt(ErrorCode::CredentialMissing.code(), "no key for it was found".to_owned());
            }
            (Err(failure), _) | (_, Err(failure)) => return doubt(failure.code(), failure.detail()),
        };
    let asked = async {
        let client = Client::new(&address, Some(credential.key))?;
        // Transfers last: what they need is needed, however the replicas stood a moment before.
        let replicas = client.list_replicas(None).await?;
        let query = TransferQuery { unfinished: true, limit: TRANSFERS, ..TransferQuery::default() };
        let transfers = client.list_transfers(&query).await?;
        Ok::<_, ClientError>((replicas, transfers))
    };
    match asked.await {
        // Those that are left out would be missing from what is needed.
        Ok((_, transfers)) if transfers.len() >= TRANSFERS as usize => {
            doubt(ErrorCode::Busy.code(), "it has too many transfers under way to look at all".to_owned());
        }
        Ok((replicas, transfers)) => {
            for replica in &replicas {
                add_replica(replica, evidence);
            }
            for transfer in &transfers {
                add_transfer(transfer, evidence);
            }
        }
        Err(error) => doubt(error.code().code(), error.to_string()),
    }
}

fn add_replica(replica: &Replica, evidence: &mut Evidence) {
    let Replica { group, source_system, target_system, source, target, report, .. } = replica;
    let name = format!("{group}: {source_system}:{source} → {target_system}:{target}");
    let unknown = || {
        let reason = report.reason.map_or("", |reason| reason.code());
        Knowledge::Unknown(format!("{} {reason}", report.state.words()).trim_end().to_owned())
    };
    let knowledge = match (report.state, &report.step) {
        (ReplicaState::InSync, _) => Knowledge::Quiet,
        (ReplicaState::Syncing, _) => Knowledge::Needed("a transfer runs or is queued".to_owned()),
        (ReplicaState::Behind | ReplicaState::NeverSeeded, Some(step)) => match &step.action {
            Action::Send(send) if send.resume => {
                Knowledge::Needed("a partial receive waits to be continued".to_owned())
            }
            _ => Knowledge::Quiet,
        },
        _ => unknown(),
    };
    evidence.add(Receiver::new(report.target_system, &report.target).as_str(), name, knowledge);
}

fn add_transfer(transfer: &Transfer, evidence: &mut Evidence) {
    let Transfer { id, state, source_system, target_system, source, target, .. } = transfer;
    let name = format!("{source_system}:{source} → {target_system}:{target}");
    let knowledge = Knowledge::Needed(format!("transfer {id} is {state}"));
    evidence.add(transfer.step.receiver.as_str(), name, knowledge);
}
