// SPDX-License-Identifier: Apache-2.0
//! A running `tls-keyd`, and the orders that httpd's parent process gives it.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::channel::Channel;
use super::door::Door;
use super::parent::{Launch, Launcher, OpenSource, PhraseOpener, Role};
use super::protocol::{
    Answer, Asking, BadFrame, FileContent, FileOrder, KeyId, KeyInfo, Order, Purpose, StoreOrder, TicketState,
};
use super::watcher::Watcher;
use crate::base::diagnostics::Severity;

/// How long `tls-keyd` may need for an order, except for those in which somebody types a pass phrase.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

/// How long a token may need. `tls-keyd` itself gives a module up earlier.
const TOKEN_LIMIT: Duration = Duration::from_secs(60);

/// How often a person or a program may be asked in one order.
const QUESTIONS: u32 = 5;

/// How often a wait for an answer looks at its own limit.
const TURN: Duration = Duration::from_millis(500);

/// How many files are sent with one order.
const BATCH: usize = 32;

/// A running `tls-keyd`.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) launch: Launch,
    pub(super) pid: u32,
    /// Whether another process watches it.
    pub(super) is_watched: bool,
    channel: Channel,
    /// Names the process even after it has ended and its number belongs to another one.
    pidfd: Option<OwnedFd>,
    /// When it was asked for a sign of life that it has not given yet.
    pinged: Option<Instant>,
    messages: Vec<(Severity, String)>,
}

/// Whether the process has ended.
fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::UnexpectedEof | Kind::BrokenPipe | Kind::ConnectionReset
    )
}

