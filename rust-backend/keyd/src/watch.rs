// SPDX-License-Identifier: Apache-2.0
//! Watches the process with the keys: ends when that one ends, does not answer, or has messages for the error log.
//!
//! httpd's parent process waits for nothing but its children. So it learns within a second that something is wrong, also if
//! the process with the keys is not its child: httpd starts it before it leaves the terminal and becomes another process.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

use mod_tls_core::key_process::protocol::{self, MAX_FRAME, Reply, Request};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How often it asks.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long the answer may take.
const LIMIT: Duration = Duration::from_secs(2);

/// Watches the process at the other end of `socket`. Returns when that one has ended or does not answer.
pub(crate) fn watch(socket: OwnedFd) -> ExitCode {
    let stream = UnixStream::from(socket);
    // The process with the keys ends with httpd, and this one with that.
    let _ = ask_forever(&stream);
    ExitCode::FAILURE
}

fn ask_forever(mut stream: &UnixStream) -> io::Result<()> {
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    let mut frame = Vec::new();
    loop {
        frame.clear();
        protocol::encode(&Request::Ping, &mut frame);
        stream.write_all(&frame)?;
        let mut answer = [0; 64];
        let mut filled = 0;
        while protocol::frame_len(&answer[..filled], MAX_FRAME)?.is_none_or(|len| len > filled) {
            match stream.read(&mut answer[filled..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                len => filled += len,
            }
        }
        match protocol::decode(&answer[..filled])? {
            Reply::Pong { has_messages: false } => wait(stream)?,
            // httpd's parent process looks for them when this process ends.
            Reply::Pong { has_messages: true } => return Ok(()),
            _ => return Err(protocol::BadFrame.into()),
        }
    }
}

/// Waits until the next question, or until the connection is closed.
fn wait(stream: &UnixStream) -> io::Result<()> {
    let interval = Timespec::try_from(INTERVAL).map_err(|_| io::ErrorKind::InvalidInput)?;
    match poll(&mut [PollFd::new(stream, PollFlags::IN)], Some(&interval)) {
        Ok(0) | Err(rustix::io::Errno::INTR) => Ok(()),
        Ok(_) => Err(io::ErrorKind::UnexpectedEof.into()),
        Err(error) => Err(error.into()),
    }
}
