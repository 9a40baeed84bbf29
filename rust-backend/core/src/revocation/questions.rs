// SPDX-License-Identifier: Apache-2.0
//! What child processes ask: each question is one message, with the end of a socket pair that is closed when what was asked for
//! is in the table.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, socketpair};
use serde::{Deserialize, Serialize};

use crate::key_process::channel::send_with;

/// The longest question in bytes: a certificate and that of its issuer.
pub const MAX_QUESTION: usize = 64 * 1024;

/// A question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// To have an OCSP response ready for a certificate, which httpd presents.
    Staple(Subject),
    /// For the status of a certificate, which a client has presented.
    Status(Subject),
    /// For the revocation list at this URL.
    List {
        /// The number of the settings that the process has: [`Settings::generation`](super::orders::Settings).
        generation: u64,
        /// Where it is.
        url: String,
        /// The certificate in DER of the CA that must have signed it.
        #[serde(with = "serde_bytes")]
        issuer: Vec<u8>,
    },
}

impl Question {
    /// The number of the settings that the process has that asks.
    pub fn generation(&self) -> u64 {
        match self {
            Self::Staple(subject) | Self::Status(subject) => subject.generation,
            Self::List { generation, .. } => *generation,
        }
    }
}

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Subject {
    /// The number of the settings that the process has: [`Settings::generation`](super::orders::Settings).
    pub generation: u64,
    /// The number among [`Settings::ocsp`](super::orders::Settings).
    pub settings: u32,
    /// The certificate in DER.
    #[serde(with = "serde_bytes")]
    pub certificate: Vec<u8>,
    /// That of its issuer.
    #[serde(with = "serde_bytes")]
    pub issuer: Vec<u8>,
}

/// Where questions are asked, and where they arrive. All processes of httpd inherit the first; the parent process keeps the second
/// for the next process that answers.
pub fn way() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?)
}

/// A question that was asked.
#[derive(Debug)]
pub struct Asked {
    /// It is readable when the answer is in the table.
    answered: OwnedFd,
    deadline: Instant,
}

impl Asked {
    /// Asks. An error if there are too many questions that were not read yet.
    pub fn ask(way: BorrowedFd<'_>, question: &Question, limit: Duration) -> io::Result<Self> {
        let (answered, other) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        let bytes = postcard::to_allocvec(question).map_err(io::Error::other)?;
        if bytes.len() > MAX_QUESTION {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        send_with(way, &bytes, &[other.as_fd()], SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?;
        Ok(Self {
            answered,
            deadline: Instant::now() + limit,
        })
    }

    /// The descriptor that becomes readable.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.answered.as_fd()
    }

    /// For how long to wait.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Whether there is an answer, or it has come too late.
    pub fn is_over(&self) -> bool {
        self.remaining().is_zero() || self.poll(Duration::ZERO)
    }

    /// Waits until there is an answer, or no longer.
    pub fn wait(&self) {
        while !self.remaining().is_zero() && !self.poll(self.remaining()) {}
    }

    /// Whether there is an answer within `limit`.
    fn poll(&self, limit: Duration) -> bool {
        let mut sources = [PollFd::new(&self.answered, PollFlags::IN)];
        let limit = Timespec {
            tv_sec: limit.as_secs().cast_signed(),
            tv_nsec: limit.subsec_nanos().into(),
        };
        poll(&mut sources, Some(&limit)).is_ok_and(|ready| ready > 0)
    }
}
