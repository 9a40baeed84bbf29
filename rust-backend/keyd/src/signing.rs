// SPDX-License-Identifier: Apache-2.0
//! Connections of child processes, and the threads that serve them.
//!
//! All threads wait for all connections (epoll, edge-triggered, so that one of them gets each request). A thread reads the
//! request, signs and answers without another one. A key in a token is used in a thread of its own, and names are looked up in
//! such threads, so that a slow token or file system, or a module that hangs, keeps nobody else waiting.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Read, Write};
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread;

use mod_tls_core::base::diagnostics::Severity;
use mod_tls_core::key_process::channel;
use mod_tls_core::key_process::protocol::{self, KeyId, MAX_FRAME, Reply, Request};
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::net::{RecvFlags, sockopt};

use crate::keys::Keys;
use crate::stores::Stores;

/// The most connections of one child process.
const MAX_OF_PROCESS: usize = 4096;

/// The size of a read. Usual requests have about 200 bytes.
const CHUNK: usize = 1024;

/// A connection of a thread of a child process.
struct Connection {
    stream: UnixStream,
    received: Vec<u8>,
    reply: Vec<u8>,
}

/// All connections.
pub(crate) struct Signing {
    keys: Arc<Keys>,
    pub(crate) stores: Arc<Stores>,
    epoll: OwnedFd,
    connections: RwLock<HashMap<u64, Arc<Slot>>>,
    next: AtomicU64,
    /// An eventfd.
    door_closed: OwnedFd,
    retires: AtomicBool,
}

struct Slot {
    /// The process that has made the connection.
    peer: i32,
    connection: Mutex<Connection>,
}

impl Signing {
    pub(crate) fn new(keys: Arc<Keys>) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            stores: Arc::new(Stores::new(&keys)),
            keys,
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            connections: RwLock::default(),
            next: AtomicU64::new(0),
            door_closed: eventfd(0, EventfdFlags::CLOEXEC)?,
            retires: AtomicBool::new(false),
        }))
    }

    /// Starts a thread for each processor.
    pub(crate) fn start(self: &Arc<Self>) -> io::Result<()> {
        let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        for number in 0..threads {
            let signing = Arc::clone(self);
            thread::Builder::new()
                .name(format!("sign {number}"))
                .spawn(move || signing.run())?;
        }
        Ok(())
    }

    /// Starts the thread that receives connections from `door`, until [`Self::retire`].
    pub(crate) fn receive_from(self: &Arc<Self>, door: OwnedFd) -> io::Result<()> {
        let signing = Arc::clone(self);
        let run = move || {
            while is_open(&door, &signing.door_closed) {
                let mut received = VecDeque::new();
                let mut version = [0];
                match channel::receive_with(door.as_fd(), &mut version, &mut received, RecvFlags::DONTWAIT) {
                    Ok(0) => return,
                    Ok(_) if received.is_empty() => signing.lacks_descriptors(),
                    // A child process of another version is none of ours; its socket is closed.
                    Ok(_) if version != [protocol::VERSION] => {}
                    Ok(_) => {
                        for socket in received {
                            // One that cannot be added is closed, which tells the child process.
                            let _ = signing.add(socket);
                        }
                    }
                    // Without descriptors or memory the child process gets no answer, and the next one may.
                    Err(_) => thread::yield_now(),
                }
            }
        };
        thread::Builder::new().name("door".to_owned()).spawn(run)?;
        Ok(())
    }

    /// The kernel has closed a socket that was received, so that its sender notices.
    fn lacks_descriptors(&self) {
        let text = "tls-keyd, which has the private keys, has no descriptors for another thread of httpd, whose handshakes fail: \
                    raise the limit of open files (LimitNOFILE= in the systemd unit, or ulimit -Hn) and restart httpd, or have \
                    fewer threads (MaxRequestWorkers)";
        self.keys.log_queue().add_once(Severity::Error, text.to_owned());
    }

    /// Receives no more connections: they are for another process. The one that watches this process is closed.
    pub(crate) fn retire(&self) {
        self.retires.store(true, Relaxed);
        // The counter of an eventfd that was never written to has room.
        let _ = rustix::io::write(&self.door_closed, &1u64.to_ne_bytes());
    }

    /// Answers requests on `socket`.
    pub(crate) fn add(&self, socket: OwnedFd) -> io::Result<()> {
        let peer = sockopt::socket_peercred(&socket)?.pid.as_raw_nonzero().get();
        let mut connections = self.connections.write().unwrap_or_else(PoisonError::into_inner);
        if connections.values().filter(|slot| slot.peer == peer).count() >= MAX_OF_PROCESS {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let stream = UnixStream::from(socket);
        stream.set_nonblocking(true)?;
        let number = self.next.fetch_add(1, Relaxed);
        epoll::add(
            &self.epoll,
            &stream,
            EventData::new_u64(number),
            EventFlags::IN | EventFlags::ET,
        )?;
        let connection = Mutex::new(Connection {
            stream,
            received: Vec::new(),
            reply: Vec::new(),
        });
        connections.insert(number, Arc::new(Slot { peer, connection }));
        Ok(())
    }

    /// The number of connections.
    pub(crate) fn connections(&self) -> usize {
        self.connections.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn run(&self) {
        let mut events: Vec<Event> = Vec::with_capacity(1);
        loop {
            events.clear();
            // One at a time, so that other threads take the next one.
            if epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), None).is_err() {
                continue;
            }
            for event in &events {
                let number = event.data.u64();
                let slot = {
                    let connections = self.connections.read().unwrap_or_else(PoisonError::into_inner);
                    connections.get(&number).map(Arc::clone)
                };
                let Some(slot) = slot else { continue };
                // A panic must not end the thread, which others need.
                let served = panic::catch_unwind(AssertUnwindSafe(|| slot.serve(self)));
                if !matches!(served, Ok(Ok(()))) {
                    let mut connections = self.connections.write().unwrap_or_else(PoisonError::into_inner);
                    connections.remove(&number);
                }
            }
        }
    }
}

