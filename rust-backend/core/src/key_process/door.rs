// SPDX-License-Identifier: Apache-2.0
//! Child processes ask `tls-keyd` for signatures.
//!
//! All processes of httpd inherit one end of a socket, the *door*. A thread that needs a signature for the first time makes a
//! pair of sockets and sends one of them through the door. It keeps the other one for its later requests. The door outlives
//! `tls-keyd`: what is sent through it while there is none waits for the next one.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType};

use super::channel;
use super::protocol::{self, Found, KeyId, MAX_FRAME, Refusal, Reply, Report, Request, VERSION};
use crate::base::host_name::HostName;

/// How long a handshake waits for a signature, including the time in which a new `tls-keyd` starts.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// How long to wait before another attempt to connect.
const PAUSE: Duration = Duration::from_millis(20);

/// `tls-keyd` counts as alive in a process for this time after its last answer there.
const SIGN_OF_LIFE: Duration = Duration::from_millis(250);

/// The share of a process's threads that wait for a `tls-keyd` without a sign of life, so that others serve the connections
/// that do not need it: one in this number is kept free.
const KEPT_FREE: usize = 4;

/// Why there is no signature.
#[derive(Debug)]
pub enum SignError {
    /// `tls-keyd` has not answered in time.
    NoAnswer,
    /// It has closed each connection at once.
    Closed,
    /// Too many threads of this process wait for it already.
    TooMany,
    /// Half of the threads of this process wait for stores of certificates already.
    Looking,
    /// A connection to it could not be made.
    NoConnection(io::Error),
    /// It refuses.
    Refused(Refusal),
}

impl SignError {
    /// Whether the key cannot be used: it is damaged, or its token is away.
    pub fn is_of_key(&self) -> bool {
        matches!(self, Self::Refused(Refusal::Failed))
    }
}

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer => write!(
                f,
                "tls-keyd, which has the private keys, has not signed within {} seconds: the messages of httpd's parent process \
                 tell whether it was started again",
                PATIENCE.as_secs()
            ),
            Self::Closed => f.write_str(
                "tls-keyd, which has the private keys, closes connections of this process at once: the messages of httpd's parent \
                 process tell why",
            ),
            Self::TooMany => f.write_str(
                "tls-keyd, which has the private keys, does not answer, and most threads of this process wait for it already",
            ),
            Self::Looking => f.write_str("half of the threads of this process wait for other names already"),
            Self::NoConnection(error) => write!(
                f,
                "this process cannot connect to tls-keyd, which has the private keys: {error} (if descriptors are lacking, raise \
                 the limit of open files: ulimit -n)"
            ),
            Self::Refused(Refusal::UnknownKey) => f.write_str(
                "tls-keyd does not have the private key: it could not be read again when tls-keyd was started anew, or this \
                 process is of an old configuration: reload httpd",
            ),
            Self::Refused(Refusal::Scheme) => f.write_str("tls-keyd: the private key does not sign by this scheme"),
            Self::Refused(Refusal::NotAHandshake) => {
                f.write_str("tls-keyd has refused to sign what is not a message of a TLS handshake")
            }
            Self::Refused(Refusal::Failed) => f.write_str(
                "tls-keyd cannot use the private key: it is damaged, or its token is away (see the messages of httpd's parent \
                 process)",
            ),
        }
    }
}

impl std::error::Error for SignError {}

/// The way to `tls-keyd`.
#[derive(Debug)]
pub struct Door {
    number: u64,
    entrance: OwnedFd,
    /// Where `tls-keyd` receives; the parent process keeps it for the next one.
    exit: Mutex<Option<OwnedFd>>,
    started: Instant,
    /// When this process has got its last answer, in milliseconds after `started`.
    last_answer: AtomicU64,
    /// How many threads of this process wait for a `tls-keyd` without a sign of life.
    waiting: AtomicUsize,
    /// How many threads of this process serve connections.
    threads: AtomicUsize,
    /// How many threads of this process wait for stores of certificates, which may be slow.
    looking: AtomicUsize,
}

