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
use std::io::{self, Write};
use std::time::Instant;

// The host's own file says what it was built with, as each plugin's does.
provost_sdk::record!();

fn main() {
    // Before a plugin can bring a crate that makes rustls choose.
    provost_sdk::tls::install();
    let result = run(&Args::parse());
    if let Err(faults) = &result {
        eprint!("{faults}");
    }
    // Who reads no results needs none.
    let _ = io::stdout().flush();
    loader::end(i32::from(result.is_err()));
}

/// Reads everything, loads everything, then serves. What is wrong before that is reported together.
fn run(args: &Args) -> Result<(), Faults> {
    if let Some(file) = &args.inspect {
        return records::show(file, args.format).map_err(Faults::one);
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
    let begun = Instant::now();
    let Some(plugins) = judged.load(begun, config.startup_deadline, &mut faults) else {
        return Err(faults);
    };
    let providers = Providers::start(&config, &plugins, begun, &mut faults);
    if faults.is_empty() && !args.check {
        return server::serve(&config, providers);
    }
    if faults.is_empty() {
        println!("{}", summary(plugins.len(), providers.len()));
    }
    providers.close(Instant::now(), config.shutdown_deadline);
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// What `--check` prints.
fn summary(plugins: usize, providers: usize) -> String {
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    format!(
        "{plugins} plugin{} loaded, {plugins} ABI record{} match{}, {providers} provider{} valid",
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
        assert_eq!(summary(3, 1), "3 plugins loaded, 3 ABI records match, 1 provider valid");
        assert_eq!(summary(1, 2), "1 plugin loaded, 1 ABI record matches, 2 providers valid");
        assert_eq!(summary(0, 0), "0 plugins loaded, 0 ABI records match, 0 providers valid");
    }
}
