//! The table of what `zfs`, `zpool` and `ssh` say, and our own TLS.
//!
//! OpenZFS ships no translations and its texts have been stable for a decade, but lines are wrapped and prefixed differently
//! by version: fragments are looked for in the text with all white space folded. The first rule that fits wins, so
//! that precise texts stand before general ones.

use super::Kind;

/// A rule: all fragments must occur.
type Rule = (&'static [&'static str], Kind);

const RULES: &[Rule] = &[
    // Our own words, of the connection to another agent.
    (&["E_TLS_UNREACHABLE:"], Kind::TlsUnreachable),
    (&["E_TLS_CERTIFICATE:"], Kind::TlsCertificate),
    (&["E_TLS_TICKET:"], Kind::TlsTicket),
    (&["E_TLS_FORBIDDEN:"], Kind::TlsForbidden),
    // ssh. Before everything else: its "Permission denied" is another than that of zfs.
    (&["REMOTE HOST IDENTIFICATION HAS CHANGED"], Kind::SshHostKeyChanged),
    (&["Host key verification failed"], Kind::SshHostKeyUnknown),
    (&["host key is known for", "requested strict checking"], Kind::SshHostKeyUnknown),
    (&["Permission denied ("], Kind::SshAuthentication),
    (&["Too many authentication failures"], Kind::SshAuthentication),
    (&["no mutual signature algorithm"], Kind::SshAuthentication),
    (&["Bad owner or permissions on"], Kind::SshAuthentication),
    (&["Could not resolve hostname"], Kind::SshUnreachable),
    (&["Connection refused"], Kind::SshUnreachable),
    (&["Connection timed out"], Kind::SshUnreachable),
    (&["Operation timed out"], Kind::SshUnreachable),
    (&["No route to host"], Kind::SshUnreachable),
    (&["Network is unreachable"], Kind::SshUnreachable),
    (&["Connection closed by"], Kind::SshUnreachable),
    (&["closed by remote host"], Kind::SshUnreachable),
    (&["Connection reset by"], Kind::SshUnreachable),
    (&["kex_exchange_identification"], Kind::SshUnreachable),
    (&["banner exchange"], Kind::SshUnreachable),
    (&["Timeout, server", "not responding"], Kind::SshUnreachable),
    (&["client_loop: send disconnect"], Kind::SshUnreachable),
    // No right to run it: refused by our own gate, by sudo, by doas.
    (&["E_GATE_REFUSED"], Kind::Permission),
    (&["sudo: ", "password is required"], Kind::Permission),
    (&["sudo: ", "terminal is required"], Kind::Permission),
    (&["is not in the sudoers file"], Kind::Permission),
    (&["is not allowed to execute", "as root"], Kind::Permission),
    (&["doas: "], Kind::Permission),
    (&["env: ", "sudo", "No such file or directory"], Kind::Permission),
    (&["env: ", "doas", "No such file or directory"], Kind::Permission),
    // No zfs here.
    (&["zfs: command not found"], Kind::ZfsNotFound),
    (&["zpool: command not found"], Kind::ZfsNotFound),
    (&["zfs: not found"], Kind::ZfsNotFound),
    (&["zpool: not found"], Kind::ZfsNotFound),
    (&["env: ", "zfs", "No such file or directory"], Kind::ZfsNotFound),
    (&["env: ", "zpool", "No such file or directory"], Kind::ZfsNotFound),
    (&["ZFS modules are not loaded"], Kind::ZfsNotFound),
    (&["ZFS modules cannot be auto-loaded"], Kind::ZfsNotFound),
    (&["/dev/zfs", "No such file or directory"], Kind::ZfsNotFound),
    // zfs-fuse: its daemon does not run; and what its `holds` and `allow` would need is not packaged.
    (&["failed to initialize ZFS library"], Kind::ZfsNotFound),
    (&["pyzfs.py not found"], Kind::Unsupported),
    // Resume tokens and interrupted receives.
    (&["does not have any resumable receive state to abort"], Kind::NothingToAbort),
    (&["resume token is corrupt"], Kind::TokenDead),
    (&["used in the initial send no longer exists"], Kind::TokenDead),
    (&["is no longer the same snapshot used in the initial send"], Kind::TokenDead),
    (&["cannot resume send"], Kind::TokenDead),
    (&["contains partially-complete state"], Kind::PartialState),
    (&["/%recv"], Kind::PartialState),
    (&["Resuming recv on existing destination"], Kind::DestinationExists),
    (&["cannot resume recv"], Kind::DestinationExists),
    // History that does not fit.
    (&["most recent snapshot of", "does not match incremental source"], Kind::BaseMismatch),
    (&["not an earlier snapshot from the same fs"], Kind::BaseMismatch),
    (&["has been modified since most recent snapshot"], Kind::TargetModified),
    (&["cannot restore to", "destination already exists"], Kind::DestinationExists),
    (&["must specify -F to overwrite it"], Kind::DestinationExists),
    (&["destination has snapshots (eg."], Kind::DestinationExists),
    (&["must destroy them to overwrite it"], Kind::DestinationExists),
    (&["is a clone", "must destroy it"], Kind::DestinationExists),
    (&["is the root dataset", "cannot overwrite with a ZVOL"], Kind::DestinationExists),
    (&["destination has children", "cannot overwrite with a ZVOL"], Kind::DestinationExists),
    // Encryption.
    (&["cannot be used to destroy an encrypted filesystem"], Kind::Crypto),
    (&["cannot perform raw receive on top of existing unencrypted dataset"], Kind::Crypto),
    (&["IV set guid mi"], Kind::Crypto),
    (&["crypto parameters not compatible"], Kind::Crypto),
    (&["encryption key does not match existing key"], Kind::Crypto),
    (&["failed to create encryption key"], Kind::Crypto),
    (&["incompatible embedded data stream feature with encrypted receive"], Kind::Crypto),
    (&["may not be sent with properties without the raw flag"], Kind::Crypto),
    (&["key must be loaded"], Kind::KeyNotLoaded),
    (&["ncryption key not loaded"], Kind::KeyNotLoaded),
    // Features.
    (&["requires -L (--large-block)"], Kind::StreamFeature),
    (&["destination contains large blocks"], Kind::StreamFeature),
    (&["pool must be upgraded to receive this stream"], Kind::StreamFeature),
    (&["kernel modules must be upgraded to receive this stream"], Kind::StreamFeature),
    (&["Spill block flag missing"], Kind::StreamFeature),
    // Room.
    (&["quota exceeded"], Kind::Quota),
    (&["out of space"], Kind::NoSpace),
    (&["No space left on device"], Kind::NoSpace),
    // The stream itself.
    (&["checksum mismatch"], Kind::StreamCut),
    (&["incomplete stream"], Kind::StreamCut),
    (&["failed to read from stream"], Kind::StreamCut),
    (&["invalid backup stream"], Kind::StreamInvalid),
    (&["invalid stream"], Kind::StreamInvalid),
    // A block that its pool can not read.
    (&["cannot send", "Input/output error"], Kind::SourceUnreadable),
    // Everything else that zfs says.
    (&["pool I/O is currently suspended"], Kind::PoolUnavailable),
    (&["no such pool"], Kind::PoolUnavailable),
    (&["pool is not available"], Kind::PoolUnavailable),
    (&["it's being held"], Kind::Held),
    // After `/%recv` above: an interrupted receive is told apart from a clone that somebody made.
    (&["has dependent clones"], Kind::HasClones),
    (&["clones of previous snapshots exist"], Kind::HasClones),
    (&["more recent snapshots or bookmarks exist"], Kind::NewerExist),
    (&["tag already exists on this dataset"], Kind::AlreadyExists),
    (&["bookmark exists"], Kind::AlreadyExists),
    (&["already exists"], Kind::AlreadyExists),
    (&["no such tag on this dataset"], Kind::NotFound),
    (&["could not find any snapshots to destroy"], Kind::NotFound),
    (&["does not exist"], Kind::NotFound),
    (&["no longer exists"], Kind::NotFound),
    (&["is busy"], Kind::Busy),
    (&["permission denied"], Kind::Permission),
    (&["Permission denied"], Kind::Permission),
    (&["nsufficient privileges"], Kind::Permission),
    (&["must be run as root"], Kind::Permission),
    (&["unrecognized command"], Kind::Unsupported),
    (&["invalid option"], Kind::Unsupported),
    (&["bad property list"], Kind::Unsupported),
    (&["invalid property"], Kind::Unsupported),
    (&["operation not supported"], Kind::Unsupported),
    (&["feature not enabled"], Kind::Unsupported),
    // A sender whose receiver went away. Last: it is never the cause.
    (&["signal received"], Kind::Interrupted),
    (&["Broken pipe"], Kind::Interrupted),
    (&["Interrupted system call"], Kind::Interrupted),
];

