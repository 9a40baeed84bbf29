// SPDX-License-Identifier: Apache-2.0
//! Counters of connection events, totalled over all child processes, in memory that these share.
//!
//! The memory is divided into slots with one cell for each thing that is counted ([`families`], `days`). A thread adds to
//! the cells of its slot, so threads seldom write to the same cache line; reading adds the slots up. Behind the slots are
//! the counters of hosts (`sites`) and the last failures ([`recent`]).

mod days;
pub mod families;
pub mod recent;
mod sites;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

pub use self::days::Day;
pub use self::sites::{SiteCounts, SiteKey};

use self::families::{DURATION_LIMITS, DURATIONS, Family, GROUPS, SCHEMES, SUITES, VERSIONS};
use self::recent::Recent;
use self::sites::Sites;

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
    /// Handshakes with backends that succeeded.
    BackendHandshakes = "BackendHandshakes",
    /// Handshakes with backends that failed, and connections to them that ended with a TLS error.
    FailedBackends = "FailedBackends",
    /// Handshakes with a stapled OCSP response whose nextUpdate time is over.
    StaleStaples = "StaleStaples",
    /// Sessions that were stored in the session cache.
    SessionsStored = "SessionsStored",
    /// Sessions that the session cache has not stored.
    SessionsNotStored = "SessionsNotStored",
    /// Sessions that were asked for, and were in the session cache.
    SessionsFound = "SessionsFound",
    /// Sessions that were asked for, and were not in the session cache, or no longer.
    SessionsNotFound = "SessionsNotFound",
    /// Handshakes with a certificate of a store that was in the cache.
    StoreHits = "StoreHits",
    /// Certificates that were read from a store.
    StoreLoads = "StoreLoads",
    /// Names for which a store has nothing.
    StoreAbsent = "StoreAbsent",
    /// Certificates of a store that cannot be used.
    StoreFailures = "StoreFailures",
    /// Certificates of clients that are not revoked, by OCSP.
    ClientsGood = "ClientsGood",
    /// Those that are revoked.
    ClientsRevoked = "ClientsRevoked",
    /// Those that their responder does not know.
    ClientsUnknown = "ClientsUnknown",
    /// Those about which there was no answer that can be used, or none in time.
    ClientsWithoutAnswer = "ClientsWithoutAnswer",
    /// Those about which nobody could be asked.
    ClientsWithoutResponder = "ClientsWithoutResponder",
    /// Those about which a responder was asked, because the answer was not known.
    ClientsAsked = "ClientsAsked",
}

/// How many of them mod_status shows.
const SHOWN_BY_MOD_STATUS: usize = Counter::InternalErrors as usize + 1;

/// What only works because something is allowed: a client for which something else would have been refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Whether the client offers nothing newer than TLS 1.2.
    pub tls12: bool,
    /// Whether the client accepts no certificates but those with RSA keys.
    pub rsa: bool,
    /// The only cipher suite that the client and the host have in common.
    pub suite: Option<u16>,
    /// The only group that they have in common.
    pub group: Option<u16>,
}

impl Needs {
    /// The cells that count it, relative to the first one.
    fn cells(self) -> impl Iterator<Item = usize> {
        [
            self.tls12.then_some(0),
            self.rsa.then_some(1),
            self.suite.map(|suite| 2 + SUITES.position(suite)),
            self.group.map(|group| 2 + SUITES.len() + GROUPS.position(group)),
        ]
        .into_iter()
        .flatten()
    }

    /// The kind and the name of each cell, in their order.
    pub fn labels() -> impl Iterator<Item = (&'static str, &'static str)> {
        let suites = SUITES.names().map(|name| ("cipher_suite", name));
        let groups = GROUPS.names().map(|name| ("group", name));
        [("version", "TLSv1.2"), ("certificate", "RSA")]
            .into_iter()
            .chain(suites)
            .chain(groups)
    }
}

/// The number of cells for [`Needs`].
const NEEDS_CELLS: usize = 2 + SUITES.len() + GROUPS.len();

