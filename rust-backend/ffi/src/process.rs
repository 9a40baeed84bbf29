// SPDX-License-Identifier: Apache-2.0
//! The state of the httpd process.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use mod_tls_core::base::diagnostics::Severity;
use mod_tls_core::info::connection_info::INTERFACE;
use mod_tls_core::process::counters::CELLS;

use crate::allocator;
use crate::guard::{Status, guard, install_panic_hook};
use crate::launcher::ForkAndExec;
use crate::types::{OwnedText, Slice};

/// The state that outlives a configuration.
#[derive(Debug)]
pub struct Process(pub(crate) Arc<mod_tls_core::process::Process>);

const DUMPED: &str = "the system does not leave memory out of core dumps (MADV_DONTDUMP): a core dump of httpd has session keys \
                      and ticket keys in it, so set the limit of its size to 0 (ulimit -c 0; LimitCORE=0 for systemd)";

/// A counter in memory that child processes share, which is never unmapped. None if the system has none.
fn shared_counter() -> Option<&'static AtomicU64> {
    let size = size_of::<AtomicU64>();
    // SAFETY: a new mapping, which touches no other memory.
    let memory = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            size,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    // SAFETY: the mapping has room for it, begins at a page, is zero, which is valid, and lives as long as the process.
    (memory != libc::MAP_FAILED).then(|| unsafe { &*memory.cast::<AtomicU64>() })
}

/// Makes the state of the process. Called once, in the parent; it is never freed.
///
/// # Safety
/// `out` is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_process_new(out: *mut *mut Process) -> Status {
    guard(|| {
        // SAFETY: the caller promises that a pointer that is not null is valid.
        let out = unsafe { out.as_mut() }?;
        install_panic_hook();
        allocator::begin();
        let process = mod_tls_core::process::Process::with_launcher(Arc::new(ForkAndExec), shared_counter());
        if !allocator::is_excluded() {
            process.log_queue.add(Severity::Warning, DUMPED);
        }
        *out = Box::into_raw(Box::new(Process(Arc::new(process))));
        Some(Status::Ok)
    })
}

/// Drops what only the parent process needs: pass phrases, and the connection by which `tls-keyd` gets orders. Called in each
/// child process when it starts; `threads` of it serve connections.
///
/// # Safety
/// The pointer is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_process_in_child(process: *const Process, threads: usize) -> Status {
    guard(|| {
        // SAFETY: the caller promises that a pointer that is not null is valid.
        let process = unsafe { process.as_ref() }?;
        allocator::enter_child(threads);
        process.0.in_child(threads);
        Some(Status::Ok)
    })
}

/// Returns memory to the system that the compilation of a configuration has freed. The parent process calls it afterwards.
#[unsafe(no_mangle)]
pub extern "C" fn tls_process_give_back_memory() {
    allocator::give_back();
}

/// Stops the module's threads in this child process. Called when the child process ends.
///
/// # Safety
/// The pointer is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_process_end_child(process: *const Process) -> Status {
    guard(|| {
        // SAFETY: the caller promises that a pointer that is not null is valid.
        unsafe { process.as_ref()? }.0.watch.stop();
        Some(Status::Ok)
    })
}

/// Removes what the process has made outside of its memory. The parent process calls it when it ends; nothing happens in others.
///
/// # Safety
/// The pointer is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_process_end(process: *const Process) -> Status {
    guard(|| {
        // SAFETY: the caller promises that a pointer that is not null is valid.
        unsafe { process.as_ref()? }.0.end();
        Some(Status::Ok)
    })
}

/// The module's name and version: `mod_tls/1.2.3`. Valid until the process ends.
#[unsafe(no_mangle)]
pub extern "C" fn tls_version() -> Slice {
    Slice::of(INTERFACE.as_bytes())
}

/// Looks after `tls-keyd`: the parent process calls it when `has_ended`, a child of it, has ended. That may be the one by which
/// it is called because `tls-keyd` has ended, or because certificates were renewed (`tls_config_renew`). What there is to say is
/// queued for the error log.
///
/// # Safety
/// The pointer is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_process_child_ended(process: *const Process, has_ended: u32) -> Status {
    guard(|| {
        // SAFETY: the caller promises that a pointer that is not null is valid.
        unsafe { process.as_ref()? }.0.tick(Some(has_ended));
        Some(Status::Ok)
    })
}

/// The number of processes that the parent process starts for itself.
pub const TLS_COMPANIONS: usize = 6;

/// Sets `numbers` to the process numbers of `tls-keyd`, of the process that watches it, of the bell, of those that look into
/// stores, and of the one that asks OCSP responders; 0 for one that does not run.
///
/// # Safety
/// The pointers are valid, and there is room for `TLS_COMPANIONS` numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_process_keyd(process: *const Process, numbers: *mut u32) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid, and the room.
        let (process, numbers) = unsafe { (process.as_ref()?, numbers.cast::<[u32; TLS_COMPANIONS]>().as_mut()?) };
        *numbers = process.0.processes();
        Some(Status::Ok)
    })
}

/// The number of 64-bit cells that the counters need.
#[unsafe(no_mangle)]
pub extern "C" fn tls_counter_cells() -> usize {
    CELLS
}

/// Sets the memory of the counters: `count` cells, zeroed, shared by all child processes, never unmapped.
/// `TLS_STATUS_FAILED` if it is set already.
///
/// # Safety
/// `process` is valid; `cells` points to `count` aligned cells that only this library uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_process_attach_counters(process: *const Process, cells: *mut u64, count: usize) -> Status {
    guard(|| {
        // SAFETY: the caller promises that a pointer that is not null is valid.
        let process = unsafe { process.as_ref() }?;
        if cells.is_null() || !cells.is_aligned() {
            return None;
        }
        if process.0.counters.attached() {
            return Some(Status::Failed);
        }
        // SAFETY: an AtomicU64 has the layout of a u64; the caller promises the memory for the life of the process.
        let cells = unsafe { std::slice::from_raw_parts(cells.cast::<AtomicU64>(), count) };
        process.0.counters.attach(cells);
        Some(Status::Ok)
    })
}

/// The counters and the use of private keys for mod_status: HTML, or (`brief`) lines for programs. `tls_text_free` frees it.
///
/// # Safety
/// The pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_process_status(process: *const Process, brief: bool, out: *mut OwnedText) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid.
        let (process, out) = unsafe { (process.as_ref()?, out.as_mut()?) };
        *out = OwnedText::give(process.0.status(brief));
        Some(Status::Ok)
    })
}
