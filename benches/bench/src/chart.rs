//! Bar charts as SVG, for the page about the benchmarks.

use std::fmt::Write;
use std::path::Path;

/// One chart: its file, its title, and its bars by the names of their rows.
struct Chart {
    file: &'static str,
    title: &'static str,
    bars: &'static [(&'static str, &'static str)],
}

const CHARTS: [Chart; 3] = [
    Chart {
        file: "edit.svg",
        title: "One plugin edited: seconds until there is an image",
        bars: &[
            ("cargo xtask image", "build: image, one plugin edited (docker)"),
            ("Dockerfile with cache mounts", "build: Dockerfile by hand with cache mounts, one plugin edited"),
            ("Dockerfile", "build: Dockerfile by hand, one plugin edited"),
        ],
    },
    Chart {
        file: "calls.svg",
        title: "One message to a plugin: nanoseconds",
        bars: &[
            ("native plugin", "plugin: async deliver across the boundary"),
            ("wasmtime", "plugin: the same in wasmtime"),
            ("gRPC on a unix socket", "plugin: the same over gRPC on a unix socket"),
        ],
    },
    Chart {
        file: "requests.svg",
        title: "Requests each second",
        bars: &[
            ("host and a plugin", "host: host behind a plugin that does nothing"),
            ("axum alone", "host: axum alone"),
        ],
    },
];

const WIDTH: f64 = 720.0;
const LABELS: f64 = 210.0;
/// For the figure at the end of a bar.
const FIGURES: f64 = 90.0;
const BAR: f64 = 30.0;

/// Beyond this ratio the scale is logarithmic, and the chart says so.
const LINEAR: f64 = 500.0;

/// Writes the charts whose rows were all measured; returns their files.
pub fn draw(rows: &[(String, f64)], dir: &Path) -> Vec<&'static str> {
    let value = |name: &str| rows.iter().find(|(row, _)| row == name).map(|(_, value)| *value);
    let mut drawn = Vec::new();
    for chart in &CHARTS {
        let bars: Option<Vec<(&str, f64)>> =
            chart.bars.iter().map(|(label, name)| Some((*label, value(name)?))).collect();
        if let Some(bars) = bars {
            std::fs::write(dir.join(chart.file), svg(chart.title, &bars)).expect("the directory of the charts");
            drawn.push(chart.file);
        }
    }
    drawn
}

fn svg(title: &str, bars: &[(&str, f64)]) -> String {
    let (least, most) =
        bars.iter().fold((f64::MAX, 0.0_f64), |(least, most), (_, value)| (least.min(*value), most.max(*value)));
    let logarithmic = most / least > LINEAR;
    let length = |value: f64| {
        let part = if logarithmic { (value / least * 10.0).ln() / (most / least * 10.0).ln() } else { value / most };
        part * (WIDTH - LABELS - FIGURES)
    };
    let title = if logarithmic { format!("{title} (logarithmic)") } else { title.to_owned() };
    let height = 50.0 + BAR * bars.len() as f64;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" font-family=\"sans-serif\" font-size=\"14\">\n\
         <title>{title}</title>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"10\" y=\"26\" font-size=\"16\" fill=\"#222222\">{title}</text>\n"
    );
    for (number, (label, value)) in bars.iter().enumerate() {
        let (top, width) = (42.0 + BAR * number as f64, length(*value));
        let color = if number == 0 { "#2f6f4f" } else { "#9aa5a0" };
        let (middle, end) = (top + 16.0, LABELS + width + 6.0);
        writeln!(
            out,
            "<text x=\"{:.0}\" y=\"{middle:.0}\" text-anchor=\"end\" fill=\"#222222\">{label}</text>\n\
             <rect x=\"{LABELS}\" y=\"{top:.0}\" width=\"{width:.1}\" height=\"{:.0}\" fill=\"{color}\"/>\n\
             <text x=\"{end:.1}\" y=\"{middle:.0}\" fill=\"#222222\">{}</text>",
            LABELS - 8.0,
            BAR - 8.0,
            figure(*value)
        )
        .expect("a string takes all");
    }
    out + "</svg>\n"
}

fn figure(value: f64) -> String {
    if value < 100.0 {
        return format!("{value:.1}");
    }
    // 34900 as 34,900.
    let digits = format!("{value:.0}");
    let groups: Vec<String> =
        digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group).into_owned()).collect();
    groups.join(",")
}
