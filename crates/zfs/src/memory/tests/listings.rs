use std::io::{BufRead as _, BufReader};

use super::*;

#[test]
fn version_and_pools_read_back() {
    let (source, _) = pair();
    assert_eq!(run(&source, &Command::Version).unwrap(), "zfs-2.3.9-1\nzfs-kmod-2.3.9-1\n");
    assert!(parse::versions("zfs-2.3.9-1\nzfs-kmod-2.3.9-1\n").is_ok());
    let pools = parse::pools(&run(&source, &Command::ListPools).unwrap()).unwrap();
    let [pool] = pools.as_slice() else { panic!("{pools:?}") };
    let text = format!("{pool:?}");
    assert!(text.contains("tank") && text.contains("ONLINE"), "{text}");
}

#[test]
fn sizes_add_up_along_the_tree() {
    let (source, _) = pair();
    source.create_dataset("tank/a/b", DatasetKind::Filesystem).unwrap();
    source.write("tank/a/b", 1_000_000).unwrap();
    let (root, a, b) = (row(&source, "tank"), row(&source, "tank/a"), row(&source, "tank/a/b"));
    assert_eq!(b.properties.used, 1_000_000 + 24_576);
    assert_eq!(a.properties.used, b.properties.used + 200_000 + 24_576);
    assert_eq!(root.properties.used, a.properties.used + 24_576);
    assert_eq!(a.properties.referenced, 200_000 + 24_576);
    assert_eq!(root.properties.available, GIB - root.properties.used);
}

#[test]
fn scopes_cover_what_they_say() {
    let (source, _) = pair();
    source.create_dataset("tank/a/b", DatasetKind::Filesystem).unwrap();
    source.create_dataset("tank/ab", DatasetKind::Filesystem).unwrap();
    source.snapshot_recursive("tank@all").unwrap();
    let names = |scope: Scope| {
        let columns = ListColumns::Dataset;
        let text = run(&source, &Command::ListDatasets { scope: scope.clone(), columns }).unwrap();
        let listed: Vec<_> =
            parse::datasets(&text, columns).unwrap().iter().map(|row| row.name.to_string()).collect();
        let history = parse::history(&run(&source, &Command::ListHistory { scope }).unwrap()).unwrap();
        assert_eq!(history.keys().map(ToString::to_string).collect::<Vec<_>>(), listed);
        listed
    };
    let a: DatasetName = "tank/a".parse().unwrap();
    assert_eq!(names(Scope::Everything).len(), 4);
    assert_eq!(names(Scope::Tree(a.clone())), ["tank/a", "tank/a/b"]);
    assert_eq!(names(Scope::Only(a)), ["tank/a"]);
    let missing = Scope::Tree("tank/no".parse().unwrap());
    assert_eq!(run(&source, &Command::ListHistory { scope: missing }).unwrap_err().kind, Kind::NotFound);
}

#[test]
fn holds_and_bookmarks_are_listed() {
    let (source, _) = pair();
    source.hold("zfs-sync:x", "tank/a@one").unwrap();
    source.bookmark("tank/a@one", "mark").unwrap();
    let text = run(&source, &Command::Holds { snapshot: "tank/a@one".parse().unwrap() }).unwrap();
    assert_eq!(text, "tank/a@one\tzfs-sync:x\tFri Nov 20 12:00 2026\n");
    assert_eq!(parse::holds(&text).unwrap().len(), 1);
    let (snapshots, bookmarks) = history(&source).remove(&"tank/a".parse().unwrap()).unwrap();
    assert_eq!(snapshots[0].holds, 1);
    assert_eq!((bookmarks[0].guid, bookmarks[0].createtxg), (snapshots[0].guid, snapshots[0].createtxg));
    let error = run(
        &source,
        &Command::Bookmark { snapshot: "tank/a@one".parse().unwrap(), label: "mark".parse().unwrap() },
    );
    assert_eq!(error.unwrap_err().stderr, "cannot create bookmark 'tank/a#mark': bookmark exists\n");
}

#[test]
fn properties_are_read_with_their_source() {
    let (source, _) = pair();
    run(&source, &Command::CreatePlaceholder { dataset: "tank/parent".parse().unwrap() }).unwrap();
    let get = |properties: &[&str]| {
        let properties = properties.iter().map(ToString::to_string).collect();
        run(&source, &Command::Get { dataset: "tank/parent".parse().unwrap(), properties })
    };
    assert_eq!(
        get(&["readonly", "canmount", "mounted", "receive_resume_token", "zfs-sync:group"]).unwrap(),
        "readonly\ton\tlocal\ncanmount\toff\tlocal\nmounted\tno\t-\nreceive_resume_token\t-\t-\nzfs-sync:group\t-\t-\n"
    );
    assert_eq!(get(&["nonsense"]).unwrap_err().kind, Kind::Unsupported);
}

#[test]
fn snapshots_changed_follows_the_clock_where_the_version_knows_it() {
    let clock = clock();
    let host = Host::new("nas1", clock.clone(), 1);
    host.create_pool("tank", GIB).unwrap();
    assert_eq!(row(&host, "tank").snapshots_changed, None);
    host.snapshot("tank@one").unwrap();
    let first = row(&host, "tank").snapshots_changed.unwrap();
    clock.advance(std::time::Duration::from_mins(1));
    host.write("tank", 10).unwrap();
    assert_eq!(row(&host, "tank").snapshots_changed, Some(first));
    host.destroy_snapshot("tank@one").unwrap();
    assert_eq!(row(&host, "tank").snapshots_changed, Some(first + 60));
    host.set_version("2.1.11-1");
    let list = |columns| run(&host, &Command::ListDatasets { scope: Scope::Everything, columns });
    assert_eq!(list(ListColumns::DatasetWithChanges).unwrap_err().kind, Kind::Unsupported);
    list(ListColumns::Dataset).unwrap();
}

#[tokio::test]
async fn every_change_is_one_event_and_looking_is_none() {
    let (source, _) = pair();
    let (reader, writer) = std::io::pipe().unwrap();
    let mut stage = source.runner().start(&Command::WatchEvents, None, Some(writer)).unwrap();
    run(&source, &Command::Version).unwrap();
    source.snapshot("tank/a@two").unwrap();
    source.snapshot("tank/a@two").unwrap_err();
    source.snapshot("tank/a@three").unwrap();
    let (mut lines, read) = tokio::task::spawn_blocking(move || {
        let mut lines = BufReader::new(reader).lines();
        let read = [lines.next().unwrap().unwrap(), lines.next().unwrap().unwrap()];
        (lines, read)
    })
    .await
    .unwrap();
    for line in read {
        assert!(line.starts_with("Nov 20 2026 12:00:00."), "{line}");
        assert!(line.ends_with("\tsysevent.fs.zfs.history_event"), "{line}");
    }
    stage.terminate();
    assert!(!stage.wait().await.success);
    assert!(lines.next().is_none(), "no third event, and the pipe is closed");
}
