//! What the commands that only look print, column for column as `zfs -Hp` does.

use std::{collections::HashMap, fmt::Write as _};

use zfs_sync_core::{inventory::DatasetKind, name::DatasetName, name::SnapshotName, time::Timestamp};

use super::{
    receive,
    state::{Bookmark, Dataset, Extent, OVERHEAD, Refusal, Snapshot, State},
};
use crate::command::{Dependents, ListColumns, Scope};

/// The features that a stream may need.
const FEATURES: [&str; 9] = [
    "embedded_data",
    "encryption",
    "extensible_dataset",
    "large_blocks",
    "large_dnode",
    "longname",
    "lz4_compress",
    "redacted_datasets",
    "zstd_compress",
];

const fn on_off(value: bool) -> &'static str {
    if value { "on" } else { "off" }
}

fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// One property of a dataset: its value, and where that comes from.
struct Property {
    value: String,
    source: String,
}

impl State {
    fn in_scope(&self, scope: &Scope) -> Result<Vec<(&DatasetName, &Dataset)>, Refusal> {
        match scope {
            Scope::Everything => {
                Ok(self.datasets.iter().filter(|(name, _)| !self.is_suspended(name)).collect())
            }
            Scope::Tree(root) => {
                self.dataset(root)?;
                Ok(self.datasets.iter().filter(|(name, _)| name.is_within(root)).collect())
            }
            Scope::Only(name) => {
                self.dataset(name)?;
                Ok(self.datasets.get_key_value(name).into_iter().collect())
            }
            Scope::These(names) => {
                let missing = names.iter().filter_map(|name| self.dataset(name).err());
                match missing.reduce(|first, next| Refusal { stderr: first.stderr + &next.stderr, ..first }) {
                    // `zfs` prints what it found all the same; nobody sees that of a command that failed.
                    Some(missing) => Err(missing),
                    None => Ok(self.datasets.iter().filter(|(name, _)| names.contains(name)).collect()),
                }
            }
        }
    }

    /// `used` of every dataset: its own and that of all below it.
    fn used(&self) -> HashMap<&DatasetName, u64> {
        let mut used: HashMap<&DatasetName, u64> = HashMap::with_capacity(self.datasets.len());
        for (name, dataset) in &self.datasets {
            *used.entry(name).or_default() += dataset.space();
            let mut ancestor = name.parent();
            while let Some(parent) = ancestor {
                if let Some((key, _)) = self.datasets.get_key_value(&parent) {
                    *used.entry(key).or_default() += dataset.space();
                }
                ancestor = parent.parent();
            }
        }
        used
    }

