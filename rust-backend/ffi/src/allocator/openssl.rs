// SPDX-License-Identifier: Apache-2.0
//! The memory of aws-lc: it calls these functions for its blocks, if a program has them.
//!
//! aws-lc does not say how large a block is that it frees, so the size is written before each one, as it does itself.

use std::alloc::{GlobalAlloc, Layout};
use std::ffi::c_void;
use std::hint::black_box;
use std::ptr;

use super::Undumped;

const PREFIX: usize = size_of::<usize>();

/// The block with the prefix.
fn whole(size: usize) -> Option<Layout> {
    Layout::from_size_align(size.checked_add(PREFIX)?, align_of::<usize>()).ok()
}

/// Has the linker keep the functions: aws-lc's references to them are weak, and weak ones do not count.
pub(super) fn keep() {
    black_box((
        OPENSSL_memory_alloc as unsafe extern "C" fn(usize) -> *mut c_void,
        OPENSSL_memory_free as unsafe extern "C" fn(*mut c_void),
        OPENSSL_memory_get_size as unsafe extern "C" fn(*mut c_void) -> usize,
    ));
}

/// A block of `size` bytes; null if there is no memory.
#[unsafe(no_mangle)]
unsafe extern "C" fn OPENSSL_memory_alloc(size: usize) -> *mut c_void {
    let Some(layout) = whole(size) else {
        return ptr::null_mut();
    };
    // SAFETY: the size is not 0.
    let block = unsafe { Undumped.alloc(layout) };
    if block.is_null() {
        return ptr::null_mut();
    }
    // SAFETY: the block is aligned and large enough for the prefix, and what comes after it is in the block.
    unsafe {
        block.cast::<usize>().write(size);
        block.add(PREFIX).cast()
    }
}

/// Overwrites and frees a block. aws-lc never passes null.
///
/// # Safety
/// `OPENSSL_memory_alloc` returned the block, and nobody uses it any more.
#[unsafe(no_mangle)]
unsafe extern "C" fn OPENSSL_memory_free(block: *mut c_void) {
    // SAFETY: the prefix is before the block, and its size has been checked when the block was allocated.
    unsafe {
        let layout = Layout::from_size_align_unchecked(OPENSSL_memory_get_size(block) + PREFIX, align_of::<usize>());
        Undumped.dealloc(block.cast::<u8>().sub(PREFIX), layout);
    }
}

/// The size of a block.
///
/// # Safety
/// `OPENSSL_memory_alloc` returned the block.
#[unsafe(no_mangle)]
unsafe extern "C" fn OPENSSL_memory_get_size(block: *mut c_void) -> usize {
    // SAFETY: the prefix is before the block.
    unsafe { block.cast::<usize>().sub(1).read() }
}
