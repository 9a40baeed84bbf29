// SPDX-License-Identifier: Apache-2.0
//! Counters of connection events, totalled over all child processes.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident = $label:literal,)*) => {
        /// A counted event.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Counter { $($(#[$doc])* $name,)* }

        /// Every counter with the name that people see, in the order of a slot's cells.
        const COUNTERS: &[(Counter, &str)] = &[$((Counter::$name, $label),)*];
    };
}

counters! {
    /// Full handshakes that succeeded.
    FullHandshakes = "FullHandshakes",
    /// Resumed handshakes that succeeded.
    ResumedHandshakes = "ResumedHandshakes",
    /// All handshakes with a hybrid post-quantum group.
    PostQuantumHandshakes = "PostQuantumHandshakes",
    /// All handshakes that started with early data.
    EarlyDataHandshakes = "EarlyDataHandshakes",
    /// Handshakes that failed for any reason.
    FailedHandshakes = "FailedHandshakes",
    /// Established connections that ended with a TLS error.
    FailedConnections = "FailedConnections",
    /// Plain HTTP requests on a TLS port.
    PlainHttp = "PlainHttp",
    /// Internal errors of mod_tls. Each ended one connection, and none should ever occur.
    InternalErrors = "InternalErrors",
}

/// The number of 64-bit cells in one slot.
pub const SLOT_CELLS: usize = COUNTERS.len();

thread_local! {
    /// The slot of a thread. Without this cache, each event would need a system call.
    static SLOT: usize = std::process::id() as usize;
}

/// Counters in memory that all child processes share. It is divided into slots, so that processes seldom write to the
/// same cache line.
#[derive(Debug, Default)]
pub struct Counters {
    cells: OnceLock<&'static [AtomicU64]>,
}

impl Counters {
    /// Sets the memory of the counters: a multiple of [`SLOT_CELLS`] cells. Before that, nothing is counted.
    pub fn attach(&self, cells: &'static [AtomicU64]) {
        // Only the first memory is used: it outlives every configuration.
        let _ = self.cells.set(cells);
    }

    /// Whether the counters have memory.
    pub fn attached(&self) -> bool {
        self.cells.get().is_some()
    }

    /// Counts an event in the slot of this process. A child process of a thread that has already counted uses the slot
    /// of its parent, which is only slower.
    pub fn count(&self, counter: Counter) {
        let Some(cells) = self.cells.get() else { return };
        let slots = cells.len() / SLOT_CELLS;
        let slot = SLOT.with(|slot| *slot) % slots.max(1);
        if let Some(cell) = cells.get(slot * SLOT_CELLS + counter as usize) {
            cell.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// All counters, by the names that people see.
    pub fn totals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        COUNTERS.iter().map(|(counter, label)| (*label, self.total(*counter)))
    }

    /// The sum over all slots.
    pub fn total(&self, counter: Counter) -> u64 {
        let cells = self.cells.get().copied().unwrap_or_default();
        cells
            .iter()
            .skip(counter as usize)
            .step_by(SLOT_CELLS)
            .map(|cell| cell.load(Ordering::Relaxed))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_over_slots() {
        let counters = Counters::default();
        counters.count(Counter::FullHandshakes);
        assert_eq!(counters.total(Counter::FullHandshakes), 0);
        let cells: &'static [AtomicU64] = Box::leak((0..3 * SLOT_CELLS).map(|_| AtomicU64::new(0)).collect());
        counters.attach(cells);
        counters.count(Counter::InternalErrors);
        counters.count(Counter::InternalErrors);
        cells[SLOT_CELLS + Counter::InternalErrors as usize].fetch_add(5, Ordering::Relaxed);
        assert_eq!(counters.total(Counter::InternalErrors), 7);
        assert_eq!(counters.total(Counter::FullHandshakes), 0);
    }
}
