// SPDX-License-Identifier: Apache-2.0
//! TLS to backends.
//!
//! What `TLSProxy…` directives say is kept in *blocks*: one for the base server, one for each virtual host and each section
//! that says something. httpd merges them for each request; what comes out is a *chain* of blocks, the outermost first, and
//! a [`profile::ProxyProfile`] is made for each chain that occurs. All files are read while httpd is still root.
//!
//! May use: base, crypto, keys, process, settings, trust, x509.

pub mod profile;
pub mod store;
mod verifier;
