// SPDX-License-Identifier: Apache-2.0
//! Processes that are forked while other threads allocate: mod_cgi forks in a child process with many threads.
//!
//! The new process has only the thread that forked. A heap that another thread had locked would stay locked in it for ever,
//! perhaps half changed. So whoever forks waits for all heaps first.

use std::cell::UnsafeCell;
use std::sync::Once;

use super::heaps::{HEAPS, Locked, lock};

/// The locks of the thread that forks.
struct Held([UnsafeCell<Option<Locked>>; HEAPS]);

// SAFETY: a thread uses an element only while it holds the lock of the heap with this number.
unsafe impl Sync for Held {}

static HELD: Held = Held([const { UnsafeCell::new(None) }; HEAPS]);

/// Has all heaps locked during `fork`.
pub(super) fn register() {
    static ONCE: Once = Once::new();
    // SAFETY: the functions stay loaded: the module is linked with `nodelete`. If it fails for lack of memory, only programs
    // that another module starts at a bad moment are affected.
    ONCE.call_once(|| unsafe {
        libc::pthread_atfork(Some(lock_all), Some(unlock_all), Some(unlock_all));
    });
}

extern "C" fn lock_all() {
    for (number, held) in HELD.0.iter().enumerate() {
        let locked = lock(number);
        // SAFETY: this thread holds the lock of this number.
        unsafe { *held.get() = Some(locked) };
    }
}

extern "C" fn unlock_all() {
    for held in &HELD.0 {
        // SAFETY: this thread, or in the new process its copy, holds the lock of this number until the end of the block.
        let locked = unsafe { (*held.get()).take() };
        drop(locked);
    }
}
