// SPDX-License-Identifier: Apache-2.0
//! The C interface of mod_tls: opaque handles, slices and a status.
//!
//! Rules that hold for every function:
//!
//! - A null pointer where none is allowed gives `TLS_STATUS_INVALID`. The caller ensures that other pointers are valid:
//!   they were returned by this interface and are not freed yet, or point to as many readable (for `out` parameters
//!   writable) elements as stated.
//! - Panics are caught. The status is `TLS_STATUS_INTERNAL`, `tls_last_panic` returns the message, and the connection of
//!   the call cannot be used any more.
//! - Returned slices are borrowed from the handle of the call until that handle is used again or freed. Text that the
//!   caller owns (`tls_text`) is freed by `tls_text_free`.
//! - A connection is used by one thread at a time. Configurations and info may be used by several threads.

mod accept;
mod allocator;
mod builder;
mod cache;
mod config;
mod connection;
mod diagnostics;
mod expiry;
mod failures;
mod guard;
mod info;
mod launcher;
mod limit;
mod process;
mod rules;
mod stack;
mod status;
mod types;
