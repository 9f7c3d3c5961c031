//! One run at a time in a target folder.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt;

use anyhow::{Context, Result};

use crate::support::files;
use crate::support::paths::Paths;
use crate::support::ui::Ui;

/// Held until it is dropped, or the process ends.
pub struct TargetLock {
    _file: File,
}

/// Waits for another run in the same target folder, saying so.
pub fn take(ui: &Ui, paths: &Paths) -> Result<TargetLock> {
    let path = paths.image.join("lock");
    loop {
        files::create_folder(&paths.image)?;
        let file = files::create(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                ui.status("Waiting", format!("for another run that holds {path}"));
                file.lock().with_context(|| format!("locking {path}"))?;
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(|| format!("locking {path}")),
        }
        // `clean` removes it with the folder: who waited then holds a file that nobody else will find.
        let held = file.metadata().with_context(|| format!("reading {path}"))?;
        if fs::metadata(&path).is_ok_and(|there| (there.dev(), there.ino()) == (held.dev(), held.ino())) {
            // Nobody else writes here: what is left was left by a run that was killed.
            for folder in [&paths.image, &paths.bases(), &paths.blobs().join("sha256"), &paths.image.join("builders")] {
                files::remove_partials(folder)?;
            }
            return Ok(TargetLock { _file: file });
        }
    }
}
