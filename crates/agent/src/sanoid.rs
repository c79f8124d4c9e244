//! What sanoid keeps on this host, by its own configuration.
//!
//! sanoid prunes without knowing of replicas. The witness warns before it destroys what a replica still needs
//! ([`zfs_sync_core::retention`]), and for that it has to know what sanoid keeps of each dataset. A configuration that can not
//! be read is no reason to report nothing: then nothing is known of retention, and the log says why.

mod config;
mod ini;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::unix::fs::MetadataExt as _,
    time::SystemTime,
};

use camino::{Utf8Path, Utf8PathBuf};
use zfs_sync_core::{name::DatasetName, retention::Retention};

use self::config::Config;

/// A larger file is not sanoid's: the one it comes with has 4 kilobytes.
const LARGEST: u64 = 1 << 20;

/// Where sanoid's files are.
#[derive(Clone, Debug)]
pub struct Files {
    /// What the administrator wrote.
    pub config: Utf8PathBuf,
    /// What sanoid came with. The first that exists counts; without one sanoid does not start.
    pub defaults: Vec<Utf8PathBuf>,
}

impl Files {
    /// As sanoid is installed: Debian and its children keep the defaults in `/usr/share`, sanoid itself in `/etc`.
    pub fn standard() -> Self {
        Self {
            config: "/etc/sanoid/sanoid.conf".into(),
            defaults: vec![
                "/usr/share/sanoid/sanoid.defaults.conf".into(),
                "/etc/sanoid/sanoid.defaults.conf".into(),
            ],
        }
    }
}

/// Tells one version of a file from the next without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stamp {
    Missing,
    Unreadable(io::ErrorKind),
    File { modified: Option<SystemTime>, size: u64, inode: u64 },
}

impl Stamp {
    async fn of(path: &Utf8Path) -> Self {
        match tokio::fs::metadata(path).await {
            Ok(metadata) if metadata.is_file() => {
                Self::File { modified: metadata.modified().ok(), size: metadata.len(), inode: metadata.ino() }
            }
            // A pipe or a directory: reading it could take for ever.
            Ok(_) => Self::Unreadable(io::ErrorKind::InvalidInput),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::Missing,
            Err(error) => Self::Unreadable(error.kind()),
        }
    }
}

/// Both files, as they were looked at last.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Looked {
    config: Stamp,
    defaults: Option<(Utf8PathBuf, Stamp)>,
}

/// sanoid's policies for the datasets of this host; read again when a file or the datasets have changed.
#[derive(Debug)]
pub(crate) struct Policies {
    files: Files,
    looked: Option<Looked>,
    config: Option<Config>,
    datasets: BTreeSet<DatasetName>,
    found: BTreeMap<DatasetName, Retention>,
}

impl Policies {
    pub(crate) const fn new(files: Files) -> Self {
        Self { files, looked: None, config: None, datasets: BTreeSet::new(), found: BTreeMap::new() }
    }

    /// What is kept, by dataset; those that sanoid does not look after are missing.
    pub(crate) const fn found(&self) -> &BTreeMap<DatasetName, Retention> {
        &self.found
    }

    /// Looks at the files. `datasets` are those of this host.
    pub(crate) async fn look<'a>(&mut self, datasets: impl Iterator<Item = &'a DatasetName> + Clone) {
        // Before reading: what changes meanwhile is found the next time.
        let looked = self.stamps().await;
        let same_files = self.looked.as_ref() == Some(&looked);
        if same_files && self.datasets.iter().eq(datasets.clone()) {
            return;
        }
        if !same_files {
            self.config = match self.read(&looked).await {
                Ok(config) => config,
                // Said once for each version of the files.
                Err(problem) => {
                    tracing::warn!(
                        "{problem}; what sanoid keeps is unknown, and nothing warns of what it will destroy"
                    );
                    None
                }
            };
            self.looked = Some(looked);
        }
        self.datasets = datasets.cloned().collect();
        self.found = match &self.config {
            Some(config) => config.policies(&self.datasets),
            None => BTreeMap::new(),
        };
    }

    async fn stamps(&self) -> Looked {
        let config = Stamp::of(&self.files.config).await;
        let mut defaults = None;
        if config != Stamp::Missing {
            for path in &self.files.defaults {
                let stamp = Stamp::of(path).await;
                if stamp != Stamp::Missing {
                    defaults = Some((path.clone(), stamp));
                    break;
                }
            }
        }
        Looked { config, defaults }
    }

    /// `None`: sanoid is not here. A configuration without defaults is what is left when it is uninstalled.
    async fn read(&self, looked: &Looked) -> Result<Option<Config>, String> {
        let (Looked { config, defaults: Some((path, defaults)) }, true) =
            (looked, looked.config != Stamp::Missing)
        else {
            return Ok(None);
        };
        let own = text(&self.files.config, config).await?;
        let defaults = text(path, defaults).await?;
        let defaults = ini::parse(&defaults).map_err(|problem| format!("{path}: {problem}"))?;
        let named = |problem| format!("{}: {problem}", self.files.config);
        let own = ini::parse(&own).map_err(named)?;
        Config::new(&defaults, own).map(Some).map_err(named)
    }
}

async fn text(path: &Utf8Path, stamp: &Stamp) -> Result<String, String> {
    match stamp {
        Stamp::File { size, .. } if *size > LARGEST => {
            Err(format!("{path} has {size} bytes, more than {LARGEST}"))
        }
        Stamp::File { .. } => {
            let bytes =
                tokio::fs::read(path).await.map_err(|error| format!("{path} can not be read: {error}"))?;
            // Comments may be in any encoding; names of datasets are ASCII.
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
        Stamp::Unreadable(kind) => Err(format!("{path} can not be read: {kind}")),
        Stamp::Missing => Err(format!("{path} is gone")),
    }
}

#[cfg(test)]
mod tests;
