// SPDX-License-Identifier: Apache-2.0
//! What a connection sends: records of rustls, and alerts of this module behind them.
//!
//! The bytes are not copied. The caller gets pieces of memory, and says when they were sent. Whatever happens meanwhile, the
//! pieces stay: a connection that has failed keeps what rustls has allocated for it.

use std::io::{self, IoSlice, Write};

use rustls::ProtocolVersion;

use super::outcome::session_id_in;
use super::{Connection, State, copying};
use crate::base::panic_points;
use crate::crypto::protection::observe;

/// The most pieces that are given out at once. rustls shows up to 64 records.
const MOST_PIECES: usize = 32;

/// What is given out and not yet sent.
#[derive(Debug, Default)]
pub(super) struct Lent {
    /// Bytes of rustls.
    bytes: usize,
    /// Records of this module.
    pub(super) alerts: usize,
}

impl Connection {
    /// Encrypts `data`. The pieces share records. True if all data was accepted; false if the connection has ended.
    pub fn write(&mut self, data: &[IoSlice<'_>]) -> bool {
        panic_points::point("write", self.hello.sni.as_deref());
        let State::Live(live) = &mut self.state else {
            return false;
        };
        if self.closing || self.info.is_none() {
            return false;
        }
        let total: usize = data.iter().map(|piece| piece.len()).sum();
        let data = copying::in_pieces(data);
        let (is_backend, record_size) = (self.backend.is_some(), &mut self.record_size);
        let written = observe(&mut self.protection, || match is_backend {
            true => live.writer().write_vectored(&data).unwrap_or(0),
            false => record_size.write(&mut live.writer(), &data, total),
        });
        written == total
    }

    /// Whether the peer needs the pending output before it can continue. This is the Finished of the side that sends
    /// the last one: the client in TLS 1.3, the server in a full handshake of TLS 1.2. The pending output of a TLS 1.3
    /// server consists of tickets.
    pub fn is_awaited(&self) -> bool {
        match &self.state {
            State::Live(live) if live.wants_write() => {
                self.backend.is_some() || live.protocol_version() == Some(ProtocolVersion::TLSv1_2)
            }
            _ => false,
        }
    }

    /// Calls `visit` with the next pieces of the output, at most `room` of them. They stay in place until [`Self::sent`]; until then,
    /// another call returns those behind them. There is no more output if it finds less than `room` or 32 pieces.
    pub fn output(&mut self, room: usize, visit: &mut dyn FnMut(&[u8])) {
        let mut left = room.min(MOST_PIECES);
        if let State::Live(live) | State::Ending(live) = &mut self.state {
            let mut is_first = self.info.is_none() && self.session_id.is_empty();
            let (version, session_id) = (live.protocol_version(), &mut self.session_id);
            let mut lender = Lender {
                skipped: self.lent.bytes,
                room: left,
                lent: 0,
                visit: &mut |piece| {
                    if std::mem::take(&mut is_first) {
                        *session_id = session_id_in(version, piece);
                    }
                    visit(piece);
                },
            };
            // It takes nothing, and does not fail.
            let _ = live.write_tls(&mut lender);
            left = lender.room;
            self.lent.bytes += lender.lent;
        }
        for alert in self.alerts.iter().skip(self.lent.alerts).take(left) {
            visit(alert);
            self.lent.alerts += 1;
        }
    }

    /// Drops the output that [`Self::output`] has returned: it was sent, or never will be.
    pub fn sent(&mut self) {
        let lent = std::mem::take(&mut self.lent);
        self.alerts.drain(..lent.alerts);
        let mut taker = Taker(lent.bytes);
        if let State::Live(live) | State::Ending(live) = &mut self.state {
            while taker.0 > 0 && matches!(live.write_tls(&mut taker), Ok(1..)) {}
        }
    }

    /// Ends the use of rustls, if it was used: nothing more is received or sent. Its memory stays, of which the caller may hold
    /// pieces.
    pub(super) fn retire(&mut self) {
        if let State::Live(live) | State::Ending(live) = std::mem::replace(&mut self.state, State::Failed) {
            self.retired = Some(live);
        }
    }
}

/// Visits records without taking them.
struct Lender<'a> {
    /// How many bytes were visited before.
    skipped: usize,
    /// How many pieces may be visited.
    room: usize,
    /// How many bytes are visited.
    lent: usize,
    visit: &'a mut dyn FnMut(&[u8]),
}

impl Write for Lender<'_> {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let skipped = self.skipped.min(record.len());
        self.skipped -= skipped;
        let piece = &record[skipped..];
        if !piece.is_empty() && self.room > 0 {
            (self.visit)(piece);
            self.room -= 1;
            self.lent += piece.len();
        }
        Ok(0)
    }

    fn write_vectored(&mut self, records: &[IoSlice<'_>]) -> io::Result<usize> {
        records
            .iter()
            .try_fold(0, |none, record| self.write(record).map(|_| none))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes this number of bytes, and drops them.
struct Taker(usize);

impl Write for Taker {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let taken = record.len().min(self.0);
        self.0 -= taken;
        Ok(taken)
    }

    fn write_vectored(&mut self, records: &[IoSlice<'_>]) -> io::Result<usize> {
        records
            .iter()
            .try_fold(0, |taken, record| Ok(taken + self.write(record)?))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> [Vec<u8>; 4] {
        [vec![1; 5], vec![2; 1], vec![], vec![3; 7]]
    }

    fn lend(skipped: usize, room: usize) -> (Vec<Vec<u8>>, usize) {
        let mut seen = Vec::new();
        let queue = queue();
        let records: Vec<_> = queue.iter().map(|record| IoSlice::new(record)).collect();
        let mut lender = Lender {
            skipped,
            room,
            lent: 0,
            visit: &mut |piece| seen.push(piece.to_vec()),
        };
        assert_eq!(lender.write_vectored(&records).unwrap(), 0);
        let lent = lender.lent;
        (seen, lent)
    }

    #[test]
    fn what_was_lent_is_not_lent_again() {
        assert_eq!(lend(0, 9), (vec![vec![1; 5], vec![2; 1], vec![3; 7]], 13));
        assert_eq!(lend(0, 2), (vec![vec![1; 5], vec![2; 1]], 6));
        assert_eq!(lend(6, 2), (vec![vec![3; 7]], 7));
        assert_eq!(lend(13, 2), (vec![], 0));
        assert_eq!(lend(5, 0), (vec![], 0));
    }

    #[test]
    fn only_what_was_lent_is_taken() {
        let queue = queue();
        let records: Vec<_> = queue.iter().map(|record| IoSlice::new(record)).collect();
        for lent in 0..=13 {
            let mut taker = Taker(lent);
            assert_eq!((taker.write_vectored(&records).unwrap(), taker.0), (lent, 0));
        }
    }
}
