// SPDX-License-Identifier: Apache-2.0
//! Deadlines of connections that the MPM waits for: a thread of the child process acts when one is over.
//!
//! The MPM's own timers do not suffice: event polls past them while it has connections with later timeouts.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

/// What is done when a deadline is over. It runs while the lock is held, so it must not block.
type Action = Box<dyn FnOnce() + Send>;

/// Identifies a deadline: earlier ones come first.
pub type WatchId = (Instant, u64);

/// The deadlines of a process. The thread is started with the first one, which has to be set after the process has forked.
///
/// ```
/// use std::sync::mpsc::channel;
/// use std::time::{Duration, Instant};
///
/// let watch = mod_tls_core::process::watch::Watch::default();
/// let (sender, receiver) = channel();
/// let kept = watch.add(Instant::now() + Duration::from_secs(600), || ()).unwrap();
/// watch.add(Instant::now(), move || sender.send("over").unwrap()).unwrap();
/// assert_eq!(receiver.recv(), Ok("over"));
/// assert!(watch.remove(kept));
/// watch.stop();
/// ```
#[derive(Default)]
pub struct Watch {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    actions: BTreeMap<WatchId, Action>,
    last: u64,
    thread: Option<JoinHandle<()>>,
    is_stopping: bool,
}

impl Watch {
    /// Sets a deadline: `action` runs once it is over, unless it is removed before. An error says why no thread could be
    /// started.
    pub fn add(&self, deadline: Instant, action: impl FnOnce() + Send + 'static) -> io::Result<WatchId> {
        let mut state = self.shared.lock();
        if state.thread.is_none() && !state.is_stopping {
            let shared = Arc::clone(&self.shared);
            let thread = thread::Builder::new().name("tls-watch".to_owned());
            state.thread = Some(thread.spawn(move || shared.run())?);
        }
        state.last += 1;
        let id = (deadline, state.last);
        let is_first = state.actions.first_key_value().is_none_or(|(first, _)| id < *first);
        state.actions.insert(id, Box::new(action));
        if is_first {
            self.shared.changed.notify_one();
        }
        Ok(id)
    }

    /// Removes a deadline. Once this has returned, its action does not run any more. Whether it was still set.
    pub fn remove(&self, id: WatchId) -> bool {
        self.shared.lock().actions.remove(&id).is_some()
    }

    /// Ends the thread, and waits until it has ended. What is over later is ignored.
    pub fn stop(&self) {
        let thread = {
            let mut state = self.shared.lock();
            state.is_stopping = true;
            state.actions.clear();
            state.thread.take()
        };
        self.shared.changed.notify_one();
        if let Some(thread) = thread {
            // A thread that has panicked has ended, too.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut state = self.lock();
        while !state.is_stopping {
            let now = Instant::now();
            while let Some(entry) = state.actions.first_entry().filter(|entry| entry.key().0 <= now) {
                entry.remove()();
            }
            let next = state
                .actions
                .first_key_value()
                .map(|((deadline, _), _)| *deadline - now);
            state = match next {
                Some(left) => {
                    let waited = self.changed.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    #[test]
    fn actions_run_in_order_and_not_after_removal() {
        let watch = Watch::default();
        let (sender, receiver) = channel();
        let send = |text: &'static str| {
            let sender = sender.clone();
            move || sender.send(text).unwrap()
        };
        let now = Instant::now();
        let removed = watch.add(now + Duration::from_millis(30), send("removed")).unwrap();
        watch.add(now + Duration::from_millis(60), send("second")).unwrap();
        watch.add(now + Duration::from_millis(40), send("first")).unwrap();
        assert!(watch.remove(removed) && !watch.remove(removed));
        assert_eq!(receiver.recv(), Ok("first"));
        assert_eq!(receiver.recv(), Ok("second"));
        assert!(receiver.try_recv().is_err());
    }

    #[test]
    fn nothing_runs_after_the_end() {
        let watch = Watch::default();
        watch.stop();
        watch.add(Instant::now(), || panic!("it has ended")).unwrap();
        watch.stop();
        assert!(watch.shared.lock().thread.is_none());
    }
}
