// SPDX-License-Identifier: Apache-2.0
//! Directives as values: settings of the whole server, of virtual hosts and for backends.
//!
//! The `TLS*` directives are interpreted here ([`Interpreter`]). The module `mod_ssl` translates mod_ssl's
//! directives into the same settings.
//!
//! May use: base, crypto, key_process, keys, revocation, session, trust, x509.

pub mod backend;
mod control;
mod global;
pub mod handshake_timeout;
mod host;
mod interpreter;
pub mod monitoring;
pub mod only_suites;
pub mod revocation;
pub mod sni_policy;
pub mod sources;
pub(crate) mod suites;

pub use global::{EngineAddress, GlobalSettings, KeyPlace, SessionCache, StoreCacheSize, Watching};
pub(crate) use host::combine;
pub use host::{CertificateFiles, ClientSettings, HostSettings, Policy, SessionSettings};
pub use interpreter::Interpreter;
pub(crate) use interpreter::suppressed_ciphers;
