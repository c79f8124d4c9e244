use super::*;

/// `backup/a` has `@one`; the incremental stream to `@two` (300 kB) was cut in its middle.
async fn interrupted() -> (Host, Host) {
    let (source, target) = pair();
    complete(&source, full("tank/a@one"), &target, first("backup/a")).await;
    source.write("tank/a", 300_000).unwrap();
    source.snapshot("tank/a@two").unwrap();
    let received =
        cut_at(150_000, &source, incremental("tank/a@one", "tank/a@two"), &target, into("backup/a")).await;
    assert_eq!(classify(&received.stderr), Kind::StreamCut);
    (source, target)
}

fn token_error(source: &Host, target: &Host) -> (Kind, String) {
    let send = resume(target, "backup/a");
    let error = run(source, &Command::Estimate(send)).expect_err("the token is dead");
    (error.kind, error.stderr)
}

#[tokio::test]
async fn an_interrupted_incremental_says_how_to_go_on_and_does() {
    let (source, target) = pair();
    complete(&source, full("tank/a@one"), &target, first("backup/a")).await;
    source.write("tank/a", 300_000).unwrap();
    source.snapshot("tank/a@two").unwrap();
    let send = || incremental("tank/a@one", "tank/a@two");
    let received = cut_at(150_000, &source, send(), &target, into("backup/a")).await;
    let token = row(&target, "backup/a").resume_token.unwrap();
    assert_eq!(
        received.stderr,
        format!(
            "cannot receive incremental stream: checksum mismatch or incomplete stream.\nPartially received snapshot is saved.\nA resuming stream can be generated on the sending system by running:\n    zfs send -t {token}\n"
        )
    );
    let (whole, rest) = (estimate(&source, send()), estimate(&source, resume(&target, "backup/a")));
    assert!(rest < whole - 120_000, "{rest} of {whole} are left");
    complete(&source, resume(&target, "backup/a"), &target, into("backup/a")).await;
    assert_eq!(snapshots(&target, "backup/a"), snapshots(&source, "tank/a"));
    assert!(same_content(&source, "tank/a@two", &target, "backup/a@two"));
    assert_eq!(row(&target, "backup/a").resume_token, None);
}

#[tokio::test]
async fn the_token_tells_what_it_continues() {
    let (source, target) = interrupted().await;
    let partial = row(&target, "backup/a").properties.partial.unwrap();
    let guids: Vec<_> = snapshots(&source, "tank/a").into_iter().map(|(_, guid)| guid).collect();
    assert_eq!(partial.from_guid.map(zfs_sync_core::guid::Guid::get), Some(guids[0]));
    assert_eq!(partial.to_guid.get(), guids[1]);
    assert_eq!(partial.to_name, "tank/a@two");
    assert_eq!(partial.bytes, 131_072, "two whole pieces came");
    assert!(!partial.raw);
}

#[tokio::test]
async fn an_interrupted_first_receive_leaves_a_dataset_without_snapshots() {
    let (source, target) = pair();
    cut_at(150_000, &source, full("tank/a@one"), &target, first("backup/a")).await;
    let properties = row(&target, "backup/a").properties;
    assert_eq!((properties.written, properties.referenced), (131_072 + 24_576, 131_072 + 24_576));
    assert!(properties.partial.is_some() && properties.readonly && !properties.mounted);
    assert_eq!(snapshots(&target, "backup/a"), []);
    let (kind, _) = refused(&source, full("tank/a@one"), &target, first("backup/a")).await;
    assert_eq!(kind, Kind::DestinationExists);
    complete(&source, resume(&target, "backup/a"), &target, into("backup/a")).await;
    assert!(same_content(&source, "tank/a@one", &target, "backup/a@one"));
}

#[tokio::test]
async fn a_receive_cut_before_any_content_leaves_nothing() {
    let (source, target) = pair();
    let received = cut_at(40, &source, full("tank/a@one"), &target, first("backup/a")).await;
    assert_eq!(received.stderr, "cannot receive: failed to read from stream\n");
    let received = cut_at(1000, &source, full("tank/a@one"), &target, first("backup/a")).await;
    assert_eq!(received.stderr, "cannot receive new filesystem stream: incomplete stream\n");
    assert_eq!(find_row(&target, "backup/a"), None);
}

#[tokio::test]
async fn of_a_cut_package_the_whole_snapshots_stay_and_a_token_finishes_one_more() {
    let (source, target) = pair();
    complete(&source, full("tank/a@one"), &target, first("backup/a")).await;
    for label in ["two", "three", "four"] {
        source.write("tank/a", 100_000).unwrap();
        source.snapshot(&format!("tank/a@{label}")).unwrap();
    }
    cut_at(180_000, &source, incremental("tank/a@one", "tank/a@four"), &target, into("backup/a")).await;
    assert_eq!(snapshots(&target, "backup/a").len(), 2);
    complete(&source, resume(&target, "backup/a"), &target, into("backup/a")).await;
    assert_eq!(snapshots(&target, "backup/a").len(), 3);
    complete(&source, incremental("tank/a@three", "tank/a@four"), &target, into("backup/a")).await;
    assert_eq!(snapshots(&target, "backup/a"), snapshots(&source, "tank/a"));
}

