//! The registry of codes: what each `E_…` means, its HTTP status, its exit code, whether trying again can help.
//!
//! Codes are never renamed and never reused. Each has a page in `docs/codes/`, which `zfs-sync explain CODE` and
//! `/docs/codes/CODE` show; the test below keeps pages and codes together. `R_…` and `W_…` are defined by the planner,
//! [`zfs_sync_core::plan`], and have pages in the same place.

use std::{borrow::Cow, fmt};

use zfs_sync_core::plan::{Reason, Warning};

macro_rules! error_codes {
    ($($variant:ident = $code:literal, $status:literal, $exit:literal, $retryable:literal, $title:literal;)*) => {
        /// An error that can reach a person.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ErrorCode {
            $(#[doc = $title] $variant,)*
        }

        impl ErrorCode {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The code as people and scripts see it.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// The HTTP status it travels under.
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// The exit code of the command line.
            pub const fn exit_code(self) -> u8 {
                match self { $(Self::$variant => $exit,)* }
            }

            /// True when the same request can succeed later without anybody changing anything.
            pub const fn is_retryable(self) -> bool {
                match self { $(Self::$variant => $retryable,)* }
            }

            /// What it means, one sentence.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

error_codes! {
    SystemNotFound = "E_SYSTEM_NOT_FOUND", 404, 3, false, "There is no such system here";
    SystemExists = "E_SYSTEM_EXISTS", 409, 5, false, "The host name is already registered";
    SystemInUse = "E_SYSTEM_IN_USE", 409, 5, false, "The system is a member of a group";
    GroupNotFound = "E_GROUP_NOT_FOUND", 404, 3, false, "There is no such sync group";
    GroupExists = "E_GROUP_EXISTS", 409, 5, false, "A group of that name exists";
    GroupInvalid = "E_GROUP_INVALID", 422, 12, false, "The group's definition does not hold together";
    GroupOverlap = "E_GROUP_OVERLAP", 422, 12, false, "Another group receives something else into the same dataset";
    GroupCycle = "E_GROUP_CYCLE", 422, 12, false, "Data would come back to where it came from";
    MappingCollision = "E_MAPPING_COLLISION", 422, 12, false, "Two datasets map to one target";
    MappingNested = "E_MAPPING_NESTED", 422, 12, false, "A copy would be received within its own source";
    PolicyDeletesAll = "E_POLICY_DELETES_ALL", 422, 12, false, "The policy would let one run delete everything";
    PatternInvalid = "E_PATTERN_INVALID", 422, 2, false, "The text is no dataset pattern";
    NameInvalid = "E_NAME_INVALID", 422, 2, false, "The text is no ZFS name";
    HostInvalid = "E_HOST_INVALID", 422, 2, false, "The text is no host name";
    TransferNotFound = "E_TRANSFER_NOT_FOUND", 404, 3, false, "There is no such transfer";
    TransferFinished = "E_TRANSFER_FINISHED", 409, 5, false, "The transfer has already ended";
    LeaseLost = "E_LEASE_LOST", 409, 5, false, "The lease on this transfer has passed to somebody else";
    ReplicaNotFound = "E_REPLICA_NOT_FOUND", 404, 3, false, "No group replicates that dataset there";
    NotFound = "E_NOT_FOUND", 404, 3, false, "There is nothing at this address";
    MethodNotAllowed = "E_METHOD_NOT_ALLOWED", 405, 2, false, "This address does not take that method";
    PlanStale = "E_PLAN_STALE", 412, 10, false, "Things have changed since the plan";
    PlanApplied = "E_PLAN_APPLIED", 409, 5, false, "The plan was applied already";
    PlanNotFound = "E_PLAN_NOT_FOUND", 404, 3, false, "There is no such plan";
    PlanNotApproved = "E_PLAN_NOT_APPROVED", 403, 10, false, "A plan that destroys must be approved first";
    ConflictNotFound = "E_CONFLICT_NOT_FOUND", 404, 3, false, "There is no such conflict";
    ConflictResolved = "E_CONFLICT_RESOLVED", 409, 5, false, "The conflict is over";
    StrategyRefused = "E_STRATEGY_REFUSED", 409, 5, false, "The strategy can not be used for this conflict";
    NoConflict = "E_NO_CONFLICT", 409, 5, false, "The replica is not in conflict";
    NoDecision = "E_NO_DECISION", 409, 5, false, "Nothing that could be withdrawn stands for this conflict";
    PlanUnsafe = "E_PLAN_UNSAFE", 500, 1, false, "A plan broke a safety rule and was refused";
    AuthRequired = "E_AUTH_REQUIRED", 401, 4, false, "A key is needed";
    KeyInvalid = "E_KEY_INVALID", 401, 4, false, "The key is unknown, expired or revoked";
    Forbidden = "E_FORBIDDEN", 403, 4, false, "This key may not do that";
    TokenInvalid = "E_TOKEN_INVALID", 401, 4, false, "The enrolment token is not one of ours";
    TokenExpired = "E_TOKEN_EXPIRED", 401, 4, false, "The enrolment token has expired";
    TokenUsed = "E_TOKEN_USED", 401, 4, false, "The enrolment token was already used";
    BodyInvalid = "E_BODY_INVALID", 422, 2, false, "The body is not what this address takes";
    BodyTooLarge = "E_BODY_TOO_LARGE", 413, 2, false, "The body is too large";
    BodyTooDeep = "E_BODY_TOO_DEEP", 422, 2, false, "The body is nested too deeply";
    MediaType = "E_MEDIA_TYPE", 415, 2, false, "The body must be JSON";
    ValueInvalid = "E_VALUE_INVALID", 422, 2, false, "A value is not allowed here";
    ValueRange = "E_VALUE_RANGE", 422, 2, false, "A number is out of its range";
    FieldRequired = "E_FIELD_REQUIRED", 422, 2, false, "A field is missing";
    SelectorInvalid = "E_SELECTOR_INVALID", 400, 2, false, "The text does not name one thing";
    CodeUnknown = "E_CODE_UNKNOWN", 404, 3, false, "There is no such code";
    Unavailable = "E_UNAVAILABLE", 503, 8, true, "The witness is shutting down or overloaded";
    DatabaseUnavailable = "E_DB_UNAVAILABLE", 503, 8, true, "The witness's database does not answer";
    Internal = "E_INTERNAL", 500, 1, false, "A fault of ours";
    WitnessUnreachable = "E_WITNESS_UNREACHABLE", 503, 8, true, "The witness can not be reached";
    WitnessAnswer = "E_WITNESS_ANSWER", 502, 1, false, "What answers at this address is no witness of ours";
    ConfigInvalid = "E_CONFIG_INVALID", 422, 12, false, "The configuration has an error";
    CredentialMissing = "E_CREDENTIAL_MISSING", 401, 4, false, "No key was found for this witness";
    CredentialUnsafe = "E_CREDENTIAL_UNSAFE", 403, 4, false, "The key file can be read by others";
    AddressInUse = "E_ADDRESS_IN_USE", 409, 11, false, "Another program listens at this address";
    Locked = "E_LOCKED", 409, 11, true, "Another process holds this";
    WaitTimeout = "E_WAIT_TIMEOUT", 504, 7, true, "The wait ended before the work did";
    NotEnrolled = "E_NOT_ENROLLED", 409, 12, false, "This host is not enrolled";
    AlreadyEnrolled = "E_ALREADY_ENROLLED", 409, 5, false, "This host is already enrolled";
    LedgerInvalid = "E_LEDGER_INVALID", 500, 12, false, "The agent's ledger can not be read";
    DatasetNotFound = "E_DATASET_NOT_FOUND", 404, 3, false, "The dataset, snapshot or bookmark does not exist";
    NoCommonBase = "E_NO_COMMON_BASE", 409, 5, false, "The target's newest snapshot is not one to send from";
    TargetModified = "E_RECV_TARGET_MODIFIED", 409, 5, false, "The copy on the target was changed";
    Diverged = "E_RECV_TARGET_NEWER", 409, 5, false, "The target has snapshots that the source has not";
    NameClash = "E_SNAPSHOT_NAME_CLASH", 409, 5, false, "Another snapshot has that name on the target";
    DestinationExists = "E_RECV_DESTINATION_EXISTS", 409, 5, false, "The target exists and is unrelated";
    PartialState = "E_RECV_PARTIAL_STATE", 409, 5, true, "An earlier receive waits to be continued";
    ResumeTokenInvalid = "E_RESUME_TOKEN_INVALID", 409, 5, true, "The saved position leads nowhere any more";
    StreamCorrupt = "E_STREAM_CORRUPT", 502, 1, true, "The stream was cut or arrived damaged";
    StreamInvalid = "E_STREAM_INVALID", 502, 1, false, "The stream is not understood by the target";
    StreamFeature = "E_STREAM_FEATURE", 409, 5, false, "The target lacks a feature of the stream";
    EncryptionMismatch = "E_ENCRYPTION_MISMATCH", 409, 5, false, "Encryption on both sides does not fit";
    EncryptionRoot = "E_ENCRYPTION_ROOT", 409, 5, false, "The replica has another key than it was received with";
    StreamPinned = "E_STREAM_PINNED", 409, 5, false, "The replica was begun with other stream options";
    KeyNotLoaded = "E_KEY_NOT_LOADED", 409, 1, false, "An encryption key is not loaded";
    NoSpace = "E_RECV_NO_SPACE", 507, 1, true, "The target's pool is full";
    Quota = "E_RECV_QUOTA", 507, 1, false, "A quota on the target is reached";
    Busy = "E_RECV_BUSY", 409, 11, true, "The dataset is busy";
    SnapshotHeld = "E_SNAPSHOT_HELD", 409, 5, false, "The snapshot is held";
    SnapshotHasClones = "E_SNAPSHOT_HAS_CLONES", 409, 5, false, "Datasets were cloned from the snapshot";
    RollbackNewer = "E_ROLLBACK_NEWER", 409, 5, false, "Something newer stands in the way of going back";
    ZfsPermission = "E_ZFS_PERMISSION", 403, 1, false, "The user may not do this with zfs";
    GateRefused = "E_GATE_REFUSED", 403, 1, false, "The restricted ssh key may not run that";
    HoldNeeded = "E_HOLD_NEEDED", 409, 10, false, "What was named is needed, or nobody can tell";
    PoolUnavailable = "E_POOL_UNAVAILABLE", 503, 1, true, "The pool is suspended or not imported";
    SourceUnreadable = "E_SOURCE_UNREADABLE", 500, 1, false, "The source's pool can not read a block of what is to be sent";
    ZfsNotFound = "E_ZFS_NOT_FOUND", 500, 1, false, "zfs is not installed there";
    ZfsUnsupported = "E_ZFS_UNSUPPORTED", 409, 1, false, "This version of ZFS does not know that";
    ZfsOutput = "E_ZFS_OUTPUT", 502, 1, false, "zfs printed something that is not understood";
    ZfsUnclassified = "E_ZFS_UNCLASSIFIED", 500, 1, true, "zfs failed with words we do not know";
    DatasetExists = "E_DATASET_EXISTS", 409, 5, false, "It exists already";
    NothingToAbort = "E_RECV_NOTHING_TO_ABORT", 409, 5, false, "There is no interrupted receive to discard";
    ProcessStart = "E_PROCESS_START", 500, 1, true, "A program could not be started";
    SshUnreachable = "E_SSH_UNREACHABLE", 502, 8, true, "ssh does not reach the host";
    SshAuthentication = "E_SSH_AUTH", 502, 8, false, "ssh: the key is refused";
    SshHostKeyUnknown = "E_SSH_HOST_KEY_UNKNOWN", 409, 10, false, "ssh: the host key is not known";
    SshHostKeyChanged = "E_SSH_HOST_KEY_CHANGED", 409, 10, false, "ssh: the host key has changed";
    TlsUnreachable = "E_TLS_UNREACHABLE", 502, 8, true, "The other agent is not reached over TLS";
    TlsCertificate = "E_TLS_CERTIFICATE", 502, 8, true, "A certificate is not accepted";
    TlsTicket = "E_TLS_TICKET", 403, 4, true, "The other agent does not accept the ticket";
    TlsForbidden = "E_TLS_FORBIDDEN", 403, 4, false, "The ticket does not allow this command";
    TransferInterrupted = "E_TRANSFER_INTERRUPTED", 500, 1, true, "The transfer was interrupted";
    CommandTimeout = "E_COMMAND_TIMEOUT", 504, 1, true, "A command did not end in time";
    TransferStalled = "E_TRANSFER_STALLED", 504, 1, true, "No byte moved for too long";
    TransferCancelled = "E_TRANSFER_CANCELLED", 409, 1, false, "The transfer was cancelled";
    TransferRetriesExhausted = "E_TRANSFER_RETRIES_EXHAUSTED", 500, 1, false, "The transfer failed too often and is parked";
    VerificationNotFound = "E_VERIFICATION_NOT_FOUND", 404, 3, false, "There is no such verification";
    VerificationFinished = "E_VERIFICATION_FINISHED", 409, 5, false, "The verification has already ended";
    VerifyAnswer = "E_VERIFY_ANSWER", 502, 1, false, "An answer to a verification does not fit its question";
    VerifyInterrupted = "E_VERIFY_INTERRUPTED", 500, 1, true, "The verification was interrupted too often";
    VerifyNoAgent = "E_VERIFY_NO_AGENT", 504, 1, true, "No agent came to read one side of the verification";
    VerifyRead = "E_VERIFY_READ", 500, 1, true, "The content of a snapshot could not be read";
    VerifyUnsupported = "E_VERIFY_UNSUPPORTED", 409, 1, false, "Content can not be read there";
    VerifyVersion = "E_VERIFY_VERSION", 409, 5, false, "Both sides make digests in different ways";
    NotArrived = "E_SNAPSHOT_NOT_ARRIVED", 502, 1, true, "zfs reported success, but the snapshot is not on the target";
}

impl ErrorCode {
    /// The variant with this code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|candidate| candidate.code() == code)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.code())
    }
}

#[derive(rust_embed::RustEmbed)]
#[folder = "../../docs/codes"]
#[include = "*.md"]
struct Pages;

/// Every code of every kind, sorted.
pub fn all_codes() -> Vec<&'static str> {
    let errors = ErrorCode::ALL.iter().map(|code| code.code());
    let reasons = Reason::ALL.iter().map(|code| code.code());
    let warnings = Warning::ALL.iter().map(|code| code.code());
    let mut all: Vec<_> = errors.chain(reasons).chain(warnings).collect();
    all.sort_unstable();
    all
}

/// The page of a code, in Markdown; `None` for a code that does not exist.
pub fn explain(code: &str) -> Option<String> {
    let known = all_codes().into_iter().find(|known| known.eq_ignore_ascii_case(code))?;
    let page = Pages::get(&format!("{known}.md"))?;
    let bytes: Cow<'static, [u8]> = page.data;
    String::from_utf8(bytes.into_owned()).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_has_a_page_and_every_page_a_code() {
        let codes: BTreeSet<String> = all_codes().into_iter().map(str::to_owned).collect();
        let pages: BTreeSet<String> = Pages::iter()
            .map(|path| path.trim_end_matches(".md").to_owned())
            .filter(|name| name != "README")
            .collect();
        assert_eq!(
            codes.difference(&pages).collect::<Vec<_>>(),
            Vec::<&String>::new(),
            "codes without a page"
        );
        assert_eq!(
            pages.difference(&codes).collect::<Vec<_>>(),
            Vec::<&String>::new(),
            "pages without a code"
        );
    }

    #[test]
    fn codes_are_unique_and_pages_begin_with_their_code() {
        let all = all_codes();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
        for code in all {
            let page = explain(code).expect("the test above");
            assert!(page.starts_with(&format!("# {code}")), "docs/codes/{code}.md must begin with its code");
            assert!(page.contains("## What to do"), "docs/codes/{code}.md must say what to do");
        }
    }
}
