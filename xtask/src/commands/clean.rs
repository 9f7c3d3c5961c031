//! `cargo xtask clean`: what the build system left on this machine and in docker and podman.

use anyhow::Result;
use clap::Args;

use crate::containers::engine::Runtime;
use crate::containers::labels::Owner;
use crate::support::files;
use crate::support::paths::Paths;
use crate::support::session::Session;
use crate::support::ui::{Ui, count};

#[derive(Args)]
pub struct CleanArgs {
    /// Remove this checkout's volumes and built images from docker and podman too: the next build in a container is a cold one
    #[arg(long)]
    volumes: bool,
}

impl CleanArgs {
    /// Removes `target/image`, and what tests left beside it; the image itself stays where it was loaded.
    pub fn run(&self, ui: &Ui, paths: &Paths) -> Result<()> {
        let session = Session::open(ui, paths)?;
        let tests = paths.for_tests();
        let tests_session = Session::open(ui, &tests)?;
        if self.volumes {
            let runtimes = ["docker", "podman"].into_iter().filter_map(|program| Runtime::named(ui, program).ok());
            for runtime in runtimes {
                // Of checks of reproducibility that were killed, too.
                let mut removed = 0;
                for owned in [paths, &tests].into_iter().chain(&paths.for_reproduction()) {
                    removed += Owner::of(&session.inside(owned))?.remove_volumes(ui, &runtime)?;
                }
                ui.status("Removed", format!("{} from {runtime}", count(removed, "volume")));
            }
        }
        files::remove(&paths.image)?;
        files::remove(&tests.image)?;
        ui.status("Removed", paths.relative(&paths.image));
        drop((session, tests_session));
        Ok(())
    }
}
