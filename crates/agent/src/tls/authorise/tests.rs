use rstest::rstest;
use uuid::Uuid;
use zfs_sync_api::v1::certificate::Purpose;
use zfs_sync_core::{inventory::DatasetKind, plan::Point, stream::StreamForm, time::Timestamp};
use zfs_sync_zfs::command::{FirstReceive, ListColumns, OwnBookmark, OwnTag};

use super::*;
use crate::tls::testing::{step, system, ticket};

fn plan() -> Step {
    step(Guid::new(7), Guid::new(11))
}

/// A session at the source (the target pulls), or at the target (the source pushes).
fn session(at_source: bool) -> Session {
    let client = if at_source { system(2) } else { system(1) };
    Session::new(ticket(plan(), client, Uuid::from_u128(9), Timestamp::UNIX_EPOCH))
}

fn snapshot(name: &str) -> SnapshotName {
    name.parse().unwrap()
}

fn dataset(name: &str) -> DatasetName {
    name.parse().unwrap()
}

fn own(tag: String) -> OwnTag {
    OwnTag::new(tag).unwrap()
}

fn listing(scope: Scope) -> Command {
    Command::ListDatasets { scope, columns: ListColumns::Dataset }
}

fn full(name: &str, raw: bool) -> Command {
    Command::Send(SendCommand::Full { to: snapshot(name), form: StreamForm::wished(raw) })
}

fn receive(name: &str, origin: Option<&str>) -> Command {
    let first = FirstReceive::new(DatasetKind::Filesystem, StreamForm::WHOLE);
    let receive = ReceiveCommand::begins(dataset(name), first);
    Command::Receive(ReceiveCommand { origin: origin.map(snapshot), ..receive })
}

fn bookmark(name: &str, label: &str) -> Command {
    Command::Bookmark { snapshot: snapshot(name), label: label.parse().unwrap() }
}

fn token(to_name: &str, raw: bool) -> Command {
    let token = ResumeToken {
        object: 1,
        offset: 2,
        bytes: 3,
        to_guid: 11,
        to_name: to_name.to_owned(),
        from_guid: Some(5),
        large_blocks: true,
        embedded: true,
        compressed: true,
        raw,
    };
    Command::Send(SendCommand::Resume { token: token.encode(), raw })
}

/// What the engine asks of a source that another host pulls from.
#[test]
fn a_source_does_what_the_engine_needs() {
    let at_source = session(true);
    let protection = plan().protection();
    let step_hold = || own(protection.step_hold());
    let label = protection.bookmark(Guid::new(11));
    let own_bookmark = dataset("tank/a").bookmark(&label).unwrap();
    let plainly = [
        Command::Version,
        Command::ListPools,
        listing(Scope::Only(dataset("tank/a"))),
        Command::ListHistory { scope: Scope::Only(dataset("tank/a")) },
        Command::Holds { snapshot: snapshot("tank/a@one") },
        Command::Hold { tag: step_hold(), snapshot: snapshot("tank/a@one") },
        Command::Release { tag: step_hold(), snapshot: snapshot("tank/a@one") },
        bookmark("tank/a@one", label.as_str()),
        Command::DestroyBookmark { bookmark: OwnBookmark::new(own_bookmark).unwrap() },
        full("tank/a@one", true),
    ];
    for command in plainly {
        assert_eq!(authorise(&at_source, &command), Ok(Check::Nothing), "{}", command.display_line());
    }
    // A plain stream only of what is not encrypted, whatever the other side says.
    assert_eq!(authorise(&at_source, &full("tank/a@one", false)), Ok(Check::NotEncrypted));
    let from_token = |raw| Check::Token { to: Guid::new(11), from: Some(Guid::new(5)), raw };
    assert_eq!(authorise(&at_source, &token("tank/a@one", true)), Ok(from_token(true)));
    assert_eq!(authorise(&at_source, &token("tank/a@one", false)), Ok(from_token(false)));
    // Of everything only what it looks for.
    assert_eq!(authorise(&at_source, &listing(Scope::Everything)), Ok(Check::OnlySource));
    let history = Command::ListHistory { scope: Scope::Everything };
    assert_eq!(authorise(&at_source, &history), Ok(Check::OnlyHeld));
    // And then also where that is.
    let renamed = listing(Scope::Only(dataset("tank/renamed")));
    assert!(authorise(&at_source, &renamed).is_err());
    at_source.add_found([dataset("tank/renamed")]);
    assert_eq!(authorise(&at_source, &renamed), Ok(Check::Nothing));
    let release = Command::Release { tag: step_hold(), snapshot: snapshot("tank/renamed@one") };
    assert_eq!(authorise(&at_source, &release), Ok(Check::Nothing));
}

