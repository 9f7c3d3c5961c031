//! The one connection to a builder's container: its process reads commands from stdin, one after the other, and answers on stdout.
//! Starting a program or copying a file through the engine would take a fifth of a second each time.
//!
//! The container's process ends when its stdin does, which this process holds: however this one ends, the container is gone.

use std::cell::{Cell, RefCell};
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Read, Write, pipe};
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Output};

use anyhow::{Context, Result, anyhow, bail};

use crate::containers::engine::Engine;
use crate::support::command::{self, Handle, Invocation};
use crate::support::shell::word;
use crate::support::ui::Ui;

/// What the container runs. It holds the volume's lock, where there is a program to take it. Each command is two lines: the number of
/// bytes that follow for its stdin, and itself, in the escapes of `printf %b`. An answer is its status and the sizes of its stdout and its
/// stderr, then both. A command's descriptor 4 is the container's stderr, 5 the container's stdout.
///
/// While a command without stdin runs, nothing is sent to it: so what `read` gets in the background is the end. The shell is the container's
/// first process: whatever it has started ends with it.
const SCRIPT: &str = r#"
exec 3<&0 4>&2 5>&1 </dev/null
trap 'exit 1' TERM
if command -v flock >/dev/null; then
  exec 9>"$1/lock"
  flock -n 9 || { echo waiting; flock 9; }
fi
own=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d) || exit 1
echo ready
run() { (eval "$(printf %b "$1")") >"$own/out" 2>"$own/err" 3<&- 9>&-; }
while read -r bytes <&3 && IFS= read -r command <&3; do
  if [ "$bytes" -gt 0 ]; then
    dd bs=65536 iflag=fullblock,count_bytes count="$bytes" <&3 2>/dev/null | run "$command"
    status=$?
  else
    run "$command" &
    job=$!
    { read -r end; kill "$$"; } <&3 &
    watcher=$!
    wait "$job"
    status=$?
    { kill -9 "$watcher"; wait "$watcher"; } 2>/dev/null
  fi
  echo "$status" $(wc -c <"$own/out") $(wc -c <"$own/err")
  cat "$own/out" "$own/err"
done
"#;

/// What a shown command writes to the container's stderr when it has ended, between two NUL: both streams come each by its own way.
const END: &str = "end of messages";

pub struct Conversation {
    engine: Engine,
    id: String,
    start: Invocation,
    client: Handle,
    stdin: RefCell<Option<PipeWriter>>,
    stdout: RefCell<BufReader<PipeReader>>,
    stderr: RefCell<PipeReader>,
    /// Whether an answer was not read to its end.
    broken: Cell<bool>,
}

impl Conversation {
    /// The arguments of a shell in the container, which is made with a volume at `work`.
    pub fn script(work: &str) -> Vec<String> {
        ["-c", SCRIPT, "sh", work].map(str::to_owned).to_vec()
    }

    /// Starts the container and waits until it answers.
    pub fn start(ui: &Ui, engine: &Engine, id: String) -> Result<Conversation> {
        let start = engine.start(&id);
        let (stdin, to_stdin) = pipe().context("making a pipe")?;
        let (from_stdout, stdout) = pipe().context("making a pipe")?;
        let (from_stderr, stderr) = pipe().context("making a pipe")?;
        let client = start.expression(ui).stdin_file(stdin).stdout_file(stdout).stderr_file(stderr).unchecked().start();
        let conversation = Conversation {
            engine: engine.clone(),
            id,
            client: client.with_context(|| format!("starting `{start}`"))?,
            start,
            stdin: RefCell::new(Some(to_stdin)),
            stdout: RefCell::new(BufReader::new(from_stdout)),
            stderr: RefCell::new(from_stderr),
            broken: Cell::new(true),
        };
        loop {
            match conversation.line()?.as_str() {
                "ready" => break,
                "waiting" => ui.status("Waiting", "for another run that compiles in the same volume"),
                "" => return Err(conversation.not_started()?),
                _ => {}
            }
        }
        conversation.broken.set(false);
        Ok(conversation)
    }

    /// Runs a command, a script of a shell, to its end.
    pub fn ask(&self, command: &str) -> Result<Output> {
        self.exchange(command, &[], |_| Ok(()))
    }

    /// Unpacks a tar in its root directory; its files get the container's own time.
    pub fn unpack(&self, tar: &[u8]) -> Result<()> {
        succeeded(&self.exchange("tar -x -m -f - -C /", tar, |_| Ok(()))?)
    }

