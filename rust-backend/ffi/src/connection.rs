// SPDX-License-Identifier: Apache-2.0
//! One TLS connection.

use std::ffi::c_int;
use std::io::IoSlice;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use mod_tls_core::base::log_codes::Code;
use mod_tls_core::connection::failure::Failure;
use mod_tls_core::connection::limit::HandshakeLimit;
use mod_tls_core::connection::{Connection, Event, plain_http};

use crate::config::ConfigHandle;
use crate::guard::{Status, guard};
use crate::info::InfoHandle;
use crate::stack::{Secrets, leaving_nothing};
use crate::types::{Slice, array};

/// A connection, of a client or to a backend.
#[derive(Debug)]
pub struct ConnectionHandle {
    pub(crate) connection: Connection,
    pub(crate) limit: HandshakeLimit,
    /// The protocols of the ClientHello, borrowed by C.
    pub(crate) alpn: Vec<Slice>,
    pub(crate) failure: Option<Failure>,
}

impl Drop for ConnectionHandle {
    fn drop(&mut self) {
        self.limit.unwatch(self.connection.config());
    }
}

/// What the caller has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum EventCode {
    /// Read, send pending data, receive more.
    None,
    /// The ClientHello is complete: choose a server and call `tls_conn_accept`.
    Hello,
    /// The client speaks plain HTTP; the connection cannot be used any more.
    PlainHttp,
    /// Other machines are asked about the client's certificate: wait with `tls_conn_answered`.
    Awaiting,
    /// There is early data, which can be read and answered before the handshake is complete.
    Early,
    /// The handshake is complete.
    Established,
}

impl From<Event> for EventCode {
    fn from(event: Event) -> Self {
        match event {
            Event::None => Self::None,
            Event::Hello => Self::Hello,
            Event::PlainHttp => Self::PlainHttp,
            Event::Awaiting => Self::Awaiting,
            Event::Early => Self::Early,
            Event::Established => Self::Established,
        }
    }
}

/// A buffer with the layout of an `iovec`.
pub type IoVec = IoSlice<'static>;

impl ConnectionHandle {
    fn new(connection: Connection) -> Self {
        Self {
            connection,
            limit: HandshakeLimit::begin(),
            alpn: Vec::new(),
            failure: None,
        }
    }

    pub(crate) fn failed(&mut self, failure: Failure) -> Status {
        self.failure = Some(failure);
        Status::Failed
    }
}

/// Runs `call` on the connection. After a panic the connection only sends an alert.
///
/// # Safety
/// `conn` is valid, or null.
pub(crate) unsafe fn on_connection(
    conn: *mut ConnectionHandle,
    call: impl FnOnce(&mut ConnectionHandle) -> Option<Status>,
) -> Status {
    // SAFETY: the caller meets the requirements above; the reference ends with the closure.
    let status = guard(|| call(unsafe { conn.as_mut()? }));
    if status == Status::Internal {
        // SAFETY: as above; the first reference is gone.
        guard(|| {
            unsafe { conn.as_mut()? }.connection.poison();
            Some(Status::Ok)
        });
    }
    status
}

/// Makes a new connection of a client. `tls_conn_free` frees it.
///
/// # Safety
/// The pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_conn_new(config: *const ConfigHandle, out: *mut *mut ConnectionHandle) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid.
        let (config, out) = unsafe { (config.as_ref()?, out.as_mut()?) };
        let connection = Connection::new(Arc::clone(&config.0));
        *out = Box::into_raw(Box::new(ConnectionHandle::new(connection)));
        Some(Status::Ok)
    })
}

/// After `TLS_EVENT_AWAITING`: goes on if there is an answer about the client's certificate. With `waits`, it is waited for. `event`
/// is again `TLS_EVENT_AWAITING` if there is none yet. Statuses as for `tls_conn_receive`.
///
/// # Safety
/// The pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_conn_answered(conn: *mut ConnectionHandle, waits: bool, event: *mut EventCode) -> Status {
    // SAFETY: the caller promises that pointers that are not null are valid.
    unsafe {
        on_connection(conn, |conn| {
            let event = event.as_mut()?;
            match conn.connection.answered(waits) {
                Ok(next) => {
                    *event = next.into();
                    Some(Status::Ok)
                }
                Err(failure) => Some(conn.failed(failure)),
            }
        })
    }
}

/// What becomes readable when there is an answer about the client's certificate, and after how many milliseconds it is too late.
/// `TLS_STATUS_FAILED` if none is awaited. The descriptor is valid until `tls_conn_answered` is called.
///
/// # Safety
/// The pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_conn_awaited(
    conn: *mut ConnectionHandle,
    descriptor: *mut c_int,
    milliseconds: *mut u32,
) -> Status {
    // SAFETY: the caller promises that pointers that are not null are valid.
    unsafe {
        on_connection(conn, |conn| {
            let (descriptor, milliseconds) = (descriptor.as_mut()?, milliseconds.as_mut()?);
            let Some((awaited, remaining)) = conn.connection.awaited() else {
                return Some(Status::Failed);
            };
            *descriptor = awaited.as_raw_fd();
            *milliseconds = u32::try_from(remaining.as_millis()).unwrap_or(u32::MAX);
            Some(Status::Ok)
        })
    }
}

