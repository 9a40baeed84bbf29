// SPDX-License-Identifier: Apache-2.0
//! Counters of single hosts: a hash table in shared memory, whose key is the hash of the name of a host. It survives reloads.
//! Hosts with the same name share an entry.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::Serialize;

use super::hash;

/// The cells of an entry, a cache line: the hash of the name, the counts, and the times of the staple.
const ENTRY: usize = super::LINE;
const COUNTS: usize = 1;
const STAPLE: usize = 4;

/// The number of entries. Pages of memory that no entry uses cost nothing.
const ENTRIES: usize = 32_768;

/// How many entries are tried for a host. A host that finds none is not counted.
const TRIES: usize = 64;

/// The number of cells of the table.
pub(super) const CELLS: usize = ENTRY * ENTRIES;

/// The counters of a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SiteCounts {
    /// Full handshakes that succeeded.
    pub full: u64,
    /// Resumed handshakes that succeeded.
    pub resumed: u64,
    /// Handshakes that failed after the host was selected.
    pub failed: u64,
}

impl SiteCounts {
    /// A failure.
    pub(super) const FAILURE: Self = Self {
        full: 0,
        resumed: 0,
        failed: 1,
    };

    /// A successful handshake.
    pub(super) fn of_handshake(resumed: bool) -> Self {
        Self {
            full: (!resumed).into(),
            resumed: resumed.into(),
            failed: 0,
        }
    }
}

/// What identifies a host: the hash of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiteKey(u64);

impl SiteKey {
    /// The key of the host with this name.
    pub fn of(name: &str) -> Self {
        // 0 is the key of entries that are not used.
        Self(hash(name).max(1))
    }
}

/// The table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sites(&'static [AtomicU64]);

impl Sites {
    pub(super) fn new(cells: &'static [AtomicU64]) -> Self {
        Self(cells)
    }

    /// The entry of a host; a new one if `adds`.
    fn entry(self, SiteKey(key): SiteKey, adds: bool) -> Option<&'static [AtomicU64]> {
        for step in 0..TRIES {
            let at = (key as usize).wrapping_add(step) % ENTRIES;
            let entry = self.0.get(at * ENTRY..)?.get(..ENTRY)?;
            let found = match entry[0].load(Relaxed) {
                0 if !adds => return None,
                0 => match entry[0].compare_exchange(0, key, Relaxed, Relaxed) {
                    Ok(_) => key,
                    Err(other) => other,
                },
                found => found,
            };
            if found == key {
                return Some(entry);
            }
        }
        None
    }

    pub(super) fn count(self, site: SiteKey, counts: SiteCounts) {
        let Some(entry) = self.entry(site, true) else { return };
        for (cell, count) in entry[COUNTS..].iter().zip([counts.full, counts.resumed, counts.failed]) {
            if count > 0 {
                cell.fetch_add(count, Relaxed);
            }
        }
    }

    pub(super) fn get(self, site: SiteKey) -> SiteCounts {
        let Some([_, full, resumed, failed, ..]) = self.entry(site, false) else {
            return SiteCounts::default();
        };
        SiteCounts {
            full: full.load(Relaxed),
            resumed: resumed.load(Relaxed),
            failed: failed.load(Relaxed),
        }
    }

    /// Sets the thisUpdate and nextUpdate times of the OCSP response that a host staples.
    pub(super) fn set_staple(self, site: SiteKey, times: Option<(i64, i64)>) {
        let Some(entry) = self.entry(site, true) else { return };
        let (this, next) = times.unwrap_or_default();
        for (cell, time) in entry[STAPLE..].iter().zip([this, next]) {
            cell.store(u64::try_from(time).unwrap_or(0), Relaxed);
        }
    }

    /// Those times; none if it staples nothing.
    pub(super) fn staple(self, site: SiteKey) -> Option<(i64, i64)> {
        let entry = self.entry(site, false)?;
        let time = |at: usize| i64::try_from(entry[STAPLE + at].load(Relaxed)).ok();
        Some((time(0)?, time(1)?)).filter(|times| *times != (0, 0))
    }
}
