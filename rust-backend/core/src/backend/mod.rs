// SPDX-License-Identifier: Apache-2.0
//! TLS connections to backends.
//!
//! `TLSProxy…` directives are stored in *blocks*: one for the base server, one for each virtual host, and one for each
//! section with such directives. httpd merges the blocks for each request. The result is a *chain* of blocks, the
//! outermost first. A [`profile::ProxyProfile`] is built for each chain that occurs. All files are read while httpd
//! runs as root.
//!
//! May use: base, crypto, key_process, keys, process, settings, trust, x509.

pub mod machines;
pub mod profile;
pub mod store;
mod verifier;
