//! The dist folder: the built files under the names that they have in the image, each checked first.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use cargo_metadata::{Artifact, PackageId, TargetKind};
use sha2::{Digest, Sha256};

use crate::build::libraries::{Libraries, Linker};
use crate::build::sync::{Source, sync};
use crate::build::{Dist, DistFile, Part};
use crate::elf::Elf;
use crate::faults::Faults;
use crate::files;
use crate::paths::Paths;
use crate::plan::BuildPlan;
use crate::process::Invocation;
use crate::ui::Ui;

/// Checks what cargo built and makes the dist folder hold it.
pub fn collect(ui: &Ui, paths: &Paths, plan: &BuildPlan, artifacts: &[Artifact]) -> Result<Dist> {
    let host = artifact(artifacts, &plan.host_id, TargetKind::Bin)?;
    let sdk = artifact(artifacts, &plan.sdk_id, TargetKind::DyLib)?;
    let mut files = vec![
        DistFile { name: plan.host.package.clone(), path: host, part: Part::Host },
        DistFile { name: file_name(&sdk).to_owned(), path: sdk, part: Part::Library },
    ];
    for plugin in &plan.plugins {
        let path = artifact(artifacts, &plugin.id, TargetKind::CDyLib)?;
        files.push(DistFile { name: plan.file_name(plugin), path, part: Part::Plugin });
    }
    check_records(plan, &files)?;
    if let Some(std) = shared_std(ui, paths, plan, &files)? {
        files.insert(2, DistFile { name: file_name(&std).to_owned(), path: std, part: Part::Library });
    }
    let folder = paths.dist();
    let wanted: BTreeMap<Utf8PathBuf, Source> = files
        .iter()
        .map(|file| (Utf8PathBuf::from(&file.name), Source { path: file.path.clone(), executable: true }))
        .collect();
    sync(&wanted, &folder)?;
    for file in &mut files {
        file.path = folder.join(&file.name);
    }
    let libraries = Libraries::gather(&Linker { ui, program: "cc" }, &files)?;
    Ok(Dist { files, libraries })
}

fn file_name(path: &Utf8Path) -> &str {
    path.file_name().unwrap_or_default()
}

/// The file that cargo made of a package's target.
fn artifact(artifacts: &[Artifact], package: &PackageId, kind: TargetKind) -> Result<Utf8PathBuf> {
    let wanted = |artifact: &&Artifact| artifact.package_id == *package && artifact.target.kind.contains(&kind);
    let file = artifacts.iter().find(wanted).and_then(|artifact| {
        let library = artifact.filenames.iter().find(|path| path.extension() == Some("so"));
        artifact.executable.as_ref().or(library)
    });
    file.cloned().with_context(|| format!("cargo built no {kind} of the package {package}"))
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

/// std as a shared library, stripped, if the toolchain has it as one and the built files need it.
fn shared_std(ui: &Ui, paths: &Paths, plan: &BuildPlan, files: &[DistFile]) -> Result<Option<Utf8PathBuf>> {
    let mut name = None;
    for file in files {
        let elf = Elf::parse(&files::read(&file.path)?).with_context(|| format!("reading {}", file.path))?;
        name = name.or(elf.needed.into_iter().find(|needed| needed.starts_with("libstd-")));
    }
    let Some(name) = name else { return Ok(None) };
    let libdir = plan.toolchain.run("rustc", ["--print", "target-libdir"]).read(ui)?;
    let original = Utf8PathBuf::from(libdir).join(&name);
    let content = files::read(&original)?;
    let folder = paths.image.join("stripped").join(&files::hex(&Sha256::digest(&content))[..16]);
    let stripped = folder.join(&name);
    if !stripped.is_file() {
        files::create_folder(&folder)?;
        strip(ui, plan, &original, &stripped)?;
    }
    Ok(Some(stripped))
}

/// With the toolchain's own objcopy, hence the same bytes on every machine.
fn strip(ui: &Ui, plan: &BuildPlan, from: &Utf8Path, to: &Utf8Path) -> Result<()> {
    let sysroot = Utf8PathBuf::from(plan.toolchain.run("rustc", ["--print", "sysroot"]).read(ui)?);
    let objcopy = sysroot.join("lib/rustlib").join(&plan.toolchain.target).join("bin/rust-objcopy");
    if !objcopy.is_file() {
        bail!("the toolchain {} has no {objcopy}", plan.toolchain.channel);
    }
    let partial = format!("{to}.partial");
    Invocation::new(objcopy.as_str(), ["--strip-unneeded", from.as_str(), &partial])
        // It finds its LLVM as rustc does.
        .env("LD_LIBRARY_PATH", sysroot.join("lib"))
        .read(ui)?;
    std::fs::rename(&partial, to).with_context(|| format!("renaming {partial} to {to}"))
}
