//! Fills the dist directory: checks each built file and gives it its name in the image.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use cargo_metadata::{Artifact, PackageId, TargetKind};

use crate::compile::assets::{self, Asset};
use crate::compile::auditable;
use crate::compile::cargo::Built;
use crate::compile::libraries::{Libraries, Linker, Shipped};
use crate::compile::machine::{Machine, answer};
use crate::compile::{BuiltPlugin, Dist, DistFile, schemas};
use crate::elf::dynamic::Elf;
use crate::elf::edit;
use crate::elf::exports::Exported;
use crate::oci::digest::Digest;
use crate::plan::BuildPlan;
use crate::source::sync::{Source, sync};
use crate::support::errors::Errors;
use crate::support::files;
use crate::support::paths::Paths;
use crate::support::threads::at_once;

/// Checks what cargo built and makes the dist directory hold it.
pub fn collect(paths: &Paths, plan: &BuildPlan, machine: &dyn Machine, built: &Built) -> Result<Dist> {
    let (compiled, there) = bring(paths, plan, machine, &built.artifacts)?;
    check_records(&compiled.host, &compiled.plugins)?;
    let target = ["--print", "target-libdir", "--target", &plan.toolchain.target].map(str::to_owned);
    let std_dir = match &plan.toolchain.std_dir {
        Some(dir) => dir.clone(),
        None => Utf8PathBuf::from(answer(machine, "rustc", &target)?),
    };
    let std = shared_std(paths, plan, machine, &compiled, &std_dir)?;
    let files: Vec<&DistFile> = compiled.files().chain(&std).collect();
    let toolchain = &plan.toolchain;
    let linker =
        Linker { machine, program: &toolchain.linker, dirs: &built.library_dirs, is_cross: toolchain.is_cross() };
    let (libraries, shipped) = Libraries::gather(&linker, &files)?;
    let Compiled { host, sdk, plugins } = compiled;
    let mut dist = Dist { host, sdk, std, plugins, libraries };
    give(&mut dist, shipped)?;
    let [host, _, plugins @ ..] = there.as_slice() else { unreachable!("host and SDK come first") };
    let interpreter = &dist.libraries.interpreter.place;
    let library_dirs = built.library_dirs.iter().chain([&std_dir]);
    let start = schemas::Start::new(plan, machine, host, interpreter, library_dirs)?;
    let (checked, schemas) =
        at_once(|| check_imports(&dist), || schemas::gather(paths, plan, machine, &start, (&dist, plugins)));
    checked?;
    for (plugin, schema) in dist.plugins.iter_mut().zip(schemas?) {
        plugin.assets.extend(schema);
    }
    seal(paths, plan, &mut dist)?;
    write(&paths.dist(), &mut dist)?;
    Ok(dist)
}

/// The packages of the tree that are built, as [`Dist::compiled`] has their files.
pub fn packages(plan: &BuildPlan) -> impl Iterator<Item = &String> {
    [&plan.host.package, &plan.host.sdk].into_iter().chain(plan.plugins.iter().map(|plugin| &plugin.name))
}

/// What cargo made, before anything is known of it.
struct Compiled {
    host: DistFile,
    sdk: DistFile,
    plugins: Vec<BuiltPlugin>,
}

impl Compiled {
    fn files(&self) -> impl Iterator<Item = &DistFile> {
        [&self.host, &self.sdk].into_iter().chain(self.plugins.iter().map(|plugin| &plugin.file))
    }
}

/// Brings host, SDK and plugins here; also says where they are on the machine, in this order.
fn bring(
    paths: &Paths,
    plan: &BuildPlan,
    machine: &dyn Machine,
    artifacts: &[Artifact],
) -> Result<(Compiled, Vec<Utf8PathBuf>)> {
    let find = |wanted| artifact(paths, machine, artifacts, &wanted);
    let library = |package, kind| CargoTarget { package, kind, name: None };
    let program = CargoTarget { package: &plan.host_id, kind: TargetKind::Bin, name: Some(&plan.host.package) };
    let mut there = vec![find(program)?, find(library(&plan.sdk_id, TargetKind::DyLib))?];
    let sdk_name = file_name(&there[1]).to_owned();
    for plugin in &plan.plugins {
        there.push(find(library(&plugin.id, TargetKind::CDyLib))?);
    }
    // In one stream, in the same order.
    let mut here = machine.bring(&there)?.into_iter();
    let mut next = |name: String| -> Result<DistFile> {
        Ok(DistFile { name, path: here.next().context("a file was not brought")? })
    };
    let (host, sdk) = (next(plan.host.package.clone())?, next(sdk_name)?);
    let plugins = plan.plugins.iter().map(|plugin| {
        let (name, version, source) = (plugin.name.clone(), plugin.version.clone(), plugin.path.clone());
        let assets = assets::gather(&paths.sources(), plugin)?;
        Ok(BuiltPlugin { file: next(plan.file_name(plugin))?, name, version, source, assets })
    });
    let plugins = plugins.collect::<Result<_>>()?;
    Ok((Compiled { host, sdk, plugins }, there))
}

