// SPDX-License-Identifier: Apache-2.0
//! Tracks record boundaries (RFC 8446 section 5.1), so that reads never ask for more data than is certain to arrive.

const HEADER: usize = 5;

/// What is missing of a record that others are likely to follow at once.
const LARGE: usize = 4096;

/// The position in a stream of records.
#[derive(Debug, Default)]
pub(crate) struct Framing {
    /// The received part of the current record's header.
    header: [u8; HEADER],
    arrived: usize,
    /// The number of bytes of the record's payload that are missing.
    left: usize,
}

impl Framing {
    /// Advances by `data`.
    pub(crate) fn advance(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            if self.arrived < HEADER {
                let taken = data.len().min(HEADER - self.arrived);
                self.header[self.arrived..][..taken].copy_from_slice(&data[..taken]);
                self.arrived += taken;
                data = &data[taken..];
                if self.arrived == HEADER {
                    self.left = usize::from(u16::from_be_bytes([self.header[3], self.header[4]]));
                }
            }
            let taken = data.len().min(self.left);
            self.left -= taken;
            data = &data[taken..];
            if self.arrived == HEADER && self.left == 0 {
                self.arrived = 0;
            }
        }
    }

    /// Whether the next `len` bytes are within the payload of a record, and do not complete it. Nothing can be done with them alone.
    pub(crate) fn is_part(&self, len: usize) -> bool {
        self.arrived == HEADER && len < self.left
    }

    /// The number of bytes that complete the current record, or the header of the next one.
    ///
    /// While large records arrive, the header of the next one is wanted too. rustls' buffer is then never empty, and it
    /// keeps its size: otherwise it would shrink after each record and grow four times for the next, which is a copy of all
    /// that has arrived and zeroes for what has not.
    pub(crate) fn wanted(&self) -> usize {
        match self.arrived {
            HEADER if self.left > LARGE => self.left + HEADER,
            HEADER => self.left,
            arrived => HEADER - arrived,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn follows_records() {
        let mut framing = Framing::default();
        assert_eq!(framing.wanted(), 5);
        framing.advance(&[22, 3, 1]);
        assert_eq!(framing.wanted(), 2);
        framing.advance(&[1, 0]);
        assert_eq!(framing.wanted(), 256);
        framing.advance(&[0; 250]);
        assert_eq!(framing.wanted(), 6);
        // The end of a record, an empty record, and the start of the next.
        framing.advance(&[&[0; 6][..], &[23, 3, 3, 0, 0], &[23, 3]].concat());
        assert_eq!(framing.wanted(), 3);
        framing.advance(&[3, 0x40, 0]);
        assert_eq!(framing.wanted(), 0x4000 + 5);
        assert!(framing.is_part(0x3fff) && !framing.is_part(0x4000));
        framing.advance(&[0; 0x3000]);
        assert_eq!(framing.wanted(), 0x1000);
        framing.advance(&[0; 0x1000]);
        assert!(!framing.is_part(1));
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(data in proptest::collection::vec(any::<u8>(), 0..400), size in 1_usize..50) {
            let (mut whole, mut pieces) = (Framing::default(), Framing::default());
            whole.advance(&data);
            data.chunks(size).for_each(|piece| pieces.advance(piece));
            prop_assert_eq!(whole.wanted(), pieces.wanted());
            prop_assert!(whole.wanted() > 0);
        }
    }
}
