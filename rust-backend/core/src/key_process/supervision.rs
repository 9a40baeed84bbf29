// SPDX-License-Identifier: Apache-2.0
//! Starts `tls-keyd`, keeps it over reloads, and replaces it when it ends or does not answer.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::door::Door;
use super::parent::{KeyProcess, KeySource, Known, Launch, State};
use super::protocol::{Answer, FileContent, FileOrder, KeyId, KeyInfo, Order, Wanted};
use super::running::{LIMIT, Running};
use super::watching::Call;
use crate::base::diagnostics::Severity;
use crate::base::file_reading;
use crate::base::lock::lock;
use crate::base::pin_values::PinValues;
use crate::base::stamp::hash_of;

/// How long `tls-keyd` may take to answer a ping before it is replaced.
const PING_LIMIT: Duration = Duration::from_secs(3);

/// How long it may take if it has not answered the process that watches it.
const SHORT_LIMIT: Duration = Duration::from_secs(1);

/// It is started anew at most so often in this time.
const MAX_STARTS: usize = 5;
const STARTS_WITHIN: Duration = Duration::from_secs(60);

impl Launch {
    /// Whether a process that was started like this can do what one that is started as `other` says can do.
    fn is_enough_for(&self, other: &Self) -> bool {
        self.program == other.program && self.user == other.user && (self.tokens || !other.tokens)
    }
}

impl KeyProcess {
    /// Has `tls-keyd` run as `launch` says. One that runs like that already goes on. It is watched if `is_final`: httpd, which
    /// reads its configuration twice at startup, becomes another process in between. The error says why there is none.
    pub fn start(&self, launch: &Launch, is_final: bool) -> Result<(), String> {
        self.owner.store(std::process::id(), Relaxed);
        let mut state = lock(&self.state);
        let mut old = match std::mem::take(&mut *state) {
            State::Running(running) => Some(running),
            State::Off | State::Lost(_) => None,
        };
        if let Some(running) = old.as_mut().filter(|running| running.launch.is_enough_for(launch)) {
            if running.is_alive(LIMIT) {
                self.log_messages(running);
                let _ = running.tell(&Order::Parent(std::process::id()));
                if is_final && !running.is_watched {
                    self.have_watched(running);
                }
                *state = old.map_or(State::Off, State::Running);
                return Ok(());
            }
            running.kill();
        }
        let mut running = self.launch(launch, is_final).map_err(|error| {
            format!(
                "{} cannot be started: {error}; `TLSKeyProcess off` leaves the private keys in httpd's processes",
                launch.program.display()
            )
        })?;
        self.log_messages(&mut running);
        *state = State::Running(running);
        if let Some(old) = old {
            let _ = old.tell(&Order::Retire);
        }
        Ok(())
    }

    /// Starts one that reads all keys that are in use.
    fn launch(&self, launch: &Launch, is_watched: bool) -> io::Result<Running> {
        let mut slot = lock(&self.door);
        let door = match &*slot {
            Some(door) => Arc::clone(door),
            None => Arc::clone(slot.insert(Arc::new(Door::new()?))),
        };
        drop(slot);
        let mut running = Running::start(&*self.launcher, launch, &door)?;
        self.read_again(&mut running)?;
        // Not before: requests for keys that are not there yet would be refused.
        running.tell(&Order::Serve)?;
        if is_watched {
            // Not before: the process that reads the configuration first may end when another one goes on.
            running.tell(&Order::Parent(std::process::id()))?;
            self.have_watched(&mut running);
            self.supply_to(&mut running);
        }
        Ok(running)
    }

    /// Lets `tls-keyd` end when no child process uses it any longer: from now on, keys are in httpd's processes.
    pub fn stop(&self) {
        if let State::Running(running) = std::mem::take(&mut *lock(&self.state)) {
            let _ = running.tell(&Order::Retire);
        }
        *lock(&self.door) = None;
        *lock(&self.watcher) = None;
        lock(&self.suppliers).clear();
        lock(&self.stores).clear();
        self.end_control();
        lock(&self.known).clear();
        self.set_pins(&PinValues::default());
    }

