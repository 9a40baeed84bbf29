// SPDX-License-Identifier: Apache-2.0
//! A count of the threads that are in a module, so that the module can be restarted while none is.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::lock;

#[derive(Debug, Default)]
pub(super) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    inside: usize,
    is_closed: bool,
    epoch: u64,
}

/// A thread's stay behind the gate.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    gate: &'a Gate,
    /// How often the gate was closed before. This does not change while the thread is inside.
    pub(super) epoch: u64,
}

impl Gate {
    /// Enters, after waiting while the gate is closed. A thread must not enter twice.
    pub(super) fn enter(&self) -> Entry<'_> {
        let open = |state: &mut State| state.is_closed;
        let mut state = self
            .changed
            .wait_while(lock(&self.state), open)
            .unwrap_or_else(PoisonError::into_inner);
        state.inside += 1;
        Entry {
            gate: self,
            epoch: state.epoch,
        }
    }

    /// Runs `work` while no thread is inside, and begins the next epoch. Does nothing and returns false if they do not
    /// leave within `patience`.
    pub(super) fn closed(&self, patience: Duration, work: impl FnOnce()) -> bool {
        let busy = |state: &mut State| state.inside > 0;
        let mut state = lock(&self.state);
        if state.is_closed {
            return false;
        }
        state.is_closed = true;
        let (mut state, timeout) = self
            .changed
            .wait_timeout_while(state, patience, busy)
            .unwrap_or_else(PoisonError::into_inner);
        let is_empty = !timeout.timed_out();
        if is_empty {
            work();
            state.epoch += 1;
        }
        state.is_closed = false;
        drop(state);
        self.changed.notify_all();
        is_empty
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        lock(&self.gate.state).inside -= 1;
        self.gate.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn closes_when_all_have_left() {
        let gate = Gate::default();
        let entry = gate.enter();
        assert!(!gate.closed(Duration::ZERO, || panic!("a thread is inside")));
        thread::scope(|scope| {
            let closing = scope.spawn(|| gate.closed(Duration::from_secs(60), || ()));
            drop(entry);
            assert!(closing.join().unwrap());
        });
        assert_eq!(gate.enter().epoch, 1);
    }
}
