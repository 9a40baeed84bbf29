// SPDX-License-Identifier: Apache-2.0
//! The range of addresses that all heaps share. The system leaves it out of core dumps.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr;
use std::sync::OnceLock;

use dlmalloc::Allocator;

use super::heaps::HEAPS;

/// The binary logarithms of the largest and the smallest part of the range that a heap gets: 4 GiB, or 32 MiB where addresses
/// are scarce. Addresses cost nothing before they are used, but a limit of the process (RLIMIT_AS) may forbid so many.
const LARGEST: u32 = if usize::BITS == 64 { 32 } else { 25 };
const SMALLEST: u32 = 22;

/// The range.
#[derive(Debug)]
struct Space {
    start: usize,
    /// The binary logarithm of the part of each heap.
    part: u32,
    /// The size of a page.
    page: usize,
    excluded: bool,
}

static SPACE: OnceLock<Option<Space>> = OnceLock::new();

/// None if the process may not have enough addresses: then it has no memory.
fn space() -> Option<&'static Space> {
    SPACE
        .get_or_init(|| (SMALLEST..=LARGEST).rev().find_map(reserve))
        .as_ref()
}

/// Takes a range of addresses without memory.
fn reserve(part: u32) -> Option<Space> {
    let size = HEAPS << part;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping, at an address of the system's choice.
    let start = unsafe { libc::mmap(ptr::null_mut(), size, libc::PROT_NONE, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return None;
    }
    // SAFETY: the mapping is ours, and what is left out of core dumps keeps its content.
    let excluded = unsafe { libc::madvise(start, size, libc::MADV_DONTDUMP) } == 0;
    // SAFETY: it reads a number.
    let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).ok()?;
    let start = start.expose_provenance();
    Some(Space {
        start,
        part,
        page,
        excluded,
    })
}

/// Whether the system leaves the heaps out of core dumps. Linux before 3.4 and some emulations of it do not.
pub(crate) fn is_excluded() -> bool {
    space().is_some_and(|space| space.excluded)
}

/// The number of the heap that a block belongs to.
///
/// `block` was allocated by one of the heaps.
pub(super) fn owner(block: *mut u8) -> usize {
    space().map_or(0, |space| (block.addr() - space.start) >> space.part)
}

/// The pages of a heap: one contiguous piece at the start of its part, which grows and shrinks at its end.
#[derive(Debug)]
pub(super) struct Pages {
    heap: usize,
    /// How many bytes the heap has.
    used: Cell<usize>,
    /// How many bytes can be written to: the most that the heap has ever had.
    writable: Cell<usize>,
}

impl Pages {
    pub(super) const fn of(heap: usize) -> Self {
        Self {
            heap,
            used: Cell::new(0),
            writable: Cell::new(0),
        }
    }

    fn start(&self) -> Option<(*mut u8, usize)> {
        let space = space()?;
        let start = ptr::with_exposed_provenance_mut(space.start + (self.heap << space.part));
        Some((start, 1 << space.part))
    }

    fn grow(&self, size: usize) -> Option<*mut u8> {
        let (start, limit) = self.start()?;
        let used = self.used.get();
        let end = used.checked_add(size).filter(|end| *end <= limit)?;
        let writable = self.writable.get();
        if end > writable {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            // SAFETY: these pages are of this heap's part, and nobody uses them yet.
            if unsafe { libc::mprotect(start.add(writable).cast(), end - writable, access) } != 0 {
                return None;
            }
            self.writable.set(end);
        }
        self.used.set(end);
        // SAFETY: within the part of this heap.
        Some(unsafe { start.add(used) })
    }

    /// Returns pages to the system in which all bytes are zero. They read as zeroes afterwards, too, so it does not matter
    /// whether they are in use.
    ///
    /// # Safety
    /// No other thread writes to blocks of this heap meanwhile.
    pub(super) unsafe fn give_back_zeroes(&self) {
        let Some((start, _)) = self.start() else { return };
        let used = self.used.get();
        let (mut run, page) = (0, self.page_size());
        for offset in (0..=used).step_by(page) {
            // SAFETY: the page is one of the heap's, aligned, and by the caller's promise nobody writes to it.
            if offset < used && unsafe { is_zero(start.add(offset), page) } {
                run += page;
            } else if run > 0 {
                // SAFETY: pages of zeroes of this heap, which stay pages of zeroes.
                unsafe { libc::madvise(start.add(offset - run).cast(), run, libc::MADV_DONTNEED) };
                run = 0;
            }
        }
    }
}

/// Whether memory consists of zeroes.
///
/// # Safety
/// `start` is aligned, and the start of `len` readable bytes that nobody writes to.
unsafe fn is_zero(start: *const u8, len: usize) -> bool {
    let words = start.cast::<u64>();
    // SAFETY: as the caller promises. The memory is initialised: the system's new pages are.
    (0..len / size_of::<u64>()).all(|index| unsafe { words.add(index).read_volatile() } == 0)
}

// SAFETY: each piece of memory is given out once until it is taken back, and has its size, which is a multiple of a page.
unsafe impl Allocator for Pages {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        (self.grow(size).unwrap_or(ptr::null_mut()), size, 0)
    }

    fn remap(&self, _: *mut u8, _: usize, _: usize, _: bool) -> *mut u8 {
        ptr::null_mut()
    }

    fn free_part(&self, start: *mut u8, old: usize, new: usize) -> bool {
        // SAFETY: the allocator gives up the end of its piece.
        let freed = unsafe { libc::madvise(start.add(new).cast::<c_void>(), old - new, libc::MADV_DONTNEED) } == 0;
        if freed {
            self.used.set(self.used.get() - (old - new));
        }
        freed
    }

    fn free(&self, _: *mut u8, _: usize) -> bool {
        false
    }

    fn can_release_part(&self, _: u32) -> bool {
        true
    }

    fn allocates_zeros(&self) -> bool {
        true
    }

    fn page_size(&self) -> usize {
        space().map_or(4096, |space| space.page)
    }
}