#[tokio::test]
async fn a_package_cut_between_two_snapshots_is_known_to_be_cut() {
    let (source, target) = pair();
    complete(&source, full("tank/a@one"), &target, first("backup/a")).await;
    source.write("tank/a", 10_000).unwrap();
    source.snapshot("tank/a@two").unwrap();
    source.snapshot("tank/a@three").unwrap();
    let text = run(&source, &Command::Estimate(incremental("tank/a@one", "tank/a@three"))).unwrap();
    let first_part: u64 = text.lines().next().unwrap().rsplit('\t').next().unwrap().parse().unwrap();
    let send = incremental("tank/a@one", "tank/a@three");
    let received = cut_at(first_part, &source, send, &target, into("backup/a")).await;
    assert!(!received.success);
    assert_eq!(received.stderr, "cannot receive: failed to read from stream\n");
    assert_eq!(snapshots(&target, "backup/a").len(), 2);
    assert_eq!(row(&target, "backup/a").resume_token, None);
}

#[tokio::test]
async fn saved_state_blocks_every_other_stream_until_it_is_aborted() {
    let (source, target) = interrupted().await;
    let send = || incremental("tank/a@one", "tank/a@two");
    let (kind, text) = refused(&source, send(), &target, into("backup/a")).await;
    assert_eq!(kind, Kind::PartialState);
    assert_eq!(
        text,
        "cannot receive incremental stream: destination backup/a contains partially-complete state from \"zfs receive -s\".\n"
    );
    let abort = Command::AbortReceive { dataset: "backup/a".parse().unwrap() };
    run(&target, &abort).unwrap();
    let error = run(&target, &abort).unwrap_err();
    assert_eq!(error.kind, Kind::NothingToAbort);
    assert_eq!(error.stderr, "'backup/a' does not have any resumable receive state to abort\n");
    complete(&source, send(), &target, into("backup/a")).await;
}

#[tokio::test]
async fn aborting_a_first_receive_removes_the_dataset() {
    let (source, target) = pair();
    cut_at(150_000, &source, full("tank/a@one"), &target, first("backup/a")).await;
    run(&target, &Command::AbortReceive { dataset: "backup/a".parse().unwrap() }).unwrap();
    assert_eq!(find_row(&target, "backup/a"), None);
}

#[tokio::test]
async fn a_resuming_stream_that_does_not_fit_is_refused() {
    let (source, target) = interrupted().await;
    let send = resume(&target, "backup/a");
    complete(&source, send.clone(), &target, into("backup/a")).await;
    let (kind, _) = refused(&source, send, &target, into("backup/a")).await;
    assert_eq!(kind, Kind::StreamFeature);
}

#[tokio::test]
async fn a_token_is_dead_without_its_snapshot() {
    let (source, target) = interrupted().await;
    source.destroy_snapshot("tank/a@two").unwrap();
    let (kind, text) = token_error(&source, &target);
    assert_eq!(kind, Kind::TokenDead);
    assert_eq!(text, "cannot resume send: 'tank/a@two' used in the initial send no longer exists\n");
    source.snapshot("tank/a@two").unwrap();
    let (kind, text) = token_error(&source, &target);
    assert_eq!(kind, Kind::TokenDead);
    assert_eq!(
        text,
        "cannot resume send: 'tank/a@two' is no longer the same snapshot used in the initial send\n"
    );
}

#[tokio::test]
async fn a_token_needs_its_base_as_snapshot_or_bookmark() {
    let (source, target) = interrupted().await;
    let guid = snapshots(&source, "tank/a")[0].1;
    source.bookmark("tank/a@one", "kept").unwrap();
    source.destroy_snapshot("tank/a@one").unwrap();
    run(&source, &Command::Estimate(resume(&target, "backup/a"))).unwrap();
    source.destroy_bookmark("tank/a#kept").unwrap();
    let (kind, text) = token_error(&source, &target);
    assert_eq!(kind, Kind::TokenDead);
    assert_eq!(text, format!("cannot resume send: incremental source {guid:#x} no longer exists\n"));
}

#[tokio::test]
async fn a_token_finds_its_snapshot_after_renames() {
    let (source, target) = interrupted().await;
    source.rename_snapshot("tank/a@two", "zwei").unwrap();
    source.rename_dataset("tank/a", "tank/b").unwrap();
    complete(&source, resume(&target, "backup/a"), &target, into("backup/a")).await;
    assert!(same_content(&source, "tank/b@zwei", &target, "backup/a@zwei"));
}

#[tokio::test]
async fn a_broken_token_is_refused() {
    let (source, _) = pair();
    for (token, what) in [("1-12-34-5678", "incorrect checksum"), ("hello", "invalid format")] {
        let send = SendCommand::Resume { token: token.to_owned(), raw: false };
        let error = run(&source, &Command::Estimate(send)).unwrap_err();
        assert_eq!((error.kind, error.status.as_str()), (Kind::TokenDead, "exited with 255"));
        assert_eq!(error.stderr, format!("cannot resume send: resume token is corrupt ({what})\n"));
    }
}

#[tokio::test]
async fn saved_state_protects_its_base_on_the_target() {
    let (_, target) = interrupted().await;
    let error = target.destroy_snapshot("backup/a@one").unwrap_err();
    assert_eq!(error.kind, Kind::PartialState);
    assert!(error.stderr.ends_with("backup/a/%recv\n"));
    target.rollback("backup/a@one").unwrap();
    assert!(row(&target, "backup/a").resume_token.is_some(), "a rollback to the base leaves it alone");
}
