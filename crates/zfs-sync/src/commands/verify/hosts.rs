//! From host to host, without a witness.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use camino::Utf8PathBuf;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use zfs_sync_agent::verify::{Control, Session, Side, compare};
use zfs_sync_api::codes::ErrorCode;
use zfs_sync_core::name::{DatasetName, Label, SnapshotName};
use zfs_sync_zfs::runner::Privilege;

use super::{
    remote::RemoteSide,
    show::{PairLine, exit_of_outcome, show_pair},
};
use crate::{
    cli::VerifyArgs,
    commands::{
        Context, Exit,
        replicate::{
            endpoint::{Endpoint, split_host},
            side::Host,
        },
    },
    failure::Failure,
    signals::Signals,
};

/// A device that appears late is waited for at most twenty seconds.
const LET_GO: Duration = Duration::from_secs(30);

/// A snapshot on a host.
#[derive(Debug)]
struct Place {
    endpoint: Endpoint,
    label: Option<Label>,
}

impl Place {
    fn parse(text: &str, side: &str) -> Result<Self, Failure> {
        let after_host = split_host(text).map_or(text, |(_, rest)| rest);
        let label = after_host.split_once('@').map(|(_, label)| label);
        let whole = label.map_or(text, |label| &text[..text.len() - label.len() - 1]);
        let endpoint = Endpoint::parse(whole, side)?;
        let label = label.map(str::parse).transpose().map_err(|error| {
            Failure::new(ErrorCode::NameInvalid, format!("{side} `{text}`: {error}"))
                .hint("write tank/media@monday, or root@nas2:tank/media@monday")
                .unchanged()
        })?;
        Ok(Self { endpoint, label })
    }

    fn snapshot(&self, label: &Label) -> Result<SnapshotName, Failure> {
        let dataset: &DatasetName = &self.endpoint.dataset;
        format!("{dataset}@{}", self.label.as_ref().unwrap_or(label))
            .parse()
            .map_err(|error| Failure::new(ErrorCode::NameInvalid, format!("{dataset}: {error}")).unchanged())
    }
}

pub(super) async fn run(context: &Context, arguments: &VerifyArgs, other: &str) -> Result<Exit, Failure> {
    let (left, right) = (Place::parse(&arguments.snapshot, "the first")?, Place::parse(other, "the second")?);
    let Some(label) = left.label.clone() else {
        let detail = format!("`{}` names no snapshot", arguments.snapshot);
        return Err(Failure::new(ErrorCode::NameInvalid, detail).hint("write tank/media@monday").unchanged());
    };
    let snapshots = (left.snapshot(&label)?, right.snapshot(&label)?);
    let stop = Stop::default();
    let work = async {
        let hosts = tokio::try_join!(
            Host::reach(&left.endpoint, arguments.ssh_port_first, &arguments.ssh_options, Privilege::Own),
            Host::reach(&right.endpoint, arguments.ssh_port_second, &arguments.ssh_options, Privilege::Own),
        )?;
        let mut one = side(&left, &hosts.0, &snapshots.0, arguments, &stop);
        let mut two = side(&right, &hosts.1, &snapshots.1, arguments, &stop);
        let verdict = compare(&mut *one, &mut *two, arguments.deep).await;
        for side in [one, two] {
            if let Err(error) = side.close().await {
                context.printer.warn(&format!("could not tidy up: {error}"));
            }
        }
        Ok::<_, Failure>(verdict)
    };
    tokio::pin!(work);
    let mut signals = Signals::listen()?;
    let result = tokio::select! {
        verdict = &mut work => verdict?,
        () = signals.next() => {
            // What was changed to reach a volume is taken back first; a second signal does not wait for it, and the next run does it.
            stop.now();
            tokio::select! {
                _ = timeout(LET_GO, work) => {}
                () = signals.next() => {}
            }
            return Ok(Exit::Interrupted);
        }
    };
    let exit = exit_of_outcome(result.outcome);
    let named =
        |place: &Place, snapshot: &SnapshotName| format!("{snapshot} on {}", place.endpoint.host_text());
    let line = PairLine { left: named(&left, &snapshots.0), right: named(&right, &snapshots.1), result };
    let names = |place: &Place, dataset: bool| {
        if dataset { place.endpoint.dataset.to_string() } else { place.endpoint.host_text() }
    };
    // Two copies on one host are told apart by their datasets.
    let by_dataset = left.endpoint.host == right.endpoint.host;
    show_pair(context, &line, (&names(&left, by_dataset), &names(&right, by_dataset)))?;
    Ok(exit)
}

fn side(
    place: &Place,
    host: &Host,
    snapshot: &SnapshotName,
    arguments: &VerifyArgs,
    stop: &Stop,
) -> Box<dyn Side> {
    let (runner, rate) = (host.shared_runner(), arguments.rate.map(|mebibytes| mebibytes << 20));
    if place.endpoint.host.is_some() && arguments.deep {
        return Box::new(RemoteSide::new(runner, snapshot.clone(), rate, stop.remote.clone()));
    }
    let control = Arc::new(Control::new(rate));
    stop.add(&control);
    Box::new(Session::new(runner, snapshot.clone(), &scratch(), control))
}

/// Ends both sides early.
#[derive(Debug, Default)]
struct Stop {
    remote: CancellationToken,
    local: Mutex<Vec<Arc<Control>>>,
}

impl Stop {
    fn add(&self, control: &Arc<Control>) {
        self.local.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(control));
    }

    fn now(&self) {
        self.remote.cancel();
        self.local.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(|control| control.cancel());
    }
}

/// Where a manifest may lie. A large tree has one of gigabytes, and `/tmp` is memory in many places.
pub(super) fn scratch() -> Utf8PathBuf {
    let named =
        std::env::var_os("TMPDIR").map(PathBuf::from).and_then(|path| Utf8PathBuf::from_path_buf(path).ok());
    let usual = ["/var/tmp", "/tmp"].into_iter().map(Utf8PathBuf::from);
    named.into_iter().chain(usual).find(|path| path.is_dir()).unwrap_or_else(|| Utf8PathBuf::from("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_may_be_on_another_host_and_called_otherwise() {
        let place = Place::parse("root@nas2:backup/media@auto_12:00:00", "the second").unwrap();
        assert_eq!(place.endpoint.host_text(), "nas2");
        assert_eq!(place.snapshot(&"x".parse().unwrap()).unwrap().to_string(), "backup/media@auto_12:00:00");
        let place = Place::parse("backup/media", "the second").unwrap();
        assert_eq!(place.snapshot(&"x".parse().unwrap()).unwrap().to_string(), "backup/media@x");
        let local = Place::parse("tank/a@auto_12:00:00", "the first").unwrap();
        assert_eq!((local.endpoint.host.is_none(), local.endpoint.dataset.as_str()), (true, "tank/a"));
        assert_eq!(Place::parse("tank/a@b@c", "the first").unwrap_err().code(), "E_NAME_INVALID");
    }
}
