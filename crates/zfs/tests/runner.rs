//! Commands as real processes: what arrives, and what is made of how they end.

#![expect(clippy::unwrap_used, reason = "a test that can not go on has failed")]

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use zfs_sync_zfs::{
    command::{Command, Scope, SendCommand},
    error::Kind,
    runner::{LocalRunner, Runner, SshRunner, SshTarget},
};

/// A directory with one executable script.
fn directory_with(program: &str, script: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(program);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

/// A command whose arguments hold spaces and `#`.
fn tricky() -> Command {
    Command::Bookmark { snapshot: "tank/a b@x y".parse().unwrap(), label: "m n".parse().unwrap() }
}

const PRINT_ARGUMENTS: &str = r#"printf '<%s>' "$@"; printf ' %s' "$LC_ALL""#;

fn ssh(directory: &Path) -> SshRunner {
    let target = SshTarget::new("nas2".parse().unwrap(), Some("root".into())).unwrap();
    SshRunner::new(target, &directory.join("control")).unwrap().searching_first(directory)
}

/// An `ssh` that runs the remote line here, with a `zfs` beside it.
fn ssh_to_this_machine(zfs: &str) -> tempfile::TempDir {
    let directory = directory_with("zfs", zfs);
    let ssh = directory.path().join("ssh");
    let script = "#!/bin/sh\nfor line; do :; done\nexec sh -c \"$line\"\n";
    fs::write(&ssh, script).unwrap();
    fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

#[tokio::test]
async fn arguments_reach_a_local_command_as_they_are_and_its_language_is_c() {
    let directory = directory_with("zfs", PRINT_ARGUMENTS);
    let runner = LocalRunner::new().searching_first(directory.path());
    let output = runner.run(&tricky()).await.unwrap();
    assert_eq!(output.stdout, "<bookmark><tank/a b@x y><tank/a b#m n> C");
}

#[tokio::test]
async fn arguments_reach_a_remote_command_as_they_are_and_its_language_is_c() {
    let directory = ssh_to_this_machine(PRINT_ARGUMENTS);
    let output = ssh(directory.path()).run(&tricky()).await.unwrap();
    assert_eq!(output.stdout, "<bookmark><tank/a b@x y><tank/a b#m n> C");
}

#[tokio::test]
async fn a_failure_is_classified_and_names_host_and_command() {
    let script = "echo \"cannot open 'tank/a': dataset does not exist\" >&2; exit 1";
    let directory = directory_with("zfs", script);
    let runner = LocalRunner::new().searching_first(directory.path()).named("nas1");
    let command = Command::ListHistory { scope: Scope::Only("tank/a".parse().unwrap()) };
    let error = runner.run(&command).await.unwrap_err();
    assert_eq!(error.kind, Kind::NotFound);
    assert_eq!(error.code(), "E_DATASET_NOT_FOUND");
    assert_eq!(
        error.to_string(),
        "`zfs list -Hp -t snapshot,bookmark -o name,guid,createtxg,creation,used,referenced,userrefs -d 1 tank/a` \
         on nas1 exited with 1: cannot open 'tank/a': dataset does not exist"
    );
}

#[tokio::test]
async fn a_warning_beside_success_is_no_failure() {
    let directory = directory_with("zfs", "echo data; echo 'be careful' >&2");
    let output = LocalRunner::new().searching_first(directory.path()).run(&Command::Version).await.unwrap();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("data\n", "be careful\n"));
}

#[tokio::test]
async fn an_output_larger_than_any_pipe_arrives_whole() {
    let directory = directory_with("zfs", "head -c 5000000 /dev/zero | tr '\\0' x");
    let output = LocalRunner::new().searching_first(directory.path()).run(&Command::Version).await.unwrap();
    assert_eq!(output.stdout.len(), 5_000_000);
}

#[tokio::test]
async fn something_left_behind_that_holds_the_outputs_open_is_not_waited_for() {
    let directory = directory_with("zfs", "echo data; sleep 1000 & echo $! > \"$0.pid\"");
    let output = LocalRunner::new().searching_first(directory.path()).run(&Command::Version).await.unwrap();
    assert_eq!(output.stdout, "data\n");
    let pid = fs::read_to_string(directory.path().join("zfs.pid")).unwrap();
    let pid = rustix::process::Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn a_command_killed_by_a_signal_is_interrupted() {
    let directory = directory_with("zfs", "kill -9 $$");
    let error =
        LocalRunner::new().searching_first(directory.path()).run(&Command::Version).await.unwrap_err();
    assert_eq!((error.kind, error.status.as_str()), (Kind::Interrupted, "was killed by signal 9"));
}

#[tokio::test]
async fn a_host_that_can_not_be_reached_is_told_from_a_failing_zfs() {
    let text = "ssh: connect to host nas2 port 22: Connection refused";
    let directory = directory_with("ssh", &format!("echo '{text}' >&2; exit 255"));
    let error = ssh(directory.path()).run(&Command::Version).await.unwrap_err();
    assert_eq!((error.kind, error.host.as_str()), (Kind::SshUnreachable, "root@nas2"));
    let directory = ssh_to_this_machine("echo \"cannot open 'tank': no such pool\" >&2; exit 1");
    let error = ssh(directory.path()).run(&Command::Version).await.unwrap_err();
    assert_eq!(error.kind, Kind::PoolUnavailable);
}

#[tokio::test]
async fn a_remote_stage_writes_its_stream_and_is_seen_to_end() {
    let directory = ssh_to_this_machine("echo stream");
    let (mut reader, writer) = std::io::pipe().unwrap();
    let command = Command::Send(SendCommand::Full {
        to: "tank@x".parse().unwrap(),
        form: zfs_sync_core::stream::StreamForm::WHOLE,
    });
    let mut stage = ssh(directory.path()).start(&command, None, Some(writer)).unwrap();
    let end = stage.wait().await;
    assert!(end.success, "{end:?}");
    assert_eq!(std::io::read_to_string(&mut reader).unwrap(), "stream\n");
    // Waiting again gives the same answer.
    assert_eq!(stage.wait().await, end);
}

#[tokio::test]
async fn a_sender_whose_reader_has_gone_ends_by_a_broken_pipe() {
    let directory = directory_with("zfs", "exec cat /dev/zero");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let command = Command::Send(SendCommand::Full {
        to: "tank@x".parse().unwrap(),
        form: zfs_sync_core::stream::StreamForm::WHOLE,
    });
    let runner = LocalRunner::new().searching_first(directory.path());
    let end = runner.start(&command, None, Some(writer)).unwrap().wait().await;
    assert!(end.broken_pipe && !end.success, "{end:?}");
}

#[tokio::test]
async fn closing_ends_the_shared_connection() {
    let directory = directory_with("ssh", "printf '%s\\n' \"$@\" > \"$0.arguments\"");
    let runner = ssh(directory.path());
    runner.close().await;
    let arguments = directory.path().join("ssh.arguments");
    assert!(!arguments.exists(), "nothing is open yet");
    // The socket's name as ssh is told it.
    runner.run(&Command::Version).await.unwrap();
    let told = fs::read_to_string(&arguments).unwrap();
    let path =
        told.lines().find_map(|line| line.strip_prefix("ControlPath=\"")).unwrap().trim_end_matches('"');
    fs::write(path, "").unwrap();
    runner.close().await;
    let told = fs::read_to_string(&arguments).unwrap();
    assert!(told.starts_with("-O\nexit\n"), "{told}");
    assert!(told.ends_with("--\nnas2\n"), "{told}");
}
