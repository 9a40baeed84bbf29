// SPDX-License-Identifier: Apache-2.0
//! The last failures: a ring of records in shared memory, which all processes write and read without a lock.
//!
//! The number of a record selects its place. A reader takes a record only if its checksum is right, so what another process
//! is writing at that time is left out.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::{Deserialize, Serialize};

use super::hash;

/// The number of records.
pub const RECORDS: usize = 100;

/// The cells of a record: its number, its checksum, the length of the text in bytes, and the text.
const NUMBER: usize = 0;
const CHECKSUM: usize = 1;
const LENGTH: usize = 2;
const TEXT: usize = 3;
const RECORD: usize = 128;

/// The number of bytes that a record has room for.
const ROOM: usize = (RECORD - TEXT) * 8;

/// The number of cells of the ring: the number of all records so far, in a cache line of its own, and the records.
pub(super) const CELLS: usize = super::LINE + RECORDS * RECORD;

/// The longest client, server name, host and reason.
const LIMITS: [usize; 4] = [64, 255, 255, 300];

/// A failed handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentFailure {
    /// The time in seconds since 1970.
    pub time: i64,
    /// The address of the client.
    pub client: String,
    /// The server name that the client has sent.
    pub sni: Option<String>,
    /// The virtual host.
    pub host: String,
    /// The number of its code.
    pub code: u16,
    /// What has happened.
    pub reason: String,
    /// The fingerprint of the ClientHello; none if that is not complete.
    pub ja4: Option<String>,
    /// The alert that was sent or received.
    pub alert: Option<(AlertDirection, u8)>,
}

/// Who has sent an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AlertDirection {
    /// This side.
    Sent,
    /// The client.
    Received,
}

/// Cuts `text` to at most `limit` bytes.
fn cut(text: &mut String, limit: usize) {
    let end = (0..=limit.min(text.len()))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or_default());
}

/// The ring.
#[derive(Clone, Copy, Debug)]
pub struct Recent(&'static [AtomicU64]);

impl Recent {
    pub(super) fn new(cells: &'static [AtomicU64]) -> Self {
        Self(cells)
    }

    fn record(self, number: u64) -> &'static [AtomicU64] {
        &self.0[super::LINE + number as usize % RECORDS * RECORD..][..RECORD]
    }

    /// Adds a failure. Long texts are cut.
    pub fn add(self, mut failure: RecentFailure) {
        let RecentFailure {
            client,
            sni,
            host,
            reason,
            ..
        } = &mut failure;
        let mut none = String::new();
        let texts = [client, sni.as_mut().unwrap_or(&mut none), host, reason];
        for (text, limit) in texts.into_iter().zip(LIMITS) {
            cut(text, limit);
        }
        let Ok(bytes) = postcard::to_stdvec(&failure) else {
            return;
        };
        if bytes.len() > ROOM {
            return;
        }
        // The first one has the number 1: 0 is a record that was never written.
        let number = self.0[0].fetch_add(1, Relaxed) + 1;
        let record = self.record(number);
        record[NUMBER].store(number, Relaxed);
        record[CHECKSUM].store(hash((number, &bytes)), Relaxed);
        record[LENGTH].store(bytes.len() as u64, Relaxed);
        for (cell, chunk) in record[TEXT..].iter().zip(bytes.chunks(8)) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            cell.store(u64::from_ne_bytes(word), Relaxed);
        }
    }

    /// The last failures, the newest first.
    pub fn list(self) -> Vec<RecentFailure> {
        let last = self.0[0].load(Relaxed);
        let numbers = (1..=last).rev().take(RECORDS);
        numbers.filter_map(|number| self.get(number)).collect()
    }

    #[cfg(test)]
    pub(super) fn change_last(self) {
        self.record(self.0[0].load(Relaxed))[TEXT].fetch_add(1, Relaxed);
    }

    fn get(self, number: u64) -> Option<RecentFailure> {
        let record = self.record(number);
        let len = record[LENGTH].load(Relaxed).min(ROOM as u64) as usize;
        let words = record[TEXT..].iter().take(len.div_ceil(8));
        let mut bytes: Vec<u8> = words.flat_map(|word| word.load(Relaxed).to_ne_bytes()).collect();
        bytes.truncate(len);
        let is_whole =
            record[NUMBER].load(Relaxed) == number && record[CHECKSUM].load(Relaxed) == hash((number, &bytes));
        is_whole.then(|| postcard::from_bytes(&bytes).ok()).flatten()
    }
}
