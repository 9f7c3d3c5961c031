//! Which rows a change can affect. It is judged by what layers are made of, at both commits, as `plan` predicts the layer status.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use crate::base::layers::BaseFiles;
use crate::cargo::resolution::Reach;
use crate::cargo::toolchain::Toolchain;
use crate::containers::engine::Engine;
use crate::containers::skopeo;
use crate::environment::options::BuildEnvironment;
use crate::oci::documents::{Config, REVISION};
use crate::oci::reference;
use crate::pipeline::matrix::rows;
use crate::pipeline::prepare;
use crate::plan::BuildPlan;
use crate::plan::changes::Changes;
use crate::plan::forecast::{summary, turned_on};
use crate::plan::inputs::Inputs;
use crate::plan::matrix::{Kind, Row};
use crate::source::checkout::Checkout;
use crate::source::manifest::{self, HostSpec};
use crate::source::matrix::MatrixSpec;
use crate::source::revision::DIRTY;
use crate::source::revision::history::Before;
use crate::source::selection::Selection;
use crate::support::session::Session;

/// What decides how everything is built; what lies in `.cargo` decides flags.
const BUILD_SYSTEM: [&str; 4] = [".cargo", "docker", "rust-toolchain.toml", "xtask"];

/// What cargo answers about these, says more than that they changed.
const WORKSPACE: [&str; 2] = ["Cargo.lock", "Cargo.toml"];

/// The tree at both commits.
pub struct Since {
    now: Session,
    before: Session,
    changed: Vec<Utf8PathBuf>,
}

/// What one set of plugins is made of, at one commit.
struct Made {
    plan: BuildPlan,
    inputs: Inputs,
}

impl Since {
    /// `session` is in a target directory for plans of CI; `reference` names a commit.
    pub fn read(session: &Session, reference: &str) -> Result<Since> {
        let commit = Before::find(session, &session.paths.root, reference)?;
        let before = session.inside(&session.paths.before());
        commit.write(&before.paths.root)?;
        let (root, own) = (&session.paths.root, session.paths.target());
        // The tree's target directory, which git need not ignore.
        let target = own.parent().unwrap_or(&own);
        let changed = commit.changed()?.into_iter().filter(|path| !root.join(path).starts_with(target)).collect();
        Ok(Since { now: session.clone(), before, changed })
    }

    /// The rows that the change can affect, each with the reason.
    pub fn affected(&self, kind: Kind, platforms: &[String], all: Vec<Row>) -> Result<Vec<(Row, String)>> {
        if let Some(why) = self.affects_everything(kind)? {
            return Ok(all.into_iter().map(|row| (row, why.clone())).collect());
        }
        let before = rows(&self.before.paths, kind, platforms)?;
        let flavours = manifest::read(&self.now.paths.root)?.image().matrix.flavours();
        let mut affected = Vec::new();
        // Rows of one set of plugins differ in platform and toolchain, and neither changed.
        let mut known: BTreeMap<(String, Vec<String>), Option<String>> = BTreeMap::new();
        for row in all {
            let why = if !before.contains(&row) {
                Some("it is new, or builds something else than before".to_owned())
            } else if self.changed.is_empty() || kind == Kind::Test {
                None
            } else if let Some(why) = known.get(&(row.flavour.clone(), row.plugins.clone())) {
                why.clone()
            } else {
                let selection = flavours.get(&row.flavour).cloned().unwrap_or_default();
                let why = self.reason(kind, &row.plugins, &selection)?;
                known.insert((row.flavour.clone(), row.plugins.clone()), why.clone());
                why
            };
            affected.extend(why.map(|why| (row, why)));
        }
        Ok(affected)
    }

