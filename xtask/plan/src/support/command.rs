//! The one place that starts other programs. It removes variables that they must not see, and with `-v` it prints each command
//! so that it can be pasted.
//!
//! xshell runs a program to its end and returns its output. duct does the rest: pipes, time limits, output that is shown as it
//! comes. Other modules reach it only through [`Invocation::expression`].

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{ExitStatus, Output};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use camino::Utf8PathBuf;
use xshell::Shell;

pub use duct::{Handle, ReaderHandle as Reader};

use crate::support::running::Running;
use crate::support::shell::{quoted, word};
use crate::support::ui::Ui;
use crate::support::variables;

/// How many of a failed program's last lines the error contains.
const LAST_LINES: usize = 30;

/// How much of the end of the messages is kept, in bytes.
const MESSAGES: usize = 1 << 18;

/// A program, its arguments, its directory and its environment.
#[derive(Clone, Debug)]
pub struct Invocation {
    program: String,
    args: Vec<String>,
    dir: Option<Utf8PathBuf>,
    environment: BTreeMap<String, String>,
    /// Whether it sees only these variables.
    alone: bool,
    /// Prefixes of variables of this process that it does not see.
    without: Option<String>,
}

impl Invocation {
    pub fn new<S: Into<String>>(program: &str, args: impl IntoIterator<Item = S>) -> Invocation {
        let args = args.into_iter().map(Into::into).collect();
        Invocation {
            program: program.to_owned(),
            args,
            dir: None,
            environment: BTreeMap::new(),
            alone: false,
            without: None,
        }
    }

