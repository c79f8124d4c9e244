//! Lets snapshots of volumes have device nodes for as long as somebody reads one.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Seek as _},
    sync::Arc,
    time::Duration,
};

use tokio::sync::Mutex;
use zfs_sync_core::name::{DatasetName, SnapshotName};

use super::{Content, Volume, error};
use crate::{
    command::{Command, SnapshotDevices, argv::SHOWN},
    error::{Error, Kind},
    parse,
    runner::Runner,
};

/// udev makes the link after the module has made the device; a busy machine takes its time.
const DEVICE_TRIES: u32 = 100;
const DEVICE_PAUSE: Duration = Duration::from_millis(200);

/// Volumes whose `snapdev` we have set, and how many readers each has.
#[derive(Clone, Debug, Default)]
pub(crate) struct ShownVolumes(Arc<Mutex<BTreeMap<DatasetName, u32>>>);

impl ShownVolumes {
    pub(crate) async fn open(&self, runner: &dyn Runner, snapshot: &SnapshotName) -> Result<Content, Error> {
        let shown = self.show(runner, snapshot.dataset()).await?;
        match device(runner.host(), snapshot).await {
            Ok((device, size)) => Ok(Content::Volume(Volume::new(device, size, shown))),
            Err(error) => {
                if let Some(volume) = shown {
                    self.hide(runner, &volume).await?;
                }
                Err(error)
            }
        }
    }

    pub(crate) async fn close(&self, runner: &dyn Runner, content: Content) -> Result<(), Error> {
        let Content::Volume(Volume { device, shown, .. }) = content else { return Ok(()) };
        // First: while a device is open, ZFS leaves it where it is (seen on 2.3.9).
        drop(device);
        match shown {
            Some(volume) => self.hide(runner, &volume).await,
            None => Ok(()),
        }
    }

    /// After a start: nobody of us reads anything yet, so that what is still shown was left behind.
    pub(crate) async fn recover(&self, runner: &dyn Runner) -> Result<(), Error> {
        let readers = self.0.lock().await;
        let command = Command::ListShownVolumes;
        let output = runner.run(&command).await?;
        for line in output.stdout.lines() {
            let Some((name, before)) = line.split_once('\t') else { continue };
            let (Ok(volume), Some(before)) = (name.parse(), SnapshotDevices::from_name(before)) else {
                continue;
            };
            if !readers.contains_key(&volume) {
                restore(runner, &volume, before).await?;
            }
        }
        Ok(())
    }

    /// Answers the volume when its property was changed for this reader.
    async fn show(&self, runner: &dyn Runner, volume: &DatasetName) -> Result<Option<DatasetName>, Error> {
        // Held over the commands: whoever comes second must find the property set.
        let mut readers = self.0.lock().await;
        if let Some(count) = readers.get_mut(volume) {
            *count += 1;
            return Ok(Some(volume.clone()));
        }
        let properties = vec!["snapdev".to_owned(), SHOWN.to_owned()];
        let command = Command::Get { dataset: volume.clone(), properties };
        let output = runner.run(&command).await?;
        let found = parse::properties(&output.stdout)
            .map_err(|what| Error::unparsable(runner.host(), &command, &what))?;
        let named = |name: &str| found.iter().find(|property| property.name == name);
        let noted = named(SHOWN).and_then(|noted| SnapshotDevices::from_name(&noted.value));
        let is_visible = named("snapdev").is_some_and(|property| property.value == "visible");
        let is_local = named("snapdev").is_some_and(|property| property.source == "local");
        match noted {
            // Somebody's own choice.
            None if is_visible => return Ok(None),
            // Another process of ours has set it: one that died, or one that reads. It is this one's to restore as well; who has a
            // device open keeps it.
            Some(_) if is_visible => {}
            _ => {
                let before = if is_local { SnapshotDevices::Hidden } else { SnapshotDevices::Inherited };
                let done = runner.run(&Command::ShowSnapshotDevices { volume: volume.clone(), before }).await;
                if let Err(error) = done {
                    // Two properties are set one after the other: without the right for the second, the note alone may stand there.
                    let _ = runner.run(&Command::ForgetSnapshotDevices { volume: volume.clone() }).await;
                    return Err(error);
                }
            }
        }
        readers.insert(volume.clone(), 1);
        Ok(Some(volume.clone()))
    }

