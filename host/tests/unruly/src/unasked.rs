//! What runs without being called: the dynamic linker calls it, when it loads the plugin and when the process exits.

use std::{env, process};

/// Names what blocks: `initialiser` or `finaliser`.
const BLOCKS: &str = "UNRULY_BLOCKS";

/// Names what ends the process, as if all were well.
const EXITS: &str = "UNRULY_EXITS";

#[used]
#[unsafe(link_section = ".init_array")]
static INITIALISER: extern "C" fn() = initialiser;

#[used]
#[unsafe(link_section = ".fini_array")]
static FINALISER: extern "C" fn() = finaliser;

extern "C" fn initialiser() {
    run("initialiser");
}

extern "C" fn finaliser() {
    run("finaliser");
}

fn run(this: &str) {
    let named = |variable| env::var(variable).is_ok_and(|named| named == this);
    if named(BLOCKS) {
        crate::block();
    }
    if named(EXITS) {
        process::exit(0);
    }
}
