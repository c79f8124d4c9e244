//! The table of cases. Numbers are those of the field guide: F01 is a target that was written to, and so on.

use zfs_sync_core::group::Strategy;

mod clones;
mod history;
mod interrupted;
mod lineage;
mod names;
mod retention;

/// What is said of replicas, by target dataset.
pub(super) type Verdicts = &'static [(&'static str, &'static str)];

/// One case. Texts of verdicts are those of one line: state, reason, step and warnings.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Names its datasets and its group.
    pub name: &'static str,
    /// Numbers in the field guide.
    pub covers: &'static [&'static str],
    /// What happens, in words.
    pub title: &'static str,
    /// What is done before the group exists. `None` makes a file system `tank/NAME` with one megabyte and a snapshot `one`.
    pub before: Option<&'static str>,
    /// The copy is brought in step before the case is staged; otherwise the group begins with what `before` left.
    pub seeded: bool,
    /// The group renames a copy after its source.
    pub follow_renames: bool,
    /// What an operator does.
    pub stage: &'static str,
    /// What the planner says then, by target dataset. It says so of exactly these replicas.
    pub verdicts: &'static [(&'static str, &'static str)],
    /// What an operator does about it with plain commands.
    pub operator: &'static str,
    /// What a person decides about it, by target dataset, in this order.
    pub decisions: &'static [(&'static str, Decision)],
    /// What an operator does in the middle of the transfer that follows.
    pub during: &'static str,
    /// What the planner says in the end, of exactly these replicas.
    pub ends: &'static [(&'static str, &'static str)],
    /// A snapshot on `nas2` before the resolution, and how the name of the dataset that has it in the end begins.
    pub kept: &'static [(&'static str, &'static str)],
    /// Snapshots that the resolution destroys, as `HOST:DATASET@LABEL`. No other snapshot of either machine is lost.
    pub destroyed: &'static [&'static str],
    /// Snapshots of the source that its copy does not have in the end, as `DATASET@LABEL` on the source.
    pub gaps: &'static [&'static str],
    /// Clones on `nas2` in the end, and the snapshot that each begins with; `*` stands for anything.
    pub origins: &'static [(&'static str, &'static str)],
}

impl Case {
    /// Everything that most cases have in common.
    const PLAIN: Self = Self {
        name: "",
        covers: &[],
        title: "",
        before: None,
        seeded: true,
        follow_renames: false,
        stage: "",
        verdicts: &[],
        operator: "",
        decisions: &[],
        during: "",
        ends: &[],
        kept: &[],
        destroyed: &[],
        gaps: &[],
        origins: &[],
    };

    /// What is done before the group exists.
    pub(super) fn preparation(&self) -> String {
        let name = self.name;
        self.before.map_or_else(
            || format!("nas1# zfs create tank/{name}\nnas1# write tank/{name}\nnas1# zfs snapshot tank/{name}@one"),
            str::to_owned,
        )
    }
}

/// What a person decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A strategy is planned, and its plan applied.
    Apply(Strategy),
    /// A strategy can not be used: asking for its plan is answered with this code.
    Refused(Strategy, &'static str),
    /// The copy becomes the source of truth.
    Reverse,
}

/// The copy is set aside by rename and made anew.
const KEEP_BOTH: Decision = Decision::Apply(Strategy::KeepBoth);

/// What is said of a replica with which all is well.
const IN_SYNC: &str = "in_sync R_NO_NEW_SNAPSHOT";

const TABLES: [&[Case]; 6] =
    [history::CASES, lineage::CASES, clones::CASES, names::CASES, interrupted::CASES, retention::CASES];

/// How many there are.
pub fn count() -> usize {
    TABLES.iter().map(|table| table.len()).sum()
}

/// All cases in the order of their numbers; where the environment variable `ZFS_SYNC_STAGED` names some, separated by commas, only those.
pub fn chosen() -> Vec<Case> {
    let names = std::env::var("ZFS_SYNC_STAGED").unwrap_or_default();
    let wanted: Vec<&str> = names.split(',').filter(|name| !name.is_empty()).collect();
    let mut cases = TABLES.concat();
    cases.retain(|case| wanted.is_empty() || wanted.contains(&case.name));
    cases.sort_by_key(|case| case.covers);
    cases
}
