//! Witnesses that are not where they should be.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
};

use crate::program::Place;

fn place() -> Place {
    let mut place = Place::new();
    place.variable("ZFS_SYNC_API_KEY", "zsk_x");
    place
}

/// A port on which nobody listens.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_witness_that_does_not_answer_is_unreachable() {
    let server = format!("http://127.0.0.1:{}", closed_port());
    let ended = place().run(&["system", "list", "--server", &server]).refused(8, "E_WITNESS_UNREACHABLE");
    assert!(ended.stderr.contains("Connection refused"), "{}", ended.stderr);
    assert!(
        ended.stderr.contains(&format!("fix      zfs-sync doctor --server {server}")),
        "{}",
        ended.stderr
    );
}

#[test]
fn what_answers_but_is_no_witness_is_told_so() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let other = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _read = stream.read(&mut [0; 4096]).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello").unwrap();
    });
    place().run(&["status", "--server", &server]).refused(1, "E_WITNESS_ANSWER");
    other.join().unwrap();
}

#[test]
fn a_text_that_is_no_address_is_wrong_usage() {
    for server in ["nas1", "localhost:8000", "ftp://nas1", ""] {
        let ended = place().run(&["status", "--server", server]);
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{server}: {}", ended.stderr);
    }
    // A password in an address does not reach the screen.
    let ended = place().run(&["status", "--server", "ftp://anna:geheim@nas1"]).refused(2, "E_VALUE_INVALID");
    assert!(!ended.stderr.contains("geheim"), "{}", ended.stderr);
}

#[test]
fn errors_are_one_json_object_where_json_is_asked_for() {
    let server = format!("http://127.0.0.1:{}", closed_port());
    let ended = place().run(&["status", "--server", &server, "-o", "json"]).expect(8);
    assert_eq!(ended.stdout, "");
    let problem = ended.problem();
    assert_eq!(problem["code"], "E_WITNESS_UNREACHABLE");
    assert_eq!(problem["type"], "urn:zfs-sync:error:E_WITNESS_UNREACHABLE");
    assert_eq!(problem["retryable"], true);
}
