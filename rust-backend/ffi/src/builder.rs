// SPDX-License-Identifier: Apache-2.0
//! Putting a configuration together.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use mod_tls_core::base::diagnostics::Origin;
use mod_tls_core::base::directive::Directive;
use mod_tls_core::config::{Mode, Server};
use mod_tls_core::keys::identity::IdentityFiles;

use crate::config::ConfigHandle;
use crate::diagnostics::DiagnosticsHandle;
use crate::guard::{Status, guard};
use crate::process::Process;
use crate::types::{Slice, array, words};

/// A configuration in the making.
#[derive(Debug)]
pub struct Builder {
    config: mod_tls_core::config::Builder,
    /// The file that was named last: thousands of directives are in the same one.
    file: Arc<str>,
}

impl Builder {
    /// The place `file`:`line`.
    ///
    /// # Safety
    /// `file` is valid.
    unsafe fn origin(&mut self, file: Slice, line: u32) -> Origin {
        // SAFETY: the caller's promise is handed on.
        let file = unsafe { file.text() };
        if *self.file != *file {
            self.file = file.as_ref().into();
        }
        Origin {
            file: Arc::clone(&self.file),
            line,
        }
    }

    /// A directive, copied.
    ///
    /// # Safety
    /// The slices in `info` are valid.
    unsafe fn directive(&mut self, info: &DirectiveInfo) -> Directive {
        Directive {
            // SAFETY: the caller's promise is handed on.
            name: unsafe { info.name.text() }.into_owned(),
            // SAFETY: as above.
            args: unsafe { words(info.args, info.arg_count) },
            // SAFETY: as above.
            origin: unsafe { self.origin(info.file, info.line) },
            in_section: info.in_section,
        }
    }
}

/// A server of httpd's.
#[derive(Debug)]
#[repr(C)]
pub struct ServerInfo {
    /// Its ServerName.
    pub name: Slice,
    /// The port of its ServerName; 0 if that has none.
    pub port: u16,
    /// Whether it is at a port that httpd was told to be for https.
    pub https: bool,
    /// The configuration file that it begins in.
    pub file: Slice,
    /// The line that it begins at.
    pub line: u32,
}

/// A directive as the configuration has it.
#[derive(Debug)]
#[repr(C)]
pub struct DirectiveInfo {
    /// Its name.
    pub name: Slice,
    /// Its arguments.
    pub args: *const Slice,
    /// The number of arguments.
    pub arg_count: usize,
    /// The configuration file that it stands in.
    pub file: Slice,
    /// The line that it stands at.
    pub line: u32,
    /// Whether it stands in a section for some requests, such as `<Location>`.
    pub in_section: bool,
}

/// What a configuration is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum CompileMode {
    /// `httpd -t`: it must change nothing outside. Other modules are not ready to be asked.
    Test,
    /// The first of the two passes of a start: what does not prevent it is for the second one.
    First,
    /// It will be used.
    Run,
}

impl From<CompileMode> for Mode {
    fn from(mode: CompileMode) -> Self {
        match mode {
            CompileMode::Test => Self::Test,
            CompileMode::First => Self::First,
            CompileMode::Run => Self::Run,
        }
    }
}

/// The path in `slice`, whatever its encoding.
///
/// # Safety
/// `slice` is valid.
unsafe fn path(slice: Slice) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    // SAFETY: the caller's promise is handed on.
    PathBuf::from(std::ffi::OsStr::from_bytes(unsafe { slice.bytes() }))
}

/// The IP address in network byte order that `data` and `len` (4 or 16) describe.
///
/// # Safety
/// `data` points to `len` bytes, or is null.
pub(crate) unsafe fn ip_address(data: *const u8, len: usize) -> Option<IpAddr> {
    // SAFETY: the caller's promise is handed on.
    let bytes = unsafe { array(data, len) };
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(IpAddr::from(v4));
    }
    let v6 = <[u8; 16]>::try_from(bytes).ok()?;
    Some(IpAddr::from(v6).to_canonical())
}

