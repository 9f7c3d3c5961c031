//! Docker or podman, by their common command line. Every argument that they get is in this module.

pub mod buildx;
pub mod containers;
pub mod images;
pub mod objects;
pub mod run;

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::support::command::{Invocation, not_found};
use crate::support::ui::Ui;

/// How long an image may take to load everything.
pub const CHECK: Duration = Duration::from_secs(60);

/// How long a daemon may take to say that it is there.
const ANSWER: Duration = Duration::from_secs(10);

/// How to fix that no daemon answers.
const START: &str = "start its daemon, or set DOCKER_HOST to a running one";

#[derive(Clone, Debug, PartialEq)]
pub struct Engine {
    program: &'static str,
}

/// A container engine that answers and cannot run a container.
#[derive(Clone, Debug)]
pub struct Broken {
    pub program: &'static str,
    /// What the engine says.
    pub why: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "{} cannot run a container: {}", self.program, self.why)
    }
}

const PROGRAMS: [&str; 2] = ["docker", "podman"];

impl Engine {
    /// The first of docker and podman that answers, except those in `left_out`. The error says why none does.
    pub fn find(ui: &Ui, left_out: &[Broken]) -> Result<Engine> {
        let mut reasons = Vec::new();
        for program in PROGRAMS {
            if let Some(broken) = left_out.iter().find(|broken| broken.program == program) {
                reasons.push(broken.to_string());
                continue;
            }
            match Engine::named(ui, program) {
                Ok(engine) => return Ok(engine),
                Err(why) => reasons.push(format!("{why:#}")),
            }
        }
        bail!("docker and podman are not available ({})", reasons.join("; "))
    }

    /// The one with this name, if it answers. That it did is not asked again.
    pub fn named(ui: &Ui, program: &'static str) -> Result<Engine> {
        static ANSWERED: Mutex<Vec<&str>> = Mutex::new(Vec::new());
        let mut answered = ANSWERED.lock().unwrap_or_else(PoisonError::into_inner);
        let engine = Engine { program };
        if !answered.contains(&program) {
            engine.answers(ui).with_context(|| program.to_owned())?;
            answered.push(program);
        }
        Ok(engine)
    }

    /// Those that answer and cannot run a container. Engines without any image are not tried: there is nothing to run.
    pub fn broken(ui: &Ui) -> Vec<Broken> {
        let answering = PROGRAMS.into_iter().filter_map(|program| Engine::named(ui, program).ok());
        answering.filter_map(|engine| engine.try_container(ui)).collect()
    }

    fn try_container(&self, ui: &Ui) -> Option<Broken> {
        let images = self.command(["image", "ls", "--quiet"]).read(ui).ok()?;
        let image = images.lines().next()?;
        let run = self.command(["run", "--rm", "--network", "none", "--entrypoint", "true", image]);
        let why = match run.output_within(ui, CHECK) {
            Ok(Some(output)) => match output.status.code() {
                // The engine's own error. "No such program in the image" comes after everything that is tested here.
                Some(125 | 126) => {
                    let said = String::from_utf8_lossy(&output.stderr).into_owned();
                    said.trim().lines().last().unwrap_or("it gave no reason").to_owned()
                }
                _ => return None,
            },
            Ok(None) => format!("not finished after {} s", CHECK.as_secs()),
            Err(error) => format!("{error:#}"),
        };
        Some(Broken { program: self.program, why })
    }

    pub fn program(&self) -> &'static str {
        self.program
    }

    /// The architecture of the machine that runs its containers, as OCI names it.
    pub fn architecture(&self, ui: &Ui) -> Result<String> {
        match self.program {
            "docker" => self.command(["version", "--format", "{{.Server.Arch}}"]).read(ui),
            _ => self.command(["info", "--format", "{{.Host.Arch}}"]).read(ui),
        }
    }

    fn answers(&self, ui: &Ui) -> Result<()> {
        let format = if self.program == "docker" { "{{.Server.Version}}" } else { "{{.Version}}" };
        let command = Invocation::new(self.program, ["version", "--format", format]);
        let answer = match command.output_within(ui, ANSWER) {
            Err(error) if not_found(&error) => bail!("not installed"),
            other => other?,
        };
        match answer {
            Some(output) if output.status.success() => Ok(()),
            Some(output) => {
                let text = String::from_utf8_lossy(&output.stderr).into_owned();
                let why = text.trim().lines().last().unwrap_or("it failed without a message").trim();
                let fix = match why.to_lowercase().contains("permission denied") {
                    true => "give this user access to it, usually through the group docker",
                    false => START,
                };
                bail!("{why}; {fix}")
            }
            None => bail!("no answer within {} s; {START}", ANSWER.as_secs()),
        }
    }

    fn command<S: Into<String>>(&self, args: impl IntoIterator<Item = S>) -> Invocation {
        Invocation::new(self.program, args)
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "{}", self.program)
    }
}
