//! The image as a Dockerfile, for builders that have no xtask. What is in a layer is not decided here: `cargo xtask build --layers` runs in
//! the Dockerfile's builder, and each directory that it writes is copied.
//! Source: <https://docs.docker.com/reference/dockerfile/>; only what BuildKit 0.8 (docker 20.10) and buildah 1.28 read too.

use std::fmt::Write;

use anyhow::Result;

use crate::assemble::config;
use crate::containers::dockerfile::Part;
use crate::oci::reference;
use crate::plan::BuildPlan;

/// What the Dockerfile is made from.
pub struct Parts<'a> {
    pub builder: Part,
    pub base: Part,
    /// The base image as labels name it.
    pub base_name: &'a str,
    /// Options of `cargo xtask build`.
    pub options: Vec<String>,
    /// Whether the tree has a `Cargo.lock`.
    pub locked: bool,
}

/// Writes it.
pub fn write(plan: &BuildPlan, parts: &Parts) -> Result<String> {
    let mut out = String::new();
    builder(&mut out, plan, parts)?;
    image(&mut out, plan, parts)?;
    Ok(out)
}

fn builder(out: &mut String, plan: &BuildPlan, parts: &Parts) -> Result<()> {
    let Parts { builder, base, options, locked, .. } = parts;
    let (name, channel) = (&builder.name, &plan.toolchain.channel);
    let locked = if *locked { " --locked" } else { "" };
    let options: String = options.iter().map(|option| format!(" {option}")).collect();
    write!(
        out,
        "# Made by `cargo xtask dockerfile`. Build it in the tree: docker build --file THIS-FILE .\n{}{}{}\n{}\n",
        builder.arguments, base.arguments, builder.stages, base.stages
    )?;
    write!(
        out,
        "FROM {name} AS build\n\
         WORKDIR /source\n\
         # Chooses the toolchain that is there: rustup would download what rust-toolchain.toml asks for beside it.\n\
         ENV RUSTUP_TOOLCHAIN={channel}\n\
         COPY . .\n\
         # All that needs a network.\n\
         RUN cargo fetch{locked} && cargo fetch --locked --manifest-path xtask/Cargo.toml\n\
         COPY --from={} / /base\n\
         RUN tar -c -f /base.tar -C /base . && mkdir /state && CARGO_NET_OFFLINE=true cargo xtask build{locked} --base \
         /base.tar --layers /layers{options}\n\n",
        base.name
    )?;
    Ok(())
}

fn image(out: &mut String, plan: &BuildPlan, parts: &Parts) -> Result<()> {
    let host = &plan.host;
    writeln!(out, "FROM {}", parts.base.name)?;
    for (layer, _) in plan.layers() {
        writeln!(out, "COPY --from=build /layers/{layer}/ /")?;
    }
    let (user, state) = (format!("{}:{}", host.user.uid, host.user.gid), &host.state_dir);
    writeln!(out, "COPY --from=build --chown={user} /state/ {state}/")?;
    let digest = reference::digest(parts.base_name);
    for (name, value) in config::lasting_labels(plan, "container", parts.base_name, digest) {
        writeln!(out, "LABEL {name}={}", serde_json::to_string(&value)?.replace('$', "\\$"))?;
    }
    let command = plan.command(&host.config);
    writeln!(out, "WORKDIR {}\nUSER {user}\nEXPOSE {}/tcp\nSTOPSIGNAL SIGTERM", host.working_dir, host.port)?;
    if let Some(flag) = &host.health_flag {
        writeln!(
            out,
            "HEALTHCHECK --interval={}s --timeout={}s --start-period={}s --retries={} CMD {}",
            config::INTERVAL,
            config::TIMEOUT,
            config::START_PERIOD,
            config::RETRIES,
            serde_json::to_string(&config::health_command(host, flag))?
        )?;
    }
    // It also clears a `CMD` of the base image; its entrypoint would get the command as arguments.
    let instruction = if host.entrypoint { "ENTRYPOINT" } else { "ENTRYPOINT []\nCMD" };
    writeln!(out, "{instruction} {}", serde_json::to_string(&command)?)?;
    let check: Vec<&String> = command.iter().chain([&host.check_flag]).collect();
    writeln!(out, "# Loads every plugin; an image that does not start is not built.")?;
    writeln!(out, "RUN {}\nVOLUME {}", serde_json::to_string(&check)?, serde_json::to_string(&[state])?)?;
    Ok(())
}
