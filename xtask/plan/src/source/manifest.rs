//! The root manifest: `[workspace.metadata.image]`, and the members of the workspace.

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use cargo_metadata::Package;
use serde::Deserialize;

use crate::oci::entry::User;
use crate::source::matrix::MatrixSpec;
use crate::source::submodules;
use crate::support::errors::Errors;
use crate::support::files;

/// The root manifest, as far as xtask reads it itself.
#[derive(Deserialize)]
struct RootManifest {
    workspace: Workspace,
    #[serde(default)]
    patch: toml::Table,
}

#[derive(Deserialize)]
pub struct Workspace {
    #[serde(default)]
    pub members: Vec<String>,
    #[serde(default)]
    pub dependencies: toml::Table,
    /// `[patch]`, by source.
    #[serde(skip)]
    pub patches: toml::Table,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    image: HostSpec,
}

/// `[workspace.metadata.image]`, validated: everything that xtask knows about the host.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HostSpec {
    /// The host's package; its binary of the same name is the program.
    pub package: String,
    /// The dylib that host and plugins share.
    pub sdk: String,
    /// Of the image and its archive.
    pub name: String,
    pub title: String,
    /// File extension of a built plugin, without the dot.
    pub extension: String,
    pub plugin_flag: String,
    pub config_flag: String,
    /// The option that makes the program load everything and serve nothing.
    pub check_flag: String,
    /// The option that makes the program query the running one: the image's health check.
    pub health_flag: Option<String>,
    /// Whether the command is the image's `Entrypoint`, which arguments are added to, and not its `Cmd`, which they replace.
    #[serde(default)]
    pub entrypoint: bool,
    /// The option that, with a plugin's name, makes the program print the JSON Schema of what this plugin's providers are
    /// configured with.
    pub schema_flag: Option<String>,
    /// Absolute, in the image.
    pub config: Utf8PathBuf,
    /// The directory for configurations that plugins ship: absolute, in the image.
    pub plugin_config: Option<Utf8PathBuf>,
    /// In the tree.
    pub default_config: Utf8PathBuf,
    /// In the tree.
    pub development_config: Utf8PathBuf,
    /// Absolute, in the image.
    pub working_dir: Utf8PathBuf,
    /// Absolute, in the image; belongs to `user`.
    pub state_dir: Utf8PathBuf,
    pub user: User,
    pub port: u16,
    /// The path of its HTTP API that takes messages.
    pub send_path: Option<String>,
    /// The profile of cargo that `cargo xtask run` and `check` compile with, for speed; the image's if there is none.
    pub run_profile: Option<String>,
    /// What the host is started with to probe a plugin, in the tree; its log then says `address=IP:PORT`.
    pub probe_config: Option<Utf8PathBuf>,
    /// The directory of the templates for new plugins, in the tree.
    pub plugin_templates: Option<Utf8PathBuf>,
    /// A workspace in the tree, by its directory, with one program, which measures.
    pub benches: Option<Utf8PathBuf>,
    /// What CI builds.
    #[serde(default)]
    pub matrix: MatrixSpec,
    /// Directories in the tree: plugins that only the image of `cargo xtask test` contains.
    #[serde(default)]
    pub test_plugins: Vec<Utf8PathBuf>,
}

/// What the host's own manifest says about it, for image labels.
#[derive(Clone, Debug, Default)]
pub struct About {
    pub description: Option<String>,
    /// An SPDX expression.
    pub license: Option<String>,
    pub repository: Option<String>,
    pub homepage: Option<String>,
}

impl About {
    pub fn from_package(package: &Package) -> About {
        About {
            description: package.description.clone(),
            license: package.license.clone(),
            repository: package.repository.clone(),
            homepage: package.homepage.clone(),
        }
    }
}

/// Reads and validates the root manifest.
pub fn read(root: &Utf8Path) -> Result<Workspace> {
    let path = root.join("Cargo.toml");
    let text = files::read_text(&path)?;
    let manifest: RootManifest = toml::from_str(&text).with_context(|| format!("reading {path}"))?;
    manifest.workspace.image().validate(root)?;
    Ok(Workspace { patches: manifest.patch, ..manifest.workspace })
}

impl Workspace {
    pub fn image(&self) -> &HostSpec {
        &self.metadata.image
    }
}

impl HostSpec {
    fn validate(&self, root: &Utf8Path) -> Result<()> {
        let mut errors = Errors::default();
        let in_image = [("config", &self.config), ("working-dir", &self.working_dir), ("state-dir", &self.state_dir)];
        let plugin_config = self.plugin_config.iter().map(|path| ("plugin-config", path));
        for (key, path) in in_image.into_iter().chain(plugin_config) {
            let normal = path.components().skip(1).all(|part| matches!(part, camino::Utf8Component::Normal(_)));
            if !path.is_absolute() || !normal || path.parent().is_none() {
                errors.push(format!("`{key} = \"{path}\"` must be an absolute path in the image, without `..`"));
            }
        }
        for (key, path) in [("default-config", &self.default_config), ("development-config", &self.development_config)]
        {
            if !root.join(path).is_file() {
                let submodule = submodules::error(root, path).map(|error| format!(": {error}")).unwrap_or_default();
                errors.push(format!("`{key} = \"{path}\"` is not a file in the tree{submodule}"));
            }
        }
        let reference =
            |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || "-_.".contains(character);
        if self.name.is_empty() || !self.name.chars().all(reference) {
            errors.push(format!("`name = \"{}\"` must be lower case letters, digits, `-`, `_` and `.`", self.name));
        }
        errors.report("[workspace.metadata.image]").with_context(|| format!("reading {}", root.join("Cargo.toml")))
    }
}