    fn property(&self, name: &DatasetName, dataset: &Dataset, used: u64, property: &str) -> Option<Property> {
        let own = |value: String| Some(Property { value, source: "-".to_owned() });
        let set = |value: &str, default: &str| {
            let source = if value == default { "default" } else { "local" };
            Some(Property { value: value.to_owned(), source: source.to_owned() })
        };
        if let Some(found) = self.set_or_inherited(name, dataset, property) {
            return Some(found);
        }
        let is_volume = dataset.kind == DatasetKind::Volume;
        match property {
            "name" => own(name.to_string()),
            "guid" => own(dataset.guid.to_string()),
            "type" => own(if is_volume { "volume" } else { "filesystem" }.to_owned()),
            "createtxg" => own(dataset.createtxg.to_string()),
            "creation" => own(dataset.creation.to_string()),
            "written" => own(dataset.written().to_string()),
            "used" => own(used.to_string()),
            "referenced" => own(dataset.referenced().to_string()),
            "available" => own(self.available(name.pool()).to_string()),
            "readonly" => set(on_off(dataset.readonly), "off"),
            "mounted" | "canmount" | "mountpoint" | "longname" if is_volume => own("-".to_owned()),
            "mounted" => own(if dataset.mounted { "yes" } else { "no" }.to_owned()),
            "canmount" => set(dataset.canmount, "on"),
            "mountpoint" => Some(Property { value: format!("/{name}"), source: "default".to_owned() }),
            "encryption" if dataset.encrypted => own("aes-256-gcm".to_owned()),
            "encryptionroot" => own(or_dash(self.encryption_root(name, dataset))),
            "keystatus" if !dataset.encrypted => own("-".to_owned()),
            "keystatus" => own(if dataset.key_loaded { "available" } else { "unavailable" }.to_owned()),
            "sharenfs" | "sharesmb" | "quota" | "refquota" | "recordsize" | "dnodesize" | "acltype"
            | "xattr"
                if is_volume =>
            {
                own("-".to_owned())
            }
            "volblocksize" if !is_volume => own("-".to_owned()),
            "volblocksize" => set("16384", "16384"),
            "xattr" => set("sa", "sa"),
            "acltype" | "encryption" | "sharenfs" | "sharesmb" => set("off", "off"),
            "quota" | "refquota" | "reservation" | "refreservation" => set("0", "0"),
            "recordsize" => set("131072", "131072"),
            "dnodesize" => set("legacy", "legacy"),
            "longname" if self.knows_long_names() => set("off", "off"),
            "compression" => set("on", "on"),
            "origin" => own(or_dash(dataset.origin.and_then(|origin| self.origin_name(&origin)))),
            "receive_resume_token" => own(or_dash(dataset.partial.as_ref().map(receive::token))),
            "snapshots_changed" if self.knows_snapshots_changed() => own(or_dash(dataset.snapshots_changed)),
            since if since.starts_with("written@") => {
                let label = since.trim_start_matches("written@").parse().ok()?;
                let written = dataset.snapshot(&label).map(|snapshot| dataset.written_since(snapshot));
                let source = if written.is_some() { "local" } else { "-" };
                Some(Property { value: or_dash(written), source: source.to_owned() })
            }
            user if user.contains(':') => own("-".to_owned()),
            _ => None,
        }
    }

    /// What was set on the dataset itself, or for a property that goes down the tree, on the nearest dataset above.
    fn set_or_inherited(&self, name: &DatasetName, dataset: &Dataset, property: &str) -> Option<Property> {
        if let Some(value) = dataset.local.get(property) {
            return Some(Property { value: value.clone(), source: "local".to_owned() });
        }
        if ["quota", "refquota", "reservation", "refreservation"].contains(&property) {
            return None;
        }
        let mut above = name.parent();
        while let Some(parent) = above {
            if let Some(value) = self.datasets.get(&parent).and_then(|found| found.local.get(property)) {
                return Some(Property { value: value.clone(), source: format!("inherited from {parent}") });
            }
            above = parent.parent();
        }
        None
    }

    /// Whose key a dataset is encrypted with: its own, that of the dataset it is a clone of, or that of what lies above.
    fn encryption_root(&self, name: &DatasetName, dataset: &Dataset) -> Option<DatasetName> {
        if !dataset.encrypted {
            return None;
        }
        if let Some((origin, found)) = dataset.origin.and_then(|origin| self.by_dataset_guid(origin.dataset))
        {
            return self.encryption_root(origin, found);
        }
        if dataset.own_key {
            return Some(name.clone());
        }
        let parent = name.parent()?;
        self.encryption_root(&parent, self.datasets.get(&parent)?)
    }

    /// One value alone, or where it comes from.
    pub(super) fn get_value(
        &self,
        name: &DatasetName,
        property: &str,
        source: bool,
    ) -> Result<String, Refusal> {
        let dataset = self.dataset(name)?;
        let found = self.property(name, dataset, 0, property).ok_or_else(|| bad_property(property))?;
        Ok(format!("{}\n", if source { found.source } else { found.value }))
    }

    pub(super) fn pool_features(&self, pool: &str) -> Result<String, Refusal> {
        let Some(found) = self.pools.get(pool) else {
            return Err(Refusal::new(format!("cannot open '{pool}': no such pool")));
        };
        let line = |feature: &&str| {
            let state = if found.disabled.contains(*feature) { "disabled" } else { "enabled" };
            format!("{pool}\tfeature@{feature}\t{state}\tlocal\n")
        };
        Ok(FEATURES.iter().map(line).collect())
    }

