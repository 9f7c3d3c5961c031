//! 500 plugins with changed bytes.

#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn five_hundred() {
    crate::mutants::check(500);
}
