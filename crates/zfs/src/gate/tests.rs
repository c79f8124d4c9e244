use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::command::{OwnTag, words};

fn gate(role: Role) -> Gate {
    Gate { role, tree: "backup/nas1".parse().unwrap() }
}

const SOURCE: Role = Role::Source;
const TARGET: Role = Role::Target { append_only: false };
const APPEND_ONLY: Role = Role::Target { append_only: true };

fn lines(admitted: &Admitted) -> Vec<String> {
    match admitted {
        Admitted::Resume(resumed) => vec![resumed.command.display_line()],
        Admitted::Run(commands) => commands.iter().map(Command::display_line).collect(),
        Admitted::Destroy(snapshot) => vec![format!("zfs destroy {snapshot}")],
    }
}

/// For source, target, append-only target.
#[rstest]
#[case("zfs version", [true, true, true])]
#[case("zpool events -f -H", [true, true, true])]
#[case("zfs holds -H backup/nas1@a", [true, true, true])]
#[case("zfs get -Hp -o property,value,source type,volsize backup/nas1/b@a", [true, true, true])]
#[case("zfs hold zfs-sync:step:1:a backup/nas1/b@a", [true, true, true])]
#[case("zfs release zfs-sync:step:1:a backup/nas1@a backup/nas1/c@b", [true, true, true])]
#[case("zfs send -L -c -e backup/nas1/b@a", [true, false, false])]
#[case("zfs send -n -v -P -w backup/nas1/b@a", [true, false, false])]
#[case("zfs bookmark backup/nas1@a 'backup/nas1#zfs-sync:1:a'", [true, false, false])]
#[case("zfs destroy 'backup/nas1#zfs-sync:1:a'", [true, false, false])]
#[case("zfs receive -s -u backup/nas1/b", [false, true, true])]
#[case("zfs receive -A backup/nas1/b", [false, true, true])]
#[case("zfs create -o canmount=off -o readonly=on backup/nas1/b", [false, true, true])]
#[case("zfs rename backup/nas1/b backup/nas1/c", [false, true, false])]
#[case("zfs rollback backup/nas1/b@a", [false, true, false])]
#[case("zfs destroy backup/nas1/b@a", [false, true, false])]
fn each_role_has_its_commands(#[case] line: &str, #[case] expected: [bool; 3]) {
    for (role, expected) in [SOURCE, TARGET, APPEND_ONLY].into_iter().zip(expected) {
        let admitted = gate(role).admit(line);
        assert_eq!(admitted.is_ok(), expected, "{role:?}: {admitted:?}");
        if let Ok(admitted) = admitted {
            assert_eq!(lines(&admitted), [line]);
        }
        let through = format!("{REMOTE_ENVIRONMENT} sudo -n {line}");
        assert_eq!(gate(role).admit(&through).is_ok(), expected, "{through}");
    }
}

