//! The same plugin in a process of its own, over gRPC on a unix socket, as process plugins work.

use std::collections::BTreeMap;
use std::future::{Ready, ready};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::task::{Context, Poll};

use hyper_util::rt::TokioIo;
use prost::Message as _;
use tokio::net::{UnixListener, UnixStream};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

/// What starts the plugin, in place of a benchmark; its socket follows.
pub const ARGUMENT: &str = "grpc-plugin";

const PATH: &str = "/provost.Plugin/Deliver";

/// As the SDK's.
#[derive(Clone, PartialEq, prost::Message)]
struct Message {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, repeated, tag = "2")]
    to: Vec<String>,
    #[prost(string, tag = "3")]
    subject: String,
    #[prost(string, tag = "4")]
    text: String,
    #[prost(btree_map = "string, string", tag = "5")]
    metadata: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Receipt {
    #[prost(string, optional, tag = "1")]
    reference: Option<String>,
}

/// The plugin's side.
#[derive(Clone)]
struct Plugin;

struct Deliver;

impl tonic::server::UnaryService<Message> for Deliver {
    type Response = Receipt;
    type Future = Ready<Result<Response<Receipt>, Status>>;

    fn call(&mut self, request: Request<Message>) -> Self::Future {
        std::hint::black_box(request.into_inner().encoded_len());
        ready(Ok(Response::new(Receipt { reference: None })))
    }
}

impl tonic::server::NamedService for Plugin {
    const NAME: &'static str = "provost.Plugin";
}

impl Service<http::Request<Body>> for Plugin {
    type Response = http::Response<Body>;
    type Error = std::convert::Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(ProstCodec::<Receipt, Message>::default());
            Ok(grpc.unary(Deliver, request).await)
        })
    }
}

/// Serves on a socket until it is killed.
pub fn serve(socket: &Path) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let listener = UnixListener::bind(socket).expect("a socket");
        println!("ready");
        let incoming = UnixListenerStream::new(listener);
        Server::builder().add_service(Plugin).serve_with_incoming(incoming).await.expect("it serves");
    });
}

/// A plugin that runs, and the way to it.
pub struct Running {
    child: Child,
    client: tonic::client::Grpc<Channel>,
    message: Message,
}

impl Running {
    pub async fn start(dir: &Path, message: &provost_sdk::Message) -> Running {
        let socket = dir.join("plugin");
        let program = std::env::current_exe().expect("this program has a path");
        let mut command = Command::new(program);
        let mut child = command.arg(ARGUMENT).arg(&socket).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("its output");
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).expect("it says that it is ready");
        let connect = tower::service_fn(move |_| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        });
        let endpoint = Endpoint::from_static("http://localhost");
        let channel = endpoint.connect_with_connector(connect).await.expect("it listens");
        let provost_sdk::Message { id, to, subject, text, metadata, .. } = message.clone();
        Running {
            child,
            client: tonic::client::Grpc::new(channel),
            message: Message { id, to, subject, text, metadata },
        }
    }

    pub async fn deliver(&mut self) {
        self.client.ready().await.expect("a connection");
        let codec = ProstCodec::<Message, Receipt>::default();
        let request = Request::new(self.message.clone());
        let path = http::uri::PathAndQuery::from_static(PATH);
        self.client.unary(request, path, codec).await.expect("an answer");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
