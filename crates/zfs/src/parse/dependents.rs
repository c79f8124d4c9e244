//! `zfs list -t snapshot -o name,guid,userrefs,clones`.

use zfs_sync_core::{guid::Guid, name::SnapshotName};

use super::{Fields, ParseError, name};
use crate::command::argv::DEPENDENTS_COLUMNS;

/// One snapshot and what stands in the way of destroying it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotDependents {
    /// Its present name.
    pub snapshot: SnapshotName,
    /// Identity.
    pub guid: Guid,
    /// Number of holds (`userrefs`).
    pub holds: u32,
    /// Datasets that were cloned from it, as `zfs` prints them. A `%recv` of an interrupted receive is none.
    pub clones: Vec<String>,
}

/// Reads snapshots with their holds and clones, in the order they were printed.
pub fn dependents(text: &str) -> Result<Vec<SnapshotDependents>, ParseError> {
    let mut found = Vec::new();
    for fields in Fields::lines(text, &DEPENDENTS_COLUMNS) {
        let fields = fields?;
        let Some(snapshot) = name::<SnapshotName>(fields.get("name")) else { continue };
        // The receive itself is told by the dataset's `receive_resume_token`.
        let clones = fields.optional("clones").into_iter().flat_map(|clones| clones.split(','));
        let clones = clones.filter(|clone| !clone.ends_with("/%recv")).map(str::to_owned).collect();
        // Not [`Fields::size`]: a number that is missing here would read as "nobody holds it".
        let (guid, holds) = (Guid::new(fields.number("guid")?), fields.number("userrefs")?);
        found.push(SnapshotDependents { snapshot, guid, holds, clones });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_and_clones_are_read() {
        let text = "tank/a@one\t11\t0\t-\ntank/a@two\t22\t3\ttank/x,tank/y z\ntank/a@three\t33\t0\t\n";
        let found = dependents(text).unwrap();
        let seen: Vec<_> =
            found.iter().map(|one| (one.guid.get(), one.holds, one.clones.join("|"))).collect();
        assert_eq!(seen, [(11, 0, String::new()), (22, 3, "tank/x|tank/y z".into()), (33, 0, String::new())]);
    }

    #[test]
    fn an_interrupted_receive_is_no_clone() {
        let found = dependents("tank/a@one\t11\t0\ttank/a/%recv,tank/x\n").unwrap();
        assert_eq!(found[0].clones, ["tank/x"]);
    }

    #[test]
    fn a_count_that_is_missing_is_an_error() {
        assert!(dependents("tank/a@one\t11\t-\t-\n").is_err());
        assert!(dependents("tank/a@one\t11\t0\n").is_err());
    }
}
