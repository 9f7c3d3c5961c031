//! Requests, as plain data.

use crate::environment::options::EnvironmentOptions;
use crate::publish::output::Output;

/// A plan of an image.
pub struct PlanRequest {
    pub environment: EnvironmentOptions,
    /// A parsed `NAME:TAG`; the host's name and version if there is none.
    pub image: Option<String>,
    /// Whether an error takes the place of a change of `Cargo.lock`.
    pub locked: bool,
    /// Whether it is compiled from nothing, where no earlier build has been.
    pub isolated: bool,
    /// Whether a missing container engine is an error, and never a reason to compile on this machine.
    pub strict: bool,
    /// Whether the plugins that only tests have are in it.
    pub test_plugins: bool,
}

/// An image that is made and brought to where it is wanted.
pub struct ImageRequest {
    pub plan: PlanRequest,
    /// Beside the archive in the target directory.
    pub outputs: Vec<Output>,
    /// The `NAME:TAG` to push it under.
    pub push: Option<String>,
    /// Whether the finished image is started.
    pub verify: bool,
    /// Whether everything is built twice more and compared.
    pub verify_reproducible: bool,
}