/// Begins a configuration. Relative paths in it start at `server_root`.
///
/// # Safety
/// The pointers and the slice are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_builder_new(
    process: *const Process,
    server_root: Slice,
    out: *mut *mut Builder,
) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid.
        let (process, out) = unsafe { (process.as_ref()?, out.as_mut()?) };
        // SAFETY: the caller promises a valid slice.
        let root = unsafe { path(server_root) };
        let builder = mod_tls_core::config::Builder::new(Arc::clone(&process.0), root);
        *out = Box::into_raw(Box::new(Builder {
            config: builder,
            file: "".into(),
        }));
        Some(Status::Ok)
    })
}

/// Says what the configuration is compiled for.
///
/// # Safety
/// The pointer is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_builder_set_mode(builder: *mut Builder, mode: CompileMode) -> Status {
    guard(|| {
        // SAFETY: the caller promises that a pointer that is not null is valid.
        unsafe { builder.as_mut()? }.config.set_mode(mode.into());
        Some(Status::Ok)
    })
}

/// Says that another module provides OCSP responses.
///
/// # Safety
/// The pointer is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_builder_set_stapler(builder: *mut Builder) -> Status {
    guard(|| {
        // SAFETY: the caller promises that a pointer that is not null is valid.
        unsafe { builder.as_mut()? }.config.set_stapler();
        Some(Status::Ok)
    })
}

/// Says whether mod_ssl's directives are there, and whether they are the only ones; `version` is that of httpd: `2.4.71`.
///
/// # Safety
/// The pointer and the slice are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_builder_set_mod_ssl(
    builder: *mut Builder,
    is_there: bool,
    only: bool,
    version: Slice,
) -> Status {
    guard(|| {
        // SAFETY: the caller promises that a pointer that is not null is valid, and a valid slice.
        let (builder, version) = unsafe { (builder.as_mut()?, version.text()) };
        builder.config.set_mod_ssl(is_there, only, &version);
        Some(Status::Ok)
    })
}

/// Says that another module may have certificates for hosts, once it can be asked.
///
/// # Safety
/// The pointer is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_builder_set_supplier(builder: *mut Builder) -> Status {
    guard(|| {
        // SAFETY: the caller promises that a pointer that is not null is valid.
        unsafe { builder.as_mut()? }.config.set_supplier();
        Some(Status::Ok)
    })
}

/// Says that another module may speak TLS at some port.
///
/// # Safety
/// The pointer is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_builder_set_other_tls(builder: *mut Builder) -> Status {
    guard(|| {
        // SAFETY: the caller promises that a pointer that is not null is valid.
        unsafe { builder.as_mut()? }.config.set_other_tls();
        Some(Status::Ok)
    })
}

/// Adds an address that httpd listens to: `ip` has `ip_len` bytes in network order, 4 or 16, or 0 for all addresses.
///
/// # Safety
/// The pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_builder_add_listener(
    builder: *mut Builder,
    ip: *const u8,
    ip_len: usize,
    port: u16,
) -> Status {
    guard(|| {
        // SAFETY: the caller promises that a pointer that is not null is valid.
        let builder = unsafe { builder.as_mut()? };
        // SAFETY: the caller promises `ip_len` bytes.
        let ip = unsafe { ip_address(ip, ip_len) };
        builder.config.add_listener(ip, port);
        Some(Status::Ok)
    })
}

/// Adds the next server: the base server first, then its virtual hosts. `out` is its index, counted from 0.
///
/// # Safety
/// The pointers and the slices in `info` are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_builder_add_server(
    builder: *mut Builder,
    info: *const ServerInfo,
    out: *mut usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid.
        let (builder, info, out) = unsafe { (builder.as_mut()?, info.as_ref()?, out.as_mut()?) };
        // SAFETY: the caller promises valid slices.
        let origin = unsafe { builder.origin(info.file, info.line) };
        *out = builder.config.add_server(Server {
            // SAFETY: as above.
            name: unsafe { info.name.text() }.into_owned(),
            port: info.port,
            https: info.https,
            aliases: Vec::new(),
            origin,
            addresses: Vec::new(),
            directives: Vec::new(),
            supplied: Vec::new(),
            stopgaps: Vec::new(),
        });
        Some(Status::Ok)
    })
}

/// Adds a ServerAlias, with or without wildcards, to a server.
///
/// # Safety
/// The pointer and the slice are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_builder_add_alias(builder: *mut Builder, server: usize, alias: Slice) -> Status {
    guard(|| {
        // SAFETY: the caller promises that a pointer that is not null is valid.
        let builder = unsafe { builder.as_mut()? };
        // SAFETY: the caller promises a valid slice.
        let alias = unsafe { alias.text() }.into_owned();
        builder.config.server(server)?.aliases.push(alias);
        Some(Status::Ok)
    })
}

