//! The JSON Schema of each plugin's configuration: the host says it, with the plugin loaded, on the machine that compiled both.

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use crate::compile::assets::Asset;
use crate::compile::machine::Machine;
use crate::compile::{BuiltPlugin, Dist, libraries};
use crate::oci::digest::Digest;
use crate::plan::BuildPlan;
use crate::support::errors::Errors;
use crate::support::files;
use crate::support::paths::Paths;

/// Holds the schema of each plugin, beside the host, in the image too.
pub const DIR: &str = "schemas";

/// Arguments: the host, its option for a plugin, its option for a schema, the extension of a plugin's file, directories of
/// libraries with a colon between them, the program that emulates the target's processor with a `-L` for its libraries, or nothing; then the name
/// and the file of each plugin. One schema after the other goes to stdout. A host loads a plugin only under its own name.
const SCRIPT: &str = r#"
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
host=$1 plugin=$2 schema=$3 extension=$4 libraries=$5 emulator=$6 failed=0
shift 6
start() {
  # The emulator is a program of this system, and needs its libraries.
  if [ -n "$emulator" ]; then $emulator -E "LD_LIBRARY_PATH=$libraries" "$@"; else LD_LIBRARY_PATH=$libraries "$@"; fi
}
while [ $# -gt 0 ]; do
  file=$dir/$1.$extension
  ln -s "$2" "$file"
  start "$host" "$plugin" "$file" "$schema" "$1" 2>"$dir/errors" || {
    status=$?
    [ -s "$dir/errors" ] || echo "the host ended with status $status" >"$dir/errors"
    head -n 5 "$dir/errors" | sed "s|$dir/||g; s|^error: ||; s|^|the plugin $1: |" >&2
    failed=1
  }
  shift 2
done
exit $failed
"#;

/// How the host is started on the machine that compiled it.
pub struct Start<'a> {
    host: &'a Utf8Path,
    /// With a colon between them.
    library_dirs: String,
    emulator: String,
}

impl<'a> Start<'a> {
    /// `library_dirs` are those of std and of the build itself.
    pub fn new<'d>(
        plan: &BuildPlan,
        machine: &dyn Machine,
        host: &'a Utf8Path,
        interpreter: &Utf8Path,
        library_dirs: impl Iterator<Item = &'d Utf8PathBuf>,
    ) -> Result<Start<'a>> {
        let toolchain = &plan.toolchain;
        let emulator = match &toolchain.emulator {
            Some(program) => {
                let root = libraries::sysroot(machine, &toolchain.linker, interpreter)?;
                format!("{program} -L {root}")
            }
            None => String::new(),
        };
        let library_dirs = library_dirs.map(|dir| dir.as_str()).collect::<Vec<_>>().join(":");
        Ok(Start { host, library_dirs, emulator })
    }
}

/// The schema of each plugin; asks the host about those that it has not said of the same files before. `plugins` are the built files on the
/// machine, in the plan's order; `dist` has them here.
pub fn gather(
    paths: &Paths,
    plan: &BuildPlan,
    machine: &dyn Machine,
    start: &Start,
    (dist, plugins): (&Dist, &[Utf8PathBuf]),
) -> Result<Vec<Option<Asset>>> {
    let Some(flag) = &plan.host.schema_flag else { return Ok(plugins.iter().map(|_| None).collect()) };
    let shared = [&dist.host, &dist.sdk].map(|file| files::read(&file.path));
    let [host, sdk] = shared.map(|content| content.map(|bytes| Digest::sha256(&bytes)));
    let shared = format!("{} {}", host?, sdk?);
    let (mut kept, mut asked) = (Vec::new(), Vec::new());
    for (plugin, there) in dist.plugins.iter().zip(plugins) {
        let said = Said::new(paths, plugin, &shared)?;
        if !said.is_kept() {
            asked.push((plugin.name.as_str(), there));
        }
        kept.push(said);
    }
    let mut schemas = ask(plan, machine, start, flag, &asked)?.into_iter();
    let mut assets = Vec::new();
    for said in kept {
        if asked.iter().any(|(name, _)| *name == said.name) {
            said.keep(&schemas.next().context("the host says a schema for each plugin that it is asked about")?)?;
        }
        let name = Utf8Path::new(DIR).join(format!("{}.json", said.name));
        assets.push(Some(Asset { name, path: said.path, executable: false }));
    }
    Ok(assets)
}

/// What the host said of a plugin.
struct Said<'a> {
    name: &'a str,
    path: Utf8PathBuf,
    /// Beside it, the digest of what it was made of and of itself.
    stamp: Utf8PathBuf,
    /// What it is made of: host, SDK and plugin.
    of: String,
}

impl<'a> Said<'a> {
    fn new(paths: &Paths, plugin: &'a BuiltPlugin, shared: &str) -> Result<Said<'a>> {
        let (name, dir) = (plugin.name.as_str(), paths.schemas());
        let own = Digest::sha256(&files::read(&plugin.file.path)?);
        let (path, stamp) = (dir.join(format!("{name}.json")), dir.join(format!("{name}.digest")));
        Ok(Said { name, path, stamp, of: format!("{shared} {own}") })
    }

    fn digest(&self, schema: &str) -> String {
        Digest::sha256(format!("{} {schema}", self.of).as_bytes()).to_string()
    }

    /// Whether the file has what the host said of these files.
    fn is_kept(&self) -> bool {
        let schema = files::read_text(&self.path).map(|schema| self.digest(&schema));
        schema.is_ok_and(|digest| files::read_text(&self.stamp).is_ok_and(|stamped| stamped == digest))
    }

    fn keep(&self, schema: &Value) -> Result<()> {
        let text = format!("{schema:#}\n");
        files::write_changed(&self.path, text.as_bytes())?;
        files::write_changed(&self.stamp, self.digest(&text).as_bytes()).map(drop)
    }
}

/// Asks the host about plugins, each with its file on the machine; in the same order.
fn ask(
    plan: &BuildPlan,
    machine: &dyn Machine,
    start: &Start,
    flag: &str,
    plugins: &[(&str, &Utf8PathBuf)],
) -> Result<Vec<Value>> {
    if plugins.is_empty() {
        return Ok(Vec::new());
    }
    let Start { host, library_dirs, emulator } = start;
    let of_host = &plan.host;
    let fixed =
        ["-c", SCRIPT, "sh", host.as_str(), &of_host.plugin_flag, flag, &of_host.extension, library_dirs, emulator];
    let each = plugins.iter().flat_map(|(name, file)| [*name, file.as_str()]);
    let args: Vec<String> = fixed.into_iter().chain(each).map(str::to_owned).collect();
    let output = machine.query("sh", &args)?;
    if !output.status.success() {
        let mut errors = Errors::default();
        String::from_utf8_lossy(&output.stderr).lines().for_each(|line| errors.push(line.to_owned()));
        errors.report(&format!("the plugins' schemas (`{} {flag}`)", of_host.package))?;
    }
    let mut schemas = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Value>();
    let one = |(name, _): &(&str, &Utf8PathBuf)| {
        let schema = schemas.next().with_context(|| format!("`{} {flag} {name}` printed nothing", of_host.package))?;
        schema.with_context(|| format!("reading what `{} {flag} {name}` printed", of_host.package))
    };
    plugins.iter().map(one).collect()
}
