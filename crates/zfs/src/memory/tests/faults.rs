use std::{io::Read as _, time::Duration};

use super::{super::Network, *};

#[tokio::test]
async fn a_receiver_that_dies_breaks_the_senders_pipe_and_keeps_what_came() {
    let (source, target) = pair();
    source.write("tank/a", 2_000_000).unwrap();
    source.snapshot("tank/a@two").unwrap();
    target.faults().cut_stream_after(500_000);
    let (sent, received) = transfer(&source, full("tank/a@two"), &target, first("backup/a")).await;
    assert_eq!((received.status.as_str(), received.stderr.as_str()), ("was killed by signal 9", ""));
    assert!(sent.broken_pipe && !sent.success);
    assert_eq!((sent.status.as_str(), sent.stderr.as_str()), ("was killed by signal 13", ""));
    assert!(row(&target, "backup/a").properties.partial.unwrap().bytes > 300_000);
    complete(&source, resume(&target, "backup/a"), &target, into("backup/a")).await;
    assert!(same_content(&source, "tank/a@two", &target, "backup/a@two"));
}

#[tokio::test]
async fn cuts_apply_to_one_stream_each_in_their_order() {
    let (source, target) = pair();
    source.faults().cut_stream_after(70_000);
    source.faults().cut_stream_after(70_000);
    let (sent, _) = transfer(&source, full("tank/a@one"), &target, first("backup/a")).await;
    assert!(!sent.success);
    let (sent, _) = transfer(&source, resume(&target, "backup/a"), &target, into("backup/a")).await;
    assert!(!sent.success);
    assert_eq!(row(&target, "backup/a").properties.partial.unwrap().bytes, 131_072);
    complete(&source, resume(&target, "backup/a"), &target, into("backup/a")).await;
}

#[tokio::test]
async fn an_injected_failure_hits_the_first_command_that_matches() {
    let (source, _) = pair();
    let text = "cannot hold snapshot: permission denied\n";
    source.faults().fail_next(|command| matches!(command, Command::Snapshot { .. }), text);
    run(&source, &Command::Version).unwrap();
    let snapshot = Command::Snapshot { snapshots: vec!["tank/a@two".parse().unwrap()] };
    let error = run(&source, &snapshot).unwrap_err();
    assert_eq!((error.kind, error.stderr.as_str()), (Kind::Permission, text));
    assert_eq!(snapshots(&source, "tank/a").len(), 1, "nothing was done");
    run(&source, &snapshot).unwrap();
}

#[tokio::test]
async fn an_offline_host_fails_like_ssh_and_only_from_outside() {
    let (source, target) = pair();
    target.faults().offline(true);
    let error = target.remote_runner().run(&Command::Version).await.unwrap_err();
    assert_eq!(error.kind, Kind::SshUnreachable);
    assert_eq!(error.status, "exited with 255");
    assert!(error.stderr.contains("connect to host nas2 port 22: Connection refused"));
    target.runner().run(&Command::Version).await.unwrap();
    let (sent, received) = transfer(&source, full("tank/a@one"), &target, first("backup/a")).await;
    assert_eq!(classify(&received.stderr), Kind::SshUnreachable);
    assert!(sent.broken_pipe);
    target.faults().offline(false);
    complete(&source, full("tank/a@one"), &target, first("backup/a")).await;
}

#[tokio::test]
async fn going_offline_cuts_a_running_stream_and_what_came_can_be_resumed() {
    let (source, target) = pair();
    source.write("tank/a", 1_000_000).unwrap();
    source.snapshot("tank/a@two").unwrap();
    let (mut from_source, writer) = std::io::pipe().unwrap();
    let (reader, mut to_target) = std::io::pipe().unwrap();
    let send = Command::Send(full("tank/a@two"));
    let mut sender = source.runner().start(&send, None, Some(writer)).unwrap();
    let receive = Command::Receive(first("backup/a"));
    let mut receiver = target.remote_runner().start(&receive, Some(reader), None).unwrap();
    // The first 150 000 bytes pass; the rest is never written, so that the receiver waits in the middle of the stream.
    let pumped = tokio::task::spawn_blocking(move || {
        let mut bytes = vec![0; 150_000];
        from_source.read_exact(&mut bytes).unwrap();
        std::io::Write::write_all(&mut to_target, &bytes).unwrap();
        (from_source, to_target)
    });
    let ends = pumped.await.unwrap();
    while find_row(&target, "backup/a")
        .and_then(|row| row.properties.partial)
        .is_none_or(|partial| partial.bytes < 131_072)
    {
        tokio::task::yield_now().await;
    }
    target.faults().offline(true);
    let received = receiver.wait().await;
    assert_eq!(received.status, "exited with 255");
    assert_eq!(classify(&received.stderr), Kind::SshUnreachable);
    drop(ends);
    assert!(sender.wait().await.broken_pipe);
    target.faults().offline(false);
    complete(&source, resume(&target, "backup/a"), &target, into("backup/a")).await;
    assert!(same_content(&source, "tank/a@two", &target, "backup/a@two"));
}

