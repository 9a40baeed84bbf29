// SPDX-License-Identifier: Apache-2.0
//! The heaps, and which of them a block comes from.

use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use dlmalloc::Dlmalloc;

use super::space::{Pages, owner};

/// The heap of the parent process, and those of its child processes.
pub(super) const HEAPS: usize = 1 + OF_CHILDREN;
const OF_CHILDREN: usize = 16;

/// The alignment of all blocks.
pub(super) const ALIGN: usize = 2 * size_of::<usize>();

/// A heap. It shares no cache line with the next one.
#[repr(align(128))]
struct Heap(Mutex<Dlmalloc<Pages>>);

pub(super) type Locked = MutexGuard<'static, Dlmalloc<Pages>>;

const fn heap(number: usize) -> Heap {
    Heap(Mutex::new(Dlmalloc::new_with_allocator(Pages::of(number))))
}

#[rustfmt::skip]
static ALL: [Heap; HEAPS] = [
    heap(0), heap(1), heap(2), heap(3), heap(4), heap(5), heap(6), heap(7), heap(8), heap(9), heap(10), heap(11), heap(12),
    heap(13), heap(14), heap(15), heap(16),
];

/// How many heaps this child process uses; 0 in the parent process.
static IN_CHILD: AtomicUsize = AtomicUsize::new(0);

/// From now on, blocks come from the heaps of a child process, of which `threads` serve connections.
pub(crate) fn enter_child(threads: usize) {
    IN_CHILD.store(threads.clamp(1, OF_CHILDREN), Ordering::Relaxed);
}

/// Whether this is a child process.
pub(super) fn in_child() -> bool {
    IN_CHILD.load(Ordering::Relaxed) > 0
}

/// The heap to try first: that of the CPU, so that threads which run at the same time do not wait for each other.
fn first_choice() -> usize {
    match IN_CHILD.load(Ordering::Relaxed) {
        0 => 0,
        1 => 1,
        // SAFETY: it reads a number.
        count => 1 + usize::try_from(unsafe { libc::sched_getcpu() }).unwrap_or(0) % count,
    }
}

/// Waits for the heap. Its lock is never poisoned: nothing panics that holds it.
pub(super) fn lock(number: usize) -> Locked {
    ALL[number].0.lock().unwrap_or_else(PoisonError::into_inner)
}

fn try_lock(number: usize) -> Option<Locked> {
    match ALL[number].0.try_lock() {
        Ok(heap) => Some(heap),
        Err(TryLockError::Poisoned(heap)) => Some(heap.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// The size to ask a heap for. Buffers whose size is a multiple of a page would lie side by side with nearly the same offset in
/// their pages. CPUs of AMD copy between such ones very slowly (`rep movsb`).
fn padded(size: usize) -> usize {
    const LARGE: usize = 4096;
    const DISTANCE: usize = 128;
    if size < LARGE {
        size
    } else {
        size.saturating_add(DISTANCE)
    }
}

/// A new block; null if there is no memory.
pub(super) fn allocate(size: usize, align: usize) -> *mut u8 {
    let size = padded(size);
    let first = first_choice();
    if let Some(mut heap) = try_lock(first) {
        // SAFETY: sizes and alignments of a `Layout` are valid.
        let block = unsafe { heap.malloc(size, align) };
        if !block.is_null() {
            return block;
        }
    }
    allocate_elsewhere(first, size, align)
}

/// The first heap is busy or full.
#[cold]
fn allocate_elsewhere(first: usize, size: usize, align: usize) -> *mut u8 {
    let count = IN_CHILD.load(Ordering::Relaxed);
    let free = (1..=count).filter(|number| *number != first).find_map(try_lock);
    let any = free.into_iter().chain(std::iter::once_with(|| lock(first)));
    // Others have room if one is full.
    let rest = (0..HEAPS).map(lock);
    any.chain(rest)
        // SAFETY: sizes and alignments of a `Layout` are valid.
        .map(|mut heap| unsafe { heap.malloc(size, align) })
        .find(|block| !block.is_null())
        .unwrap_or(ptr::null_mut())
}

/// Frees a block.
///
/// # Safety
/// The block comes from `allocate`, and nobody uses it any more.
pub(super) unsafe fn free(block: *mut u8) {
    // SAFETY: the block belongs to this heap.
    unsafe { lock(owner(block)).c_free(block) }
}

/// Changes the size of a block, in its place if it becomes smaller, otherwise if possible. Null if the heap is full: then the
/// block is as it was.
///
/// # Safety
/// The block comes from `allocate`, and its alignment is at most `ALIGN` if it becomes larger.
pub(super) unsafe fn resize(block: *mut u8, size: usize) -> *mut u8 {
    // SAFETY: the block belongs to this heap.
    unsafe { lock(owner(block)).c_realloc(block, padded(size)) }
}

/// Returns memory to the system that the compilation of a configuration has freed. Does nothing but in the parent process,
/// where one thread uses the module.
pub(crate) fn give_back() {
    if !in_child() {
        let mut heap = lock(0);
        // SAFETY: only this thread uses the heap of the parent process.
        unsafe {
            heap.trim(0);
            heap.allocator().give_back_zeroes();
        }
    }
}
