// SPDX-License-Identifier: Apache-2.0
//! mod_ssl's directives.
//!
//! They set the same settings as the `TLS…` directives, with the syntax, the defaults and the merging of mod_ssl.
//! [`mod_tls_directives::mod_ssl::TABLE`] lists where their effect differs from mod_ssl.
//!
//! May use: base, crypto, directives, keys, session, settings, trust, x509.

mod conf_cmd;
pub mod protocol;
mod proxy;
mod server;
mod sources;
pub mod suites;

pub use server::verify_mode;

use crate::base::directive::Directive;
use crate::settings::backend::ProxySettings;
use crate::settings::{HostSettings, Interpreter};

/// Interprets one of mod_ssl's directives in server `index`; server 0 is the base server.
pub(crate) fn interpret(
    interpreter: &mut Interpreter<'_>,
    index: usize,
    directive: &Directive,
    host: &mut HostSettings,
) -> Result<(), String> {
    interpreter.interpret_ssl(index, directive, host)
}

/// Interprets one of mod_ssl's directives about backends in server `index`.
pub(crate) fn interpret_proxy(
    interpreter: &mut Interpreter<'_>,
    index: usize,
    directive: &Directive,
    settings: &mut ProxySettings,
) -> Result<(), String> {
    interpreter.interpret_ssl_proxy(index, directive, settings)
}
