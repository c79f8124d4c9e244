//! What commands print, as values. Pure functions over text; none of them panics, whatever they are given.
//!
//! Always `-H` (tabs, no headings) and `-p` (exact numbers). What our name types refuse, such as the `%recv` of an interrupted
//! receive, is left out and logged: it must never stop an inventory. A line that lacks its columns does stop it, because then nothing
//! on it can be trusted.

mod allowed;
mod datasets;
mod dependents;
mod estimate;
mod features;
mod get;
mod history;
mod holds;
mod nvlist;
mod pools;
pub mod resume_token;
mod set;
mod status;
mod tree;
mod usage;
mod version;

pub use allowed::{Allowed, Who, allowed};
pub use datasets::{DatasetRow, datasets};
pub use dependents::{SnapshotDependents, dependents};
pub use estimate::estimate;
pub use features::{FeatureState, PoolFeatures, pool_features};
pub use get::{Property, properties};
pub use history::{History, history};
pub use holds::{Hold, holds};
pub use pools::{Pool, pools};
pub use set::{SetProperty, set_properties};
pub use status::{PoolStatus, pool_statuses};
pub use tree::{tree_datasets, tree_history};
pub use usage::abilities;
pub use version::{Release, Versions, release, versions};

/// What is wrong with an output, and on which line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct ParseError {
    /// From 1; 0 for the output as a whole.
    pub line: usize,
    /// In words.
    pub what: String,
}

/// One line, split at its tabs, every column named.
struct Fields<'a> {
    line: usize,
    names: &'static [&'static str],
    values: Vec<&'a str>,
}

impl<'a> Fields<'a> {
    /// The lines of an output.
    fn lines(
        text: &'a str,
        names: &'static [&'static str],
    ) -> impl Iterator<Item = Result<Self, ParseError>> {
        text.lines().enumerate().filter(|(_, line)| !line.is_empty()).map(move |(index, line)| {
            let values: Vec<_> = line.split('\t').collect();
            let line = index + 1;
            if values.len() == names.len() {
                Ok(Self { line, names, values })
            } else {
                let what = format!("has {} columns instead of {}", values.len(), names.len());
                Err(ParseError { line, what })
            }
        })
    }

    /// A column by name; callers name only columns they asked for.
    fn get(&self, name: &str) -> &'a str {
        self.names.iter().position(|known| *known == name).map_or("-", |index| self.values[index])
    }

    /// `None` where ZFS prints `-`.
    fn optional(&self, name: &str) -> Option<&'a str> {
        let value = self.get(name);
        (value != "-" && !value.is_empty()).then_some(value)
    }

    /// A number that must be there.
    fn number<T: std::str::FromStr>(&self, name: &str) -> Result<T, ParseError> {
        let value = self.get(name);
        value.parse().map_err(|_| self.error(format!("`{name}` is `{value}`, not a number")))
    }

    /// A number for people: zero where there is none.
    fn size<T: std::str::FromStr + Default>(&self, name: &str) -> Result<T, ParseError> {
        if self.optional(name).is_some() { self.number(name) } else { Ok(T::default()) }
    }

    fn error(&self, what: String) -> ParseError {
        ParseError { line: self.line, what }
    }
}

/// Parses a name, or says in the log why it is left out.
fn name<T: std::str::FromStr<Err = zfs_sync_core::name::NameError>>(text: &str) -> Option<T> {
    text.parse()
        .inspect_err(
            |error| tracing::debug!(zfs.name = text, reason = %error, "left `{text}` out of the inventory"),
        )
        .ok()
}