/// The facts of a handshake that are counted.
#[derive(Clone, Copy, Debug)]
pub struct Handshake {
    /// The host.
    pub site: SiteKey,
    /// The protocol version.
    pub version: u16,
    /// The cipher suite.
    pub suite: u16,
    /// The key exchange group; none in a TLS 1.2 resumption.
    pub group: Option<u16>,
    /// The scheme of the server's signature; none if a session was resumed.
    pub scheme: Option<u16>,
    /// Whether a session was resumed.
    pub resumed: bool,
    /// What is to be known about the client's certificate: a number of [`families::CLIENTS`].
    pub client: u16,
    /// Whether the client would have been refused under other settings.
    pub needs: Needs,
    /// The time from the first byte until data could be transferred.
    pub time: Duration,
}

/// The cells of a slot: events, families, the sum of durations in microseconds, needs, and the needs of some days.
const DURATION_SUM: usize = families::END;
const NEEDS: usize = DURATION_SUM + 1;
const DAYS: usize = NEEDS + NEEDS_CELLS;

/// A cache line has this many cells. Slots begin at different lines.
const LINE: usize = 8;

/// The number of cells of a slot.
const SLOT_CELLS: usize = (DAYS + days::CELLS).next_multiple_of(LINE);

/// The number of slots. More threads than this share them.
const SLOTS: usize = 64;

/// The number of 64-bit cells that the counters need.
pub const CELLS: usize = LINE + SLOTS * SLOT_CELLS + sites::CELLS + recent::CELLS;

thread_local! {
    /// The slot of this thread.
    static SLOT: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The parts of the memory.
#[derive(Clone, Copy, Debug)]
struct Memory {
    /// How many threads have a slot.
    threads: &'static AtomicU64,
    slots: &'static [AtomicU64],
    sites: Sites,
    recent: Recent,
}

/// A hash that is the same in all processes.
fn hash(value: impl Hash) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(value)
}

/// The counters.
#[derive(Debug, Default)]
pub struct Counters {
    memory: OnceLock<Memory>,
}

/// Counters without memory.
static NONE: Counters = Counters {
    memory: OnceLock::new(),
};

