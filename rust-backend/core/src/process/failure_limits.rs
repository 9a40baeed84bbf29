// SPDX-License-Identifier: Apache-2.0
//! How many failures with the same code are logged one by one: a flood of broken connections must not fill the disk.

use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crate::base::log_codes::{Code, TABLE};

/// The cells of a code: the beginning of its minute in seconds since 1970, the lines in it, and those that were left out.
const CELLS: usize = 3;
const BEGIN: usize = 0;
const LINES: usize = 1;
const LEFT_OUT: usize = 2;

/// The number of 64-bit cells.
pub const LIMIT_CELLS: usize = TABLE.len() * CELLS;

const MINUTE: u64 = 60;

/// The lines of the current minute, for all child processes together.
#[derive(Debug, Default)]
pub struct FailureLimits {
    cells: OnceLock<&'static [AtomicU64]>,
}

impl FailureLimits {
    /// Sets the memory: [`LIMIT_CELLS`] cells. Before that, nothing is limited.
    pub fn attach(&self, cells: &'static [AtomicU64]) {
        // Only the first memory is used: it outlives every configuration.
        let _ = self.cells.set(cells);
    }

    fn of(&self, index: usize) -> Option<&'static [AtomicU64; CELLS]> {
        let cells = self.cells.get()?;
        cells.get(index * CELLS..)?.first_chunk()
    }

    /// Whether a failure at `now` (seconds since 1970) may be logged, if at most `limit` with this code may be in a minute.
    /// If not, it is counted.
    pub fn admit(&self, code: Code, now: u64, limit: u64) -> bool {
        let Some(cells) = self.of(code.index()) else {
            return true;
        };
        let begin = cells[BEGIN].load(Relaxed);
        let is_over = now.abs_diff(begin) >= MINUTE;
        if is_over && cells[BEGIN].compare_exchange(begin, now, Relaxed, Relaxed).is_ok() {
            cells[LINES].store(0, Relaxed);
        }
        let is_admitted = cells[LINES].fetch_add(1, Relaxed) < limit;
        if !is_admitted {
            cells[LEFT_OUT].fetch_add(1, Relaxed);
        }
        is_admitted
    }

    /// The next code, from place `place` of the table on, with failures that were not logged since the last call, and their
    /// number. `place` is set to the place behind it.
    pub fn next_left_out(&self, place: &mut usize) -> Option<(Code, u64)> {
        while let Some(entry) = TABLE.get(*place) {
            let count = self.of(*place)?[LEFT_OUT].swap(0, Relaxed);
            *place += 1;
            if count > 0 {
                return Some((entry.code, count));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> FailureLimits {
        let limits = FailureLimits::default();
        limits.attach(Box::leak((0..LIMIT_CELLS).map(|_| AtomicU64::new(0)).collect()));
        limits
    }

    fn left_out(limits: &FailureLimits) -> Vec<(Code, u64)> {
        let mut place = 0;
        std::iter::from_fn(|| limits.next_left_out(&mut place)).collect()
    }

    #[test]
    fn a_flood() {
        let limits = limits();
        let admitted = (0..10_000).filter(|_| limits.admit(Code::NotTls, 1000, 50)).count();
        assert_eq!(admitted, 50);
        assert!(
            limits.admit(Code::Malformed, 1000, 50),
            "another code has its own limit"
        );
        assert_eq!(left_out(&limits), [(Code::NotTls, 9950)]);
        assert_eq!(left_out(&limits), []);
        assert!(!limits.admit(Code::NotTls, 1059, 50));
        assert!(limits.admit(Code::NotTls, 1060, 50), "a new minute");
        assert_eq!(left_out(&limits), [(Code::NotTls, 1)]);
    }

    #[test]
    fn without_memory_nothing_is_limited() {
        assert!((0..100).all(|_| FailureLimits::default().admit(Code::NotTls, 1, 1)));
        assert_eq!(left_out(&FailureLimits::default()), []);
    }

    #[test]
    fn a_clock_that_was_set_back() {
        let limits = limits();
        assert!(limits.admit(Code::NotTls, 10_000, 1) && !limits.admit(Code::NotTls, 10_000, 1));
        assert!(limits.admit(Code::NotTls, 500, 1));
    }
}
