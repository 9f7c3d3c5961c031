//! The target of a build: the platform that was asked for, with the libc of the base image.

use anyhow::{Context, Result, bail};

use crate::base::layers::BaseFiles;
use crate::cargo::toolchain::{self, Toolchain, processor};
use crate::containers::images::BUILDER_FILE;
use crate::environment::builder::{Builder, Facts};
use crate::environment::pins;
use crate::support::errors::Errors;
use crate::support::ui::Ui;
use crate::support::variables;

/// The target of this machine follows the base's libc if cargo's configuration names a linker for it: without one, a
/// toolchain that has std for musl cannot link what loads plugins.
pub fn on_this_machine(ui: &Ui, toolchain: Toolchain, base: &BaseFiles) -> Result<Toolchain> {
    let musl = musl(processor(&toolchain.host));
    if toolchain.is_musl() || !has_musl(&toolchain.host, base)? {
        return Ok(toolchain);
    }
    let facts = Facts::of_this_machine(ui, &toolchain.channel)?;
    match facts.named_linker(&musl).filter(|_| facts.targets.contains(&musl)) {
        Some(linker) => Ok(Toolchain { target: musl, linker, std_dir: None, ..toolchain }),
        None => Ok(toolchain),
    }
}

/// Checks that the builder's compiler is the expected one. The target is for this architecture, with the base's libc if the
/// builder has std for it.
pub fn in_builder(builder: &Builder, channel: String, architecture: &str, base: &BaseFiles) -> Result<Toolchain> {
    let (reference, facts) = (&builder.reference, &builder.facts);
    let host = facts.line("host").context("the builder's rustc names no host")?.to_owned();
    check_compiler(builder, &channel)?;
    let wanted = toolchain::processor_of(architecture).unwrap_or_default();
    let cross = wanted != processor(&host);
    let own = if cross { format!("{wanted}-unknown-linux-gnu") } else { host.clone() };
    let musl = musl(wanted);
    let has = |target: &String| facts.targets.contains(target);
    let target = if has_musl(&musl, base)? && has(&musl) || cross && !has(&own) { musl } else { own };
    let linker = match facts.named_linker(&target) {
        None if cross => format!("{wanted}-linux-{}-gcc", target.rsplit('-').next().unwrap_or_default()),
        named => named.unwrap_or_else(|| "cc".to_owned()),
    };
    let mut missing = Vec::new();
    if cross && !has(&target) {
        missing.push(format!("std for {target}"));
    }
    if cross && !facts.linkers.contains(&linker) {
        missing.push(format!("the C compiler `{linker}`"));
    }
    if !missing.is_empty() {
        bail!(
            "the builder {reference} is {host} and cannot compile for linux/{architecture}: it lacks {}; install them and the \
             target's C library in {BUILDER_FILE} (docs/cli.md names the packages), or build on a machine of that platform \
             and join the images with `cargo xtask index`",
            missing.join(" and ")
        );
    }
    if !facts.linkers.contains(&linker) {
        bail!(
            "the builder {reference} has no linker for {target}: there is no `{linker}` on its PATH; install one (usually \
             the package gcc) in {BUILDER_FILE}, or choose another image with --builder-image"
        );
    }
    let emulator = format!("qemu-{wanted}");
    let emulator = facts.emulators.iter().find(|program| cross && program.starts_with(&emulator)).cloned();
    Ok(Toolchain { linker, verbose_version: facts.rustc.clone(), channel, host, target, emulator, std_dir: None })
}

fn check_compiler(builder: &Builder, channel: &str) -> Result<()> {
    let (reference, facts) = (&builder.reference, &builder.facts);
    let release = facts.line("release").unwrap_or_default();
    if release != channel {
        bail!(
            "the builder {reference} has Rust {release}, expected {channel}; change one of {BUILDER_FILE} and {}, or set \
             --builder-image or --toolchain",
            toolchain::FILE
        );
    }
    let config = toml::from_str(&facts.config)
        .with_context(|| format!("reading cargo's configuration in the builder {reference}"))?;
    let mut errors = Errors::default();
    variables::check_config(&config, &format!("cargo's configuration in the builder {reference}"), &mut errors);
    errors.report("the builder")
}

/// The target of a processor's musl.
fn musl(processor: &str) -> String {
    format!("{processor}-unknown-linux-musl")
}

fn has_musl(target: &str, base: &BaseFiles) -> Result<bool> {
    Ok(base.tree.read(&pins::musl_interpreter(processor(target)))?.is_some())
}
