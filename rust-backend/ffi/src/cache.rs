// SPDX-License-Identifier: Apache-2.0
//! The session cache in httpd's socache.

use std::ffi::c_void;

use mod_tls_core::session::resumption::SharedCache;

use crate::types::Slice;

/// The maximum size of a session in the cache, in bytes.
const MAX_SESSION: usize = 16 * 1024;

/// The operations of a cache that all child processes share. Several threads may call them at the same time.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct CacheOperations {
    /// The first argument of each operation.
    pub context: *mut c_void,
    /// Stores `value` under `id` for `lifetime` seconds; false if that failed.
    pub store: Option<unsafe extern "C" fn(context: *mut c_void, id: Slice, value: Slice, lifetime: u32) -> bool>,
    /// Copies the value stored under `id` into `buffer`, whose size is `*len`, and sets `*len` to its length; false if there
    /// is none.
    pub retrieve:
        Option<unsafe extern "C" fn(context: *mut c_void, id: Slice, buffer: *mut u8, len: *mut usize) -> bool>,
    /// The same, and removes the value. If several callers take the same value, on any server that shares the cache, at most
    /// one of them gets it.
    pub take: Option<unsafe extern "C" fn(context: *mut c_void, id: Slice, buffer: *mut u8, len: *mut usize) -> bool>,
}

/// An operation that reads the value stored under `id`.
type CacheRead = unsafe extern "C" fn(context: *mut c_void, id: Slice, buffer: *mut u8, len: *mut usize) -> bool;

// SAFETY: the caller of `tls_config_attach_cache` promises that any thread may call the operations.
unsafe impl Send for CacheOperations {}
// SAFETY: as above.
unsafe impl Sync for CacheOperations {}

impl CacheOperations {
    fn read(&self, read: CacheRead, id: &[u8]) -> Option<Vec<u8>> {
        let mut value = vec![0; MAX_SESSION];
        let mut len = value.len();
        // SAFETY: the buffer has `len` writable bytes, and the context is what was attached.
        let found = unsafe { read(self.context, Slice::of(id), value.as_mut_ptr(), &mut len) };
        value.truncate(len);
        found.then_some(value)
    }
}

impl SharedCache for CacheOperations {
    fn store(&self, id: &[u8], value: &[u8], lifetime: u32) -> bool {
        // SAFETY: the slices are valid for the call, and the context is what was attached.
        self.store
            .is_some_and(|store| unsafe { store(self.context, Slice::of(id), Slice::of(value), lifetime) })
    }

    fn retrieve(&self, id: &[u8]) -> Option<Vec<u8>> {
        self.read(self.retrieve?, id)
    }

    fn take(&self, id: &[u8]) -> Option<Vec<u8>> {
        self.read(self.take?, id)
    }
}
