//! What is known of the replicas that holds and bookmarks name.

use std::collections::BTreeMap;

use zfs_sync_core::plan::Step;

use crate::ledger::{Entry, Phase};

/// What is known of one replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Knowledge {
    /// Somebody needs what protects it now.
    Needed(String),
    /// No transfer runs or waits, and no partial receive: nothing is needed but the newest common snapshot.
    Quiet,
    /// It exists, and nobody knows how it stands.
    Unknown(String),
}

/// One replica.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Replica {
    name: String,
    knowledge: Knowledge,
}

/// Everything that is known, by receiver.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    replicas: BTreeMap<String, Replica>,
}

impl Evidence {
    /// Adds what is known of a replica. What needs it wins over what does not know, and that over quiet.
    pub fn add(&mut self, receiver: &str, name: impl Into<String>, knowledge: Knowledge) {
        const fn weight(knowledge: &Knowledge) -> u8 {
            match knowledge {
                Knowledge::Quiet => 0,
                Knowledge::Unknown(_) => 1,
                Knowledge::Needed(_) => 2,
            }
        }
        let new = Replica { name: name.into(), knowledge };
        match self.replicas.get_mut(receiver) {
            None => drop(self.replicas.insert(receiver.to_owned(), new)),
            Some(known) if weight(&new.knowledge) > weight(&known.knowledge) => {
                known.knowledge = new.knowledge;
            }
            Some(_) => {}
        }
    }

    /// Adds what an agent's ledger says; `running` tells whether that agent runs.
    pub fn add_ledger(&mut self, entries: &[Entry], running: bool) {
        for entry in entries {
            let Step { source, target, receiver, .. } = &entry.step;
            let name = match &entry.peer {
                Some(peer) if entry.push => format!("{source} → {}:{target}", peer.hostname),
                Some(peer) => format!("{}:{source} → {target}", peer.hostname),
                None => format!("{source} → {target}"),
            };
            let id = entry.transfer;
            let knowledge = match (entry.phase, running) {
                (Phase::Running, true) => Knowledge::Needed(format!("transfer {id} runs")),
                (Phase::Running, false) => Knowledge::Unknown(format!(
                    "transfer {id} ran when its agent ended; the agent's next start looks after it"
                )),
                (Phase::Open, true) => Knowledge::Needed(format!(
                    "transfer {id} left it for a partial receive; the agent looks after it"
                )),
                (Phase::Open, false) => {
                    Knowledge::Unknown(format!("transfer {id} left it; its agent does not run"))
                }
                (Phase::Settled, _) => continue,
            };
            self.add(receiver.as_str(), name, knowledge);
        }
    }

    /// The replica's name.
    pub fn name(&self, receiver: &str) -> Option<&str> {
        self.replicas.get(receiver).map(|replica| replica.name.as_str())
    }

    /// What is known of it.
    pub fn of(&self, receiver: &str) -> Option<&Knowledge> {
        self.replicas.get(receiver).map(|replica| &replica.knowledge)
    }
}
