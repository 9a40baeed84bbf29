// SPDX-License-Identifier: Apache-2.0
//! The status page and metrics.

use mod_tls_core::status::{StatusKind, StatusRequest, respond};

use crate::config::ConfigHandle;
use crate::guard::{Status, guard};
use crate::stack::{Secrets, leaving_nothing};
use crate::types::{OwnedText, Slice, array};

/// A request for the status, and what httpd knows about itself.
#[derive(Debug)]
#[repr(C)]
pub struct StatusAsked {
    /// What is asked for.
    pub kind: StatusKind,
    /// The query string of the URL.
    pub query: Slice,
    /// The header `Accept`.
    pub accept: Slice,
    /// The time in seconds since 1970.
    pub now: i64,
    /// When the configuration was read, in seconds since 1970.
    pub configured: i64,
    /// How often it was read again.
    pub generation: u64,
    /// The process numbers of the child processes.
    pub children: *const u32,
    /// Their number.
    pub children_count: usize,
}

/// The response. `tls_text_free` frees the texts.
#[derive(Debug)]
#[repr(C)]
pub struct StatusAnswer {
    /// The header `Content-Type`.
    pub content_type: OwnedText,
    /// The header `Content-Security-Policy`.
    pub policy: OwnedText,
    /// The body.
    pub body: OwnedText,
}

/// Sets `out` to the response to `asked`.
///
/// # Safety
/// The pointers and the slices are valid, and `children` has `children_count` elements.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_config_status(
    config: *const ConfigHandle,
    asked: *const StatusAsked,
    out: *mut StatusAnswer,
) -> Status {
    // Keys of tickets may be derived in here, if the parent process has told of a new seed.
    leaving_nothing(|| {
        let status = guard(|| {
            // SAFETY: the caller promises that pointers that are not null are valid.
            let (config, asked, out) = unsafe { (config.as_ref()?, asked.as_ref()?, out.as_mut()?) };
            // SAFETY: the caller promises valid slices, and the elements.
            let (query, accept, children) = unsafe {
                (
                    asked.query.text(),
                    asked.accept.text(),
                    array(asked.children, asked.children_count),
                )
            };
            let request = StatusRequest {
                query: &query,
                accept: &accept,
                now: asked.now,
                configured: asked.configured,
                generation: asked.generation,
                children: children.into(),
            };
            let response = respond(&config.0, asked.kind, &request);
            *out = StatusAnswer {
                content_type: OwnedText::give(response.content_type),
                policy: OwnedText::give(response.policy),
                body: OwnedText::give(response.body),
            };
            Some(Status::Ok)
        });
        (status, Secrets::Used)
    })
}
