//! `syslog`: sends each message to a syslog server, as one RFC 5424 datagram.
//!
//! UDP answers nothing: "delivered" means that the datagram was sent, not that a server has it.

use jiff::Timestamp;
use provost_sdk::tokio::net::UdpSocket;
use provost_sdk::{ConfigError, Context, DeliveryError, Message, Provider, Receipt};

/// The provider's configuration.
#[provost_sdk::config]
struct Config {
    /// The server's host and port: `logs.example.org:514`.
    address: String,
    /// How the server files the messages: 16 is local0, 23 is local7.
    #[serde(default = "user_level")]
    facility: u8,
}

/// RFC 5424, table 1: user-level messages.
fn user_level() -> u8 {
    1
}

struct Syslog {
    config: Config,
}

impl Provider for Syslog {
    type Config = Config;

    fn new(config: Config, _context: Context) -> Result<Self, ConfigError> {
        if config.facility > 23 {
            return Err(ConfigError::new("facility", format!("{} is not a facility; use 0 to 23", config.facility)));
        }
        Ok(Self { config })
    }

    async fn deliver(&self, message: &Message) -> Result<Receipt, DeliveryError> {
        let datagram = datagram(self.config.facility, Timestamp::now(), message);
        let sent = async {
            let socket = UdpSocket::bind("0.0.0.0:0").await?;
            socket.connect(&self.config.address).await?;
            socket.send(datagram.as_bytes()).await
        };
        sent.await.map_err(|error| DeliveryError::temporary(format!("sending to {}: {error}", self.config.address)))?;
        Ok(Receipt::default())
    }
}

/// RFC 5424, section 6: no host name, `provost` as the application, the message's id as MSGID.
fn datagram(facility: u8, now: Timestamp, message: &Message) -> String {
    const NOTICE: u8 = 5;
    let priority = facility * 8 + NOTICE;
    let id = message.id.get(..32).unwrap_or(&message.id);
    let text = [message.subject.as_str(), message.text.as_str()].join(" ").replace(['\r', '\n'], " ");
    format!("<{priority}>1 {now:.6} - provost - {id} - {}", text.trim())
}

provost_sdk::export!(Syslog);

#[cfg(test)]
mod tests {
    use super::{Message, Timestamp, datagram};

    #[test]
    fn a_datagram_is_as_rfc_5424_says() {
        let message = Message {
            id: "m-1".to_owned(),
            subject: "Disk".to_owned(),
            text: "90 % full\non db1".to_owned(),
            ..Message::default()
        };
        let datagram = datagram(16, Timestamp::UNIX_EPOCH, &message);
        assert_eq!(datagram, "<133>1 1970-01-01T00:00:00.000000Z - provost - m-1 - Disk 90 % full on db1");
    }
}
