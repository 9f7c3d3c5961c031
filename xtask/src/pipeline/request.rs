//! Requests, as plain data.

use crate::environment::options::EnvironmentOptions;
use crate::pipeline::registry_cache::RegistryCache;
use crate::publish::output::Output;
use crate::source::selection::Selection;

/// A build on this machine.
pub struct BuildRequest {
    /// Whether it is compiled for speed of compiling, not as for an image.
    pub quick: bool,
    pub selection: Selection,
    /// Whether a change of `Cargo.lock` is an error.
    pub locked: bool,
}

/// A plan of an image.
pub struct PlanRequest {
    pub environment: EnvironmentOptions,
    /// A parsed `NAME:TAG`; the host's name and version if there is none.
    pub image: Option<String>,
    pub selection: Selection,
    /// Whether a change of `Cargo.lock` is an error.
    pub locked: bool,
    /// Whether it is compiled from scratch, in a new directory or volume.
    pub isolated: bool,
    /// Whether a missing container engine is an error, and never a reason to compile on this machine.
    pub strict: bool,
    /// Whether the command is the image's `Entrypoint` whatever the tree says.
    pub entrypoint: bool,
    /// Whether it contains the test plugins.
    pub test_plugins: bool,
}

/// An image, and where to deliver it.
pub struct ImageRequest {
    pub plan: PlanRequest,
    /// Beside the archive in the target directory.
    pub outputs: Vec<Output>,
    /// The `NAME:TAG` to push it under.
    pub push: Option<String>,
    /// Whether what is pushed is signed.
    pub sign: bool,
    /// Registries that keep what was compiled.
    pub cache: RegistryCache,
    /// Whether a container engine gets it.
    pub load: bool,
    /// Whether the finished image is started.
    pub verify: bool,
    /// Whether it is built once more from scratch and compared.
    pub verify_reproducible: bool,
}
