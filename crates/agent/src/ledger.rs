//! What this agent is doing, on disk: one file a transfer, so that a crash leaves nothing unknown behind.
//!
//! # Design
//!
//! An entry is written before anything happens on a pool, and before each step hold is placed. It goes when the witness has
//! heard the result *and* nothing of the step is held any more. Between, it answers three questions after a crash: which
//! step holds may have been left (`holds`), which result has the witness not heard (`result`), and which generation was
//! accepted last.
//!
//! # Failure modes
//!
//! A file is replaced whole, so it is the old or the new one. One that can not be read all the same is moved aside
//! (`.bad`), reported, and never dropped silently: it may name holds that somebody has to release by hand.

use std::{
    collections::BTreeMap,
    fs, io,
    sync::{Mutex, MutexGuard},
};

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use zfs_sync_api::v1::agent::{LeasedTransfer, Peer, TransferResult};
use zfs_sync_core::{ids::TransferId, plan::Step};

use crate::{
    disk,
    engine::{HoldNote, Settled},
};

/// Of the files; another one is not read but moved aside.
const VERSION: u32 = 1;

/// Generations that are remembered after their transfer has ended. Identifiers grow with time and the oldest go first;
/// a lease this old was replaced at the witness long ago.
const GENERATIONS_REMEMBERED: usize = 4096;

/// How far a transfer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The engine is at it, or was when the agent died.
    Running,
    /// It has ended, and something is still held: see [`Settled`].
    Open,
    /// Nothing is held any more.
    Settled,
}

/// One transfer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    version: u32,
    /// Which transfer.
    pub transfer: TransferId,
    /// The lease it runs under, or ran under last.
    pub generation: u64,
    /// What to do.
    pub step: Step,
    /// The other side.
    pub peer: Option<Peer>,
    /// True when this host has the source.
    pub push: bool,
    /// How far it has come.
    pub phase: Phase,
    /// Step holds that were placed, or were about to be.
    pub holds: Vec<HoldNote>,
    /// What the witness has yet to hear.
    pub result: Option<TransferResult>,
}

/// Why the ledger can not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// A file can not be read or written.
    #[error("could not {action} {path}")]
    Io {
        /// `read`, `write`, …
        action: &'static str,
        /// Which file.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The lease was replaced by a newer one.
    #[error("generation {offered} of transfer {transfer} is not newer than {seen}")]
    OldGeneration {
        /// Which transfer.
        transfer: TransferId,
        /// What was offered.
        offered: u64,
        /// The highest seen.
        seen: u64,
    },
    /// No such transfer.
    #[error("the ledger has no transfer {0}")]
    Unknown(TransferId),
}

/// All transfers of one agent. Methods write to disk and block as long as that takes.
#[derive(Debug)]
pub struct Ledger {
    directory: Utf8PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    entries: BTreeMap<TransferId, Entry>,
    generations: BTreeMap<TransferId, u64>,
}

/// A ledger as it was found.
#[derive(Debug)]
pub struct Opened {
    /// The ledger.
    pub ledger: Ledger,
    /// Files that could not be read, and where they are now.
    pub damaged: Vec<Utf8PathBuf>,
}

impl Ledger {
    /// Opens the ledger below `data_dir`, makes it where it is missing, moves aside what can not be read.
    pub fn open(data_dir: &Utf8Path) -> Result<Opened, LedgerError> {
        let directory = data_dir.join("transfers");
        disk::make_private_dir(&directory).map_err(|source| failed("create", &directory, source))?;
        let mut state = State::default();
        let mut damaged = Vec::new();
        let listing = directory.read_dir_utf8().map_err(|source| failed("list", &directory, source))?;
        for found in listing {
            let path = found.map_err(|source| failed("list", &directory, source))?.into_path();
            match path.extension() {
                Some("json") => {}
                // Half a file that never became one.
                Some("tmp") => {
                    disk::remove(&path).map_err(|source| failed("remove", &path, source))?;
                    continue;
                }
                _ => continue,
            }
            let bytes = fs::read(&path).map_err(|source| failed("read", &path, source))?;
            match read_entry(&path, &bytes) {
                Ok(entry) => {
                    state.generations.insert(entry.transfer, entry.generation);
                    state.entries.insert(entry.transfer, entry);
                }
                Err(reason) => {
                    let aside = path.with_extension("bad");
                    fs::rename(&path, &aside).map_err(|source| failed("move aside", &path, source))?;
                    disk::sync_parent(&aside).map_err(|source| failed("move aside", &path, source))?;
                    tracing::error!(ledger.path = %aside, reason, "moved {aside} aside: it is no ledger entry");
                    damaged.push(aside);
                }
            }
        }
        Ok(Opened { ledger: Self { directory, state: Mutex::new(state) }, damaged })
    }

