//! Every command we ever run, typed; rendered as an argument vector, and for a remote shell as one quoted line.
//!
//! Nothing outside this module writes a `zfs` argument. What takes something away is exactly this, and each has its guard:
//!
//! | command | guard |
//! | --- | --- |
//! | `destroy DATASET#BOOKMARK` | [`OwnBookmark`]: the label begins with our prefix |
//! | `destroy DATASET@SNAPSHOT` | [`Doomed`]: listed in a plan by GUID and name, and found unheld and without clones just now |
//! | `rollback DATASET@SNAPSHOT` | without `-r`, so ZFS itself refuses while anything newer exists; what was written since is lost |
//! | `receive -A DATASET` | none here: the engine asks for it when the partial receive leads nowhere |
//!
//! There is deliberately no way to destroy a dataset, no `receive -F`, and of no command that changes something `-r`, `-R` or `-f`.

pub(crate) mod argv;
mod deadline;
mod doomed;
mod own;
mod quote;
mod setting;
mod spoken;
mod words;

pub use doomed::{Doomed, Spared};
pub use own::{NotOurs, OwnBookmark, OwnTag};
pub use quote::quote;
use serde::{Deserialize, Serialize};
pub use setting::{NotReceived, Setting};
pub use spoken::{Spoken, read};
pub use words::{NotOurLine, words};
use zfs_sync_core::{
    guid::Guid,
    inventory::DatasetKind,
    name::{BookmarkName, DatasetName, Label, SnapshotName},
    stream::{CopiedProperty, StreamForm},
};

/// Columns of a dataset listing, in the order they are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListColumns {
    /// Everything replication looks at: name, guid, type, createtxg, written, used, referenced, available, readonly, mounted, encryption, origin, receive_resume_token.
    Dataset,
    /// The same and `snapshots_changed` (OpenZFS 2.2).
    DatasetWithChanges,
}

/// Which datasets a listing covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Every imported pool.
    Everything,
    /// One dataset and all below it (`-r`, read only).
    Tree(DatasetName),
    /// One dataset alone (`-d 1` for its snapshots and bookmarks, no recursion for datasets).
    Only(DatasetName),
    /// Several, each as [`Self::Only`]. When one of them does not exist `zfs` lists the others and exits with 1.
    These(Vec<DatasetName>),
}

