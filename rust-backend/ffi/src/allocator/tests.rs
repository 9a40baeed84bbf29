// SPDX-License-Identifier: Apache-2.0
//! The tests of this crate use the allocator, as the module does.

use std::alloc::{GlobalAlloc, Layout};
use std::fs::{self, File};
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use dlmalloc::Dlmalloc;

use super::heaps::{self, HEAPS};
use super::space::{self, Pages};
use super::{Undumped, WIPED, begin};

/// The bytes at an address, as somebody else sees them.
fn peek(address: usize, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let memory = File::open("/proc/self/mem").unwrap();
    memory.read_exact_at(&mut bytes, address as u64).unwrap();
    bytes
}

/// The flags of the mapping that has this address.
fn flags_at(address: usize) -> String {
    let smaps = fs::read_to_string("/proc/self/smaps").unwrap();
    let mut inside = false;
    for line in smaps.lines() {
        let range = line.split(' ').next().and_then(|word| word.split_once('-'));
        let bounds = range.map(|(from, to)| (usize::from_str_radix(from, 16), usize::from_str_radix(to, 16)));
        if let Some((Ok(from), Ok(to))) = bounds {
            inside = (from..to).contains(&address);
        } else if let Some(flags) = line.strip_prefix("VmFlags:").filter(|_| inside) {
            return flags.to_owned();
        }
    }
    panic!("{address:x} is not mapped");
}

/// The resident part of a range, in pages.
fn resident(start: *mut u8, len: usize, page: usize) -> usize {
    let mut pages = vec![0_u8; len / page];
    // SAFETY: the range is mapped, and there is a byte for each page.
    assert_eq!(unsafe { libc::mincore(start.cast(), len, pages.as_mut_ptr()) }, 0);
    pages.iter().filter(|state| **state & 1 == 1).count()
}

#[test]
fn all_blocks_are_left_out_of_core_dumps() {
    assert!(space::is_excluded());
    for size in [1, 100, 5000, 3 << 20] {
        let block = vec![1_u8; size];
        let flags = flags_at(block.as_ptr().addr());
        assert!(flags.split_whitespace().any(|flag| flag == "dd"), "{size}: {flags}");
    }
}

#[test]
fn freed_memory_is_overwritten() {
    for size in [64, 500, WIPED] {
        let block = vec![0xA7_u8; size];
        let address = block.as_ptr().addr();
        assert_eq!(peek(address, size), block);
        drop(black_box(block));
        let left = peek(address, size);
        assert!(!left.windows(8).any(|bytes| bytes == [0xA7; 8]), "{size}");
    }
}

#[test]
fn blocks_that_grow_or_shrink_leave_nothing_behind() {
    let mut block = vec![0xB9_u8; 3000];
    let first = block.as_ptr().addr();
    block.reserve_exact(4000 - 3000);
    assert_ne!(block.as_ptr().addr(), first);
    assert_eq!(block, [0xB9; 3000]);
    assert!(!peek(first, 3000).windows(8).any(|bytes| bytes == [0xB9; 8]));
    block.resize(4000, 0xB9);
    let end = block.as_ptr().addr() + 1000;
    block.truncate(1000);
    block.shrink_to_fit();
    assert_eq!(block, [0xB9; 1000]);
    assert!(!peek(end, 3000).windows(8).any(|bytes| bytes == [0xB9; 8]));
}

#[test]
fn large_blocks_keep_their_content() {
    heaps::enter_child(4);
    let mut block = Vec::new();
    for round in 0..200_u8 {
        block.resize(block.len() + 5000, round);
        drop(black_box(vec![0xEE_u8; 6000]));
    }
    block.shrink_to(300_000);
    for (round, piece) in (0..200_u8).zip(block.chunks(5000)) {
        assert!(piece.iter().all(|byte| *byte == round));
    }
}

#[test]
fn blocks_have_their_alignment() {
    for align in [1, 8, 16, 64, 4096] {
        let layout = Layout::from_size_align(100, align).unwrap();
        // SAFETY: the size is not 0, and the block is freed once, with its layout, after it has moved.
        unsafe {
            let block = Undumped.alloc(layout);
            assert!(block.has_alignment(align));
            let moved = Undumped.realloc(block, layout, 10_000);
            assert!(moved.has_alignment(align));
            Undumped.dealloc(moved, Layout::from_size_align(10_000, align).unwrap());
        }
    }
}

