//! A plan for tests of later stages.

use anyhow::Result;
use cargo_metadata::PackageId;

use crate::base::Base;
use crate::cargo::resolution::Resolution;
use crate::cargo::toolchain::Toolchain;
use crate::environment::options::BuildEnvironment;
use crate::plan::forecast::Forecast;
use crate::plan::inputs::Inputs;
use crate::plan::{BuildPlan, ImagePlan, build};
use crate::source::manifest::{About, HostSpec};
use crate::source::revision::Origin;
use crate::source::selection::Selection;

const HOST: &str = r#"
package = "greeter"
sdk = "greeter-sdk"
name = "greeter"
title = "Greeter"
extension = "plug"
plugin-flag = "--plugin"
config-flag = "--settings"
check-flag = "--dry-run"
config = "/etc/greeter.toml"
default-config = "default.toml"
development-config = "development.toml"
working-dir = "/greeter"
state-dir = "/var/lib/greeter"
user = "1000:1001"
port = 9000
"#;

/// An image of the host alone, on nothing.
pub fn image_plan() -> Result<ImagePlan> {
    let host: HostSpec = toml::from_str(HOST)?;
    let id = |name: &str| PackageId { repr: name.to_owned() };
    let toolchain = Toolchain {
        channel: "1.2.3".to_owned(),
        verbose_version: "rustc 1.2.3".to_owned(),
        host: "x86_64-unknown-linux-gnu".to_owned(),
        target: "x86_64-unknown-linux-gnu".to_owned(),
        linker: "cc".to_owned(),
        emulator: None,
        std_dir: None,
    };
    let build = BuildPlan {
        host_version: "0.1.0".to_owned(),
        about: About::default(),
        host_id: id(&host.package),
        sdk_id: id(&host.sdk),
        host,
        plugins: Vec::new(),
        environment: BuildEnvironment::Local,
        toolchain,
        rustflags: Vec::new(),
        profile: build::IMAGE_PROFILE.to_owned(),
        base_layers: 0,
        isolated: false,
        selection: Selection::default(),
        left_out: Vec::new(),
        origin: Origin::default(),
        lock_changes: Vec::new(),
        lock: None,
        resolution: Resolution::default(),
    };
    let forecast = Forecast { last: None, inputs: Inputs::default(), turned_on: Vec::new() };
    ImagePlan::new(build, Base::Scratch, None, forecast)
}
