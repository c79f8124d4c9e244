//! Mounts the snapshot of a file system where nobody sees it.

use zfs_sync_core::name::SnapshotName;

use super::{Content, error};
use crate::error::{Error, Kind};

/// Opens the root directory of a snapshot of a file system.
pub(crate) async fn open(host: &str, snapshot: &SnapshotName) -> Result<Content, Error> {
    linux::open(host, snapshot).await
}

#[cfg(target_os = "linux")]
mod linux {
    use std::{os::fd::OwnedFd, time::Duration};

    use rustix::{
        fs::{Mode, OFlags, openat},
        io::Errno,
        mount::{
            FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag,
            fsconfig_set_string, fsmount, fsopen,
        },
    };
    use zfs_sync_core::name::SnapshotName;

    use super::{Content, Error, Kind, error};
    use crate::content::Tree;

    /// ZFS refuses a second mount of a snapshot while the first is just being made or taken away (seen on 2.3.9).
    const BUSY_TRIES: u32 = 50;
    const BUSY_PAUSE: Duration = Duration::from_millis(200);

    pub(super) async fn open(host: &str, snapshot: &SnapshotName) -> Result<Content, Error> {
        let mut tries = 0;
        loop {
            let name = snapshot.to_string();
            // Mounting waits for disks.
            let mounted = tokio::task::spawn_blocking(move || mount(&name)).await;
            match mounted.expect("mounting does not panic") {
                Ok(root) => return Ok(Content::Tree(Tree::new(root, None))),
                Err((_, Errno::BUSY)) if tries < BUSY_TRIES => {
                    tries += 1;
                    tokio::time::sleep(BUSY_PAUSE).await;
                }
                Err((what, errno)) => {
                    let kind = match errno {
                        Errno::PERM => Kind::Permission,
                        // No such system call, or no such file system.
                        Errno::NOSYS | Errno::NODEV => Kind::Unsupported,
                        Errno::NOENT => Kind::NotFound,
                        Errno::BUSY => Kind::Busy,
                        // What ZFS answers where it has no key.
                        Errno::ACCESS => Kind::KeyNotLoaded,
                        _ => Kind::Unclassified,
                    };
                    return Err(error(
                        host,
                        snapshot,
                        kind,
                        match errno {
                            Errno::PERM => {
                                format!(
                                    "could not be mounted ({what}): {errno}; contents are read by root alone"
                                )
                            }
                            _ => format!("could not be mounted ({what}): {errno}"),
                        },
                    ));
                }
            }
        }
    }

    fn mount(snapshot: &str) -> Result<OwnedFd, (&'static str, Errno)> {
        let context = fsopen("zfs", FsOpenFlags::FSOPEN_CLOEXEC).map_err(|errno| ("fsopen", errno))?;
        fsconfig_set_string(&context, "source", snapshot).map_err(|errno| ("source", errno))?;
        fsconfig_set_flag(&context, "ro").map_err(|errno| ("ro", errno))?;
        fsconfig_create(&context).map_err(|errno| ("create", errno))?;
        let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
            | MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC
            | MountAttrFlags::MOUNT_ATTR_NOATIME;
        let mount = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
            .map_err(|errno| ("fsmount", errno))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        // The directory keeps the mount in existence.
        openat(&mount, ".", flags, Mode::empty()).map_err(|errno| ("open", errno))
    }
}

#[cfg(not(target_os = "linux"))]
mod linux {
    use super::{Content, Error, Kind, SnapshotName, error};

    #[expect(clippy::unused_async, reason = "as on Linux")]
    pub(super) async fn open(host: &str, snapshot: &SnapshotName) -> Result<Content, Error> {
        Err(error(
            host,
            snapshot,
            Kind::Unsupported,
            "can not be mounted in private on this operating system",
        ))
    }
}
