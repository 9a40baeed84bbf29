// SPDX-License-Identifier: Apache-2.0
//! Fast copies of records, independent of their alignment.
//!
//! glibc copies more than about 2 KiB with `rep movsb`. On AMD CPUs since Zen 3 this is twenty times slower if the page
//! offset of the target is less than 64 bytes beyond that of the source (glibc bug 30994). This is frequent for buffers
//! of records, which all start a few bytes into a page. Long copies are therefore split into pieces.

use std::borrow::Cow;
use std::io::{self, IoSlice, Read};

/// The size up to which glibc uses vector instructions on all CPUs.
const PIECE: usize = 2048;

/// Copies as much of `from` as fits to the start of `to`. Returns the number of bytes.
fn copy(from: &[u8], to: &mut [u8]) -> usize {
    for (from, to) in from.chunks(PIECE).zip(to.chunks_mut(PIECE)) {
        let len = from.len().min(to.len());
        to[..len].copy_from_slice(&from[..len]);
    }
    from.len().min(to.len())
}

/// The same data as short pieces, each of which is copied fast.
pub(crate) fn in_pieces<'a>(data: &'a [IoSlice<'a>]) -> Cow<'a, [IoSlice<'a>]> {
    if data.iter().all(|slice| slice.len() <= PIECE) {
        return data.into();
    }
    data.iter()
        .flat_map(|slice| slice.chunks(PIECE).map(IoSlice::new))
        .collect()
}

/// A reader of received data.
#[derive(Debug)]
pub(crate) struct Source<'a>(pub(crate) &'a [u8]);

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = copy(self.0, buffer);
        self.0 = &self.0[read..];
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at % 251) as u8).collect()
    }

    #[test]
    fn copies_are_whole() {
        for (len, room) in [
            (0, 9),
            (9, 0),
            (5000, 9000),
            (9000, 5000),
            (4096, 4096),
            (2049, 2048),
            (2048, 2049),
        ] {
            let from = numbered(len);
            let mut to = vec![255; room];
            let copied = copy(&from, &mut to);
            assert_eq!(copied, len.min(room));
            assert_eq!(to[..copied], from[..copied]);
            assert!(to[copied..].iter().all(|byte| *byte == 255), "{len} {room}");
        }
    }

    #[test]
    fn pieces_are_the_same_data() {
        let (one, two) = (numbered(10_000), numbered(3));
        let data = [IoSlice::new(&one), IoSlice::new(&[]), IoSlice::new(&two)];
        let cut = in_pieces(&data);
        assert!(cut.iter().all(|slice| slice.len() <= PIECE));
        assert_eq!(
            cut.iter().flat_map(|slice| slice.to_vec()).collect::<Vec<_>>(),
            [&one[..], &two].concat()
        );
        assert!(matches!(in_pieces(&data[1..]), Cow::Borrowed(_)));
    }

    #[test]
    fn sources_end() {
        let data = numbered(5000);
        let mut read = Vec::new();
        Source(&data).read_to_end(&mut read).unwrap();
        assert_eq!(read, data);
    }
}
