// SPDX-License-Identifier: Apache-2.0
//! Building and compiling a configuration.

use std::ffi::{CStr, OsStr, c_char};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use mod_tls_core::base::diagnostics::Origin;
use mod_tls_core::base::directive::Directive;
use mod_tls_core::base::directive_names;
use mod_tls_core::config::{CompileMode, Environment, Listener, Server};
use mod_tls_core::keys::identity::IdentityFiles;

use crate::config::ConfigHandle;
use crate::diagnostics::DiagnosticsHandle;
use crate::guard::{Status, guard};
use crate::launcher;
use crate::process::Process;
use crate::stack::{Secrets, leaving_nothing};
use crate::types::{array, c_text};

/// A configuration that is being built.
#[derive(Debug)]
pub struct Builder {
    config: mod_tls_core::config::Builder,
    /// The file of the last directive: thousands of directives are in the same file.
    file: Arc<str>,
}

impl Builder {
    /// The place `file`:`line`.
    ///
    /// # Safety
    /// `file` is a valid C string, or null.
    unsafe fn origin(&mut self, file: *const c_char, line: u32) -> Origin {
        // SAFETY: the caller meets the requirements above.
        let file = unsafe { c_text(file) };
        if *self.file != *file {
            self.file = file.as_ref().into();
        }
        Origin {
            file: Arc::clone(&self.file),
            line,
        }
    }

    /// Copies of the directives of a list.
    ///
    /// # Safety
    /// `first` is null, or begins a valid list.
    unsafe fn directives(&mut self, first: *const Line) -> Vec<Directive> {
        let mut directives = Vec::new();
        // SAFETY: the caller promises that a pointer that is not null is valid.
        let mut next = unsafe { first.as_ref() };
        while let Some(line) = next {
            directives.push(Directive {
                // SAFETY: the caller promises valid C strings.
                name: unsafe { c_text(line.name) }.into_owned(),
                // SAFETY: the caller promises `arg_count` valid C strings.
                args: unsafe { c_texts(line.argv, line.argc) },
                // SAFETY: as above.
                origin: unsafe { self.origin(line.file, line.line) },
                in_section: line.in_section,
            });
            // SAFETY: as for the first one.
            next = unsafe { line.next.as_ref() };
        }
        directives
    }
}

/// The properties of httpd and of its other modules that directives depend on.
#[derive(Debug)]
#[repr(C)]
pub struct EnvironmentInfo {
    /// What the configuration is compiled for.
    pub mode: CompileMode,
    /// The directory that relative paths start from.
    pub server_root: *const c_char,
    /// The socket for `tls-certs` in httpd's directory for such files; null if that is not known.
    pub control_socket: *const c_char,
    /// The directory of OCSP responses and revocation lists, unless the configuration names another one.
    pub revocation_cache: *const c_char,
    /// The version of httpd: `2.4.71`.
    pub version: *const c_char,
    /// Whether another module provides OCSP responses.
    pub has_stapler: bool,
    /// Whether another module may supply certificates for hosts later.
    pub has_supplier: bool,
    /// Whether another module may speak TLS on some port.
    pub has_other_tls: bool,
    /// Whether mod_ssl's directives are available.
    pub has_mod_ssl: bool,
    /// Whether only mod_ssl's directives are available.
    pub has_only_mod_ssl: bool,
}

/// A directive of the configuration, an element of a list.
#[derive(Debug)]
#[repr(C)]
pub struct Line {
    /// The next directive; null after the last.
    pub next: *mut Line,
    /// Its name.
    pub name: *const c_char,
    /// The configuration file that it stands in.
    pub file: *const c_char,
    /// The line that it stands at.
    pub line: u32,
    /// Whether it stands in a section for some requests, such as `<Location>`.
    pub in_section: bool,
    /// The number of its arguments.
    pub argc: usize,
    /// Its arguments.
    pub argv: *const *const c_char,
}

/// An IP address with a port.
#[derive(Debug)]
#[repr(C)]
pub struct Address {
    /// The address in network byte order. httpd's wildcard addresses stand for all.
    pub ip: *const u8,
    /// The number of bytes: 4 or 16, or 0 for all addresses.
    pub ip_len: usize,
    /// The port; 0 for all ports.
    pub port: u16,
}

