use super::*;

#[tokio::test]
async fn a_full_stream_makes_an_unmounted_read_only_copy_with_the_same_guid() {
    let (source, target) = pair();
    complete(&source, full("tank/a@one"), &target, first("backup/a")).await;
    assert_eq!(snapshots(&target, "backup/a"), snapshots(&source, "tank/a"));
    assert!(same_content(&source, "tank/a@one", &target, "backup/a@one"));
    let (from, to) = (row(&source, "tank/a").properties, row(&target, "backup/a").properties);
    assert!(to.readonly && !to.mounted && to.written == 0);
    assert_ne!(from.guid, to.guid, "a dataset's own GUID does not travel");
    let creation = |host: &Host, name: &str| history(host)[&name.parse().unwrap()].0[0].creation;
    assert_eq!(creation(&source, "tank/a"), creation(&target, "backup/a"));
}

#[tokio::test]
async fn a_package_brings_every_snapshot_between_with_the_targets_own_order() {
    let (source, target) = pair();
    complete(&source, full("tank/a@one"), &target, first("backup/a")).await;
    for label in ["two", "three", "four"] {
        source.write("tank/a", 150_000).unwrap();
        source.snapshot(&format!("tank/a@{label}")).unwrap();
    }
    complete(&source, incremental("tank/a@one", "tank/a@four"), &target, into("backup/a")).await;
    assert_eq!(snapshots(&target, "backup/a"), snapshots(&source, "tank/a"));
    for label in ["two", "three", "four"] {
        assert!(same_content(&source, &format!("tank/a@{label}"), &target, &format!("backup/a@{label}")));
    }
    let txgs = |host: &Host, name: &str| -> Vec<_> {
        history(host)[&name.parse().unwrap()].0.iter().map(|snapshot| snapshot.createtxg).collect()
    };
    assert!(txgs(&target, "backup/a").is_sorted());
    assert_ne!(txgs(&target, "backup/a"), txgs(&source, "tank/a"));
}

#[tokio::test]
async fn what_was_overwritten_arrives_and_takes_the_place_of_what_was_there() {
    let (source, target) = pair();
    complete(&source, full("tank/a@one"), &target, first("backup/a")).await;
    source.overwrite("tank/a", 150_000).unwrap();
    source.snapshot("tank/a@two").unwrap();
    complete(&source, incremental("tank/a@one", "tank/a@two"), &target, into("backup/a")).await;
    assert!(same_content(&source, "tank/a@two", &target, "backup/a@two"));
    let referenced = |host: &Host, name: &str| row(host, name).properties.referenced;
    assert_eq!(referenced(&target, "backup/a"), referenced(&source, "tank/a"));
}

#[tokio::test]
async fn a_volume_stays_a_volume_and_a_replica_can_be_sent_on() {
    let (source, target) = pair();
    source.create_dataset("tank/v", DatasetKind::Volume).unwrap();
    source.write("tank/v", 70_000).unwrap();
    source.snapshot("tank/v@one").unwrap();
    let receive = ReceiveCommand {
        first: Some(FirstReceive::new(DatasetKind::Volume, StreamForm::WHOLE)),
        ..into("backup/v")
    };
    complete(&source, full("tank/v@one"), &target, receive).await;
    assert_eq!(row(&target, "backup/v").properties.kind, DatasetKind::Volume);
    let third = host("nas3", "far", 3);
    complete(&target, full("backup/v@one"), &third, first("far/v")).await;
    assert!(same_content(&source, "tank/v@one", &third, "far/v@one"));
    assert_eq!(snapshots(&third, "far/v"), snapshots(&source, "tank/v"));
}

#[tokio::test]
async fn a_bookmark_serves_as_base_when_its_snapshot_is_gone() {
    let (source, target) = pair();
    complete(&source, full("tank/a@one"), &target, first("backup/a")).await;
    source.bookmark("tank/a@one", "zfs-sync:x").unwrap();
    source.destroy_snapshot("tank/a@one").unwrap();
    source.write("tank/a", 5000).unwrap();
    source.snapshot("tank/a@two").unwrap();
    let base = "tank/a#zfs-sync:x".parse().unwrap();
    let send = SendCommand::FromBookmark { base, to: "tank/a@two".parse().unwrap(), form: StreamForm::WHOLE };
    complete(&source, send, &target, into("backup/a")).await;
    assert!(same_content(&source, "tank/a@two", &target, "backup/a@two"));
}

#[tokio::test]
async fn a_modified_target_is_refused() {
    let (source, target) = pair();
    complete(&source, full("tank/a@one"), &target, first("backup/a")).await;
    source.snapshot("tank/a@two").unwrap();
    target.set_readonly("backup/a", false).unwrap();
    target.write("backup/a", 1).unwrap();
    let (kind, text) =
        refused(&source, incremental("tank/a@one", "tank/a@two"), &target, into("backup/a")).await;
    assert_eq!(kind, Kind::TargetModified);
    assert_eq!(
        text,
        "cannot receive incremental stream: destination backup/a has been modified\nsince most recent snapshot\n"
    );
    assert_eq!(snapshots(&target, "backup/a").len(), 1);
}

