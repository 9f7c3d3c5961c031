//! What a person sees: status lines in cargo's own style, warnings, echoed commands. All of it goes to stderr; stdout
//! carries only results, and those the commands print.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::time::Instant;

use anyhow::{Context, Result};

/// How this run prints.
#[derive(Clone, Copy)]
pub struct Ui {
    verbose: bool,
    /// Whether stderr is a terminal: only then other programs' progress is shown.
    pub terminal: bool,
    color: bool,
}

impl Ui {
    pub fn new(verbose: bool) -> Ui {
        let terminal = std::io::stderr().is_terminal();
        let color = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Ui { verbose, terminal, color }
    }

    /// `   Compiling host, SDK and plugins`
    pub fn status(&self, verb: &str, message: impl Display) {
        eprintln!("{} {message}", self.paint("1;32", &format!("{verb:>12}")));
    }

    pub fn warning(&self, message: impl Display) {
        eprintln!("{}: {message}", self.paint("1;33", "warning"));
    }

    pub fn error(&self, message: impl Display) {
        eprintln!("{}: {message}", self.paint("1;31", "error"));
    }

    /// With `-v`, a command as it could be pasted into a shell.
    pub fn echo(&self, command: impl Display) {
        if self.verbose {
            eprintln!("{} {command}", self.paint("2", "$"));
        }
    }

    pub fn verbose(&self) -> bool {
        self.verbose
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Prints a result, the only thing that goes to stdout. A closed stdout is no error.
pub fn result(text: &str) -> Result<()> {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error).context("writing to stdout"),
        _ => Ok(()),
    }
}

/// The stages of a run, in order, and how long each took.
pub struct Stages<'a> {
    ui: &'a Ui,
    milliseconds: Vec<(&'static str, u128)>,
}

impl<'a> Stages<'a> {
    pub fn new(ui: &'a Ui) -> Stages<'a> {
        Stages { ui, milliseconds: Vec::new() }
    }

    pub fn run<T>(&mut self, name: &'static str, stage: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = stage();
        self.milliseconds.push((name, start.elapsed().as_millis()));
        result
    }

    /// By name; with `-v` they are shown too.
    pub fn finish(self) -> BTreeMap<&'static str, u128> {
        if self.ui.verbose {
            let times: Vec<String> = self.milliseconds.iter().map(|(name, time)| format!("{name} {time} ms")).collect();
            self.ui.status("Finished", times.join(", "));
        }
        self.milliseconds.into_iter().collect()
    }
}

/// `19.4 MB`, `96 KB`, `312 B`; decimal units, as image tools print them.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{} KB", (bytes + 500) / 1_000),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

/// `1 plugin`, `3 plugins`.
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::{count, size};

    #[test]
    fn sizes_and_counts_read_naturally() {
        assert_eq!([size(312), size(95_800), size(19_400_000)], ["312 B", "96 KB", "19.4 MB"]);
        assert_eq!([count(1, "plugin"), count(0, "plugin")], ["1 plugin", "0 plugins"]);
    }
}