/// The connection of a thread.
struct Link {
    door: u64,
    stream: UnixStream,
    buffer: Vec<u8>,
}

thread_local! {
    static LINK: RefCell<Option<Link>> = const { RefCell::new(None) };
}

impl Door {
    /// A new door.
    pub fn new() -> io::Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let (entrance, exit) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok(Self {
            number: NUMBER.fetch_add(1, Relaxed),
            entrance,
            exit: Mutex::new(Some(exit)),
            started: Instant::now(),
            last_answer: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            threads: AtomicUsize::new(1),
            looking: AtomicUsize::new(0),
        })
    }

    /// A copy of the end where `tls-keyd` receives. None in a child process.
    pub fn exit(&self) -> Option<io::Result<OwnedFd>> {
        let exit = self.exit.lock().unwrap_or_else(PoisonError::into_inner);
        exit.as_ref().map(OwnedFd::try_clone)
    }

    /// Closes, in a child process, the end that only `tls-keyd` uses. `threads` of the process serve connections.
    pub fn in_child(&self, threads: usize) {
        self.threads.store(threads.max(1), Relaxed);
        self.exit.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// The signature of `key` on `message`.
    pub fn sign(&self, key: KeyId, scheme: u16, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.ask(&Request::Sign { key, scheme, message }, |reply| match reply {
            Reply::Signature(signature) => Some(Ok(signature.to_vec())),
            Reply::Refused(refusal) => Some(Err(SignError::Refused(refusal))),
            _ => None,
        })?
    }

    /// What is in a store for a name. `known` is the stamp of what is known of it; 0 if nothing is.
    pub fn look_up(&self, store: u32, name: &HostName, known: u64) -> Result<Found, SignError> {
        let name = name.as_str();
        let _looking = Looking::begin(self).ok_or(SignError::Looking)?;
        self.ask(&Request::Lookup { store, name, known }, |reply| match reply {
            Reply::Found(found) => Some(found),
            _ => None,
        })
    }

    /// How keys were used.
    pub fn report(&self) -> Result<Report, SignError> {
        self.ask(&Request::Report, |reply| match reply {
            Reply::Report(report) => Some(report),
            _ => None,
        })
    }

    /// Sends a request, and reads its reply by `read`, which returns none for a reply of another kind.
    fn ask<T>(&self, request: &Request<'_>, read: impl Fn(Reply<'_>) -> Option<T>) -> Result<T, SignError> {
        let deadline = Instant::now() + PATIENCE;
        let mut place = None;
        if !self.is_alive() && self.waiting.load(Relaxed) >= self.places() {
            return Err(SignError::TooMany);
        }
        LINK.with_borrow_mut(|slot| {
            loop {
                let old = slot.take().filter(|link| link.door == self.number);
                let is_new = old.is_none();
                let broken = match self.exchange(old, request, deadline, &mut place) {
                    Ok((link, len)) => {
                        self.last_answer.store(self.now(), Relaxed);
                        let reply = protocol::decode(&link.buffer[..len]).ok().and_then(&read);
                        let reply = reply.ok_or(SignError::NoConnection(protocol::BadFrame.into()))?;
                        *slot = Some(link);
                        return Ok(reply);
                    }
                    Err(broken) => broken,
                };
                match broken {
                    Broken::NoAnswer => return Err(SignError::NoAnswer),
                    Broken::TooMany => return Err(SignError::TooMany),
                    Broken::NoConnection(error) => return Err(SignError::NoConnection(error)),
                    Broken::Closed if is_new && Instant::now() >= deadline => return Err(SignError::Closed),
                    _ if Instant::now() >= deadline => return Err(SignError::NoAnswer),
                    // It has ended. The next one does what this one may have begun.
                    Broken::Closed if !is_new => {}
                    Broken::Closed | Broken::Full => {
                        self.take_place(&mut place).ok_or(SignError::TooMany)?;
                        thread::sleep(PAUSE);
                    }
                }
            }
        })
    }

    /// A new connection.
    fn open(&self) -> io::Result<UnixStream> {
        let (stream, other) = UnixStream::pair()?;
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        channel::send_with(self.entrance.as_fd(), &[VERSION], &[other.as_fd()], flags)?;
        Ok(stream)
    }

    fn connect(&self) -> Result<Link, Broken> {
        self.try_connect().map_err(|error| {
            let is_in_flight = error.raw_os_error() == Some(Errno::TOOMANYREFS.raw_os_error());
            match error.kind() == io::ErrorKind::WouldBlock || is_in_flight {
                true => Broken::Full,
                false => Broken::NoConnection(error),
            }
        })
    }

    fn try_connect(&self) -> io::Result<Link> {
        let stream = self.open()?;
        stream.set_read_timeout(Some(SIGN_OF_LIFE))?;
        stream.set_write_timeout(Some(SIGN_OF_LIFE))?;
        Ok(Link {
            door: self.number,
            stream,
            buffer: Vec::with_capacity(1024),
        })
    }

    /// Sends a request over `link`, or over a new one, and receives the reply. Returns its length in the buffer of the link.
    fn exchange<'a>(
        &'a self,
        link: Option<Link>,
        request: &Request<'_>,
        deadline: Instant,
        place: &mut Option<Place<'a>>,
    ) -> Result<(Link, usize), Broken> {
        let mut link = link.map_or_else(|| self.connect(), Ok)?;
        link.buffer.clear();
        protocol::encode(request, &mut link.buffer);
        link.stream.write_all(&link.buffer)?;
        link.buffer.resize(link.buffer.capacity(), 0);
        let mut filled = 0;
        loop {
            match link.stream.read(&mut link.buffer[filled..]) {
                Ok(0) => return Err(Broken::Closed),
                Ok(len) => filled += len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if Instant::now() >= deadline {
                        return Err(Broken::NoAnswer);
                    }
                    self.take_place(place).ok_or(Broken::TooMany)?;
                }
                Err(_) => return Err(Broken::Closed),
            }
            match protocol::frame_len(&link.buffer[..filled], MAX_FRAME) {
                Ok(Some(len)) if len <= filled => return Ok((link, len)),
                Ok(Some(len)) => link.buffer.resize(len, 0),
                Ok(None) => {}
                Err(_) => return Err(Broken::Closed),
            }
        }
    }

    /// Has this thread wait among others for a `tls-keyd` without a sign of life. None if there are too many.
    fn take_place<'a>(&'a self, place: &mut Option<Place<'a>>) -> Option<()> {
        if place.is_none() && !self.is_alive() {
            *place = Some(Place::take(self)?);
        }
        Some(())
    }

    /// How many threads may wait.
    fn places(&self) -> usize {
        let threads = self.threads.load(Relaxed);
        (threads - threads / KEPT_FREE).max(1)
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    fn is_alive(&self) -> bool {
        self.now().saturating_sub(self.last_answer.load(Relaxed)) < SIGN_OF_LIFE.as_millis() as u64
    }
}

/// Why a link is not used again.
enum Broken {
    Closed,
    NoAnswer,
    TooMany,
    /// There is none: as many connections as possible wait for `tls-keyd` to receive them.
    Full,
    NoConnection(io::Error),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock => Self::NoAnswer,
            _ => Self::Closed,
        }
    }
}

/// A thread that waits for a store. At least half of the threads of a process are kept free.
struct Looking<'a>(&'a Door);

impl<'a> Looking<'a> {
    fn begin(door: &'a Door) -> Option<Self> {
        let before = door.looking.fetch_add(1, Relaxed);
        let looking = Self(door);
        (before < door.threads.load(Relaxed).div_ceil(2)).then_some(looking)
    }
}

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        self.0.looking.fetch_sub(1, Relaxed);
    }
}

/// A place among the threads that wait for a `tls-keyd` without a sign of life.
struct Place<'a>(&'a Door);

impl<'a> Place<'a> {
    fn take(door: &'a Door) -> Option<Self> {
        let before = door.waiting.fetch_add(1, Relaxed);
        let place = Self(door);
        (before < door.places()).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Relaxed);
    }
}
