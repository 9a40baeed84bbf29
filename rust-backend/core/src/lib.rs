// SPDX-License-Identifier: Apache-2.0
//! What mod_tls knows about TLS, without httpd: configuration, certificates and keys, connections and their state.
//!
//! A configuration goes through [`config::Builder`] and comes out as an immutable [`config::Config`]. A connection
//! ([`connection::Connection`]) is fed with bytes, asks for the site that its client means, and then encrypts and
//! decrypts. [`info::facts::Facts`] tell what was agreed on.
//!
//! Each module here is a room: its `mod.rs` says what it is for and which rooms it may use. They use each other in one
//! direction, from `connection` at the top to `base` at the bottom; a test keeps it so.
#![forbid(unsafe_code)]

pub mod backend;
pub mod base;
pub mod config;
pub mod connection;
pub mod crypto;
pub mod info;
pub mod keys;
pub mod mod_ssl;
pub mod process;
pub mod request;
pub mod session;
pub mod settings;
pub mod site;
pub mod trust;
pub mod x509;

pub use rustls::AlertDescription;
pub use rustls_pki_types::CertificateDer;