#[test]
fn a_target_does_what_the_engine_needs() {
    let at_target = session(false);
    let protection = plan().protection();
    let other_source = format!("zfs-sync:base:ff:{}", plan().receiver.as_str());
    for command in [
        Command::Version,
        Command::ListPools,
        listing(Scope::Only(dataset("backup/new/a"))),
        listing(Scope::Only(dataset("backup"))),
        Command::ListHistory { scope: Scope::Only(dataset("backup/new/a")) },
        Command::Holds { snapshot: snapshot("backup/new/a@one") },
        Command::Hold { tag: own(protection.base_hold()), snapshot: snapshot("backup/new/a@one") },
        Command::Release { tag: own(protection.base_hold()), snapshot: snapshot("backup/new/a@one") },
        Command::Release { tag: own(other_source), snapshot: snapshot("backup/new/a@one") },
        Command::CreatePlaceholder { dataset: dataset("backup/new") },
        Command::AbortReceive { dataset: dataset("backup/new/a") },
        receive("backup/new/a", None),
    ] {
        assert_eq!(authorise(&at_target, &command), Ok(Check::Nothing), "{}", command.display_line());
    }
}

fn rename() -> Command {
    Command::Rename { from: dataset("tank/a"), to: dataset("tank/b") }
}

/// What no session does, wherever it is.
#[rstest]
#[case::rename(rename())]
#[case::roll_back(Command::RollBack { to: snapshot("tank/a@one") })]
#[case::roll_back_target(Command::RollBack { to: snapshot("backup/new/a@one") })]
#[case::snapshot(Command::Snapshot { snapshots: vec![snapshot("tank/a@mine")] })]
#[case::events(Command::WatchEvents)]
#[case::tree(listing(Scope::Tree(dataset("tank"))))]
#[case::all_history(Command::ListHistory { scope: Scope::Tree(dataset("backup")) })]
#[case::other_dataset(listing(Scope::Only(dataset("tank/secret"))))]
#[case::sibling_that_begins_so(listing(Scope::Only(dataset("tank/ab"))))]
#[case::child(listing(Scope::Only(dataset("backup/new/a/below"))))]
#[case::other_stream(full("tank/secret@one", true))]
#[case::foreign_token(token("tank/secret@one", true))]
#[case::broken_token(Command::Send(SendCommand::Resume { token: "1-0-0-00".into(), raw: true }))]
#[case::other_base(Command::Send(SendCommand::Incremental { base: snapshot("tank/b@one"), to: snapshot("tank/a@two"), form: StreamForm::Raw }))]
#[case::foreign_origin(Command::Send(SendCommand::Single { base: snapshot("tank/secret@one"), to: snapshot("tank/a@two"), form: StreamForm::Raw }))]
#[case::receive_elsewhere(receive("backup/other", None))]
#[case::receive_above(receive("backup/new", None))]
#[case::receive_as_clone(receive("backup/new/a", Some("backup/secret@one")))]
#[case::abort_elsewhere(Command::AbortReceive { dataset: dataset("backup/other") })]
#[case::placeholder_that_is_no_parent(Command::CreatePlaceholder { dataset: dataset("backup/mine") })]
#[case::placeholder_that_is_not_planned(Command::CreatePlaceholder { dataset: dataset("backup") })]
#[case::placeholder_for_the_target(Command::CreatePlaceholder { dataset: dataset("backup/new/a") })]
#[case::our_tag_of_another_replica(Command::Release { tag: own("zfs-sync:step:1f:00000000".into()), snapshot: snapshot("tank/a@one") })]
#[case::base_hold_of_another_replica(Command::Release { tag: own("zfs-sync:base:7:00000000".into()), snapshot: snapshot("backup/new/a@one") })]
#[case::hold_elsewhere(Command::Hold { tag: own(plan().protection().step_hold()), snapshot: snapshot("tank/b@one") })]
#[case::bookmark_of_another_replica(bookmark("tank/a@one", "zfs-sync:b:00000000"))]
#[case::a_persons_bookmark(bookmark("tank/a@one", "mine"))]
#[case::holds_elsewhere(Command::Holds { snapshot: snapshot("tank/b@one") })]
fn what_the_transfer_does_not_need_is_refused(#[case] command: Command) {
    for at_source in [true, false] {
        let refused = authorise(&session(at_source), &command).expect_err(&command.display_line());
        assert_eq!(refused.code, "E_TLS_FORBIDDEN");
    }
}

#[test]
fn a_replica_gets_only_what_the_plan_copies() {
    let mut session = session(false);
    let with = |property: &str| {
        let first = FirstReceive {
            properties: vec![(property.parse().unwrap(), "x".to_owned())],
            ..FirstReceive::new(DatasetKind::Filesystem, StreamForm::WHOLE)
        };
        Command::Receive(ReceiveCommand::begins(dataset("backup/new/a"), first))
    };
    assert!(authorise(&session, &with("recordsize")).is_ok());
    assert!(authorise(&session, &with("compression")).is_err());
    let Action::Send(send) = &mut session.ticket.step.action else { unreachable!() };
    send.properties = vec!["compression".parse().unwrap()];
    assert!(authorise(&session, &with("compression")).is_ok());
    let set = |setting| Command::Set { dataset: dataset("backup/new/a"), setting };
    assert!(authorise(&session, &set(Setting::ReadOnly)).is_ok());
    let other = Setting::Copied("atime".parse().unwrap(), "on".to_owned());
    assert!(authorise(&session, &set(other)).is_err());
}

