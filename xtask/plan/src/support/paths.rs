//! Every path that xtask uses, derived once.

use anyhow::{Context, Result, bail};
use camino::{Utf8Component, Utf8Path, Utf8PathBuf};

use crate::support::container_paths::ContainerPaths;

/// The tree and its target directory. All paths are absolute.
#[derive(Clone, Debug)]
pub struct Paths {
    pub root: Utf8PathBuf,
    /// `target/image`: plain cargo commands never write here.
    pub image: Utf8PathBuf,
    /// Where everything lies in a builder's container.
    in_container: &'static str,
}

impl Paths {
    /// The tree of the current directory: the nearest directory above it with a workspace and an `xtask`.
    pub fn find() -> Result<Paths> {
        let here = std::env::current_dir().context("asking for the current directory")?;
        let here = Utf8PathBuf::from_path_buf(here)
            .map_err(|path| anyhow::anyhow!("the current directory's path is not UTF-8: {}", path.display()))?;
        for dir in here.ancestors() {
            if dir.join("xtask/Cargo.toml").is_file() && dir.join("Cargo.toml").is_file() {
                return Ok(Paths::new(dir, std::env::var("CARGO_TARGET_DIR").ok().as_deref()));
            }
        }
        bail!("{here} is not in a checkout with a Cargo.toml and an xtask directory; change to the root of a checkout");
    }

    pub fn new(root: &Utf8Path, target: Option<&str>) -> Paths {
        let target = root.join(target.filter(|dir| !dir.is_empty()).unwrap_or("target"));
        Paths { root: root.to_owned(), image: physical(&target).join("image"), in_container: "/xtask" }
    }

    /// The tree's own target directory, where plain cargo commands write.
    pub fn target(&self) -> Utf8PathBuf {
        self.image.parent().unwrap_or(&self.root).to_owned()
    }

    /// The same tree with a target directory for tests: nobody's own image changes.
    pub fn for_tests(&self) -> Paths {
        Paths { image: self.target().join("test/image"), ..self.clone() }
    }

    /// The same tree with a target directory for hosts that run here, which are compiled otherwise than for an image.
    pub fn for_runs(&self) -> Paths {
        Paths { image: self.target().join("run/image"), ..self.clone() }
    }

    /// The same tree with a target directory for plans of CI, which see every set of plugins in turn.
    pub fn for_matrix(&self) -> Paths {
        Paths { image: self.target().join("matrix/image"), ..self.clone() }
    }

    /// The same tree with a target directory for one platform of several.
    pub fn for_platform(&self, architecture: &str) -> Paths {
        Paths { image: self.image.join("platforms").join(architecture), ..self.clone() }
    }

    /// The OCI layout of an index of several platforms.
    pub fn platforms_layout(&self, name: &str) -> Utf8PathBuf {
        self.image.join(format!("{name}.oci"))
    }

    /// The tree of another commit, with a target directory of its own.
    pub fn before(&self) -> Paths {
        let dir = self.image.join("before");
        Paths { root: dir.join("tree"), image: dir.join("image"), ..self.clone() }
    }

    /// What [`for_reproduction`](Self::for_reproduction) names lies below it.
    pub fn reproduction(&self) -> Utf8PathBuf {
        self.image.join("reproducible")
    }

    /// The same tree with two target directories of other names and depths, here and in a container: what is built in them
    /// differs if it holds anything of a path.
    pub fn for_reproduction(&self) -> [Paths; 2] {
        let dir = self.reproduction();
        [("first", self.in_container), ("another/directory/second", "/another/directory")]
            .map(|(image, in_container)| Paths { image: dir.join(image), in_container, ..self.clone() })
    }

    /// The synced copy of the sources: what is compiled.
    pub fn sources(&self) -> Utf8PathBuf {
        self.image.join("src")
    }

    /// Cargo's target directory for the copy.
    pub fn cargo_target(&self) -> Utf8PathBuf {
        self.image.join("cargo")
    }

    /// The same for a build from scratch; removed afterwards.
    pub fn isolated_target(&self) -> Utf8PathBuf {
        self.image.join("isolated")
    }

    /// The built files that become layers.
    pub fn dist(&self) -> Utf8PathBuf {
        self.image.join("dist")
    }

    /// Layers by digest, and which uncompressed content each one holds.
    pub fn blobs(&self) -> Utf8PathBuf {
        self.image.join("blobs")
    }

    /// Base images that the container engine exported.
    pub fn bases(&self) -> Utf8PathBuf {
        self.image.join("bases")
    }

    /// Which image was verified last, and how.
    pub fn verified(&self) -> Utf8PathBuf {
        self.image.join("verified.json")
    }

    /// The layers of the image that was delivered last, and what they were made from.
    pub fn last_image(&self) -> Utf8PathBuf {
        self.image.join("last-image.json")
    }

    /// What a container built last.
    pub fn built(&self) -> Utf8PathBuf {
        self.image.join("built.json")
    }

    /// The lock file of the run that works here.
    pub fn lock(&self) -> Utf8PathBuf {
        self.image.join("lock")
    }