    /// Closes, in a child process, the connection by which the parent process gives orders. `threads` of the process serve
    /// connections. Without child processes (`httpd -X`) nothing changes.
    pub fn in_child(&self, threads: usize) {
        if self.owner.load(Relaxed) == std::process::id() {
            return;
        }
        self.set_pins(&PinValues::default());
        // The state is not off, so that this process knows where the keys are.
        let mut state = lock(&self.state);
        if let State::Running(running) = std::mem::take(&mut *state) {
            *state = State::Lost(running.launch);
        }
        *lock(&self.watcher) = None;
        lock(&self.suppliers).clear();
        self.end_control();
        if let Some(door) = self.door() {
            door.in_child(threads);
        }
    }

    /// Looks after `tls-keyd`: the parent process calls this every few seconds, and with `has_ended` when this child of it has
    /// ended.
    pub fn tick(&self, has_ended: Option<u32>) {
        if self.owner.load(Relaxed) != std::process::id() {
            return;
        }
        let call = self.look_at_watcher(has_ended);
        let mut state = lock(&self.state);
        *state = match std::mem::take(&mut *state) {
            State::Running(running) => self.look_at(running, call),
            State::Lost(launch) => self.replace(launch),
            State::Off => State::Off,
        };
        if let State::Running(running) = &mut *state {
            self.look_at_suppliers(running, has_ended);
        }
    }

    /// Looks after a process, about which the one that watches it may have told something.
    fn look_at(&self, mut running: Running, call: Call) -> State {
        let released = self.released.take();
        if !released.is_empty() {
            let gone: HashSet<_> = released.iter().collect();
            lock(&self.known).retain(|(id, _)| !gone.contains(id));
            let _ = running.tell(&Order::Release(released));
        }
        let silent = running.ping();
        let why = match silent {
            Ok(silent) if silent >= PING_LIMIT => Some("does not answer and is killed"),
            Ok(_) if call == Call::Silent && !running.is_alive(SHORT_LIMIT) => Some("does not answer and is killed"),
            Ok(_) => None,
            Err(_) => Some("has ended"),
        };
        self.log_messages(&mut running);
        let Some(why) = why else {
            if call != Call::No {
                self.have_watched(&mut running);
            }
            return State::Running(running);
        };
        running.kill();
        let text = format!("tls-keyd (process {}), which has the private keys, {why}", running.pid);
        self.log_queue.add(Severity::Error, text);
        self.replace(running.launch)
    }

    /// Starts another `tls-keyd`, unless that was done too often of late.
    fn replace(&self, launch: Launch) -> State {
        let mut starts = lock(&self.starts);
        starts.retain(|start| start.elapsed() < STARTS_WITHIN);
        if starts.len() >= MAX_STARTS {
            let text = format!(
                "tls-keyd was started {MAX_STARTS} times within a minute; the next attempt is made later, and until then \
                 handshakes fail that need a private key: look for the cause in the messages above"
            );
            if !self.has_given_up.swap(true, Relaxed) {
                self.log_queue.add(Severity::Error, text);
            }
            return State::Lost(launch);
        }
        self.has_given_up.store(false, Relaxed);
        starts.push_back(Instant::now());
        match self.launch(&launch, true) {
            Ok(mut running) => {
                let text = format!("tls-keyd was started again (process {})", running.pid);
                self.log_queue.add(Severity::Notice, text);
                self.log_messages(&mut running);
                State::Running(running)
            }
            Err(error) => {
                let text = format!("{} cannot be started: {error}", launch.program.display());
                self.log_queue.add(Severity::Error, text);
                State::Lost(launch)
            }
        }
    }

    fn log_messages(&self, running: &mut Running) {
        for (severity, text) in running.messages() {
            self.log_queue.add(severity, text);
        }
    }

    /// Has a new `tls-keyd` read all keys that are in use.
    fn read_again(&self, running: &mut Running) -> io::Result<()> {
        // By their sources: a file may have several keys.
        let mut sources: BTreeMap<KeyId, (Known, Vec<(KeyId, u64)>)> = BTreeMap::new();
        for (id, known) in lock(&self.known).iter() {
            let entry = sources
                .entry(known.first)
                .or_insert_with(|| (known.clone(), Vec::new()));
            entry.1.push((*id, known.public));
        }
        let mut files = Vec::new();
        for (first, (known, keys)) in &sources {
            let KeySource::File(path) = &known.source else { continue };
            match file_reading::open(path) {
                Ok(opened) => {
                    let wanted = if keys.len() == 1 { Wanted::First } else { Wanted::All };
                    let order = FileOrder {
                        path: path.as_os_str().as_bytes().to_vec(),
                        wanted,
                        first_key: *first,
                        purpose: known.purpose,
                    };
                    files.push((order, opened.file));
                }
                Err(error) => self.report(error),
            }
        }
        let mut read = Vec::new();
        running.read(files.into_iter(), |order, content| read.push((order.clone(), content)))?;
        // The pass phrases that are asked for may open other keys too.
        read.sort_by_key(|(order, _)| sources[&order.first_key].0.opener.is_none());
        for (order, content) in read {
            let (known, keys) = &sources[&order.first_key];
            if let Some(found) = self.found_again(running, known, &order, content)? {
                self.check(running, &known.source, keys, &found)?;
            }
        }
        // Keys in files do not wait for tokens, which may be slow.
        for (first, (known, keys)) in &sources {
            self.find_again(running, *first, known, keys)?;
        }
        Ok(())
    }

