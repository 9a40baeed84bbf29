// SPDX-License-Identifier: Apache-2.0
//! What people want to know about a certificate.

use serde::{Deserialize, Serialize};

use super::{Certificate, Context, hex};
use crate::crypto::digest;

/// What people want to know about a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateFacts {
    /// The names that it is for.
    pub names: Vec<String>,
    /// The issuer.
    pub issuer: String,
    /// The serial number, in hexadecimal digits.
    pub serial: String,
    /// The SHA-256 digest of the certificate, in hexadecimal digits.
    pub sha256: String,
    /// The kind of its key: `ECDSA P-256`.
    pub key: String,
    /// The notBefore time, in seconds since 1970.
    pub not_before: i64,
    /// The notAfter time, in seconds since 1970.
    pub not_after: i64,
}

impl CertificateFacts {
    /// The facts about the certificate.
    pub fn of(certificate: &Certificate<'_>) -> Self {
        let context = Context::at(0);
        let variable = |name| certificate.variable(name, &context).unwrap_or_default();
        Self {
            names: certificate.names(),
            issuer: variable("I_DN"),
            serial: variable("M_SERIAL"),
            sha256: hex(digest::digest(&digest::SHA256, certificate.der).as_ref()),
            key: certificate.key_type(),
            not_before: certificate.not_before(),
            not_after: certificate.not_after(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_of_a_certificate() {
        let generated = rcgen::generate_simple_self_signed(["a.example".to_owned(), "*.b.example".to_owned()]).unwrap();
        let facts = CertificateFacts::of(&Certificate::parse(generated.cert.der()).unwrap());
        assert_eq!(facts.names, ["a.example", "*.b.example"]);
        assert_eq!(facts.key, "ECDSA P-256");
        assert_eq!(facts.sha256.len(), 64);
        assert!(facts.not_before < facts.not_after);
        assert!(
            facts.serial.bytes().all(|digit| digit.is_ascii_hexdigit()),
            "{}",
            facts.serial
        );
    }
}