impl Address {
    /// # Safety
    /// `ip` points to `ip_len` bytes.
    unsafe fn get(&self) -> (Option<IpAddr>, u16) {
        // SAFETY: the caller meets the requirements above.
        let ip = unsafe { ip_address(self.ip, self.ip_len) };
        // httpd reads `_default_` as 255.255.255.255.
        let is_any = |ip: &IpAddr| ip.is_unspecified() || *ip == IpAddr::V4(Ipv4Addr::BROADCAST);
        (ip.filter(|ip| !is_any(ip)), self.port)
    }
}

/// A server of httpd.
#[derive(Debug)]
#[repr(C)]
pub struct ServerInfo {
    /// Its ServerName.
    pub name: *const c_char,
    /// The port of its ServerName; 0 if that has none.
    pub port: u16,
    /// The protocol of the server in httpd's configuration; null if it is not configured.
    pub protocol: *const c_char,
    /// The protocols that it offers by ALPN, separated by spaces.
    pub alpn: *const c_char,
    /// The configuration file that it begins in.
    pub file: *const c_char,
    /// The line that it begins at.
    pub line: u32,
    /// Its addresses.
    pub addresses: *const Address,
    /// The number of addresses.
    pub address_count: usize,
    /// Its ServerAliases, including those with wildcards. Elements may be null.
    pub aliases: *const *const c_char,
    /// The number of aliases.
    pub alias_count: usize,
    /// Its own directives.
    pub lines: *const Line,
}

/// The texts of an array of C strings, without null pointers.
///
/// # Safety
/// `data` points to `count` pointers, each of which is a valid C string or null.
unsafe fn c_texts(data: *const *const c_char, count: usize) -> Vec<String> {
    // SAFETY: the caller meets the requirements above.
    let pointers = unsafe { array(data, count) }.iter().filter(|text| !text.is_null());
    // SAFETY: as above.
    pointers.map(|text| unsafe { c_text(*text) }.into_owned()).collect()
}

/// The same as [`c_text`], or nothing for a null pointer.
///
/// # Safety
/// `text` is a valid C string, or null.
unsafe fn optional_text(text: *const c_char) -> Option<String> {
    // SAFETY: the caller meets the requirements above.
    (!text.is_null()).then(|| unsafe { c_text(text) }.into_owned())
}

/// The IP address in network byte order that `data` and `len` (4 or 16) describe.
///
/// # Safety
/// `data` points to `len` bytes, or is null.
pub(crate) unsafe fn ip_address(data: *const u8, len: usize) -> Option<IpAddr> {
    // SAFETY: the caller meets the requirements above.
    let bytes = unsafe { array(data, len) };
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(IpAddr::from(v4));
    }
    let v6 = <[u8; 16]>::try_from(bytes).ok()?;
    Some(IpAddr::from(v6).to_canonical())
}

/// Makes an empty configuration.
///
/// # Safety
/// The pointers and the C strings in `info` are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_builder_new(
    process: *const Process,
    info: *const EnvironmentInfo,
    out: *mut *mut Builder,
) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid.
        let (process, info, out) = unsafe { (process.as_ref()?, info.as_ref()?, out.as_mut()?) };
        // SAFETY: the caller promises valid C strings.
        let (root, version) = unsafe { (CStr::from_ptr(info.server_root), c_text(info.version)) };
        directive_names::choose(info.has_only_mod_ssl, &version);
        // SAFETY: as above.
        let path = |text: *const c_char| {
            let text = (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) });
            text.map(|path| OsStr::from_bytes(path.to_bytes()).into())
        };
        let environment = Environment {
            mode: info.mode,
            server_root: OsStr::from_bytes(root.to_bytes()).into(),
            key_program: launcher::key_program(),
            control_socket: path(info.control_socket),
            revocation_cache: path(info.revocation_cache),
            has_stapler: info.has_stapler,
            has_supplier: info.has_supplier,
            has_other_tls: info.has_other_tls,
            has_mod_ssl: info.has_mod_ssl,
        };
        *out = Box::into_raw(Box::new(Builder {
            config: mod_tls_core::config::Builder::new(Arc::clone(&process.0), environment),
            file: "".into(),
        }));
        Some(Status::Ok)
    })
}

