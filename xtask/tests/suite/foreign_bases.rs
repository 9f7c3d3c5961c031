//! Bases of another architecture, and of another libc.

use std::fs;

use crate::support::{Tree, errors};

/// A root file system in a tar, of these files.
fn base(tree: &Tree, files: &[(&str, &[u8])]) {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o755);
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, path, *content).expect("an entry");
    }
    tree.write_bytes("base.tar", &tar.into_inner().expect("a tar"));
}

/// A program of this machine, and what of it says for which machine it is.
fn program() -> (Vec<u8>, std::ops::Range<usize>) {
    (fs::read("/bin/sh").expect("a shell"), 18..20)
}

#[test]
fn a_base_of_another_architecture_is_refused() {
    let tree = Tree::small("foreign-architecture").without_engine();
    let (own, machine) = program();
    let mut other = own.clone();
    let [own_name, other_name, number] = match cfg!(target_arch = "aarch64") {
        true => ["arm64", "amd64", "\u{3e}\0"],
        false => ["amd64", "arm64", "\u{37}\0"],
    };
    // 0xb7 is no letter: the number of arm64 is written as bytes.
    let number = if other_name == "arm64" { vec![0xb7, 0] } else { number.as_bytes().to_vec() };
    other[machine].copy_from_slice(&number);

    for path in ["bin/sh", "lib/ld-musl.so.1"] {
        base(&tree, &[(path, &other)]);
        let error = format!(
            "error: the base image {}/base.tar is linux/{other_name}, as its /{path} shows, but the build is for \
             linux/{own_name}\n",
            tree.root
        );
        assert_eq!(errors(&tree, &["--base", "base.tar"]).replace("[ROOT]", tree.root.as_str()), error);
    }
    // Beside its own, a system may have another's libraries.
    base(&tree, &[("bin/sh", &own), ("lib/ld-other.so.1", &other)]);
    tree.image(&["--base", "base.tar"]);
}

#[test]
fn the_report_says_that_another_libc_comes_along() {
    let tree = Tree::small("foreign-libc").without_engine();
    let (own, _) = program();
    base(&tree, &[("lib/ld-musl-any.so.1", &own)]);
    let run = tree.xtask(&["image", "--base", "base.tar"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let said = "    Bundling glibc: the base image [ROOT]/base.tar has musl\n";
    assert!(run.stderr.contains(said), "{}", run.stderr);
    assert!(!tree.xtask(&["image", "--base", "scratch"]).stderr.contains("comes along"));
}
