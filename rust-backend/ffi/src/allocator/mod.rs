// SPDX-License-Identifier: Apache-2.0
//! The memory of the Rust half: it is left out of core dumps, and overwritten when it is freed.
//!
//! Session keys, ticket keys and plaintext are in it, also those of aws-lc (`openssl`). A core dump therefore has none of
//! them, and memory that is used again has none of an earlier connection.
//!
//! There are several heaps, each with a lock (`heaps`), in one range of addresses that is excluded from core dumps (`space`).
//! The parent process has a heap of its own: child processes put nothing into the gaps between the parts of a
//! configuration, and so share its pages with the parent. `fork` keeps the heaps usable in processes that other modules fork.

mod fork;
mod heaps;
#[cfg(any(feature = "aws-lc", feature = "fips"))]
mod openssl;
mod space;

use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;
use std::ptr::NonNull;

pub(crate) use heaps::{enter_child, give_back};
pub(crate) use space::is_excluded;

#[global_allocator]
static ALLOCATOR: Undumped = Undumped;

/// Child processes overwrite no larger blocks: those are buffers of rustls, which have data, not keys, and each record would cost
/// more. The parent process overwrites all, so that it can give back memory.
const WIPED: usize = 4 * 1024 - 1;

/// The allocator of all Rust code of the module.
#[derive(Debug)]
struct Undumped;

/// Prepares the heaps for `fork`. Called once, in the parent process, before it has other threads that use the module.
pub(crate) fn begin() {
    fork::register();
    #[cfg(any(feature = "aws-lc", feature = "fips"))]
    openssl::keep();
}

// SAFETY: a block comes from a heap, which gives out no byte twice, in the requested size and alignment; a block stays where
// and as it is until it is freed. Nothing in here panics or allocates.
unsafe impl GlobalAlloc for Undumped {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        heaps::allocate(layout.size(), layout.align())
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller frees a block of this allocator with its layout, and uses it no more.
        unsafe {
            wipe(block, layout.size());
            heaps::free(block);
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let old = layout.size();
        if size <= old {
            // SAFETY: the end of the block is the caller's, who gives it up. A block that shrinks stays where it is.
            return unsafe {
                wipe(block.add(size), old - size);
                heaps::resize(block, size)
            };
        }
        if !is_wiped(old) && layout.align() <= heaps::ALIGN {
            // SAFETY: the block is the caller's, and has no larger alignment than the heap gives.
            let resized = unsafe { heaps::resize(block, size) };
            if !resized.is_null() {
                return resized;
            }
        }
        // Otherwise the heap would move the block without overwriting where it was.
        let larger = heaps::allocate(size, layout.align());
        if !larger.is_null() {
            // SAFETY: both blocks have at least `old` bytes, and the new one is not part of the old one, which the caller gives up.
            unsafe {
                block.copy_to_nonoverlapping(larger, old);
                self.dealloc(block, layout);
            }
        }
        larger
    }
}

/// Whether memory of this size is overwritten when it is given up.
fn is_wiped(len: usize) -> bool {
    len <= WIPED || !heaps::in_child()
}

/// Overwrites memory that is given up with zeroes, if it may have keys.
///
/// # Safety
/// `start` is the start of `len` writable bytes that nobody else uses.
unsafe fn wipe(start: *mut u8, len: usize) {
    if is_wiped(len) {
        // SAFETY: as the caller promises.
        unsafe { start.write_bytes(0, len) };
        // So that the compiler does not leave out writing what is freed next.
        black_box(NonNull::new(start));
    }
}

#[cfg(test)]
mod tests;