/// One command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
    /// `zfs list -Hp -t snapshot -o name,guid,userrefs,clones`: what stands in the way of destroying snapshots.
    ListDependents {
        /// All snapshots of a dataset (`-d 1`), or one.
        of: Dependents,
    },
    /// `zfs get -Hp -o property,value,source PROPERTIES DATASET`.
    Get {
        /// Whose.
        dataset: DatasetName,
        /// Which.
        properties: Vec<String>,
    },
    /// `zfs get -Hp -o property,value,source PROPERTIES SNAPSHOT`.
    GetOfSnapshot {
        /// Whose.
        snapshot: SnapshotName,
        /// Which.
        properties: Vec<String>,
    },
    /// `zfs get -Hp -o value PROPERTY DATASET`: one value alone, which may have tabs and line breaks in it.
    GetValue {
        /// Whose.
        dataset: DatasetName,
        /// Which.
        property: CopiedProperty,
    },
    /// `zfs get -Hp -o source PROPERTY DATASET`: where its value comes from, without the value.
    GetSource {
        /// Whose.
        dataset: DatasetName,
        /// Which.
        property: CopiedProperty,
    },
    /// `zfs get -Hp -o name,property,value …`, with snapshots: how implementations are read whose `zfs list` rounds every number.
    GetTree {
        /// Which datasets.
        scope: Scope,
        /// Also snapshots.
        snapshots: bool,
    },
    /// `zfs holds -H SNAPSHOT`.
    Holds {
        /// Whose.
        snapshot: SnapshotName,
    },
    /// `zfs holds -H [-p] SNAPSHOT…`: of as many as fit into one command.
    HoldsOf {
        /// Whose.
        snapshots: Vec<SnapshotName>,
        /// `-p`: since when in seconds since 1970 (OpenZFS 2.2), instead of a date for people.
        exact: bool,
    },
    /// `zfs hold TAG SNAPSHOT`.
    Hold {
        /// Begins with our prefix.
        tag: OwnTag,
        /// What is held.
        snapshot: SnapshotName,
    },
    /// `zfs hold TAG SNAPSHOT…`: ZFS goes on after one that it can not hold.
    HoldAll {
        /// Begins with our prefix.
        tag: OwnTag,
        /// What is held.
        snapshots: Vec<SnapshotName>,
    },
    /// `zfs release TAG SNAPSHOT`.
    Release {
        /// Begins with our prefix.
        tag: OwnTag,
        /// What is released.
        snapshot: SnapshotName,
    },
    /// `zfs release TAG SNAPSHOT…`: ZFS goes on after one that it can not release.
    ReleaseAll {
        /// Begins with our prefix.
        tag: OwnTag,
        /// What is released.
        snapshots: Vec<SnapshotName>,
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
    /// `zfs destroy DATASET@SNAPSHOT`: one snapshot, rendered only for what was approved and looked at. Never `-r`, `-R`, `-f`.
    ///
    /// It has no form on the wire: only who has looked can say that it may go.
    #[serde(skip)]
    DestroySnapshot {
        /// Approved, unheld, without clones.
        snapshot: Doomed,
    },
    /// `zfs rollback DATASET@SNAPSHOT`: gives up what was written since its newest snapshot. Never `-r`, `-R`, `-f`: ZFS refuses
    /// when a snapshot or bookmark is newer.
    RollBack {
        /// The newest snapshot of its dataset.
        to: SnapshotName,
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
    /// `zfs create -u DATASET`: a parent for replicas where the user may set no property; not mounted.
    CreateBare {
        /// Its name.
        dataset: DatasetName,
    },
    /// `zfs set …` or `zfs inherit …` on a replica that has just begun.
    Set {
        /// The replica.
        dataset: DatasetName,
        /// What it gets.
        setting: Setting,
    },
    /// `zfs rename OLD NEW`: sets a diverged replica aside, or follows a renamed source. Never `-f`.
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
    /// `zfs allow DATASET`: who may do what there.
    ShowAllowed {
        /// Where.
        dataset: DatasetName,
    },
    /// `zfs get -Hp -s local,received -o name,property,value all DATASET…`: what somebody has set, also properties of other tools.
    ListSet {
        /// Of these alone; all when empty.
        datasets: Vec<DatasetName>,
    },
    /// `zpool get -H all POOL`: which features it has.
    PoolFeatures {
        /// Its name.
        pool: String,
    },
    /// `zfs-sync verify-side [--rate BYTES] SNAPSHOT`: another zfs-sync on that host answers questions about one of its snapshots.
    AnswerForSnapshot {
        /// Which.
        snapshot: SnapshotName,
        /// It reads at most so many bytes a second.
        rate: Option<u64>,
    },
    /// `zpool status`: health, scrubs and errors of every imported pool, as text for people.
    PoolStatus,
    /// `zfs set zfs-sync:snapdev=BEFORE snapdev=visible VOLUME`: its snapshots get device nodes, and what was set before is written
    /// down beside it in the same transaction.
    ShowSnapshotDevices {
        /// A volume.
        volume: DatasetName,
        /// What to go back to.
        before: SnapshotDevices,
    },
    /// `zfs inherit snapdev VOLUME`, or `zfs set snapdev=… VOLUME`: back to what was before.
    RestoreSnapshotDevices {
        /// A volume.
        volume: DatasetName,
        /// What was before.
        before: SnapshotDevices,
    },
    /// `zfs inherit zfs-sync:snapdev VOLUME`: what was written down is not needed any more.
    ForgetSnapshotDevices {
        /// A volume.
        volume: DatasetName,
    },
    /// `zfs get -H -t volume -s local -o name,value zfs-sync:snapdev`: volumes whose snapshots we let have device nodes.
    ListShownVolumes,
}

/// Where a volume's `snapdev` came from before we set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotDevices {
    /// It was not set on the volume itself.
    Inherited,
    /// `hidden` was set on the volume itself.
    Hidden,
}

