//! Owns aligned tables, and making text from outside safe to print.

use std::borrow::Cow;

use super::colour::{self, Colour};

/// Longer cells are cut, so that one phone's boast does not spoil everybody's table; `--json` has them whole.
const CELL_CHARACTERS_MAX: usize = 48;

const GAP: &str = "  ";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

/// Rows below a head.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<Column>,
}

#[derive(Clone, Debug)]
struct Column {
    align: Align,
    cells: Vec<String>,
}

impl Table {
    pub fn new(head: &[(&str, Align)]) -> Self {
        let column = |&(title, align): &(&str, Align)| Column { align, cells: vec![title.to_owned()] };
        Self { columns: head.iter().map(column).collect() }
    }

    /// Cells beyond the head's are dropped, missing ones are empty.
    pub fn row<'a>(&mut self, cells: impl IntoIterator<Item = &'a String>) {
        let mut cells = cells.into_iter();
        for column in &mut self.columns {
            column.cells.push(cut(&printable(cells.next().map_or("", String::as_str))));
        }
    }

    pub fn text(&self, colours: bool) -> String {
        let width = |column: &Column| column.cells.iter().map(|cell| cell.chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = self.columns.iter().map(width).collect();
        let rows = self.columns.first().map_or(0, |column| column.cells.len());
        let mut text = String::new();
        for row in 0..rows {
            let cells = self.columns.iter().zip(&widths).map(|(column, &width)| {
                let cell = column.cells.get(row).map_or("", String::as_str);
                match column.align {
                    Align::Left => format!("{cell:<width$}"),
                    Align::Right => format!("{cell:>width$}"),
                }
            });
            let line = cells.collect::<Vec<_>>().join(GAP);
            let line = line.trim_end();
            text.push_str(&if row == 0 { colour::paint(line, Colour::Bold, colours) } else { line.to_owned() });
            text.push('\n');
        }
        text
    }
}

/// Text from phones may hold control characters that would move the terminal's cursor or worse; they become `?`.
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().any(char::is_control) {
        Cow::Owned(text.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

fn cut(text: &str) -> String {
    if text.chars().count() <= CELL_CHARACTERS_MAX {
        return text.to_owned();
    }
    text.chars().take(CELL_CHARACTERS_MAX - 1).chain(['…']).collect()
}
