// SPDX-License-Identifier: Apache-2.0
//! The numbers of whatever is read again when its files change: by them processes tell each other which of it has.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU32};

/// The number of what is not read again.
pub const NONE: u32 = 0;

static LAST: AtomicU32 = AtomicU32::new(NONE);
static IS_CHILD: AtomicBool = AtomicBool::new(false);

/// A number that was not given to anything else. In a child process there is none: the parent process might give it to something
/// else.
pub fn next() -> u32 {
    match IS_CHILD.load(Relaxed) {
        true => NONE,
        false => LAST.fetch_add(1, Relaxed) + 1,
    }
}

/// Whether this process is a child of the one that gives numbers.
pub fn set_child(is_child: bool) {
    IS_CHILD.store(is_child, Relaxed);
}
