// SPDX-License-Identifier: Apache-2.0
//! `SSLCipherSuite` and `SSLProxyCipherSuite`: the cipher suites of TLS 1.2 and TLS 1.3.

use crate::base::diagnostics::{Diagnostics, Severity};
use crate::base::directive::Directive;
use crate::base::directive::Located;
use crate::crypto::cipher_string::{self, Evaluated, supported_tls12};
use crate::crypto::ciphers::Cipher;
use crate::settings::only_suites::OnlySuites;

/// Reads a directive: `[SSL|TLSv1.3] list`.
pub(crate) fn read(
    only: &mut OnlySuites,
    diagnostics: &mut Diagnostics,
    index: usize,
    directive: &Directive,
) -> Result<(), String> {
    let (is_tls13, evaluated) = parse(&directive.words())?;
    if !evaluated.unknown.is_empty() {
        let text = format!(
            "{}: no cipher suite is known by {}: passed over, as OpenSSL does",
            directive.name,
            evaluated.unknown.join(", ")
        );
        diagnostics.report(Severity::Notice, index, Some(&directive.origin), text);
    }
    if directive.args.iter().any(|arg| arg.starts_with("PROFILE=")) {
        let text = format!(
            "{} PROFILE=SYSTEM is OpenSSL's default here: the policies of the system (update-crypto-policies) are not read",
            directive.name
        );
        diagnostics.deviate(&directive.origin, &directive.name, text);
    }
    let said = Some(Located {
        value: evaluated.suites,
        origin: directive.origin.clone(),
    });
    match is_tls13 {
        true => only.tls13 = said,
        false => only.tls12 = said,
    }
    Ok(())
}

/// Parses the arguments of `SSLCipherSuite`; the first value is whether they are for TLS 1.3.
pub fn parse(words: &[&str]) -> Result<(bool, Evaluated), String> {
    match words {
        [list] => tls12(list),
        [version, list] if version.eq_ignore_ascii_case("SSL") => tls12(list),
        [version, list] if version.eq_ignore_ascii_case("TLSv1.3") => Ok((true, cipher_string::tls13(list))),
        [version, _] => Err(format!(
            "has a list for SSL and one for TLSv1.3, and none for \"{version}\""
        )),
        _ => Err("takes a list of cipher suites, perhaps with SSL or TLSv1.3 before it".to_owned()),
    }
}

fn tls12(list: &str) -> Result<(bool, Evaluated), String> {
    cipher_string::evaluate(list, &supported_tls12()).map(|evaluated| (false, evaluated))
}

/// Checks that `suite`, that of the connection, is in the lists of a location, in the syntax of `SSLCipherSuite`. An
/// empty list allows all. An error is the reason why not.
pub fn allows(tls12: &str, tls13: &str, suite: &Cipher) -> Result<(), String> {
    let list = if suite.is_tls13() { tls13 } else { tls12 };
    if list.is_empty() {
        return Ok(());
    }
    let allowed = match suite.is_tls13() {
        true => cipher_string::tls13(list).suites,
        false => tls12_suites(list),
    };
    match allowed.contains(&suite) {
        true => Ok(()),
        false => Err(format!(
            "the connection uses {}, which is not in the location's SSLCipherSuite {list}; nothing is renegotiated here: to \
             select suites, set it for the virtual host",
            suite.name_openssl().unwrap_or(suite.name_iana())
        )),
    }
}

fn tls12_suites(list: &str) -> Vec<&'static Cipher> {
    cipher_string::evaluate(list, &supported_tls12()).map_or_else(|_| Vec::new(), |evaluated| evaluated.suites)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_locations() {
        let suite = |name| crate::crypto::ciphers::find(name).unwrap();
        let gcm = suite("ECDHE-RSA-AES128-GCM-SHA256");
        assert!(allows("AES128", "", gcm).is_ok() && allows("", "TLS_AES_128_GCM_SHA256", gcm).is_ok());
        assert!(allows("AES256", "", gcm).is_err() && allows("@nonsense", "", gcm).is_err());
        let tls13 = suite("TLS_AES_128_GCM_SHA256");
        assert!(allows("AES256", "", tls13).is_ok());
        assert!(allows("", "TLS_AES_256_GCM_SHA384", tls13).is_err());
    }
}
