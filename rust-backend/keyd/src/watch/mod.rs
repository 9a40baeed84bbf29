// SPDX-License-Identifier: Apache-2.0
//! Watches the process with the keys, and the files of certificates, for httpd's parent process.
//!
//! That one waits for nothing but its children. To call it, this process closes its socket to another child, the [bell](ring),
//! which then ends. So httpd learns within a second that the process with the keys has ended, does not answer or has messages
//! for the error log, or that a certificate was renewed.
//!
//! It also serves `tls-certs` ([`clients`]).

mod clients;
mod files;
mod links;
mod pinger;

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use mod_tls_core::key_process::channel::Channel;
use mod_tls_core::key_process::watch_orders::{WatchOrder, WatchReport};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::parent;

use clients::Clients;
use files::Files;
use pinger::Pinger;

/// Watches for the process at the other end of `socket`. Returns when that one has ended.
pub(crate) fn watch(socket: OwnedFd) -> ExitCode {
    let mut watch = Watch {
        channel: Channel::new(socket),
        parent: None,
        keys: None,
        is_silent: false,
        files: Files::new(),
        clients: Clients::default(),
        bell: None,
        is_calling: false,
    };
    // httpd's parent process notices this end, and starts another one if it goes on.
    let _ = watch.run();
    ExitCode::FAILURE
}

/// The bell: returns when the socket is closed at the other end.
pub(crate) fn ring(socket: OwnedFd) -> ExitCode {
    let mut stream = UnixStream::from(socket);
    while stream.read(&mut [0]).is_ok_and(|len| len > 0) {}
    ExitCode::SUCCESS
}

struct Watch {
    /// To httpd's parent process.
    channel: Channel,
    /// A pidfd of that one.
    parent: Option<OwnedFd>,
    /// The process with the keys, until it fails.
    keys: Option<Pinger>,
    /// Whether it was given up because it did not answer.
    is_silent: bool,
    files: Files,
    clients: Clients,
    /// To the bell.
    bell: Option<OwnedFd>,
    /// Whether httpd's parent process has to be called.
    is_calling: bool,
}

impl Watch {
    fn run(&mut self) -> io::Result<()> {
        loop {
            let ready = self.wait()?;
            if ready.parent {
                return Ok(());
            }
            if ready.channel {
                self.carry_out_orders()?;
            }
            let now = Instant::now();
            if let Some(keys) = &mut self.keys {
                match keys.turn(now, ready.keys) {
                    Ok(has_messages) => self.is_calling |= has_messages,
                    Err(error) => {
                        self.keys = None;
                        self.is_silent = error.kind() == io::ErrorKind::TimedOut;
                        self.is_calling = true;
                    }
                }
            }
            if ready.files {
                self.files.take_events(now);
            }
            self.is_calling |= self.files.turn(now);
            self.is_calling |= self.clients.turn(now, &ready.clients, &mut self.files);
            if self.is_calling && self.bell.take().is_some() {
                self.is_calling = false;
            }
        }
    }

    /// Waits until there is something to do.
    fn wait(&self) -> io::Result<Ready> {
        if self.channel.has_message() {
            return Ok(Ready {
                channel: true,
                ..Ready::default()
            });
        }
        let next = [
            self.keys.as_ref().map(Pinger::next),
            self.files.next(),
            self.clients.next(),
        ];
        let next = next.into_iter().flatten().min();
        let limit = next.map(|next| next.saturating_duration_since(Instant::now()) + Duration::from_millis(1));
        let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
        let channel = self.channel.socket();
        let all = [
            Some(channel),
            self.parent.as_ref().map(AsFd::as_fd),
            self.keys.as_ref().map(Pinger::socket),
            self.files.inotify(),
        ];
        let mut sources: Vec<_> = all
            .iter()
            .map(|one| PollFd::from_borrowed_fd(one.unwrap_or(channel), PollFlags::IN))
            .chain(self.clients.sources())
            .collect();
        match poll(&mut sources, limit.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let is_ready = |at: usize| all[at].is_some() && !sources[at].revents().is_empty();
        Ok(Ready {
            channel: is_ready(0),
            parent: is_ready(1),
            keys: is_ready(2),
            files: is_ready(3),
            clients: sources[all.len()..]
                .iter()
                .map(|source| !source.revents().is_empty())
                .collect(),
        })
    }

    fn carry_out_orders(&mut self) -> io::Result<()> {
        loop {
            match self.channel.receive::<WatchOrder>(false) {
                Ok(order) => self.carry_out(order)?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn carry_out(&mut self, order: WatchOrder) -> io::Result<()> {
        match order {
            WatchOrder::Parent(pid) => self.parent = parent::open(pid),
            WatchOrder::Keys => self.keys = Some(Pinger::new(self.channel.descriptor()?.into())?),
            WatchOrder::Bell => self.bell = Some(self.channel.descriptor()?),
            WatchOrder::Files { interval, list } => {
                self.clients.set_catalogue(None);
                self.files
                    .watch(Duration::from_secs(interval.into()), list, Instant::now());
                self.is_calling |= self.files.has_news();
            }
            WatchOrder::Again(files) => {
                self.files.watch_again(files);
                self.is_calling |= self.files.has_news();
            }
            WatchOrder::Report => {
                let (changed, messages) = self.files.report();
                let is_silent = std::mem::take(&mut self.is_silent);
                let report = WatchReport {
                    changed,
                    is_silent,
                    wants_catalogue: self.clients.wants_catalogue(),
                    messages,
                };
                self.channel.send(&report, &[])?;
            }
            WatchOrder::Settled { slot, settled } => self.files.settle(slot, settled),
            WatchOrder::Control { group } => self.clients.listen(self.channel.descriptor()?, group),
            WatchOrder::NoControl => self.clients.end(),
            WatchOrder::Catalogue => self.clients.set_catalogue(Some(self.channel.descriptor()?)),
            WatchOrder::NoCatalogue => self.clients.set_catalogue(None),
        }
        Ok(())
    }
}

/// What there is to do.
#[derive(Default)]
struct Ready {
    channel: bool,
    parent: bool,
    keys: bool,
    files: bool,
    /// The sources of the clients, in their sequence.
    clients: Vec<bool>,
}