    /// A repository of our own, which compares the copy with the commit.
    pub fn git(&self) -> Utf8PathBuf {
        self.image.join("git")
    }

    /// What builders say about their compilers.
    pub fn builders(&self) -> Utf8PathBuf {
        self.image.join("builders")
    }

    /// The manifests that were resolved last, by digest.
    pub fn resolved(&self) -> Utf8PathBuf {
        self.image.join("resolved")
    }

    /// The crates' sources that go to a container.
    pub fn vendor(&self) -> Utf8PathBuf {
        self.image.join("vendor")
    }

    /// What was brought out of a builder's container.
    pub fn received(&self) -> Utf8PathBuf {
        self.image.join("received")
    }

    /// Built files with their seals.
    pub fn sealed(&self) -> Utf8PathBuf {
        self.image.join("sealed")
    }

    /// The JSON Schema of each plugin's configuration.
    pub fn schemas(&self) -> Utf8PathBuf {
        self.image.join("schemas")
    }

    /// std without its debug information.
    pub fn stripped(&self) -> Utf8PathBuf {
        self.image.join("stripped")
    }

    /// The image's root file system; exists only during verification.
    pub fn root_fs(&self) -> Utf8PathBuf {
        self.image.join("rootfs")
    }

    /// What a registry lists of the documents, as it was pushed last.
    pub fn referrers(&self) -> Utf8PathBuf {
        self.image.join("referrers")
    }

    /// What is attested; exists only during the push.
    pub fn predicate(&self) -> Utf8PathBuf {
        self.image.join("predicate.json")
    }

    /// What was compiled, as a registry keeps it.
    pub fn cached(&self) -> Utf8PathBuf {
        self.image.join("cached")
    }

    /// What buildx builds the image from.
    pub fn dockerfile(&self) -> Utf8PathBuf {
        self.image.join("Dockerfile")
    }

    /// The index that was pushed last, with its images.
    pub fn index(&self) -> Utf8PathBuf {
        self.image.join("index")
    }

    /// The digest of the pushed image; exists only during the push.
    pub fn pushed_digest(&self) -> Utf8PathBuf {
        self.image.join("pushed-digest")
    }

    /// What cargo answered last about the copy: its members, the crates that are linked, or compiled.
    pub fn answer(&self, about: &str) -> Utf8PathBuf {
        self.image.join(about)
    }

    /// Where everything lies in a builder's container.
    pub fn in_container(&self) -> ContainerPaths {
        ContainerPaths::new(self.in_container)
    }

    pub fn archive(&self, name: &str) -> Utf8PathBuf {
        self.image.join(format!("{name}.tar"))
    }

    /// What `cargo xtask check` compiles and writes.
    pub fn checked(&self) -> Utf8PathBuf {
        self.image.join("check")
    }

    /// The configuration of a host that runs on this machine.
    pub fn run(&self) -> Utf8PathBuf {
        self.image.join("run")
    }

    /// Plugins from outside of the tree.
    pub fn outside(&self) -> Utf8PathBuf {
        self.image.join("outside")
    }

    /// The lock file of a build that leaves the tree's as it is.
    pub fn lock_of(&self, name: &str) -> Utf8PathBuf {
        self.image.join(format!("{name}.lock"))
    }

    /// `path` relative to the root, for messages.
    pub fn relative<'a>(&self, path: &'a Utf8Path) -> &'a Utf8Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }
}

/// Without `.` and `..`, as if there were no symlinks.
pub fn normal(path: &Utf8Path) -> Utf8PathBuf {
    let mut normal = Utf8PathBuf::new();
    for part in path.components() {
        match part {
            Utf8Component::ParentDir => drop(normal.pop()),
            Utf8Component::CurDir => {}
            part => normal.push(part),
        }
    }
    normal
}

/// The path to `to` as it is written in `dir`; both are absolute.
pub fn from(dir: &Utf8Path, to: &Utf8Path) -> Utf8PathBuf {
    let shared = dir.components().zip(to.components()).take_while(|(one, other)| one == other).count();
    let up = dir.components().skip(shared).map(|_| Utf8Component::ParentDir);
    up.chain(to.components().skip(shared)).map(|part| part.as_str()).collect()
}

/// Resolves symlinks in the part that exists: cargo writes paths of the copy so, and they are compared with ours.
fn physical(path: &Utf8Path) -> Utf8PathBuf {
    let there = path.ancestors().find_map(|dir| Some((dir, dir.canonicalize_utf8().ok()?)));
    match there.as_ref().and_then(|(dir, real)| Some(real.join(path.strip_prefix(dir).ok()?))) {
        Some(real) => real.components().collect(),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::Paths;

    #[test]
    fn the_target_dir_follows_cargo_target_dir() {
        let image = |target| Paths::new("/tree".into(), target).image;
        assert_eq!(image(None), "/tree/target/image");
        assert_eq!(image(Some("")), "/tree/target/image");
        assert_eq!(image(Some("out")), "/tree/out/image");
        assert_eq!(image(Some("/elsewhere")), "/elsewhere/image");
    }
}
