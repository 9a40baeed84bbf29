// SPDX-License-Identifier: Apache-2.0
//! The orders of httpd's parent process.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::panic;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use mod_tls_core::base::diagnostics::Severity;
use mod_tls_core::base::log_queue::LogQueue;
use mod_tls_core::key_process::channel::Channel;
use mod_tls_core::key_process::protocol::{Answer, BadFrame, Order};
use mod_tls_core::keys::pass_phrase::PassPhrases;

use crate::files::{self, Reader};
use crate::keys::Keys;
use crate::parent;
use crate::signing::Signing;
use crate::stores::Store;
use crate::token_orders::{Asked, TokenOrder, TokenOrders};

/// How long a process that was replaced serves the child processes that are connected to it.
const RETIREMENT: Duration = Duration::from_secs(300);

/// How often it looks whether there are any.
const LOOK: Duration = Duration::from_secs(1);

struct Control {
    channel: Channel,
    reader: Reader,
    tokens: TokenOrders,
    signing: Arc<Signing>,
    /// From where connections of child processes are received. None if they are.
    door: Option<OwnedFd>,
    /// httpd's parent process.
    parent: Option<OwnedFd>,
}

/// What follows an order.
enum Next {
    Answer(Answer),
    Nothing,
    Retire,
}

/// Serves httpd until it ends. `locked_down` has messages about what could not be given up, or why the process must not have
/// keys.
pub(crate) fn serve(socket: OwnedFd, locked_down: Result<Vec<String>, String>) -> ExitCode {
    let log_queue = Arc::new(LogQueue::default());
    let panics = Arc::clone(&log_queue);
    panic::set_hook(Box::new(move |info| {
        let text = format!("tls-keyd: internal error, please report it: {info}");
        panics.add(Severity::Error, text);
    }));
    let outcome = begin(Channel::new(socket), locked_down, log_queue).and_then(|control| match control {
        Some(mut control) => control.run(),
        None => Ok(()),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // httpd has ended.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Carries out the first order. None if the process must not have keys.
fn begin(
    mut channel: Channel,
    locked_down: Result<Vec<String>, String>,
    log_queue: Arc<LogQueue>,
) -> io::Result<Option<Control>> {
    let Order::Begin = channel.receive(true)? else {
        return Err(BadFrame.into());
    };
    let messages = match locked_down {
        Ok(messages) => messages,
        Err(why) => {
            channel.send(&Answer::Begun(Err(why)), &[])?;
            return Ok(None);
        }
    };
    messages
        .into_iter()
        .for_each(|text| log_queue.add(Severity::Notice, format!("tls-keyd: {text}")));
    let keys = Arc::new(Keys::new(&log_queue));
    let signing = Signing::new(Arc::clone(&keys))?;
    signing.start()?;
    let door = Some(channel.descriptor()?);
    channel.send(&Answer::Begun(Ok(())), &[])?;
    let reader = Reader {
        keys,
        phrases: PassPhrases::default(),
    };
    Ok(Some(Control {
        channel,
        reader,
        tokens: TokenOrders::default(),
        signing,
        door,
        parent: None,
    }))
}

impl Control {
    fn run(&mut self) -> io::Result<()> {
        loop {
            if !parent::wait_for_order(&self.channel, self.parent.as_ref())? {
                return Ok(());
            }
            let order = self.channel.receive(true)?;
            match self.carry_out(order)? {
                Next::Answer(answer) => self.channel.send(&answer, &[])?,
                Next::Nothing => {}
                Next::Retire => {
                    self.retire();
                    return Ok(());
                }
            }
            self.reader.keys.expire();
        }
    }

    fn carry_out(&mut self, order: Order) -> io::Result<Next> {
        Ok(Next::Answer(match order {
            Order::Begin => return Err(BadFrame.into()),
            Order::Serve => {
                if let Some(door) = self.door.take() {
                    self.signing.receive_from(door)?;
                }
                return Ok(Next::Nothing);
            }
            Order::Read(orders) => {
                let mut contents = Vec::with_capacity(orders.len());
                for order in &orders {
                    let file = self.channel.descriptor()?;
                    contents.push(self.reader.read(order, file));
                }
                Answer::Read(contents)
            }
            Order::Unlock(order, asking) => {
                let file = self.channel.descriptor()?;
                let mut source = files::phrase_source(asking.source, || self.channel.descriptor())?;
                self.reader
                    .unlock(&order, &asking, file, &mut source, self.channel.socket().as_fd())
            }
            Order::Token {
                uri,
                key,
                purpose,
                asking,
            } => {
                let asked = match asking {
                    Some(asking) => Some(Asked {
                        source: files::phrase_source(asking.source, || self.channel.descriptor())?,
                        patience: files::patience(&asking, self.channel.socket()),
                    }),
                    None => None,
                };
                let order = TokenOrder { uri, key, purpose };
                self.tokens.carry_out(&order, asked, &self.reader.keys)
            }
            Order::Seed { now, lifetime } => {
                Answer::Seed(files::ticket_state(self.channel.descriptor()?, now, lifetime))
            }
            Order::Release(ids) => {
                self.reader.keys.release(ids);
                return Ok(Next::Nothing);
            }
            Order::Forget(ids) => {
                self.reader.keys.forget(&ids);
                return Ok(Next::Nothing);
            }
            Order::Watched => {
                // Without descriptors it is closed, which the process at its other end notices.
                let _ = self.channel.descriptor().and_then(|socket| self.signing.add(socket));
                return Ok(Next::Nothing);
            }
            Order::Stores(orders) => {
                let mut stores = HashMap::new();
                for order in orders {
                    let socket = self.channel.descriptor()?;
                    let sealing = match order.sealing_keys {
                        Some(path) => files::sealing_keys(&path, self.channel.descriptor()?),
                        None => Err("the file of its sealing keys could not be opened".to_owned()),
                    };
                    stores.insert(order.number, Arc::new(Store::new(socket, sealing)));
                }
                self.signing.stores.set(stores);
                return Ok(Next::Nothing);
            }
            Order::Parent(pid) => {
                self.parent = parent::open(pid);
                return Ok(Next::Nothing);
            }
            Order::Ping => Answer::Pong(std::iter::from_fn(|| self.reader.keys.log_queue().take()).collect()),
            Order::Retire => return Ok(Next::Retire),
        }))
    }

    /// Waits until no child process is connected.
    fn retire(&self) {
        self.signing.retire();
        let end = Instant::now() + RETIREMENT;
        while self.signing.connections() > 0 && Instant::now() < end {
            thread::sleep(LOOK);
        }
    }
}