/// Makes a connection to the backend `host`, with the settings of the blocks of `chain`, for `protocol`. Its ClientHello is
/// ready for `tls_conn_output`. `tls_conn_free` frees it. `TLS_STATUS_FAILED`: it cannot be used, except for
/// `tls_conn_report`.
///
/// # Safety
/// The pointers and the slices are valid, and `chain` has `count` elements.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_conn_to_backend(
    config: *const ConfigHandle,
    chain: *const usize,
    count: usize,
    host: Slice,
    protocol: Slice,
    out: *mut *mut ConnectionHandle,
) -> Status {
    // The key share is made in here, and keys of tickets may be derived.
    leaving_nothing(|| {
        let status = guard(|| {
            // SAFETY: the caller promises that pointers that are not null are valid.
            let (config, out) = unsafe { (config.as_ref()?, out.as_mut()?) };
            // SAFETY: the caller promises `count` elements, and valid slices.
            let (chain, host, protocol) = unsafe { (array(chain, count), host.text(), protocol.bytes()) };
            let profile = config.0.proxy_profile(chain);
            let connected = profile
                .map_err(|why| Failure::ours(Code::BackendSettings, why))
                .and_then(|profile| Connection::to_backend(Arc::clone(&config.0), profile, &host, protocol));
            let (handle, status) = match connected {
                Ok(connection) => (ConnectionHandle::new(connection), Status::Ok),
                Err(failure) => {
                    let mut handle = ConnectionHandle::new(Connection::new(Arc::clone(&config.0)));
                    let status = handle.failed(failure);
                    (handle, status)
                }
            };
            *out = Box::into_raw(Box::new(handle));
            Some(status)
        });
        (status, Secrets::Used)
    })
}

/// Frees a connection. Null is left alone.
///
/// # Safety
/// `conn` was given out by `tls_conn_new` or `tls_conn_to_backend` and is freed once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_conn_free(conn: *mut ConnectionHandle) {
    if !conn.is_null() {
        // SAFETY: connections are given out as boxes, and the caller frees this one once.
        let conn = unsafe { Box::from_raw(conn) };
        // A panic in a destructor must not end httpd.
        let _ = guard(|| {
            drop(conn);
            Some(Status::Ok)
        });
    }
}

/// Processes `data` from the network. `taken` is set to the number of bytes that were processed: fewer than there are only
/// if plaintext has to be read first. `TLS_STATUS_FAILED`: the connection has failed, `tls_conn_report` has the reason, and
/// the remaining output of `tls_conn_output` must be sent.
///
/// # Safety
/// The pointers and the slice are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_conn_receive(
    conn: *mut ConnectionHandle,
    data: Slice,
    taken: *mut usize,
    event: *mut EventCode,
) -> Status {
    leaving_nothing(|| {
        let mut secrets = Secrets::None;
        // SAFETY: the caller promises that pointers that are not null are valid, in all blocks of this function.
        let status = unsafe {
            on_connection(conn, |conn| {
                let (taken, event) = (taken.as_mut()?, event.as_mut()?);
                // Keys are computed in the handshake, but not before a ClientHello is complete.
                let handshake = conn.connection.info().is_none();
                match conn.connection.receive(data.bytes()) {
                    Ok((_, Event::PlainHttp)) => {
                        *event = EventCode::PlainHttp;
                        conn.failure = Some(Failure::theirs(Code::PlainHttp, plain_http::LINE));
                        Some(Status::Ok)
                    }
                    Ok((count, next)) => {
                        if handshake && next != Event::Hello {
                            secrets = Secrets::Used;
                        }
                        conn.limit.count(count);
                        *taken = count;
                        *event = next.into();
                        Some(Status::Ok)
                    }
                    Err(failure) => {
                        secrets = Secrets::Used;
                        Some(conn.failed(failure))
                    }
                }
            })
        };
        (status, secrets)
    })
}

/// The number of bytes from the network that complete the current record, or the header of the next one. Never 0.
///
/// # Safety
/// The pointer is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_conn_wanted(conn: *const ConnectionHandle) -> usize {
    // SAFETY: the caller promises that a pointer that is not null is valid.
    unsafe { conn.as_ref() }.map_or(1, |conn| conn.connection.wanted())
}

/// Derives the channel binding of the connection, for `tls_info_variable`. Only the thread that runs the connection may
/// call this. For HTTP/2, whose requests run in other threads, it is derived after the handshake.
///
/// # Safety
/// The pointer is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_conn_bind_channel(conn: *mut ConnectionHandle) -> Status {
    // SAFETY: the caller promises that a pointer that is not null is valid.
    unsafe {
        on_connection(conn, |conn| {
            conn.connection.bind_channel();
            Some(Status::Ok)
        })
    }
}

