//! What is said over an open connection, answer by answer. Knows nothing of pools.
//!
//! Each answer has to be one to what was asked: after one answer too many, the answer to RCPT would be taken for that to DATA, and
//! success of the first for a receipt. (lettre's own `send` takes any answer that is no refusal. After a refusal it waits for
//! the answer to QUIT, which may never come: here whoever owns the connection closes it.)

use crate::server::{failure, no_mail_yet};
use lettre::address::{Address, Envelope};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Auth, Data, Mail, Noop, Rcpt, Starttls};
use lettre::transport::smtp::extension::{Extension, MailBodyParameter, MailParameter, ServerInfo};
use lettre::transport::smtp::response::{Response, Severity};
use provost_sdk::{DeliveryError, excerpt, with_causes};

/// How often a server may ask back at a login: for the name, and for the password.
const CHALLENGES: usize = 2;

/// How much of an answer is repeated, in characters: a line of SMTP is shorter.
const LINE: usize = 500;

/// Sends a mail, and returns the server's last answer.
///
/// # Errors
///
/// Why it is not sent. The connection is of no use then, but to say goodbye.
pub(crate) async fn send(
    connection: &mut AsyncSmtpConnection,
    envelope: &Envelope,
    mail: &[u8],
) -> Result<Response, DeliveryError> {
    let parameters = parameters(connection.server_info(), envelope, mail)?;
    known_sender(connection.command(Mail::new(envelope.from().cloned(), parameters)).await)?;
    for recipient in envelope.to() {
        known_recipient(connection.command(Rcpt::new(recipient.clone(), Vec::new())).await)?;
    }
    answered("DATA", connection.command(Data).await, Severity::PositiveIntermediate)?;
    completed("the mail", connection.message(mail).await)
}

/// Asks for TLS. After it, only TLS can follow.
///
/// # Errors
///
/// When the server refuses, or does not offer it.
pub(crate) async fn ask_for_tls(connection: &mut AsyncSmtpConnection) -> Result<(), DeliveryError> {
    if !connection.can_starttls() {
        // Who set it so expected another server.
        return Err(DeliveryError::unauthorized("the server does not support STARTTLS"));
    }
    let response = connection.command(Starttls).await.map_err(|error| no_mail_yet(&error))?;
    completed("STARTTLS", Ok(response)).map(drop)
}

/// Logs in.
///
/// # Errors
///
/// When the server refuses, or offers no way to log in that is known here.
pub(crate) async fn log_in(
    connection: &mut AsyncSmtpConnection,
    credentials: &Credentials,
) -> Result<(), DeliveryError> {
    let mechanism = connection.server_info().get_auth_mechanism(DEFAULT_MECHANISMS).ok_or_else(|| {
        let known: Vec<_> = DEFAULT_MECHANISMS.iter().map(ToString::to_string).collect();
        DeliveryError::unauthorized(format!("the server does not support login with {}", known.join(" or ")))
    })?;
    let error = |error: Error| no_mail_yet(&error);
    let auth = Auth::new(mechanism, credentials.clone(), None).map_err(error)?;
    let mut response = connection.command(auth).await.map_err(error)?;
    for _ in 0..CHALLENGES {
        if response.code().severity != Severity::PositiveIntermediate {
            break;
        }
        let auth = Auth::new_from_response(mechanism, credentials.clone(), &response).map_err(error)?;
        response = connection.command(auth).await.map_err(error)?;
    }
    completed("AUTH", Ok(response)).map(drop)
}

/// Whether the server is still there.
pub(crate) async fn is_alive(connection: &mut AsyncSmtpConnection) -> bool {
    completed("NOOP", connection.command(Noop).await).is_ok()
}

/// The server's answer as one line: `250 2.0.0 queued as 4F2A`.
pub(crate) fn line(response: &Response) -> String {
    excerpt(&format!("{} {}", response.code(), response.message().collect::<Vec<_>>().join(" ")), LINE)
}