#[rstest]
#[case::shell("sh")]
#[case::shell_session("env LC_ALL=C sh -s")]
#[case::nothing("")]
#[case::chained("zfs version; zfs destroy backup/nas1@a")]
#[case::newline("zfs version\nreboot")]
#[case::substitution("zfs holds -H \"$(reboot)\"")]
#[case::other_path("env LC_ALL=C \"PATH=/tmp:${PATH}\" zfs version")]
#[case::other_program("/tmp/zfs version")]
#[case::whole_dataset("zfs destroy backup/nas1")]
#[case::recursive("zfs destroy -r backup/nas1@a")]
#[case::many("zfs destroy backup/nas1@a,b")]
#[case::range("zfs destroy backup/nas1@a%b")]
#[case::forced_receive("zfs receive -s -u -F backup/nas1")]
#[case::mountpoint("zfs receive -s -u -o mountpoint=/etc backup/nas1")]
#[case::recursive_rollback("zfs rollback -r backup/nas1@a")]
#[case::foreign_tag("zfs release keep backup/nas1@a")]
#[case::foreign_bookmark("zfs destroy 'backup/nas1#mine'")]
#[case::quota_of_the_tree("zfs set quota=none backup/nas1")]
#[case::quota_of_the_tree_by_receiving(
    "zfs receive -s -u -o readonly=on -o canmount=noauto -o 'zfs-sync:stream=-L -c -e' -x mountpoint -x sharenfs -x sharesmb -x quota -x refquota -x reservation -x refreservation backup/nas1"
)]
#[case::mounted_elsewhere("zfs set mountpoint=/etc backup/nas1/a")]
#[case::made_writable("zfs set readonly=off backup/nas1/a")]
#[case::set("zfs set readonly=off backup/nas1")]
#[case::allow("zfs allow backup/nas1")]
#[case::program("zfs program backup script.lua")]
#[case::snapshot("zfs snapshot backup/nas1@a")]
#[case::scp("scp -t /root/.ssh/authorized_keys")]
#[case::properties_outside("zfs get -Hp -o property,value,source type tank/secret@a")]
#[case::contents("zfs-sync verify-side backup/nas1@a")]
#[case::pools("zpool status")]
#[case::snapshot_devices("zfs set zfs-sync:snapdev=inherited snapdev=visible backup/nas1/v")]
#[case::outside("zfs receive -s -u backup/nas2")]
#[case::prefix_is_not_within("zfs receive -s -u backup/nas10")]
#[case::above("zfs receive -s -u backup")]
#[case::send_outside("zfs send -L -c -e tank/secret@a")]
#[case::base_outside("zfs send -L -c -e -i tank/secret@a backup/nas1@b")]
#[case::origin_outside("zfs receive -s -u -o readonly=on -o origin=tank/secret@a backup/nas1/v")]
#[case::renamed_out("zfs rename backup/nas1/a backup/a")]
#[case::history_above(
    "zfs list -Hp -t snapshot,bookmark -o name,guid,createtxg,creation,used,referenced,userrefs -d 1 backup"
)]
#[case::one_of_many_outside("zfs holds -H backup/nas1@a tank@b")]
fn what_an_attacker_tries_is_refused(#[case] line: &str) {
    for role in [SOURCE, TARGET, APPEND_ONLY] {
        let admitted = gate(role).admit(line);
        assert!(admitted.is_err(), "{role:?}: {admitted:?}");
    }
}

#[test]
fn a_token_for_another_dataset_is_refused() {
    let token = |name: &str| ResumeToken { to_name: name.to_owned(), to_guid: 7, ..ResumeToken::default() };
    let line = |name: &str| format!("zfs send -t {}", token(name).encode());
    assert!(gate(SOURCE).admit(&line("backup/nas1/a@x")).is_ok());
    let refused = gate(SOURCE).admit(&line("tank/secret@x")).unwrap_err();
    assert!(matches!(refused, Refused::OutsideTree { .. }), "{refused}");
    assert_eq!(gate(SOURCE).admit("zfs send -t 1-0-0-00"), Err(Refused::NotOurLine));
}

#[test]
fn a_token_of_what_lies_outside_the_tree_is_refused_whatever_it_names() {
    let token = |to_guid: u64, from_guid: Option<u64>| {
        let to_name = "backup/nas1/a@x".to_owned();
        ResumeToken { to_guid, to_name, from_guid, ..ResumeToken::default() }.encode()
    };
    let histories = crate::parse::history(
        "backup/nas1/a@x\t7\t5\t0\t0\t0\t0\nbackup/nas1/a#y\t3\t2\t0\t-\t-\t-\nbackup/nas1/b@z\t9\t6\t0\t0\t0\t0\n",
    )
    .unwrap();
    for (to, from, is_ours) in
        [(7, None, true), (7, Some(3), true), (8, None, false), (9, None, false), (7, Some(4), false)]
    {
        let Admitted::Resume(resumed) =
            gate(SOURCE).admit(&format!("zfs send -t {}", token(to, from))).unwrap()
        else {
            panic!("a stream is continued")
        };
        assert_eq!(resumed.is_of(&histories), is_ours, "{to} {from:?}");
    }
}

#[test]
fn listings_are_narrowed_to_the_tree_and_what_is_above_it() {
    let columns = "name,guid,type,createtxg,written,used,referenced,available,readonly,mounted,encryption,origin,receive_resume_token";
    let list = format!("zfs list -Hp -t filesystem,volume -o {columns}");
    let gate = gate(TARGET);
    let expected = [format!("{list} backup"), format!("{list} -r backup/nas1")];
    for asked in [list.clone(), format!("{list} -r backup")] {
        assert_eq!(lines(&gate.admit(&asked).unwrap()), expected);
    }
    for asked in [format!("{list} -r backup/nas1/a"), format!("{list} backup")] {
        assert_eq!(lines(&gate.admit(&asked).unwrap()), [asked]);
    }
    assert!(gate.admit(&format!("{list} -r tank")).is_err());
    let history =
        "zfs list -Hp -t snapshot,bookmark -o name,guid,createtxg,creation,used,referenced,userrefs";
    assert_eq!(lines(&gate.admit(history).unwrap()), [format!("{history} -r backup/nas1")]);
}

