// SPDX-License-Identifier: Apache-2.0
//! X.509 certificates (RFC 5280): the information that applications need, in mod_ssl's formats.
//!
//! The crate `x509-parser` parses certificates; no code here parses DER itself.
//!
//! May use: base, crypto.

mod binding;
mod dn;
mod extensions;
pub mod facts;
mod names;
pub mod ocsp;
pub mod pem;
pub mod status;
pub(crate) mod variable_names;
mod variables;
pub(crate) mod wrong_file;

use std::fmt;

use rustls::NamedGroup;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{DistributionPointName, GeneralName, ParsedExtension};
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521, OID_PKCS1_RSAENCRYPTION,
    OID_SIG_ED25519,
};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::X509Version;

pub use self::names::matches_host;
pub(crate) use self::variables::{hex, name_parts};

/// Why a certificate cannot be parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum X509Error {
    /// The data is not the DER encoding of a certificate.
    Malformed(String),
    /// There is data after the certificate.
    TrailingData,
}

impl fmt::Display for X509Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) => write!(f, "it is not a well-formed X.509 certificate ({why})"),
            Self::TrailingData => f.write_str("there is data after the X.509 certificate"),
        }
    }
}

impl std::error::Error for X509Error {}

/// The input for the value of a variable, besides the certificate.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    now: i64,
    legacy_dn: bool,
}

impl Context {
    /// Variables at the time `now`, in seconds since 1970.
    pub fn at(now: i64) -> Self {
        Self { now, legacy_dn: false }
    }

    /// With `legacy_dn`, names are in OpenSSL's old format (`LegacyDNStringFormat`).
    pub fn with_legacy_dn(self, legacy_dn: bool) -> Self {
        Self { legacy_dn, ..self }
    }
}

/// A parsed certificate.
///
/// # Examples
///
/// ```
/// use mod_tls_core::x509::{Certificate, Context};
///
/// let generated = rcgen::generate_simple_self_signed(["*.example.org".to_owned()]).unwrap();
/// let certificate = Certificate::parse(generated.cert.der()).unwrap();
/// assert!(certificate.covers("www.example.org") && !certificate.covers("example.org"));
/// assert_eq!(certificate.key_type(), "ECDSA P-256");
/// assert_eq!(certificate.variable("M_VERSION", &Context::at(0)), Some("3".to_owned()));
/// ```
#[derive(Debug)]
pub struct Certificate<'a> {
    der: &'a [u8],
    parsed: X509Certificate<'a>,
}

impl<'a> Certificate<'a> {
    /// Parses the DER encoding of one certificate.
    pub fn parse(der: &'a [u8]) -> Result<Self, X509Error> {
        match X509Certificate::from_der(der) {
            Ok(([], parsed)) => Ok(Self { der, parsed }),
            Ok(_) => Err(X509Error::TrailingData),
            Err(error) => Err(X509Error::Malformed(error.to_string())),
        }
    }

    /// The DER encoding of the SubjectPublicKeyInfo.
    pub fn spki_der(&self) -> &[u8] {
        self.parsed.public_key().raw
    }

    /// The notBefore time, in seconds since 1970.
    pub fn not_before(&self) -> i64 {
        self.parsed.validity().not_before.timestamp()
    }

    /// The notAfter time, in seconds since 1970.
    pub fn not_after(&self) -> i64 {
        self.parsed.validity().not_after.timestamp()
    }

    /// The curve of the public key, if it is an ECDSA key on a curve that TLS supports.
    pub fn curve(&self) -> Option<NamedGroup> {
        let algorithm = &self.parsed.public_key().algorithm;
        if algorithm.algorithm != OID_KEY_TYPE_EC_PUBLIC_KEY {
            return None;
        }
        let curve = algorithm.parameters.as_ref()?.as_oid().ok()?;
        [
            (OID_EC_P256, NamedGroup::secp256r1),
            (OID_NIST_EC_P384, NamedGroup::secp384r1),
            (OID_NIST_EC_P521, NamedGroup::secp521r1),
        ]
        .into_iter()
        .find_map(|(oid, group)| (oid == curve).then_some(group))
    }

