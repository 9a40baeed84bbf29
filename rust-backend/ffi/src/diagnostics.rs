// SPDX-License-Identifier: Apache-2.0
//! What compiling a configuration has to tell the administrator.

use mod_tls_core::base::diagnostics::{Diagnostics, Severity};

use crate::guard::{Status, guard};
use crate::types::Slice;

/// How grave a message about the configuration is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum SeverityCode {
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

/// Directive `index` of mod_ssl's that does something else here, counted from 0: where it stands, and what it does, borrowed
/// until the messages are freed. `TLS_STATUS_FAILED` after the last one.
///
/// # Safety
/// The pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_diagnostics_deviation(
    diagnostics: *const DiagnosticsHandle,
    index: usize,
    file: *mut Slice,
    line: *mut u32,
    text: *mut Slice,
) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid.
        let (diagnostics, file, line, text) =
            unsafe { (diagnostics.as_ref()?, file.as_mut()?, line.as_mut()?, text.as_mut()?) };
        let Some(deviation) = diagnostics.0.deviations().get(index) else {
            return Some(Status::Failed);
        };
        *file = Slice::of(deviation.origin.file.as_bytes());
        *line = deviation.origin.line;
        *text = Slice::of(deviation.text.as_bytes());
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
