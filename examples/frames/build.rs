//! Compiles the C code. Its compiler, and libraries that it needs, come from docker/builder.Dockerfile.

fn main() {
    println!("cargo::rerun-if-changed=src/crc.c");
    cc::Build::new().file("src/crc.c").compile("crc");
}
