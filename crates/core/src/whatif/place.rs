//! Where a dataset lies, and what is known of that system.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{ids::SystemId, inventory::Inventory, name::DatasetName, plan::SystemView, time::Timestamp};

/// A dataset on a system.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The system.
    pub system: SystemId,
    /// Its host name, for people.
    pub system_name: String,
    /// The dataset's name there.
    pub dataset: DatasetName,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} on {}", self.dataset, self.system_name)
    }
}

/// One system, also when nothing is known of it.
#[derive(Clone, Debug)]
pub(super) struct Known<'a> {
    pub(super) id: SystemId,
    pub(super) name: Cow<'a, str>,
    pub(super) inventory: Option<&'a Inventory>,
    pub(super) fresh: bool,
}

impl<'a> Known<'a> {
    pub(super) fn new(systems: &BTreeMap<SystemId, SystemView<'a>>, id: SystemId) -> Self {
        match systems.get(&id) {
            Some(view) => {
                Self { id, name: Cow::Borrowed(view.name), inventory: view.inventory, fresh: view.fresh }
            }
            None => Self { id, name: Cow::Owned(id.to_string()), inventory: None, fresh: false },
        }
    }

    pub(super) fn place(&self, dataset: &DatasetName) -> Place {
        Place { system: self.id, system_name: self.name.clone().into_owned(), dataset: dataset.clone() }
    }

    pub(super) fn as_of(&self) -> Option<Timestamp> {
        self.inventory.map(|inventory| inventory.as_of)
    }

    /// What it reported, where snapshots can be told apart by what they are.
    pub(super) fn with_guids(&self) -> Option<&'a Inventory> {
        self.inventory.filter(|inventory| !inventory.without_guids)
    }

    /// Why its facts can not be relied on: `nas2 has never reported`; `None` when they can.
    pub(super) fn weakness(&self, now: Timestamp) -> Option<String> {
        match self.inventory {
            None => Some(format!("{} has never reported", self.name)),
            Some(inventory) if inventory.without_guids => {
                Some(format!("{} reports snapshots without GUIDs", self.name))
            }
            Some(_) if self.fresh => None,
            Some(inventory) => {
                let minutes = minutes_between(inventory.as_of, now);
                let unit = if minutes == 1 { "minute" } else { "minutes" };
                Some(format!(
                    "{} last reported {minutes} {unit} ago, which is too long to rely on",
                    self.name
                ))
            }
        }
    }
}

/// Whole minutes from one moment to a later one; 0 when it is not later.
pub(super) fn minutes_between(earlier: Timestamp, later: Timestamp) -> u64 {
    minutes_since(earlier.as_second(), later)
}

/// Whole minutes since a `creation` in seconds since 1970; 0 when a clock went wrong and it lies ahead.
pub(super) fn minutes_since(creation: i64, now: Timestamp) -> u64 {
    u64::try_from(now.as_second().saturating_sub(creation) / 60).unwrap_or(0)
}
