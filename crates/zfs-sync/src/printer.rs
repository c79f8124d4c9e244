//! Where all output goes: standard output is data, standard error is talk.
//!
//! A command describes its rows once ([`Row`]); the printer makes a table for people, JSON or CSV for programs from them.
//! Colour never carries meaning alone.

mod table;
pub(crate) mod words;

use std::io::{self, IsTerminal as _, Write as _};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use zfs_sync_api::v1::group::Note;

pub(crate) use self::table::Cell;
use crate::{
    cli::{Global, OutputFormat},
    failure::Failure,
};

/// One item of a listing. JSON is the item itself.
pub(crate) trait Row: Serialize {
    /// Headings of the table.
    const COLUMNS: &'static [&'static str];
    /// Headings of CSV.
    const FIELDS: &'static [&'static str];

    /// The table's cells.
    fn cells(&self, now: Timestamp) -> Vec<Cell>;

    /// The CSV fields: exact values, nothing for what is not known.
    fn fields(&self) -> Vec<String>;
}

/// What a listing has beside its rows.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    /// Doubts.
    pub(crate) warnings: Vec<Note>,
    /// What to say when there is no row.
    pub(crate) when_empty: &'static str,
}

/// Prints.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printer {
    format: OutputFormat,
    quiet: bool,
    verbose: bool,
    color_out: bool,
    color_talk: bool,
    width: Option<u16>,
}

impl Printer {
    pub(crate) fn new(global: &Global) -> Self {
        let unwanted = global.no_color
            || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        let (out, talk) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        let width =
            out.then(|| rustix::termios::tcgetwinsize(io::stdout()).ok()).flatten().map(|size| size.ws_col);
        Self {
            format: global.output,
            quiet: global.quiet,
            verbose: global.verbose > 0,
            color_out: out && !unwanted,
            color_talk: talk && !unwanted,
            width: width.filter(|columns| *columns >= 20),
        }
    }

    pub(crate) const fn format(&self) -> OutputFormat {
        self.format
    }

    /// True when the log may have colour.
    pub(crate) const fn colors_talk(&self) -> bool {
        self.color_talk
    }

    /// True when a table is wanted.
    pub(crate) fn is_table(&self) -> bool {
        self.format == OutputFormat::Table
    }

    /// Tells the person at the terminal something, unless told to be quiet.
    pub(crate) fn say(&self, text: impl AsRef<str>) {
        if !self.quiet {
            talk(text.as_ref());
        }
    }

    /// Tells the person at the terminal what must not be missed, however quiet it is to be.
    #[expect(
        clippy::unused_self,
        reason = "who prints needs a printer, so that nothing else is ever printed"
    )]
    pub(crate) fn warn(&self, text: &str) {
        talk(text);
    }

    /// Tells more, when asked to.
    pub(crate) fn say_more(&self, text: impl AsRef<str>) {
        if self.verbose {
            talk(text.as_ref());
        }
    }

    /// Says that something went wrong, however quiet it is to be.
    pub(crate) fn fail(&self, failure: &Failure) {
        if self.format == OutputFormat::Json {
            talk(&failure.to_json());
            return;
        }
        let bold =
            |text: &str| if self.color_talk { format!("\x1b[1;31m{text}\x1b[0m") } else { text.to_owned() };
        talk(failure.to_text(bold).trim_end());
    }

    /// Text that is the answer as it is: a page, a token.
    #[expect(
        clippy::unused_self,
        reason = "who prints needs a printer, so that nothing else is ever printed"
    )]
    pub(crate) fn text(&self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        let written = out
            .write_all(text.as_bytes())
            .and_then(|()| if text.ends_with('\n') { Ok(()) } else { out.write_all(b"\n") });
        match written.and_then(|()| out.flush()) {
            // Whoever read the answer has had enough of it.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => Ok(other?),
        }
    }

    /// One object, for programs.
    pub(crate) fn item(
        &self,
        command: &str,
        item: &impl Serialize,
        warnings: &[Note],
        as_of: Timestamp,
    ) -> Result<(), Failure> {
        self.text(&serde_json::to_string_pretty(&json!({
            "schema": format!("zfs-sync/v1/{command}"), "as_of": as_of, "item": item, "warnings": warnings,
        }))?)
    }

    /// A listing, in the form that was asked for.
    pub(crate) fn rows<R: Row>(
        &self,
        command: &str,
        rows: &[R],
        beside: &Beside,
        now: Timestamp,
    ) -> Result<(), Failure> {
        match self.format {
            OutputFormat::Json => self.text(&serde_json::to_string_pretty(&json!({
                "schema": format!("zfs-sync/v1/{command}"), "as_of": now, "items": rows, "warnings": beside.warnings,
            }))?),
            OutputFormat::Csv => self.text(&csv_text(R::FIELDS, rows.iter().map(Row::fields))?),
            OutputFormat::Table => {
                for Note { code, detail } in &beside.warnings {
                    self.say(format!("warning[{code}]: {detail}"));
                }
                if rows.is_empty() {
                    self.say(beside.when_empty);
                    return Ok(());
                }
                self.text(&self.table(R::COLUMNS, rows.iter().map(|row| row.cells(now))))
            }
        }
    }

    /// A table for people.
    pub(crate) fn table(&self, columns: &[&str], rows: impl Iterator<Item = Vec<Cell>>) -> String {
        table::render(columns, rows, self.width, self.color_out)
    }

    /// Names with values, one a line: the answer of `show` commands, for people.
    pub(crate) fn pairs(&self, pairs: &[(&str, String)]) -> Result<(), Failure> {
        let width = pairs.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
        let mut text = String::new();
        for (name, value) in pairs {
            text.push_str(format!("{name:<width$}  {}", words::printable(value)).trim_end());
            text.push('\n');
        }
        self.text(&text)
    }

    /// One object in every form: names with values for people, one line of CSV, JSON.
    pub(crate) fn one<R: Row>(
        &self,
        command: &str,
        row: &R,
        pairs: &[(&str, String)],
        now: Timestamp,
    ) -> Result<(), Failure> {
        match self.format {
            OutputFormat::Json => self.item(command, row, &[], now),
            OutputFormat::Csv => self.rows(command, std::slice::from_ref(row), &Beside::default(), now),
            OutputFormat::Table => self.pairs(pairs),
        }
    }
}

fn talk(text: &str) {
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

fn csv_text(header: &[&str], records: impl Iterator<Item = Vec<String>>) -> Result<String, Failure> {
    let mut writer =
        csv::WriterBuilder::new().terminator(csv::Terminator::Any(b'\n')).from_writer(Vec::new());
    let broken = |error: csv::Error| Failure::from(io::Error::other(error));
    writer.write_record(header).map_err(broken)?;
    for record in records {
        writer.write_record(record.iter().map(|field| harmless(field))).map_err(broken)?;
    }
    let bytes = writer.into_inner().map_err(|error| Failure::from(io::Error::other(error.to_string())))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A field that no spreadsheet takes for a formula.
fn harmless(field: &str) -> String {
    let number = field.parse::<f64>().is_ok();
    if !number && field.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{field}")
    } else {
        field.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spreadsheet_finds_no_formula_in_csv() {
        let rows =
            [vec!["=cmd|' /C calc'!A0".to_owned(), "-5".to_owned()], vec!["@x".to_owned(), "a,b".to_owned()]];
        let text = csv_text(&["name", "number"], rows.into_iter()).unwrap();
        assert_eq!(text, "name,number\n'=cmd|' /C calc'!A0,-5\n'@x,\"a,b\"\n");
    }
}
