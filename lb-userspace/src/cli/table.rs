//! Aligned columns for people.

use std::fmt::Write;

/// On which side a column is flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Lays `rows` out under `columns`, two spaces apart, without trailing blanks.
pub(super) fn table(columns: &[(&'static str, Align)], rows: &[Vec<String>]) -> String {
    let layout = Layout::new(columns, rows);
    let mut text = layout.heading();
    for row in rows {
        text.push_str(&layout.line(row));
    }
    text
}

/// How wide the columns of a table are.
#[derive(Debug)]
pub(super) struct Layout {
    columns: Vec<(&'static str, Align, usize)>,
}

impl Layout {
    /// Wide enough for `rows`: all of them, or as many as one wants to wait for.
    pub(super) fn new(columns: &[(&'static str, Align)], rows: &[Vec<String>]) -> Self {
        let width = |column: usize, name: &str| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.chain([name.chars().count()]).max().unwrap_or(0)
        };
        let columns = columns.iter().enumerate();
        Self {
            columns: columns
                .map(|(number, (name, align))| (*name, *align, width(number, name)))
                .collect(),
        }
    }

    /// The first line.
    pub(super) fn heading(&self) -> String {
        let names = self.columns.iter().map(|(name, ..)| (*name).to_owned());
        self.line(&names.collect::<Vec<_>>())
    }

    /// One row; what is wider than its column moves the rest.
    pub(super) fn line(&self, row: &[String]) -> String {
        let mut line = String::new();
        for (cell, (_, align, width)) in row.iter().zip(&self.columns) {
            // Writing to a String does not fail.
            let _ = match align {
                Align::Left => write!(line, "{cell:<width$}  "),
                Align::Right => write!(line, "{cell:>width$}  "),
            };
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        line
    }
}

/// A number of bytes: `512 B`, `1.5 kB`, `23.4 MB`.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    // 999.95 would be printed as 1000.0.
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A time in whole seconds, in its two largest units: `7s`, `3m12s`, `2d5h`.
pub(super) fn seconds(seconds: u64) -> String {
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{rest}s"),
        (0, 0, _) => format!("{minutes}m{rest}s"),
        (0, _, _) => format!("{hours}h{minutes}m"),
        _ => format!("{days}d{hours}h"),
    }
}

#[cfg(test)]
mod tests;
