// SPDX-License-Identifier: Apache-2.0
//! The limit of a handshake's time.

use std::ffi::c_void;

use crate::connection::{ConnectionHandle, on_connection};
use crate::guard::Status;

/// What is called when the time is over, with what it was given.
struct Shut {
    call: unsafe extern "C" fn(*mut c_void),
    socket: *mut c_void,
}

// SAFETY: the caller of `tls_conn_watch` promises that it may be called by another thread.
unsafe impl Send for Shut {}

impl Shut {
    fn run(&self) {
        // SAFETY: the caller of `tls_conn_watch` promises that the socket is there as long as the handshake is watched.
        unsafe { (self.call)(self.socket) }
    }
}

/// Has `shut` called with `socket` by another thread when the time for a handshake with `server` is over, if
/// `RequestReadTimeout` limits it. May be called again while the handshake goes on. `TLS_STATUS_FAILED` if it cannot be done.
///
/// # Safety
/// `conn` is valid. `shut` and `socket` work until `tls_conn_unwatch` or `tls_conn_free` has returned; `shut` does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_conn_watch(
    conn: *mut ConnectionHandle,
    server: usize,
    shut: Option<unsafe extern "C" fn(*mut c_void)>,
    socket: *mut c_void,
) -> Status {
    let call = |conn: &mut ConnectionHandle| {
        let shut = Shut { call: shut?, socket };
        match conn.limit.watch(conn.connection.config(), server, move || shut.run()) {
            Ok(()) => Some(Status::Ok),
            Err(_) => Some(Status::Failed),
        }
    };
    // SAFETY: the caller promises a valid pointer.
    unsafe { on_connection(conn, call) }
}

/// Ends that. Costs next to nothing if the handshake is not watched.
///
/// # Safety
/// `conn` is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_conn_unwatch(conn: *mut ConnectionHandle) -> Status {
    let call = |conn: &mut ConnectionHandle| {
        conn.limit.unwatch(conn.connection.config());
        Some(Status::Ok)
    };
    // SAFETY: the caller promises a valid pointer.
    unsafe { on_connection(conn, call) }
}