impl Counters {
    /// Counters that never count.
    pub fn none() -> &'static Self {
        &NONE
    }

    /// Sets the memory of the counters: [`CELLS`] cells. Before that, and with fewer, nothing is counted.
    pub fn attach(&self, cells: &'static [AtomicU64]) {
        let split = || {
            let (threads, rest) = cells.split_at_checked(LINE)?;
            let (slots, rest) = rest.split_at_checked(SLOTS * SLOT_CELLS)?;
            let (sites, recent) = rest.split_at_checked(sites::CELLS)?;
            Some(Memory {
                threads: threads.first()?,
                slots,
                sites: Sites::new(sites),
                recent: Recent::new(recent.get(..recent::CELLS)?),
            })
        };
        if let Some(memory) = split() {
            // Only the first memory is used: it outlives every configuration.
            let _ = self.memory.set(memory);
        }
    }

    /// Whether the counters have memory.
    pub fn attached(&self) -> bool {
        self.memory.get().is_some()
    }

    /// The cells of this thread's slot.
    fn slot(memory: &Memory) -> &'static [AtomicU64] {
        let slot = SLOT.get().unwrap_or_else(|| {
            let slot = memory.threads.fetch_add(1, Relaxed) as usize % SLOTS;
            SLOT.set(Some(slot));
            slot
        });
        &memory.slots[slot * SLOT_CELLS..][..SLOT_CELLS]
    }

    /// Counts an event.
    pub fn count(&self, counter: Counter) {
        if let Some(memory) = self.memory.get() {
            Self::slot(memory)[counter as usize].fetch_add(1, Relaxed);
        }
    }

    /// Counts an event with a property, which has the number `value` in `family`.
    pub fn count_in(&self, family: &Family, value: u16) {
        if let Some(memory) = self.memory.get() {
            Self::slot(memory)[family.cell(value)].fetch_add(1, Relaxed);
        }
    }

    /// Counts a successful handshake at `now`, in seconds since 1970.
    pub fn count_handshake(&self, handshake: &Handshake, now: i64) {
        let Some(memory) = self.memory.get() else { return };
        let slot = Self::slot(memory);
        let add = |cell: usize| slot[cell].fetch_add(1, Relaxed);
        add(match handshake.resumed {
            true => Counter::ResumedHandshakes,
            false => Counter::FullHandshakes,
        } as usize);
        add(VERSIONS.cell(handshake.version));
        add(SUITES.cell(handshake.suite));
        add(GROUPS.cell(handshake.group.unwrap_or(families::NONE)));
        if let Some(scheme) = handshake.scheme {
            add(SCHEMES.cell(scheme));
        }
        add(families::CLIENTS.cell(handshake.client));
        let micros = u64::try_from(handshake.time.as_micros()).unwrap_or(u64::MAX);
        let bucket = DURATION_LIMITS.partition_point(|limit| *limit < micros);
        add(DURATIONS + bucket);
        slot[DURATION_SUM].fetch_add(micros, Relaxed);
        handshake.needs.cells().for_each(|cell| {
            add(NEEDS + cell);
        });
        days::count(&slot[DAYS..], handshake.needs, now);
        memory
            .sites
            .count(handshake.site, SiteCounts::of_handshake(handshake.resumed));
    }

    /// Counts a failed handshake with the host `site`.
    pub fn count_failure_of(&self, site: SiteKey) {
        if let Some(memory) = self.memory.get() {
            memory.sites.count(site, SiteCounts::FAILURE);
        }
    }

    /// The counters that mod_status shows, by the names that people see.
    pub fn totals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let shown = COUNTERS.iter().take(SHOWN_BY_MOD_STATUS);
        shown.map(|(counter, label)| (*label, self.total(*counter)))
    }

    /// The sum over all slots.
    pub fn total(&self, counter: Counter) -> u64 {
        self.sum(counter as usize)
    }

    fn sum(&self, cell: usize) -> u64 {
        let slots = self.memory.get().map(|memory| memory.slots).unwrap_or_default();
        let cells = slots.iter().skip(cell).step_by(SLOT_CELLS);
        cells.map(|cell| cell.load(Relaxed)).sum()
    }

    /// The names in `family` and their counts.
    pub fn of_family(&self, family: &'static Family) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = family.cells().map(|cell| self.sum(cell));
        family.names().zip(counts)
    }

    /// How many handshakes took at most each of [`DURATION_LIMITS`], and not longer than the limit before; then those that took
    /// longer than all. And the sum of all durations in microseconds.
    pub fn durations(&self) -> (Vec<u64>, u64) {
        let counts = (0..=DURATION_LIMITS.len()).map(|bucket| self.sum(DURATIONS + bucket));
        (counts.collect(), self.sum(DURATION_SUM))
    }

    /// How many handshakes there were in all, and how often each of [`Needs::labels`] was needed.
    pub fn needs(&self) -> (u64, Vec<u64>) {
        let handshakes = self.total(Counter::FullHandshakes) + self.total(Counter::ResumedHandshakes);
        (
            handshakes,
            (0..NEEDS_CELLS).map(|cell| self.sum(NEEDS + cell)).collect(),
        )
    }

    /// The same for one day.
    pub fn needs_of(&self, day: Day, now: i64) -> (u64, Vec<u64>) {
        let slots = self.memory.get().map(|memory| memory.slots).unwrap_or_default();
        days::sum(slots.chunks_exact(SLOT_CELLS).map(|slot| &slot[DAYS..]), day, now)
    }

    /// What was counted for the host `site`.
    pub fn of_site(&self, site: SiteKey) -> SiteCounts {
        let memory = self.memory.get();
        memory.map(|memory| memory.sites.get(site)).unwrap_or_default()
    }

    /// Notes that a host staples an OCSP response with these thisUpdate and nextUpdate times, or none.
    pub fn set_staple(&self, site: SiteKey, times: Option<(i64, i64)>) {
        if let Some(memory) = self.memory.get() {
            memory.sites.set_staple(site, times);
        }
    }

    /// The times of the OCSP response that a host has stapled last.
    pub fn staple_of(&self, site: SiteKey) -> Option<(i64, i64)> {
        self.memory.get()?.sites.staple(site)
    }

    /// The last failures, if there is memory for them.
    pub fn recent(&self) -> Option<Recent> {
        self.memory.get().map(|memory| memory.recent)
    }
}
