//! `provost`: one HTTP API in front, native plugins behind it.
//!
//! The modules follow a start: configuration, plugins (records first, then the loader), providers, HTTP.
//! The host knows no plugin by name.

// What cannot be checked by the compiler is in one file, to be read.
#![deny(unsafe_code)]

// Each uses only those before it: ground, config, telemetry, plugins, providers, http, cli.
mod cli;
mod config;
mod ground;
mod http;
mod plugins;
mod providers;
mod telemetry;

use cli::Args;
use config::Config;
use ground::errors::Errors;
use ground::ffi;
use http::reload::Reload;
use http::{health, server};
use plugins::{Checked, Plugins, records};
use providers::Providers;
use provost_sdk::panics::catch;
use std::io::{self, ErrorKind, Write};
use std::time::{Duration, Instant};
use telemetry::{log, panics, stderr};
use tracing::Level;
use tracing_subscriber::filter::Targets;

// The host's own file says what it was built with, as each plugin's does.
provost_sdk::record!();

fn main() {
    ffi::handle_signals();
    // Before a plugin can bring a crate that makes rustls choose.
    provost_sdk::tls::install();
    // A panic of this thread too ends the process here: it is in the log.
    panics::watch();
    let result = catch(|| run(&Args::read()?));
    let code = match result {
        Some(Ok(())) => 0,
        Some(Err(errors)) => {
            errors.iter().for_each(log::error);
            1
        }
        None => 101,
    };
    stderr::finish();
    ffi::end(code);
}

/// Writes a result to stdout.
fn print(text: &str) -> Result<(), Errors> {
    let mut stdout = io::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        // Who reads no results needs none.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Errors::one(format!("writing to stdout: {error}"))),
        _ => Ok(()),
    }
}

/// Reads everything, loads everything, then serves. What is wrong before that is reported together.
fn run(args: &Args) -> Result<(), Errors> {
    if let Some(file) = &args.inspect {
        return records::show(file, args.format).map_err(Errors::one).and_then(|text| print(&text));
    }
    if let Some(plugin) = &args.schema {
        return schema(args, plugin.as_deref());
    }
    let mut errors = Errors::default();
    let config = args.config.as_ref().expect("it is named when nothing is inspected");
    let config = Config::read(config, &mut errors);
    if let (None, Some(config)) = (args.log_format, &config) {
        log::set_format(config.log_format);
    }
    if args.health {
        let Some(config) = config else { return Err(errors) };
        // A host that has refused this configuration goes on with the one before.
        return health::query(&config).map_err(|error| {
            errors.add(error);
            errors
        });
    }
    let checked = Checked::read(&args.prov, &mut errors);
    let (Some(config), Some(checked)) = (config, checked) else {
        return Err(errors);
    };
    log::start(args.log.as_ref().unwrap_or(&config.log));
    config.warn();
    let begun = Instant::now();
    let Some(plugins) = load(checked, begun, config.startup_deadline, &mut errors)? else {
        return Err(errors);
    };
    let providers = Providers::start(&config, &plugins, None, begun, &mut errors);
    if errors.is_empty() && !args.check {
        let reload = Reload {
            path: config.path.clone(),
            plugins,
            logs: args.log.is_none(),
            log_format: args.log_format.is_none(),
        };
        return server::serve(config, providers, reload);
    }
    providers.close(Instant::now(), config.shutdown_deadline);
    if errors.is_empty() { print(&summary(plugins.len(), providers.len())) } else { Err(errors) }
}

/// Loads the plugins, with an eye on what they do.
fn load(checked: Checked, begun: Instant, deadline: Duration, errors: &mut Errors) -> Result<Option<Plugins>, Errors> {
    panics::watch_exits().map_err(Errors::one)?;
    let plugins = checked.load(begun, deadline, errors);
    panics::watch_exits().map_err(Errors::one)?;
    Ok(plugins)
}

/// Prints the JSON Schema of the configuration, or of the table of a provider of the plugin `name`. Needs no configuration.
fn schema(args: &Args, name: Option<&str>) -> Result<(), Errors> {
    let mut errors = Errors::default();
    let Some(checked) = Checked::read(&args.prov, &mut errors) else { return Err(errors) };
    // Only what went wrong: the result is for a file.
    log::start(args.log.as_ref().unwrap_or(&Targets::new().with_default(Level::ERROR)));
    let Some(plugins) = load(checked, Instant::now(), config::STARTUP_DEADLINE, &mut errors)? else {
        return Err(errors);
    };
    let made = match name {
        None => catch(|| config::schema::of_file(plugins.iter())),
        Some(name) => {
            let loaded = plugins.get(name).ok_or_else(|| {
                Errors::one(format!("the {}", plugins.not_loaded(name, ("--schema ", ""), "choose another")))
            })?;
            catch(|| config::schema::of_provider(name, loaded.plugin))
        }
    };
    let schema = made.ok_or_else(|| Errors::one("a plugin panicked while it made its schema; see the log"))?;
    print(&format!("{schema:#}\n"))
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
