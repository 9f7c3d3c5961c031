//! 10,000 plugins with changed bytes, which take minutes.

#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn ten_thousand() {
    crate::mutants::check(10_000);
}