/// Holds that are placed and released together are judged each by itself.
#[test]
fn of_many_holds_none_is_anybody_elses() {
    let protection = plan().protection();
    let (step_hold, base_hold) = (own(protection.step_hold()), own(protection.base_hold()));
    for (at_source, tag, mine, other) in [
        (true, step_hold, "tank/a@one", "tank/b@one"),
        (false, base_hold, "backup/new/a@one", "backup/b@one"),
    ] {
        let session = session(at_source);
        let hold = |names: &[&str]| Command::HoldAll {
            tag: tag.clone(),
            snapshots: names.iter().map(|name| snapshot(name)).collect(),
        };
        let release = |names: &[&str]| Command::ReleaseAll {
            tag: tag.clone(),
            snapshots: names.iter().map(|name| snapshot(name)).collect(),
        };
        for command in [hold(&[mine, mine]), release(&[mine])] {
            assert_eq!(authorise(&session, &command), Ok(Check::Nothing), "{}", command.display_line());
        }
        for command in [hold(&[mine, other]), release(&[other, mine])] {
            assert!(authorise(&session, &command).is_err(), "{}", command.display_line());
        }
    }
}

#[test]
fn each_side_does_its_own_part_only() {
    assert!(authorise(&session(true), &receive("backup/new/a", None)).is_err());
    assert!(authorise(&session(false), &full("tank/a@one", true)).is_err());
    let hold = Command::Hold { tag: own(plan().protection().step_hold()), snapshot: snapshot("tank/a@one") };
    assert!(authorise(&session(false), &hold).is_err());
}

#[test]
fn a_ticket_to_tidy_up_moves_no_data() {
    for (at_source, command) in [
        (true, full("tank/a@one", true)),
        (true, Command::Estimate(SendCommand::Full { to: snapshot("tank/a@one"), form: StreamForm::Raw })),
        (false, receive("backup/new/a", None)),
        (false, Command::AbortReceive { dataset: dataset("backup/new/a") }),
        (false, Command::CreatePlaceholder { dataset: dataset("backup/new") }),
    ] {
        let mut session = session(at_source);
        assert!(authorise(&session, &command).is_ok());
        session.ticket.purpose = Purpose::Settle;
        assert!(authorise(&session, &command).is_err(), "{}", command.display_line());
        assert!(authorise(&session, &Command::ListPools).is_ok());
    }
}

#[test]
fn a_clone_is_sent_from_its_planned_origin() {
    let mut session = session(true);
    let Action::Send(send) = &mut session.ticket.step.action else { unreachable!() };
    let point = Point { guid: Guid::new(5), ..send.to.clone() };
    send.base = Some(Base::Origin { dataset: dataset("tank/origin"), point });
    let single = |base: &str| {
        Command::Send(SendCommand::Single {
            base: snapshot(base),
            to: snapshot("tank/a@two"),
            form: StreamForm::Raw,
        })
    };
    assert_eq!(authorise(&session, &single("tank/origin@one")), Ok(Check::Nothing));
    assert!(authorise(&session, &listing(Scope::Only(dataset("tank/origin")))).is_ok());
    assert!(authorise(&session, &single("tank/other@one")).is_err());
    let hold =
        Command::Hold { tag: own(plan().protection().step_hold()), snapshot: snapshot("tank/origin@one") };
    assert!(authorise(&session, &hold).is_err());
}

#[test]
fn settings_are_given_only_where_a_replica_begins() {
    let mut session = session(false);
    let first = FirstReceive::new(DatasetKind::Filesystem, StreamForm::WHOLE);
    let begins = Command::Receive(ReceiveCommand::begins(dataset("backup/new/a"), first));
    let further = Command::Receive(ReceiveCommand::further(dataset("backup/new/a")));
    let set = Command::Set { dataset: dataset("backup/new/a"), setting: Setting::ReadOnly };
    for command in [&begins, &further, &set] {
        assert_eq!(authorise(&session, command), Ok(Check::Nothing), "{}", command.display_line());
    }
    let Action::Send(send) = &mut session.ticket.step.action else { unreachable!() };
    send.base = Some(Base::Snapshot(send.to.clone()));
    for command in [&begins, &set] {
        assert!(authorise(&session, command).is_err(), "{}", command.display_line());
    }
    assert_eq!(authorise(&session, &further), Ok(Check::Nothing));
}
