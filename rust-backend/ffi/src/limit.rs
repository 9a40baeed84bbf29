// SPDX-License-Identifier: Apache-2.0
//! The time limit of handshakes.

use std::ffi::c_void;

use crate::connection::{ConnectionHandle, on_connection};
use crate::guard::Status;

/// The function that is called when the time is over, and its argument.
struct Shut {
    call: unsafe extern "C" fn(*mut c_void),
    socket: *mut c_void,
}

// SAFETY: the caller of `tls_conn_watch` promises that another thread may call it.
unsafe impl Send for Shut {}

impl Shut {
    fn run(&self) {
        // SAFETY: the caller of `tls_conn_watch` promises that the socket is valid while the handshake is watched.
        unsafe { (self.call)(self.socket) }
    }
}

/// Watches the handshake: if `RequestReadTimeout` limits handshakes with `server`, another thread calls `shut` with `socket`
/// at the end of the time. May be called again during the handshake. `TLS_STATUS_FAILED` if watching is not possible.
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

/// Stops watching the handshake. Cheap if it is not watched.
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
