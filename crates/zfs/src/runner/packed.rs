//! Streams that travel as zstd: what a remote shell is given, with the `zstd` program at that end.

use zfs_sync_core::flow::Compression;

use super::{Packing, Privilege};
use crate::command::{Command, quote};

/// The line for a remote shell of any kind, without its environment.
pub(super) fn remote_line(command: &Command, packing: Packing, privilege: Privilege) -> String {
    let line = privilege.line(&command.display_line());
    let script = match (packing, command) {
        (Packing::None, _) => return line,
        // The status is that of the last: the receive's own. When the stream is cut, zstd hands on what it has and ends, so that the
        // receive meets the end of its input as if nothing were between, and keeps what it has.
        (Packing::Zstd(_), Command::Receive(_)) => format!("zstd -q -d -c | {line}"),
        // The status that counts is the first one's. It goes around zstd as a text on a descriptor of its own, which neither of both keeps
        // open; the stream goes where the shell's own output went.
        (Packing::Zstd(compression), _) => format!(
            "exec 4>&1; s=$( {{ {{ {line} 3>&- 4>&-; echo $? >&3; }} | zstd -q -c {} >&4 3>&- 4>&-; }} 3>&1 ); exit ${{s:-1}}",
            options(compression)
        ),
    };
    format!("sh -c {}", quote(&script))
}

/// One thread: with workers the program keeps megabytes back before it writes anything, and a sender that has little to say would look
/// stalled. Level 1 lets data that does not shrink pass faster than any connection.
fn options(compression: Compression) -> String {
    match compression {
        Compression::Off | Compression::Auto => "--single-thread -1".to_owned(),
        Compression::Level(level) => format!("--single-thread -{level}"),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _, process::Stdio};

    use rstest::rstest;
    use zfs_sync_core::stream::StreamForm;

    use super::*;
    use crate::command::{ReceiveCommand, SendCommand};

    fn send() -> Command {
        Command::Send(SendCommand::Full { to: "tank/a b@x".parse().unwrap(), form: StreamForm::WHOLE })
    }

    fn receive() -> Command {
        let dataset = "backup/a".parse().unwrap();
        Command::Receive(ReceiveCommand::further(dataset))
    }

    /// Runs the line by the system's shell and zstd, with a `zfs` of its own, and gives its standard output and status.
    #[expect(clippy::disallowed_methods, reason = "stands in for the shell at the far end")]
    fn run(line: &str, zfs: &str, input: &[u8]) -> (Vec<u8>, Option<i32>) {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("zfs");
        fs::write(&program, format!("#!/bin/sh\n{zfs}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:{}", directory.path().display(), std::env::var("PATH").unwrap());
        let mut child = std::process::Command::new("sh")
            .args(["-c", line])
            .env("PATH", path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_vec());
        let writer = std::thread::spawn(move || drop(std::io::Write::write_all(&mut stdin, &input)));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        (output.stdout, output.status.code())
    }

    #[test]
    fn an_unpacked_line_is_the_command_alone() {
        assert_eq!(remote_line(&receive(), Packing::None, Privilege::Own), receive().display_line());
    }

    #[rstest]
    #[case::well("printf stream", b"stream".to_vec(), 0)]
    #[case::failed("printf strea; exit 3", b"strea".to_vec(), 3)]
    #[case::silent("exit 1", Vec::new(), 1)]
    fn a_packed_sender_has_its_own_status(
        #[case] zfs: &str,
        #[case] expected: Vec<u8>,
        #[case] status: i32,
        #[values(Compression::Auto, Compression::Level(3))] compression: Compression,
    ) {
        let (packed, seen) = run(&remote_line(&send(), Packing::Zstd(compression), Privilege::Own), zfs, &[]);
        assert_eq!(seen, Some(status));
        assert_eq!(zstd::decode_all(&packed[..]).unwrap(), expected);
    }

    #[rstest]
    #[case::well("cat", 0)]
    #[case::failed("cat; exit 2", 2)]
    fn a_packed_receiver_has_its_own_status(#[case] zfs: &str, #[case] status: i32) {
        let line = remote_line(&receive(), Packing::Zstd(Compression::Auto), Privilege::Own);
        let packed = zstd::encode_all(&b"a stream"[..], 3).unwrap();
        assert_eq!(run(&line, zfs, &packed), (b"a stream".to_vec(), Some(status)));
    }

    #[test]
    fn a_packed_receiver_gets_all_of_a_cut_stream_and_its_end() {
        let line = remote_line(&receive(), Packing::Zstd(Compression::Auto), Privilege::Own);
        let plain: Vec<u8> = (0..200_000u32).flat_map(u32::to_le_bytes).collect();
        let packed = zstd::encode_all(&plain[..], 1).unwrap();
        let (received, status) = run(&line, "cat; echo kept >&2; exit 1", &packed[..packed.len() - 5]);
        assert_eq!(status, Some(1));
        assert!(received.len() > plain.len() / 2 && plain.starts_with(&received), "{}", received.len());
    }
}