/// Gives each library that comes with a plugin to the first one that needs it: it lies beside the host, where every plugin looks.
fn give(dist: &mut Dist, shipped: Vec<Shipped>) -> Result<()> {
    for Shipped { name, path, needed_by } in &shipped {
        let mut file = needed_by;
        while let Some(library) = shipped.iter().find(|library| library.name == *file) {
            file = &library.needed_by;
        }
        let plugin = dist.plugins.iter_mut().find(|plugin| plugin.file.name == *file);
        let plugin = plugin.with_context(|| {
            format!("{name}, a library of the build itself, is needed by {file}, which is no plugin")
        })?;
        plugin.assets.push(Asset { name: name.into(), path: path.clone(), executable: true });
    }
    Ok(())
}

/// Makes the dist directory hold these files, and nothing else.
pub fn write(dir: &Utf8Path, dist: &mut Dist) -> Result<()> {
    let file = |file: &DistFile| (file.name.clone().into(), Source { path: file.path.clone(), executable: true });
    let asset = |asset: &Asset| (asset.name.clone(), Source { path: asset.path.clone(), executable: asset.executable });
    let assets = dist.plugins.iter().flat_map(|plugin| &plugin.assets).map(asset);
    sync(&dist.files().map(file).chain(assets).collect(), &BTreeSet::new(), dir)?;
    for asset in dist.plugins.iter_mut().flat_map(|plugin| &mut plugin.assets) {
        asset.path = dir.join(&asset.name);
    }
    for file in dist.compiled_mut() {
        file.path = dir.join(&file.name);
    }
    if let Some(std) = &mut dist.std {
        std.path = dir.join(&std.name);
    }
    Ok(())
}

fn file_name(path: &Utf8Path) -> &str {
    path.file_name().unwrap_or_default()
}

/// What is looked for among all that cargo made.
struct CargoTarget<'a> {
    package: &'a PackageId,
    kind: TargetKind,
    /// A package has one library and any number of programs.
    name: Option<&'a str>,
}

/// The file that cargo made of a package's target, on the machine.
fn artifact(paths: &Paths, machine: &dyn Machine, artifacts: &[Artifact], of: &CargoTarget) -> Result<Utf8PathBuf> {
    let CargoTarget { package, kind, name } = of;
    let id = machine.dirs().package(paths, package);
    let wanted = |artifact: &&Artifact| {
        let target = &artifact.target;
        artifact.package_id.repr == id && target.kind.contains(kind) && name.is_none_or(|name| target.name == name)
    };
    let file = artifacts.iter().find(wanted).and_then(|artifact| {
        let library = artifact.filenames.iter().find(|path| path.extension() == Some("so"));
        artifact.executable.as_ref().or(library)
    });
    file.cloned().with_context(|| format!("cargo built no {kind} of the package {id}"))
}

/// Every plugin carries an ABI record under its own name, and says the same of its SDK as the host does.
pub fn check_records(host: &DistFile, plugins: &[BuiltPlugin]) -> Result<()> {
    let read = |file: &DistFile| -> Result<_> { Ok(provost_record::read(&files::read(&file.path)?)) };
    let host = read(host)?.with_context(|| format!("reading {}", host.path))?;
    let mut errors = Errors::default();
    for BuiltPlugin { name, source, file, .. } in plugins {
        match read(file)? {
            Ok(record) if record.plugin != *name => errors.push(format!(
                "the plugin {name} ({source}) has the ABI record of `{}`: export it in its own crate",
                record.plugin
            )),
            Ok(record) => {
                let differences = provost_record::compare(&record, &host);
                if !differences.is_empty() {
                    let table = provost_record::table(&differences);
                    errors.push(format!(
                        "the plugin {name} ({source}) was built against a different SDK than the host:\n{table}"
                    ));
                }
            }
            Err(error) => errors.push(format!(
                "the plugin {name} ({source}): {error}; write the SDK's export macro once, at the top level of src/lib.rs"
            )),
        }
    }
    errors.report("the built plugins")
}

/// What rustc needs of a dylib to compile against it, and nobody else: a twelfth of the SDK, which does not get smaller by compression.
const METADATA: &str = ".rustc";