trait Aligned {
    fn has_alignment(self, align: usize) -> bool;
}

impl Aligned for *mut u8 {
    fn has_alignment(self, align: usize) -> bool {
        !self.is_null() && self.addr().is_multiple_of(align)
    }
}

#[test]
fn threads_share_the_heaps_of_a_child() {
    heaps::enter_child(4);
    thread::scope(|scope| {
        let (sender, receiver) = std::sync::mpsc::channel::<(u8, Vec<u8>)>();
        for number in 0..4_u8 {
            let sender = sender.clone();
            scope.spawn(move || {
                for round in 0..5000_usize {
                    // Some are freed by the thread that made them, some by another one.
                    let block = vec![number; 1 + round * 37 % 9000];
                    drop(vec![0xFF_u8; 1 + round % 200]);
                    sender.send((number, block)).unwrap();
                }
            });
        }
        drop(sender);
        for (number, block) in receiver {
            assert!(block.iter().all(|byte| *byte == number));
            assert!(space::owner(block.as_ptr().cast_mut()) <= 4);
        }
    });
}

#[test]
fn processes_that_are_forked_meanwhile_can_allocate() {
    begin();
    heaps::enter_child(4);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    drop(black_box(vec![1_u8; 700]));
                }
            });
        }
        for _ in 0..200 {
            let ended = fork_and_allocate();
            if ended.is_none() {
                done.store(true, Ordering::Relaxed);
            }
            assert_eq!(ended, Some(0));
        }
        done.store(true, Ordering::Relaxed);
    });
}

/// The status of a new process that uses each heap. None if it does not end.
fn fork_and_allocate() -> Option<i32> {
    // SAFETY: the new process uses nothing but the allocator, and ends without running destructors.
    let process = unsafe { libc::fork() };
    if process == 0 {
        for number in 0..HEAPS - 1 {
            // SAFETY: the block is freed once.
            unsafe {
                let block = heaps::lock(number).malloc(100, 8);
                heaps::free(block);
            }
        }
        // SAFETY: ends the process.
        unsafe { libc::_exit(0) };
    }
    let end = Instant::now() + Duration::from_secs(10);
    let mut status = 0;
    while Instant::now() < end {
        // SAFETY: there is room for the status.
        if unsafe { libc::waitpid(process, &raw mut status, libc::WNOHANG) } == process {
            return Some(status);
        }
        thread::yield_now();
    }
    // SAFETY: it ends the process of above, which is still ours.
    unsafe { libc::kill(process, libc::SIGKILL) };
    None
}

#[test]
fn pages_of_zeroes_go_back_to_the_system() {
    // No other test uses the last heap.
    let mut heap = Dlmalloc::new_with_allocator(Pages::of(HEAPS - 1));
    let (size, count) = (20_000, 100);
    // SAFETY: the blocks are freed once, and no other thread uses this heap.
    unsafe {
        let blocks: Vec<*mut u8> = (0..count).map(|_| heap.malloc(size, 8)).collect();
        for block in &blocks {
            block.write_bytes(0xC3, size);
        }
        let before = resident_of(&blocks, size);
        for block in blocks.iter().skip(1).step_by(2) {
            block.write_bytes(0, size);
            heap.c_free(*block);
        }
        heap.allocator().give_back_zeroes();
        let after = resident_of(&blocks, size);
        assert!(after < before * 7 / 10, "{after} of {before} pages");
        for block in blocks.iter().step_by(2) {
            assert!(
                std::slice::from_raw_parts(*block, size)
                    .iter()
                    .all(|byte| *byte == 0xC3)
            );
        }
        // The heap is still in order.
        for _ in 0..count {
            let block = heap.malloc(size, 8);
            block.write_bytes(0x11, size);
        }
        for block in blocks.iter().step_by(2) {
            assert!(
                std::slice::from_raw_parts(*block, size)
                    .iter()
                    .all(|byte| *byte == 0xC3)
            );
        }
    }
}

fn resident_of(blocks: &[*mut u8], size: usize) -> usize {
    let page = dlmalloc::Allocator::page_size(&Pages::of(0));
    let first = blocks[0].map_addr(|address| address.next_multiple_of(page));
    let last = blocks[blocks.len() - 1].addr() + size;
    resident(first, (last - first.addr()) / page * page, page)
}
