//! `zfs get -Hp -o name,property,value`, for implementations whose `zfs list` rounds every number, identities too.

use std::collections::HashMap;

use zfs_sync_core::{
    guid::{Guid, Txg},
    inventory::{DatasetKind, DatasetProperties, Snapshot},
    name::{DatasetName, SnapshotName},
};

use super::{DatasetRow, Fields, History, ParseError, name};
use crate::command::argv::TREE_COLUMNS;

/// One dataset or snapshot: the line on which it begins, and its properties.
struct Entry<'a> {
    line: usize,
    name: &'a str,
    values: HashMap<&'a str, &'a str>,
}

impl<'a> Entry<'a> {
    /// All of them, in the order printed: lines of one follow each other.
    fn all(text: &'a str) -> Result<Vec<Self>, ParseError> {
        let mut entries: Vec<Self> = Vec::new();
        for fields in Fields::lines(text, &TREE_COLUMNS) {
            let fields = fields?;
            let [name, property, value] = fields.values[..] else { continue };
            if let Some(entry) = entries.last_mut().filter(|entry| entry.name == name) {
                entry.values.insert(property, value);
            } else {
                let values = HashMap::from([(property, value)]);
                entries.push(Self { line: fields.line, name, values });
            }
        }
        Ok(entries)
    }

    fn text(&self, property: &str) -> Option<&'a str> {
        self.values.get(property).copied().filter(|value| !value.is_empty() && *value != "-")
    }

    fn number<T: std::str::FromStr>(&self, property: &str) -> Result<T, ParseError> {
        let value = self.values.get(property).copied().unwrap_or("-");
        value.parse().map_err(|_| self.error(&format!("`{property}` is `{value}`, not a number")))
    }

    /// Zero where there is none.
    fn size<T: std::str::FromStr + Default>(&self, property: &str) -> Result<T, ParseError> {
        if self.text(property).is_some() { self.number(property) } else { Ok(T::default()) }
    }

    fn error(&self, what: &str) -> ParseError {
        ParseError { line: self.line, what: format!("of `{}`, {what}", self.name) }
    }
}

/// The file systems and volumes. Nobody knows how much was written to them since their newest snapshot: the receiving ZFS refuses what
/// does not fit, and here it counts as nothing.
pub fn tree_datasets(text: &str) -> Result<Vec<DatasetRow>, ParseError> {
    let mut rows = Vec::new();
    for entry in Entry::all(text)? {
        let kind = match entry.text("type") {
            Some("filesystem") => DatasetKind::Filesystem,
            Some("volume") => DatasetKind::Volume,
            Some("snapshot") => continue,
            other => return Err(entry.error(&format!("`type` is `{}`", other.unwrap_or("-")))),
        };
        let Some(name) = name::<DatasetName>(entry.name) else { continue };
        let properties = DatasetProperties {
            guid: Guid::new(entry.number("guid")?),
            kind,
            createtxg: Txg::new(entry.number("createtxg")?),
            written: 0,
            used: entry.size("used")?,
            referenced: entry.size("referenced")?,
            available: entry.size("available")?,
            readonly: entry.text("readonly") == Some("on"),
            mounted: entry.text("mounted") == Some("yes"),
            encrypted: false,
            origin: entry.text("origin").map(str::to_owned),
            partial: None,
        };
        rows.push(DatasetRow { name, properties, snapshots_changed: None, resume_token: None });
    }
    Ok(rows)
}

/// The snapshots of each dataset that has any, oldest first.
pub fn tree_history(text: &str) -> Result<History, ParseError> {
    let mut history = History::new();
    for entry in Entry::all(text)?.into_iter().filter(|entry| entry.text("type") == Some("snapshot")) {
        let Some(snapshot) = name::<SnapshotName>(entry.name) else { continue };
        let found = Snapshot {
            guid: Guid::new(entry.number("guid")?),
            createtxg: Txg::new(entry.number("createtxg")?),
            label: snapshot.label().clone(),
            creation: entry.number("creation")?,
            used: entry.size("used")?,
            referenced: entry.size("referenced")?,
            holds: entry.size("userrefs")?,
        };
        history.entry(snapshot.dataset().clone()).or_default().0.push(found);
    }
    for (snapshots, _) in history.values_mut() {
        snapshots.sort_by_key(|snapshot| (snapshot.createtxg, snapshot.guid));
    }
    Ok(history)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FUSE: &str = include_str!("../../tests/golden/zfs-fuse/get-tree.stdout");

    #[test]
    fn what_zfs_fuse_prints_has_exact_identities() {
        let rows = tree_datasets(FUSE).unwrap();
        let names: Vec<_> = rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["tank", "tank/a", "tank/a/b c"]);
        assert_eq!(rows[1].properties.createtxg, Txg::new(7));
        assert!(rows[1].properties.guid.get() > 1 << 50, "no rounded number");
        assert!(!rows[1].properties.readonly && rows[1].properties.mounted);
        assert_eq!(rows[1].resume_token, None);
    }

    #[test]
    fn its_snapshots_have_their_holds() {
        let history = tree_history(FUSE).unwrap();
        let (snapshots, bookmarks) = &history[&"tank/a".parse().unwrap()];
        assert_eq!(snapshots.len(), 1);
        assert_eq!((snapshots[0].label.as_str(), snapshots[0].holds), ("one", 1));
        assert!(bookmarks.is_empty());
        assert_eq!(history[&"tank/a/b c".parse().unwrap()].0[0].label.as_str(), "with space");
    }

    #[test]
    fn a_rounded_or_missing_number_is_an_error() {
        for guid in ["12.5E", "-", ""] {
            let text = format!("tank\ttype\tfilesystem\ntank\tguid\t{guid}\ntank\tcreatetxg\t1\n");
            let error = tree_datasets(&text).unwrap_err();
            assert!(error.what.contains("`guid` is"), "{error}");
        }
        assert!(tree_datasets("tank\tguid\t1\n").unwrap_err().what.contains("`type` is `-`"));
        assert!(tree_history("tank@a\ttype\n").is_err());
    }
}