/// Waits until something comes through the door. False if it is closed.
fn is_open(door: &OwnedFd, closed: &OwnedFd) -> bool {
    let mut sources = [PollFd::new(door, PollFlags::IN), PollFd::new(closed, PollFlags::IN)];
    while poll(&mut sources, None).is_err() {}
    sources[1].revents().is_empty()
}

impl Slot {
    /// Answers the requests that have come. An error ends the connection.
    fn serve(self: &Arc<Self>, signing: &Signing) -> io::Result<()> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        connection.serve(|frame, reply| match protocol::decode(frame)? {
            Request::Sign { key, scheme, message } if signing.keys.is_slow(key) => {
                let (keys, message) = (Arc::clone(&signing.keys), message.to_vec());
                self.answer_aside("token", move |reply| sign(&keys, key, scheme, &message, reply))
            }
            Request::Lookup { store, name, known } => {
                let (stores, name) = (Arc::clone(&signing.stores), name.to_owned());
                self.answer_aside("lookup", move |reply| {
                    protocol::encode(&Reply::Found(stores.look_up(store, &name, known)), reply);
                })
            }
            request => signing.answer(&request, reply),
        })
    }

    /// Has another thread make the answer, and send it. Meanwhile the connection is not locked: its end is noticed.
    fn answer_aside(
        self: &Arc<Self>,
        thread: &str,
        answer: impl FnOnce(&mut Vec<u8>) + Send + 'static,
    ) -> io::Result<()> {
        let slot = Arc::clone(self);
        let work = move || {
            let mut reply = Vec::new();
            answer(&mut reply);
            let mut connection = slot.connection.lock().unwrap_or_else(PoisonError::into_inner);
            // Whoever waits no longer has closed the connection.
            let _ = connection.stream.write(&reply);
        };
        thread::Builder::new().name(thread.to_owned()).spawn(work)?;
        Ok(())
    }
}

impl Connection {
    /// Reads the requests that have come. `answer` appends what is to be answered at once.
    fn serve(&mut self, mut answer: impl FnMut(&[u8], &mut Vec<u8>) -> io::Result<()>) -> io::Result<()> {
        loop {
            let len = self.received.len();
            self.received.resize(len + CHUNK, 0);
            let outcome = self.stream.read(&mut self.received[len..]);
            self.received.truncate(len + *outcome.as_ref().unwrap_or(&0));
            let read = match outcome {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            while let Some(len) = protocol::frame_len(&self.received, MAX_FRAME)?
                && len <= self.received.len()
            {
                self.reply.clear();
                answer(&self.received[..len], &mut self.reply)?;
                self.received.drain(..len);
                // A process that does not read answers gets no more.
                if self.stream.write(&self.reply)? < self.reply.len() {
                    return Err(io::ErrorKind::WriteZero.into());
                }
            }
            // Less than there was room for: there is nothing more until the next event.
            if read < CHUNK {
                return Ok(());
            }
        }
    }
}

impl Signing {
    fn answer(&self, request: &Request<'_>, reply: &mut Vec<u8>) -> io::Result<()> {
        match *request {
            Request::Sign { key, scheme, message } => sign(&self.keys, key, scheme, message, reply),
            // It is asked by the process that watches this one. That must not be taken for a child process, for which a process
            // that was replaced would go on.
            Request::Ping if self.retires.load(Relaxed) => return Err(io::ErrorKind::ConnectionAborted.into()),
            Request::Ping => {
                let has_messages = self.keys.log_queue().has_messages();
                protocol::encode(&Reply::Pong { has_messages }, reply);
            }
            // They are answered aside.
            Request::Lookup { .. } => return Err(protocol::BadFrame.into()),
            Request::Report => protocol::encode(&Reply::Report(self.keys.report(self.connections())), reply),
        }
        Ok(())
    }
}

fn sign(keys: &Keys, key: KeyId, scheme: u16, message: &[u8], reply: &mut Vec<u8>) {
    match keys.sign(key, scheme, message) {
        Ok(signature) => protocol::encode(&Reply::Signature(&signature), reply),
        Err(refusal) => protocol::encode(&Reply::Refused(refusal), reply),
    }
}

#[cfg(test)]
mod tests;