    /// The same, its messages shown as they come; the output has their end.
    pub fn show(&self, command: &str) -> Result<Output> {
        let command = format!("({command}) 2>&4; status=$?; printf '\\0{END}\\0' >&4; exit $status");
        let end = format!("\0{END}\0");
        let mut messages = Vec::new();
        let shown = |_: &mut BufReader<PipeReader>| {
            messages =
                command::show(&mut *self.stderr.borrow_mut(), Some(end.as_bytes())).context("reading its messages")?;
            Ok(())
        };
        let output = self.exchange(&command, &[], shown)?;
        Ok(Output { stderr: messages, ..output })
    }

    /// The contents of files, links followed, one after the other.
    pub fn files<'a>(
        &self,
        paths: impl Iterator<Item = &'a str>,
        mut each: impl FnMut(&str, Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        let paths: Vec<&str> = paths.collect();
        let words: Vec<String> = paths.iter().map(|path| word(path)).collect();
        let command = format!(
            "for file in {}; do if [ -f \"$file\" ]; then echo $(wc -c <\"$file\"); cat \"$file\"; else echo none; fi >&5; done",
            words.join(" ")
        );
        let received = |stdout: &mut BufReader<PipeReader>| {
            for path in &paths {
                let mut line = String::new();
                if stdout.read_line(&mut line)? == 0 {
                    break;
                }
                let size: u64 = line.trim().parse().with_context(|| format!("the builder has no file {path}"))?;
                let mut content = Vec::new();
                stdout.take(size).read_to_end(&mut content)?;
                each(path, content)?;
            }
            Ok(())
        };
        succeeded(&self.exchange(&command, &[], received)?)
    }

    /// Sends a command and its stdin, and reads its answer after what `received` reads.
    fn exchange(
        &self,
        command: &str,
        stdin: &[u8],
        received: impl FnOnce(&mut BufReader<PipeReader>) -> Result<()>,
    ) -> Result<Output> {
        self.broken.set(true);
        if let Some(container) = self.stdin.borrow_mut().as_mut() {
            let lines = format!("{}\n{}\n", stdin.len(), escaped(command));
            // If nobody reads it any more, that is what the answer shows.
            let _ = container.write_all(lines.as_bytes()).and_then(|()| container.write_all(stdin));
        }
        received(&mut self.stdout.borrow_mut())?;
        let line = self.line()?;
        let numbers: Vec<u64> = line.split(' ').filter_map(|number| number.parse().ok()).collect();
        let [status, out, err] = numbers[..] else {
            bail!(
                "the builder's container was stopped from outside, by a person or because memory ran out (OOM); run \
                 the command again"
            );
        };
        let read = |size| -> Result<Vec<u8>> {
            let mut bytes = Vec::new();
            self.stdout.borrow_mut().by_ref().take(size).read_to_end(&mut bytes).context("reading an answer")?;
            Ok(bytes)
        };
        let (stdout, stderr) = (read(out)?, read(err)?);
        self.broken.set(false);
        // As a shell says it, 128 is added to a signal.
        Ok(Output { status: ExitStatus::from_raw(i32::try_from(status)? << 8), stdout, stderr })
    }

    /// A line of its stdout without its end; empty where that ended.
    fn line(&self) -> Result<String> {
        let mut line = String::new();
        let read = self.stdout.borrow_mut().read_line(&mut line);
        read.with_context(|| format!("reading what `{}` wrote", self.start))?;
        Ok(line.trim_end().to_owned())
    }

    fn not_started(&self) -> Result<anyhow::Error> {
        let mut stderr = Vec::new();
        self.stderr.borrow_mut().read_to_end(&mut stderr).context("reading a client's messages")?;
        let ended = self.client.wait().with_context(|| format!("waiting for `{}`", self.start))?;
        let output = Output { stderr, ..ended.clone() };
        Ok(anyhow!("the builder's container does not start: `{}` failed{}", self.start, command::tail(&output)))
    }

    /// Ends the container; it is gone when this returns.
    pub fn end(&self, ui: &Ui) {
        drop(self.stdin.borrow_mut().take());
        // The client ends when the container is removed. One that still writes would wait for a reader.
        if self.broken.get() || self.client.wait().is_err() {
            let _ = self.engine.remove_container(ui, &self.id);
        }
    }
}

/// An error with the last lines of what a command wrote, unless it succeeded.
pub fn succeeded(output: &Output) -> Result<()> {
    if output.status.success() {
        return Ok(());
    }
    bail!("a command in the builder's container failed ({}){}", output.status, command::tail(output))
}

/// One line of ASCII that `printf %b` makes this text of.
fn escaped(text: &str) -> String {
    let escaped = text.bytes().map(|byte| match byte {
        b'\\' => r"\\".to_owned(),
        b' '..=b'~' => char::from(byte).to_string(),
        _ => format!("\\0{byte:03o}"),
    });
    escaped.collect()
}
