//! Which of rustc's flags the ABI record holds, each written in one way: the cfgs and options that can change layout, calling
//! convention or code. Cargo's hash in the link anchor covers the profile, but none of these.

/// Options whose value may be a word of its own; a short and a long name mean the same.
/// Source: `rustc --help -v`.
const WITH_VALUE: [(&str, &str); 22] = [
    ("-C", "--codegen"),
    ("-Z", "-Z"),
    ("-L", "-L"),
    ("-l", "-l"),
    ("-W", "--warn"),
    ("-A", "--allow"),
    ("-D", "--deny"),
    ("-F", "--forbid"),
    ("--force-warn", "--force-warn"),
    ("--cap-lints", "--cap-lints"),
    ("--cfg", "--cfg"),
    ("--check-cfg", "--check-cfg"),
    ("--error-format", "--error-format"),
    ("--json", "--json"),
    ("--color", "--color"),
    ("--remap-path-prefix", "--remap-path-prefix"),
    ("--remap-path-scope", "--remap-path-scope"),
    ("--sysroot", "--sysroot"),
    ("--extern", "--extern"),
    ("--edition", "--edition"),
    ("--target", "--target"),
    ("--diagnostic-width", "--diagnostic-width"),
];

/// What only lints, reports, names paths or passes to the linker. Whatever is not known here is recorded.
const LEFT_OUT: [&str; 18] = [
    "-L",
    "-l",
    "-W",
    "-A",
    "-D",
    "-F",
    "-g",
    "-v",
    "--verbose",
    "--force-warn",
    "--cap-lints",
    "--check-cfg",
    "--error-format",
    "--json",
    "--color",
    "--remap-path-prefix",
    "--remap-path-scope",
    "--diagnostic-width",
];

/// The same among the options of `-C`; `prefer-dynamic` is in every build.
const CODEGEN_LEFT_OUT: [&str; 16] = [
    "ar",
    "debuginfo",
    "dlltool",
    "incremental",
    "link-arg",
    "link-args",
    "link-self-contained",
    "linker",
    "linker-features",
    "linker-flavor",
    "prefer-dynamic",
    "remark",
    "rpath",
    "save-temps",
    "split-debuginfo",
    "strip",
];

/// One flag of rustc with its value.
struct Flag<'a> {
    /// Its short name, if it has one.
    name: &'a str,
    value: Option<&'a str>,
}

/// The flags of `encoded` (CARGO_ENCODED_RUSTFLAGS: separated by 0x1f) that are recorded, a line each, in their order: later ones count.
///
/// `features` are the target features that are on: `native` is another processor on each machine.
///
/// # Errors
///
/// When the flags stand in a file, which cannot be recorded.
pub fn recorded(encoded: &str, features: &str) -> Result<String, String> {
    let mut lines = Vec::new();
    for Flag { name, value } in parse(encoded) {
        let line = match (name, value) {
            (file, None) if file.starts_with('@') => {
                return Err(format!(
                    "the flags in the file {} cannot be compared between host and plugins: write them into RUSTFLAGS",
                    &file[1..]
                ));
            }
            (name, _) if LEFT_OUT.contains(&name) => continue,
            ("-O", None) => "-C opt-level=3".to_owned(),
            ("-C", Some(option)) => match codegen(option, features) {
                Some(option) => format!("-C {option}"),
                None => continue,
            },
            (name, None) => without_dirs(name),
            (name, Some(value)) => format!("{name} {}", without_dirs(value)),
        };
        lines.push(line);
    }
    Ok(lines.join("\n"))
}

/// Whether the flags hold `-C prefer-dynamic`, the last one counting.
pub fn prefers_dynamic(encoded: &str) -> bool {
    let flags = parse(encoded).into_iter().filter(|flag| flag.name == "-C");
    let last = flags.filter_map(|flag| flag.value.map(codegen_option)).rfind(|(name, _)| name == "prefer-dynamic");
    last.is_some_and(|(_, value)| matches!(value, None | Some("yes" | "y" | "on" | "true")))
}

