//! What greeter and its plugins share. `abi.rs` is the real SDK's, copied here by the tests.

pub mod abi;

/// What a plugin exports.
pub type Greeting = fn() -> String;

/// Exports a function as this crate's plugin.
#[macro_export]
macro_rules! export {
    ($greeting:path) => {
        $crate::record!();

        #[unsafe(no_mangle)]
        pub static GREETING: $crate::Greeting = $greeting;
    };
}
