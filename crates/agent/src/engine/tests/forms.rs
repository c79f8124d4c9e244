//! How a replica's streams travel, for its whole life.

use zfs_sync_core::stream::PIN;

use super::*;

/// A property of `backup/a`: value and source.
async fn property(world: &World, name: &str) -> (String, String) {
    let command = Command::Get { dataset: "backup/a".parse().unwrap(), properties: vec![name.to_owned()] };
    let output = world.target.runner().run(&command).await.unwrap();
    let found = zfs_sync_zfs::parse::properties(&output.stdout).unwrap().remove(0);
    (found.value, found.source)
}

/// As [`World::new`], encrypted.
fn secret() -> World {
    let world = World::empty(DatasetKind::Filesystem);
    world.source.destroy_dataset("tank/a").unwrap();
    world.source.create_encrypted_dataset("tank/a", DatasetKind::Filesystem).unwrap();
    world.grow("one", 300_000);
    world
}

fn local(value: &str) -> (String, String) {
    (value.to_owned(), "local".to_owned())
}

#[tokio::test]
async fn a_replica_remembers_how_it_was_begun_and_is_continued_so() {
    let world = World::new();
    world.converge().await;
    assert_eq!(property(&world, PIN).await, local("-L -c -e"));
    // Somebody began it otherwise: that is kept.
    world.target.set_property("backup/a", PIN, "-c").unwrap();
    world.grow("two", 100_000);
    let (step, seen) = (world.step().await, Arc::new(Mutex::new(Vec::new())));
    let heard = Arc::clone(&seen);
    world.source.faults().fail_next(
        move |command| {
            if let Command::Send(_) = command {
                heard.lock().unwrap().push(command.display_line());
            }
            false
        },
        "never said",
    );
    let (execution, recorder) = world.execute(&step).await;
    assert_eq!(execution.outcome, TransferOutcome::Succeeded, "{recorder:?}");
    assert_eq!(*seen.lock().unwrap(), ["zfs send -c -I tank/a@one tank/a@two"]);
    assert!(recorder.log().warnings.is_empty(), "{recorder:?}");
}

#[tokio::test]
async fn what_the_target_may_not_have_is_left_out_from_the_beginning_and_named() {
    let world = World::new();
    world.target.disable_feature("backup", "large_blocks");
    let step = world.step().await;
    let (execution, recorder) = world.execute(&step).await;
    assert_eq!(execution.outcome, TransferOutcome::Succeeded);
    assert_eq!(property(&world, PIN).await, local("-c -e"));
    assert!(recorder.log().warnings[0].starts_with("W_FEATURE_LARGE_BLOCKS: "), "{recorder:?}");
    world.grow("two", 10);
    world.converge().await;
    assert_eq!(property(&world, PIN).await, local("-c -e"));
}

#[tokio::test]
async fn what_can_not_be_left_out_is_refused_before_anything_is_done() {
    let world = secret();
    world.target.disable_feature("backup", "encryption");
    let (execution, _) = world.execute(&world.step().await).await;
    let (code, detail, retryable) = failed(&execution);
    assert_eq!((code, retryable), ("E_STREAM_FEATURE", false));
    assert!(detail.contains("zpool set feature@encryption=enabled backup"), "{detail}");
    assert_eq!(world.target_dataset().await, None);
    assert_eq!(world.source_holds().await, []);
}

#[tokio::test]
async fn raw_and_plain_are_never_mixed() {
    for (world, other) in [(World::new(), "-w"), (secret(), "-L -c -e")] {
        world.converge().await;
        world.target.set_property("backup/a", PIN, other).unwrap();
        world.grow("two", 100_000);
        let (execution, _) = world.execute(&world.step().await).await;
        let (code, detail, retryable) = failed(&execution);
        assert_eq!((code, retryable), ("E_STREAM_PINNED", false), "{detail}");
        assert_eq!(world.target_dataset().await.unwrap().snapshots.len(), 1);
        assert_eq!(world.source_holds().await, []);
    }
}

/// Without the pin, `zfs` itself lets a plain stream onto what was received raw, and nothing raw comes after it.
#[tokio::test]
async fn a_raw_replica_in_its_parents_hands_takes_nothing_any_more() {
    let world = secret();
    world.target.create_encrypted_dataset("backup/safe", DatasetKind::Filesystem).unwrap();
    let world = World { adjust: |group| group.mappings = vec!["tank=backup/safe".parse().unwrap()], ..world };
    world.converge().await;
    world.target.inherit_key("backup/safe/a").unwrap();
    world.grow("two", 100_000);
    let (execution, _) = world.execute(&world.step().await).await;
    let (code, detail, retryable) = failed(&execution);
    assert_eq!((code, retryable), ("E_ENCRYPTION_ROOT", false));
    assert!(detail.contains("has the key of backup/safe now"), "{detail}");
}