#[tokio::test]
async fn a_target_without_the_base_is_refused() {
    let (source, target) = pair();
    source.snapshot("tank/a@two").unwrap();
    source.snapshot("tank/a@three").unwrap();
    complete(&source, full("tank/a@one"), &target, first("backup/a")).await;
    let (kind, text) =
        refused(&source, incremental("tank/a@two", "tank/a@three"), &target, into("backup/a")).await;
    assert_eq!(kind, Kind::BaseMismatch);
    assert_eq!(
        text,
        "cannot receive incremental stream: most recent snapshot of backup/a does not\nmatch incremental source\n"
    );
}

#[tokio::test]
async fn newer_snapshots_on_the_target_count_as_modification_when_they_have_content_of_their_own() {
    let (source, target) = pair();
    complete(&source, full("tank/a@one"), &target, first("backup/a")).await;
    source.write("tank/a", 1).unwrap();
    source.snapshot("tank/a@two").unwrap();
    target.set_readonly("backup/a", false).unwrap();
    target.write("backup/a", 1).unwrap();
    target.snapshot("backup/a@mine").unwrap();
    let (kind, _) =
        refused(&source, incremental("tank/a@one", "tank/a@two"), &target, into("backup/a")).await;
    assert_eq!(kind, Kind::TargetModified);
    target.rollback("backup/a@one").unwrap();
    target.snapshot("backup/a@empty").unwrap();
    complete(&source, incremental("tank/a@one", "tank/a@two"), &target, into("backup/a")).await;
    assert_eq!(snapshots(&target, "backup/a").len(), 3);
    assert!(same_content(&source, "tank/a@two", &target, "backup/a@two"));
}

#[tokio::test]
async fn the_same_label_with_another_guid_is_refused_and_the_same_snapshot_is_passed_over() {
    let (source, target) = pair();
    complete(&source, full("tank/a@one"), &target, first("backup/a")).await;
    source.write("tank/a", 1).unwrap();
    source.snapshot("tank/a@two").unwrap();
    target.snapshot("backup/a@two").unwrap();
    let send = || incremental("tank/a@one", "tank/a@two");
    let (kind, text) = refused(&source, send(), &target, into("backup/a")).await;
    assert_eq!(kind, Kind::DestinationExists);
    assert_eq!(text, "cannot restore to backup/a@two: destination already exists\n");
    target.destroy_snapshot("backup/a@two").unwrap();
    complete(&source, send(), &target, into("backup/a")).await;
    source.snapshot("tank/a@three").unwrap();
    complete(&source, incremental("tank/a@one", "tank/a@three"), &target, into("backup/a")).await;
    assert_eq!(snapshots(&target, "backup/a"), snapshots(&source, "tank/a"));
}

#[tokio::test]
async fn a_full_stream_onto_something_is_refused() {
    let (source, target) = pair();
    complete(&source, full("tank/a@one"), &target, first("backup/a")).await;
    let (kind, text) = refused(&source, full("tank/a@one"), &target, first("backup/a")).await;
    assert_eq!(kind, Kind::DestinationExists);
    assert_eq!(
        text,
        "cannot receive new filesystem stream: destination 'backup/a' exists\nmust specify -F to overwrite it\n"
    );
}

#[tokio::test]
async fn a_stream_without_a_place_is_refused() {
    let (source, target) = pair();
    source.snapshot("tank/a@two").unwrap();
    let (kind, text) = refused(&source, full("tank/a@one"), &target, first("backup/no/a")).await;
    assert_eq!(kind, Kind::NotFound);
    assert_eq!(
        text,
        "cannot open 'backup/no': dataset does not exist\ncannot receive new filesystem stream: unable to restore to destination\n"
    );
    let (kind, text) =
        refused(&source, incremental("tank/a@one", "tank/a@two"), &target, into("backup/a")).await;
    assert_eq!(kind, Kind::NotFound);
    assert_eq!(text, "cannot receive incremental stream: destination 'backup/a' does not exist\n");
}

#[tokio::test]
async fn a_full_pool_ends_a_receive_and_keeps_what_came() {
    let (source, target) = pair();
    target.set_capacity("backup", 150_000).unwrap();
    let (kind, text) = refused(&source, full("tank/a@one"), &target, first("backup/a")).await;
    assert_eq!(kind, Kind::NoSpace);
    assert_eq!(text, "cannot receive new filesystem stream: out of space\n");
    target.set_capacity("backup", GIB).unwrap();
    complete(&source, resume(&target, "backup/a"), &target, into("backup/a")).await;
    assert!(same_content(&source, "tank/a@one", &target, "backup/a@one"));
}

