//! One run at a time in a target folder.

use std::fs::{File, TryLockError};

use anyhow::{Context, Result};

use crate::files;
use crate::paths::Paths;
use crate::ui::Ui;

/// Held until it is dropped, or the process ends.
pub struct TargetLock {
    _file: File,
}

/// Waits for another run in the same target folder, saying so.
pub fn take(ui: &Ui, paths: &Paths) -> Result<TargetLock> {
    files::create_folder(&paths.image)?;
    let path = paths.image.join("lock");
    let file = files::create(&path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            ui.status("Waiting", format!("for another run that holds {path}"));
            file.lock().with_context(|| format!("locking {path}"))?;
        }
        Err(TryLockError::Error(error)) => return Err(error).with_context(|| format!("locking {path}")),
    }
    Ok(TargetLock { _file: file })
}
