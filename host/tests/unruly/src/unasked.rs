//! What runs without being called: the dynamic linker calls it, when it loads the plugin and when the process exits.

use std::env;

/// Names what blocks: `initialiser` or `finaliser`.
const VARIABLE: &str = "UNRULY_BLOCKS";

#[used]
#[unsafe(link_section = ".init_array")]
static INITIALISER: extern "C" fn() = initialiser;

#[used]
#[unsafe(link_section = ".fini_array")]
static FINALISER: extern "C" fn() = finaliser;

extern "C" fn initialiser() {
    block_if("initialiser");
}

extern "C" fn finaliser() {
    block_if("finaliser");
}

fn block_if(this: &str) {
    if env::var(VARIABLE).is_ok_and(|named| named == this) {
        crate::block();
    }
}