/// What a text on standard error means.
pub fn classify(stderr: &str) -> Kind {
    let text = stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    let fits = |fragments: &[&str]| fragments.iter().all(|fragment| text.contains(fragment));
    RULES.iter().find(|(fragments, _)| fits(fragments)).map_or(Kind::Unclassified, |&(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(
        "cannot receive incremental stream: most recent snapshot of backup/a does not\nmatch incremental source\n",
        Kind::BaseMismatch
    )]
    #[case(
        "cannot receive incremental stream: destination backup/a has been modified\nsince most recent snapshot\n",
        Kind::TargetModified
    )]
    #[case("cannot restore to backup/a@one: destination already exists\n", Kind::DestinationExists)]
    #[case(
        "cannot receive new filesystem stream: destination 'backup/a' exists\nmust specify -F to overwrite it\n",
        Kind::DestinationExists
    )]
    #[case(
        "cannot receive new filesystem stream: destination has snapshots (eg. backup/a@x)\nmust destroy them to overwrite it\n",
        Kind::DestinationExists
    )]
    #[case(
        "cannot receive new filesystem stream: destination 'backup/a' is a clone\nmust destroy it to overwrite it\n",
        Kind::DestinationExists
    )]
    #[case(
        "cannot receive new filesystem stream: destination backup is the root dataset\ncannot overwrite with a ZVOL\n",
        Kind::DestinationExists
    )]
    #[case(
        "cannot receive: destination has children: backup/a\ncannot overwrite with a ZVOL\n",
        Kind::DestinationExists
    )]
    #[case(
        "cannot receive resume stream: Resuming recv on existing destination 'backup/a'\nmust specify -F to overwrite it\n",
        Kind::DestinationExists
    )]
    #[case(
        "cannot receive incremental stream: destination backup/a contains partially-complete state from \"zfs receive -s\".\n",
        Kind::PartialState
    )]
    #[case(
        "cannot destroy 'tank/a@b': snapshot has dependent clones\nuse '-R' to destroy the following datasets:\ntank/a/%recv\n",
        Kind::PartialState
    )]
    #[case("cannot resume send: 'tank/a@one' used in the initial send no longer exists\n", Kind::TokenDead)]
    #[case(
        "cannot resume send: 'tank/a@one' is no longer the same snapshot used in the initial send\n",
        Kind::TokenDead
    )]
    #[case("cannot resume send: incremental source 0x83ad0f1c no longer exists\n", Kind::TokenDead)]
    #[case("cannot resume send: dataset to be sent no longer exists\n", Kind::TokenDead)]
    #[case("cannot resume send: resume token is corrupt (invalid format)\n", Kind::TokenDead)]
    #[case("cannot resume send: no appropriate redaction bookmark exists\n", Kind::TokenDead)]
    #[case(
        "cannot abort: 'backup/a' does not have any resumable receive state to abort\n",
        Kind::NothingToAbort
    )]
    #[case(
        "cannot receive incremental stream: checksum mismatch or incomplete stream.\nPartially received snapshot is saved.\nA resuming stream can be generated on the sending system by running:\n    zfs send -t 1-c0-d0-789c\n",
        Kind::StreamCut
    )]
    #[case("cannot receive new filesystem stream: incomplete stream\n", Kind::StreamCut)]
    #[case("zfs-sync: E_GATE_REFUSED: this key may not do that\n", Kind::Permission)]
    #[case("sudo: a password is required\n", Kind::Permission)]
    #[case("doas: Operation not permitted\n", Kind::Permission)]
    #[case("env: 'doas': No such file or directory\n", Kind::Permission)]
    #[case("env: \u{2018}sudo\u{2019}: No such file or directory\n", Kind::Permission)]
    #[case("cannot receive: failed to read from stream\n", Kind::StreamCut)]
    #[case("cannot receive: invalid stream (bad magic number)\n", Kind::StreamInvalid)]
    #[case("cannot receive incremental stream: invalid backup stream\n", Kind::StreamInvalid)]
    #[case("warning: cannot send 'tank/a@one': Input/output error\n", Kind::SourceUnreadable)]
    #[case(
        "cannot receive incremental stream: incremental send stream requires -L (--large-block), to match previous receive.\n",
        Kind::StreamFeature
    )]
    #[case(
        "cannot receive new filesystem stream: pool must be upgraded to receive this stream.\n",
        Kind::StreamFeature
    )]
    #[case(
        "cannot receive new filesystem stream: kernel modules must be upgraded to receive this stream.\n",
        Kind::StreamFeature
    )]
    #[case(
        "cannot receive incremental stream: Spill block flag missing for raw send.\nThe zfs software on the sending system must be updated.\n",
        Kind::StreamFeature
    )]
    #[case(
        "cannot receive new filesystem stream: stream uses crypto parameters not compatible with this pool\n",
        Kind::Crypto
    )]
    #[case(
        "cannot receive incremental stream: IV set guid mismatch. See the 'zfs receive' man page section\n",
        Kind::Crypto
    )]
    #[case(
        "cannot receive incremental stream: IV set guid missing. See errata 4 at https://openzfs.github.io/\n",
        Kind::Crypto
    )]
    #[case("cannot receive incremental stream: encryption key does not match existing key\n", Kind::Crypto)]
    #[case("cannot receive new filesystem stream: failed to create encryption key\n", Kind::Crypto)]
    #[case(
        "cannot receive new filesystem stream: zfs receive -F cannot be used to destroy an encrypted filesystem or overwrite an unencrypted one with an encrypted one\n",
        Kind::Crypto
    )]
    #[case(
        "cannot receive: cannot perform raw receive on top of existing unencrypted dataset\n",
        Kind::Crypto
    )]
    #[case(
        "cannot receive new filesystem stream: incompatible embedded data stream feature with encrypted receive.\n",
        Kind::Crypto
    )]
    #[case(
        "cannot send tank/e@one: encrypted dataset tank/e may not be sent with properties without the raw flag\n",
        Kind::Crypto
    )]
    #[case("warning: cannot send 'tank/e@one': source key must be loaded\n", Kind::KeyNotLoaded)]
    #[case("cannot receive new filesystem stream: inherited key must be loaded\n", Kind::KeyNotLoaded)]
    #[case("cannot mount 'tank/e': encryption key not loaded\n", Kind::KeyNotLoaded)]
    #[case("cannot receive new filesystem stream: out of space\n", Kind::NoSpace)]
    #[case("cannot receive: destination backup/a space quota exceeded.\n", Kind::Quota)]
    #[case("cannot receive incremental stream: dataset is busy\n", Kind::Busy)]
    #[case("cannot unmount '/backup/a': pool or dataset is busy\n", Kind::Busy)]
    #[case(
        "cannot destroy snapshot tank/a@one: it's being held. Run 'zfs holds -r tank/a@one' to see holders.\n",
        Kind::Held
    )]
    // 2.1 says no more of a held snapshot than of one that is being sent.
    #[case("cannot destroy snapshot tank/a@one: dataset is busy\n", Kind::Busy)]
    #[case(
        "cannot destroy 'tank/a@one': snapshot has dependent clones\nuse '-R' to destroy the following datasets:\ntank/clone\n",
        Kind::HasClones
    )]
    #[case(
        "cannot rollback to 'tank/a@one': clones of previous snapshots exist\nuse '-R' to force deletion of the following clones and dependents:\ntank/clone\n",
        Kind::HasClones
    )]
    #[case(
        "cannot rollback to 'tank/a@one': clones of previous snapshots exist\nuse '-R' to force deletion of the following clones and dependents:\ntank/a/%recv\n",
        Kind::PartialState
    )]
    #[case(
        "cannot rollback to 'tank/a@one': more recent snapshots or bookmarks exist\nuse '-r' to force deletion of the following snapshots and bookmarks:\ntank/a@two\n",
        Kind::NewerExist
    )]
    #[case("cannot rollback 'tank/a': permission denied\n", Kind::Permission)]
    #[case("cannot receive: specified origin fs does not exist\n", Kind::NotFound)]
    #[case("cannot hold snapshot 'tank/a@one': tag already exists on this dataset\n", Kind::AlreadyExists)]
    #[case("cannot create snapshot 'tank/a@one': dataset already exists\n", Kind::AlreadyExists)]
    #[case("cannot create bookmark 'tank/a#one': bookmark exists\n", Kind::AlreadyExists)]
    #[case("cannot release hold from snapshot 'tank/a@one': no such tag on this dataset\n", Kind::NotFound)]
    #[case("cannot open 'tank/a': dataset does not exist\n", Kind::NotFound)]
    #[case("could not find any snapshots to destroy; check snapshot names.\n", Kind::NotFound)]
    #[case("bookmark 'tank/a#x' does not exist.\n", Kind::NotFound)]
    #[case("cannot create 'tank/a/b/c': parent does not exist\n", Kind::NotFound)]
    #[case("cannot create 'tank/a': permission denied\n", Kind::Permission)]
    #[case("cannot hold: permission denied\n", Kind::Permission)]
    #[case("Permission denied the ZFS utilities must be run as root.\n", Kind::Permission)]
    #[case("cannot mount 'tank/a': Insufficient privileges\n", Kind::Permission)]
    #[case("cannot open 'tank': pool I/O is currently suspended\n", Kind::PoolUnavailable)]
    #[case("cannot open 'tank': no such pool\n", Kind::PoolUnavailable)]
    #[case("unrecognized command 'version'\nusage: zfs command args ...\n", Kind::Unsupported)]
    #[case("invalid option 'w'\nusage:\n\tsend [-DnPpRvLec]\n", Kind::Unsupported)]
    #[case("bad property list: invalid property 'snapshots_changed'\n", Kind::Unsupported)]
    #[case("sh: 1: zfs: not found\n", Kind::ZfsNotFound)]
    #[case("bash: line 1: zfs: command not found\n", Kind::ZfsNotFound)]
    #[case("env: 'zfs': No such file or directory\n", Kind::ZfsNotFound)]
    #[case(
        "The ZFS modules are not loaded.\nTry running 'modprobe zfs' as root to load them.\n",
        Kind::ZfsNotFound
    )]
    #[case(
        "connect: No such file or directory\nPlease make sure that the zfs-fuse daemon is running.\ninternal error: failed to initialize ZFS library\n",
        Kind::ZfsNotFound
    )]
    #[case("internal error: /usr/lib/zfs/pyzfs.py not found\n", Kind::Unsupported)]
    #[case("warning: cannot send 'tank/a@one': signal received\n", Kind::Interrupted)]
    #[case("warning: cannot send 'tank/a@one': Broken pipe\n", Kind::Interrupted)]
    #[case("root@nas2: Permission denied (publickey,password).\n", Kind::SshAuthentication)]
    #[case(
        "Received disconnect from 192.0.2.1 port 22:2: Too many authentication failures\n",
        Kind::SshAuthentication
    )]
    #[case("Host key verification failed.\n", Kind::SshHostKeyUnknown)]
    #[case(
        "No ED25519 host key is known for nas2 and you have requested strict checking.\nHost key verification failed.\n",
        Kind::SshHostKeyUnknown
    )]
    #[case(
        "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\nHost key verification failed.\n",
        Kind::SshHostKeyChanged
    )]
    #[case("ssh: connect to host nas2 port 22: Connection refused\n", Kind::SshUnreachable)]
    #[case("ssh: connect to host nas2 port 22: Connection timed out\n", Kind::SshUnreachable)]
    #[case("ssh: connect to host nas2 port 22: No route to host\n", Kind::SshUnreachable)]
    #[case("ssh: Could not resolve hostname nas9: Name or service not known\n", Kind::SshUnreachable)]
    #[case("Connection closed by 192.0.2.1 port 22\n", Kind::SshUnreachable)]
    #[case("Connection to nas2 closed by remote host.\n", Kind::SshUnreachable)]
    #[case("kex_exchange_identification: read: Connection reset by peer\n", Kind::SshUnreachable)]
    #[case("Timeout, server nas2 not responding.\n", Kind::SshUnreachable)]
    #[case("client_loop: send disconnect: Broken pipe\n", Kind::SshUnreachable)]
    #[case("", Kind::Unclassified)]
    #[case("internal error: Unknown error 1040\n", Kind::Unclassified)]
    fn known_texts_have_their_meaning(#[case] stderr: &str, #[case] kind: Kind) {
        assert_eq!(classify(stderr), kind, "{stderr}");
    }

    proptest! {
        #[test]
        fn any_text_is_classified(stderr in "\\PC*") {
            let _ = classify(&stderr);
        }
    }
}
