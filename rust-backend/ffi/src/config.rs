// SPDX-License-Identifier: Apache-2.0
//! Using a configuration.

use std::ffi::c_char;
use std::sync::Arc;

use mod_tls_core::config::Config;
use mod_tls_core::request::routing::{Hosts, Routing};
use mod_tls_core::settings::SessionCache;

use crate::builder::ip_address;
use crate::cache::CacheOperations;
use crate::diagnostics::SeverityCode;
use crate::guard::{Status, guard};
use crate::info::InfoHandle;
use crate::stack::{Secrets, leaving_nothing};
use crate::types::{OwnedText, Slice, array, c_text};

/// A configuration. Each connection has its own reference.
#[derive(Debug)]
pub struct ConfigHandle(pub(crate) Arc<Config>);

/// The session cache of all child processes.
#[derive(Debug)]
#[repr(C)]
pub struct CacheChoice {
    /// The name of the socache provider; without data if there is no session cache.
    pub provider: Slice,
    /// Its arguments; without data for its defaults.
    pub args: Slice,
    /// Whether a directive names the provider.
    pub is_named: bool,
    /// Whether the server must not start without it.
    pub required: bool,
}

/// Frees the configuration. Connections that use it are not affected. Null is ignored.
///
/// # Safety
/// `config` was given out by `tls_builder_compile` and is freed once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_config_free(config: *mut ConfigHandle) {
    if !config.is_null() {
        // SAFETY: configurations are given out as boxes, and the caller frees this one once.
        let config = unsafe { Box::from_raw(config) };
        // A panic in a destructor must not end httpd.
        let _ = guard(|| {
            drop(config);
            Some(Status::Ok)
        });
    }
}

/// Whether any connection can be TLS.
///
/// # Safety
/// The pointer is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_config_is_active(config: *const ConfigHandle) -> bool {
    // SAFETY: the caller promises that a pointer that is not null is valid.
    unsafe { config.as_ref() }.is_some_and(|config| config.0.is_active())
}

/// Whether connections to the local address are TLS: `ip` has `ip_len` bytes in network order, 4 or 16. `server` is the
/// first server of that address.
///
/// # Safety
/// The pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_config_is_enabled(
    config: *const ConfigHandle,
    ip: *const u8,
    ip_len: usize,
    port: u16,
    server: usize,
) -> bool {
    // SAFETY: the caller promises that pointers that are not null are valid, and `ip_len` bytes.
    let (config, ip) = unsafe { (config.as_ref(), ip_address(ip, ip_len)) };
    config
        .zip(ip)
        .is_some_and(|(config, ip)| config.0.is_enabled(ip, port, server))
}

/// Sets `out` to the decision about a request on the connection `info` to `hosts`. `host` is the host that the request
/// names, without data if it names none. `server` is the virtual host that httpd has selected; it is set to the virtual
/// host of the request.
///
/// # Safety
/// The pointers and the slice are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_config_route(
    config: *const ConfigHandle,
    info: *const InfoHandle,
    hosts: *const Hosts,
    host: Slice,
    server: *mut usize,
    out: *mut Routing,
) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid.
        let (config, info, hosts) = unsafe { (config.as_ref()?, info.as_ref()?, hosts.as_ref()?) };
        // SAFETY: the same, and the slice is valid.
        let (server, out, host) = unsafe { (server.as_mut()?, out.as_mut()?, host.optional_bytes()) };
        let host = host.map(String::from_utf8_lossy);
        (*out, *server) = config.0.route(&info.0, *hosts, *server, host.as_deref());
        Some(Status::Ok)
    })
}

/// The HTTP status of a request with the decision `routing`, 0 if it is served. `host` is the host that the request names,
/// null if it names none; `wanted` and `connected` are the names of its virtual host and of that of the handshake.
/// `severity` and `text` are set to the message for the error log. `tls_text_free` frees the text.
///
/// # Safety
/// The pointers and the C strings are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_routing_refusal(
    routing: Routing,
    host: *const c_char,
    wanted: *const c_char,
    connected: *const c_char,
    severity: *mut SeverityCode,
    text: *mut OwnedText,
) -> u16 {
    if routing == Routing::Serve {
        return 0;
    }
    // SAFETY: the caller promises valid C strings.
    let (host, wanted, connected) = unsafe { (c_text(host), c_text(wanted), c_text(connected)) };
    let Some(refusal) = routing.refusal(&host, &wanted, &connected) else {
        return 0;
    };
    // SAFETY: the caller promises that pointers that are not null are valid.
    if let (Some(severity), Some(text)) = unsafe { (severity.as_mut(), text.as_mut()) } {
        *severity = if refusal.is_detail {
            SeverityCode::Debug
        } else {
            SeverityCode::Info
        };
        *text = OwnedText::give(refusal.text);
    }
    refusal.status
}

/// Whether this module speaks TLS to backends under the blocks of `chain`, the outermost first.
///
/// # Safety
/// The pointers are valid, and `chain` has `count` elements.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_config_proxy_enabled(
    config: *const ConfigHandle,
    chain: *const usize,
    count: usize,
) -> bool {
    // SAFETY: the caller promises that pointers that are not null are valid, and `count` elements.
    let (config, chain) = unsafe { (config.as_ref(), array(chain, count)) };
    config.is_some_and(|config| config.0.is_proxy_enabled(chain))
}

