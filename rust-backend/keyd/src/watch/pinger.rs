// SPDX-License-Identifier: Apache-2.0
//! Asks the process with the keys for signs of life.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use mod_tls_core::key_process::protocol::{self, MAX_FRAME, Reply, Request};

/// How often it asks.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long the answer may take.
const LIMIT: Duration = Duration::from_secs(2);

/// The most that an answer has.
const ANSWER: usize = 64;

/// A connection to the process with the keys.
pub(super) struct Pinger {
    stream: UnixStream,
    received: Vec<u8>,
    /// When it is asked again, or when it should have answered.
    next: Instant,
    is_asked: bool,
}

impl Pinger {
    pub(super) fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            received: Vec::with_capacity(ANSWER),
            next: Instant::now(),
            is_asked: false,
        })
    }

    /// When something is to be done at the latest.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// Asks, and reads the answer if there `is_data`. Returns whether the process has messages for the error log. An error says
    /// that it has ended or does not answer.
    pub(super) fn turn(&mut self, now: Instant, is_data: bool) -> io::Result<bool> {
        if is_data && let Some(has_messages) = self.answer()? {
            self.is_asked = false;
            self.next = now + INTERVAL;
            return Ok(has_messages);
        }
        if self.next > now {
            return Ok(false);
        }
        if self.is_asked {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let mut frame = Vec::new();
        protocol::encode(&Request::Ping, &mut frame);
        self.stream.write_all(&frame)?;
        self.is_asked = true;
        self.next = now + LIMIT;
        Ok(false)
    }

    /// Whether there are messages, once the answer is complete.
    fn answer(&mut self) -> io::Result<Option<bool>> {
        let mut data = [0; ANSWER];
        match self.stream.read(&mut data) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(len) => self.received.extend_from_slice(&data[..len]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        }
        match protocol::frame_len(&self.received, MAX_FRAME)? {
            Some(len) if len == self.received.len() => {
                let Reply::Pong { has_messages } = protocol::decode(&self.received)? else {
                    return Err(protocol::BadFrame.into());
                };
                self.received.clear();
                Ok(Some(has_messages))
            }
            _ if self.received.len() < ANSWER => Ok(None),
            _ => Err(protocol::BadFrame.into()),
        }
    }
}
