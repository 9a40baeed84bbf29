// SPDX-License-Identifier: Apache-2.0
//! Between ClientHello and ServerHello: the content of the ClientHello, and the selection of the server.

use std::fmt;
use std::sync::Arc;

use mod_tls_core::AlertDescription;
use mod_tls_core::base::log_codes::Code;
use mod_tls_core::connection::failure::Failure;
use mod_tls_core::connection::{Connection, Event};
use mod_tls_core::keys::identity::Identity;
use mod_tls_core::request::routing::Hosts;

use crate::connection::{ConnectionHandle, EventCode, on_connection};
use crate::guard::Status;
use crate::stack::{Secrets, leaving_nothing};
use crate::types::Slice;

/// The part of a ClientHello that httpd uses. The slices are borrowed from the connection.
#[derive(Debug)]
#[repr(C)]
pub struct HelloInfo {
    /// The server name (SNI), in lower case; empty if the client has sent none.
    pub server_name: Slice,
    /// The protocols that the client offers by ALPN.
    pub alpn: *const Slice,
    /// The number of protocols.
    pub alpn_count: usize,
}

/// Sets `out` to the content of the ClientHello, once it is complete. It is valid until `tls_conn_accept` is called.
///
/// # Safety
/// The pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_conn_hello(conn: *mut ConnectionHandle, out: *mut HelloInfo) -> Status {
    // SAFETY: the caller promises that pointers that are not null are valid.
    unsafe {
        on_connection(conn, |conn| {
            let hello = conn.connection.hello();
            conn.alpn = hello.alpn.iter().map(|protocol| Slice::of(protocol)).collect();
            *out.as_mut()? = HelloInfo {
                server_name: hello
                    .sni
                    .as_deref()
                    .map_or(Slice::EMPTY, |name| Slice::of(name.as_bytes())),
                alpn: conn.alpn.as_ptr(),
                alpn_count: conn.alpn.len(),
            };
            Some(Status::Ok)
        })
    }
}

/// Sets the servers `named` and `connected` of `hosts` by the client's server name; without one, to the first server of the
/// address. `TLS_STATUS_FAILED`: no server has the name, and handshakes with unknown names are refused.
///
/// # Safety
/// The pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_conn_find_server(conn: *mut ConnectionHandle, hosts: *mut Hosts) -> Status {
    // SAFETY: the caller promises that pointers that are not null are valid.
    unsafe {
        on_connection(conn, |conn| {
            let hosts = hosts.as_mut()?;
            let config = Arc::clone(conn.connection.config());
            let sni = conn.connection.hello().sni.clone();
            match config.find_server(hosts.chain, hosts.first, sni.as_deref()) {
                Ok(found) => {
                    (hosts.named, hosts.connected) = found;
                    Some(Status::Ok)
                }
                Err(_) => {
                    let why = format!("no host is called {}, and TLSStrictSNI is on", sni.unwrap_or_default());
                    let alert = AlertDescription::UnrecognisedName;
                    let failure = conn.connection.refuse(Code::UnknownServerName, alert, why);
                    Some(conn.failed(failure))
                }
            }
        })
    }
}

/// The certificate that `server` would present to the client: `id` is set to its identifier for providers of OCSP
/// responses. `TLS_STATUS_FAILED` if there is none.
///
/// # Safety
/// The pointers are valid; `id` has room for 32 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_conn_certificate_id(conn: *mut ConnectionHandle, server: usize, id: *mut u8) -> Status {
    // SAFETY: the caller promises that pointers that are not null are valid.
    unsafe {
        on_connection(conn, |conn| {
            let id = id.cast::<[u8; 32]>().as_mut()?;
            match presented(conn, server) {
                Some(identity) => {
                    *id = identity.id();
                    Some(Status::Ok)
                }
                None => Some(Status::Failed),
            }
        })
    }
}

fn presented(conn: &ConnectionHandle, server: usize) -> Option<Arc<Identity>> {
    let site = conn.connection.config().site(server)?;
    conn.connection.identity_at(site)
}

/// Staples the OCSP response (DER) to the certificate that `server` presents to the client; an empty one staples
/// nothing.
///
/// # Safety
/// The pointer and the slice are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_conn_staple(conn: *mut ConnectionHandle, server: usize, response: Slice) -> Status {
    // SAFETY: the caller promises that a pointer that is not null is valid, and a valid slice.
    unsafe {
        on_connection(conn, |conn| {
            let response = Some(response.bytes()).filter(|der| !der.is_empty());
            let config = Arc::clone(conn.connection.config());
            if let Some(site) = config.site(server) {
                conn.connection.staple(site, response);
            }
            Some(Status::Ok)
        })
    }
}

/// Continues the handshake as `server` and selects `protocol` by ALPN (empty: none). `certificate` and `key` are PEM that
/// is used instead of the server's own certificates. `certificate` is null if those are used; `key` is null if the key is
/// in `certificate`. Statuses as for `tls_conn_receive`.
///
/// # Safety
/// The pointers and the slices are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_conn_accept(
    conn: *mut ConnectionHandle,
    server: usize,
    protocol: Slice,
    certificate: Slice,
    key: Slice,
    event: *mut EventCode,
) -> Status {
    leaving_nothing(|| {
        // SAFETY: the caller promises that pointers that are not null are valid, and valid slices.
        let status = unsafe {
            on_connection(conn, |conn| {
                let event = event.as_mut()?;
                conn.alpn = Vec::new();
                let protocol = Some(protocol.bytes()).filter(|name| !name.is_empty());
                let accepted = match certificate.optional_bytes() {
                    None => accept(&mut conn.connection, server, protocol),
                    Some(pem) => accept_with(&mut conn.connection, server, protocol, pem, key.optional_bytes()),
                };
                match accepted {
                    Ok(next) => {
                        *event = next.into();
                        Some(Status::Ok)
                    }
                    Err(failure) => Some(conn.failed(failure)),
                }
            })
        };
        (status, Secrets::Used)
    })
}

const NO_SETTINGS: &str = "the host has no TLS settings";

fn accept(connection: &mut Connection, server: usize, protocol: Option<&[u8]>) -> Result<Event, Failure> {
    let config = Arc::clone(connection.config());
    match config.site(server) {
        Some(site) => connection.accept(site, protocol),
        None => Err(refuse(connection, Code::NoSettings, NO_SETTINGS)),
    }
}

fn refuse(connection: &mut Connection, code: Code, why: impl fmt::Display) -> Failure {
    connection.refuse(code, AlertDescription::InternalError, why)
}

/// Continues the handshake with a certificate for this connection only: an ACME challenge (RFC 8737).
fn accept_with(
    connection: &mut Connection,
    server: usize,
    protocol: Option<&[u8]>,
    certificate: &[u8],
    key: Option<&[u8]>,
) -> Result<Event, Failure> {
    let config = Arc::clone(connection.config());
    let identity = Identity::from_pem("answer to a challenge", certificate, key);
    match (config.site(server), identity) {
        (Some(site), Ok(identity)) => connection.accept(&site.answering(identity), protocol),
        (None, _) => Err(refuse(connection, Code::NoSettings, NO_SETTINGS)),
        (_, Err(error)) => Err(refuse(connection, Code::BadChallenge, error)),
    }
}
