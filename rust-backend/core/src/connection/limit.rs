// SPDX-License-Identifier: Apache-2.0
//! The limit of a handshake's time while the MPM waits for the client.
//!
//! mod_reqtimeout enforces `RequestReadTimeout handshake=` when a connection is read. While the MPM waits for a client that
//! stalls, no connection is read. So the socket is shut for reading when the time is over: the MPM wakes the connection,
//! mod_reqtimeout sees that it is late, and the connection ends the usual way.

use std::io;
use std::time::{Duration, Instant};

use crate::config::Config;
use crate::process::watch::WatchId;

/// mod_reqtimeout has to find that the time is over, not nearly over.
const SLACK: Duration = Duration::from_millis(50);

/// The time of one handshake.
#[derive(Debug)]
pub struct HandshakeLimit {
    started: Instant,
    /// How many bytes have arrived.
    received: u64,
    watched: Option<WatchId>,
}

impl HandshakeLimit {
    /// That of a handshake which begins now.
    pub fn begin() -> Self {
        Self {
            started: Instant::now(),
            received: 0,
            watched: None,
        }
    }

    /// Counts bytes that have arrived.
    pub fn count(&mut self, bytes: usize) {
        self.received += bytes as u64;
    }

    /// Has `shut` run when the time of a handshake with `server` is over, if that is limited. An error says why that cannot
    /// be done.
    pub fn watch(&mut self, config: &Config, server: usize, shut: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let limit = config.handshake_timeout(server);
        let deadline = limit.map(|limit| self.started + Duration::from_millis(limit.after(self.received)) + SLACK);
        if deadline != self.watched.map(|(deadline, _)| deadline) {
            self.unwatch(config);
            self.watched = match deadline {
                Some(deadline) => Some(config.watch().add(deadline, shut)?),
                None => None,
            };
        }
        Ok(())
    }

    /// Ends that. What `shut` uses may be freed afterwards.
    pub fn unwatch(&mut self, config: &Config) {
        if let Some(id) = self.watched.take() {
            config.watch().remove(id);
        }
    }
}