impl Running {
    /// Starts the program.
    pub(super) fn start(launcher: &dyn Launcher, launch: &Launch, door: &Door) -> io::Result<Self> {
        let exit = door.exit().ok_or(io::ErrorKind::NotConnected)??;
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_read_timeout(Some(TURN))?;
        ours.set_write_timeout(Some(LIMIT))?;
        let pid = launcher.launch(launch, Role::Keys, theirs.into())?;
        let name = Pid::from_raw(pid.cast_signed());
        let mut running = Self {
            launch: launch.clone(),
            pid,
            is_watched: false,
            channel: Channel::new(ours.into()),
            pidfd: name.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()),
            pinged: None,
            messages: Vec::new(),
        };
        match running.ask(&Order::Begin, &[exit.as_fd()], Some(LIMIT)) {
            Ok(Answer::Begun(Ok(()))) => Ok(running),
            Ok(Answer::Begun(Err(why))) => Err(io::Error::other(why)),
            Ok(_) => Err(BadFrame.into()),
            Err(error) if is_end(&error) => Err(io::Error::other("it has ended at once")),
            Err(error) => Err(error),
        }
    }

    /// Sends an order that has no answer.
    pub(super) fn tell(&self, order: &Order) -> io::Result<()> {
        self.channel.send(order, &[])
    }

    /// Sends an order and returns its answer. `limit` is how long that may take; none for no limit.
    pub(super) fn ask(
        &mut self,
        order: &Order,
        descriptors: &[BorrowedFd<'_>],
        limit: Option<Duration>,
    ) -> io::Result<Answer> {
        self.channel.send(order, descriptors)?;
        self.answer(limit)
    }

    fn answer(&mut self, limit: Option<Duration>) -> io::Result<Answer> {
        let deadline = limit.map(|limit| Instant::now() + limit);
        loop {
            match self.channel.receive(true) {
                Ok(Answer::Pong(messages)) => {
                    self.messages.extend(messages);
                    // It may be the answer to an earlier ping.
                    if self.pinged.take().is_none() {
                        return Ok(Answer::Pong(Vec::new()));
                    }
                }
                Err(error)
                    if error.kind() == io::ErrorKind::WouldBlock && deadline.is_none_or(|end| Instant::now() < end) => {
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let seconds = limit.unwrap_or_default().as_secs();
                    return Err(io::Error::other(format!(
                        "it has not answered within {seconds} seconds"
                    )));
                }
                other => return other,
            }
        }
    }

    /// Asks for a sign of life, unless it was asked for already. Returns how long an answer is missing.
    pub(super) fn ping(&mut self) -> io::Result<Duration> {
        if let Some(since) = self.pinged {
            match self.channel.receive(false) {
                Ok(Answer::Pong(messages)) => self.messages.extend(messages),
                Ok(_) => return Err(BadFrame.into()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(since.elapsed()),
                Err(error) => return Err(error),
            }
        }
        self.tell(&Order::Ping)?;
        self.pinged = Some(Instant::now());
        Ok(Duration::ZERO)
    }

    /// Whether the process answers within `limit`.
    pub(super) fn is_alive(&mut self, limit: Duration) -> bool {
        self.ask(&Order::Ping, &[], Some(limit)).is_ok()
    }

    /// Has `watcher` watch it.
    pub(super) fn have_watched(&mut self, watcher: &Watcher) -> io::Result<()> {
        self.is_watched = false;
        let (one, other) = UnixStream::pair()?;
        self.channel.send(&Order::Watched, &[one.as_fd()])?;
        watcher.watch_keys(&other.into())?;
        self.is_watched = true;
        Ok(())
    }

    /// Tells it the stores, with the descriptors of all of them.
    pub(super) fn set_stores(&self, stores: Vec<StoreOrder>, descriptors: &[OwnedFd]) -> io::Result<()> {
        let descriptors: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
        self.channel.send(&Order::Stores(stores), &descriptors)
    }

    /// The messages for the error log that have come.
    pub(super) fn messages(&mut self) -> Vec<(Severity, String)> {
        std::mem::take(&mut self.messages)
    }

    /// Ends the process, which may be stopped.
    pub(super) fn kill(&self) {
        if let Some(pidfd) = &self.pidfd {
            let _ = pidfd_send_signal(pidfd, Signal::KILL);
        }
    }

    /// Has files read. `each` is called for each of them, in the same order.
    pub(super) fn read(
        &mut self,
        mut files: impl Iterator<Item = (FileOrder, File)>,
        mut each: impl FnMut(&FileOrder, Result<FileContent, String>),
    ) -> io::Result<()> {
        let mut sent: VecDeque<Vec<FileOrder>> = VecDeque::new();
        loop {
            let (orders, open): (Vec<_>, Vec<_>) = files.by_ref().take(BATCH).unzip();
            let is_last = orders.is_empty();
            if !is_last {
                let descriptors: Vec<_> = open.iter().map(AsFd::as_fd).collect();
                self.channel.send(&Order::Read(orders.clone()), &descriptors)?;
                sent.push_back(orders);
            }
            // One batch is read there while the answer to the batch before it is used here.
            if sent.len() < 2 && !is_last {
                continue;
            }
            let Some(orders) = sent.pop_front() else {
                return Ok(());
            };
            let Answer::Read(contents) = self.answer(Some(LIMIT))? else {
                return Err(BadFrame.into());
            };
            for (order, content) in orders.iter().zip(contents) {
                each(order, content);
            }
        }
    }

    /// Has a file with an encrypted key read. The outer error is that of the process.
    pub(super) fn unlock(
        &mut self,
        order: &FileOrder,
        file: &File,
        opener: &Arc<dyn PhraseOpener>,
    ) -> io::Result<Result<KeyInfo, String>> {
        let order = |asking| Order::Unlock(order.clone(), asking);
        match self.ask_with(opener, Some(file.as_fd()), LIMIT, order)? {
            Ok(Answer::Key(info)) => Ok(info),
            Ok(_) => Err(BadFrame.into()),
            Err(why) => Ok(Err(why)),
        }
    }

    /// Has a key in a token looked for, or its certificates if there is no number for the key. The outer error is that of the
    /// process.
    pub(super) fn token(
        &mut self,
        uri: &str,
        key: Option<KeyId>,
        purpose: Purpose,
        opener: &Arc<dyn PhraseOpener>,
    ) -> io::Result<Result<Answer, String>> {
        let order = |asking| Order::Token {
            uri: uri.to_owned(),
            key,
            purpose,
            asking,
        };
        match self.ask(&order(None), &[], Some(TOKEN_LIMIT))? {
            // The module is called before the question and after it.
            Answer::PinNeeded => {
                let outcome = self.ask_with(opener, None, TOKEN_LIMIT * 2, |asking| order(Some(asking)))?;
                Ok(outcome.map_err(|why| format!("{uri}: its PIN is not known: {why}")))
            }
            answer => Ok(Ok(answer)),
        }
    }

    /// The size of the seed file `file`, and the state of session tickets. The outer error is that of the process.
    pub(super) fn ticket_state(
        &mut self,
        file: &File,
        now: i64,
        lifetime: u32,
    ) -> io::Result<Result<(u64, Option<TicketState>), String>> {
        match self.ask(&Order::Seed { now, lifetime }, &[file.as_fd()], Some(LIMIT))? {
            Answer::Seed(state) => Ok(state),
            _ => Err(BadFrame.into()),
        }
    }

    /// Has `opener` open its source, and sends the order with it. The answer may take `limit` longer than the questions.
    fn ask_with(
        &mut self,
        opener: &Arc<dyn PhraseOpener>,
        file: Option<BorrowedFd<'_>>,
        limit: Duration,
        order: impl Fn(Asking) -> Order,
    ) -> io::Result<Result<Answer, String>> {
        let mut outcome = None;
        let opened = opener.with(&mut |source: &OpenSource| {
            let descriptors: Vec<_> = file
                .into_iter()
                .chain(source.descriptors.iter().map(AsFd::as_fd))
                .collect();
            let limit = source
                .asking
                .limit
                .map(|seconds| Duration::from_secs(seconds) * QUESTIONS + limit);
            match self.ask(&order(source.asking.clone()), &descriptors, limit) {
                Ok(Answer::NoAnswer(why)) => Err(why),
                other => {
                    outcome = Some(other);
                    Ok(())
                }
            }
        });
        match (opened, outcome) {
            (Err(why), _) => Ok(Err(why)),
            (Ok(()), Some(answer)) => answer.map(Ok),
            (Ok(()), None) => Ok(Err("there is nobody to ask".to_owned())),
        }
    }
}
