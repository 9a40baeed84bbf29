// SPDX-License-Identifier: Apache-2.0
//! Connections that have failed: what is logged about them.

use std::ffi::c_char;

use mod_tls_core::base::log_codes::Code;
use mod_tls_core::connection::failure::{Failure, Interruption};
use mod_tls_core::connection::report::Circumstances;

use crate::connection::{ConnectionHandle, on_connection};
use crate::diagnostics::SeverityCode;
use crate::guard::{Status, guard, last_panic};
use crate::types::{OwnedText, c_text};

/// What httpd knows about a connection that has failed.
#[derive(Debug)]
#[repr(C)]
pub struct CircumstancesInfo {
    /// The status of the call that has failed.
    pub status: Status,
    /// Whether the handshake was complete.
    pub is_established: bool,
    /// Whether the peer is a backend.
    pub is_backend: bool,
    /// The name of the virtual host, or of the backend; may be null.
    pub host: *const c_char,
    /// The IP address of the peer.
    pub address: *const c_char,
}

/// Notes that the peer has not completed the handshake. `TLS_STATUS_FAILED`: this is a failure, which `tls_conn_report`
/// describes. `TLS_STATUS_OK`: it is not, because the client has not sent a byte.
///
/// # Safety
/// The pointer is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_conn_interrupted(conn: *mut ConnectionHandle, how: Interruption) -> Status {
    // SAFETY: the caller promises that a pointer that is not null is valid.
    unsafe {
        on_connection(conn, |conn| match conn.connection.interrupted(how) {
            Some(failure) => Some(conn.failed(failure)),
            None => Some(Status::Ok),
        })
    }
}

/// The message for the error log about a connection that has failed, and its severity. `tls_text_free` frees the text.
///
/// # Safety
/// The pointers and the C strings are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_conn_report(
    conn: *const ConnectionHandle,
    when: *const CircumstancesInfo,
    severity: *mut SeverityCode,
    out: *mut OwnedText,
) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid.
        let (conn, when, severity, out) =
            unsafe { (conn.as_ref()?, when.as_ref()?, severity.as_mut()?, out.as_mut()?) };
        // SAFETY: the caller promises valid C strings.
        let (host, address) = unsafe { (c_text(when.host), c_text(when.address)) };
        let internal = || Failure::ours(Code::InternalError, last_panic());
        let failure = match (when.status, &conn.failure) {
            (Status::Failed, Some(failure)) | (Status::Ok, Some(failure)) => failure.clone(),
            _ => internal(),
        };
        *severity = match failure.code {
            Code::InternalError => SeverityCode::Error,
            _ if when.is_backend => SeverityCode::Error,
            _ if failure.ours => SeverityCode::Warning,
            _ => SeverityCode::Info,
        };
        let circumstances = Circumstances {
            host: &host,
            address: &address,
            is_backend: when.is_backend,
            is_established: when.is_established,
        };
        *out = OwnedText::give(conn.connection.line_about(&failure, &circumstances));
        Some(Status::Ok)
    })
}
