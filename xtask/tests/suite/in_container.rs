//! xtask in a container that has nothing but the daemon's socket, as a user who is not root: as in many a CI job.

use std::process::Stdio;

use crate::support::Tree;
use crate::support::engine::{ALPINE, Engine, GNU, GREETINGS, Leftovers};
use camino::{Utf8Path, Utf8PathBuf};

const NAME: &str = "localhost/xtask-test/greeter:in-container";

/// By root, who only gives the tree away: then xtask as somebody whom the socket's group lets in, and what it left.
const SCRIPT: &str = r#"set -e
mkdir -p "$CARGO"
chown -R 1000:1000 "$TREE" "$CARGO"
libraries=$(rustc --print target-libdir)
cd "$TREE"
setpriv --reuid 1000 --regid 1000 --groups "$(stat -c %g "$SOCKET")" \
  env HOME=/tmp CARGO_HOME="$CARGO" LD_LIBRARY_PATH="$libraries" DOCKER_HOST="unix://$SOCKET" xtask image "$@"
find target -name greeter.tar
find "$TREE" ! -user 1000
"#;

/// The client's own daemon, which has a socket on this machine.
fn socket() -> String {
    let address = Engine::docker().read(&["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]);
    let socket = address.strip_prefix("unix://");
    socket.unwrap_or_else(|| panic!("the docker daemon at {address} has no socket on this machine")).to_owned()
}

fn on_path(program: &str) -> Utf8PathBuf {
    let dirs = std::env::var_os("PATH").expect("PATH");
    let file = std::env::split_paths(&dirs).map(|dir| dir.join(program)).find(|file| file.is_file());
    Utf8PathBuf::from_path_buf(file.expect("the program")).expect("a UTF-8 path")
}

/// A container with the tree at its own path, xtask and docker; removed when it is dropped.
struct Job {
    id: String,
}

impl Job {
    /// With the tree in `dir`, and cargo's home in another one.
    fn create(tree: &Tree, dir: &Utf8Path, cargo: &str, args: &[&str]) -> Job {
        let socket = socket();
        let (volume, tree_there) = (format!("{socket}:{socket}"), format!("TREE={dir}"));
        let cargo = format!("CARGO={cargo}");
        let create = ["create", "--network", "none", "--volume", &volume, "--env", &tree_there, "--env", &cargo];
        let command = ["--env", &format!("SOCKET={socket}"), "--entrypoint", "sh", GNU, "-c", SCRIPT, "sh"];
        let job = Job { id: Engine::docker().read(&[create.as_slice(), &command, args].concat()) };
        job.fill(tree, dir);
        job
    }

    /// As one tar stream, in which all directories stand.
    fn fill(&self, tree: &Tree, dir: &Utf8Path) {
        let mut copy = Engine::docker().command(&["cp", "-", &format!("{}:/", self.id)]);
        let mut copy = copy.stdin(Stdio::piped()).spawn().expect("docker starts");
        let mut tar = tar::Builder::new(copy.stdin.take().expect("its stdin"));
        // Docker does not know GNU's sparse files.
        tar.sparse(false);
        let inside = |path: &Utf8Path| path.strip_prefix("/").expect("an absolute path").to_owned();
        tar.append_dir_all(inside(dir), &tree.root).expect("the tree");
        for (name, file) in [("xtask", env!("CARGO_BIN_EXE_xtask")), ("docker", on_path("docker").as_str())] {
            tar.append_path_with_name(file, format!("usr/local/bin/{name}")).expect("a program");
        }
        drop(tar.into_inner().expect("the end of the tar"));
        assert!(copy.wait().expect("docker ends").success());
    }

    fn run(&self) -> String {
        let output = Engine::docker().command(&["start", "--attach", &self.id]).output().expect("docker starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let _ = Engine::docker().command(&["rm", "--force", &self.id]).output();
    }
}

#[test]
fn a_socket_and_a_user_are_enough() {
    let args = ["--engine", "docker", "--builder-image", GNU, "--base", ALPINE, "--tag", NAME];
    let outside = Tree::small("outside-of-container").titled("Container");
    let engine = Engine::docker();
    let _outside = Leftovers::new(&engine, &outside, NAME);
    let expected = outside.image(&args);
    engine.read(&["rmi", NAME]);

    let tree = Tree::small("in-container").titled("Container");
    let _inside = Leftovers::new(&engine, &tree, NAME);
    let said = Job::create(&tree, &tree.root, "/tmp/cargo", &args).run();
    // The digest, the archive, and no file of another user in the tree.
    let digest = expected["manifest_digest"].as_str().expect("a digest");
    assert_eq!(said, format!("{digest}\ntarget/image/greeter.tar\n"));
    assert_eq!(engine.run(NAME), GREETINGS);
    engine.no_container_is_left(&tree);
}

/// Both names stand in what is built anyway: one is a piece of many paths, the other is what paths are mapped to.
#[test]
fn a_checkout_may_have_a_short_path() {
    let args = ["--engine", "local", "--base", "scratch", "--tag", "localhost/xtask-test/greeter:short-path"];
    let tree = Tree::small("short-path").titled("Short path");
    let said = Job::create(&tree, Utf8Path::new("/src"), "/cargo", &args).run();
    let _ = Engine::docker().command(&["rmi", "--force", "localhost/xtask-test/greeter:short-path"]).output();
    assert!(said.starts_with("sha256:") && said.ends_with("\ntarget/image/greeter.tar\n"), "{said}");
}
