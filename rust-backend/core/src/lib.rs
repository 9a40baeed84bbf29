// SPDX-License-Identifier: Apache-2.0
//! TLS for httpd, independent of httpd: configuration, certificates and keys, connections and their state.
//!
//! [`config::Builder`] compiles a configuration into an immutable [`config::Config`]. A connection
//! ([`connection::Connection`]) accepts data from the network, asks for the site that the client requests, and then
//! encrypts and decrypts. [`info::connection_info::ConnectionInfo`] is the result of the handshake.
//!
//! Each module is a room: its `mod.rs` describes its purpose and the rooms that it may use. The dependencies have one
//! direction, from `connection` at the top to `base` at the bottom; a test checks this.
#![forbid(unsafe_code)]

pub mod backend;
pub mod base;
pub mod config;
pub mod connection;
pub mod crypto;
pub mod info;
pub mod key_process;
pub mod keys;
pub mod mod_ssl;
pub mod process;
pub mod request;
pub mod revocation;
pub mod session;
pub mod settings;
pub mod site;
pub mod status;
pub mod trust;
pub mod x509;

pub use rustls::AlertDescription;
pub use rustls_pki_types::CertificateDer;
