//! `unruly`: misbehaves as its configuration says. For the tests of the host, and in no image but theirs.

mod unasked;

use provost_sdk::tokio::sync::oneshot;
use provost_sdk::tokio::task::{spawn, spawn_blocking, yield_now};
use provost_sdk::tokio::time::sleep;
use provost_sdk::{ConfigError, Context, DeliveryError, Message, Provider, Receipt};
use std::fs;
use std::future::pending;
use std::panic::panic_any;
use std::process;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// The provider's configuration.
#[provost_sdk::config]
struct Config {
    /// What it does.
    behaviour: Behaviour,
}

/// What a provider does, while it is made or in each delivery. A delivery that comes to its end is a success.
#[provost_sdk::config]
#[derive(Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum Behaviour {
    /// Is not made.
    FailInConstructor,
    /// Is not made, and has blocked a thread of its runtime by then.
    FailAfterBlocking,
    /// Is never made.
    BlockInConstructor,
    /// Is never checked.
    BlockInValidation,
    /// Panics while it is made.
    PanicInConstructor,
    /// Panics while it is checked.
    PanicInValidation,
    /// Panics while it is dropped.
    PanicAtEnd,
    /// Blocks for good while it is dropped.
    BlockAtEnd,
    /// Panics when its future is first polled.
    PanicBeforeAwait,
    /// Panics when its future is polled again.
    PanicAfterAwait,
    /// Panics, and what it panics with panics when it is dropped.
    PanicWithUnrulyPayload,
    /// Panics, and what it panics with blocks for good when it is dropped.
    PanicWithBlockingPayload,
    /// Panics at its very end, while what its future holds is dropped.
    PanicInDrop,
    /// Panics, and again while what its future holds is dropped for that: the process aborts.
    PanicTwice,
    /// Never answers, and panics when the host therefore drops its future.
    PanicWhenGivenUp,
    /// Panics in a task that nobody waits for.
    PanicInTask,
    /// Panics in a task that nobody waits for, and what it panics with panics again and again when it is dropped.
    PanicInTaskAgain,
    /// Never answers, and panics like that when the host therefore drops its future.
    PanicAgainWhenGivenUp,
    /// Panics in a task that the host was not asked for.
    PanicInBareTask,
    /// Panics in a call that may block.
    PanicInBlockingTask,
    /// Panics on a thread of its own.
    PanicInThread,
    /// Answers with what is in a file that it ships, as any plugin would.
    ReadAsset,
    /// Answers at great length.
    AnswerAtLength,
    /// Fails, and may not the next time.
    FailForNow,
    /// Refuses the message.
    Refuse,
    /// Answers a moment later.
    AnswerLate,
    /// Never answers.
    NeverAnswer,
    /// Blocks its thread for good.
    BlockThread,
    /// Ends the process, as if all were well.
    Exit,
}

struct Unruly {
    behaviour: Behaviour,
    context: Context,
}

impl Drop for Unruly {
    fn drop(&mut self) {
        match self.behaviour {
            Behaviour::PanicAtEnd => panic!("as configured: at its end"),
            Behaviour::BlockAtEnd => block(),
            _ => {}
        }
    }
}

struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("as configured: while it was dropped");
    }
}

/// Panics when it is dropped, with one of its kind, and so on, as often as it says.
struct PanicsAgain(usize);

impl Drop for PanicsAgain {
    fn drop(&mut self) {
        if self.0 > 0 {
            panic_any(Self(self.0 - 1));
        }
    }
}

struct BlocksWhenDropped;

impl Drop for BlocksWhenDropped {
    fn drop(&mut self) {
        block();
    }
}

impl Provider for Unruly {
    type Config = Config;

    fn new(config: Config, context: Context) -> Result<Self, ConfigError> {
        let behaviour = config.behaviour;
        match behaviour {
            Behaviour::FailInConstructor => return Err(ConfigError::new("behaviour", "as configured")),
            Behaviour::FailAfterBlocking => {
                let (begun, blocks) = mpsc::channel();
                context.spawn(async move {
                    let _ = begun.send(());
                    block()
                });
                let _ = blocks.recv();
                return Err(ConfigError::new("behaviour", "as configured"));
            }
            Behaviour::BlockInConstructor => block(),
            Behaviour::PanicInConstructor => panic!("as configured: in the constructor"),
            _ => {}
        }
        Ok(Self { behaviour, context })
    }

    fn validate(&self) -> Result<(), ConfigError> {
        match self.behaviour {
            Behaviour::BlockInValidation => block(),
            Behaviour::PanicInValidation => panic!("as configured: in the validation"),
            _ => Ok(()),
        }
    }

    async fn deliver(&self, _message: &Message) -> Result<Receipt, DeliveryError> {
        match self.behaviour {
            Behaviour::PanicBeforeAwait => panic!("as configured: before an await"),
            Behaviour::PanicAfterAwait => {
                yield_now().await;
                panic!("as configured: after an await");
            }
            Behaviour::PanicWithUnrulyPayload => panic_any(PanicsWhenDropped),
            Behaviour::PanicWithBlockingPayload => panic_any(BlocksWhenDropped),
            Behaviour::PanicInDrop => {
                let _held = PanicsWhenDropped;
                yield_now().await;
            }
            Behaviour::PanicTwice => {
                let _held = PanicsWhenDropped;
                panic!("as configured: the first");
            }
            Behaviour::PanicWhenGivenUp => {
                let _held = PanicsWhenDropped;
                pending().await
            }
            Behaviour::PanicInTask => {
                let (held, dropped) = oneshot::channel::<()>();
                self.context.spawn(async move {
                    let _held = held;
                    panic!("as configured: in a task");
                });
                // An error: the panic has dropped the sender, and is in the log.
                let _ = dropped.await;
            }
            Behaviour::PanicInTaskAgain => {
                self.context.spawn(async { panic_any(PanicsAgain(3)) });
            }
            Behaviour::PanicAgainWhenGivenUp => {
                let _held = PanicsAgain(3);
                pending().await
            }
            Behaviour::PanicInBareTask => {
                let _ = spawn(async { panic!("as configured: in a bare task") }).await;
            }
            Behaviour::PanicInBlockingTask => {
                let _ = spawn_blocking(|| panic!("as configured: in a blocking task")).await;
            }
            Behaviour::PanicInThread => {
                let _ = thread::spawn(|| panic!("as configured: in a thread")).join();
            }
            Behaviour::ReadAsset => {
                let text = fs::read_to_string(self.context.assets().join("answer.txt"));
                let text = text.map_err(|error| DeliveryError::permanent(error.to_string()))?;
                return Ok(Receipt::with_reference(text));
            }
            Behaviour::AnswerAtLength => return Ok(Receipt::with_reference("a".repeat(1_000_000))),
            Behaviour::FailForNow => return Err(DeliveryError::temporary("as configured")),
            Behaviour::Refuse => return Err(DeliveryError::permanent("as configured")),
            Behaviour::AnswerLate => sleep(Duration::from_millis(20)).await,
            Behaviour::NeverAnswer => pending().await,
            Behaviour::BlockThread => block(),
            Behaviour::Exit => process::exit(0),
            _ => {}
        }
        Ok(Receipt::default())
    }
}

fn block() -> ! {
    loop {
        thread::park();
    }
}

provost_sdk::export!(Unruly);
