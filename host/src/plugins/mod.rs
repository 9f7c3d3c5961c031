//! The plugins of the command line. All records are read and compared before the first plugin is loaded.

pub mod records;
mod refusals;

use crate::ground::channel::{Reports, Silence, reports};
use crate::ground::errors::Errors;
use crate::ground::ffi;
use crate::plugins::records::Demand;
use crate::plugins::refusals::{Refusal, Refusals, TOGETHER};
use crate::telemetry::panics;
use provost_record::{Record, printable};
use provost_sdk::config::suggest;
use provost_sdk::plugin::Plugin;
use provost_sdk::{SHOWN, excerpt, with_causes};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// The directory beside the plugins that has a directory for each that ships files.
const ASSETS: &str = "assets";

/// Plugins that may be loaded. Nothing of them has run.
pub struct Checked<'a> {
    /// Path and record by name.
    found: BTreeMap<String, (&'a Path, Record)>,
}

/// The loaded plugins by name.
pub struct Plugins {
    by_name: BTreeMap<String, Loaded>,
}

/// A loaded plugin.
pub struct Loaded {
    /// How it was built.
    pub record: Record,
    /// What it exports.
    pub plugin: &'static Plugin,
    /// Where the files are that it ships, if it ships any.
    pub assets: PathBuf,
}

impl<'a> Checked<'a> {
    /// Reads the files `paths`. What is wrong goes to `errors`, and then none may be loaded.
    pub fn read(paths: &'a [PathBuf], errors: &mut Errors) -> Option<Self> {
        let demand = match Demand::of_this_host() {
            Ok(demand) => demand,
            Err(error) => {
                errors.add(error);
                return None;
            }
        };
        let mut found = BTreeMap::new();
        let mut refusals = Refusals::new(paths.len());
        for path in paths {
            if let Err(refusal) = examine(path, &demand, &mut found) {
                refusals.add(path.display(), refusal);
            }
        }
        if !refusals.is_empty() {
            errors.add(refusals.to_string());
            return None;
        }
        Some(Self { found })
    }

    /// Loads them, until it is `deadline` since `begun`. What is wrong goes to `errors`.
    pub fn load(self, begun: Instant, deadline: Duration, errors: &mut Errors) -> Option<Plugins> {
        if self.found.is_empty() {
            return Some(Plugins { by_name: BTreeMap::new() });
        }
        let reports = match loading(self.found.values().map(|(path, _)| path.to_path_buf()).collect()) {
            Ok(reports) => reports,
            Err(error) => {
                errors.add(format!("starting the thread that loads plugins: {error}"));
                return None;
            }
        };
        let mut sound = true;
        let mut by_name = BTreeMap::new();
        for (name, (path, record)) in self.found {
            let shown = path.display();
            match reports.next(deadline.saturating_sub(begun.elapsed())) {
                Ok(Ok(plugin)) => {
                    let assets = path.with_file_name(ASSETS).join(&name);
                    by_name.insert(name, Loaded { record, plugin, assets });
                }
                Ok(Err(error)) => {
                    errors.add(format!("loading {shown}: {error}; {TOGETHER}"));
                    sound = false;
                }
                Err(silence) => {
                    errors.add(format!("loading {shown}: {}", why_silent(silence, &name, "initialisers", deadline)));
                    return None;
                }
            }
        }
        sound.then_some(Plugins { by_name })
    }
}

impl Plugins {
    /// The plugin `name`.
    pub fn get(&self, name: &str) -> Option<&Loaded> {
        self.by_name.get(name)
    }

    /// The names of all plugins, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// What each exports, by its name, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Plugin)> {
        self.by_name.iter().map(|(name, loaded)| (name.as_str(), loaded.plugin))
    }

    /// Says that the plugin `name` is not loaded, and how to mend it. `setting` is what stands around the name where a
    /// plugin is chosen, `choose` says in words to do so.
    pub fn not_loaded(&self, name: &str, setting: (&str, &str), choose: &str) -> String {
        let shown = excerpt(name, SHOWN);
        let given = self.names().collect::<Vec<_>>().join(", ");
        let given = if given.is_empty() { "no plugin is loaded".to_owned() } else { format!("loaded: {given}") };
        let hint = match suggest(name, self.names()) {
            Some(meant) => format!("did you mean `{}{meant}{}`?", setting.0, setting.1),
            None => format!("{choose}, or add `--prov {shown}.prov` to the command"),
        };
        format!("plugin `{shown}` is not loaded ({given}): {hint}")
    }

    /// How many plugins are loaded.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }
}

/// What a plugin that has not come back from a step has done, as far as anybody can tell.
pub fn why_silent(silence: Silence, plugin: &str, step: &str, deadline: Duration) -> String {
    match silence {
        Silence::Deadline => {
            format!("the plugin `{plugin}` did not finish its {step} within {deadline:?} (`server.startup_deadline`)")
        }
        // Nobody reports after a panic.
        Silence::Ended => format!("the plugin `{plugin}` panicked in its {step}; see the log"),
    }
}

/// Loads the files, one after the other, on a thread of its own: initialisers are the plugins' code, and need not come back.
/// One thread is enough, since the dynamic linker loads nothing else until they have.
fn loading(paths: Vec<PathBuf>) -> io::Result<Reports<Result<&'static Plugin, String>>> {
    let (reporter, reports) = reports();
    let load = move |path: &PathBuf| {
        panics::whose(format!("the plugin in {}", path.display()).leak());
        // Before: of a plugin that aborts meanwhile it is the only trace.
        tracing::debug!(file = %path.display(), "loading");
        reporter.report(ffi::load(path).map_err(|error| printable(&with_causes(&error))));
    };
    thread::Builder::new().name("loading".to_owned()).spawn(move || paths.iter().for_each(load))?;
    Ok(reports)
}

/// Judges one file, and adds it to those found by then: path and record by name.
fn examine<'a>(
    path: &'a Path,
    demand: &Demand,
    found: &mut BTreeMap<String, (&'a Path, Record)>,
) -> Result<(), Refusal> {
    let have = demand.check(path)?;
    match found.entry(have.plugin.clone()) {
        Entry::Vacant(entry) => {
            entry.insert((path, have));
            Ok(())
        }
        Entry::Occupied(entry) => {
            let have = format!("{}, first given as {}", entry.key(), entry.get().0.display());
            let fix = format!("remove `--prov {}`", path.display());
            Err(Refusal::new("plugin", have, "each plugin once", fix))
        }
    }
}
