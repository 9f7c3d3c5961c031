//! `cargo xtask clean`: what the build system left on this machine and in docker and podman.

use anyhow::Result;
use clap::Args;

use crate::containers::engine::Engine;
use crate::containers::labels::Labels;
use crate::source::matrix::Platform;
use crate::support::files;
use crate::support::paths::Paths;
use crate::support::session::Session;
use crate::support::ui::{Ui, count};

#[derive(Args)]
pub struct CleanArgs {
    /// Also remove this checkout's volumes and images from docker and podman; the next build in a container compiles everything
    #[arg(long)]
    volumes: bool,
}

impl CleanArgs {
    /// Removes `target/image`, and what tests left beside it; the image itself stays where it was loaded.
    pub fn run(&self, ui: &Ui, paths: &Paths) -> Result<()> {
        let session = Session::open(ui, paths)?;
        let tests = paths.for_tests();
        let tests_session = Session::open(ui, &tests)?;
        let runs = paths.for_runs();
        let runs_session = Session::open(ui, &runs)?;
        if self.volumes {
            let engines = ["docker", "podman"].into_iter().filter_map(|program| Engine::named(ui, program).ok());
            for engine in engines {
                let platforms = Platform::all().map(|platform| paths.for_platform(&platform.architecture));
                let mut owned = vec![paths.clone(), tests.clone()];
                owned.extend(platforms);
                // Of checks of reproducibility that were killed, too.
                let twice: Vec<Paths> = owned.iter().flat_map(Paths::for_reproduction).collect();
                let mut removed = 0;
                for owned in owned.iter().chain(&twice) {
                    removed += Labels::new(&session.inside(owned))?.remove_volumes(ui, &engine)?;
                }
                ui.status("Removed", format!("{} from {engine}", count(removed, "volume")));
            }
        }
        files::remove(&paths.image)?;
        files::remove(&tests.image)?;
        files::remove(&runs.image)?;
        ui.status("Removed", paths.relative(&paths.image));
        drop((session, tests_session, runs_session));
        Ok(())
    }
}
