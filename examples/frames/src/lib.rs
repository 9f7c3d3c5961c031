//! `frames`: sends each message over one TCP connection, as a frame with a checksum that C code computes.
//!
//! A task owns the connection. A delivery that the host gives up does not stop it in the middle of a frame.

use provost_sdk::tokio::io::{AsyncReadExt, AsyncWriteExt};
use provost_sdk::tokio::net::TcpStream;
use provost_sdk::tokio::sync::{mpsc, oneshot};
use provost_sdk::{ConfigError, Context, DeliveryError, Message, Provider, Receipt};
use std::io;

/// What the server confirms a frame with.
const CONFIRMED: u8 = 0x06;
/// How many frames may wait for the connection.
const QUEUE: usize = 16;

/// The provider's configuration.
#[provost_sdk::config]
struct Config {
    /// The server's host and port.
    address: String,
}

struct Frames {
    jobs: mpsc::Sender<Job>,
}

/// A frame to send, and where to report how that ended.
struct Job {
    frame: Vec<u8>,
    ended: oneshot::Sender<io::Result<()>>,
}

impl Provider for Frames {
    type Config = Config;

    fn new(config: Config, context: Context) -> Result<Self, ConfigError> {
        let (jobs, queue) = mpsc::channel(QUEUE);
        // It ends with the provider, which closes the queue.
        drop(context.spawn(send_all(config.address, queue)));
        Ok(Self { jobs })
    }

    async fn deliver(&self, message: &Message) -> Result<Receipt, DeliveryError> {
        let (ended, end) = oneshot::channel();
        let gone = || DeliveryError::temporary("the task that sends has ended; see the log");
        self.jobs.send(Job { frame: frame(&message.text)?, ended }).await.map_err(|_| gone())?;
        let result = end.await.map_err(|_| gone())?;
        result.map_err(|error| DeliveryError::temporary(format!("sending the frame: {error}")))?;
        Ok(Receipt::default())
    }
}

async fn send_all(address: String, mut queue: mpsc::Receiver<Job>) {
    let mut connection = None;
    while let Some(job) = queue.recv().await {
        let result = send(&address, &mut connection, &job.frame).await;
        // Nobody waits for it when the host gave the delivery up.
        let _ = job.ended.send(result);
    }
}

/// Sends a frame and waits for its confirmation. The connection stays open only after that.
async fn send(address: &str, connection: &mut Option<TcpStream>, frame: &[u8]) -> io::Result<()> {
    let mut stream = match connection.take() {
        Some(stream) => stream,
        None => TcpStream::connect(address).await?,
    };
    stream.write_all(frame).await?;
    match stream.read_u8().await? {
        CONFIRMED => {
            *connection = Some(stream);
            Ok(())
        }
        other => Err(io::Error::other(format!("the server answered {other:#04x}"))),
    }
}

fn frame(text: &str) -> Result<Vec<u8>, DeliveryError> {
    let too_large = |_| DeliveryError::permanent("the text is larger than 4 GiB");
    let length = u32::try_from(text.len() + 4).map_err(too_large)?;
    Ok([&length.to_be_bytes(), &crc32(text.as_bytes()).to_be_bytes(), text.as_bytes()].concat())
}

unsafe extern "C" {
    fn crc32_of(bytes: *const u8, length: usize) -> u32;
}

/// The CRC-32 of IEEE 802.3.
fn crc32(bytes: &[u8]) -> u32 {
    // SAFETY: src/crc.c reads `length` bytes at `bytes`, writes nothing, and keeps no pointer.
    unsafe { crc32_of(bytes.as_ptr(), bytes.len()) }
}

provost_sdk::export!(Frames);

#[cfg(test)]
mod tests {
    use super::*;
    use provost_test::{message, provider, tokio};
    use tokio::net::TcpListener;

    /// The configuration for a server that confirms every frame, and what it receives.
    async fn config() -> (String, mpsc::UnboundedReceiver<Vec<u8>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it has an address");
        let (frames, received) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let frames = frames.clone();
                tokio::spawn(async move {
                    while let Ok(length) = stream.read_u32().await {
                        let mut frame = vec![0; length as usize];
                        stream.read_exact(&mut frame).await?;
                        stream.write_u8(CONFIRMED).await?;
                        // Not every test looks at them.
                        let _ = frames.send(frame);
                    }
                    io::Result::Ok(())
                });
            }
        });
        (format!("address = \"{address}\""), received)
    }

    provost_test::conformance!(Frames, config().await);

    #[tokio::test(flavor = "multi_thread", crate = "provost_test::tokio")]
    async fn a_message_is_a_frame_with_its_checksum() {
        let (config, mut frames) = config().await;
        let provider = provider::<Frames>(&config).expect("a valid configuration");
        // The check value that CRC catalogues list.
        provider.deliver(&message("123456789")).await.expect("it is confirmed");
        let expected = [&0xcbf4_3926_u32.to_be_bytes()[..], b"123456789"].concat();
        assert_eq!(frames.recv().await, Some(expected));
    }
}
