//! 500 plugins with changed bytes.

mod mutants;
mod support;

#[test]
fn five_hundred() {
    mutants::check(500);
}