/// Adds an address that httpd listens to. `protocol` is the one that `Listen` names; null if it names none.
///
/// # Safety
/// The pointers and the C string are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_builder_add_listener(
    builder: *mut Builder,
    address: *const Address,
    protocol: *const c_char,
) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid.
        let (builder, address) = unsafe { (builder.as_mut()?, address.as_ref()?) };
        // SAFETY: the caller promises valid bytes and a valid C string.
        let ((ip, port), protocol) = unsafe { (address.get(), optional_text(protocol)) };
        builder.config.add_listener(Listener { ip, port, protocol });
        Some(Status::Ok)
    })
}

/// Adds the next server: the base server first, then its virtual hosts. `out` is its index, counted from 0.
///
/// # Safety
/// The pointers, and all that `info` points to, are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_builder_add_server(
    builder: *mut Builder,
    info: *const ServerInfo,
    out: *mut usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid.
        let (builder, info, out) = unsafe { (builder.as_mut()?, info.as_ref()?, out.as_mut()?) };
        // SAFETY: the caller promises valid C strings, here and below.
        let (name, origin) = unsafe { (c_text(info.name), builder.origin(info.file, info.line)) };
        let mut server = Server::new(name, origin);
        server.port = info.port;
        // SAFETY: as above.
        (server.protocol, server.alpn) = unsafe { (optional_text(info.protocol), c_text(info.alpn).into_owned()) };
        // SAFETY: the caller promises `address_count` addresses.
        let addresses = unsafe { array(info.addresses, info.address_count) };
        // SAFETY: the caller promises that their bytes are valid.
        server.addresses = addresses.iter().map(|address| unsafe { address.get() }).collect();
        // SAFETY: the caller promises `alias_count` aliases and a valid list.
        (server.aliases, server.directives) =
            unsafe { (c_texts(info.aliases, info.alias_count), builder.directives(info.lines)) };
        *out = builder.config.add_server(server);
        Some(Status::Ok)
    })
}

/// Adds a directive of another module; irrelevant ones are ignored. `host_file` and `host_line` are the place where its
/// `<VirtualHost>` begins; `host_file` is null outside of virtual hosts.
///
/// # Safety
/// The pointer and the C strings are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_builder_add_foreign(
    builder: *mut Builder,
    host_file: *const c_char,
    host_line: u32,
    name: *const c_char,
    args: *const c_char,
    file: *const c_char,
    line: u32,
) -> Status {
    guard(|| {
        // SAFETY: the caller promises that a pointer that is not null is valid.
        let builder = unsafe { builder.as_mut()? };
        // SAFETY: the caller promises valid C strings, here and below.
        let host = (!host_file.is_null()).then(|| unsafe { builder.origin(host_file, host_line) });
        // SAFETY: as above.
        let (name, args, origin) = unsafe { (c_text(name), c_text(args), builder.origin(file, line)) };
        builder.config.add_foreign(host.as_ref(), &name, &args, &origin);
        Some(Status::Ok)
    })
}

/// Adds a block of `TLSProxy…` directives that stand together in `server`. `out` is its number.
///
/// # Safety
/// The pointers and the list are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_builder_add_proxy_block(
    builder: *mut Builder,
    server: usize,
    lines: *const Line,
    out: *mut usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid.
        let (builder, out) = unsafe { (builder.as_mut()?, out.as_mut()?) };
        // SAFETY: the caller promises a valid list.
        let directives = unsafe { builder.directives(lines) };
        *out = builder.config.add_proxy_block(server, directives);
        Some(Status::Ok)
    })
}

