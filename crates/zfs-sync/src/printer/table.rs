//! Tables for people.

use comfy_table::{CellAlignment, Color, ContentArrangement, Table, presets};
use zfs_sync_core::plan::ReplicaState;

use super::words::printable;

/// One cell: text, and how it looks where colour is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    tone: Option<Tone>,
    right: bool,
}

#[derive(Clone, Copy, Debug)]
enum Tone {
    Good,
    Busy,
    Bad,
    Faint,
}

impl Cell {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), tone: None, right: false }
    }

    /// A number, aligned to the right.
    pub(crate) fn number(text: impl Into<String>) -> Self {
        Self { text: text.into(), tone: None, right: true }
    }

    /// Glyph and word of a replica's state.
    pub(crate) fn state(state: ReplicaState) -> Self {
        let tone = match state {
            ReplicaState::InSync => Tone::Good,
            ReplicaState::Behind | ReplicaState::Syncing | ReplicaState::NeverSeeded => Tone::Busy,
            ReplicaState::Diverged => Tone::Bad,
            ReplicaState::Paused | ReplicaState::Unknown => Tone::Faint,
        };
        Self { text: format!("{} {}", state.glyph(), state.words()), tone: Some(tone), right: false }
    }

    /// A word that is good news or not.
    pub(crate) fn verdict(text: impl Into<String>, good: bool) -> Self {
        Self { text: text.into(), tone: Some(if good { Tone::Good } else { Tone::Bad }), right: false }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

pub(super) fn render(
    columns: &[&str],
    rows: impl Iterator<Item = Vec<Cell>>,
    width: Option<u16>,
    color: bool,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    match width {
        Some(width) => table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width),
        None => table.set_content_arrangement(ContentArrangement::Disabled),
    };
    if color {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table.set_header(columns.iter().map(|name| comfy_table::Cell::new(name.to_uppercase())));
    for row in rows {
        table.add_row(row.into_iter().map(|cell| draw(&cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

fn draw(cell: &Cell) -> comfy_table::Cell {
    let mut drawn = comfy_table::Cell::new(printable(&cell.text));
    if let Some(tone) = cell.tone {
        drawn = drawn.fg(match tone {
            Tone::Good => Color::Green,
            Tone::Busy => Color::Yellow,
            Tone::Bad => Color::Red,
            Tone::Faint => Color::DarkGrey,
        });
    }
    if cell.right { drawn.set_alignment(CellAlignment::Right) } else { drawn }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> impl Iterator<Item = Vec<Cell>> {
        [
            vec![Cell::text("tank/media"), Cell::state(ReplicaState::InSync), Cell::number("1.00 KiB")],
            vec![Cell::text("tank/vm\x1b[31m"), Cell::state(ReplicaState::Diverged), Cell::number("12 B")],
        ]
        .into_iter()
    }

    #[test]
    fn without_a_terminal_a_table_is_plain_text() {
        let text = render(&["dataset", "state", "size"], rows(), None, false);
        let expected = "\
DATASET       STATE       SIZE
tank/media    ✓ in sync   1.00 KiB
tank/vm [31m  ✖ diverged      12 B";
        assert_eq!(text, expected);
    }

    #[test]
    fn colour_is_added_only_where_it_is_wanted() {
        assert!(!render(&["a", "b", "c"], rows(), None, false).contains('\x1b'));
        assert!(render(&["a", "b", "c"], rows(), Some(80), true).contains('\x1b'));
    }

    #[test]
    fn a_table_fits_the_terminal() {
        let text = render(&["dataset", "state", "size"], rows(), Some(30), false);
        assert!(text.lines().all(|line| line.chars().count() <= 30), "{text}");
    }
}