/// The first contiguous piece of received plaintext; empty if there is none. It stays until `tls_conn_consume`.
///
/// # Safety
/// The pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_conn_read(conn: *mut ConnectionHandle, out: *mut Slice) -> Status {
    // SAFETY: the caller promises that pointers that are not null are valid.
    unsafe {
        on_connection(conn, |conn| {
            *out.as_mut()? = Slice::of(conn.connection.read());
            Some(Status::Ok)
        })
    }
}

/// Removes the first `len` bytes of the plaintext that `tls_conn_read` has returned.
///
/// # Safety
/// The pointer is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_conn_consume(conn: *mut ConnectionHandle, len: usize) -> Status {
    // SAFETY: the caller promises that a pointer that is not null is valid.
    unsafe {
        on_connection(conn, |conn| {
            conn.connection.consume(len);
            Some(Status::Ok)
        })
    }
}

/// Encrypts `count` pieces of data, which share records. `TLS_STATUS_FAILED`: the connection accepts no more data.
///
/// # Safety
/// The pointers are valid, and `pieces` has `count` elements that point to readable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_conn_write(conn: *mut ConnectionHandle, pieces: *const IoVec, count: usize) -> Status {
    // SAFETY: the caller promises that pointers that are not null are valid. An IoSlice has the layout of an iovec.
    unsafe {
        on_connection(conn, |conn| match conn.connection.write(array(pieces, count)) {
            true => Some(Status::Ok),
            false => Some(Status::Failed),
        })
    }
}

/// Whether the peer cannot continue before it has received the pending output.
///
/// # Safety
/// The pointer is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_conn_is_awaited(conn: *const ConnectionHandle) -> bool {
    // SAFETY: the caller promises that a pointer that is not null is valid.
    unsafe { conn.as_ref() }.is_some_and(|conn| conn.connection.is_awaited())
}

/// Stores the next pieces of the output, at most `capacity` of them, in `pieces`. They stay until `tls_conn_sent`, also if the
/// connection fails; until then, another call returns those behind them. Returns their number: there is more output only if it is
/// `capacity`, which may not exceed 32.
///
/// # Safety
/// The pointers are valid, and `pieces` has room for `capacity` slices.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_conn_output(conn: *mut ConnectionHandle, pieces: *mut Slice, capacity: usize) -> usize {
    let mut count = 0;
    if !pieces.is_null() {
        // SAFETY: the caller promises that pointers that are not null are valid, and room for `capacity` slices, which is the most
        // that are visited.
        unsafe {
            on_connection(conn, |conn| {
                conn.connection.output(capacity, &mut |piece| {
                    pieces.add(count).write(Slice::of(piece));
                    count += 1;
                });
                Some(Status::Ok)
            });
        }
    }
    count
}

/// Drops the output that `tls_conn_output` has returned.
///
/// # Safety
/// The pointer is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_conn_sent(conn: *mut ConnectionHandle) -> Status {
    // SAFETY: the caller promises that a pointer that is not null is valid.
    unsafe {
        on_connection(conn, |conn| {
            conn.connection.sent();
            Some(Status::Ok)
        })
    }
}

/// Ends the output: queues a close_notify, unless the connection has failed.
///
/// # Safety
/// The pointer is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_conn_close(conn: *mut ConnectionHandle) -> Status {
    // SAFETY: the caller promises that a pointer that is not null is valid.
    unsafe {
        on_connection(conn, |conn| {
            conn.connection.close();
            Some(Status::Ok)
        })
    }
}

/// Whether close_notify was received.
///
/// # Safety
/// The pointer is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_conn_peer_closed(conn: *const ConnectionHandle) -> bool {
    // SAFETY: the caller promises that a pointer that is not null is valid.
    unsafe { conn.as_ref() }.is_some_and(|conn| conn.connection.peer_closed())
}

/// The HTTP/1.1 response to a client that speaks plain HTTP. It is valid until the process ends.
#[unsafe(no_mangle)]
pub extern "C" fn tls_plain_http_response() -> Slice {
    Slice::of(plain_http::RESPONSE.as_bytes())
}

/// The parameters of the connection after the handshake; `TLS_STATUS_FAILED` before it is complete. `tls_info_free` frees
/// them; they may outlive the connection.
///
/// # Safety
/// The pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_conn_info(conn: *const ConnectionHandle, out: *mut *mut InfoHandle) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid.
        let (conn, out) = unsafe { (conn.as_ref()?, out.as_mut()?) };
        let Some(info) = conn.connection.info() else {
            return Some(Status::Failed);
        };
        *out = Box::into_raw(Box::new(InfoHandle(Arc::clone(info))));
        Some(Status::Ok)
    })
}
