// SPDX-License-Identifier: Apache-2.0
//! mod_ssl's directives.
//!
//! They fill the same settings as the `TLS…` directives, with the syntax, the defaults and the merging of mod_ssl. What one
//! of them cannot mean here is said in [`table`], where each directive has its entry, and nowhere else.

pub mod cipher_string;
mod conf_cmd;
pub mod protocol;
mod proxy;
mod server;
pub mod sni_policy;
pub mod sources;
pub mod suites;
pub mod table;
pub mod vocabulary;

pub use server::demand;

/// For how long mod_ssl resumes sessions unless somebody says otherwise, in seconds.
pub(crate) const DEFAULT_LIFETIME: u32 = 300;