    pub fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Invocation {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    pub fn dir(mut self, dir: impl Into<Utf8PathBuf>) -> Invocation {
        self.dir = Some(dir.into());
        self
    }

    pub fn env(mut self, name: &str, value: impl Into<String>) -> Invocation {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    /// Hides this process's variables with this prefix.
    pub fn without(mut self, start: &str) -> Invocation {
        self.without = Some(start.to_owned());
        self
    }

    /// Sets its whole environment: it sees none of this process's variables.
    pub fn only_with<'v>(mut self, variables: impl IntoIterator<Item = (&'v str, &'v str)>) -> Invocation {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        self.environment = variables.into_iter().map(owned).collect();
        self.alone = true;
        self
    }

    fn hidden(&self) -> Vec<String> {
        let mut hidden = variables::hidden();
        if let Some(start) = &self.without {
            let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
            hidden.extend(names.filter(|name| name.starts_with(start)));
        }
        hidden
    }

    /// Runs it to its end without input. Returns its output and its status, also if it failed.
    pub fn output(&self, ui: &Ui) -> Result<Output> {
        ui.echo(self);
        let shell = Shell::new().context("starting a shell for commands")?;
        if let Some(dir) = &self.dir {
            shell.change_dir(dir);
        }
        let mut command = shell.cmd(&self.program).args(&self.args).quiet().ignore_status();
        for name in self.hidden() {
            command = command.env_remove(name);
        }
        command.envs(variables::SET).envs(&self.environment).output().with_context(|| format!("starting `{self}`"))
    }

    /// As [`output`](Self::output). If it does not end in time, it is killed, and the result is `None`.
    pub fn output_within(&self, ui: &Ui, limit: Duration) -> Result<Option<Output>> {
        let expression = self.expression(ui).stdin_null().stdout_capture().stderr_capture().unchecked();
        let running = expression.start().with_context(|| format!("starting `{self}`"))?;
        let ended = running.wait_timeout(limit).with_context(|| format!("waiting for `{self}`"))?.cloned();
        if ended.is_none() {
            running.kill().with_context(|| format!("stopping `{self}`"))?;
        }
        Ok(ended)
    }

    /// Runs it without input to its end, its messages shown as they come; the output has stdout and the messages' end.
    pub fn shown(&self, ui: &Ui) -> Result<Output> {
        let (mut messages, writer) = std::io::pipe().context("making a pipe")?;
        let expression = self.expression(ui).stdin_null().stdout_capture().stderr_file(writer).unchecked();
        let running = expression.start().with_context(|| format!("starting `{self}`"))?;
        drop(expression);
        let end = show(&mut messages, None).with_context(|| format!("reading what `{self}` wrote"))?;
        let output = running.into_output().with_context(|| format!("waiting for `{self}`"))?;
        Ok(Output { stderr: end, ..output })
    }

    /// Runs it without input to its end, and hands over each line of its stdout as it comes; its messages are shown.
    pub fn each_line(&self, ui: &Ui, mut each: impl FnMut(&str)) -> Result<ExitStatus> {
        let reader = self.expression(ui).stdin_null().unchecked().reader();
        let mut output = BufReader::new(reader.with_context(|| format!("starting `{self}`"))?);
        let mut line = Vec::new();
        while output.read_until(b'\n', &mut line).with_context(|| format!("reading what `{self}` wrote"))? > 0 {
            each(String::from_utf8_lossy(&line).trim_end_matches('\n'));
            line.clear();
        }
        let ended = output.get_ref().try_wait().with_context(|| format!("waiting for `{self}`"))?;
        ended.map(|output| output.status).with_context(|| format!("`{self}` closed its stdout and did not end"))
    }

    /// What it wrote to stdout, trimmed; an error with its last lines when it failed.
    pub fn read(&self, ui: &Ui) -> Result<String> {
        let output = self.output(ui)?;
        self.succeeded(&output)?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// An error that names the command, its status and its last lines, unless it succeeded.
    pub fn succeeded(&self, output: &Output) -> Result<()> {
        if output.status.success() {
            return Ok(());
        }
        bail!("`{self}` failed ({}){}", output.status, tail(output));
    }

    /// Starts it without input.
    pub fn start(&self, ui: &Ui) -> io::Result<Running> {
        self.expression(ui).stdin_null().stderr_to_stdout().unchecked().reader().map(Running::new)
    }

    /// Replaces this process by the program; returns only if that fails.
    pub fn replace_this_process(&self, ui: &Ui) -> Result<()> {
        ui.echo(self);
        let mut command = std::process::Command::new(&self.program);
        command.args(&self.args);
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        // If a variable is set twice, the later value counts.
        for name in self.hidden() {
            command.env_remove(name);
        }
        command.envs(&self.environment);
        Err(command.exec()).with_context(|| format!("starting `{self}`"))
    }

    /// It as a command of any POSIX shell, in another place than here: only what was set for it is part of it.
    pub fn script(&self) -> String {
        let dir = self.dir.iter().map(|dir| format!("cd {} &&", word(dir.as_str())));
        let set = self.environment.iter().map(|(name, value)| format!("{name}={}", word(value)));
        let words = std::iter::once(&self.program).chain(&self.args).map(|text| word(text));
        dir.chain(set).chain(words).collect::<Vec<_>>().join(" ")
    }

    /// For pipes, time limits and programs that run for a long time.
    pub fn expression(&self, ui: &Ui) -> duct::Expression {
        ui.echo(self);
        if self.alone {
            // Searched on this process's PATH: the program's own PATH is for another system.
            let dirs = std::env::var_os("PATH").unwrap_or_default();
            let found = std::env::split_paths(&dirs).map(|dir| dir.join(&self.program)).find(|path| path.is_file());
            let program = found.unwrap_or_else(|| self.program.clone().into());
            return duct::cmd(program, &self.args).full_env(&self.environment);
        }
        let mut expression = duct::cmd(&self.program, &self.args);
        if let Some(dir) = &self.dir {
            expression = expression.dir(dir);
        }
        // If a variable is set twice, duct takes the earlier value.
        for (name, value) in &self.environment {
            expression = expression.env(name, value);
        }
        for (name, value) in variables::SET {
            expression = expression.env(name, value);
        }
        for name in self.hidden() {
            expression = expression.env_remove(name);
        }
        expression
    }
}

/// Shows what comes, until these bytes come or to its end; returns the end of what was shown.
pub fn show(messages: &mut impl Read, until: Option<&[u8]>) -> io::Result<Vec<u8>> {
    let until = until.unwrap_or_default();
    let (mut shown, mut new) = (Vec::new(), Vec::new());
    let mut buffer = [0; 1 << 13];
    loop {
        let count = messages.read(&mut buffer)?;
        new.extend_from_slice(&buffer[..count]);
        // No window is empty: without a mark, none is found.
        let place = new.windows(until.len().max(1)).position(|window| window == until);
        // What may be the beginning of these bytes waits for more.
        let begun = (1..until.len()).rev().find(|&length| new.ends_with(&until[..length])).unwrap_or(0);
        let ready = place.unwrap_or(if count == 0 { new.len() } else { new.len() - begun });
        // A closed stderr is no error.
        let _ = io::stderr().write_all(&new[..ready]);
        shown.extend(new.drain(..ready));
        shown.drain(..shown.len().saturating_sub(MESSAGES));
        if place.is_some() || count == 0 {
            return Ok(shown);
        }
    }
}

/// The last lines that a program wrote, each indented on a line.
pub fn tail(output: &Output) -> String {
    let text = if output.stderr.iter().all(u8::is_ascii_whitespace) { &output.stdout } else { &output.stderr };
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
    if last.is_empty() { String::new() } else { format!(":\n{}", last.join("\n")) }
}

/// Whether this runs in CI: nobody watches it, and others use its result.
pub fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

/// Whether a program could not be started because it does not exist.
pub fn not_found(error: &anyhow::Error) -> bool {
    let cause = error.root_cause();
    match cause.downcast_ref::<std::io::Error>() {
        Some(error) => error.kind() == std::io::ErrorKind::NotFound,
        // xshell has an error of its own for it.
        None => cause.to_string().starts_with("command not found: "),
    }
}

impl fmt::Display for Invocation {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        if let Some(dir) = &self.dir {
            write!(out, "cd {} && ", quoted(dir.as_str()))?;
        }
        for (name, value) in &self.environment {
            write!(out, "{name}={} ", quoted(value))?;
        }
        write!(out, "{}", quoted(&self.program))?;
        self.args.iter().try_for_each(|arg| write!(out, " {}", quoted(arg)))
    }
}

#[cfg(test)]
mod tests {
    use super::{Invocation, show};

    /// Gives one byte at a time.
    struct Slow(&'static [u8]);

    impl std::io::Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let count = self.0.len().min(1);
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    #[test]
    fn messages_are_read_to_their_mark_and_no_further() {
        let mut messages = Slow(b"an e, an en, the end. more");
        assert_eq!(show(&mut messages, Some(b"end")).expect("messages"), b"an e, an en, the ");
        assert_eq!(show(&mut messages, Some(b"end")).expect("messages"), b". more");
        assert_eq!(show(&mut Slow(b"all"), None).expect("messages"), b"all");
    }

    #[test]
    fn an_invocation_can_be_pasted() {
        let invocation = Invocation::new("cargo", ["build", "two words", ""]).dir("/a b").env("FLAGS", "a\u{1f}b'");
        assert_eq!(invocation.to_string(), r"cd '/a b' && FLAGS=$'a\x1fb\'' cargo build 'two words' ''");
    }
}
