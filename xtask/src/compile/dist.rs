//! The dist folder: the built files under the names that they have in the image, each checked first.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use cargo_metadata::{Artifact, PackageId, TargetKind};
use sha2::{Digest, Sha256};

use crate::compile::libraries::{Libraries, Linker};
use crate::compile::machine::{Machine, answer};
use crate::compile::{Dist, DistFile, Part, assets};
use crate::elf::dynamic::Elf;
use crate::elf::exports::Exported;
use crate::plan::BuildPlan;
use crate::source::sync::{Source, sync};
use crate::support::faults::Faults;
use crate::support::files;
use crate::support::paths::Paths;

/// Checks what cargo built and makes the dist folder hold it.
pub fn collect(paths: &Paths, plan: &BuildPlan, machine: &dyn Machine, artifacts: &[Artifact]) -> Result<Dist> {
    let of = |wanted| artifact(paths, machine, artifacts, &wanted);
    let mut names = vec![(plan.host.package.clone(), Part::Host)];
    let program = Wanted { package: &plan.host_id, kind: TargetKind::Bin, name: Some(&plan.host.package) };
    let library = |package, kind| Wanted { package, kind, name: None };
    let mut there = vec![of(program)?, of(library(&plan.sdk_id, TargetKind::DyLib))?];
    names.push((file_name(&there[1]).to_owned(), Part::Sdk));
    for plugin in &plan.plugins {
        names.push((plan.file_name(plugin), Part::Plugin));
        there.push(of(library(&plugin.id, TargetKind::CDyLib))?);
    }
    let here = machine.bring(&there)?;
    let built = names.into_iter().zip(here).map(|((name, part), path)| DistFile { name, path, part });
    let mut files: Vec<DistFile> = built.collect();
    check_records(plan, &files)?;
    if let Some(std) = shared_std(paths, plan, machine, &files)? {
        files.insert(2, DistFile { name: file_name(&std).to_owned(), path: std, part: Part::Std });
    }
    let libraries = Libraries::gather(&Linker { machine, program: &plan.toolchain.linker }, &files)?;
    check_imports(plan, &files, &libraries)?;
    seal(paths, &mut files)?;
    let folder = paths.dist();
    let mut assets = assets::gather(&paths.sources(), &plan.plugins)?;
    let built =
        files.iter().map(|file| (file.name.clone().into(), Source { path: file.path.clone(), executable: true }));
    let shipped = assets
        .iter()
        .map(|asset| (asset.name.clone(), Source { path: asset.path.clone(), executable: asset.executable }));
    sync(&built.chain(shipped).collect(), &BTreeSet::new(), &folder)?;
    for file in &mut files {
        file.path = folder.join(&file.name);
    }
    for asset in &mut assets {
        asset.path = folder.join(&asset.name);
    }
    Ok(Dist { files, assets, libraries })
}

fn file_name(path: &Utf8Path) -> &str {
    path.file_name().unwrap_or_default()
}

/// What is looked for among all that cargo made.
struct Wanted<'a> {
    package: &'a PackageId,
    kind: TargetKind,
    /// A package has one library and any number of programs.
    name: Option<&'a str>,
}

