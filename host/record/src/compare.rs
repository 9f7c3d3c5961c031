//! Compares two records and shows what differs. Decides nothing: the caller says what a difference means.

use crate::Record;

/// One field in which two records differ.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// The name of the field, as in [`Record`].
    pub field: &'static str,
    /// What the plugin says.
    pub have: String,
    /// What the host says.
    pub want: String,
}

/// The fields in which `have` (a plugin) differs from `want` (the host), in the record's order.
///
/// A plugin's own name and version are not compared.
pub fn compare(have: &Record, want: &Record) -> Vec<Difference> {
    let fields = [
        ("format", have.format.to_string(), want.format.to_string()),
        ("sdk", have.sdk.clone(), want.sdk.clone()),
        ("source", have.source.clone(), want.source.clone()),
        ("rustc", have.rustc.clone(), want.rustc.clone()),
        ("target", have.target.clone(), want.target.clone()),
        ("profile", have.profile.clone(), want.profile.clone()),
        ("flags", have.flags.clone(), want.flags.clone()),
        ("anchor", have.anchor.clone(), want.anchor.clone()),
    ];
    fields
        .into_iter()
        .filter(|(_, have, want)| have != want)
        .map(|(field, have, want)| Difference { field, have, want })
        .collect()
}

/// The differences as a table with the columns field, have and want; each line ends with a line feed.
///
/// A value of several lines (`rustc -vV`) shows the lines that differ.
pub fn table(differences: &[Difference]) -> String {
    let mut all = vec![["field", "have", "want"].map(str::to_owned)];
    all.extend(rows(differences));
    aligned(&all)
}

/// The differences of several files as one table, with the column file in front.
pub fn table_of_files(files: &[(String, Vec<Difference>)]) -> String {
    let mut all = vec![["file", "field", "have", "want"].map(str::to_owned)];
    for (file, differences) in files {
        let mut name = printable(file);
        for [field, have, want] in rows(differences) {
            all.push([std::mem::take(&mut name), field, have, want]);
        }
    }
    aligned(&all)
}

/// A row for each line that differs; the field stands in its first one.
fn rows(differences: &[Difference]) -> Vec<[String; 3]> {
    let mut rows = Vec::new();
    for Difference { field, have, want } in differences {
        let mut name = *field;
        for (have, want) in differing_lines(have, want) {
            rows.push([std::mem::take(&mut name).to_owned(), have, want]);
        }
    }
    rows
}

fn aligned<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let widths: [usize; COLUMNS] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    let line = |row: &[String; COLUMNS]| -> String {
        row.iter().zip(widths).map(|(cell, width)| format!("  {cell:width$}")).collect()
    };
    rows.iter().map(|row| line(row).trim_end().to_owned() + "\n").collect()
}

/// The pairs of lines that differ; a line that one side lacks is paired with `-`.
fn differing_lines(have: &str, want: &str) -> Vec<(String, String)> {
    let (mut have_lines, mut want_lines) = (have.trim_end().lines(), want.trim_end().lines());
    let mut pairs = Vec::new();
    loop {
        match (have_lines.next(), want_lines.next()) {
            (None, None) => break,
            (have, want) if have == want => {}
            (have, want) => pairs.push((printable(have.unwrap_or("-")), printable(want.unwrap_or("-")))),
        }
    }
    if pairs.is_empty() {
        // They differ in what ends a line, which no line shows.
        pairs.push((printable(have), printable(want)));
    }
    pairs
}

/// What a file says of itself may be anything, also what moves a terminal's cursor.
pub fn printable(text: &str) -> String {
    let escaped = |letter: char| if letter.is_control() { letter.escape_default().to_string() } else { letter.into() };
    text.chars().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            format: 2,
            plugin: "file".into(),
            version: "0.1.0".into(),
            sdk: "0.1.0".into(),
            source: "ab".repeat(32),
            rustc: "rustc 1.95.0 (abc 2026-04-14)\nbinary: rustc\nrelease: 1.95.0\n".into(),
            target: "x86_64-unknown-linux-gnu".into(),
            profile: "opt-level 3".into(),
            flags: String::new(),
            anchor: "_ZN11provost_sdk3abi19provost_link_anchor17h0123456789abcdefE".into(),
        }
    }

    #[test]
    fn a_record_equals_itself_whatever_the_plugin() {
        let other = Record { plugin: "smtp".into(), version: "9.9.9".into(), ..record() };
        assert_eq!(compare(&other, &record()), []);
    }

    #[test]
    fn every_other_field_counts() {
        let changed = Record {
            format: 3,
            sdk: "0.2.0".into(),
            source: "cd".repeat(32),
            rustc: "other".into(),
            target: "other".into(),
            profile: "other".into(),
            flags: "--cfg other".into(),
            anchor: "other".into(),
            ..record()
        };
        let fields: Vec<_> = compare(&changed, &record()).into_iter().map(|difference| difference.field).collect();
        assert_eq!(fields, ["format", "sdk", "source", "rustc", "target", "profile", "flags", "anchor"]);
    }

    #[test]
    fn the_table_shows_the_lines_that_differ() {
        let have = Record { rustc: record().rustc.replace("1.95.0", "1.94.0"), sdk: "0.0.9".into(), ..record() };
        let expected = "  \
  field  have                           want
  sdk    0.0.9                          0.1.0
  rustc  rustc 1.94.0 (abc 2026-04-14)  rustc 1.95.0 (abc 2026-04-14)
         release: 1.94.0                release: 1.95.0
";
        assert_eq!(table(&compare(&have, &record())), expected);
    }

    #[test]
    fn one_table_for_several_files() {
        let rustc = Record { rustc: record().rustc.replace("1.95.0", "1.94.0"), ..record() };
        let old = Record { sdk: "0.0.9".into(), target: "\x1b[2Jother".into(), ..record() };
        let files =
            [("a.prov".to_owned(), compare(&rustc, &record())), ("subdir/b.prov".to_owned(), compare(&old, &record()))];
        let expected = "  \
  file           field   have                           want
  a.prov         rustc   rustc 1.94.0 (abc 2026-04-14)  rustc 1.95.0 (abc 2026-04-14)
                         release: 1.94.0                release: 1.95.0
  subdir/b.prov  sdk     0.0.9                          0.1.0
                 target  \\u{1b}[2Jother                 x86_64-unknown-linux-gnu
";
        assert_eq!(table_of_files(&files), expected);
    }

    #[test]
    fn a_difference_that_no_line_shows() {
        let have = Record { rustc: record().rustc.trim_end().to_owned(), ..record() };
        let table = table(&compare(&have, &record()));
        assert!(
            table.contains("\n  rustc  rustc 1.95.0 (abc 2026-04-14)\\nbinary: rustc\\nrelease: 1.95.0  "),
            "{table}"
        );
    }
}