fn parse(encoded: &str) -> Vec<Flag<'_>> {
    let mut flags = Vec::new();
    let mut words = encoded.split('\x1f').filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        let option = WITH_VALUE.iter().find_map(|(short, long)| {
            let rest = word.strip_prefix(long).filter(|rest| rest.is_empty() || rest.starts_with('='));
            let rest =
                rest.or_else(|| word.strip_prefix(short).filter(|rest| rest.is_empty() || !short.starts_with("--")));
            rest.map(|rest| (*short, rest.strip_prefix('=').unwrap_or(rest)))
        });
        flags.push(match option {
            Some((name, "")) => Flag { name, value: words.next() },
            Some((name, value)) => Flag { name, value: Some(value) },
            None => Flag { name: word, value: None },
        });
    }
    flags
}

/// The option of `-C` as it is recorded, if it is.
fn codegen(option: &str, features: &str) -> Option<String> {
    let (name, value) = codegen_option(option);
    if CODEGEN_LEFT_OUT.contains(&name.as_str()) {
        return None;
    }
    Some(match value {
        Some("native") if name == "target-cpu" => format!("{name}=native with {features}"),
        Some(value) => format!("{name}={}", without_dirs(value)),
        None => name,
    })
}

/// rustc takes underscores for hyphens in names.
fn codegen_option(option: &str) -> (String, Option<&str>) {
    let (name, value) = option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)));
    (name.replace('_', "-"), value)
}

/// Of a path the last part: builds of one tree in two directories are equal.
fn without_dirs(value: &str) -> String {
    let (name, path) = value.split_once('=').map_or(("", value), |(name, path)| (name, path));
    let path = if path.starts_with('/') { path.rsplit('/').next().unwrap_or(path) } else { path };
    if name.is_empty() { path.to_owned() } else { format!("{name}={path}") }
}

#[cfg(test)]
mod tests {
    use super::{prefers_dynamic, recorded};

    #[test]
    fn what_changes_a_build_is_recorded_and_nothing_else() {
        let check = |flags: &str, expected: &str| {
            let encoded = flags.replace(' ', "\x1f");
            assert_eq!(recorded(&encoded, "sse,sse2"), Ok(expected.replace("; ", "\n")), "{flags}");
        };
        check("", "");
        check("-C prefer-dynamic -C link-arg=-Wl,-rpath,$ORIGIN -Clinker=/usr/bin/lld --codegen=link_args=-s", "");
        check("--remap-path-prefix=/home/a=/source --remap-path-prefix /b=/c -L /d -ldl -g -C debuginfo=2", "");
        check("-D warnings -Wunused --warn=unused --cap-lints allow --check-cfg cfg(a) --color always -v", "");
        check("--cfg wide --cfg=deep", "--cfg wide; --cfg deep");
        check("--cfg feature=\"a=/b\"", "--cfg feature=\"a=/b\"");
        check(
            "-C target-cpu=x86-64-v3 -Ctarget_cpu=x86-64-v3 --codegen target-cpu=x86-64-v3",
            &["-C target-cpu=x86-64-v3"; 3].join("; "),
        );
        check("-C target-cpu=native", "-C target-cpu=native with sse,sse2");
        check(
            "-C target-feature=+avx2,-sse3 -C target-feature=-crt-static",
            "-C target-feature=+avx2,-sse3; -C target-feature=-crt-static",
        );
        check("-Zsanitizer=address -Z randomize-layout", "-Z sanitizer=address; -Z randomize-layout");
        check("-O -C overflow-checks -C soft-float=yes", "-C opt-level=3; -C overflow-checks; -C soft-float=yes");
        check("-C profile-use=/home/a/merged.profdata", "-C profile-use=merged.profdata");
        check("--unknown=1 -Copt-level=s", "--unknown=1; -C opt-level=s");
    }

    #[test]
    fn flags_in_a_file_are_refused() {
        let expected =
            "the flags in the file flags.txt cannot be compared between host and plugins: write them into RUSTFLAGS";
        assert_eq!(recorded("@flags.txt", ""), Err(expected.to_owned()));
    }

    #[test]
    fn the_last_prefer_dynamic_counts() {
        for (flags, expected) in [
            ("", false),
            ("-C prefer-dynamic", true),
            ("-Cprefer_dynamic=yes", true),
            ("--codegen=prefer-dynamic=on", true),
            ("--codegen prefer-dynamic -C prefer-dynamic=no", false),
            ("--cfg prefer-dynamic", false),
        ] {
            assert_eq!(prefers_dynamic(&flags.replace(' ', "\x1f")), expected, "{flags}");
        }
    }
}
