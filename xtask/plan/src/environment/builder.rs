//! The builder: which image it is, and what its compiler is.

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::containers::engine::Engine;
use crate::containers::engine::images::ImageInfo;
use crate::containers::images::BUILDER_FILE;
use crate::oci::digest::Digest;
use crate::support::command::Invocation;
use crate::support::session::Session;
use crate::support::ui::Ui;
use crate::support::{files, variables};

/// Prints one line for each question about a builder; works in every shell.
const QUESTIONS: &str = r#"
command -v cargo >/dev/null && command -v rustc >/dev/null || { echo "missing cargo"; exit; }
export RUSTUP_AUTO_INSTALL=0
if rustc -vV 2>/dev/null; then echo "chosen: yes"; else unset RUSTUP_TOOLCHAIN; rustc -vV || exit 1; fi
for target in x86_64-unknown-linux-musl aarch64-unknown-linux-musl x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu; do
  ls "$(rustc --print target-libdir --target "$target" 2>/dev/null)"/libstd-*.* >/dev/null 2>&1 && echo "target: $target"
done
config=${CARGO_HOME:-$HOME/.cargo}/config.toml
for linker in cc x86_64-linux-gnu-gcc x86_64-linux-musl-gcc aarch64-linux-gnu-gcc aarch64-linux-musl-gcc $(sed -n 's/^ *linker *= *"\(.*\)".*/\1/p' "$config" 2>/dev/null); do
  command -v "$linker" >/dev/null && echo "linker: $linker"
done
for emulator in qemu-x86_64 qemu-x86_64-static qemu-aarch64 qemu-aarch64-static; do
  command -v "$emulator" >/dev/null && echo "emulator: $emulator"
done
for libc in /lib/ld-musl-*.so.1; do
  [ -e "$libc" ] && "$libc" 2>&1 | sed -n 's/^Version /musl: /p'
done
cat "$config" 2>/dev/null || true
"#;

/// The variable by which rustup chooses a toolchain.
pub const CHOICE: &str = "RUSTUP_TOOLCHAIN";

/// An image that compiles.
#[derive(Clone, Debug, Serialize)]
pub struct Builder {
    #[serde(skip)]
    pub engine: Engine,
    pub reference: String,
    pub id: String,
    #[serde(skip)]
    pub facts: Facts,
    /// Variables of the image that must not reach cargo and rustc.
    #[serde(skip)]
    pub hidden: Vec<String>,
}

/// What a builder says about itself.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Facts {
    /// The whole answer of `rustc -vV`.
    pub rustc: String,
    /// Whether RUSTUP_TOOLCHAIN may be set in it. If not, its one toolchain has another name.
    pub chosen: bool,
    /// Targets for which it has std.
    pub targets: Vec<String>,
    /// Linkers that it has.
    pub linkers: Vec<String>,
    /// Programs that start files of another architecture.
    pub emulators: Vec<String>,
    /// The version of the musl that it has.
    pub musl: Option<String>,
    /// Cargo's configuration in it.
    pub config: String,
}

impl Builder {
    /// Asks an image what it has, once, then remembers by its id.
    pub fn query(session: &Session, engine: &Engine, image: (String, ImageInfo), channel: &str) -> Result<Builder> {
        let Session { ui, paths, .. } = session;
        let (reference, info) = image;
        let env = info.config.as_ref().and_then(|config| config.env.as_deref()).unwrap_or_default();
        let names = env.iter().filter_map(|variable| variable.split('=').next());
        let hidden: Vec<String> = names.filter(|name| variables::is_hidden(name)).map(str::to_owned).collect();
        let key = Digest::sha256(format!("{} {channel} {QUESTIONS}", info.id).as_bytes());
        let memory = paths.builders().join(format!("{}.json", key.prefix(16)));
        let remembered = std::fs::read(&memory).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let facts = match remembered {
            Some(facts) => facts,
            None => {
                let facts = Facts::query(ui, engine, &reference, &info.id, channel, &hidden)?;
                let bytes = serde_json::to_vec(&facts)?;
                files::write_atomically(&memory, |out| Ok(out.write_all(&bytes)?))?;
                facts
            }
        };
        Ok(Builder { engine: engine.clone(), reference, id: info.id, facts, hidden })
    }
}

/// Whether it is a variable's name in a shell. A shell passes other names on, and `unset` of such a name would end it.
fn is_plain(name: &str) -> bool {
    name.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
}

impl Facts {
    fn query(ui: &Ui, engine: &Engine, reference: &str, id: &str, channel: &str, hidden: &[String]) -> Result<Facts> {
        let unset: String = hidden
            .iter()
            .filter(|name| *name != CHOICE && is_plain(name))
            .map(|name| format!("unset {name}\n"))
            .collect();
        let script = unset + QUESTIONS;
        let answer = engine
            .query(ui, id, &format!("{CHOICE}={channel}"), &script)
            .with_context(|| format!("querying the builder {reference}"))?;
        if answer.starts_with("missing cargo") {
            bail!(
                "the builder {reference} has no cargo and rustc on its PATH; choose an image that has them, in \
                 {BUILDER_FILE} or with --builder-image"
            );
        }
        Ok(Facts::parse(&answer))
    }

    /// What this machine says about itself, with the pinned toolchain.
    pub fn of_this_machine(ui: &Ui, channel: &str) -> Result<Facts> {
        let questions = Invocation::new("sh", ["-c", QUESTIONS]).env(CHOICE, channel);
        Ok(Facts::parse(&questions.read(ui).context("asking this machine what it compiles with")?))
    }

    fn parse(answer: &str) -> Facts {
        let (mut rustc, mut config) = (Vec::new(), Vec::new());
        let (mut targets, mut linkers, mut emulators) = (Vec::new(), Vec::new(), Vec::new());
        let (mut musl, mut chosen) = (None, false);
        for line in answer.lines() {
            match line.split_once(": ") {
                Some(("target", target)) => targets.push(target.to_owned()),
                Some(("linker", program)) => linkers.push(program.to_owned()),
                Some(("emulator", program)) => emulators.push(program.to_owned()),
                Some(("chosen", "yes")) => chosen = true,
                Some(("musl", version)) => musl = Some(version.to_owned()),
                // What comes after `rustc -vV`, which ends with LLVM's version.
                _ if rustc.iter().any(|line: &&str| line.starts_with("LLVM")) => config.push(line),
                _ => rustc.push(line),
            }
        }
        Facts { rustc: rustc.join("\n"), chosen, targets, linkers, emulators, musl, config: config.join("\n") }
    }

    /// The value of a line of `rustc -vV`.
    pub fn line(&self, key: &str) -> Option<&str> {
        self.rustc.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).map(str::trim)
    }

    /// The linker that cargo's configuration there names for a target.
    pub fn named_linker(&self, target: &str) -> Option<String> {
        let config: toml::Table = toml::from_str(&self.config).unwrap_or_default();
        Some(config.get("target")?.get(target)?.get("linker")?.as_str()?.to_owned())
    }
}
