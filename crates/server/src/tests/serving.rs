//! A server on a real socket.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;
use zfs_sync_core::time::ManualClock;
use zfs_sync_store::Store;

use crate::{Options, Server, Settings, bootstrap_admin};

#[tokio::test]
async fn a_server_serves_plans_and_stops() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::connect("sqlite::memory:", &zfs_sync_store::Options::default()).await.unwrap();
    let clock = Arc::new(ManualClock::new("2026-01-01T00:00:00Z".parse().unwrap()));
    let key = bootstrap_admin(&store, folder.path(), zfs_sync_core::time::Clock::now(&*clock))
        .await
        .unwrap()
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let shutdown = CancellationToken::new();
    let options = Options { listener, store, clock, settings: Settings::default() };
    let server = Server::start(options, shutdown.clone()).await.unwrap();

    let mut events = TcpStream::connect(server.address()).await.unwrap();
    let key = secrecy::ExposeSecret::expose_secret(&key.key).to_owned();
    let request = format!("GET /api/v1/events HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\n\r\n");
    events.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    while !text.contains("event: connected") {
        let mut buffer = [0; 4096];
        let read =
            tokio::time::timeout(Duration::from_secs(20), events.read(&mut buffer)).await.unwrap().unwrap();
        assert_ne!(read, 0, "{text}");
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    // The listener is still there; a stop that waited for it would end with the name of the task that is late.
    shutdown.cancel();
    server.wait().await.unwrap();
}
