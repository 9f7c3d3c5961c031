//! A session: one run in a target directory, with its messages, its paths, and the lock that keeps other runs out.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::support::files;
use crate::support::paths::Paths;
use crate::support::ui::Ui;

/// Its owner may write to the target directory.
#[derive(Clone)]
pub struct Session {
    pub ui: Ui,
    pub paths: Paths,
    /// Released with the last session that shares it, or when the process ends.
    _lock: Arc<File>,
}

impl Session {
    /// Waits for another run in the same target directory, and says so.
    pub fn open(ui: &Ui, paths: &Paths) -> Result<Session> {
        let lock = Arc::new(lock(ui, paths)?);
        Ok(Session { ui: *ui, paths: paths.clone(), _lock: lock })
    }

    /// The same run with a target directory inside of this one's.
    pub fn inside(&self, paths: &Paths) -> Session {
        Session { paths: paths.clone(), ..self.clone() }
    }
}

fn lock(ui: &Ui, paths: &Paths) -> Result<File> {
    let path = paths.lock();
    loop {
        files::create_dir(&paths.image)?;
        let file = files::create(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                ui.status("Waiting", format!("for another run that holds {path}"));
                file.lock().with_context(|| format!("locking {path}"))?;
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(|| format!("locking {path}")),
        }
        // `clean` removes it with the directory. A run that waited then has locked a deleted file.
        let held = file.metadata().with_context(|| format!("reading {path}"))?;
        if fs::metadata(&path).is_ok_and(|there| (there.dev(), there.ino()) == (held.dev(), held.ino())) {
            // No other run writes here, so leftovers are from a run that was killed.
            for dir in [&paths.image, &paths.bases(), &paths.blobs().join("sha256"), &paths.builders()] {
                files::remove_partials(dir)?;
            }
            return Ok(file);
        }
    }
}