/// Adds an address to a server: `ip` has `ip_len` bytes in network order, 4 or 16, or 0 for all addresses; port 0 means
/// all ports.
///
/// # Safety
/// The pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_builder_add_address(
    builder: *mut Builder,
    server: usize,
    ip: *const u8,
    ip_len: usize,
    port: u16,
) -> Status {
    guard(|| {
        // SAFETY: the caller promises that a pointer that is not null is valid.
        let builder = unsafe { builder.as_mut()? };
        // SAFETY: the caller promises `ip_len` bytes.
        let ip = unsafe { ip_address(ip, ip_len) };
        builder.config.server(server)?.addresses.push((ip, port));
        Some(Status::Ok)
    })
}

/// Adds a directive to a server.
///
/// # Safety
/// The pointers and the slices in `directive` are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_builder_add_directive(
    builder: *mut Builder,
    server: usize,
    directive: *const DirectiveInfo,
) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid.
        let (builder, info) = unsafe { (builder.as_mut()?, directive.as_ref()?) };
        // SAFETY: the caller promises valid slices.
        let directive = unsafe { builder.directive(info) };
        builder.config.server(server)?.directives.push(directive);
        Some(Status::Ok)
    })
}

/// Begins a block of `TLSProxy…` directives in `server`. `out` is its number.
///
/// # Safety
/// The pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_builder_add_proxy_block(builder: *mut Builder, server: usize, out: *mut usize) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid.
        let (builder, out) = unsafe { (builder.as_mut()?, out.as_mut()?) };
        *out = builder.config.add_proxy_block(server);
        Some(Status::Ok)
    })
}

/// Adds a directive to a block.
///
/// # Safety
/// The pointers and the slices in `directive` are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_builder_add_proxy_directive(
    builder: *mut Builder,
    block: usize,
    directive: *const DirectiveInfo,
) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid.
        let (builder, info) = unsafe { (builder.as_mut()?, directive.as_ref()?) };
        // SAFETY: the caller promises valid slices.
        let directive = unsafe { builder.directive(info) };
        builder.config.proxy_block(block)?.directives.push(directive);
        Some(Status::Ok)
    })
}

/// Says that requests in `server` may meet the blocks of `chain`, the outermost first.
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

/// Adds a certificate that another module has for a server: instead of configured ones, or (`stopgap`) until there are
/// real ones. An empty `key` means that the key is in the certificate's file.
///
/// # Safety
/// The pointer and the slices are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_builder_add_certificate(
    builder: *mut Builder,
    server: usize,
    certificate: Slice,
    key: Slice,
    stopgap: bool,
) -> Status {
    guard(|| {
        // SAFETY: the caller promises that a pointer that is not null is valid.
        let builder = unsafe { builder.as_mut()? };
        let files = IdentityFiles {
            // SAFETY: the caller promises valid slices.
            certificate: unsafe { path(certificate) }.into(),
            chain: None,
            // SAFETY: as above.
            key: (key.len > 0).then(|| unsafe { path(key) }.into()),
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

/// Whether the hosts of the address known as `chain` were added.
///
/// # Safety
/// The pointer is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_builder_has_chain(builder: *const Builder, chain: usize) -> bool {
    // SAFETY: the caller promises that a pointer that is not null is valid.
    unsafe { builder.as_ref() }.is_some_and(|builder| builder.config.has_chain(chain))
}

/// Says that the next host of the address known as `chain` is `server`. The number that stands for the address is the
/// caller's choice; `tls_conn_find_server` is given the same.
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

/// Checks the configuration and frees `builder`, whatever comes of it. `diagnostics` is set to all messages about it.
/// `config` is set if there is no error among them; otherwise the status is `TLS_STATUS_FAILED`.
///
/// # Safety
/// `builder` was given out by `tls_builder_new` and is not used again. The other pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_builder_compile(
    builder: *mut Builder,
    config: *mut *mut ConfigHandle,
    diagnostics: *mut *mut DiagnosticsHandle,
) -> Status {
    guard(|| {
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
    })
}
