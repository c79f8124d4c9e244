//! A disk changes what was written, and verification names the place.

use tokio::time::sleep;
use zfs_sync_api::v1::verification::{CreateVerification, Verification};

use super::{PAUSE, SOURCE, Story, simulation};
use crate::failure::Failure;

/// Whose copy on which system is damaged.
const DAMAGED: (&str, &str) = ("tank/media/music", "nas3");

impl Story<'_> {
    /// A copy that was proven is damaged below ZFS, and no longer proven.
    pub(super) async fn damage(&self) -> Result<(), Failure> {
        let (dataset, system) = DAMAGED;
        let equal = self.verified().await?;
        if equal.state != "matched" {
            return Err(self
                .wrong("a copy that is the same was not found to be")
                .context("found", equal.state));
        }
        self.chapter(&format!("every byte of {dataset} on {system} is as on {SOURCE}"));
        self.fleet.host(system).corrupt(dataset, 1).map_err(|error| simulation(&error))?;
        let differs = self.verified().await?;
        let found = differs.result.as_ref().and_then(|result| result.differences.first());
        let Some(found) = found.filter(|_| differs.state == "differs") else {
            return Err(self.wrong("a damaged copy was not found to be").context("found", differs.state));
        };
        self.chapter(&format!("a disk of {system} changed a byte: {}", found.words(SOURCE, system)));
        Ok(())
    }

    async fn verified(&self) -> Result<Verification, Failure> {
        let (dataset, system) = DAMAGED;
        let snapshot = format!("{dataset}@auto-{:04}", self.snapshots);
        let body = CreateVerification {
            snapshot: snapshot.parse().expect("names of the demo are well-formed"),
            between: vec![SOURCE.to_owned(), system.to_owned()],
            dataset: None,
            deep: true,
            rate: None,
        };
        let asked = self.fleet.client.create_verification(&body).await?;
        loop {
            let verification = self.fleet.client.find_verification(asked.id).await?;
            if verification.finished_at.is_some() {
                return Ok(verification);
            }
            if !self.in_time() {
                return Err(self.wrong("waited in vain for a verification"));
            }
            sleep(PAUSE).await;
        }
    }
}
