// SPDX-License-Identifier: Apache-2.0
//! Which cipher suites are spoken, in which order.

use rustls::SupportedCipherSuite;

use crate::ciphers::{self, Cipher};
use crate::crypto::{ALL_CIPHER_SUITES, DEFAULT_CIPHER_SUITES};
use crate::diagnostics::{Diagnostics, Severity};
use crate::protocol::Protocols;
use crate::settings::Said;

/// What is said about suites.
pub(crate) struct SuiteSettings<'a> {
    /// What the directives begin with: `TLS` or `TLSProxy`.
    pub(crate) prefix: &'a str,
    /// Suites to be preferred.
    pub(crate) prefer: &'a Option<Said<Vec<&'static Cipher>>>,
    /// Suites not to be used.
    pub(crate) suppress: &'a Option<Said<Vec<&'static Cipher>>>,
}

/// The suites of server `index` in its order. A protocol version of which no suite is left is given up. None if an error
/// was reported.
pub(crate) fn arrange(
    diagnostics: &mut Diagnostics,
    index: usize,
    settings: &SuiteSettings<'_>,
    protocols: &mut Protocols,
) -> Option<Vec<SupportedCipherSuite>> {
    let SuiteSettings {
        prefix,
        prefer,
        suppress,
    } = settings;
    let supported: Vec<SupportedCipherSuite> = ALL_CIPHER_SUITES
        .iter()
        .copied()
        .filter(|suite| match suite.tls13() {
            Some(_) => protocols.tls13,
            None => protocols.tls12,
        })
        .filter(|suite| DEFAULT_CIPHER_SUITES.contains(suite) || is_named(prefer, suite))
        .collect();
    let names = |said: &Option<Said<Vec<_>>>| said.as_ref().map(|said| said.value.clone()).unwrap_or_default();
    let arranged = match ciphers::arrange(&supported, &names(prefer), &names(suppress)) {
        Ok(arranged) => arranged,
        Err(error) => {
            let origin = suppress.as_ref().or(prefer.as_ref()).map(|said| &said.origin);
            diagnostics.report(Severity::Error, index, origin, error);
            return None;
        }
    };
    if let Some(said) = prefer {
        for cipher in arranged.unsupported_preferred {
            let exists = |suite: &SupportedCipherSuite| u16::from(suite.suite()) == cipher.id;
            if !ALL_CIPHER_SUITES.iter().any(exists) {
                let name = cipher.name_iana();
                let text = format!("{prefix}CiphersPrefer: {name} is known but not supported, and will not be used");
                diagnostics.report(Severity::Warning, index, Some(&said.origin), text);
            }
        }
    }
    let has13 = arranged.suites.iter().any(|suite| suite.tls13().is_some());
    let has12 = arranged.suites.iter().any(|suite| suite.tls13().is_none());
    if let Some(said) = suppress {
        for (wanted, has, version) in [(protocols.tls12, has12, "TLSv1.2"), (protocols.tls13, has13, "TLSv1.3")] {
            if wanted && !has {
                let text =
                    format!("{prefix}CiphersSuppress leaves no cipher suite of {version}: it will not be spoken");
                diagnostics.report(Severity::Warning, index, Some(&said.origin), text);
            }
        }
    }
    protocols.tls12 &= has12;
    protocols.tls13 &= has13;
    Some(arranged.suites)
}

/// Whether a directive names the suite.
fn is_named(said: &Option<Said<Vec<&'static Cipher>>>, suite: &SupportedCipherSuite) -> bool {
    let id = u16::from(suite.suite());
    said.iter().flat_map(|said| &said.value).any(|cipher| cipher.id == id)
}