    async fn hide(&self, runner: &dyn Runner, volume: &DatasetName) -> Result<(), Error> {
        let mut readers = self.0.lock().await;
        let Some(count) = readers.get_mut(volume) else { return Ok(()) };
        *count -= 1;
        if *count > 0 {
            return Ok(());
        }
        readers.remove(volume);
        let properties = vec![SHOWN.to_owned()];
        let command = Command::Get { dataset: volume.clone(), properties };
        let output = runner.run(&command).await?;
        let found = parse::properties(&output.stdout)
            .map_err(|what| Error::unparsable(runner.host(), &command, &what))?;
        // What is not written there any more was changed by somebody else meanwhile: theirs to decide.
        match found.first().and_then(|found| SnapshotDevices::from_name(&found.value)) {
            Some(before) => restore(runner, volume, before).await,
            None => Ok(()),
        }
    }
}

async fn restore(runner: &dyn Runner, volume: &DatasetName, before: SnapshotDevices) -> Result<(), Error> {
    runner.run(&Command::RestoreSnapshotDevices { volume: volume.clone(), before }).await?;
    // Last, so that whoever dies between finds it again.
    runner.run(&Command::ForgetSnapshotDevices { volume: volume.clone() }).await?;
    Ok(())
}

/// The device and its size.
async fn device(host: &str, snapshot: &SnapshotName) -> Result<(File, u64), Error> {
    // udev writes a plus for a space.
    let path = format!("/dev/zvol/{}", snapshot.to_string().replace(' ', "+"));
    let mut tries = 0;
    loop {
        let opened = {
            let path = path.clone();
            tokio::task::spawn_blocking(move || open(&path)).await.expect("opening a file does not panic")
        };
        match opened {
            Ok(opened) => return Ok(opened),
            Err(error) if error.kind() == io::ErrorKind::NotFound && tries < DEVICE_TRIES => {
                tries += 1;
                tokio::time::sleep(DEVICE_PAUSE).await;
            }
            Err(failure) => {
                let kind = match failure.kind() {
                    io::ErrorKind::PermissionDenied => Kind::Permission,
                    _ => Kind::Unsupported,
                };
                return Err(error(host, snapshot, kind, format!("could not be opened as {path}: {failure}")));
            }
        }
    }
}