/// What the mail asks of the server, see RFC 6531 and RFC 6152.
fn parameters(server: &ServerInfo, envelope: &Envelope, mail: &[u8]) -> Result<Vec<MailParameter>, DeliveryError> {
    let mut parameters = Vec::new();
    let mut need = |extension, parameter, refusal: DeliveryError| {
        parameters.push(parameter);
        server.supports_feature(extension).then_some(()).ok_or(refusal)
    };
    let is_foreign = |address: &Address| !address.to_string().is_ascii();
    let addresses = "the server does not support addresses that are not ASCII (SMTPUTF8)";
    if envelope.from().is_some_and(is_foreign) {
        // Of the configuration, and not of the message.
        let refusal = DeliveryError::unauthorized(format!("{addresses}, such as `from`"));
        need(Extension::SmtpUtfEight, MailParameter::SmtpUtfEight, refusal)?;
    } else if envelope.to().iter().any(is_foreign) {
        need(Extension::SmtpUtfEight, MailParameter::SmtpUtfEight, DeliveryError::permanent(addresses))?;
    }
    if !mail.is_ascii() {
        let parameter = MailParameter::Body(MailBodyParameter::EightBitMime);
        let refusal = DeliveryError::permanent("the server does not support mails that are not ASCII (8BITMIME)");
        need(Extension::EightBitMime, parameter, refusal)?;
    }
    Ok(parameters)
}

/// More than the server takes (RFC 1870 section 6.1).
const TOO_LARGE: u16 = 552;

/// The answer to MAIL. A server that refuses the sender refuses what is configured; of the message it knows its size at most.
fn known_sender(answer: Result<Response, Error>) -> Result<Response, DeliveryError> {
    match answer {
        Err(error) if error.status().map(u16::from) != Some(TOO_LARGE) => Err(no_mail_yet(&error)),
        answer => completed("MAIL", answer),
    }
}

/// The server goes, whatever it is asked (RFC 5321 section 3.8).
const GOES: u16 = 421;

/// What servers say in answer to RCPT when they refuse the host or its sender, for which they wait until then: Postfix's words, and the
/// codes of RFC 3463 and RFC 7372 for senders and logins. "Relay access denied" is not among them: of a server that takes its own domain
/// alone, whoever chooses the recipient decides it.
const NOT_THE_RECIPIENT: [&str; 6] =
    ["5.1.7 ", "5.1.8 ", "5.7.8 ", "5.7.9 ", "Sender address rejected", "Client host rejected"];

/// The answer to RCPT. A server that does not take this recipient yet works: it was asked too early (greylisting), or knows no such domain.
fn known_recipient(answer: Result<Response, Error>) -> Result<Response, DeliveryError> {
    match answer {
        Err(error) if error.is_permanent() && refuses_host(&error) => {
            Err(DeliveryError::unauthorized(with_causes(&error)))
        }
        Err(error) if error.is_transient() && error.status().map(u16::from) != Some(GOES) => {
            Err(DeliveryError::deferred(with_causes(&error)))
        }
        answer => completed("RCPT", answer),
    }
}

fn refuses_host(error: &Error) -> bool {
    let said = with_causes(error);
    NOT_THE_RECIPIENT.iter().any(|words| said.contains(words))
}

fn completed(asked: &str, answer: Result<Response, Error>) -> Result<Response, DeliveryError> {
    answered(asked, answer, Severity::PositiveCompletion)
}

/// The answer, if it is of this kind: by its first digit, as RFC 5321 section 4.3.2 asks of a client.
fn answered(asked: &str, answer: Result<Response, Error>, kind: Severity) -> Result<Response, DeliveryError> {
    let response = answer.map_err(|error| failure(&error))?;
    if response.code().severity == kind {
        return Ok(response);
    }
    Err(DeliveryError::temporary(format!("`{}` is not an answer to {asked}", line(&response))))
}