    /// The property came with OpenZFS 2.3.
    fn knows_long_names(&self) -> bool {
        self.knows_snapshots_changed() && !self.version.starts_with("2.2")
    }

    /// The property came with OpenZFS 2.2.
    fn knows_snapshots_changed(&self) -> bool {
        !["0.", "2.0", "2.1"].iter().any(|old| self.version.starts_with(old))
    }

    pub(super) fn list_datasets(&self, scope: &Scope, columns: ListColumns) -> Result<String, Refusal> {
        let used = self.used();
        let mut text = String::new();
        for (name, dataset) in self.in_scope(scope)? {
            let used = used.get(name).copied().unwrap_or_default();
            let values =
                columns.names().iter().map(|column| match self.property(name, dataset, used, column) {
                    Some(property) => Ok(property.value),
                    None => Err(bad_property(column)),
                });
            text += &values.collect::<Result<Vec<_>, _>>()?.join("\t");
            text.push('\n');
        }
        Ok(text)
    }

    pub(super) fn list_history(&self, scope: &Scope) -> Result<String, Refusal> {
        let mut lines = Vec::new();
        for (name, dataset) in self.in_scope(scope)? {
            // Later snapshots refer to more writes: one pass over the writes serves all of them.
            let (mut counted, mut referenced) = (0, OVERHEAD);
            for Snapshot { guid, createtxg, creation, label, extents, holds, .. } in &dataset.snapshots {
                referenced += dataset.log[counted..*extents].iter().map(Extent::growth).sum::<u64>();
                counted = *extents;
                let holds = holds.len();
                lines.push(format!(
                    "{name}@{label}\t{guid}\t{createtxg}\t{creation}\t0\t{referenced}\t{holds}\n"
                ));
            }
            for Bookmark { guid, createtxg, creation, label, referenced, .. } in &dataset.bookmarks {
                lines.push(format!("{name}#{label}\t{guid}\t{createtxg}\t{creation}\t-\t{referenced}\t-\n"));
            }
        }
        Ok(lines.concat())
    }

    pub(super) fn list_dependents(&self, of: &Dependents) -> Result<String, Refusal> {
        let (name, only) = match of {
            Dependents::Dataset(name) => (name, None),
            Dependents::Snapshot(snapshot) => {
                self.snapshot(snapshot)?;
                (snapshot.dataset(), Some(snapshot.label()))
            }
        };
        let dataset = self.dataset(name)?;
        let asked =
            dataset.snapshots.iter().filter(|snapshot| only.is_none_or(|only| snapshot.label == *only));
        let line = |snapshot: &Snapshot| {
            let Snapshot { guid, label, holds, .. } = snapshot;
            let clones = self.dependents_of(name, dataset, snapshot).join(",");
            let clones = if clones.is_empty() { "-" } else { &clones };
            format!("{name}@{label}\t{guid}\t{}\t{clones}\n", holds.len())
        };
        Ok(asked.map(line).collect())
    }

    pub(super) fn get(&self, name: &DatasetName, properties: &[String]) -> Result<String, Refusal> {
        let dataset = self.dataset(name)?;
        let used = self.used().get(name).copied().unwrap_or_default();
        let lines = properties.iter().map(|property| {
            let found = self.property(name, dataset, used, property).ok_or_else(|| bad_property(property))?;
            Ok(format!("{property}\t{}\t{}\n", found.value, found.source))
        });
        lines.collect()
    }

