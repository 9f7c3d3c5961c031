//! Where everything lies in a builder's container.

use camino::Utf8PathBuf;

/// All paths are absolute.
pub struct ContainerPaths {
    pub root: Utf8PathBuf,
    /// The directory of what is sent beside crates and sources.
    pub incoming: Utf8PathBuf,
    /// The directory of the volume.
    pub work: Utf8PathBuf,
    /// The sources of the crates.
    pub vendor: Utf8PathBuf,
}

impl ContainerPaths {
    pub fn new(root: &str) -> ContainerPaths {
        let root = Utf8PathBuf::from(root);
        let below = |name: &str| root.join(name);
        ContainerPaths { incoming: below("in"), work: below("work"), vendor: below("work/vendor"), root }
    }

    /// The copy of the sources that is compiled.
    pub fn sources(&self) -> Utf8PathBuf {
        self.work.join("src")
    }

    /// Cargo's target directory.
    pub fn target(&self) -> Utf8PathBuf {
        self.work.join("target")
    }
}