    /// The kind and size of the public key as text: `ECDSA P-256`, `RSA 2048`.
    pub fn key_type(&self) -> String {
        let key = self.parsed.public_key();
        let algorithm = &key.algorithm.algorithm;
        if *algorithm == OID_PKCS1_RSAENCRYPTION {
            return match key.parsed() {
                Ok(PublicKey::RSA(rsa)) => format!("RSA {}", rsa.key_size()),
                _ => "RSA".to_owned(),
            };
        }
        match self.curve() {
            Some(NamedGroup::secp256r1) => "ECDSA P-256".to_owned(),
            Some(NamedGroup::secp384r1) => "ECDSA P-384".to_owned(),
            Some(NamedGroup::secp521r1) => "ECDSA P-521".to_owned(),
            _ if *algorithm == OID_SIG_ED25519 => "Ed25519".to_owned(),
            _ => algorithm.to_id_string(),
        }
    }

    /// The subject as text.
    pub fn subject(&self) -> String {
        dn::rfc2253(self.parsed.subject())
    }

    /// The subject in the format `/C=DE/CN=name`.
    pub fn legacy_subject(&self) -> String {
        dn::legacy(self.parsed.subject())
    }

    /// Whether the certificate may issue certificates: its extensions allow it, or its X.509 version has no extensions.
    /// RFC 5280 sections 4.2.1.3 and 4.2.1.9.
    pub fn may_issue(&self) -> bool {
        if self.parsed.version() != X509Version::V3 {
            return true;
        }
        let may_sign = match self.parsed.key_usage() {
            Ok(Some(usage)) => usage.value.key_cert_sign(),
            Ok(None) => true,
            Err(_) => false,
        };
        may_sign && self.parsed.is_ca()
    }

    /// Whether basicConstraints marks it as a CA certificate (RFC 5280 section 4.2.1.9).
    pub fn is_ca(&self) -> bool {
        self.parsed.is_ca()
    }

    /// Whether it may be the issuer of `child`: the names agree, and the key identifiers if both have one (RFC 5280
    /// section 4.2.1.1). No signature is verified.
    pub fn may_have_issued(&self, child: &Certificate<'_>) -> bool {
        let wanted = child
            .parsed
            .extensions()
            .iter()
            .find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref(),
                _ => None,
            });
        let own = self
            .parsed
            .extensions()
            .iter()
            .find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(id) => Some(id),
                _ => None,
            });
        self.subject_der() == child.issuer_der() && wanted.zip(own).is_none_or(|(wanted, own)| wanted == own)
    }

    /// Whether it may sign revocation lists: the key usage allows it or is absent (RFC 5280 section 4.2.1.3).
    pub fn may_sign_crls(&self) -> bool {
        match self.parsed.key_usage() {
            Ok(Some(usage)) => usage.value.crl_sign(),
            Ok(None) => true,
            Err(_) => false,
        }
    }

    /// The content of the DER INTEGER of the serial number.
    pub fn raw_serial(&self) -> &[u8] {
        self.parsed.raw_serial()
    }

    /// The DER encoding of the issuer name.
    pub fn issuer_der(&self) -> &[u8] {
        self.parsed.issuer().as_raw()
    }

    /// The DER encoding of the subject name.
    pub fn subject_der(&self) -> &[u8] {
        self.parsed.subject().as_raw()
    }

    /// Whether its X.509 version has no extensions.
    pub fn is_old(&self) -> bool {
        self.parsed.version() != X509Version::V3
    }

    /// The names of its CRL distribution points.
    pub fn distribution_points(&self) -> Vec<String> {
        let extensions = self.parsed.extensions().iter();
        extensions
            .filter_map(|extension| match extension.parsed_extension() {
                ParsedExtension::CRLDistributionPoints(points) => Some(points.iter()),
                _ => None,
            })
            .flatten()
            .filter_map(|point| point.distribution_point.as_ref())
            .flat_map(distribution_point_names)
            .collect()
    }

    /// The names in its subjectAltName extension.
    fn alternative_names(&self) -> &[GeneralName<'_>] {
        match self.parsed.subject_alternative_name() {
            Ok(Some(extension)) => &extension.value.general_names,
            _ => &[],
        }
    }
}

/// The names of a distribution point as text. Equal names have equal text.
pub(crate) fn distribution_point_names(name: &DistributionPointName<'_>) -> Vec<String> {
    match name {
        DistributionPointName::FullName(names) => names.iter().map(|name| name.to_string()).collect(),
        DistributionPointName::NameRelativeToCRLIssuer(_) => Vec::new(),
    }
}
