//! 10,000 plugins with changed bytes, which take minutes.

mod mutants;
mod support;

#[test]
fn ten_thousand() {
    mutants::check(10_000);
}
