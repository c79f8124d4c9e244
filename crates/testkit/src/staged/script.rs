//! Scripts of plain commands, one machine a line.

use std::fmt;

use anyhow::{Context as _, Result, bail};

/// One of the two machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// `nas1`, whose datasets are copied.
    Source,
    /// `nas2`, which has the copies.
    Target,
}

impl Side {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Source, Self::Target];

    /// The machine's host name.
    pub const fn host(self) -> &'static str {
        match self {
            Self::Source => "nas1",
            Self::Target => "nas2",
        }
    }

    fn of_host(name: &str) -> Option<Self> {
        Self::BOTH.into_iter().find(|side| side.host() == name)
    }
}

impl fmt::Display for Side {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.host())
    }
}

/// One line of a script: `nas2# zfs destroy tank/copy/a@one`; with `!` before the command, it must be refused.
///
/// Besides `zfs` commands there are words for what takes several: `write DATASET` writes a megabyte into it, `create_encrypted DATASET`
/// makes a file system whose key is loaded, `release SNAPSHOT` takes every hold away, `destroy_bookmarks DATASET` destroys them all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Where.
    pub side: Side,
    /// The command as a shell reads it.
    pub command: String,
    /// It has to fail.
    pub refused: bool,
    /// The case it belongs to, for messages.
    pub case: &'static str,
}

impl fmt::Display for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let refused = if self.refused { "! " } else { "" };
        write!(formatter, "{}: {}# {refused}{}", self.case, self.side, self.command)
    }
}

fn line(case: &'static str, text: &str) -> Result<Line> {
    let Some((host, command)) = text.split_once('#') else {
        bail!("{case}: `{text}` does not say on which machine");
    };
    let side = Side::of_host(host).with_context(|| format!("{case}: `{text}` names no known machine"))?;
    let command = command.trim();
    let (refused, command) = match command.strip_prefix("! ") {
        Some(rest) => (true, rest),
        None => (false, command),
    };
    Ok(Line { side, command: command.to_owned(), refused, case })
}

/// The lines of a script, in batches that each run on one machine.
pub(super) fn batches(case: &'static str, script: &str) -> Result<Vec<Vec<Line>>> {
    let mut batches: Vec<Vec<Line>> = Vec::new();
    for text in script.lines().map(str::trim).filter(|text| !text.is_empty()) {
        let line = line(case, text)?;
        match batches.last_mut() {
            Some(batch) if batch.first().is_some_and(|first| first.side == line.side) => batch.push(line),
            _ => batches.push(vec![line]),
        }
    }
    Ok(batches)
}