fn open(path: &str) -> io::Result<(File, u64)> {
    let mut device = File::open(path)?;
    let size = device.seek(io::SeekFrom::End(0))?;
    Ok((device, size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::scripted::Scripted;

    fn volume() -> DatasetName {
        "tank/v".parse().unwrap()
    }

    fn get(properties: &[&str]) -> Command {
        let properties = properties.iter().map(ToString::to_string).collect();
        Command::Get { dataset: volume(), properties }
    }

    /// Knows exactly what setting and restoring needs, and panics at anything else.
    fn host(before: SnapshotDevices, printed: &str) -> Scripted {
        Scripted::new()
            .succeeds(&get(&["snapdev", SHOWN]), printed)
            .succeeds(&Command::ShowSnapshotDevices { volume: volume(), before }, "")
            .succeeds(&get(&[SHOWN]), &format!("zfs-sync:snapdev\t{}\tlocal\n", before.as_str()))
            .succeeds(&Command::RestoreSnapshotDevices { volume: volume(), before }, "")
            .succeeds(&Command::ForgetSnapshotDevices { volume: volume() }, "")
    }

    #[tokio::test]
    async fn what_was_set_before_is_written_down_and_restored_by_the_last_reader() {
        for (before, printed) in [
            (SnapshotDevices::Inherited, "snapdev\thidden\tdefault\nzfs-sync:snapdev\t-\t-\n"),
            (SnapshotDevices::Inherited, "snapdev\thidden\tinherited from tank\nzfs-sync:snapdev\t-\t-\n"),
            (SnapshotDevices::Hidden, "snapdev\thidden\tlocal\nzfs-sync:snapdev\t-\t-\n"),
            // A note without effect, of a process that died before it had set anything, or after it had restored it.
            (SnapshotDevices::Hidden, "snapdev\thidden\tlocal\nzfs-sync:snapdev\tinherited\tlocal\n"),
        ] {
            let (shown, host) = (ShownVolumes::default(), host(before, printed));
            assert_eq!(shown.show(&host, &volume()).await.unwrap(), Some(volume()));
            // The second reader asks nothing, and its end restores nothing.
            let nobody = Scripted::new();
            assert_eq!(shown.show(&nobody, &volume()).await.unwrap(), Some(volume()));
            shown.hide(&nobody, &volume()).await.unwrap();
            shown.hide(&host, &volume()).await.unwrap();
            assert!(shown.0.lock().await.is_empty());
        }
    }

    #[tokio::test]
    async fn a_volume_whose_snapshots_are_visible_anyway_stays_as_it_is() {
        let printed = "snapdev\tvisible\tlocal\nzfs-sync:snapdev\t-\t-\n";
        let host = Scripted::new().succeeds(&get(&["snapdev", SHOWN]), printed);
        assert_eq!(ShownVolumes::default().show(&host, &volume()).await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_another_process_of_ours_has_left_is_restored_by_the_next_reader() {
        let (before, inherited) = (SnapshotDevices::Inherited, "zfs-sync:snapdev\tinherited\tlocal\n");
        let host = Scripted::new()
            .succeeds(&get(&["snapdev", SHOWN]), &format!("snapdev\tvisible\tlocal\n{inherited}"))
            .succeeds(&get(&[SHOWN]), inherited)
            .succeeds(&Command::RestoreSnapshotDevices { volume: volume(), before }, "")
            .succeeds(&Command::ForgetSnapshotDevices { volume: volume() }, "");
        let shown = ShownVolumes::default();
        assert_eq!(shown.show(&host, &volume()).await.unwrap(), Some(volume()));
        shown.hide(&host, &volume()).await.unwrap();
        assert_eq!(host.ran().last(), Some(&Command::ForgetSnapshotDevices { volume: volume() }));
    }

    #[tokio::test]
    async fn without_the_right_to_set_it_no_note_is_left() {
        let before = SnapshotDevices::Inherited;
        let host = Scripted::new()
            .succeeds(&get(&["snapdev", SHOWN]), "snapdev\thidden\tdefault\nzfs-sync:snapdev\t-\t-\n")
            .fails(
                &Command::ShowSnapshotDevices { volume: volume(), before },
                "cannot set property for 'tank/v': permission denied\n",
            )
            .succeeds(&Command::ForgetSnapshotDevices { volume: volume() }, "");
        let error = ShownVolumes::default().show(&host, &volume()).await.unwrap_err();
        assert_eq!(error.kind, Kind::Permission);
        assert_eq!(host.ran().last(), Some(&Command::ForgetSnapshotDevices { volume: volume() }));
    }

    #[tokio::test]
    async fn what_a_dead_process_has_left_is_restored_unless_somebody_reads_it() {
        let left = "tank/v\tinherited\ntank/other\tsomething\n";
        let before = SnapshotDevices::Inherited;
        let host = host(before, "").succeeds(&Command::ListShownVolumes, left);
        let shown = ShownVolumes::default();
        shown.recover(&host).await.unwrap();
        shown.0.lock().await.insert(volume(), 1);
        // Knows no command that would change anything.
        shown.recover(&Scripted::new().succeeds(&Command::ListShownVolumes, left)).await.unwrap();
    }
}
