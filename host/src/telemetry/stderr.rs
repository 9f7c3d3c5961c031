//! Lines on their way to stderr. While the API is served a thread of its own writes them: a reader that stalls must not stop
//! the API, health or the end, and many lines go in one write.

use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How many bytes wait at most for a reader.
const CAPACITY: usize = 1 << 20;

/// What a pipe takes whole or not at all (PIPE_BUF in pipe(7)): no line is torn when the process is killed.
const PIPE: usize = 4096;

/// How long lines are gathered: a thread that is woken for each costs the API more than the write.
const GATHERED: Duration = Duration::from_millis(10);

/// How long the last words of a process wait to be read.
const PATIENCE: Duration = Duration::from_secs(1);

/// The process has one stderr.
static STDERR: Stderr = Stderr::new();

struct Stderr {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// Whether there is a thread that writes. Until then whoever has a line writes it.
    threaded: bool,
    /// Whether it sleeps until a line comes.
    sleeps: bool,
    waiting: Vec<u8>,
    /// Bytes that were accepted and that left, since the start.
    accepted: u64,
    left: u64,
    /// How many wait for `left`.
    flushing: usize,
    /// Until when nobody waits any more: somebody has waited for so many bytes to leave, in vain.
    stalled: u64,
    /// Lines that found no place: since this was last logged, and in all.
    untold: u64,
    dropped: u64,
}

impl State {
    const fn new() -> Self {
        Self {
            threaded: false,
            sleeps: false,
            waiting: Vec::new(),
            accepted: 0,
            left: 0,
            flushing: 0,
            stalled: 0,
            untold: 0,
            dropped: 0,
        }
    }
}

/// Lets a thread write from now on. Without one, for which the system may have no room, whoever has a line goes on writing it.
pub fn in_background() {
    if thread::Builder::new().name("log".to_owned()).spawn(|| STDERR.write_all()).is_ok() {
        STDERR.state().threaded = true;
    }
}

/// Writes a line, or lets it be written. Where too many wait it is dropped and counted.
///
/// # Errors
///
/// What the system says, where no thread writes.
pub fn line(line: &[u8]) -> io::Result<()> {
    let mut state = STDERR.state();
    if !state.threaded {
        drop(state);
        return io::stderr().write_all(line);
    }
    if state.waiting.len() + line.len() > CAPACITY {
        state.untold += 1;
        state.dropped += 1;
        return Ok(());
    }
    state.waiting.extend_from_slice(line);
    state.accepted += line.len() as u64;
    if state.sleeps {
        STDERR.changed.notify_all();
    }
    Ok(())
}

/// Waits until all lines so far are written, at most a second. Call it only before the process may end.
pub fn flush() {
    STDERR.flush(PATIENCE);
}

/// The same once more at the end of the process, also where somebody has waited in vain: since then more was read.
pub fn finish() {
    STDERR.state().stalled = 0;
    flush();
}

/// How many lines were dropped.
pub fn dropped() -> u64 {
    STDERR.state().dropped
}

impl Stderr {
    const fn new() -> Self {
        Self { state: Mutex::new(State::new()), changed: Condvar::new() }
    }

    /// Waits for all that was accepted until now. A reader that is slow, and not stalled, lets nobody wait twice for the same lines.
    fn flush(&self, patience: Duration) {
        let mut state = self.state();
        let accepted = state.accepted;
        if state.left >= accepted || state.left < state.stalled {
            return;
        }
        state.flushing += 1;
        self.changed.notify_all();
        let waited = self.changed.wait_timeout_while(state, patience, |state| state.left < accepted);
        let (mut state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        state.flushing -= 1;
        if timeout.timed_out() {
            state.stalled = state.stalled.max(accepted);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes lines as they come, for ever.
    fn write_all(&self) {
        let mut lines = Vec::new();
        loop {
            let untold = self.next(&mut lines);
            if untold > 0 {
                // There is room for it again.
                tracing::warn!(lines = untold, "log lines dropped: whoever reads stderr is too slow");
            }
            for part in parts(&lines) {
                let written = io::stderr().write_all(part);
                let mut state = self.state();
                state.left += part.len() as u64;
                if written.is_err() {
                    // Nobody is told in the log, which would fail again.
                    state.dropped += part.iter().filter(|byte| **byte == b'\n').count() as u64;
                }
                if state.flushing > 0 {
                    self.changed.notify_all();
                }
            }
        }
    }

    /// Waits for lines, and takes all that have come a moment later. Returns how many were dropped after them.
    fn next(&self, lines: &mut Vec<u8>) -> u64 {
        lines.clear();
        let mut state = self.state();
        if state.waiting.is_empty() {
            state.sleeps = true;
            state = self
                .changed
                .wait_while(state, |state| state.waiting.is_empty())
                .unwrap_or_else(PoisonError::into_inner);
            state.sleeps = false;
        }
        let waited = self.changed.wait_timeout_while(state, GATHERED, |state| state.flushing == 0);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(lines, &mut state.waiting);
        std::mem::take(&mut state.untold)
    }
}

/// Whole lines, as many at a time as a pipe takes at once; a longer line by itself.
fn parts(lines: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = lines;
    std::iter::from_fn(move || {
        let end = |within: &[u8]| within.iter().rposition(|byte| *byte == b'\n').map(|at| at + 1);
        let whole =
            end(&rest[..rest.len().min(PIPE)]).or_else(|| rest.iter().position(|byte| *byte == b'\n').map(|at| at + 1));
        let (part, after) = rest.split_at(whole.unwrap_or(rest.len()));
        rest = after;
        (!part.is_empty()).then_some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_twice_for_a_slow_reader() {
        const FOR_EVER: Duration = Duration::from_secs(24 * 60 * 60);
        let stderr = Stderr::new();
        stderr.state().accepted = 10;
        stderr.flush(Duration::from_millis(1));
        // It would hang here.
        stderr.state().left = 5;
        stderr.flush(FOR_EVER);
        stderr.state().accepted = 20;
        stderr.flush(FOR_EVER);
        stderr.state().left = 20;
        stderr.flush(FOR_EVER);
        stderr.state().accepted = 30;
        stderr.flush(Duration::from_millis(1));
        assert_eq!(stderr.state().stalled, 30, "it waits again for what came after");
    }

    #[test]
    fn parts_are_whole_lines() {
        let short = "a\n".repeat(PIPE / 2 - 1) + "bcd\n";
        let long = "e".repeat(2 * PIPE) + "\n";
        let lines = format!("{short}{long}f\n");
        let found: Vec<&[u8]> = parts(lines.as_bytes()).collect();
        let (first, fourth) = short.split_at(PIPE - 2);
        assert_eq!(found, [first.as_bytes(), fourth.as_bytes(), long.as_bytes(), b"f\n"]);
        assert_eq!(parts(b"").count(), 0);
    }
}
