//! Starts the real host with one plugin, and sends messages through it: an empty one, a large one, and one that is cut off.

use std::io::{self, BufRead, BufReader};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use toml::{Table, Value};

use crate::compile::Dist;
use crate::plan::{BuildPlan, Plugin};
use crate::support::command::Invocation;
use crate::support::errors::Errors;
use crate::support::files;
use crate::support::running::Running;
use crate::support::session::Session;

/// How long the host may take to start, to answer, and to end.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of the large message: half of what the host takes by default.
const LARGE: usize = 512 << 10;

/// Probes the plugin with its default configuration, or with `config`; without both there is nothing to start.
pub fn probe(
    session: &Session,
    plan: &BuildPlan,
    dist: &Dist,
    plugin: &Plugin,
    config: Option<&Utf8Path>,
    errors: &mut Errors,
) -> Result<()> {
    let (Some(path), Some(base)) = (&plan.host.send_path, &plan.host.probe_config) else { return Ok(()) };
    let shipped = plugin.assets.config.as_ref().map(|own| session.paths.root.join(&plugin.path).join(own));
    let Some(file) = config.map(Utf8Path::to_owned).or(shipped) else { return Ok(()) };
    let base = files::read_text(&session.paths.root.join(base))?;
    let own: Table = match files::read_text(&file)?.parse() {
        Ok(own) => own,
        Err(error) => {
            errors.push_as("config", &plugin.path, format!("{file} is not TOML: {error}"));
            return Ok(());
        }
    };
    let url = format!("http://ADDRESS{path}");
    let probing = Probing { session, plan, dist, plugin, url };
    for hurried in [false, true] {
        let written = probing.write(&base, &own, hurried)?;
        if let Err(error) = probing.run(&written, &providers(&own), hurried) {
            let code = if error.is_config { "config" } else { "probe" };
            errors.push_as(code, &plugin.path, format!("{}: {}", plugin.path, error.message));
            break;
        }
    }
    Ok(())
}

/// The names that the configuration defines: `log` of `[providers.log]`.
fn providers(own: &Table) -> Vec<String> {
    own.values().filter_map(Value::as_table).flat_map(Table::keys).cloned().collect()
}

struct Probing<'a> {
    session: &'a Session,
    plan: &'a BuildPlan,
    dist: &'a Dist,
    plugin: &'a Plugin,
    /// With `ADDRESS` for the host's.
    url: String,
}

struct Failure {
    message: String,
    /// Whether the host did not start.
    is_config: bool,
}

impl Probing<'_> {
    /// The plugin's configuration behind the host's own. `hurried`: each delivery is cut off at once.
    fn write(&self, base: &str, own: &Table, hurried: bool) -> Result<Utf8PathBuf> {
        let mut own = own.clone();
        if hurried {
            let providers = own.iter_mut().filter_map(|(_, tables)| tables.as_table_mut()).flatten();
            for provider in providers.filter_map(|(_, provider)| provider.as_table_mut()) {
                provider.insert("timeout".to_owned(), "1ms".into());
            }
        }
        let path = self.session.paths.checked().join("probe.toml");
        files::write_changed(&path, format!("{base}\n{own}").as_bytes())?;
        Ok(path)
    }

    fn run(&self, config: &Utf8Path, providers: &[String], hurried: bool) -> Result<(), Failure> {
        let failed = |message: String| Failure { message, is_config: false };
        let (host, address) = self.start(config)?;
        let url = self.url.replace("ADDRESS", &address);
        let large = "x".repeat(LARGE);
        let messages = [("an empty message", ""), ("a large message", &large)];
        let mut result = Ok(());
        for (what, text) in messages {
            for provider in providers {
                let body =
                    serde_json::json!({ "provider": provider, "text": text, "to": ["test@example.org"] }).to_string();
                let request = minreq::post(&url).with_header("content-type", "application/json").with_body(body);
                let answer = request.with_timeout(PATIENCE.as_secs()).send();
                let why = match answer.as_ref().map(|answer| answer.status_code) {
                    Ok(500) => Some(format!("it panicked on {what}")),
                    Ok(504) if !hurried => Some(format!("it did not end the delivery of {what} before its timeout")),
                    Ok(_) => None,
                    Err(error) => Some(format!("the host stopped answering at {what}: {error}")),
                };
                if let (Some(why), Ok(())) = (why, &result) {
                    result = Err(failed(why));
                }
            }
        }
        let ended = host.end(PATIENCE).map_err(|error| failed(format!("{error:#}")));
        result?;
        match ended? {
            Some(0) => Ok(()),
            Some(code) => {
                Err(failed(format!("the host ended with the exit code {code} where it should end without an error")))
            }
            None => Err(failed(format!("the host did not end within {} s", PATIENCE.as_secs()))),
        }
    }

    /// Starts the host, and waits until its log says where it listens: `address=...`.
    fn start(&self, config: &Utf8Path) -> Result<(Running, String), Failure> {
        let host = &self.plan.host;
        let file = self.plan.file_name(self.plugin);
        let args = [host.config_flag.as_str(), config.as_str(), &host.plugin_flag, &file];
        let program = Invocation::new(self.dist.host.path.as_str(), args).dir(self.session.paths.dist());
        let starting = |error: io::Error| Failure { message: format!("starting the host: {error}"), is_config: false };
        let host = program.start(&self.session.ui).map_err(starting)?;
        let mut log = BufReader::new(host.clone());
        let (mut line, mut said) = (String::new(), String::new());
        while log.read_line(&mut line).map_err(starting)? > 0 {
            if let Some(address) = line.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next()) {
                let address = address.to_owned();
                // Read on, or the host would wait for its reader.
                thread::spawn(move || io::copy(&mut log, &mut io::sink()));
                return Ok((host, address));
            }
            said.push_str(&line);
            line.clear();
        }
        let error = said.find("error: ").map_or(said.as_str(), |begin| &said[begin + "error: ".len()..]).trim_end();
        Err(Failure { message: format!("the host does not start with its configuration: {error}"), is_config: true })
    }
}
