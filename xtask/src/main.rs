//! `cargo xtask`. Everything is in the library: cargo begins to compile that before the plan's crate is done.

use std::process::ExitCode;

fn main() -> ExitCode {
    xtask::main()
}
