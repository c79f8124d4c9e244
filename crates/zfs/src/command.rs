//! Every command we ever run, typed; rendered as an argument vector, and for a remote shell as one quoted line.
//!
//! Nothing outside this module writes a `zfs` argument. There is deliberately no `rollback`, no `receive -F`, no `-r`/`-R` and no
//! way to destroy a dataset or snapshot here: only bookmarks of ours can be destroyed.

pub(crate) mod argv;
mod own;
mod quote;

pub use own::{NotOurs, OwnBookmark, OwnTag};
pub use quote::quote;
use zfs_sync_core::{
    guid::Guid,
    inventory::DatasetKind,
    name::{BookmarkName, DatasetName, Label, SnapshotName},
};

/// Columns of a dataset listing, in the order they are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListColumns {
    /// Everything replication looks at: name, guid, type, createtxg, written, used, referenced, available, readonly, mounted, encryption, origin, receive_resume_token.
    Dataset,
    /// The same and `snapshots_changed` (OpenZFS 2.2).
    DatasetWithChanges,
}

/// Which datasets a listing covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every imported pool.
    Everything,
    /// One dataset and all below it (`-r`, read only).
    Tree(DatasetName),
    /// One dataset alone (`-d 1` for its snapshots and bookmarks, no recursion for datasets).
    Only(DatasetName),
}

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `zfs version`.
    Version,
    /// `zfs list -Hp -t filesystem,volume -o …`.
    ListDatasets {
        /// Which datasets.
        scope: Scope,
        /// Which columns.
        columns: ListColumns,
    },
    /// `zfs list -Hp -t snapshot,bookmark -o name,guid,createtxg,creation,used,referenced,userrefs`.
    ListHistory {
        /// Which datasets.
        scope: Scope,
    },
    /// `zfs get -Hp -o property,value,source PROPERTIES DATASET`.
    Get {
        /// Whose.
        dataset: DatasetName,
        /// Which.
        properties: Vec<String>,
    },
    /// `zfs holds -H SNAPSHOT`.
    Holds {
        /// Whose.
        snapshot: SnapshotName,
    },
    /// `zfs hold TAG SNAPSHOT`.
    Hold {
        /// Begins with our prefix.
        tag: OwnTag,
        /// What is held.
        snapshot: SnapshotName,
    },
    /// `zfs release TAG SNAPSHOT`.
    Release {
        /// Begins with our prefix.
        tag: OwnTag,
        /// What is released.
        snapshot: SnapshotName,
    },
    /// `zfs bookmark SNAPSHOT BOOKMARK`.
    Bookmark {
        /// From which snapshot.
        snapshot: SnapshotName,
        /// The bookmark's name.
        label: Label,
    },
    /// `zfs destroy DATASET#BOOKMARK`: rendered only for bookmarks with our prefix.
    DestroyBookmark {
        /// Begins with our prefix.
        bookmark: OwnBookmark,
    },
    /// `zfs snapshot A@L B@L …`: atomic within a pool.
    Snapshot {
        /// All taken at once.
        snapshots: Vec<SnapshotName>,
    },
    /// `zfs create -o canmount=off -o readonly=on DATASET`: a parent for replicas.
    CreatePlaceholder {
        /// Its name.
        dataset: DatasetName,
    },
    /// `zfs rename OLD NEW`: sets a diverged replica aside. Never `-f`.
    Rename {
        /// Present name.
        from: DatasetName,
        /// New name.
        to: DatasetName,
    },
    /// `zfs send …`: standard output is the stream.
    Send(SendCommand),
    /// `zfs send -nvP …`: how many bytes it would be.
    Estimate(SendCommand),
    /// `zfs receive …`: standard input is the stream.
    Receive(ReceiveCommand),
    /// `zfs receive -A DATASET`: discards an interrupted receive.
    AbortReceive {
        /// Where it waits.
        dataset: DatasetName,
    },
    /// `zpool events -f -H`: one line an event, for ever.
    WatchEvents,
    /// `zpool list -Hp -o name,guid,size,allocated,free,health`.
    ListPools,
}

/// What a stream consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendCommand {
    /// A full stream of one snapshot.
    Full {
        /// Which.
        to: SnapshotName,
        /// Raw, for encrypted sources; otherwise large blocks, compressed and embedded data travel as they are.
        raw: bool,
    },
    /// `-I base to`: every snapshot between, or `-i` where nothing lies between.
    Incremental {
        /// On both sides.
        base: SnapshotName,
        /// The end.
        to: SnapshotName,
        /// Raw.
        raw: bool,
    },
    /// `-i #bookmark to`.
    FromBookmark {
        /// On the source.
        base: BookmarkName,
        /// The end.
        to: SnapshotName,
        /// Raw.
        raw: bool,
    },
    /// `-t token`.
    Resume {
        /// As `receive_resume_token` gives it.
        token: String,
    },
}

/// How a stream is received. Always `-s` (resumable) and `-u` (not mounted); never `-F`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiveCommand {
    /// Into which dataset.
    pub dataset: DatasetName,
    /// The first receive sets `readonly=on`, and for file systems `canmount=noauto`, and leaves out `mountpoint`, quotas, reservations and shares.
    pub first: Option<DatasetKind>,
}

/// The target of a check after a receive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// Where.
    pub dataset: DatasetName,
    /// What.
    pub guid: Guid,
}
