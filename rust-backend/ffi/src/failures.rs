// SPDX-License-Identifier: Apache-2.0
//! Connections that have failed: what is logged about them.

use std::ffi::c_char;
use std::sync::atomic::AtomicU64;

use mod_tls_core::base::log_codes::Code;
use mod_tls_core::connection::failure::{Failure, Interruption};
use mod_tls_core::connection::report::{Circumstances, lines_about_left_out};
use mod_tls_core::process::failure_limits::LIMIT_CELLS;
use mod_tls_core::settings::monitoring::FailureLog;

use crate::config::ConfigHandle;
use crate::connection::{ConnectionHandle, on_connection};
use crate::diagnostics::SeverityCode;
use crate::guard::{Status, guard, last_panic};
use crate::process::Process;
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
    /// The port of the peer.
    pub port: u16,
    /// The time in microseconds since 1970.
    pub now: i64,
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

/// The failure of the last call.
fn failure_of(conn: &ConnectionHandle, status: Status) -> Failure {
    match (&conn.failure, status) {
        (Some(failure), Status::Ok | Status::Failed) => failure.clone(),
        _ => Failure::ours(Code::InternalError, last_panic()),
    }
}

impl CircumstancesInfo {
    /// Calls `call` with the circumstances.
    ///
    /// # Safety
    /// The C strings are valid.
    unsafe fn with<T>(&self, call: impl FnOnce(&Circumstances<'_>) -> T) -> T {
        // SAFETY: the caller meets the requirements above.
        let (host, address) = unsafe { (c_text(self.host), c_text(self.address)) };
        call(&Circumstances {
            host: &host,
            address: &address,
            port: self.port,
            now: self.now,
            is_backend: self.is_backend,
            is_established: self.is_established,
        })
    }
}

/// Counts the failure of a connection, whether or not it is logged.
///
/// # Safety
/// The pointers and the C strings are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_conn_count_failure(
    conn: *const ConnectionHandle,
    when: *const CircumstancesInfo,
) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid.
        let (conn, when) = unsafe { (conn.as_ref()?, when.as_ref()?) };
        let failure = failure_of(conn, when.status);
        // SAFETY: the caller promises valid C strings.
        unsafe { when.with(|when| conn.connection.count_failure(&failure, when)) };
        Some(Status::Ok)
    })
}

/// The severity of the failure of a connection.
///
/// # Safety
/// The pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_conn_severity(
    conn: *const ConnectionHandle,
    when: *const CircumstancesInfo,
) -> SeverityCode {
    // SAFETY: the caller promises that pointers that are not null are valid.
    let (Some(conn), Some(when)) = (unsafe { (conn.as_ref(), when.as_ref()) }) else {
        return SeverityCode::Error;
    };
    match failure_of(conn, when.status) {
        _ if when.is_backend => SeverityCode::Error,
        failure if failure.code == Code::InternalError => SeverityCode::Error,
        failure if failure.ours => SeverityCode::Warning,
        _ => SeverityCode::Info,
    }
}

/// The lines about a connection that has failed: `line` for the error log, and `json` for `TLSLogFailures`, with its line end.
/// Either may be null. `tls_text_free` frees them. `TLS_STATUS_FAILED`: there were so many failures with the same code that
/// this one is only counted.
///
/// # Safety
/// The pointers and the C strings are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_conn_report(
    conn: *const ConnectionHandle,
    when: *const CircumstancesInfo,
    line: *mut OwnedText,
    json: *mut OwnedText,
) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid.
        let (conn, when, line, json) = unsafe { (conn.as_ref()?, when.as_ref()?, line.as_mut(), json.as_mut()) };
        let connection = &conn.connection;
        let failure = failure_of(conn, when.status);
        let seconds = u64::try_from(when.now / 1_000_000).unwrap_or(0);
        if !connection.config().admits_failure(failure.code, seconds) {
            return Some(Status::Failed);
        }
        // SAFETY: the caller promises valid C strings.
        unsafe {
            when.with(|when| {
                if let Some(line) = line {
                    *line = OwnedText::give(connection.line_about(&failure, when));
                }
                if let Some(json) = json {
                    *json = OwnedText::give(connection.json_about(&failure, when));
                }
            });
        }
        Some(Status::Ok)
    })
}

/// The lines about failures with the next code that were not logged since the last call, at `now` (microseconds since 1970):
/// `line` for the error log, with its `severity`, and `json` for `TLSLogFailures`. `tls_text_free` frees them. `place` is 0 for
/// the first code, and is set for the next call. `TLS_STATUS_FAILED` if there are no more.
///
/// # Safety
/// The pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_process_left_out(
    process: *const Process,
    now: i64,
    place: *mut usize,
    severity: *mut SeverityCode,
    line: *mut OwnedText,
    json: *mut OwnedText,
) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid.
        let (process, place, severity) = unsafe { (process.as_ref()?, place.as_mut()?, severity.as_mut()?) };
        // SAFETY: as above.
        let (line, json) = unsafe { (line.as_mut()?, json.as_mut()?) };
        let Some((code, count)) = process.0.failure_limits.next_left_out(place) else {
            return Some(Status::Failed);
        };
        *severity = match code.is_of_client() {
            true => SeverityCode::Info,
            false => SeverityCode::Warning,
        };
        let (text, lines) = lines_about_left_out(code, count, now);
        (*line, *json) = (OwnedText::give(text), OwnedText::give(lines));
        Some(Status::Ok)
    })
}

/// The number of 64-bit cells for the limits of failures.
#[unsafe(no_mangle)]
pub extern "C" fn tls_limit_cells() -> usize {
    LIMIT_CELLS
}

/// Sets the memory for the limits of failures: `tls_limit_cells` cells, zeroed, shared by all child processes, never unmapped.
///
/// # Safety
/// `process` is valid; `cells` points to that many aligned cells that only this library uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_process_attach_limits(process: *const Process, cells: *mut u64) -> Status {
    guard(|| {
        // SAFETY: the caller promises that a pointer that is not null is valid.
        let process = unsafe { process.as_ref() }?;
        if cells.is_null() || !cells.is_aligned() {
            return None;
        }
        // SAFETY: an AtomicU64 has the layout of a u64; the caller promises the memory for the life of the process.
        let cells = unsafe { std::slice::from_raw_parts(cells.cast::<AtomicU64>(), LIMIT_CELLS) };
        process.0.failure_limits.attach(cells);
        Some(Status::Ok)
    })
}

/// Where the lines of `TLSLogFailures` go: `is_program` is whether `text` is a command, not a file. `origin` is the file and line
/// of the directive. `tls_text_free` frees the texts. `TLS_STATUS_FAILED` if there is no such directive.
///
/// # Safety
/// The pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_config_failure_log(
    config: *const ConfigHandle,
    is_program: *mut bool,
    text: *mut OwnedText,
    origin: *mut OwnedText,
) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid.
        let (config, is_program, text, origin) =
            unsafe { (config.as_ref()?, is_program.as_mut()?, text.as_mut()?, origin.as_mut()?) };
        let Some(set) = &config.0.monitoring().failures else {
            return Some(Status::Failed);
        };
        (*is_program, *text) = match &set.value {
            FailureLog::File(path) => (false, OwnedText::give(path.display().to_string())),
            FailureLog::Program(command) => (true, OwnedText::give(command.clone())),
        };
        *origin = OwnedText::give(set.origin.to_string());
        Some(Status::Ok)
    })
}
