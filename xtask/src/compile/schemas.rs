//! The JSON Schema of each plugin's configuration: the host says it, with the plugin loaded, on the machine that compiled both.

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use crate::compile::assets::Asset;
use crate::compile::libraries;
use crate::compile::machine::Machine;
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

/// Asks the host about `plugins`, which are in the plan's order; both are paths on the machine. In the same order.
pub fn gather(
    paths: &Paths,
    plan: &BuildPlan,
    machine: &dyn Machine,
    start: &Start,
    plugins: &[Utf8PathBuf],
) -> Result<Vec<Option<Asset>>> {
    let Some(flag) = &plan.host.schema_flag else { return Ok(plugins.iter().map(|_| None).collect()) };
    let Start { host, library_dirs, emulator } = start;
    let of_host = &plan.host;
    let fixed =
        ["-c", SCRIPT, "sh", host.as_str(), &of_host.plugin_flag, flag, &of_host.extension, library_dirs, emulator];
    let each = plan.plugins.iter().zip(plugins).flat_map(|(plugin, file)| [plugin.name.as_str(), file.as_str()]);
    let args: Vec<String> = fixed.into_iter().chain(each).map(str::to_owned).collect();
    let output = machine.query("sh", &args)?;
    if !output.status.success() {
        let mut errors = Errors::default();
        String::from_utf8_lossy(&output.stderr).lines().for_each(|line| errors.push(line.to_owned()));
        errors.report(&format!("the plugins' schemas (`{} {flag}`)", plan.host.package))?;
    }
    let mut schemas = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Value>();
    let asset = |name: &str| {
        let schema =
            schemas.next().with_context(|| format!("`{} {flag} {name}` printed nothing", plan.host.package))?;
        let schema = schema.with_context(|| format!("reading what `{} {flag} {name}` printed", plan.host.package))?;
        let path = paths.schemas().join(format!("{name}.json"));
        files::write_changed(&path, format!("{schema:#}\n").as_bytes())?;
        Ok(Some(Asset { name: Utf8Path::new(DIR).join(format!("{name}.json")), path, executable: false }))
    };
    plan.plugins.iter().map(|plugin| plugin.name.as_str()).map(asset).collect()
}
