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
        /// The source lacks the common snapshot itself; a bookmark stands in for it.
        BaseIsBookmark = "W_BASE_IS_BOOKMARK",
    }
}
