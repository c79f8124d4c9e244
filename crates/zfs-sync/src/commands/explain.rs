//! `explain`: what a code means, without asking anybody.

use jiff::Timestamp;
use serde::Serialize;
use zfs_sync_api::codes::{self, ErrorCode};

use super::{Context, Exit};
use crate::{
    cli::ExplainArgs,
    failure::Failure,
    printer::{Beside, Cell, Row},
    settings::nearest,
};

#[derive(Debug, Serialize)]
struct Explained {
    code: &'static str,
    title: String,
    page: String,
}

impl Row for Explained {
    const COLUMNS: &'static [&'static str] = &["code", "title"];
    const FIELDS: &'static [&'static str] = &["code", "title"];

    fn cells(&self, _now: Timestamp) -> Vec<Cell> {
        vec![Cell::text(self.code), Cell::text(&self.title)]
    }

    fn fields(&self) -> Vec<String> {
        vec![self.code.to_owned(), self.title.clone()]
    }
}

/// The title of a code: the first sentence of its page.
pub(crate) fn title(code: &str) -> Option<String> {
    let page = codes::explain(code)?;
    let line = page.lines().skip(1).find(|line| !line.trim().is_empty())?;
    Some(line.trim().trim_end_matches('.').to_owned())
}

pub(super) fn run(context: &Context, arguments: &ExplainArgs) -> Result<Exit, Failure> {
    let all = codes::all_codes();
    let explained = |code: &'static str| Explained {
        code,
        title: title(code).unwrap_or_default(),
        page: codes::explain(code).unwrap_or_default(),
    };
    let Some(code) = arguments.code.as_deref() else {
        let rows: Vec<Explained> = all.into_iter().map(explained).collect();
        context.printer.rows("explain.list", &rows, &Beside::default(), context.now())?;
        return Ok(Exit::Done);
    };
    let Some(known) = all.iter().copied().find(|known| known.eq_ignore_ascii_case(code.trim())) else {
        let failure = Failure::new(ErrorCode::CodeUnknown, format!("there is no code `{code}`"))
            .unchanged()
            .fix("zfs-sync explain --list");
        return Err(match nearest(code, &all) {
            Some(meant) => failure.hint(format!("did you mean `{meant}`?")),
            None => failure,
        });
    };
    let explained = explained(known);
    if context.printer.is_table() {
        context.printer.text(&explained.page)?;
    } else {
        context.printer.one("explain", &explained, &[], context.now())?;
    }
    Ok(Exit::Done)
}