    /// What the ledger below `data_dir` says, without becoming its owner: changes nothing, and leaves out what can not be read. Empty
    /// where there is none.
    pub fn look(data_dir: &Utf8Path) -> Vec<Entry> {
        let Ok(listing) = data_dir.join("transfers").read_dir_utf8() else { return Vec::new() };
        let paths = listing.filter_map(Result::ok).map(camino::Utf8DirEntry::into_path);
        let entries = paths.filter(|path| path.extension() == Some("json"));
        entries.filter_map(|path| read_entry(&path, &fs::read(&path).ok()?).ok()).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    /// Every entry, oldest transfer first.
    pub fn entries(&self) -> Vec<Entry> {
        self.state().entries.values().cloned().collect()
    }

    /// One entry.
    pub fn entry(&self, transfer: TransferId) -> Option<Entry> {
        self.state().entries.get(&transfer).cloned()
    }

    /// Holds that were written down under this tag, of whatever transfer: all transfers of one replica hold under the same.
    pub fn noted(&self, tag: &str) -> Vec<HoldNote> {
        let state = self.state();
        let notes = state.entries.values().flat_map(|entry| &entry.holds);
        notes.filter(|note| note.tag == tag).cloned().collect()
    }

    /// Begins a leased transfer. A generation that is not the highest seen is refused: the witness has given the transfer
    /// to somebody since.
    pub fn begin(&self, leased: &LeasedTransfer) -> Result<(), LedgerError> {
        let LeasedTransfer { id, generation, lease_ms: _, step, peer, push, flow: _, ticket: _ } = leased;
        let mut state = self.state();
        if let Some(seen) = state.generations.get(id).copied().filter(|seen| seen >= generation) {
            return Err(LedgerError::OldGeneration { transfer: *id, offered: *generation, seen });
        }
        // Holds of an earlier attempt are this transfer's to release.
        let holds = state.entries.get(id).map_or_else(Vec::new, |entry| entry.holds.clone());
        let entry = Entry {
            version: VERSION,
            transfer: *id,
            generation: *generation,
            step: step.clone(),
            peer: peer.clone(),
            push: *push,
            phase: Phase::Running,
            holds,
            result: None,
        };
        self.store(&mut state, entry)?;
        state.generations.insert(*id, *generation);
        while state.generations.len() > GENERATIONS_REMEMBERED {
            state.generations.pop_first();
        }
        Ok(())
    }

    /// Notes a hold that is about to be placed; on disk when this returns.
    pub fn note_hold(&self, transfer: TransferId, note: HoldNote) -> Result<(), LedgerError> {
        self.update(transfer, |entry| {
            if !entry.holds.contains(&note) {
                entry.holds.push(note);
            }
        })
    }

    /// Notes how an execution ended. `result` is `None` when the witness does not want to hear it any more. Nothing when
    /// the transfer was leased anew meanwhile: the entry is then the newer attempt's.
    pub fn finish(
        &self,
        transfer: TransferId,
        generation: u64,
        settled: Settled,
        result: Option<TransferResult>,
    ) -> Result<(), LedgerError> {
        self.update(transfer, |entry| {
            if entry.generation == generation {
                entry.settle(settled);
                entry.result = result;
            }
        })
    }

    /// Notes that holds were looked after again; nothing when the transfer was leased anew meanwhile.
    pub fn settle(&self, transfer: TransferId, generation: u64, settled: Settled) -> Result<(), LedgerError> {
        self.update(transfer, |entry| {
            if entry.generation == generation {
                entry.settle(settled);
            }
        })
    }

    /// The witness has heard the result, or never will: `generation` says which one.
    pub fn acknowledge(&self, transfer: TransferId, generation: u64) -> Result<(), LedgerError> {
        self.update(transfer, |entry| {
            if entry.result.as_ref().is_some_and(|result| result.generation == generation) {
                entry.result = None;
            }
        })
    }

    /// Takes over what other, ended transfers of the same replica kept open: `transfer` has looked after all of it, or will.
    pub fn settle_others(&self, transfer: TransferId) -> Result<(), LedgerError> {
        let mut state = self.state();
        let Some(mut settled) = state.entries.get(&transfer).cloned() else { return Ok(()) };
        let same = |entry: &&Entry| {
            entry.transfer != transfer
                && entry.phase == Phase::Open
                && entry.step.receiver == settled.step.receiver
                && entry.step.source_system == settled.step.source_system
                && entry.step.source_guid == settled.step.source_guid
        };
        let others: Vec<Entry> = state.entries.values().filter(same).cloned().collect();
        if others.is_empty() {
            return Ok(());
        }
        // First, because only by what was written down a hold is found that went to another dataset.
        for note in others.iter().flat_map(|entry| &entry.holds) {
            if !settled.holds.contains(note) {
                settled.holds.push(note.clone());
            }
        }
        self.store(&mut state, settled)?;
        for mut entry in others {
            entry.phase = Phase::Settled;
            entry.holds.clear();
            self.store(&mut state, entry)?;
        }
        Ok(())
    }

    fn update(&self, transfer: TransferId, change: impl FnOnce(&mut Entry)) -> Result<(), LedgerError> {
        let mut state = self.state();
        let mut entry = state.entries.get(&transfer).cloned().ok_or(LedgerError::Unknown(transfer))?;
        change(&mut entry);
        self.store(&mut state, entry)
    }

    /// Memory follows the disk, never the other way round: what could not be written did not happen.
    fn store(&self, state: &mut State, entry: Entry) -> Result<(), LedgerError> {
        let path = self.directory.join(format!("{}.json", entry.transfer));
        if entry.phase == Phase::Settled && entry.result.is_none() {
            disk::remove_durably(&path).map_err(|source| failed("remove", &path, source))?;
            state.entries.remove(&entry.transfer);
            return Ok(());
        }
        let text = serde_json::to_vec_pretty(&entry).expect("an entry is plain data");
        disk::replace(&path, &text).map_err(|source| failed("write", &path, source))?;
        state.entries.insert(entry.transfer, entry);
        Ok(())
    }
}

impl Entry {
    fn settle(&mut self, settled: Settled) {
        self.phase = match settled {
            Settled::Clean => {
                self.holds.clear();
                Phase::Settled
            }
            // An earlier attempt may have left something.
            Settled::Untouched if self.holds.is_empty() => Phase::Settled,
            Settled::Untouched | Settled::Waiting | Settled::Open => Phase::Open,
        };
    }
}

fn failed(action: &'static str, path: &Utf8Path, source: io::Error) -> LedgerError {
    LedgerError::Io { action, path: path.to_owned(), source }
}

fn read_entry(path: &Utf8Path, bytes: &[u8]) -> Result<Entry, String> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    // The version first: what a later version wrote may have any other form.
    let Versioned { version } = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if version != VERSION {
        return Err(format!("it has version {version}, this agent knows {VERSION}"));
    }
    let entry: Entry = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if path.file_stem() != Some(&entry.transfer.to_string()) {
        return Err(format!("it describes transfer {}", entry.transfer));
    }
    Ok(entry)
}

#[cfg(test)]
mod tests;
