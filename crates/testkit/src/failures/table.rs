//! The table as text.

use std::{collections::BTreeSet, fmt::Write as _};

use anyhow::{Context as _, Result};

const PREFACE: &str = "\
# Failure cases on real OpenZFS

Cases from operators' lives, each staged by plain `zfs` commands on virtual machines with real OpenZFS, acted on by our binary, and looked at from
outside: by `zfs`, by GUIDs, by contents. Numbers are those of the field guide the cases were collected in. Tests write this page and fail when they
see something else; docs/TESTBED.md says how to run them. *Seen* quotes the states and codes that an operator is shown: `zfs-sync explain CODE`
says what a code means. Suites: **transfers** is `testbed_failures` (`zfs-sync replicate` between two hosts), **planning** is `testbed_staged` (witness and
agents, each verdict and its resolution), **fleet** is `testbed_fleet` (witness and agents, and `kill -9`).

";

const HEADER: &str =
    "| case | what happens | expected | seen | OpenZFS | suite |\n| --- | --- | --- | --- | --- | --- |\n";

/// Which tests staged a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Suite {
    /// `testbed_failures`.
    Transfers,
    /// `testbed_staged`.
    Planning,
    /// `testbed_fleet`.
    Fleet,
}

impl Suite {
    const ALL: [Self; 3] = [Self::Transfers, Self::Planning, Self::Fleet];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Transfers => "transfers",
            Self::Planning => "planning",
            Self::Fleet => "fleet",
        }
    }
}

/// One case and what was seen of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// In the field guide: `F50`; of several, the one it is about first.
    pub number: String,
    /// What happens, in words.
    pub title: String,
    /// What an operator would want to see.
    pub expected: String,
    /// What was seen, in words that are the same every time.
    pub seen: String,
    /// From which OpenZFS to which: `2.1 → 2.3`; several separated by commas.
    pub versions: String,
    /// Whose row it is.
    pub suite: Suite,
}

impl Row {
    /// A case has one row, or several where versions differ.
    fn case(&self) -> (&str, &str, Suite) {
        (&self.number, &self.title, self.suite)
    }

    fn sort_key(&self) -> (u32, &str, Suite, &str) {
        let digits: String = self.number.chars().filter(char::is_ascii_digit).take(3).collect();
        (digits.parse().unwrap_or(u32::MAX), &self.title, self.suite, &self.versions)
    }

    fn render(&self) -> String {
        let Self { number, title, expected, seen, versions, suite } = self;
        let cells = [number, title, expected, seen, versions, suite.as_str()];
        let cells: Vec<String> =
            cells.iter().map(|cell| cell.replace('|', "\\|").replace('\n', " ")).collect();
        format!("| {} |", cells.join(" | "))
    }

    fn parse(line: &str) -> Result<Self> {
        let line = line.strip_prefix("| ").and_then(|line| line.strip_suffix(" |")).context("no row")?;
        let cells: Vec<String> = line.split(" | ").map(|cell| cell.replace("\\|", "|")).collect();
        let [number, title, expected, seen, versions, suite]: [String; 6] =
            cells.try_into().map_err(|cells: Vec<String>| anyhow::anyhow!("{} cells", cells.len()))?;
        let suite = Suite::ALL.into_iter().find(|known| known.as_str() == suite).context("unknown suite")?;
        Ok(Self { number, title, expected, seen, versions, suite })
    }
}

/// All rows, in the order of their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table(Vec<Row>);

impl Table {
    /// Reads a page; an empty one has no rows.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let rows = if text.is_empty() { "" } else { text.split_once(HEADER).context("there is no table")?.1 };
        let rows = rows.lines().map(|line| Row::parse(line).with_context(|| format!("`{line}`")));
        Ok(Self(rows.collect::<Result<_>>()?))
    }

    /// The whole page.
    pub(super) fn render(&self) -> String {
        let cases: BTreeSet<_> = self.0.iter().map(Row::case).collect();
        let mut text = format!("{PREFACE}{} cases.\n\n{HEADER}", cases.len());
        for row in &self.0 {
            let _ = writeln!(text, "{}", row.render());
        }
        text
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The table as it should be by what a suite saw.
    pub(super) fn with(&self, suite: Suite, rows: &[Row], extent: super::Extent) -> Self {
        let named: BTreeSet<_> = rows.iter().map(Row::case).collect();
        let is_replaced = |row: &Row| match extent {
            super::Extent::Whole => row.suite == suite,
            super::Extent::Named => named.contains(&row.case()),
        };
        let kept = self.0.iter().filter(|row| !is_replaced(row));
        let mut all: Vec<Row> = kept.chain(rows).cloned().collect();
        all.sort_by(|a, b| a.sort_key().cmp(&b.sort_key()));
        Self(all)
    }

    /// Rows that only one of both has, as a patch shows them.
    pub(super) fn differences(&self, seen: &Self) -> Vec<String> {
        let gone = self.0.iter().filter(|row| !seen.0.contains(row)).map(|row| format!("- {}", row.render()));
        let new = seen.0.iter().filter(|row| !self.0.contains(row)).map(|row| format!("+ {}", row.render()));
        gone.chain(new).collect()
    }
}
