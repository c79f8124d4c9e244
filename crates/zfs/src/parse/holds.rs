//! `zfs holds -H`.

use zfs_sync_core::name::SnapshotName;

use super::{Fields, ParseError, name};

/// One hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// What is held.
    pub snapshot: SnapshotName,
    /// By whom.
    pub tag: String,
    /// Since when, as printed: seconds since 1970 after `-p`, otherwise a date in that host's time zone.
    pub since: String,
}

/// Reads holds.
pub fn holds(text: &str) -> Result<Vec<Hold>, ParseError> {
    let mut holds = Vec::new();
    for fields in Fields::lines(text, &["name", "tag", "timestamp"]) {
        let fields = fields?;
        if let Some(snapshot) = name(fields.get("name")) {
            let [tag, since] = ["tag", "timestamp"].map(|name| fields.get(name).to_owned());
            holds.push(Hold { snapshot, tag, since });
        }
    }
    Ok(holds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_a_hold() {
        let text = "tank/a@one\tzfs-sync:base:1f:aa\tFri Nov 20 12:57 2026\ntank/a@one\tkeep me\tFri Nov 20 12:58 2026\n";
        let tags: Vec<_> = holds(text).unwrap().into_iter().map(|hold| hold.tag).collect();
        assert_eq!(tags, ["zfs-sync:base:1f:aa", "keep me"]);
        assert_eq!(holds(""), Ok(vec![]));
    }

    #[test]
    fn a_missing_column_is_an_error() {
        assert!(holds("tank/a@one\ttag\n").is_err());
    }
}
