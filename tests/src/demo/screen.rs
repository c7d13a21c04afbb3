//! A table that is drawn again in place on a terminal; lines where standard output is a file.

use std::io::{IsTerminal, Write, stdout};

use super::story::Story;
use super::table::Table;

#[derive(Debug)]
pub(super) struct Screen {
    terminal: bool,
    /// Lines drawn last time, or events told.
    drawn: usize,
}

impl Screen {
    pub(super) fn new() -> Self {
        Self {
            terminal: stdout().is_terminal(),
            drawn: 0,
        }
    }

    /// Whether a person watches.
    pub(super) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Shows what there is to show now.
    pub(super) fn show(&mut self, table: &Table, story: &Story) {
        let mut text = String::new();
        if self.terminal {
            if self.drawn > 0 {
                // Up to the first line of the last drawing, and clear from there.
                text.push_str(&format!("\x1b[{}A\x1b[J", self.drawn));
            }
            let mut lines = table.lines();
            lines.push(String::new());
            lines.extend(story.events());
            self.drawn = lines.len();
            for line in lines {
                text.push_str(format!("  {line}").trim_end());
                text.push('\n');
            }
        } else {
            text.push_str(&format!("{}\n", table.line()));
        }
        self.write(&text);
    }

    /// Tells what has just happened, where nothing is drawn again.
    pub(super) fn tell(&mut self, story: &Story) {
        if self.terminal {
            return;
        }
        let events = story.events();
        let new: String = events[self.drawn..]
            .iter()
            .map(|event| format!("{event}\n"))
            .collect();
        self.drawn = events.len();
        self.write(&new);
    }

    fn write(&self, text: &str) {
        let mut out = stdout().lock();
        // A reader that is gone misses nothing; the demonstration ends by itself.
        let _ = out.write_all(text.as_bytes());
        let _ = out.flush();
    }
}
