// SPDX-License-Identifier: Apache-2.0
//! PEM files (RFC 7468) of certificates and keys.

use std::fmt;

use ::pem::{EncodeConfig, LineEnding};
use memchr::memmem;
use rustls_pki_types::pem::{self, PemObject, SectionKind};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::{Zeroize, Zeroizing};

/// What a PEM file holds that matters here.
#[derive(Debug, Default)]
pub struct PemBundle {
    /// All certificates, in the order of the file.
    pub certificates: Vec<CertificateDer<'static>>,
    /// The private keys that are not encrypted, in the order of the file.
    pub keys: Vec<Zeroizing<PrivateKeyDer<'static>>>,
    /// Whether there is an encrypted private key.
    pub encrypted_key: bool,
}

/// Why a file is not PEM.
#[derive(Debug)]
pub enum PemError {
    /// A block does not end, or does not end as it began.
    Unfinished,
    /// A block's content is not base64.
    Base64(String),
    /// The file is DER.
    Der,
}

impl fmt::Display for PemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unfinished => f.write_str(
                "a PEM block in this file has no matching \"-----END …-----\" line: the file may be cut off or joined without \
                 a line break",
            ),
            Self::Base64(why) => write!(f, "a PEM block in this file is damaged: {why}"),
            Self::Der => f.write_str("this is DER, not PEM: convert it with `openssl x509 -inform der` (or `openssl pkey -inform der`)"),
        }
    }
}

impl std::error::Error for PemError {}

/// Sorts out the blocks of `text`. Blocks of other kinds, and text around the blocks, are passed over.
pub fn parse(text: &[u8]) -> Result<PemBundle, PemError> {
    let mut bundle = PemBundle::default();
    for section in <(SectionKind, Vec<u8>) as PemObject>::pem_slice_iter(text) {
        let (kind, mut der) = match section {
            Ok(section) => section,
            // RFC 1421 headers ("Proc-Type: 4,ENCRYPTED") are not base64; only encrypted keys have them.
            Err(_) if is_encrypted(text) => {
                bundle.encrypted_key = true;
                continue;
            }
            Err(pem::Error::MissingSectionEnd { .. } | pem::Error::IllegalSectionStart { .. }) => {
                return Err(PemError::Unfinished);
            }
            Err(error) => return Err(PemError::Base64(error.to_string())),
        };
        match kind {
            SectionKind::Certificate => bundle.certificates.push(der.into()),
            SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey => {
                bundle
                    .keys
                    .extend(PrivateKeyDer::from_pem(kind, der).map(Zeroizing::new));
            }
            _ => der.zeroize(),
        }
    }
    bundle.encrypted_key |= is_encrypted(text);
    if bundle.certificates.is_empty() && bundle.keys.is_empty() && looks_like_der(text) {
        return Err(PemError::Der);
    }
    Ok(bundle)
}

/// `text` behind its first block, if that is a certificate and what follows are certificates too: those of the issuers,
/// which many files have in common.
pub fn issuers_in(text: &[u8]) -> Option<&[u8]> {
    const END: &str = "-----END CERTIFICATE-----";
    let first = memmem::find(text, b"-----BEGIN ")?;
    if !text[first..].starts_with(b"-----BEGIN CERTIFICATE-----") {
        return None;
    }
    let rest = &text[memmem::find(text, END.as_bytes())? + END.len()..];
    let mut blocks = memmem::find_iter(rest, "-----BEGIN ");
    blocks
        .all(|at| rest[at..].starts_with(b"-----BEGIN CERTIFICATE-----"))
        .then_some(rest)
}

/// A certificate in PEM.
pub fn certificate(der: &[u8]) -> String {
    let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
    ::pem::encode_config(&::pem::Pem::new("CERTIFICATE", der), config)
}

/// PKCS#8's label for encrypted keys, or OpenSSL's header in its older forms.
fn is_encrypted(text: &[u8]) -> bool {
    let contains = |wanted: &str| memmem::find(text, wanted.as_bytes()).is_some();
    contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") || contains("Proc-Type: 4,ENCRYPTED")
}

/// Certificates and keys are SEQUENCEs of more than 127 bytes.
fn looks_like_der(text: &[u8]) -> bool {
    matches!(text, [0x30, 0x81..=0x83, ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_is_wrong() {
        assert!(matches!(
            parse(b"-----BEGIN CERTIFICATE-----\nAAAA\n"),
            Err(PemError::Unfinished)
        ));
        assert!(matches!(
            parse(b"-----BEGIN CERTIFICATE-----\nA!A\n-----END CERTIFICATE-----\n"),
            Err(PemError::Base64(_))
        ));
        assert!(matches!(parse(&[0x30, 0x82, 1, 2, 3]), Err(PemError::Der)));
        let nothing = parse(b"just text\n").unwrap();
        assert!(nothing.certificates.is_empty() && nothing.keys.is_empty());
    }

    #[test]
    fn issuers_are_what_follows_the_first_certificate() {
        let block = |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
        let (certificate, key) = (block("CERTIFICATE"), block("PRIVATE KEY"));
        let chain = format!("of a.test\n{certificate}{certificate}{certificate}");
        let issuers = issuers_in(chain.as_bytes()).unwrap();
        assert_eq!(issuers, format!("\n{certificate}{certificate}").as_bytes());
        assert_eq!(issuers_in(certificate.as_bytes()), Some(b"\n".as_slice()));
        // Keys are nobody's to remember.
        assert_eq!(issuers_in(format!("{certificate}{key}").as_bytes()), None);
        assert_eq!(issuers_in(format!("{key}{certificate}").as_bytes()), None);
        assert_eq!(issuers_in(b"-----BEGIN CERTIFICATE-----\nAAAA\n"), None);
        assert_eq!(issuers_in(b""), None);
    }

    #[test]
    fn recognises_encrypted_keys() {
        let pkcs8 = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        assert!(parse(pkcs8).unwrap().encrypted_key);
        let traditional =
            b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n\
            -----END RSA PRIVATE KEY-----\n";
        let bundle = parse(traditional).unwrap();
        assert!(bundle.encrypted_key && bundle.keys.is_empty());
    }
}
