//! A program that runs while its output is read, until it is asked to end.

use std::io::{self, Read};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::command::Reader;

/// Reading from it reads stdout and stderr. Clones are of one program.
#[derive(Clone)]
pub struct Running(Arc<Reader>);

impl Running {
    pub fn new(reader: Reader) -> Running {
        Running(Arc::new(reader))
    }

    /// Asks it to end by SIGTERM; returns its exit code, or `None` if it does not end in time, and then it is killed.
    pub fn end(&self, patience: Duration) -> Result<Option<i32>> {
        for pid in self.0.pids().into_iter().filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?)) {
            match kill_process(pid, Signal::TERM) {
                // It has ended by itself.
                Err(Errno::SRCH) => {}
                result => result.context("ending a program")?,
            }
        }
        let begun = Instant::now();
        while begun.elapsed() < patience {
            if let Some(output) = self.0.try_wait().context("waiting for a program")? {
                return Ok(Some(output.status.code().unwrap_or(-1)));
            }
            thread::sleep(Duration::from_millis(10));
        }
        self.0.kill().context("ending a program")?;
        Ok(None)
    }
}

impl Read for Running {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        (&*self.0).read(bytes)
    }
}
