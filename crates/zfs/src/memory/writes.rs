//! What programs write into a dataset.

use zfs_sync_core::name::DatasetName;

use super::state::{Dataset, Extent, Refusal, State};

/// The longest write that stays one extent.
const EXTENT: u64 = 1 << 20;

impl State {
    /// New content: the dataset refers to so much more afterwards.
    pub(super) fn write(&mut self, name: &DatasetName, bytes: u64) -> Result<(), Refusal> {
        self.check_writable(name)?;
        if self.available(name.pool()) < bytes {
            return Err(Refusal::new(format!("cannot write to '{name}': No space left on device")));
        }
        self.append(name, bytes, false)
    }

    /// Other content in the place of content: the dataset refers to as much as before, as a full volume always does.
    pub(super) fn overwrite(&mut self, name: &DatasetName, bytes: u64) -> Result<(), Refusal> {
        let Dataset { content_bytes, .. } = self.check_writable(name)?;
        if *content_bytes < bytes {
            return Err(Refusal::new(format!("cannot write to '{name}': there is less content than that")));
        }
        self.append(name, bytes, true)
    }

    fn check_writable(&self, name: &DatasetName) -> Result<&Dataset, Refusal> {
        let dataset = self.dataset(name)?;
        if dataset.readonly {
            return Err(Refusal::new(format!("cannot write to '{name}': Read-only file system")));
        }
        if dataset.is_incomplete() {
            return Err(Refusal::new(format!("cannot write to '{name}': dataset is busy")));
        }
        Ok(dataset)
    }

    fn append(&mut self, name: &DatasetName, bytes: u64, in_place: bool) -> Result<(), Refusal> {
        let mut rest = bytes;
        while rest > 0 {
            let extent = Extent { seed: self.next_seed(), length: rest.min(EXTENT), in_place };
            let dataset = self.dataset_mut(name)?;
            dataset.log.push(extent);
            dataset.content_bytes += extent.growth();
            rest -= extent.length;
        }
        self.next_txg(name.pool());
        Ok(())
    }
}
