//! The kernel's events: something changed, look again.
//!
//! Events only wake. `zpool events -f` begins with everything since boot and may miss what happens while nobody runs it; both are fine
//! because whoever is woken reads the state and not the event.

use std::io::PipeReader;

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::unix::pipe,
};

use crate::{
    command::Command,
    error::{Error, Kind},
    runner::Runner,
};

/// Classes after which datasets, snapshots or pools may be others than before.
const CLASSES: [&str; 4] = [
    "sysevent.fs.zfs.history_event",
    "sysevent.fs.zfs.pool_import",
    "sysevent.fs.zfs.pool_export",
    "sysevent.fs.zfs.pool_destroy",
];

/// Calls `on_event` for each event after which the inventory may have changed, until the watching command ends.
///
/// It ends by itself only when it fails or the host goes away; callers start it again after a while, and poll meanwhile.
pub async fn watch_events(runner: &dyn Runner, mut on_event: impl FnMut() + Send) -> Result<(), Error> {
    let command = Command::WatchEvents;
    let cannot_read = |error: std::io::Error| Error {
        host: runner.host().to_owned(),
        command: command.display_line(),
        status: format!("could not be read: {error}"),
        stderr: String::new(),
        kind: Kind::Start,
    };
    let (reader, writer) = std::io::pipe().map_err(cannot_read)?;
    let mut stage = runner.start(&command, None, Some(writer))?;
    let end = {
        let reading = read_events(reader, &mut on_event);
        tokio::pin!(reading);
        tokio::select! {
            read = &mut reading => {
                if let Err(error) = read {
                    // Nobody reads any more: it would run for ever.
                    stage.terminate();
                    stage.wait().await;
                    return Err(cannot_read(error));
                }
                stage.wait().await
            }
            end = stage.wait() => {
                // What it printed before it ended is still in the pipe.
                reading.await.map_err(cannot_read)?;
                end
            }
        }
    };
    if end.success { Ok(()) } else { Err(Error::ended(runner.host(), &command, &end)) }
}

async fn read_events(reader: PipeReader, on_event: &mut (impl FnMut() + Send)) -> std::io::Result<()> {
    let mut reader = BufReader::new(pipe::Receiver::from_owned_fd(reader.into())?);
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&line);
        if text.split_whitespace().any(|word| CLASSES.contains(&word)) {
            on_event();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::scripted::Scripted;

    async fn events_in(text: &str) -> (usize, Result<(), Error>) {
        let runner = Scripted::new().succeeds(&Command::WatchEvents, text);
        let mut count = 0;
        let result = watch_events(&runner, || count += 1).await;
        (count, result)
    }

    #[tokio::test]
    async fn changes_of_datasets_and_pools_wake() {
        let text = "Nov 20 2026 12:57:03.123456789\tsysevent.fs.zfs.history_event\n\
                    Nov 20 2026 12:57:03.123456790\tsysevent.fs.zfs.config_sync\n\
                    Nov 20 2026 12:57:04.000000000\tsysevent.fs.zfs.pool_import\n\
                    Nov 20 2026 12:57:05.000000000\tereport.fs.zfs.checksum\n";
        let (count, result) = events_in(text).await;
        assert_eq!(count, 2);
        assert!(result.is_ok());
    }

    #[tokio::test]
    async fn an_unfinished_last_line_counts() {
        let (count, _) = events_in("x\tsysevent.fs.zfs.history_event").await;
        assert_eq!(count, 1);
    }

    #[tokio::test]
    async fn a_failing_watch_says_why() {
        let runner = Scripted::new()
            .fails(&Command::WatchEvents, "Permission denied the ZFS utilities must be run as root.\n");
        let error = watch_events(&runner, || ()).await.unwrap_err();
        assert_eq!(error.kind, Kind::Permission);
    }
}