/// The file that cargo made of a package's target, on the machine.
fn artifact(paths: &Paths, machine: &dyn Machine, artifacts: &[Artifact], of: &Wanted) -> Result<Utf8PathBuf> {
    let Wanted { package, kind, name } = of;
    let id = machine.folders().package(paths, package);
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
fn check_records(plan: &BuildPlan, files: &[DistFile]) -> Result<()> {
    let read = |file: &DistFile| -> Result<_> { Ok(provost_record::read(&files::read(&file.path)?)) };
    let host = read(&files[0])?.with_context(|| format!("reading {}", files[0].path))?;
    let mut faults = Faults::default();
    let built = files.iter().filter(|file| file.part == Part::Plugin);
    for (plugin, file) in plan.plugins.iter().zip(built) {
        let (name, path) = (&plugin.name, &plugin.path);
        match read(file)? {
            Ok(record) if record.plugin != *name => faults.push(format!(
                "the plugin {name} ({path}) carries the ABI record of `{}`: export it in its own crate",
                record.plugin
            )),
            Ok(record) => {
                let differences = provost_record::compare(&record, &host);
                if !differences.is_empty() {
                    let table = provost_record::table(&differences);
                    faults.push(format!(
                        "the plugin {name} ({path}) was built against another SDK than the host:\n{table}"
                    ));
                }
            }
            Err(error) => faults.push(format!(
                "the plugin {name} ({path}): {error}; write the SDK's export macro once, at the top level of src/lib.rs"
            )),
        }
    }
    faults.report("the built plugins")
}

/// Seals what carries a record, now that nothing changes it any more: the host loads a file only if it is the one that was built.
fn seal(paths: &Paths, files: &mut [DistFile]) -> Result<()> {
    let std = files.iter().find(|file| file.part == Part::Std).map(|file| files::read(&file.path)).transpose()?;
    let folder = paths.sealed();
    for file in files.iter_mut().filter(|file| file.part != Part::Std) {
        let mut bytes = files::read(&file.path)?;
        provost_record::seal::apply(&mut bytes, std.as_deref()).with_context(|| format!("sealing {}", file.path))?;
        file.path = folder.join(&file.name);
        files::write_changed(&file.path, &bytes)?;
    }
    Ok(())
}

/// Every symbol that a plugin imports is exported by a library that comes along: the linker lets a plugin pass that calls
/// what nothing defines.
fn check_imports(plan: &BuildPlan, dist: &[DistFile], libraries: &Libraries) -> Result<()> {
    let contents = dist.iter().map(|file| files::read(&file.path)).collect::<Result<Vec<_>>>()?;
    let built = || dist.iter().zip(&contents);
    let there = Exported::gather(built().map(|(file, bytes)| (file.name.as_str(), bytes.as_slice())), |name| {
        let own = dist.iter().find(|file| file.name == name).map(|file| &file.path);
        let interpreter = libraries.interpreter.is(name).then_some(&libraries.interpreter);
        let path = own.or(interpreter.or(libraries.shared.get(name)).map(|library| &library.path));
        path.map(|path| files::read(path)).transpose()
    })?;
    let mut faults = Faults::default();
    let built = built().filter(|(file, _)| file.part == Part::Plugin);
    for (plugin, (_, bytes)) in plan.plugins.iter().zip(built) {
        if let Some(missing) = provost_record::missing(bytes, &there)? {
            faults.push(format!(
                "the plugin {} ({}): {missing}; link the library that defines what is missing",
                plugin.name, plugin.path
            ));
        }
    }
    faults.report("the built plugins")
}

/// std as a shared library, stripped, if the toolchain has it as one and the built files need it.
fn shared_std(
    paths: &Paths,
    plan: &BuildPlan,
    machine: &dyn Machine,
    files: &[DistFile],
) -> Result<Option<Utf8PathBuf>> {
    let mut name = None;
    for file in files {
        let elf = Elf::parse(&files::read(&file.path)?).with_context(|| format!("reading {}", file.path))?;
        name = name.or(elf.needed.into_iter().find(|needed| needed.starts_with("libstd-")));
    }
    let Some(name) = name else { return Ok(None) };
    let target = ["--print", "target-libdir", "--target", &plan.toolchain.target].map(str::to_owned);
    let original = Utf8PathBuf::from(answer(machine, "rustc", &target)?).join(&name);
    let original = machine.bring(&[original])?.pop().context("std was not brought")?;
    let content = files::read(&original)?;
    let folder = paths.stripped().join(&files::hex(&Sha256::digest(&content))[..16]);
    let stripped = folder.join(&name);
    let written = folder.join("digest");
    let is_whole = |digest: String| files::read(&stripped).is_ok_and(|bytes| files::digest(&bytes) == digest);
    if !files::read_text(&written).is_ok_and(is_whole) {
        let bytes = strip(plan, machine, &name)?;
        files::write_atomically(&stripped, |out| Ok(out.write_all(&bytes)?))?;
        files::write_atomically(&written, |out| Ok(out.write_all(files::digest(&bytes).as_bytes())?))?;
    }
    Ok(Some(stripped))
}

/// With the toolchain's own objcopy, hence the same bytes on every machine.
fn strip(plan: &BuildPlan, machine: &dyn Machine, name: &str) -> Result<Vec<u8>> {
    let script = format!(
        "set -e; root=$(rustc --print sysroot); libs=$root/lib/rustlib/{0}; own=$root/lib/rustlib/{1}; \
         out=$(mktemp -d); LD_LIBRARY_PATH=$root/lib \"$own/bin/rust-objcopy\" --strip-unneeded \"$libs/lib/{name}\" \"$out/{name}\"; \
         echo \"$out/{name}\"",
        plan.toolchain.target, plan.toolchain.host
    );
    let path = Utf8PathBuf::from(answer(machine, "sh", &["-c".to_owned(), script])?);
    let here = machine.bring(std::slice::from_ref(&path))?.pop().context("std was not brought")?;
    let bytes = files::read(&here)?;
    if here == path {
        files::remove(path.parent().context("a temporary folder")?)?;
    }
    Ok(bytes)
}
