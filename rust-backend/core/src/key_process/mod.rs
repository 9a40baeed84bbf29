// SPDX-License-Identifier: Apache-2.0
//! `tls-keyd`, the process that has the private keys: what httpd's processes have to do with it, and the protocol.
//!
//! The parent process starts it and hands it the files ([`parent`]). Child processes ask it for signatures ([`door`]). The process
//! that watches it serves `tls-certs` ([`control`], [`inquiry`]).
//!
//! May use: base, crypto.

pub mod channel;
pub mod companion;
pub mod control;
pub mod door;
pub mod inquiry;
pub mod journal;
pub mod parent;
pub mod permitted;
pub mod protocol;
pub mod remote_key;
mod running;
mod supervision;
pub mod suppliers;
pub mod supply;
pub mod watch_orders;
mod watcher;
mod watching;
