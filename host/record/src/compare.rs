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
    let mut rows = vec![["field".to_owned(), "have".to_owned(), "want".to_owned()]];
    for Difference { field, have, want } in differences {
        let mut name = *field;
        for (have, want) in differing_lines(have, want) {
            rows.push([name.to_owned(), have.to_owned(), want.to_owned()]);
            name = "";
        }
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (first, second) = (width(0), width(1));
    rows.iter()
        .map(|[field, have, want]| format!("  {field:first$}  {have:second$}  {want}").trim_end().to_owned() + "\n")
        .collect()
}

/// The pairs of lines that differ; a line that one side lacks is paired with `-`.
fn differing_lines<'a>(have: &'a str, want: &'a str) -> Vec<(&'a str, &'a str)> {
    let (mut have, mut want) = (have.trim_end().lines(), want.trim_end().lines());
    let mut pairs = Vec::new();
    loop {
        match (have.next(), want.next()) {
            (None, None) => return pairs,
            (have, want) if have == want => {}
            (have, want) => pairs.push((have.unwrap_or("-"), want.unwrap_or("-"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            format: 1,
            plugin: "file".into(),
            version: "0.1.0".into(),
            sdk: "0.1.0".into(),
            source: "ab".repeat(32),
            rustc: "rustc 1.95.0 (abc 2026-04-14)\nbinary: rustc\nrelease: 1.95.0\n".into(),
            target: "x86_64-unknown-linux-gnu".into(),
            profile: "opt-level 3".into(),
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
            format: 2,
            sdk: "0.2.0".into(),
            source: "cd".repeat(32),
            rustc: "other".into(),
            target: "other".into(),
            profile: "other".into(),
            anchor: "other".into(),
            ..record()
        };
        let fields: Vec<_> = compare(&changed, &record()).into_iter().map(|difference| difference.field).collect();
        assert_eq!(fields, ["format", "sdk", "source", "rustc", "target", "profile", "anchor"]);
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
}