    pub(super) fn get_of_snapshot(
        &self,
        name: &SnapshotName,
        properties: &[String],
    ) -> Result<String, Refusal> {
        let (dataset, snapshot) = self.snapshot(name)?;
        let lines = properties.iter().map(|property| {
            let value = match property.as_str() {
                "type" => "snapshot".to_owned(),
                "guid" => snapshot.guid.to_string(),
                "createtxg" => snapshot.createtxg.to_string(),
                "creation" => snapshot.creation.to_string(),
                "encryption" => if dataset.encrypted { "aes-256-gcm" } else { "off" }.to_owned(),
                // A volume here is as large as what was written to it.
                "volsize" if dataset.kind == DatasetKind::Volume => {
                    dataset.bytes_of(snapshot.extents).to_string()
                }
                "casesensitivity" if dataset.kind == DatasetKind::Filesystem => "sensitive".to_owned(),
                "normalization" if dataset.kind == DatasetKind::Filesystem => "none".to_owned(),
                "utf8only" if dataset.kind == DatasetKind::Filesystem => "off".to_owned(),
                "volsize" | "casesensitivity" | "normalization" | "utf8only" => "-".to_owned(),
                _ => return Err(bad_property(property)),
            };
            Ok(format!("{property}\t{value}\t-\n"))
        });
        lines.collect()
    }

    pub(super) fn pool_status(&self) -> String {
        if self.pools.is_empty() {
            return "no pools available\n".to_owned();
        }
        let pool = |(name, pool): (&String, &super::state::Pool)| {
            let state = if pool.suspended { "SUSPENDED" } else { "ONLINE" };
            format!(
                "  pool: {name}\n state: {state}\nconfig:\n\n\tNAME        STATE     READ WRITE CKSUM\n\t{name}        {state}     0     0     0\n\nerrors: No known data errors\n"
            )
        };
        self.pools.iter().map(pool).collect::<Vec<_>>().join("\n")
    }

    pub(super) fn holds(&self, name: &SnapshotName) -> Result<String, Refusal> {
        self.holds_of(std::slice::from_ref(name), false)
    }

    /// Where a snapshot is missing, `zfs` prints the others and fails; nobody hears here what a failed command printed.
    pub(super) fn holds_of(&self, names: &[SnapshotName], exact: bool) -> Result<String, Refusal> {
        if exact && !self.knows_snapshots_changed() {
            return Err(Refusal { stderr: "invalid option 'p'\n".to_owned(), code: 2 });
        }
        let mut text = String::new();
        for name in names {
            let (_, snapshot) = self.snapshot(name).map_err(|mut missing| {
                missing.stderr += "no datasets available\n";
                missing
            })?;
            for (tag, since) in &snapshot.holds {
                let time = Timestamp::from_second(*since).unwrap_or_default();
                let since =
                    if exact { since.to_string() } else { time.strftime("%a %b %e %H:%M %Y").to_string() };
                let _ = writeln!(text, "{name}\t{tag}\t{since}");
            }
        }
        Ok(text)
    }

    /// Of what this ZFS knows, only `readonly` and `canmount` are ever set.
    pub(super) fn list_set(&self, names: &[DatasetName]) -> Result<String, Refusal> {
        if let Some(missing) = names.iter().find_map(|name| self.dataset(name).err()) {
            return Err(missing);
        }
        let asked = self.datasets.iter().filter(|(name, _)| names.is_empty() || names.contains(name));
        let mut text = String::new();
        for (name, dataset) in asked {
            for property in ["readonly", "canmount"] {
                let found = self.property(name, dataset, 0, property);
                if let Some(Property { value, .. }) = found.filter(|property| property.source == "local") {
                    let _ = writeln!(text, "{name}\t{property}\t{value}");
                }
            }
        }
        Ok(text)
    }

    pub(super) fn version_text(&self) -> String {
        format!("zfs-{0}\nzfs-kmod-{0}\n", self.version)
    }

    pub(super) fn list_pools(&self) -> String {
        let line = |(name, pool): (&String, &super::state::Pool)| {
            let allocated = self.allocated(name);
            let free = pool.capacity.saturating_sub(allocated);
            let health = if pool.suspended { "SUSPENDED" } else { "ONLINE" };
            format!("{name}\t{}\t{}\t{allocated}\t{free}\t{health}\n", pool.guid, pool.capacity)
        };
        self.pools.iter().map(line).collect()
    }
}

fn bad_property(property: &str) -> Refusal {
    Refusal { stderr: format!("bad property list: invalid property '{property}'\n"), code: 2 }
}