/// Adds a chain of blocks that may apply to requests in `server`, the outermost first.
///
/// # Safety
/// The pointers are valid, and `chain` has `count` elements.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_builder_add_proxy_chain(
    builder: *mut Builder,
    server: usize,
    chain: *const usize,
    count: usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller promises that a pointer that is not null is valid, and `count` elements.
        let (builder, chain) = unsafe { (builder.as_mut()?, array(chain, count)) };
        builder.config.add_proxy_chain(server, chain.to_vec());
        Some(Status::Ok)
    })
}

/// Adds a certificate that another module supplies for a server: instead of configured ones, or (`stopgap`) as a temporary
/// one. `key` is null if the key is in the certificate's file.
///
/// # Safety
/// The pointer and the C strings are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_builder_add_certificate(
    builder: *mut Builder,
    server: usize,
    certificate: *const c_char,
    key: *const c_char,
    stopgap: bool,
) -> Status {
    guard(|| {
        // SAFETY: the caller promises that a pointer that is not null is valid.
        let builder = unsafe { builder.as_mut()? };
        // SAFETY: the caller promises a valid C string.
        let path =
            |text: *const c_char| unsafe { Path::new(OsStr::from_bytes(CStr::from_ptr(text).to_bytes())).into() };
        let files = IdentityFiles {
            certificate: path(certificate),
            chain: None,
            key: (!key.is_null()).then(|| path(key)),
        };
        let server = builder.config.server(server)?;
        let list = if stopgap {
            &mut server.stopgaps
        } else {
            &mut server.supplied
        };
        list.push(files);
        Some(Status::Ok)
    })
}

/// Whether the hosts of the address with the number `chain` were added.
///
/// # Safety
/// The pointer is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_builder_has_chain(builder: *const Builder, chain: usize) -> bool {
    // SAFETY: the caller promises that a pointer that is not null is valid.
    unsafe { builder.as_ref() }.is_some_and(|builder| builder.config.has_chain(chain))
}

/// Adds `server` as the next host of the address with the number `chain`. The caller chooses the number, and passes the
/// same to `tls_conn_find_server`.
///
/// # Safety
/// The pointer is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_builder_add_to_chain(builder: *mut Builder, chain: usize, server: usize) -> Status {
    guard(|| {
        // SAFETY: the caller promises that a pointer that is not null is valid.
        let builder = unsafe { builder.as_mut()? };
        builder.config.server(server)?;
        builder.config.add_to_chain(chain, server);
        Some(Status::Ok)
    })
}

/// Adds an address, whose hosts are those with the number `chain`.
///
/// # Safety
/// The pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_builder_add_address(
    builder: *mut Builder,
    address: *const Address,
    chain: usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid.
        let (builder, address) = unsafe { (builder.as_mut()?, address.as_ref()?) };
        // SAFETY: the caller promises valid bytes.
        let (ip, port) = unsafe { address.get() };
        builder.config.add_address(ip, port, chain);
        Some(Status::Ok)
    })
}

/// Compiles the configuration. Always frees `builder`. `diagnostics` is set to all messages about the configuration.
/// `config` is set if none of them is an error; otherwise the status is `TLS_STATUS_FAILED`.
///
/// # Safety
/// `builder` was given out by `tls_builder_new` and is not used again. The other pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_builder_compile(
    builder: *mut Builder,
    config: *mut *mut ConfigHandle,
    diagnostics: *mut *mut DiagnosticsHandle,
) -> Status {
    // The keys of tickets are derived in here.
    leaving_nothing(|| {
        let status = guard(|| {
            if builder.is_null() {
                return None;
            }
            // SAFETY: builders are given out as boxes, and the caller gives this one back.
            let builder = unsafe { Box::from_raw(builder) };
            // SAFETY: the caller promises that pointers that are not null are valid.
            let (config, diagnostics) = unsafe { (config.as_mut()?, diagnostics.as_mut()?) };
            let (compiled, messages) = builder.config.compile();
            *diagnostics = Box::into_raw(Box::new(DiagnosticsHandle(messages)));
            let Some(compiled) = compiled else {
                return Some(Status::Failed);
            };
            *config = Box::into_raw(Box::new(ConfigHandle(compiled)));
            Some(Status::Ok)
        });
        (status, Secrets::Used)
    })
}
