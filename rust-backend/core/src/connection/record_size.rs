// SPDX-License-Identifier: Apache-2.0
//! The size of the records of a response.
//!
//! A record can be decrypted only when it is complete. On a new or idle connection a large record takes several round
//! trips, because TCP starts slowly (RFC 6928, RFC 2861). The first records therefore fit into one segment each, so
//! that a browser can process them early. Later records are larger, because they cost less.

use std::io::{IoSlice, Write};
use std::time::{Duration, Instant};

/// The plaintext that fits into one TCP segment of 1,500 bytes with all options and the overhead of TLS.
const ONE_SEGMENT: usize = 1_300;

/// The plaintext that fits into three segments. Less than this is sent in one record.
const THREE_SEGMENTS: usize = 4_096;

/// The amount of data that is sent in records of one segment each.
const SMALL_UNTIL: usize = 4 * ONE_SEGMENT;

/// The amount of data after which records have the maximum size: twice TCP's initial window.
const GROWN_AT: usize = 32 * 1024;

/// The idle time after which TCP starts slowly again.
const IDLE: Duration = Duration::from_secs(1);

/// The state of one connection.
#[derive(Debug, Default)]
pub(crate) struct RecordSize {
    /// The amount of data since the last idle time.
    sent: usize,
    last: Option<Instant>,
}

impl RecordSize {
    /// Writes `data`, `total` bytes, as records. `writer` creates one record from each write. Returns the number of
    /// bytes that `writer` has accepted.
    pub(crate) fn write(&mut self, writer: &mut impl Write, data: &[IoSlice<'_>], total: usize) -> usize {
        self.begin(Instant::now());
        let mut size = self.next(total);
        if size == total {
            return writer.write_vectored(data).unwrap_or(0);
        }
        let mut written = 0;
        let mut pieces = data.to_vec();
        let mut rest = pieces.as_mut_slice();
        loop {
            let taken = writer.write_vectored(&first_bytes(rest, size)).unwrap_or(0);
            written += taken;
            if taken < size || written == total {
                return written;
            }
            IoSlice::advance_slices(&mut rest, taken);
            size = self.next(total - written);
        }
    }

    /// Starts to send data at `now`.
    fn begin(&mut self, now: Instant) {
        if self.last.is_none_or(|last| now.duration_since(last) > IDLE) {
            self.sent = 0;
        }
        self.last = Some(now);
    }

    /// The size of the next record if `left` bytes remain.
    fn next(&mut self, left: usize) -> usize {
        let size = match self.sent {
            sent if sent >= GROWN_AT => return left,
            _ if left <= THREE_SEGMENTS => left,
            sent if sent < SMALL_UNTIL => ONE_SEGMENT,
            _ => THREE_SEGMENTS,
        };
        self.sent += size;
        size
    }
}

/// The first `len` bytes of `pieces`.
fn first_bytes<'a>(pieces: &'a [IoSlice<'_>], mut len: usize) -> Vec<IoSlice<'a>> {
    let mut first = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let bytes = &piece[..len.min(piece.len())];
        first.push(IoSlice::new(bytes));
        len -= bytes.len();
        if len == 0 {
            break;
        }
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(pace: &mut RecordSize, mut left: usize, now: Instant) -> Vec<usize> {
        pace.begin(now);
        let mut sizes = Vec::new();
        while left > 0 {
            let size = pace.next(left);
            assert!(size > 0);
            sizes.push(size);
            left -= size;
        }
        sizes
    }

    #[test]
    fn records_grow_and_start_small_again_after_a_pause() {
        let start = Instant::now();
        let mut pace = RecordSize::default();
        assert_eq!(sizes(&mut pace, 4_000, start), [4_000]);
        pace = RecordSize::default();
        let first = sizes(&mut pace, 200_000, start);
        assert!(first.is_sorted(), "{first:?}");
        assert_eq!(first[..4], [ONE_SEGMENT; 4]);
        assert_eq!(first[4], THREE_SEGMENTS);
        assert!(*first.last().unwrap() > 150_000, "{first:?}");
        assert_eq!(sizes(&mut pace, 50_000, start + IDLE / 2), [50_000]);
        assert_eq!(sizes(&mut pace, 50_000, start + IDLE * 2)[0], ONE_SEGMENT);
    }
}
