//! What a process takes.

use crate::support::PATIENCE;
use std::fmt;
use std::fs;

/// A process, by its number.
pub struct Process(pub u32);

/// Memory that is its own, in KiB, and how many threads and open files it has.
pub struct Figures {
    pub memory: u64,
    threads: u64,
    files: usize,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} KiB, {} threads, {} files", self.memory, self.threads, self.files)
    }
}

impl Process {
    /// Now.
    pub fn figures(&self) -> Figures {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).expect("it runs on this machine");
        let number = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("the kernel says it");
            line.trim().trim_end_matches(" kB").parse().expect("a number")
        };
        let files = fs::read_dir(format!("/proc/{}/fd", self.0)).expect("it runs on this machine").count();
        Figures { memory: number("RssAnon:"), threads: number("Threads:"), files }
    }

    /// Once it has no more threads and files than at `begin`: what it needed for a time goes a while after that.
    pub async fn idle(&self, begin: &Figures) -> Figures {
        let idle = async {
            loop {
                let now = self.figures();
                if now.threads <= begin.threads && now.files <= begin.files {
                    break now;
                }
                tokio::task::yield_now().await;
            }
        };
        let idle = tokio::time::timeout(PATIENCE, idle).await;
        idle.unwrap_or_else(|_| panic!("{begin} at the start, and still {} without any load", self.figures()))
    }
}