#[test]
fn a_snapshot_that_is_held_or_cloned_is_not_destroyed() {
    let snapshot: SnapshotName = "backup/nas1@a".parse().unwrap();
    let found = |holds, clones: &[&str]| SnapshotDependents {
        snapshot: snapshot.clone(),
        guid: zfs_sync_core::guid::Guid::new(7),
        holds,
        clones: clones.iter().map(|&clone| clone.to_owned()).collect(),
    };
    assert_eq!(doomed(&snapshot, &[found(0, &[])]).unwrap().name(), &snapshot);
    assert!(matches!(doomed(&snapshot, &[found(1, &[])]), Err(Spared::Held { .. })));
    assert!(matches!(doomed(&snapshot, &[found(0, &["backup/c"])]), Err(Spared::Cloned { .. })));
    assert!(matches!(doomed(&snapshot, &[]), Err(Spared::Gone(_))));
}

fn word() -> impl Strategy<Value = String> {
    const KNOWN: &[&str] = &[
        "zfs",
        "zpool",
        "list",
        "get",
        "send",
        "receive",
        "destroy",
        "rollback",
        "rename",
        "create",
        "hold",
        "release",
        "holds",
        "-H",
        "-p",
        "-Hp",
        "-r",
        "-R",
        "-F",
        "-f",
        "-s",
        "-u",
        "-A",
        "-L",
        "-c",
        "-e",
        "-w",
        "-i",
        "-I",
        "-t",
        "-o",
        "readonly=on",
        "canmount=noauto",
        "canmount=off",
        "backup/nas1",
        "backup/nas1/a",
        "backup/nas1@a",
        "backup/nas1/a@b",
        "backup/nas1#zfs-sync:1:a",
        "zfs-sync:base:1:a",
        "tank",
        "tank@a",
        "backup",
        "backup@a",
        "origin=tank@a",
        "mountpoint=/etc",
        "all",
        "snapshot",
    ];
    prop_oneof![9 => prop::sample::select(KNOWN).prop_map(str::to_owned), 1 => "[^\\x00]{0,8}"]
}

proptest! {
    /// Whatever is put together from words that matter: what is run is one of our commands, says what was asked word for word, and
    /// names nothing outside the tree.
    #[test]
    fn nothing_outside_the_list_is_ever_run(list in prop::collection::vec(word(), 1..9), role in 0..3_usize) {
        let gate = gate([SOURCE, TARGET, APPEND_ONLY][role]);
        let line = list.iter().map(|word| command::quote(word)).collect::<Vec<_>>().join(" ");
        let Ok(Admitted::Run(commands)) = gate.admit(&line) else { return Ok(()) };
        for command in commands {
            let forbidden = ["-F", "-R", "-f"];
            let words = command.arguments();
            prop_assert!(!words.iter().any(|word| forbidden.contains(&word.as_str())), "{:?}", words);
            prop_assert!(command.is_read_only() || !words.iter().any(|word| word == "-r"), "{:?}", words);
            let names = words.iter().filter(|word| word.contains("tank"));
            prop_assert_eq!(names.count(), 0, "{:?}", words);
            if !command.is_read_only() {
                prop_assert_eq!(command.display_line(), line.clone());
            }
        }
    }

    #[test]
    fn no_text_makes_it_panic(line in "[^\\x00]{0,80}") {
        for role in [SOURCE, TARGET, APPEND_ONLY] {
            let _ = gate(role).admit(&line);
        }
    }

    #[test]
    fn a_hold_of_ours_comes_through_whatever_the_names(label in "[A-Za-z0-9 :._-]{1,20}", tag in "[ -~]{0,20}") {
        let command = Command::Hold {
            tag: OwnTag::new(format!("zfs-sync:{tag}")).unwrap(),
            snapshot: format!("backup/nas1@{label}").parse().unwrap(),
        };
        let admitted = gate(TARGET).admit(&command.display_line()).unwrap();
        prop_assert_eq!(lines(&admitted), vec![command.display_line()]);
        prop_assert_eq!(words(&command.display_line()).unwrap()[1..].to_vec(), command.arguments());
    }
}
