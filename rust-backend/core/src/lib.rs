// SPDX-License-Identifier: Apache-2.0
//! What mod_tls knows about TLS, without httpd: configuration, certificates and keys, connections and their state.
//!
//! A configuration goes through [`config::Builder`] and comes out as an immutable [`config::Config`]. A connection
//! ([`connection::Connection`]) is fed with bytes, asks for the site that its client means, and then encrypts and
//! decrypts. [`facts::Facts`] tell what was agreed on.
#![forbid(unsafe_code)]

pub mod access;
mod alert;
pub mod ciphers;
pub mod client_auth;
pub mod clock;
mod compile;
pub mod config;
pub mod connection;
mod copying;
pub mod counters;
mod crypto;
mod deferred_key;
pub mod diagnostics;
pub mod directive;
mod dump;
pub mod early_data;
pub mod encrypted_key;
pub mod facts;
pub mod failure;
pub mod fault;
pub mod files;
mod framing;
pub mod groups;
pub mod handshake_timeout;
mod hello;
pub mod identity;
pub mod journal;
mod key_kind;
pub mod key_log;
pub mod options;
pub mod pass_phrase;
pub mod pem;
pub mod process;
pub mod profile;
mod program;
pub mod protocol;
pub mod proxy;
mod punycode;
mod record_size;
mod rejected_early_data;
pub mod routing;
pub mod sessions;
pub mod settings;
pub mod shared;
pub mod site;
pub mod ssl;
pub mod tickets;
pub mod trust;
mod variable_names;
pub mod vhosts;
mod wrong_file;
pub mod x509;

pub use rustls::AlertDescription;
pub use rustls_pki_types::CertificateDer;
