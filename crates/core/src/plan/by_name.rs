//! Datasets of systems whose reports have no GUIDs.

use sha2::{Digest as _, Sha256};

use crate::{guid::Guid, inventory::Dataset, name::Label};

/// The dataset with GUIDs that follow from name and creation time, so that it can be compared with others that were treated alike.
///
/// Equal names at equal times are most probably the same snapshot, and never certainly: what is concluded carries `W_NO_GUID`, starts
/// nothing by itself and destroys nothing.
pub(super) fn by_name(dataset: &Dataset) -> Dataset {
    let mut named = dataset.clone();
    for snapshot in &mut named.snapshots {
        snapshot.guid = guid(&snapshot.label, snapshot.creation);
    }
    // Bookmarks have other names than their snapshots, so they prove nothing here; and a partial receive is known by GUID only.
    named.bookmarks.clear();
    named.properties.partial = None;
    named
}

fn guid(label: &Label, creation: i64) -> Guid {
    let hash = Sha256::new_with_prefix(format!("{creation} {label}")).finalize();
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hash[..8]);
    Guid::new(u64::from_le_bytes(bytes))
}
