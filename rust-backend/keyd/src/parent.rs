// SPDX-License-Identifier: Apache-2.0
//! httpd's parent process, with which this process ends.

use std::io;
use std::os::fd::OwnedFd;

use mod_tls_core::key_process::channel::Channel;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// A pidfd of the process. Without one, the end of the connection tells the same, unless another process has inherited it.
pub(crate) fn open(pid: u32) -> Option<OwnedFd> {
    let name = Pid::from_raw(pid.cast_signed());
    name.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok())
}

/// Waits for an order. False if the parent process has ended.
pub(crate) fn wait_for_order(channel: &Channel, parent: Option<&OwnedFd>) -> io::Result<bool> {
    if channel.has_message() {
        return Ok(true);
    }
    let mut sources = vec![PollFd::from_borrowed_fd(channel.socket(), PollFlags::IN)];
    sources.extend(parent.map(|parent| PollFd::new(parent, PollFlags::IN)));
    loop {
        match poll(&mut sources, None) {
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => return Ok(!sources[0].revents().is_empty()),
        }
    }
}
