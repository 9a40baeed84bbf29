// SPDX-License-Identifier: Apache-2.0
//! The C interface of mod_tls: opaque handles, slices and one status.
//!
//! Rules that hold for every function:
//!
//! - Pointers are checked for null, and a null where none is allowed gives `TLS_STATUS_INVALID`. Everything else about a
//!   pointer is the caller's promise: it was given out by this interface and not freed, or points to as many readable
//!   (for `out` parameters writable) elements as said.
//! - A panic never gets out. It gives `TLS_STATUS_INTERNAL`, `tls_last_panic` tells what happened, and the connection
//!   it happened on is of no more use.
//! - Slices that are returned are borrowed: from the handle they were asked of, until that handle is used again or
//!   freed. Text that the caller owns (`tls_text`) is freed by `tls_text_free`.
//! - A connection is used by one thread at a time. Configurations and info may be used by many.

mod accept;
mod builder;
mod cache;
mod config;
mod connection;
mod diagnostics;
mod guard;
mod info;
mod limit;
mod process;
mod rules;
mod types;
