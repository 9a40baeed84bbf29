// SPDX-License-Identifier: Apache-2.0
//! What clients needed on single days (UTC). A slot has a record for each of the last days; the first handshake of a new day
//! clears the oldest one.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{NEEDS_CELLS, Needs};

/// Which day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Day {
    /// The day that has begun.
    Today,
    /// The day before.
    Yesterday,
}

/// Today, yesterday, and a day that may be cleared while yesterday is read.
const DAYS: usize = 3;

/// The cells of a record: the number of the day, the number of handshakes, and the needs.
const DAY: usize = 0;
const HANDSHAKES: usize = 1;
const NEEDS: usize = 2;
const RECORD: usize = NEEDS + NEEDS_CELLS;

/// The number of cells of all records.
pub(super) const CELLS: usize = DAYS * RECORD;

fn day_of(now: i64) -> u64 {
    const SECONDS: i64 = 24 * 60 * 60;
    u64::try_from(now / SECONDS).unwrap_or(0)
}

fn record(cells: &[AtomicU64], day: u64) -> &[AtomicU64] {
    &cells[day as usize % DAYS * RECORD..][..RECORD]
}

/// Counts a handshake. `cells` begins with the records of a slot.
pub(super) fn count(cells: &[AtomicU64], needs: Needs, now: i64) {
    let day = day_of(now);
    let record = record(cells, day);
    let found = record[DAY].load(Relaxed);
    // Threads that share the slot may lose a few counts at midnight.
    if found != day && record[DAY].compare_exchange(found, day, Relaxed, Relaxed).is_ok() {
        record[HANDSHAKES..].iter().for_each(|cell| cell.store(0, Relaxed));
    }
    record[HANDSHAKES].fetch_add(1, Relaxed);
    needs.cells().for_each(|cell| {
        record[NEEDS + cell].fetch_add(1, Relaxed);
    });
}

/// The number of handshakes on a day and the needs, over the records of all slots.
pub(super) fn sum<'a>(slots: impl Iterator<Item = &'a [AtomicU64]>, day: Day, now: i64) -> (u64, Vec<u64>) {
    let day = match day {
        Day::Today => day_of(now),
        Day::Yesterday => day_of(now).saturating_sub(1),
    };
    let (mut handshakes, mut needs) = (0, vec![0; NEEDS_CELLS]);
    for record in slots.map(|cells| record(cells, day)) {
        if record[DAY].load(Relaxed) != day {
            continue;
        }
        handshakes += record[HANDSHAKES].load(Relaxed);
        for (sum, cell) in needs.iter_mut().zip(&record[NEEDS..]) {
            *sum += cell.load(Relaxed);
        }
    }
    (handshakes, needs)
}