impl SnapshotDevices {
    /// As it is written down in the property `zfs-sync:snapdev`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inherited => "inherited",
            Self::Hidden => "hidden",
        }
    }

    /// Back from [`Self::as_str`].
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Inherited, Self::Hidden].into_iter().find(|before| before.as_str() == name)
    }
}

/// Which snapshots [`Command::ListDependents`] asks about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dependents {
    /// All of one dataset.
    Dataset(DatasetName),
    /// One alone.
    Snapshot(SnapshotName),
}

/// What a stream consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SendCommand {
    /// A full stream of one snapshot.
    Full {
        /// Which.
        to: SnapshotName,
        /// How its blocks travel.
        form: StreamForm,
    },
    /// `-I base to`: every snapshot between, or `-i` where nothing lies between.
    Incremental {
        /// On both sides.
        base: SnapshotName,
        /// The end.
        to: SnapshotName,
        /// How its blocks travel.
        form: StreamForm,
    },
    /// `-i #bookmark to`.
    FromBookmark {
        /// On the source.
        base: BookmarkName,
        /// The end.
        to: SnapshotName,
        /// How its blocks travel.
        form: StreamForm,
    },
    /// `-i ORIGIN@SNAPSHOT CLONE@SNAPSHOT`: what a clone has that its origin had not. Also `-i DATASET@BASE DATASET@TO`, exactly one
    /// snapshot: `zfs receive -o origin=` takes no package of several.
    Single {
        /// Of the same dataset, or of one that it is (by one or more steps) a clone of.
        base: SnapshotName,
        /// The end.
        to: SnapshotName,
        /// How its blocks travel.
        form: StreamForm,
    },
    /// `-t token`.
    Resume {
        /// As `receive_resume_token` gives it.
        token: String,
        /// `-w` is said as well. A token says by itself whether the rest is raw; but it comes from the receiver, and what is to be raw must
        /// never be anything else (openzfs#14153).
        raw: bool,
    },
}

/// How a stream is received. Always `-u` (not mounted); never `-F`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiveCommand {
    /// Into which dataset.
    pub dataset: DatasetName,
    /// It is the first one of a replica, which gets its properties with it.
    pub first: Option<FirstReceive>,
    /// The dataset does not exist yet and becomes a clone of this snapshot (`-o origin=`), which is what the stream starts from.
    pub origin: Option<SnapshotName>,
    /// `-s`: what came before an interruption is kept.
    pub resumable: bool,
}

impl ReceiveCommand {
    /// A resumable receive into a dataset that exists.
    pub const fn further(dataset: DatasetName) -> Self {
        Self { dataset, first: None, origin: None, resumable: true }
    }

    /// A resumable receive that begins a replica.
    pub const fn begins(dataset: DatasetName, first: FirstReceive) -> Self {
        Self { dataset, first: Some(first), origin: None, resumable: true }
    }
}

/// What a replica gets with its first receive: `readonly=on`, and a file system also `canmount=noauto` and none of its source's mount
/// point, quotas, reservations and shares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstReceive {
    /// File system or volume.
    pub kind: DatasetKind,
    /// How its streams come, which it remembers ([`PIN`](zfs_sync_core::stream::PIN)).
    pub form: StreamForm,
    /// Properties of its source that it gets, with their values.
    pub properties: Vec<(CopiedProperty, String)>,
}

impl FirstReceive {
    /// Without copied properties.
    pub const fn new(kind: DatasetKind, form: StreamForm) -> Self {
        Self { kind, form, properties: Vec::new() }
    }
}

/// The target of a check after a receive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// Where.
    pub dataset: DatasetName,
    /// What.
    pub guid: Guid,
}
