//! `provost`: one HTTP API in front, native plugins behind it.
//!
//! The files follow a start: arguments, configuration, plugins (records first, then the loader), providers, server.
//! The host knows no plugin by name.

// What cannot be checked by the compiler is in one file, to be read.
#![deny(unsafe_code)]

mod api;
mod args;
mod config;
mod delivery;
mod faults;
mod health;
#[allow(unsafe_code)]
mod loader;
mod log;
mod metrics;
mod panics;
mod plugins;
mod problem;
mod providers;
mod records;
mod refusals;
mod reports;
mod server;
mod startup;

use args::Args;
use clap::Parser;
use config::Config;
use faults::Faults;
use plugins::Judged;
use providers::Providers;
use provost_sdk::panics::catch;
use std::io::{self, ErrorKind, Write};
use std::time::Instant;

// The host's own file says what it was built with, as each plugin's does.
provost_sdk::record!();

fn main() {
    // Before a plugin can bring a crate that makes rustls choose.
    provost_sdk::tls::install();
    // A panic of this thread too ends the process here: it is in the log.
    let code = match catch(|| run(&Args::parse())) {
        Some(Ok(())) => 0,
        Some(Err(faults)) => {
            // Where nobody reads them nothing more can be done.
            let _ = write!(io::stderr(), "{faults}");
            1
        }
        None => 101,
    };
    loader::end(code);
}

/// Writes a result to stdout.
fn say(text: &str) -> Result<(), Faults> {
    let mut stdout = io::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        // Who reads no results needs none.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Faults::one(format!("writing to stdout: {error}"))),
        _ => Ok(()),
    }
}

/// Reads everything, loads everything, then serves. What is wrong before that is reported together.
fn run(args: &Args) -> Result<(), Faults> {
    if let Some(file) = &args.inspect {
        return records::show(file, args.format).map_err(Faults::one).and_then(|text| say(&text));
    }
    let mut faults = Faults::default();
    let config = args.config.as_ref().expect("clap demands it when nothing is inspected");
    let config = Config::read(config, &mut faults);
    if args.health {
        return match config.filter(|_| faults.is_empty()) {
            Some(config) => health::ask(&config).map_err(Faults::one),
            None => Err(faults),
        };
    }
    let judged = Judged::read(&args.prov, &mut faults);
    let (Some(config), Some(judged)) = (config, judged) else {
        return Err(faults);
    };
    log::start(args.log.as_ref().unwrap_or(&config.log));
    panics::watch();
    panics::watch_exits().map_err(Faults::one)?;
    let begun = Instant::now();
    let Some(plugins) = judged.load(begun, config.startup_deadline, &mut faults) else {
        return Err(faults);
    };
    panics::watch_exits().map_err(Faults::one)?;
    let providers = Providers::start(&config, &plugins, begun, &mut faults);
    if faults.is_empty() && !args.check {
        return server::serve(&config, providers);
    }
    providers.close(Instant::now(), config.shutdown_deadline);
    if faults.is_empty() { say(&summary(plugins.len(), providers.len())) } else { Err(faults) }
}

/// What `--check` prints.
fn summary(plugins: usize, providers: usize) -> String {
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    format!(
        "{plugins} plugin{} loaded, {plugins} ABI record{} match{}, {providers} provider{} valid\n",
        plural(plugins),
        plural(plugins),
        if plugins == 1 { "es" } else { "" },
        plural(providers),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_counts_in_english() {
        assert_eq!(summary(3, 1), "3 plugins loaded, 3 ABI records match, 1 provider valid\n");
        assert_eq!(summary(1, 2), "1 plugin loaded, 1 ABI record matches, 2 providers valid\n");
        assert_eq!(summary(0, 0), "0 plugins loaded, 0 ABI records match, 0 providers valid\n");
    }
}