    /// Why the change can affect every row, as far as paths tell.
    fn affects_everything(&self, kind: Kind) -> Result<Option<String>> {
        for path in &self.changed {
            if BUILD_SYSTEM.iter().any(|part| path.starts_with(part)) {
                return Ok(Some(format!("{path} changed, which decides how everything is built")));
            }
            let is_document = path.extension() == Some("md") && !self.is_in_crate(path);
            if is_document {
                continue;
            }
            if kind == Kind::Test {
                return Ok(Some(format!("{path} changed")));
            }
            if !self.is_in_crate(path) && !WORKSPACE.iter().any(|name| path == name) {
                return Ok(Some(format!("{path} changed, which is in no crate, so any may include it")));
            }
        }
        let spec = |session: &Session| -> Result<HostSpec> {
            let host = manifest::read(&session.paths.root)?.image().clone();
            Ok(HostSpec { matrix: MatrixSpec::default(), ..host })
        };
        let is_same = spec(&self.now)? == spec(&self.before)?;
        Ok((!is_same).then(|| "[workspace.metadata.image] changed in Cargo.toml".to_owned()))
    }

    /// Whether it lies in the directory of a crate, other than the root.
    fn is_in_crate(&self, path: &Utf8Path) -> bool {
        let roots = [&self.now.paths.root, &self.before.paths.root];
        let inside = |dir: &Utf8Path| {
            !dir.as_str().is_empty() && roots.iter().any(|root| root.join(dir).join("Cargo.toml").is_file())
        };
        path.ancestors().skip(1).any(inside)
    }

    /// Why the change affects an image of these plugins, or their check.
    fn reason(&self, kind: Kind, plugins: &[String], selection: &Selection) -> Result<Option<String>> {
        let reach = if kind == Kind::Check { Reach::Tested } else { Reach::Compiled };
        let (before, now) = (made(&self.before, selection, reach)?, made(&self.now, selection, reach)?);
        let nobody = |_: &_| Ok(String::new());
        let turned_on = turned_on(&self.now.paths, &now.plan, &before.inputs, &now.inputs, nobody)?;
        let host = &now.plan.host;
        let changes = Changes { before: &before.inputs, after: &now.inputs, sdk: &host.sdk, turned_on: &turned_on };
        let packages: Vec<String> = plugins.iter().chain([&host.package, &host.sdk]).cloned().collect();
        let mut why = changes.of_environment();
        why.extend(changes.of_source(host.default_config.as_str()));
        why.extend(changes.of_packages(&packages, &packages));
        Ok((!why.is_empty()).then(|| summary(&why)))
    }
}

/// The commit that an image was built from: the one in the registry, if the name has one, else the container engine's.
pub fn revision(session: &Session, image: &str) -> Result<String> {
    let ui = &session.ui;
    let settings = if reference::names_registry(image) {
        let text = skopeo::inspect_config(image).read(ui).with_context(|| format!("reading the image {image}"))?;
        let config: Config =
            serde_json::from_str(&text).with_context(|| format!("reading the configuration of {image}"))?;
        Some(config.config)
    } else {
        let info = Engine::find(ui, &[])?.inspect(ui, image)?;
        info.with_context(|| format!("there is no image {image} here; a name with a registry is looked up there"))?
            .config
    };
    let revision = settings.and_then(|settings| settings.revision().map(str::to_owned));
    let revision = revision.with_context(|| format!("the image {image} has no label {REVISION}"))?;
    ensure!(!revision.ends_with(DIRTY), "the image {image} was built from files that are in no commit ({revision})");
    Ok(revision)
}

/// Asks cargo about a set of plugins. Builder and base image are in `docker/`, the compiler's version in `rust-toolchain.toml`.
fn made(session: &Session, selection: &Selection, reach: Reach) -> Result<Made> {
    let paths = &session.paths;
    let checkout = Checkout::read(paths, manifest::read(&paths.root)?, selection, Vec::new(), false)?;
    let toolchain = Toolchain::find(&session.ui, &paths.root, None)?;
    let plan = prepare::build(session, &checkout, false, BuildEnvironment::Local, toolchain)?;
    let crates = plan.query().crates(session, reach)?;
    let inputs = Inputs::gather(paths, &plan, &BaseFiles::default(), crates)?;
    Ok(Made { plan, inputs })
}
