// SPDX-License-Identifier: Apache-2.0
//! Which cipher suites are used, and their order.

use rustls::SupportedCipherSuite;

use crate::base::diagnostics::{Diagnostics, Severity};
use crate::base::directive::Located;
use crate::crypto::cipher_string;
use crate::crypto::ciphers::{self, Cipher};
use crate::crypto::protocol::Protocols;
use crate::crypto::{ALL_CIPHER_SUITES, DEFAULT_CIPHER_SUITES};
use crate::settings::only_suites::OnlySuites;

/// The settings of cipher suites.
pub(crate) struct SuiteSettings<'a> {
    /// The prefix of the directives' names: `TLS` or `TLSProxy`.
    pub(crate) prefix: &'a str,
    /// Preferred suites.
    pub(crate) prefer: &'a Option<Located<Vec<&'static Cipher>>>,
    /// Suites that are not used.
    pub(crate) suppress: &'a Option<Located<Vec<&'static Cipher>>>,
    /// The only suites that are used, if such lists are set.
    pub(crate) only: &'a OnlySuites,
    /// Whether OpenSSL's order is used if no list is set.
    pub(crate) is_mod_ssls: bool,
}

/// The suites of server `index` in its order. A protocol version without any suite is disabled. `None` if an error was
/// reported.
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
        only,
        is_mod_ssls,
    } = settings;
    let mut supported: Vec<SupportedCipherSuite> = ALL_CIPHER_SUITES
        .iter()
        .copied()
        .filter(|suite| match suite.tls13() {
            Some(_) => protocols.tls13,
            None => protocols.tls12,
        })
        .filter(|suite| match only.of(suite.tls13().is_some()) {
            Some(said) => position(said, suite).is_some(),
            None => DEFAULT_CIPHER_SUITES.contains(suite) || is_named(prefer, suite),
        })
        .collect();
    // Suites that are in no list keep rustls's order, or have OpenSSL's.
    let rank = |suite: &SupportedCipherSuite| match only.of(suite.tls13().is_some()) {
        Some(said) => position(said, suite),
        None if *is_mod_ssls => ciphers::by_id(suite.suite().into()).map(cipher_string::default_rank),
        None => None,
    };
    supported.sort_by_key(|suite| (suite.tls13().is_none(), rank(suite)));
    check_lists(diagnostics, index, settings, *protocols, &supported)?;
    let names = |said: &Option<Located<Vec<_>>>| said.as_ref().map(|said| said.value.clone()).unwrap_or_default();
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

/// Checks that the lists of the only suites contain one for each enabled version. `None` if an error was reported.
fn check_lists(
    diagnostics: &mut Diagnostics,
    index: usize,
    settings: &SuiteSettings<'_>,
    protocols: Protocols,
    supported: &[SupportedCipherSuite],
) -> Option<()> {
    let prefix = if settings.prefix == "TLS" { "SSL" } else { "SSLProxy" };
    for (is_spoken, is_tls13, version, exist) in [
        (
            protocols.tls12,
            false,
            "TLSv1.2",
            "there are the ECDHE suites with AES-GCM and ChaCha20-Poly1305",
        ),
        (
            protocols.tls13,
            true,
            "TLSv1.3",
            "there are TLS_AES_256_GCM_SHA384 and others",
        ),
    ] {
        if let Some(said) = settings.only.of(is_tls13).filter(|_| is_spoken)
            && !supported.iter().any(|suite| suite.tls13().is_some() == is_tls13)
        {
            let text = format!(
                "{prefix}CipherSuite leaves no suite of {version} that exists here: {exist}; add some, or do not speak \
                 {version} ({prefix}Protocol)"
            );
            diagnostics.report(Severity::Error, index, Some(&said.origin), text);
            return None;
        }
    }
    Some(())
}

fn position(said: &Located<Vec<&'static Cipher>>, suite: &SupportedCipherSuite) -> Option<usize> {
    let id = u16::from(suite.suite());
    said.value.iter().position(|cipher| cipher.id == id)
}

/// Whether a directive names the suite.
fn is_named(said: &Option<Located<Vec<&'static Cipher>>>, suite: &SupportedCipherSuite) -> bool {
    let id = u16::from(suite.suite());
    said.iter().flat_map(|said| &said.value).any(|cipher| cipher.id == id)
}
