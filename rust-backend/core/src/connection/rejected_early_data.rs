// SPDX-License-Identifier: Apache-2.0
//! Early data that a server does not accept: it ignores the records until the handshake continues (RFC 8446 section
//! 4.2.10).
//!
//! rustls can ignore records itself, but keeps them in its buffer, which holds one record, and counts them each time it
//! is called.

use crate::crypto::protection::Protection;
use crate::session::resumption::MAX_EARLY_DATA;

const HEADER: usize = 5;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

/// The difference between the size of a record's payload and its plaintext: content type and tag.
const OVERHEAD: usize = 1 + 16;

/// How the first record after the early data is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// After a HelloRetryRequest, the second ClientHello follows, unencrypted.
    ClientHello,
    /// After a ServerHello, a record follows that is encrypted with the client's handshake keys.
    Encrypted,
}

/// Removes ignored records from the client's data.
#[derive(Debug)]
pub(crate) struct Skipper {
    end: End,
    /// The received part of the current record.
    record: Vec<u8>,
    /// The number of bytes of plaintext that may still be ignored.
    left: usize,
}

/// The result of [`Skipper::take`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Ignored records, or an incomplete record.
    Nothing,
    /// A record that belongs to the handshake, but does not end the early data.
    Other(Vec<u8>),
    /// The record that ends the early data, or exceeds the limit. All following data is passed to rustls.
    Last(Vec<u8>),
}

impl Skipper {
    pub(crate) fn new(end: End) -> Self {
        Self {
            end,
            record: Vec::new(),
            left: MAX_EARLY_DATA as usize,
        }
    }

    /// Consumes bytes up to the end of a record that is not ignored. Returns their number, and that record.
    pub(crate) fn take(&mut self, data: &[u8], protection: &Protection) -> (usize, Found) {
        let mut rest = data;
        while !rest.is_empty() {
            if !self.complete(HEADER, &mut rest) {
                break;
            }
            let length = usize::from(u16::from_be_bytes([self.record[3], self.record[4]]));
            if !self.complete(HEADER + length, &mut rest) {
                break;
            }
            let record = std::mem::take(&mut self.record);
            let found = self.judge(record, protection);
            if found != Found::Nothing {
                return (data.len() - rest.len(), found);
            }
        }
        (data.len(), Found::Nothing)
    }

    /// Moves bytes to the record until it has `length`. False if there are not enough.
    fn complete(&mut self, length: usize, rest: &mut &[u8]) -> bool {
        let missing = length.saturating_sub(self.record.len()).min(rest.len());
        let (taken, others) = rest.split_at(missing);
        self.record.extend_from_slice(taken);
        *rest = others;
        self.record.len() >= length
    }

    fn judge(&mut self, record: Vec<u8>, protection: &Protection) -> Found {
        let payload = &record[HEADER..];
        let ends = match self.end {
            End::ClientHello => record[0] == HANDSHAKE,
            End::Encrypted => record[0] == APPLICATION_DATA && protection.opens_first(payload),
        };
        if ends {
            return Found::Last(record);
        }
        if record[0] != APPLICATION_DATA {
            return Found::Other(record);
        }
        match self.left.checked_sub(payload.len().saturating_sub(OVERHEAD).max(1)) {
            Some(left) => {
                self.left = left;
                Found::Nothing
            }
            None => Found::Last(record),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, length: usize) -> Vec<u8> {
        let [high, low] = (length as u16).to_be_bytes();
        [&[kind, 3, 3, high, low][..], &vec![0; length]].concat()
    }

    /// All results of `skipper` for `data`, which is passed in pieces of `size`.
    fn found(skipper: &mut Skipper, data: &[u8], size: usize) -> Vec<Found> {
        let protection = Protection::default();
        let mut all = Vec::new();
        for mut piece in data.chunks(size) {
            while !piece.is_empty() {
                let (taken, found) = skipper.take(piece, &protection);
                piece = &piece[taken..];
                all.extend((found != Found::Nothing).then_some(found));
            }
        }
        all
    }

    #[test]
    fn records_are_ignored_until_the_second_hello() {
        let data = [
            record(23, 100),
            record(20, 1),
            record(23, 0),
            record(23, 16_401),
            record(22, 50),
        ]
        .concat();
        for size in [1, 3, 7, 1000, data.len()] {
            let found = found(&mut Skipper::new(End::ClientHello), &data, size);
            assert_eq!(
                found,
                [Found::Other(record(20, 1)), Found::Last(record(22, 50))],
                "{size}"
            );
        }
    }

    #[test]
    fn what_follows_is_not_taken() {
        let data = [record(22, 50), record(23, 10)].concat();
        let (taken, _) = Skipper::new(End::ClientHello).take(&data, &Protection::default());
        assert_eq!(taken, 55);
    }

    #[test]
    fn there_is_a_limit() {
        let most = MAX_EARLY_DATA as usize / 16_384;
        let mut skipper = Skipper::new(End::Encrypted);
        for _ in 0..most {
            assert_eq!(found(&mut skipper, &record(23, 16_401), 20_000), []);
        }
        assert_eq!(
            found(&mut skipper, &record(23, 1), 20_000),
            [Found::Last(record(23, 1))]
        );
    }
}