    /// Has a key looked for again if it is in a token.
    fn find_again(&self, running: &mut Running, first: KeyId, known: &Known, keys: &[(KeyId, u64)]) -> io::Result<()> {
        let (KeySource::Token(uri), Some(opener)) = (&known.source, &known.opener) else {
            return Ok(());
        };
        let uri = lock(&self.pins).complete(uri);
        match running.token(&uri, Some(first), known.purpose, opener)? {
            Ok(Answer::Key(Ok(info))) => self.check(running, &known.source, keys, &[info])?,
            Ok(Answer::Key(Err(why))) | Err(why) => self.report(why),
            Ok(_) => {}
        }
        Ok(())
    }

    /// The keys in a file that was read again. None if the reason why there are none was reported.
    fn found_again(
        &self,
        running: &mut Running,
        known: &Known,
        order: &FileOrder,
        content: Result<FileContent, String>,
    ) -> io::Result<Option<Vec<KeyInfo>>> {
        let content = match content {
            Ok(content) => content,
            Err(why) => {
                self.report(why);
                return Ok(None);
            }
        };
        let (KeySource::File(path), true) = (&known.source, content.is_locked) else {
            return Ok(Some(content.keys.into_iter().flatten().collect()));
        };
        let file = match file_reading::open(path) {
            Ok(opened) => opened.file,
            Err(error) => {
                self.report(error);
                return Ok(None);
            }
        };
        let unlocked = match &known.opener {
            Some(opener) => running.unlock(order, &file, opener)?.map(|info| vec![info]),
            None => Self::unlocked_by_others(running, order, file)?,
        };
        unlocked.map(Some).or_else(|why| {
            self.report(format!(
                "{}: the pass phrase that opened this private key is gone with tls-keyd, and {why}: stop and start httpd",
                path.display()
            ));
            Ok(None)
        })
    }

    /// Has a file with an encrypted key read again, which was never asked for: a pass phrase of another key has opened it. The
    /// outer error is that of the process.
    fn unlocked_by_others(
        running: &mut Running,
        order: &FileOrder,
        file: File,
    ) -> io::Result<Result<Vec<KeyInfo>, String>> {
        let mut outcome = Err("it was not read".to_owned());
        running.read(std::iter::once((order.clone(), file)), |_, content| outcome = content)?;
        Ok(outcome.and_then(|content| match content.is_locked {
            true => Err("that of no other key opens it".to_owned()),
            false => content.keys.into_iter().collect(),
        }))
    }

    /// Has `running` forget keys that are not the ones that were read before: certificates in use do not belong to them.
    fn check(
        &self,
        running: &Running,
        source: &KeySource,
        wanted: &[(KeyId, u64)],
        found: &[KeyInfo],
    ) -> io::Result<()> {
        let is_same = |info: &KeyInfo| wanted.contains(&(info.id, hash_of(&info.public)));
        let others: Vec<_> = found.iter().filter(|info| !is_same(info)).map(|info| info.id).collect();
        let is_whole = wanted
            .iter()
            .all(|(id, _)| found.iter().any(|info| info.id == *id && is_same(info)));
        if !is_whole {
            self.report(format!(
                "{source}: the private key is another one than when httpd was started or reloaded: reload httpd to use it \
                 with its certificate"
            ));
        }
        match others.is_empty() {
            true => Ok(()),
            false => running.tell(&Order::Forget(others)),
        }
    }

    fn report(&self, why: impl std::fmt::Display) {
        let text =
            format!("tls-keyd was started again but lacks a private key, so that handshakes fail that need it: {why}");
        self.log_queue.add(Severity::Error, text);
    }
}

#[cfg(test)]
mod tests;