#[tokio::test]
async fn a_terminated_or_dropped_stage_ends_and_frees_what_it_held() {
    let (source, target) = pair();
    let (_reader, writer) = std::io::pipe().unwrap();
    let mut sender = source.runner().start(&Command::Send(full("tank/a@one")), None, Some(writer)).unwrap();
    assert_eq!(source.destroy_snapshot("tank/a@one").unwrap_err().kind, Kind::Busy);
    sender.terminate();
    assert_eq!(sender.wait().await.status, "was killed by signal 15");
    assert_eq!(sender.wait().await.status, "was killed by signal 15", "asking again gives the same");

    let (reader, _writer) = std::io::pipe().unwrap();
    let receiver = target.runner().start(&Command::Receive(first("backup/a")), Some(reader), None).unwrap();
    drop(receiver);
    target.settle().await;
    assert_eq!(find_row(&target, "backup/a"), None);
    source.destroy_snapshot("tank/a@one").unwrap();
}

#[tokio::test]
async fn a_running_receive_is_visible_and_guards_its_dataset() {
    let (source, target) = pair();
    let (mut from_source, writer) = std::io::pipe().unwrap();
    let (reader, mut to_target) = std::io::pipe().unwrap();
    let mut sender = source.runner().start(&Command::Send(full("tank/a@one")), None, Some(writer)).unwrap();
    let receive = Command::Receive(first("backup/a"));
    let mut receiver = target.runner().start(&receive, Some(reader), None).unwrap();
    let pumped = tokio::task::spawn_blocking(move || {
        let mut bytes = vec![0; 100_000];
        from_source.read_exact(&mut bytes).unwrap();
        std::io::Write::write_all(&mut to_target, &bytes).unwrap();
        (from_source, to_target)
    });
    let (mut from_source, mut to_target) = pumped.await.unwrap();
    while find_row(&target, "backup/a").and_then(|row| row.properties.partial).is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(target.destroy_dataset("backup/a").unwrap_err().kind, Kind::Busy);
    assert_eq!(target.rename_dataset("backup/a", "backup/b").unwrap_err().kind, Kind::Busy);
    assert_eq!(target.snapshot("backup/a@mine").unwrap_err().kind, Kind::Busy);
    let abort = Command::AbortReceive { dataset: "backup/a".parse().unwrap() };
    assert!(run(&target, &abort).unwrap_err().stderr.ends_with("dataset is busy\n"));
    let rest = tokio::task::spawn_blocking(move || std::io::copy(&mut from_source, &mut to_target).unwrap());
    assert!(sender.wait().await.success);
    assert!(receiver.wait().await.success);
    rest.await.unwrap();
    target.rename_dataset("backup/a", "backup/b").unwrap();
}

#[tokio::test]
async fn a_slow_link_takes_its_time() {
    let (source, _) = pair();
    source.faults().slow(Some(2_000_000));
    let start = std::time::Instant::now();
    let mut stage = source.runner().start(&Command::Send(full("tank/a@one")), None, None).unwrap();
    assert!(stage.wait().await.success);
    assert!(start.elapsed() >= Duration::from_millis(100), "{:?} for 200 kB", start.elapsed());
}

#[tokio::test]
async fn a_frozen_host_answers_when_it_thaws() {
    let (source, _) = pair();
    let freeze = source.faults().freeze();
    let (runner, version) = (source.runner(), Command::Version);
    let mut answer = std::pin::pin!(runner.run(&version));
    assert!(futures::poll!(&mut answer).is_pending());
    let mut stage = source.runner().start(&Command::Send(full("tank/a@one")), None, None).unwrap();
    assert!(futures::poll!(std::pin::pin!(stage.wait())).is_pending());
    drop(freeze);
    answer.await.unwrap();
    assert!(stage.wait().await.success);
}

#[tokio::test]
async fn hosts_find_each_other_by_name() {
    let network = Network::new();
    network.add(host("nas1", "tank", 1));
    network.add(host("nas2", "backup", 2));
    assert_eq!(network.host("nas1").unwrap().name(), "nas1");
    assert_eq!(network.all().len(), 2);
    assert_eq!(network.remote("nas2").host(), "nas2");
    network.remote("nas2").run(&Command::Version).await.unwrap();
    let error = network.remote("nas9").run(&Command::Version).await.unwrap_err();
    assert_eq!(error.kind, Kind::SshUnreachable);
    assert!(error.stderr.contains("Could not resolve hostname nas9"));
    let mut stage = network.remote("nas9").start(&Command::Version, None, None).unwrap();
    assert_eq!(stage.wait().await.status, "exited with 255");
}

#[test]
fn a_stage_outside_a_runtime_is_an_error_and_no_panic() {
    let (source, _) = pair();
    let error = source.runner().start(&Command::WatchEvents, None, None).unwrap_err();
    assert_eq!(error.kind, Kind::Start);
}
