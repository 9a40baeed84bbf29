// SPDX-License-Identifier: Apache-2.0
//! A process that httpd's parent process starts for one task, and to which it gives orders.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use super::channel::Channel;
use super::parent::{Launch, Launcher, Role};

/// How long an order, or the answer to one, may take.
const LIMIT: Duration = Duration::from_secs(1);

/// The process. It ends when this value is dropped, unless it is stopped.
#[derive(Debug)]
pub struct Companion {
    /// Its number.
    pub pid: u32,
    channel: Channel,
    pidfd: Option<OwnedFd>,
}

impl Companion {
    /// Starts it.
    pub fn start(launcher: &dyn Launcher, launch: &Launch, role: Role) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_read_timeout(Some(LIMIT))?;
        ours.set_write_timeout(Some(LIMIT))?;
        let pid = launcher.launch(launch, role, theirs.into())?;
        let name = Pid::from_raw(pid.cast_signed());
        Ok(Self {
            pid,
            channel: Channel::new(ours.into()),
            pidfd: name.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()),
        })
    }

    /// Sends an order.
    pub fn tell(&self, order: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.channel.send(order, descriptors)
    }

    /// Sends an order and returns its answer.
    pub fn ask<T: for<'a> Deserialize<'a>>(&mut self, order: &impl Serialize) -> io::Result<T> {
        self.channel.send(order, &[])?;
        self.channel.receive(true)
    }

    /// Ends the process, which may be stopped.
    pub fn kill(&self) {
        if let Some(pidfd) = &self.pidfd {
            let _ = pidfd_send_signal(pidfd, Signal::KILL);
        }
    }
}
