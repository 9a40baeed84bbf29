// SPDX-License-Identifier: Apache-2.0
//! Frames with descriptors over Unix sockets.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use super::protocol::{self, MAX_CONTROL_FRAME, MAX_DESCRIPTORS};

/// One end of the control connection. It is blocking; the time limits of the socket apply.
#[derive(Debug)]
pub struct Channel {
    socket: OwnedFd,
    /// Data that was received but not yet returned.
    received: Vec<u8>,
    descriptors: VecDeque<OwnedFd>,
}

/// The size of one read.
const CHUNK: usize = 64 * 1024;

impl Channel {
    /// The connection on `socket`.
    pub fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            received: Vec::new(),
            descriptors: VecDeque::new(),
        }
    }

    /// Sends `message` with descriptors, which stay open here.
    pub fn send(&self, message: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut frame = Vec::new();
        protocol::encode(message, &mut frame);
        let sent = self.send_all(&frame, descriptors);
        forget(&mut frame);
        sent
    }

    fn send_all(&self, frame: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut sent = send_with(self.socket.as_fd(), frame, descriptors, SendFlags::NOSIGNAL)?;
        while sent < frame.len() {
            sent += send_with(self.socket.as_fd(), &frame[sent..], &[], SendFlags::NOSIGNAL)?;
        }
        Ok(())
    }

    /// Receives the next message. `UnexpectedEof` if the other end is closed, `WouldBlock` after the time limit of the socket, or
    /// at once if not `wait`; the next call continues.
    pub fn receive<T: for<'a> Deserialize<'a>>(&mut self, wait: bool) -> io::Result<T> {
        loop {
            if let Some(len) = protocol::frame_len(&self.received, MAX_CONTROL_FRAME)?
                && len <= self.received.len()
            {
                let message = protocol::decode(&self.received[..len]);
                forget(&mut self.received[..len]);
                self.received.drain(..len);
                return Ok(message?);
            }
            let flags = if wait { RecvFlags::empty() } else { RecvFlags::DONTWAIT };
            let len = self.received.len();
            self.received.resize(len + CHUNK, 0);
            let outcome = receive_with(
                self.socket.as_fd(),
                &mut self.received[len..],
                &mut self.descriptors,
                flags,
            );
            self.received.truncate(len + *outcome.as_ref().unwrap_or(&0));
            if outcome? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Whether a message was received that was not returned yet.
    pub fn has_message(&self) -> bool {
        let len = protocol::frame_len(&self.received, MAX_CONTROL_FRAME);
        // The error is returned with the message.
        len.map_or(true, |len| len.is_some_and(|len| len <= self.received.len()))
    }

    /// The next descriptor that was received. They are not tied to messages, so each message must be asked for its own ones.
    pub fn descriptor(&mut self) -> io::Result<OwnedFd> {
        self.descriptors.pop_front().ok_or_else(|| {
            io::Error::other("a descriptor is missing: the limit of open files may be too low (ulimit -n)")
        })
    }

    /// The socket, to wait for it.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Erases a frame, in which the state of tickets or a PIN may be. Those with the texts of files are longer, and have no secrets.
fn forget(frame: &mut [u8]) {
    const LONGEST_WITH_SECRETS: usize = 16 * 1024;
    if frame.len() <= LONGEST_WITH_SECRETS {
        frame.zeroize();
    }
}

/// Sends data and descriptors. Returns the number of bytes that were sent.
pub fn send_with(
    socket: BorrowedFd<'_>,
    data: &[u8],
    descriptors: &[BorrowedFd<'_>],
    flags: SendFlags,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::other("too many descriptors for one message"));
    }
    loop {
        match sendmsg(socket, &[IoSlice::new(data)], &mut control, flags) {
            Err(rustix::io::Errno::INTR) => {}
            outcome => return Ok(outcome?),
        }
    }
}

/// Receives data, and appends the descriptors that come with it. Returns the number of bytes; 0 if the other end is closed.
pub fn receive_with(
    socket: BorrowedFd<'_>,
    data: &mut [u8],
    descriptors: &mut VecDeque<OwnedFd>,
    flags: RecvFlags,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        match recvmsg(
            socket,
            &mut [IoSliceMut::new(data)],
            &mut control,
            flags | RecvFlags::CMSG_CLOEXEC,
        ) {
            Err(rustix::io::Errno::INTR) => {}
            outcome => break outcome?,
        }
    };
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    Ok(received.bytes)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::super::protocol::{Answer, Order};
    use super::*;

    #[test]
    fn messages_and_descriptors_arrive() {
        let (one, other) = UnixStream::pair().unwrap();
        let (one, mut other) = (Channel::new(one.into()), Channel::new(other.into()));
        let file = File::open("/proc/self/cmdline").unwrap();
        one.send(&Order::Release(vec![1; 100_000]), &[file.as_fd()]).unwrap();
        one.send(&Order::Ping, &[]).unwrap();
        assert_eq!(other.receive::<Order>(true).unwrap(), Order::Release(vec![1; 100_000]));
        let mut text = String::new();
        File::from(other.descriptor().unwrap())
            .read_to_string(&mut text)
            .unwrap();
        assert!(!text.is_empty());
        assert!(other.descriptor().is_err());
        assert_eq!(other.receive::<Order>(true).unwrap(), Order::Ping);
        assert_eq!(
            other.receive::<Order>(false).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        // An order is no answer with rest.
        one.send(&Order::Parent(7), &[]).unwrap();
        assert!(other.receive::<Answer>(true).is_err());
        drop(one);
        assert_eq!(
            other.receive::<Order>(true).unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
    }
}