/// Adds the crates that are linked into what carries a record, and seals it, now that nothing changes it any more: the host loads a file
/// only if it is the one that was built.
fn seal(paths: &Paths, plan: &BuildPlan, dist: &mut Dist) -> Result<()> {
    let std = dist.std.as_ref().map(|file| files::read(&file.path)).transpose()?;
    let dir = paths.sealed();
    for (package, file) in packages(plan).zip(dist.compiled_mut()) {
        let mut bytes = files::read(&file.path)?;
        edit::empty(&mut bytes, METADATA).with_context(|| format!("emptying {METADATA} of {}", file.path))?;
        auditable::add(plan, package, &mut bytes).with_context(|| format!("adding its crates to {}", file.path))?;
        provost_record::seal::apply(&mut bytes, std.as_deref()).with_context(|| format!("sealing {}", file.path))?;
        file.path = dir.join(&file.name);
        files::write_changed(&file.path, &bytes)?;
    }
    Ok(())
}

/// Every symbol that a plugin imports is exported by a library that comes along: the linker lets a plugin pass that calls
/// what nothing defines.
pub fn check_imports(dist: &Dist) -> Result<()> {
    let read = |file: &DistFile| Ok((file.name.clone(), files::read(&file.path)?));
    let contents = dist.files().map(read).collect::<Result<BTreeMap<String, Vec<u8>>>>()?;
    let libraries = &dist.libraries;
    let there = Exported::gather(contents.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())), |name| {
        if let Some(bytes) = contents.get(name) {
            return Ok(Some(bytes.clone()));
        }
        let interpreter = libraries.interpreter.matches(name).then_some(&libraries.interpreter);
        let library = interpreter.or(libraries.shared.get(name)).map(|library| &library.path);
        let shipped = dist.shipped_libraries().find(|library| library.name == name).map(|library| &library.path);
        library.or(shipped).map(|path| files::read(path)).transpose()
    })?;
    let mut errors = Errors::default();
    for BuiltPlugin { name, source, file, .. } in &dist.plugins {
        if let Some(missing) = provost_record::missing(&contents[&file.name], &there)? {
            errors.push(format!("the plugin {name} ({source}): {missing}; link the library that defines it"));
        }
    }
    errors.report("the built plugins")
}

/// std as a shared library, stripped, if the toolchain has it as one and the built files need it.
fn shared_std(
    paths: &Paths,
    plan: &BuildPlan,
    machine: &dyn Machine,
    compiled: &Compiled,
    std_dir: &Utf8Path,
) -> Result<Option<DistFile>> {
    let mut name = None;
    for file in compiled.files() {
        let elf = Elf::parse(&files::read(&file.path)?).with_context(|| format!("reading {}", file.path))?;
        name = name.or(elf.needed.into_iter().find(|needed| needed.starts_with("libstd-")));
    }
    let Some(name) = name else { return Ok(None) };
    let original = machine.bring(&[std_dir.join(&name)])?.pop().context("std was not brought")?;
    let content = files::read(&original)?;
    let dir = paths.stripped().join(Digest::sha256(&content).prefix(16));
    let stripped = dir.join(&name);
    let written = dir.join("digest");
    let is_whole =
        |digest: String| files::read(&stripped).is_ok_and(|bytes| Digest::sha256(&bytes).to_string() == digest);
    if !files::read_text(&written).is_ok_and(is_whole) {
        let bytes = strip(plan, machine, &name)?;
        files::write_atomically(&stripped, |out| Ok(out.write_all(&bytes)?))?;
        files::write_atomically(&written, |out| Ok(out.write_all(Digest::sha256(&bytes).to_string().as_bytes())?))?;
    }
    Ok(Some(DistFile { name, path: stripped }))
}

/// With the toolchain's own objcopy, hence the same bytes on every machine.
fn strip(plan: &BuildPlan, machine: &dyn Machine, name: &str) -> Result<Vec<u8>> {
    let script = format!(
        "set -e; root=$(rustc --print sysroot); libs=$root/lib/rustlib/{0}; own=$root/lib/rustlib/{1}; out=$(mktemp -d); \
         LD_LIBRARY_PATH=$root/lib \"$own/bin/rust-objcopy\" --strip-unneeded \"$libs/lib/{name}\" \"$out/{name}\"; echo \
         \"$out/{name}\"",
        plan.toolchain.target, plan.toolchain.host
    );
    let path = Utf8PathBuf::from(answer(machine, "sh", &["-c".to_owned(), script])?);
    let here = machine.bring(std::slice::from_ref(&path))?.pop().context("std was not brought")?;
    let bytes = files::read(&here)?;
    if here == path {
        files::remove(path.parent().context("a temporary directory")?)?;
    }
    Ok(bytes)
}
