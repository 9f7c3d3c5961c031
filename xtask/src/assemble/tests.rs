//! A whole image's bytes.

use crate::assemble::example;
use crate::assemble::{Image, archive};
use crate::oci::digest::Digest;
use crate::oci::entry::{Entry, ROOT};
use crate::oci::layer::{self, NamedLayer, Store};
use crate::oci::listing;
use crate::oci::rootfs::Tree;
use crate::source::revision::Origin;

#[test]
fn the_bytes_of_an_image_are_these() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = Store::new(dir.path().to_owned().try_into().expect("a UTF-8 path"));
    let plan = example::image_plan().expect("a plan");
    let contents = [
        vec![Entry::file("/lib/libc.so".into(), b"libc".repeat(1000), true)],
        vec![
            Entry::file("/greeter/greeter".into(), b"host".repeat(1000), true),
            Entry::dir("/var/lib/greeter".into(), plan.build.host.user),
        ],
        vec![Entry::file("/etc/greeter.toml".into(), b"tone = \"polite\"\n".to_vec(), false)],
    ];
    let layers = plan.layers.iter().zip(&contents).map(|(planned, entries)| {
        let laid = layer::lay(entries, &Tree::default()).expect("paths");
        let tar = layer::tar(&laid).expect("a tar");
        let layer = store.add(&Digest::sha256(&tar), &tar).expect("a layer");
        NamedLayer { name: planned.name.clone(), layer, files: listing::list(&laid) }
    });
    let layers = layers.collect();
    let origin = Origin { created: 951_827_696, revision: Some("abc-dirty".to_owned()) };
    let image = Image::new(&plan, origin, &["PATH=/bin".to_owned()], Vec::new(), layers, store);
    let mut bytes = Vec::new();
    archive::write(&image, Some("greeter:0.1.0"), &mut bytes).expect("an archive");
    let digests = format!("manifest {}\narchive {}\n", image.manifest_digest, Digest::sha256(&bytes));
    expect_test::expect![[r#"
        manifest sha256:146630a5737a42cf1eda9e020a3c67539be9d9d2f025f71de43044797bfdfb96
        archive sha256:d73bee86075e3040e98c3b72721fac462036a38368aa5a907331a58cd678254c
    "#]]
    .assert_eq(&digests);
    assert_eq!(layer::FORMAT, 1, "the digests above are of this format: count FORMAT up when they change on purpose");
    assert_eq!(image.own_layers[1].files[0].owner, format!("{}:{}", ROOT.uid, ROOT.gid));
}
