//! Rows of a table: a line each, as text or as JSON, printed as soon as it is known.

use clap::ValueEnum;
use serde::Serialize;

#[derive(Clone, Copy, Debug, Default, PartialEq, ValueEnum)]
pub enum Format {
    #[default]
    Human,
    /// A line of JSON for each row
    Json,
}

/// What a figure should be.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    value: f64,
    unit: &'a str,
    bound: Option<Bound>,
    holds: Option<bool>,
}

pub struct Report {
    format: Format,
    rows: Vec<(String, f64)>,
}

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            Bound::AtMost(most) => value <= most,
            Bound::AtLeast(least) => value >= least,
        }
    }
}

impl Report {
    /// Says first what machine it is.
    pub fn new(format: Format) -> Report {
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("\t: another processor");
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        eprintln!("{cores} cores of {}", model.trim_start_matches(['\t', ':', ' ']));
        Report { format, rows: Vec::new() }
    }

    pub fn row(&mut self, name: &str, value: f64, unit: &str, bound: Option<Bound>) {
        self.rows.push((name.to_owned(), value));
        let row = Row { name, value, unit, bound, holds: bound.map(|bound| bound.holds(value)) };
        match self.format {
            Format::Json => println!("{}", serde_json::to_string(&row).expect("plain data")),
            Format::Human => {
                let bound = match bound {
                    None => String::new(),
                    Some(Bound::AtMost(most)) => format!("at most {most} {unit}"),
                    Some(Bound::AtLeast(least)) => format!("at least {least} {unit}"),
                };
                let holds = row.holds.map_or("", |holds| if holds { "holds" } else { "DOES NOT HOLD" });
                println!("{name:<58} {value:>12.3} {unit:<10} {bound:<22} {holds}");
            }
        }
    }

    /// The names and values of all rows.
    pub fn end(self) -> Vec<(String, f64)> {
        if self.format == Format::Human {
            println!("\nMedians. What is compared was measured in one run, in turns.");
        }
        self.rows
    }
}