/// Whether two chains of blocks give the same settings for backends.
///
/// # Safety
/// The pointers are valid, and the chains have `count` and `other_count` elements.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_config_proxy_same(
    config: *const ConfigHandle,
    chain: *const usize,
    count: usize,
    other: *const usize,
    other_count: usize,
) -> bool {
    // SAFETY: the caller promises that pointers that are not null are valid, and as many elements.
    let (config, chain, other) = unsafe { (config.as_ref(), array(chain, count), array(other, other_count)) };
    config.is_some_and(|config| config.0.proxies_agree(chain, other))
}

/// The session cache that the configuration names. The slices are borrowed from the configuration.
///
/// # Safety
/// The pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_config_session_cache(config: *const ConfigHandle, out: *mut CacheChoice) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid.
        let (config, out) = unsafe { (config.as_ref()?, out.as_mut()?) };
        let (cache, required) = config.0.session_cache();
        let (provider, args) = match cache {
            SessionCache::None => (Slice::EMPTY, Slice::EMPTY),
            SessionCache::Default => (Slice::of(b"shmcb"), Slice::EMPTY),
            SessionCache::Provider(name, args) => (Slice::of(name.as_bytes()), Slice::of(args.as_bytes())),
        };
        *out = CacheChoice {
            provider,
            args,
            is_named: matches!(cache, SessionCache::Provider(..)),
            required,
        };
        Some(Status::Ok)
    })
}

/// Attaches the session cache to the configuration. `TLS_STATUS_FAILED` if it has one already.
///
/// # Safety
/// The pointers are valid. The operations work until the last connection of this configuration is freed or the process
/// ends.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_config_attach_cache(
    config: *const ConfigHandle,
    operations: *const CacheOperations,
) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid.
        let (config, operations) = unsafe { (config.as_ref()?, operations.as_ref()?) };
        match config.0.attach_cache(Box::new(*operations)) {
            true => Some(Status::Ok),
            false => Some(Status::Failed),
        }
    })
}

/// Renews ticket keys if their period is over, and reads revocation lists that have changed. The parent process calls it
/// regularly.
///
/// # Safety
/// The pointer is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_config_tick(config: *const ConfigHandle) -> Status {
    guard(|| {
        // SAFETY: the caller promises that a pointer that is not null is valid.
        unsafe { config.as_ref()? }.0.tick();
        Some(Status::Ok)
    })
}

/// Makes use of some of the certificates that were renewed, if `tls-keyd` has the keys. The parent process calls it until it
/// returns `TLS_STATUS_FAILED`: then there are no more. What there is to say is queued for the error log.
///
/// # Safety
/// The pointer is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_config_renew(config: *const ConfigHandle) -> Status {
    // Keys of tickets may be derived in here.
    leaving_nothing(|| {
        let status = guard(|| {
            // SAFETY: the caller promises that a pointer that is not null is valid.
            match unsafe { config.as_ref()? }.0.renew() {
                true => Some(Status::Ok),
                false => Some(Status::Failed),
            }
        });
        (status, Secrets::Used)
    })
}

/// The oldest message for the error log that is queued in this process. `tls_text_free` frees it.
/// `TLS_STATUS_FAILED` if there is none.
///
/// # Safety
/// The pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_config_next_message(
    config: *const ConfigHandle,
    severity: *mut SeverityCode,
    text: *mut OwnedText,
) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid.
        let (config, severity, text) = unsafe { (config.as_ref()?, severity.as_mut()?, text.as_mut()?) };
        let Some((grave, message)) = config.0.next_message() else {
            return Some(Status::Failed);
        };
        *severity = grave.into();
        *text = OwnedText::give(message);
        Some(Status::Ok)
    })
}

/// Certificate `index` of `server`, counted from 0, for a provider of OCSP responses: `id` is set to its
/// identifier, `pem` to the certificate and its issuer. `TLS_STATUS_FAILED` if there is no such certificate, or no issuer.
///
/// # Safety
/// The pointers are valid; `id` has room for 32 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_config_certificate(
    config: *const ConfigHandle,
    server: usize,
    index: usize,
    id: *mut u8,
    pem: *mut OwnedText,
) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid.
        let (config, id, pem) = unsafe { (config.as_ref()?, id.cast::<[u8; 32]>().as_mut()?, pem.as_mut()?) };
        let Some(identity) = config.0.site(server).and_then(|site| site.identities().nth(index)) else {
            return Some(Status::Failed);
        };
        let Some(with_issuer) = identity.pem_with_issuer() else {
            return Some(Status::Failed);
        };
        *id = identity.id();
        *pem = OwnedText::give(with_issuer);
        Some(Status::Ok)
    })
}

/// What the module says of itself at startup: its version, its libraries, and where the private keys are. `tls_text_free`
/// frees it.
///
/// # Safety
/// The pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_config_introduction(config: *const ConfigHandle, out: *mut OwnedText) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid.
        let (config, out) = unsafe { (config.as_ref()?, out.as_mut()?) };
        *out = OwnedText::give(config.0.introduction());
        Some(Status::Ok)
    })
}

/// The output of `httpd -t` for a configuration that was compiled as a test, with `-D DUMP_CERTS` (`certificates`) and with
/// `-D DUMP_TLS` (`all`). `now` is the time in seconds since 1970. `tls_text_free` frees the text.
///
/// # Safety
/// The pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_config_dump(
    config: *const ConfigHandle,
    certificates: bool,
    all: bool,
    now: i64,
    out: *mut OwnedText,
) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid.
        let (config, out) = unsafe { (config.as_ref()?, out.as_mut()?) };
        let mut text = String::new();
        if certificates {
            text += &config.0.dump_certificates();
        }
        if all {
            text += &config.0.dump(now);
        }
        *out = OwnedText::give(text);
        Some(Status::Ok)
    })
}
