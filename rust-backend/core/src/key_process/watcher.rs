// SPDX-License-Identifier: Apache-2.0
//! The process that watches `tls-keyd` and files, and the bell.
//!
//! httpd's parent process waits for nothing but its children, whose end it notices within a second. The process that watches
//! stays, because it would cost much to begin anew with thousands of files. To call the parent process, it closes its socket to
//! another child of it, the *bell*, which then ends, and which the parent process starts again.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::channel::Channel;
use super::control::ControlSocket;
use super::parent::{Launch, Launcher, Role};
use super::watch_orders::{Settled, WatchOrder, WatchReport, WatchedFiles};

/// How long a report may take.
const LIMIT: Duration = Duration::from_secs(1);

/// The process that watches.
#[derive(Debug)]
pub(super) struct Watcher {
    pub(super) pid: u32,
    /// The process number of the bell; 0 if there is none.
    pub(super) bell: u32,
    channel: Channel,
}

impl Watcher {
    /// Starts it.
    pub(super) fn start(launcher: &dyn Launcher, launch: &Launch) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_read_timeout(Some(LIMIT))?;
        ours.set_write_timeout(Some(LIMIT))?;
        let pid = launcher.launch(launch, Role::Watch, theirs.into())?;
        let watcher = Self {
            pid,
            bell: 0,
            channel: Channel::new(ours.into()),
        };
        watcher.channel.send(&WatchOrder::Parent(std::process::id()), &[])?;
        Ok(watcher)
    }

    /// Has it watch the `tls-keyd` at the other end of `socket`.
    pub(super) fn watch_keys(&self, socket: &OwnedFd) -> io::Result<()> {
        self.channel.send(&WatchOrder::Keys, &[socket.as_fd()])
    }

    /// Has it watch these files.
    pub(super) fn watch_files(&self, interval: u32, list: Vec<WatchedFiles>) -> io::Result<()> {
        self.channel.send(&WatchOrder::Files { interval, list }, &[])
    }

    /// Has it watch these files in place of those with the same number.
    pub(super) fn watch_again(&self, files: WatchedFiles) -> io::Result<()> {
        self.channel.send(&WatchOrder::Again(files), &[])
    }

    /// Tells it what became of the files of an identity.
    pub(super) fn settle(&self, slot: u32, settled: Settled) -> io::Result<()> {
        self.channel.send(&WatchOrder::Settled { slot, settled }, &[])
    }

    /// Has it serve `tls-certs` on this socket.
    pub(super) fn serve_tool(&self, socket: Option<&ControlSocket>) -> io::Result<()> {
        match socket {
            Some(socket) => {
                let order = WatchOrder::Control { group: socket.group() };
                self.channel.send(&order, &[socket.listener()])
            }
            None => self.channel.send(&WatchOrder::NoControl, &[]),
        }
    }

    /// Gives it the catalogue.
    pub(super) fn give_catalogue(&self, file: BorrowedFd<'_>) -> io::Result<()> {
        self.channel.send(&WatchOrder::Catalogue, &[file])
    }

    /// Has it ask for another catalogue when it needs one.
    pub(super) fn forget_catalogue(&self) -> io::Result<()> {
        self.channel.send(&WatchOrder::NoCatalogue, &[])
    }

    /// Starts another bell.
    pub(super) fn hang_bell(&mut self, launcher: &dyn Launcher, launch: &Launch) -> io::Result<()> {
        self.bell = 0;
        let (ours, theirs) = UnixStream::pair()?;
        self.bell = launcher.launch(launch, Role::Bell, theirs.into())?;
        self.channel.send(&WatchOrder::Bell, &[ours.as_fd()])
    }

    /// What has happened since the last report.
    pub(super) fn report(&mut self) -> io::Result<WatchReport> {
        self.channel.send(&WatchOrder::Report, &[])?;
        self.channel.receive(true)
    }
}
