//! Reads the output of `cargo tree --prefix depth`. A line begins with its depth. It ends with ` (*)` if its
//! dependencies were listed before.
//! Source: <https://doc.rust-lang.org/cargo/commands/cargo-tree.html>.

use anyhow::{Context, Result, bail};

/// A line without its depth and its mark.
#[derive(Debug, PartialEq, Eq)]
pub struct Line<'a> {
    pub text: &'a str,
    /// The line above it in the tree; none for a root.
    pub parent: Option<usize>,
}

/// The lines of an answer, a parent before what is below it.
pub fn lines(answer: &str) -> Result<Vec<Line<'_>>> {
    let mut lines = Vec::new();
    // Possible parents of the next line.
    let mut above: Vec<usize> = Vec::new();
    for line in answer.lines().filter(|line| !line.is_empty()) {
        let digits = line.find(|character: char| !character.is_ascii_digit()).unwrap_or(line.len());
        let (depth, text) = line.split_at(digits);
        let depth: usize = depth.parse().with_context(|| wrote(line))?;
        if depth > above.len() {
            bail!("{} below nothing", wrote(line));
        }
        above.truncate(depth);
        lines.push(Line { text: text.trim_end_matches("(*)").trim_end(), parent: above.last().copied() });
        above.push(lines.len() - 1);
    }
    Ok(lines)
}

/// The beginning of an error.
pub fn wrote(line: &str) -> String {
    format!("`cargo tree` wrote the line `{line}`")
}

#[cfg(test)]
mod tests {
    use super::{Line, lines};

    #[test]
    fn lines_know_what_they_stand_below() {
        let answer = "0a v1\n1b v1 (*)\n1c v1||d\n2b v1\n\n0d v1\n";
        let expected = [("a v1", None), ("b v1", Some(0)), ("c v1||d", Some(0)), ("b v1", Some(2)), ("d v1", None)];
        assert_eq!(lines(answer).expect("an answer"), expected.map(|(text, parent)| Line { text, parent }));
    }

    #[test]
    fn another_answer_is_an_error() {
        let check = |answer, expected: &str| assert_eq!(format!("{:#}", lines(answer).expect_err(answer)), expected);
        check("a v1", "`cargo tree` wrote the line `a v1`: cannot parse integer from empty string");
        check("0a v1\n2b v1", "`cargo tree` wrote the line `2b v1` below nothing");
    }
}
