//! Codes for what is not done, and for what is done with a doubt. Never renamed, never reused.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $code:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $code)] $variant,)*
        }

        impl $name {
            /// All of them, in the order of this file.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The code as people and scripts see it.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// The variant with this code.
            pub fn from_code(code: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|candidate| candidate.code() == code)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(self.code())
            }
        }
    };
}

codes! {
    /// Why nothing is done for a replica.
    Reason {
        /// The target has the source's newest snapshot.
        NoNewSnapshot = "R_NO_NEW_SNAPSHOT",
        /// The source has no snapshot that could be sent.
        SourceNoSnapshot = "R_SOURCE_NO_SNAPSHOT",
        /// A transfer for this replica is queued or runs.
        TransferRunning = "R_TRANSFER_RUNNING",
        /// The group is disabled.
        Paused = "R_PAUSED",
        /// The group does not start steps by itself; `sync execute` does.
        ManualMode = "R_MANUAL_MODE",
        /// A system has never reported an inventory.
        NeverReported = "R_NEVER_REPORTED",
        /// A system's newest report is too old to act on.
        AgentOffline = "R_AGENT_OFFLINE",
        /// The parent on the target must be received first.
        DependsOnParent = "R_DEPENDS_ON_PARENT",
        /// The target has snapshots that the source has not.
        Diverged = "R_DIVERGED",
        /// The target was written to since its newest snapshot.
        TargetModified = "R_TARGET_MODIFIED",
        /// Both sides have history, and nothing in common is left to send from.
        NoCommonBase = "R_NO_COMMON_BASE",
        /// The target has another snapshot under the name of one that would be sent.
        NameClash = "R_SNAPSHOT_NAME_CLASH",
        /// Two selected datasets map to one target.
        MappingCollision = "R_MAPPING_COLLISION",
        /// A name on the target would be longer or deeper than ZFS allows.
        NameTooLong = "R_NAME_TOO_LONG",
        /// The source system no longer reports the pool that the dataset was in.
        SourcePoolMissing = "R_SOURCE_POOL_MISSING",
        /// The target system has no such pool.
        TargetPoolMissing = "R_TARGET_POOL_MISSING",
        /// One side is a file system, the other a volume.
        KindMismatch = "R_KIND_MISMATCH",
        /// The target dataset exists, has no snapshot, and was not made by a receive of ours.
        TargetNotEmpty = "R_TARGET_NOT_EMPTY",
        /// The source dataset is gone while its pool is there; the replica is kept as it is.
        Orphaned = "R_ORPHANED",
        /// The source went back to an older snapshot; the target still has what the source gave up.
        SourceRolledBack = "R_SOURCE_ROLLED_BACK",
        /// Another dataset has the source's name now.
        SourceRecreated = "R_SOURCE_RECREATED",
        /// The source was renamed; the replica has still the old name.
        SourceRenamed = "R_SOURCE_RENAMED",
        /// No member of the mesh has what all others have.
        NoElectedSource = "R_NO_ELECTED_SOURCE",
        /// The member before this one in the chain does not have it yet.
        UpstreamFirst = "R_UPSTREAM_FIRST",
        /// A clone waits for the dataset that it is a clone of.
        OriginFirst = "R_ORIGIN_FIRST",
        /// No mapping covers the dataset.
        NotMapped = "R_NOT_MAPPED",
        /// Snapshots were matched by name and time, so nothing is started by itself.
        NoGuid = "R_NO_GUID",
        /// A snapshot that would be destroyed is held.
        CasualtyHeld = "R_CASUALTY_HELD",
        /// A snapshot that would be destroyed has clones.
        CasualtyCloned = "R_CASUALTY_CLONED",
        /// A snapshot that would be destroyed is on no other system.
        LastCopy = "R_LAST_COPY",
        /// A snapshot that would be destroyed was not on the list that a person approved.
        NotApproved = "R_NOT_APPROVED",
        /// More snapshots would be destroyed than the group's brake allows in one run.
        DeleteBrake = "R_DELETE_BRAKE",
        /// What was deleted on the source stays on the target, because a guard protects it.
        DeletesHeldBack = "R_DELETES_HELD_BACK",
        /// The source has no snapshot that the classic profile copies.
        NoMidnightSnapshot = "R_NO_MIDNIGHT_SNAPSHOT",
        /// The target is less than 72 hours behind, which the classic profile calls in sync.
        WithinWindow = "R_WITHIN_WINDOW",
        /// Setting the target aside would take datasets below it along.
        SetAsideHasChildren = "R_SET_ASIDE_HAS_CHILDREN",
        /// The last attempt failed; the next one waits.
        Backoff = "R_BACKOFF",
        /// Attempts are used up or a person must act first; `transfer show` says what.
        Parked = "R_PARKED",
    }
}

