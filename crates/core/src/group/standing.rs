//! What a dataset of a member is to its group.

use std::collections::BTreeSet;

use super::{GroupMode, Profile, SyncGroup};
use crate::{ids::SystemId, name::DatasetName};

/// Stands between a replica's name and the time at which it was set aside.
const ASIDE: &str = ".aside-";

impl SyncGroup {
    /// The logical datasets that a dataset of a member stands for, whether it exists or not. What was set aside belongs to the name it had.
    pub fn logical_of(&self, system: SystemId, name: &DatasetName) -> BTreeSet<DatasetName> {
        let plain = name.as_str().split_once(ASIDE).and_then(|(before, _)| before.parse().ok());
        let names = [Some(name.clone()), plain].into_iter().flatten();
        names.flat_map(|name| self.named(system, &name)).collect()
    }

    /// True when the group keeps a logical dataset of its own in this dataset of a system: what is in it is destroyed by nobody without
    /// the witness being told. What was set aside waits for somebody to destroy it.
    pub fn keeps(&self, system: SystemId, name: &DatasetName) -> bool {
        self.enabled
            && self.members.contains(&system)
            && !name.as_str().contains(ASIDE)
            && !self.named(system, name).is_empty()
    }

    /// The logical datasets whose name on the system is this one.
    fn named(&self, system: SystemId, name: &DatasetName) -> BTreeSet<DatasetName> {
        let mut logical = BTreeSet::new();
        for home in self.homes() {
            if home == system || self.mode == GroupMode::Local {
                logical.extend(Some(name.clone()).filter(|name| self.selects(name)));
            }
            if self.mode != GroupMode::ManyToOne || system == self.hub {
                logical.extend(self.logical_names(home, name, system));
            }
        }
        if self.profile == Profile::Classic && system != self.hub {
            logical.extend(self.by_path(name));
        }
        logical
    }

    /// With the classic profile a replica may be in any pool: its path decides. The source's pools are not known here, but those that the
    /// patterns name are.
    fn by_path(&self, name: &DatasetName) -> Vec<DatasetName> {
        let Some((_, path)) = name.as_str().split_once('/') else { return Vec::new() };
        let pools: BTreeSet<&str> =
            self.include.iter().filter_map(|pattern| pattern.as_str().split('/').next()).collect();
        let names = pools.into_iter().filter(|pool| !pool.contains('*')).map(|pool| format!("{pool}/{path}"));
        names.filter_map(|name| name.parse().ok()).filter(|name| self.selects(name)).collect()
    }
}
