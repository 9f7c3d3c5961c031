//! `cargo xtask new`: a new plugin from a template.

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;

use crate::cargo::toolchain;
use crate::source::manifest;
use crate::source::plugins::Discovered;
use crate::source::selection::Selection;
use crate::source::templates::{Place, Templates};
use crate::source::{name, plugins};
use crate::support::errors::Errors;
use crate::support::files;
use crate::support::paths::{Paths, normal};
use crate::support::ui::Ui;

#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask new weather                           a plugin in plugins/weather
  cargo xtask new weather --template http           with an HTTP client and a secret
  cargo xtask new weather --path ../weather         in a repository of its own")]
pub struct NewArgs {
    /// Name of the plugin
    name: String,

    /// Template: `minimal`, `http` (an HTTP client and a secret), or `ffi` (C code and a task in the background)
    #[arg(long, default_value = "minimal", hide_possible_values = true)]
    template: String,

    /// Create it in this directory, as a repository of its own, instead of plugins/NAME
    #[arg(long, value_name = "DIR")]
    path: Option<Utf8PathBuf>,
}

impl NewArgs {
    pub fn run(&self, ui: &Ui, paths: &Paths) -> Result<()> {
        let workspace = manifest::read(&paths.root)?;
        let host = workspace.image();
        // What is wrong with other plugins is not in the way.
        let (found, _) = plugins::examine(paths, &workspace, &Selection::default(), Vec::new(), &host.test_plugins)?;
        let templates = Templates::read(&paths.root, host)?;
        let dir = match &self.path {
            None => paths.root.join(plugins::DIR).join(&self.name),
            Some(path) => absolute(path)?,
        };
        let mut errors = Errors::default();
        errors.extend(name::error(&self.name, host));
        errors.extend(self.clash(&found));
        errors.extend(occupied(&dir));
        let release = toolchain::pinned(&paths.root)?;
        let place = match &self.path {
            None => Place::Tree,
            Some(_) => {
                if dir.starts_with(&paths.root) {
                    errors
                        .push(format!("{dir} is in this tree: leave out --path, or name a directory beside the tree"));
                }
                Place::Repository { dir: &dir, root: &paths.root, release: &release }
            }
        };
        let rendered = templates.render(&self.template, &self.name, &place);
        let rendered = rendered.map_err(|error| errors.push(format!("{error:#}")));
        errors.report("the new plugin")?;
        let Ok(rendered) = rendered else { return Ok(()) };
        files::create_tree(&dir, &rendered)?;
        ui.status("Created", format!("{} from the template {}", paths.relative(&dir), self.template));
        ui.status("Next", self.next(&dir));
        Ok(())
    }

    /// Why no other plugin may be there.
    fn clash(&self, found: &Discovered) -> Option<String> {
        let same = |other: &&String| name::library(other) == name::library(&self.name);
        let other = found.packages.keys().find(same)?;
        let dir = &found.packages[other].dir;
        Some(format!("{dir} has the plugin `{other}` already: choose another name"))
    }

    fn next(&self, dir: &Utf8Path) -> String {
        match self.path {
            None => format!("`cargo test -p {0}` tests it, `cargo xtask run` starts the host with it", self.name),
            Some(_) => {
                format!("`cargo test` in {dir} tests it, `cargo xtask image --with {dir}` builds the image with it")
            }
        }
    }
}

fn absolute(path: &Utf8Path) -> Result<Utf8PathBuf> {
    let absolute = std::path::absolute(path).with_context(|| format!("finding {path}"))?;
    let absolute = Utf8PathBuf::try_from(absolute).context("the current directory is not UTF-8")?;
    // Without `..`, so that the way back to the tree can be found.
    Ok(normal(&absolute))
}

fn occupied(dir: &Utf8Path) -> Option<String> {
    let empty = || dir.read_dir_utf8().is_ok_and(|mut entries| entries.next().is_none());
    (dir.symlink_metadata().is_ok() && !empty())
        .then(|| format!("{dir} exists already: remove it, or choose another name"))
}
