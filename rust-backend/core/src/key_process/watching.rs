// SPDX-License-Identifier: Apache-2.0
//! httpd's parent process has `tls-keyd` and files watched.

use std::io;
use std::sync::atomic::Ordering::Relaxed;

use super::parent::{KeyProcess, State};
use super::protocol::KeyId;
use super::running::Running;
use super::watch_orders::{Settled, WatchedFiles};
use super::watcher::Watcher;
use crate::base::diagnostics::Severity;
use crate::base::lock::lock;

/// What the process that watches has told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// Nothing.
    No,
    /// Something, or it has ended: `tls-keyd` is to be watched anew.
    Anything,
    /// `tls-keyd` has not answered for a while.
    Silent,
}

impl KeyProcess {
    /// Has `running` watched, by a new process if the one that watches has ended.
    pub(super) fn have_watched(&self, running: &mut Running) {
        if let Err(error) = self.try_to_have_watched(running) {
            // Another attempt follows.
            *lock(&self.watcher) = None;
            let text = format!(
                "tls-keyd is not watched, so that its end and renewed certificates are noticed only after some seconds: {error}"
            );
            self.log_queue.add(Severity::Warning, text);
        }
    }

    fn try_to_have_watched(&self, running: &mut Running) -> io::Result<()> {
        let mut slot = lock(&self.watcher);
        let watcher = match &mut *slot {
            Some(watcher) => watcher,
            None => {
                self.wants_files.store(true, Relaxed);
                slot.insert(Watcher::start(&*self.launcher, &running.launch)?)
            }
        };
        // Anew, because it may have given up a process that has not answered for a while.
        running.have_watched(watcher)?;
        if watcher.bell == 0 {
            watcher.hang_bell(&*self.launcher, &running.launch)?;
        }
        Ok(())
    }

    /// Takes the report of the process that watches. `has_ended` is a child process that has ended.
    pub(super) fn look_at_watcher(&self, has_ended: Option<u32>) -> Call {
        let mut slot = lock(&self.watcher);
        let Some(watcher) = &mut *slot else {
            return Call::Anything;
        };
        let is_called = has_ended == Some(watcher.bell) && watcher.bell != 0;
        if is_called {
            watcher.bell = 0;
        }
        let has_watcher_ended = has_ended == Some(watcher.pid) && watcher.pid != 0;
        match watcher.report() {
            Ok(report) if !has_watcher_ended => {
                lock(&self.changed).extend(report.changed);
                self.wants_catalogue.fetch_or(report.wants_catalogue, Relaxed);
                for (severity, text) in report.messages {
                    self.log_queue.add(severity, text);
                }
                match (report.is_silent, is_called) {
                    (true, _) => Call::Silent,
                    (false, true) => Call::Anything,
                    (false, false) => Call::No,
                }
            }
            // Its end is noticed if that is the cause.
            _ => {
                *slot = None;
                Call::Anything
            }
        }
    }

    /// The number of files that have changed, as long as there is a `tls-keyd` that can read them.
    pub fn next_changed(&self) -> Option<u32> {
        let is_running = matches!(*lock(&self.state), State::Running(_));
        is_running.then(|| lock(&self.changed).pop())?
    }

    /// These files are to be read again when `tls-keyd` was replaced, if it has failed just now.
    pub fn read_later(&self, slot: u32) {
        if matches!(*lock(&self.state), State::Lost(_)) {
            lock(&self.changed).push(slot);
        }
    }

    /// Whether the process that watches was started anew, so that it has to be told the files.
    pub fn wants_files(&self) -> bool {
        self.wants_files.load(Relaxed)
    }

    /// Has these files watched in place of those of before. Every `interval` seconds those are looked at that the kernel does
    /// not watch.
    pub fn watch_files(&self, interval: u32, list: Vec<WatchedFiles>) {
        // The process asks for another one if it needs it.
        *lock(&self.catalogue) = None;
        self.wants_catalogue.store(false, Relaxed);
        if let Some(watcher) = &*lock(&self.watcher) {
            // If it has ended, another one is started, which wants to be told.
            let control = lock(&self.control);
            let told = watcher
                .watch_files(interval, list)
                .and_then(|()| watcher.serve_tool(control.as_ref()));
            self.wants_files.store(told.is_err(), Relaxed);
        }
    }

    /// Has these files watched in place of those with the same number.
    pub fn watch_again(&self, files: WatchedFiles) {
        if let Some(watcher) = &*lock(&self.watcher) {
            // If it has ended, another one is told all files.
            let _ = watcher.watch_again(files);
        }
    }

    /// Tells the process that watches what became of the files of an identity, unless they are to be read again.
    pub fn settle(&self, slot: u32, settled: Settled) {
        let is_lost = matches!(*lock(&self.state), State::Lost(_));
        if let Some(watcher) = &*lock(&self.watcher)
            && !is_lost
        {
            // If it has ended, another one is told with the files.
            let _ = watcher.settle(slot, settled);
        }
    }

    /// A key is no longer used by the configuration, though child processes may use it: a new `tls-keyd` does not need it.
    pub fn is_replaced(&self, id: KeyId) {
        let mut known = lock(&self.known);
        // The others are not moved: child processes share their memory.
        if let Some(at) = known.iter().position(|(known, _)| *known == id) {
            known.swap_remove(at);
        }
    }
}
