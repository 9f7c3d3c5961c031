//! An SMTP server: STARTTLS, then a login, then mail. The protocol is `mailin`'s, the connection is ours.

use super::certificate::Certificate;
use mailin::{Action, AuthMechanism, Handler, Response, Session, SessionBuilder, response};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Who may log in.
pub const USER: &str = "alice";

/// The password of [`USER`].
pub const PASSWORD: &str = "correct horse";

/// A mail that came.
#[derive(Clone, Debug, Default)]
pub struct Mail {
    /// The sender of the envelope.
    pub from: String,
    /// The recipients of the envelope.
    pub to: Vec<String>,
    /// Headers and text.
    pub text: String,
}

/// The running server. `full@...` is refused for now, `nobody@...` for good.
pub struct SmtpServer {
    /// Where it listens.
    pub address: SocketAddr,
    mails: Arc<Mutex<Vec<Mail>>>,
}

impl SmtpServer {
    /// Starts a server with this certificate.
    pub async fn start(certificate: &Certificate) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let mails = Arc::<Mutex<Vec<Mail>>>::default();
        let (acceptor, kept) = (certificate.acceptor(), Arc::clone(&mails));
        tokio::spawn(async move {
            while let Ok((stream, remote)) = listener.accept().await {
                let inbox = Inbox { kept: Arc::clone(&kept), logged_in: false, mail: Mail::default() };
                // A client that goes away in the middle, as one that does not trust us, is no error of the server.
                tokio::spawn(connection(stream, remote.ip(), acceptor.clone(), inbox));
            }
        });
        Self { address, mails }
    }

    /// The configuration of a provider that sends here.
    pub fn provider(&self, name: &str, password: &str) -> String {
        format!(
            "[providers.{name}]\nplugin = \"smtp\"\nhost = \"localhost\"\nport = {}\nuser = \"{USER}\"\n\
            password = \"{password}\"\nfrom = \"Provost <provost@example.org>\"\n",
            self.address.port()
        )
    }

    /// What came so far.
    pub fn mails(&self) -> Vec<Mail> {
        self.mails.lock().expect("no test panics here").clone()
    }
}

async fn connection(stream: TcpStream, remote: IpAddr, acceptor: TlsAcceptor, inbox: Inbox) -> io::Result<()> {
    let mut session =
        SessionBuilder::new("localhost").enable_start_tls().enable_auth(AuthMechanism::Plain).build(remote, inbox);
    let mut stream = BufStream::new(stream);
    write(&mut stream, &session.greeting()).await?;
    if talk(&mut stream, &mut session).await? {
        let mut stream = BufStream::new(acceptor.accept(stream.into_inner()).await?);
        session.tls_active();
        talk(&mut stream, &mut session).await?;
    }
    Ok(())
}

/// Answers line by line, and returns whether TLS is to begin; otherwise the connection is at its end.
async fn talk<S>(stream: &mut BufStream<S>, session: &mut Session<Inbox>) -> io::Result<bool>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let mut line = Vec::new();
        if read_line(stream, &mut line).await? == 0 {
            return Ok(false);
        }
        let response = session.process(&line);
        match response.action {
            Action::NoReply => {}
            Action::Reply => write(stream, &response).await?,
            Action::UpgradeTls => {
                write(stream, &response).await?;
                return Ok(true);
            }
            Action::Close => {
                write(stream, &response).await?;
                return Ok(false);
            }
        }
    }
}

async fn read_line(stream: &mut (impl AsyncBufRead + Unpin), line: &mut Vec<u8>) -> io::Result<usize> {
    stream.read_until(b'\n', line).await
}

async fn write(stream: &mut (impl AsyncWrite + Unpin), response: &Response) -> io::Result<()> {
    stream.write_all(&response.buffer()?).await?;
    stream.flush().await
}

/// What happens to the mail of one connection.
struct Inbox {
    kept: Arc<Mutex<Vec<Mail>>>,
    logged_in: bool,
    mail: Mail,
}

impl Handler for Inbox {
    fn auth_plain(&mut self, _authorization: &str, user: &str, password: &str) -> Response {
        self.logged_in = user == USER && password == PASSWORD;
        if self.logged_in { response::AUTH_OK } else { response::INVALID_CREDENTIALS }
    }

    fn mail(&mut self, _ip: IpAddr, _domain: &str, from: &str) -> Response {
        if !self.logged_in {
            return response::AUTHENTICATION_REQUIRED;
        }
        self.mail = Mail { from: from.to_owned(), ..Mail::default() };
        response::OK
    }

    fn rcpt(&mut self, to: &str) -> Response {
        if to.starts_with("full@") {
            return response::OUT_OF_SPACE;
        }
        if to.starts_with("nobody@") {
            return response::NO_MAILBOX;
        }
        self.mail.to.push(to.to_owned());
        response::OK
    }

    fn data(&mut self, buffer: &[u8]) -> io::Result<()> {
        self.mail.text += std::str::from_utf8(buffer).map_err(io::Error::other)?;
        Ok(())
    }

    fn data_end(&mut self) -> Response {
        self.kept.lock().expect("no test panics here").push(std::mem::take(&mut self.mail));
        Response::custom(250, "queued as 1".to_owned())
    }
}