#[tokio::test]
async fn an_encrypted_replica_of_a_plain_source_has_its_parents_key_and_no_embedded_data() {
    let world = World::new();
    world.target.create_encrypted_dataset("backup/safe", DatasetKind::Filesystem).unwrap();
    let world = World { adjust: |group| group.mappings = vec!["tank=backup/safe".parse().unwrap()], ..world };
    let (execution, recorder) = world.execute(&world.step().await).await;
    assert_eq!(execution.outcome, TransferOutcome::Succeeded, "{recorder:?}");
    assert!(recorder.log().warnings[0].starts_with("W_FEATURE_EMBEDDED: "), "{recorder:?}");
}

#[tokio::test]
async fn an_interrupted_beginning_is_continued_as_it_was_begun() {
    for (world, form) in [(World::new(), "-L -c -e"), (secret(), "-w")] {
        let step = world.step().await;
        world.source.faults().cut_stream_after(150_000);
        let (execution, _) = world.execute(&step).await;
        assert!(matches!(execution.outcome, TransferOutcome::Failed { .. }), "{execution:?}");
        world.target.settle().await;
        assert_eq!(property(&world, PIN).await, local(form));
        let (execution, recorder) = world.execute(&world.step().await).await;
        assert_eq!(execution.outcome, TransferOutcome::Succeeded, "{recorder:?}");
        assert!(execution.resumed_from.is_some());
        assert_eq!(property(&world, PIN).await, local(form));
        assert_eq!(recorder.log().warnings, Vec::<String>::new());
    }
}

#[tokio::test]
async fn what_waits_and_came_otherwise_is_not_continued() {
    let world = World::new();
    world.source.faults().cut_stream_after(150_000);
    world.execute(&world.step().await).await;
    world.target.settle().await;
    // The token says that there are large blocks.
    world.target.set_property("backup/a", PIN, "-c -e").unwrap();
    let (execution, _) = world.execute(&world.step().await).await;
    let (code, detail, _) = failed(&execution);
    assert_eq!(code, "E_STREAM_PINNED");
    assert!(detail.contains("`zfs receive -A backup/a` discards it"), "{detail}");
}

#[tokio::test]
async fn properties_are_copied_once_and_as_they_are() {
    let world = World::new();
    let note = "a\tb\nc\\d 'e' \"f\"";
    world.source.set_property("tank/a", "com.example:note", note).unwrap();
    world.source.set_property("tank/a", "recordsize", "1048576").unwrap();
    let mut step = world.step().await;
    send_of_mut(&mut step).properties =
        vec!["com.example:note".parse().unwrap(), "com.example:none".parse().unwrap()];
    let (execution, recorder) = world.execute(&step).await;
    assert_eq!(execution.outcome, TransferOutcome::Succeeded, "{recorder:?}");
    let value = Command::GetValue {
        dataset: "backup/a".parse().unwrap(),
        property: "com.example:note".parse().unwrap(),
    };
    assert_eq!(world.target.runner().run(&value).await.unwrap().stdout, format!("{note}\n"));
    assert_eq!(property(&world, "recordsize").await, local("1048576"));
    assert_eq!(property(&world, "com.example:none").await.0, "-");
}

#[tokio::test]
async fn a_replica_that_others_began_is_named_where_its_blocks_may_be_large() {
    let world = World::new();
    world.converge().await;
    world.source.set_property("tank/a", "recordsize", "1048576").unwrap();
    world.target.set_property("backup/a", PIN, "whatever").unwrap();
    world.grow("two", 100_000);
    let (execution, recorder) = world.execute(&world.step().await).await;
    assert_eq!(execution.outcome, TransferOutcome::Succeeded);
    assert!(recorder.log().warnings[0].starts_with("W_STREAM_NOT_PINNED: "), "{recorder:?}");
}

/// Seen on OpenZFS 2.3.9: without that feature `zfs receive -s` is refused, whatever the stream.
#[tokio::test]
async fn a_pool_that_keeps_no_partial_receive_gets_streams_that_begin_anew() {
    let world = World::new();
    world.target.disable_feature("backup", "extensible_dataset");
    for round in ["begun", "continued"] {
        let (step, seen) = (world.step().await, Arc::new(Mutex::new(Vec::new())));
        let heard = Arc::clone(&seen);
        world.target.faults().fail_next(
            move |command| {
                if let Command::Receive(_) = command {
                    heard.lock().unwrap().push(command.display_line().contains(" -s "));
                }
                false
            },
            "never said",
        );
        let (execution, recorder) = world.execute(&step).await;
        assert_eq!(execution.outcome, TransferOutcome::Succeeded, "{round}: {recorder:?}");
        let warnings = recorder.log().warnings.clone();
        assert_eq!(warnings.len(), 1, "{round}: {warnings:?}");
        assert!(
            warnings[0].starts_with("W_FEATURE_RESUME: ") && warnings[0].contains("pool backup"),
            "{warnings:?}"
        );
        // A first receive looks at the pool's features; later ones ask only when they are refused.
        let tried: &[bool] = if round == "begun" { &[false] } else { &[true, false] };
        assert_eq!(*seen.lock().unwrap(), tried, "{round}");
        world.grow(round, 100_000);
    }
}
