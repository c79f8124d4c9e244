//! docs/FAILURES.md: the failure cases of an operator's life, and what was seen when each was staged on real OpenZFS.
//!
//! Tests write it. Each says what it saw in words that are the same every time (codes, states, what became of GUIDs; no times, no
//! counts of bytes) and calls [`compare`], which fails when the committed table says otherwise. With `ZFS_SYNC_UPDATE_FAILURES` set
//! the table is written instead, and the difference is for a person to read and to commit.

mod table;

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, Result, ensure};

use table::Table;
pub use table::{Row, Suite};

/// Which rows of a suite are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// The rows are all that the suite has: a row of a case that is gone counts as a difference.
    Whole,
    /// Only the cases that the rows name.
    Named,
}

/// Set, it lets the tests write docs/FAILURES.md instead of comparing with it.
const UPDATE: &str = "ZFS_SYNC_UPDATE_FAILURES";

/// Compares what was seen with the committed table, or writes it there.
///
/// # Errors
/// With the rows that differ, as they are and as they were committed.
pub fn compare(suite: Suite, rows: &[Row], extent: Extent) -> Result<()> {
    compare_in(&document(), suite, rows, extent, std::env::var_os(UPDATE).is_some())
}

/// `2.3` of `zfs-2.3.9-1`: point releases do not matter here.
pub fn short_version(version: &str) -> String {
    version.trim_start_matches("zfs-").splitn(3, '.').take(2).collect::<Vec<_>>().join(".")
}

fn document() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/FAILURES.md")
}

fn compare_in(document: &Path, suite: Suite, rows: &[Row], extent: Extent, update: bool) -> Result<()> {
    // Tests of one binary share the file.
    static FILE: Mutex<()> = Mutex::new(());
    let _file = FILE.lock().unwrap_or_else(PoisonError::into_inner);
    ensure!(rows.iter().all(|row| row.suite == suite), "a row of another suite");
    let text = if document.exists() {
        std::fs::read_to_string(document).with_context(|| format!("read {}", document.display()))?
    } else {
        String::new()
    };
    let committed = Table::parse(&text).with_context(|| document.display().to_string())?;
    let seen = committed.with(suite, rows, extent);
    if update {
        return std::fs::write(document, seen.render())
            .with_context(|| format!("write {}", document.display()));
    }
    let differences = committed.differences(&seen);
    ensure!(
        differences.is_empty(),
        "docs/FAILURES.md says otherwise; read the difference, then run this again with {UPDATE}=1 and commit it:\n{}",
        differences.join("\n")
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(number: &str, title: &str, seen: &str) -> Row {
        Row {
            number: number.to_owned(),
            title: title.to_owned(),
            expected: "in step".to_owned(),
            seen: seen.to_owned(),
            versions: "2.3 → 2.3".to_owned(),
            suite: Suite::Transfers,
        }
    }

    #[test]
    fn the_committed_table_is_as_tests_write_it() {
        let text = std::fs::read_to_string(document()).unwrap();
        let table = Table::parse(&text).unwrap();
        assert_eq!(table.render(), text, "docs/FAILURES.md is generated; nobody edits it by hand");
        assert!(table.len() >= 40, "{} rows", table.len());
    }

    #[test]
    fn what_was_seen_otherwise_is_told_with_both_rows() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("FAILURES.md");
        let compare = |rows: &[Row], update| compare_in(&file, Suite::Transfers, rows, Extent::Whole, update);
        let rows = [row("F50", "the pool | is full", "E_RECV_NO_SPACE"), row("F05", "a bookmark", "in_sync")];
        compare(&rows, true).unwrap();
        compare(&rows, false).unwrap();
        let other = [rows[1].clone(), row("F50", "the pool | is full", "in_sync")];
        let text = compare(&other, false).unwrap_err().to_string();
        assert!(text.contains("- | F50") && text.contains("+ | F50") && !text.contains("F05"), "{text}");
    }

    #[test]
    fn a_case_that_is_gone_is_told_only_where_all_were_played() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("FAILURES.md");
        let rows = [row("F50", "a", "x"), row("F05", "b", "x")];
        compare_in(&file, Suite::Transfers, &rows, Extent::Whole, true).unwrap();
        compare_in(&file, Suite::Transfers, &rows[..1], Extent::Named, false).unwrap();
        compare_in(&file, Suite::Transfers, &rows[..1], Extent::Whole, false).unwrap_err();
        compare_in(&file, Suite::Fleet, &[], Extent::Whole, false).unwrap();
        compare_in(&file, Suite::Transfers, &rows[..1], Extent::Whole, true).unwrap();
        assert_eq!(Table::parse(&std::fs::read_to_string(&file).unwrap()).unwrap().len(), 1);
    }
}
