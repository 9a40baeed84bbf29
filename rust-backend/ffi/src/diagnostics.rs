// SPDX-License-Identifier: Apache-2.0
//! What compiling a configuration has to tell the administrator.

use mod_tls_core::base::diagnostics::{Diagnostics, Severity};

use crate::guard::{Status, guard};
use crate::types::{OwnedText, Slice};

/// How grave a message about the configuration is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum SeverityCode {
    /// Of interest while something is debugged.
    Debug,
    /// Of interest where something is looked into.
    Info,
    /// Worth knowing.
    Notice,
    /// The server runs, but not as its administrator will want.
    Warning,
    /// The server must not start.
    Error,
}

impl From<Severity> for SeverityCode {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Notice => Self::Notice,
            Severity::Warning => Self::Warning,
            Severity::Error => Self::Error,
        }
    }
}

/// A message about the configuration.
#[derive(Debug)]
#[repr(C)]
pub struct DiagnosticView {
    /// How grave it is.
    pub severity: SeverityCode,
    /// The server that it is about.
    pub server: usize,
    /// The message.
    pub text: Slice,
}

/// The messages about a configuration.
#[derive(Debug)]
pub struct DiagnosticsHandle(pub(crate) Diagnostics);

/// Message `index`, counted from 0, borrowed until the messages are freed. `TLS_STATUS_FAILED` after the last one.
///
/// # Safety
/// The pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_diagnostics_get(
    diagnostics: *const DiagnosticsHandle,
    index: usize,
    out: *mut DiagnosticView,
) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid.
        let (diagnostics, out) = unsafe { (diagnostics.as_ref()?, out.as_mut()?) };
        let Some(diagnostic) = diagnostics.0.list().get(index) else {
            return Some(Status::Failed);
        };
        *out = DiagnosticView {
            severity: diagnostic.severity.into(),
            server: diagnostic.server,
            text: Slice::of(diagnostic.text.as_bytes()),
        };
        Some(Status::Ok)
    })
}

/// What `httpd -t -D DUMP_SSL_COMPAT` prints: the directives of mod_ssl's that do something else here, and those that are
/// errors. `tls_text_free` frees the text.
///
/// # Safety
/// The pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_diagnostics_dump(diagnostics: *const DiagnosticsHandle, out: *mut OwnedText) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid.
        let (diagnostics, out) = unsafe { (diagnostics.as_ref()?, out.as_mut()?) };
        *out = OwnedText::give(diagnostics.0.dump_deviations());
        Some(Status::Ok)
    })
}

/// Frees messages. Null is left alone.
///
/// # Safety
/// `diagnostics` was given out by `tls_builder_compile` and is freed once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_diagnostics_free(diagnostics: *mut DiagnosticsHandle) {
    if !diagnostics.is_null() {
        // SAFETY: messages are given out as boxes, and the caller frees them once.
        drop(unsafe { Box::from_raw(diagnostics) });
    }
}