codes! {
    /// A doubt that does not stop a plan.
    Warning {
        /// The group's patterns match no dataset of the source of truth.
        SelectorEmpty = "W_SELECTOR_EMPTY",
        /// A pattern without wildcard names a dataset whose children are not selected.
        ChildrenNotSelected = "W_CHILDREN_NOT_SELECTED",
        /// A selected dataset has no snapshot.
        NoSnapshot = "W_NO_SNAPSHOT",
        /// The replica is writable.
        TargetNotReadonly = "W_TARGET_NOT_READONLY",
        /// An interrupted receive can not be continued and will be discarded.
        PartialDiscarded = "W_PARTIAL_DISCARDED",
        /// A system reports no GUIDs; its snapshots are matched by name and time.
        NoGuid = "W_NO_GUID",
        /// A user lacks permissions without which replication is less good.
        PermissionIncomplete = "W_PERMISSION_INCOMPLETE",
        /// A parent of replicas could not get its properties.
        PermissionPlaceholder = "W_PERMISSION_PLACEHOLDER",
        /// Another tool replicates the same datasets.
        ForeignReplicator = "W_FOREIGN_REPLICATOR",
        /// Another tool makes or prunes snapshots on a replica.
        ForeignSnapshots = "W_FOREIGN_SNAPSHOTS",
        /// Another member sends in place of the source.
        OtherSender = "W_OTHER_SENDER",
        /// A clone is sent in full, because its origin is not copied by this group.
        OriginNotReplicated = "W_ORIGIN_NOT_REPLICATED",
        /// Snapshots between others are missing on the target and can not be added any more.
        HistoryGap = "W_HISTORY_GAP",
        /// Snapshots that were destroyed on the source stay on the target, because a guard protects them.
        DeletesHeldBack = "W_DELETES_HELD_BACK",
        /// The source lacks the common snapshot itself; a bookmark stands in for it.
        BaseIsBookmark = "W_BASE_IS_BOOKMARK",
        /// The source's own snapshot tool is about to destroy the newest common snapshot.
        BaseAtRisk = "W_BASE_AT_RISK",
        /// The source is encrypted, and its replica is not.
        TargetInClear = "W_TARGET_IN_CLEAR",
        /// Nobody wrote down with which stream options the replica began.
        StreamNotPinned = "W_STREAM_NOT_PINNED",
        /// An interrupted receive on the target is not of what is to be sent.
        TokenForeign = "W_TOKEN_FOREIGN",
        /// A property of a new replica is not what it should be, or could not be set.
        PropertyNotSet = "W_PROPERTY_NOT_SET",
        /// The host has no bookmarks.
        FeatureBookmarks = "W_FEATURE_BOOKMARKS",
        /// The host can not say whose holds stand on a snapshot.
        FeatureHolds = "W_FEATURE_HOLDS",
        /// An interrupted transfer begins anew.
        FeatureResume = "W_FEATURE_RESUME",
        /// Large blocks are split.
        FeatureLargeBlocks = "W_FEATURE_LARGE_BLOCKS",
        /// Compressed blocks travel expanded.
        FeatureCompressed = "W_FEATURE_COMPRESSED",
        /// Embedded data travels as blocks.
        FeatureEmbedded = "W_FEATURE_EMBEDDED",
        /// Properties of a new replica are set after its first receive instead of with it.
        FeatureReceiveProperties = "W_FEATURE_RECEIVE_PROPERTIES",
        /// The host can not say how much was written since a snapshot.
        FeatureWritten = "W_FEATURE_WRITTEN",
        /// The size of a stream is not known before it was sent.
        FeatureEstimate = "W_FEATURE_ESTIMATE",
        /// A plain stream of an encrypted dataset can damage its source on this version.
        VersionPlainSend = "W_VERSION_PLAIN_SEND",
        /// Large blocks are received without their feature becoming active on this version.
        VersionLargeBlocks = "W_VERSION_LARGE_BLOCKS",
        /// `zfs receive -x` leaves out less than it says on this version.
        VersionExclude = "W_VERSION_EXCLUDE",
        /// This version can read holes where data is.
        VersionHoles = "W_VERSION_HOLES",
    }
}
