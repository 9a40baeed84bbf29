// SPDX-License-Identifier: Apache-2.0
//! The Online Certificate Status Protocol (RFC 6960, and RFC 5019 for high volumes).

mod request;
mod response;
#[cfg(test)]
mod tests;

pub use request::{get_url, new_nonce, request};
pub use response::{Answer, Checks, MAX_RESPONSE, OcspError, Status, is_successful, verify};

use x509_cert::der::asn1::ObjectIdentifier;
use x509_parser::asn1_rs::{BitString, FromDer, Sequence};

use crate::crypto::digest;
use crate::x509::{Certificate, X509Error};

/// SHA-1, which identifies certificates in requests (RFC 5019 section 2.1.1). Nothing depends on its strength: the signature of a
/// response is by the issuer.
const SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");

/// What identifies a certificate: its issuer and its serial number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CertId {
    /// The issuer's DER Name.
    issuer: Vec<u8>,
    /// The bits of the issuer's public key.
    key: Vec<u8>,
    /// The content of the DER INTEGER.
    serial: Vec<u8>,
}

impl CertId {
    /// Of a certificate (DER) that `issuer` (DER) has issued. An error if one of them is not well-formed.
    pub fn new(certificate: &[u8], issuer: &[u8]) -> Result<Self, X509Error> {
        let (certificate, issuer) = (Certificate::parse(certificate)?, Certificate::parse(issuer)?);
        Ok(Self {
            issuer: certificate.issuer_der().to_vec(),
            key: key_bits(issuer.spki_der()).unwrap_or_default(),
            serial: certificate.raw_serial().to_vec(),
        })
    }

    /// The hashes of the name and the key of the issuer. None if the algorithm is not known.
    fn hashes(&self, algorithm: ObjectIdentifier) -> Option<[Vec<u8>; 2]> {
        let algorithm = match algorithm {
            SHA1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            SHA256 => &digest::SHA256,
            SHA384 => &digest::SHA384,
            SHA512 => &digest::SHA512,
            _ => return None,
        };
        let hash = |data: &[u8]| digest::digest(algorithm, data).as_ref().to_vec();
        Some([hash(&self.issuer), hash(&self.key)])
    }
}

/// The content of the BIT STRING of a SubjectPublicKeyInfo.
fn key_bits(spki: &[u8]) -> Option<Vec<u8>> {
    let (_, sequence) = Sequence::from_der(spki).ok()?;
    let (rest, _) = x509_parser::asn1_rs::Any::from_der(&sequence.content).ok()?;
    let (_, bits) = BitString::from_der(rest).ok()?;
    Some(bits.data.into_owned())
}

/// The URLs of the OCSP responders that a certificate (DER) names.
pub fn responders(certificate: &[u8]) -> Vec<String> {
    Certificate::parse(certificate).map_or_else(|_| Vec::new(), |certificate| certificate.ocsp_responders())
}

/// What a certificate (DER) is called in messages: its subject and serial number.
pub fn name_of(certificate: &[u8]) -> String {
    match Certificate::parse(certificate) {
        Ok(certificate) => format!("the certificate of {}", certificate.subject()),
        Err(error) => format!("a certificate ({error})"),
    }
}
