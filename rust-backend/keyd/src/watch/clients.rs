// SPDX-License-Identifier: Apache-2.0
//! Serves `tls-certs`.
//!
//! Nothing here waits: what a client does or does not costs the watch no time. The catalogue is a file in memory, of which clients
//! get a descriptor that can only be read.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use mod_tls_core::key_process::channel::send_with;
use mod_tls_core::key_process::inquiry::{Inquiry, MAX_INQUIRY, MAX_SLOTS, OTHER_VERSION, Response, is_other_version};
use mod_tls_core::key_process::protocol;
use rustix::event::{PollFd, PollFlags};
use rustix::net::sockopt::socket_peercred;
use rustix::net::{SendFlags, SocketFlags, accept_with};
use rustix::process::geteuid;

use super::files::Files;

/// The most clients at a time. Others wait.
const MAX_CLIENTS: usize = 16;

/// How long a client may ask nothing, or not read its answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The socket, and who is connected.
#[derive(Default)]
pub(super) struct Clients {
    listener: Option<OwnedFd>,
    /// The group whose members may connect.
    group: Option<u32>,
    list: VecDeque<Client>,
    catalogue: Option<OwnedFd>,
    wants_catalogue: bool,
}

struct Client {
    stream: UnixStream,
    received: Vec<u8>,
    /// The rest of the answer, and what is sent with it.
    answer: Vec<u8>,
    descriptor: Option<OwnedFd>,
    /// When it is given up.
    until: Instant,
}

impl Clients {
    /// Serves those who connect to `listener`. Earlier clients are served on.
    pub(super) fn listen(&mut self, listener: OwnedFd, group: Option<u32>) {
        self.listener = Some(listener);
        self.group = group;
    }

    /// Serves nobody.
    pub(super) fn end(&mut self) {
        *self = Self::default();
    }

    /// From now on, this is the catalogue.
    pub(super) fn set_catalogue(&mut self, file: Option<OwnedFd>) {
        self.wants_catalogue &= file.is_none();
        self.catalogue = file;
    }

    /// Whether somebody has asked for the catalogue, and there is none.
    pub(super) fn wants_catalogue(&self) -> bool {
        self.wants_catalogue
    }

    /// When there is something to do.
    pub(super) fn next(&self) -> Option<Instant> {
        self.list.iter().map(|client| client.until).min()
    }

    /// What is to be waited for.
    pub(super) fn sources(&self) -> impl Iterator<Item = PollFd<'_>> {
        let listener = self.listener.iter().filter(|_| self.list.len() < MAX_CLIENTS);
        let listener = listener.map(|listener| PollFd::from_borrowed_fd(listener.as_fd(), PollFlags::IN));
        self.list.iter().map(Client::source).chain(listener)
    }

    /// Does what there is to do; `ready` has a value for each of the sources. Returns whether httpd's parent process has to be
    /// called.
    pub(super) fn turn(&mut self, now: Instant, ready: &[bool], files: &mut Files) -> bool {
        let mut is_calling = false;
        // Orders may have come in between, by which the sources are others.
        let count = self.list.len().min(ready.len());
        for is_ready in &ready[..count] {
            let Some(mut client) = self.list.pop_front() else { break };
            let is_alive = match is_ready {
                true => client.turn(now, |inquiry| self.answer(inquiry, files, &mut is_calling)),
                false => Ok(()),
            };
            // One that fails, or is too slow, is gone.
            if is_alive.is_ok() && now < client.until {
                self.list.push_back(client);
            }
        }
        if ready.get(count) == Some(&true) {
            self.accept(now);
        }
        is_calling
    }

    fn accept(&mut self, now: Instant) {
        let Some(listener) = &self.listener else { return };
        if let Ok(stream) = accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)
            && self.admits(stream.as_fd())
        {
            self.list.push_back(Client {
                stream: stream.into(),
                received: Vec::new(),
                answer: Vec::new(),
                descriptor: None,
                until: now + PATIENCE,
            });
        }
    }

    /// Whether the user at the other end may ask: root, or the one that starts httpd. If there is a group, the mode of the socket
    /// has decided, since the kernel does not tell of which other groups somebody is a member.
    fn admits(&self, stream: BorrowedFd<'_>) -> bool {
        let Ok(peer) = socket_peercred(stream) else {
            return false;
        };
        self.group.is_some() || peer.uid.is_root() || peer.uid == geteuid()
    }

    fn answer(&mut self, inquiry: Inquiry, files: &mut Files, is_calling: &mut bool) -> (Response, Option<OwnedFd>) {
        let response = match inquiry {
            Inquiry::Catalogue => match self.catalogue.as_ref().map(|file| file.try_clone()) {
                Some(Ok(file)) => return (Response::Catalogue, Some(file)),
                Some(Err(error)) => Response::Refused(error.to_string()),
                None => {
                    *is_calling |= !std::mem::replace(&mut self.wants_catalogue, true);
                    Response::NotYet
                }
            },
            Inquiry::Look(slots) | Inquiry::States(slots) if slots.len() > MAX_SLOTS => {
                Response::Refused(format!("at most {MAX_SLOTS} certificates at a time"))
            }
            Inquiry::Look(slots) => {
                for slot in slots {
                    *is_calling |= files.look_now(slot);
                }
                Response::Looking
            }
            Inquiry::States(slots) => Response::States(slots.into_iter().map(|slot| files.state(slot)).collect()),
        };
        (response, None)
    }
}

impl Client {
    fn source(&self) -> PollFd<'_> {
        let wanted = match self.answer.is_empty() {
            true => PollFlags::IN,
            false => PollFlags::OUT,
        };
        PollFd::from_borrowed_fd(self.stream.as_fd(), wanted)
    }

    /// Receives an inquiry, or sends the rest of an answer. An error says that the client is gone, or asks for what nobody
    /// understands.
    fn turn(&mut self, now: Instant, answer: impl FnOnce(Inquiry) -> (Response, Option<OwnedFd>)) -> io::Result<()> {
        if self.answer.is_empty() {
            let Some(len) = self.receive()? else { return Ok(()) };
            let frame = &self.received[..len];
            let (response, descriptor) = match protocol::decode(frame) {
                Ok(inquiry) => answer(inquiry),
                Err(_) if is_other_version(frame) => (Response::Refused(OTHER_VERSION.to_owned()), None),
                Err(error) => return Err(error.into()),
            };
            self.received.drain(..len);
            // Whoever asks reads the answer before the next question.
            if !self.received.is_empty() {
                return Err(protocol::BadFrame.into());
            }
            protocol::encode(&response, &mut self.answer);
            self.descriptor = descriptor;
            self.until = now + PATIENCE;
        }
        self.send()
    }

    /// The length of the inquiry, if it is complete. At most one is taken at a time.
    fn receive(&mut self) -> io::Result<Option<usize>> {
        let mut data = [0; MAX_INQUIRY + 4];
        let room = data.len() - self.received.len();
        match self.stream.read(&mut data[..room]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(len) => self.received.extend_from_slice(&data[..len]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        let len = protocol::frame_len(&self.received, MAX_INQUIRY)?;
        Ok(len.filter(|len| *len <= self.received.len()))
    }

    fn send(&mut self) -> io::Result<()> {
        let descriptors: Vec<_> = self.descriptor.iter().map(AsFd::as_fd).collect();
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        match send_with(self.stream.as_fd(), &self.answer, &descriptors, flags) {
            Ok(sent) => {
                self.answer.drain(..sent);
                self.descriptor = None;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }
}