#[tokio::test]
async fn raw_streams_need_an_encrypted_target_lineage() {
    let (source, target) = pair();
    source.create_encrypted_dataset("tank/secret", DatasetKind::Filesystem).unwrap();
    source.snapshot("tank/secret@one").unwrap();
    source.snapshot("tank/secret@two").unwrap();
    let one =
        |raw| SendCommand::Full { to: "tank/secret@one".parse().unwrap(), form: StreamForm::wished(raw) };
    let two = SendCommand::Incremental {
        base: "tank/secret@one".parse().unwrap(),
        to: "tank/secret@two".parse().unwrap(),
        form: StreamForm::Raw,
    };
    complete(&source, one(true), &target, first("backup/raw")).await;
    assert!(row(&target, "backup/raw").properties.encrypted);
    complete(&source, two.clone(), &target, into("backup/raw")).await;
    complete(&source, one(false), &target, first("backup/plain")).await;
    assert!(!row(&target, "backup/plain").properties.encrypted);
    assert_eq!(refused(&source, two, &target, into("backup/plain")).await.0, Kind::Crypto);

    // The copy that was received raw can be read by nobody until somebody loads its key.
    let onward = |raw| {
        Command::Estimate(SendCommand::Full {
            to: "backup/raw@one".parse().unwrap(),
            form: StreamForm::wished(raw),
        })
    };
    assert_eq!(run(&target, &onward(false)).unwrap_err().kind, Kind::KeyNotLoaded);
    run(&target, &onward(true)).unwrap();
    source.snapshot("tank/secret@three").unwrap();
    let plain = || incremental("tank/secret@two", "tank/secret@three");
    assert_eq!(refused(&source, plain(), &target, into("backup/raw")).await.0, Kind::KeyNotLoaded);
    target.set_key_loaded("backup/raw", true).unwrap();
    run(&target, &onward(false)).unwrap();
    complete(&source, plain(), &target, into("backup/raw")).await;
}

#[tokio::test]
async fn sends_of_what_is_not_there_say_so() {
    let (source, _) = pair();
    source.snapshot("tank/a@two").unwrap();
    let text = |send: SendCommand| run(&source, &Command::Estimate(send)).unwrap_err().stderr;
    assert_eq!(text(full("tank/a@no")), "cannot open 'tank/a@no': dataset does not exist\n");
    assert_eq!(
        text(incremental("tank/a@one", "tank/a@no")),
        "WARNING: could not send tank/a@no: does not exist\n"
    );
    assert_eq!(
        text(incremental("tank/a@no", "tank/a@two")),
        "WARNING: could not send tank/a@two:\nincremental source (tank/a@no) does not exist\n"
    );
    assert_eq!(
        text(incremental("tank/a@two", "tank/a@one")),
        "WARNING: could not send tank/a@one:\nincremental source (tank/a@two) does not exist\n"
    );
}

#[tokio::test]
async fn an_estimate_is_the_size_of_the_stream() {
    use std::io::Read as _;
    let (source, _) = pair();
    source.write("tank/a", 300_000).unwrap();
    source.snapshot("tank/a@two").unwrap();
    source.snapshot("tank/a@three").unwrap();
    let send = incremental("tank/a@one", "tank/a@three");
    let foretold = estimate(&source, send.clone());
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut stage = source.runner().start(&Command::Send(send), None, Some(writer)).unwrap();
    let counting = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        bytes.len() as u64
    });
    assert!(stage.wait().await.success);
    let length = counting.await.unwrap();
    assert!(length.abs_diff(foretold) <= 32, "{length} bytes were sent, {foretold} were foretold");
    assert!(length > 300_000);
}

#[tokio::test]
async fn what_is_no_stream_is_refused() {
    use std::io::Write as _;
    let (_, target) = pair();
    for (input, text) in [
        ("", "cannot receive: failed to read from stream\n"),
        ("no stream at all, certainly", "cannot receive: invalid stream (bad magic number)\n"),
    ] {
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(input.as_bytes()).unwrap();
        drop(writer);
        let mut stage =
            target.runner().start(&Command::Receive(first("backup/a")), Some(reader), None).unwrap();
        assert_eq!(stage.wait().await.stderr, text);
        assert_eq!(find_row(&target, "backup/a"), None);
    }
}

#[tokio::test]
async fn a_damaged_byte_is_noticed_and_the_rest_resumes() {
    use std::io::{Read as _, Write as _};
    let (source, target) = pair();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut stage = source.runner().start(&Command::Send(full("tank/a@one")), None, Some(writer)).unwrap();
    let reading = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        bytes
    });
    assert!(stage.wait().await.success);
    let mut bytes = reading.await.unwrap();
    bytes[150_000] ^= 1;
    let (reader, mut writer) = std::io::pipe().unwrap();
    let writing = tokio::task::spawn_blocking(move || writer.write_all(&bytes).is_ok());
    let mut stage = target.runner().start(&Command::Receive(first("backup/a")), Some(reader), None).unwrap();
    let end = stage.wait().await;
    writing.await.unwrap();
    assert!(end.stderr.contains("checksum mismatch or incomplete stream"), "{end:?}");
    assert_eq!(snapshots(&target, "backup/a"), []);
    complete(&source, resume(&target, "backup/a"), &target, into("backup/a")).await;
    assert!(same_content(&source, "tank/a@one", &target, "backup/a@one"));
}
