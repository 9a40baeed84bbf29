// SPDX-License-Identifier: Apache-2.0
//! The messages about a configuration.

use mod_tls_core::base::diagnostics::{Diagnostics, Severity};

use crate::guard::{Status, guard};
use crate::types::{OwnedText, Slice};

/// The severity of a message about the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum SeverityCode {
    /// For debugging.
    Debug,
    /// For information.
    Info,
    /// Normal, but significant.
    Notice,
    /// The server starts, but the configuration probably has a mistake.
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
    /// Its severity.
    pub severity: SeverityCode,
    /// The number of its server.
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

/// The output of `httpd -t -D DUMP_SSL_COMPAT`: the directives whose effect differs from mod_ssl, and those that are errors.
/// `tls_text_free` frees the text.
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

/// Frees messages. Null is ignored.
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
