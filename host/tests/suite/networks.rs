//! How many connections a peer may have by IPv6, where one has a whole network: in a network of the test's own.

use crate::support::{Host, dir, write_config};
use std::process::{Command, Stdio};

/// Two networks, with two addresses in the first.
const ADDRESSES: [&str; 3] = ["fd00:1::1", "fd00:1::2", "fd00:2::1"];

/// Opens a connection from each address of its arguments, and asks by each once more when all are open; says for each whether that was
/// answered.
const ASK: &str = r#"
import socket, sys
def answered(connection):
    try:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")
        return connection.recv(4096).startswith(b"HTTP/1.1 200 ")
    except ConnectionError:
        return False
def opened(address):
    connection = socket.socket(socket.AF_INET6)
    connection.bind((address, 0))
    connection.connect((address, int(sys.argv[1])))
    assert answered(connection), address
    return connection
connections = [(address, opened(address)) for address in sys.argv[2:]]
for address, connection in connections:
    print(address, answered(connection))
"#;

#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn a_network_is_one_peer() {
    let dir = dir();
    let config =
        write_config(dir.path(), "[server]\nlisten = \"[::]:0\"\npeer_connections_limit = 2\nanonymous = \"nobody\"\n");
    let host = Host::start_with("", |command| {
        let add = ADDRESSES.map(|address| format!("ip -6 address add {address}/64 dev lo nodad && "));
        let script = format!("ip link set lo up && {}exec \"$0\" \"$@\"", add.concat());
        let mut inside = Command::new("unshare");
        inside.args(["--user", "--map-root-user", "--net", "sh", "-c", &script]);
        inside.arg(command.get_program()).args(command.get_args());
        let at = command.get_current_dir().expect("it has one");
        inside.current_dir(at).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("PROVOST_CONFIG", &config);
        inside.stdin(Stdio::null());
        *command = inside;
    });
    let [one, two, other] = ADDRESSES;
    let mut ask = Command::new("nsenter");
    ask.args(["--preserve-credentials", "--user", "--net", "--target", &host.process().to_string()]);
    ask.args(["python3", "-c", ASK, &host.address.port().to_string()]).args([one, two, one, two, other, other]);
    let output = ask.output().expect("nsenter starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let expected = [(one, false), (two, false), (one, true), (two, true), (other, true), (other, true)];
    let expected = expected.map(|(address, is)| format!("{address} {}\n", if is { "True" } else { "False" })).concat();
    assert_eq!(said, expected, "{}", String::from_utf8_lossy(&output.stderr));
}
