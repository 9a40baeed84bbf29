// SPDX-License-Identifier: Apache-2.0
//! Recognises files with unexpected content, and recommends how to convert them.

use std::path::Path;

use memchr::memmem;
use rustls_pki_types::CertificateDer;

use crate::base::shell::shell_word;
use crate::x509::Certificate;
use crate::x509::pem;

/// The message for files with unrecognised content.
const CERTIFICATE_WANTED: &str = "expected a block that begins with \"-----BEGIN CERTIFICATE-----\"";
const KEY_WANTED: &str = "expected a block that begins with \"-----BEGIN PRIVATE KEY-----\", \"-----BEGIN EC PRIVATE KEY-----\" \
                          or \"-----BEGIN RSA PRIVATE KEY-----\"";

/// The OID of PKCS#7's `data` or `signedData`, which follows the version in a PKCS#12 file (RFC 7292 section 4).
const PKCS7: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07];

/// Explains why there is no certificate in `text`, the content of `path`.
pub(crate) fn without_certificate(path: &Path, text: &[u8]) -> String {
    if text.trim_ascii().is_empty() {
        return "it is empty".to_owned();
    }
    let (file, pem) = (shell_word(path), converted(path));
    if has_block(text, "CERTIFICATE") {
        return "there is text before its BEGIN line: each line has to begin at the left margin".to_owned();
    }
    if has_block(text, "CERTIFICATE REQUEST") || has_block(text, "NEW CERTIFICATE REQUEST") {
        return "it is a certificate signing request (CSR), which a CA makes a certificate of: name the file that the CA has sent \
                back"
            .to_owned();
    }
    if has_block(text, "PKCS7") {
        return format!(
            "it is PKCS#7: `openssl pkcs7 -print_certs -in {file} -out {pem}` writes its certificates in PEM"
        );
    }
    if has_block(text, "TRUSTED CERTIFICATE") || has_block(text, "X509 CERTIFICATE") {
        return format!("it is in a format of OpenSSL: convert it with `openssl x509 -in {file} -out {pem}`");
    }
    if has_block(text, "X509 CRL") {
        return "it is a revocation list".to_owned();
    }
    if has_private_key(text) {
        return "it has a private key: name the file of the certificate first, and this one as its key".to_owned();
    }
    CERTIFICATE_WANTED.to_owned()
}

/// Explains why there is no private key in `text`, the content of `path`, in which `certificates` were found. `is_own`
/// is true if the file was configured as a key file.
pub(crate) fn without_key(path: &Path, text: &[u8], certificates: &[CertificateDer<'_>], is_own: bool) -> String {
    if text.trim_ascii().is_empty() {
        return "it is empty".to_owned();
    }
    let file = shell_word(path);
    if has_private_key(text) {
        return "there is text before its BEGIN line: each line has to begin at the left margin".to_owned();
    }
    if has_block(text, "OPENSSH PRIVATE KEY") {
        return format!("it is a key in OpenSSH's form: `ssh-keygen -p -m PEM -f {file}` converts it where it is");
    }
    if has_block(text, "DSA PRIVATE KEY") {
        return "it is a DSA key, which TLS no longer supports: make a new key and have a certificate issued for it"
            .to_owned();
    }
    if has_block(text, "PUBLIC KEY") || has_block(text, "RSA PUBLIC KEY") {
        return "it is a public key: name the file of the private one".to_owned();
    }
    if has_block(text, "CERTIFICATE REQUEST") || has_block(text, "NEW CERTIFICATE REQUEST") {
        return "it is a certificate signing request (CSR): name the file of the private key that it was made with"
            .to_owned();
    }
    if let Some(subject) = certificates.first().and_then(|der| subject_of_ca(der)) {
        return format!(
            "it has the certificate of a CA ({subject}). If that is an issuer of the server's certificate, it belongs behind that \
             one in the same file (`cat {file} >> <the server's certificate>`); if it issues certificates of clients, name it \
             with TLSClientCA"
        );
    }
    match (certificates.is_empty(), is_own) {
        (false, true) => "it has a certificate: name the file of its private key".to_owned(),
        (false, false) => "add the key to it, or name the key's file as second argument (mod_ssl's directives: with \
                           SSLCertificateKeyFile)"
            .to_owned(),
        (true, _) => KEY_WANTED.to_owned(),
    }
}

/// Kinds of binary data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DerKind {
    /// A key with its certificates, encrypted: RFC 7292.
    Pkcs12,
    /// Certificates: RFC 2315.
    Pkcs7,
    /// One certificate.
    Certificate,
    /// A key, or something else.
    Other,
}

impl DerKind {
    pub(crate) fn of(data: &[u8]) -> Self {
        let start = &data[..data.len().min(64)];
        if is_pkcs12(data) {
            Self::Pkcs12
        } else if memmem::find(start, PKCS7).is_some() {
            Self::Pkcs7
        } else if Certificate::parse(data).is_ok() {
            Self::Certificate
        } else {
            Self::Other
        }
    }
}

/// The message for a file `path` with binary data of this kind, with the command that converts it.
pub(crate) fn der(path: &Path, kind: DerKind) -> String {
    let (file, pem) = (shell_word(path), converted(path));
    match kind {
        DerKind::Pkcs12 => format!(
            "this is PKCS#12 (.p12, .pfx), not PEM: `openssl pkcs12 -in {file} -nodes -out {pem}` writes its key and its \
             certificates in PEM (add -legacy if OpenSSL cannot read it); name {pem} then, and keep it readable by root alone"
        ),
        DerKind::Pkcs7 => format!(
            "this is PKCS#7 (.p7b), not PEM: convert it with `openssl pkcs7 -inform der -print_certs -in {file} -out {pem}`"
        ),
        DerKind::Certificate => {
            format!("this is DER, not PEM: convert it with `openssl x509 -inform der -in {file} -out {pem}`")
        }
        DerKind::Other => format!(
            "this is DER, not PEM: convert it with `openssl pkey -inform der -in {file} -out {pem}` if it is a key, or \
             `openssl x509 -inform der -in {file} -out {pem}`"
        ),
    }
}

/// A PFX starts with its version, 3 (RFC 7292 section 4), in DER or with an indefinite length.
fn is_pkcs12(data: &[u8]) -> bool {
    let content = match data {
        [0x30, 0x82, _, _, content @ ..] | [0x30, 0x83, _, _, _, content @ ..] => content,
        [0x30, 0x81, _, content @ ..] | [0x30, 0x80, content @ ..] => content,
        _ => return false,
    };
    content.starts_with(&[0x02, 0x01, 0x03, 0x30])
}

/// Whether there is a private key that the parser recognises.
pub(crate) fn has_private_key(text: &[u8]) -> bool {
    [
        "PRIVATE KEY",
        "RSA PRIVATE KEY",
        "EC PRIVATE KEY",
        "ENCRYPTED PRIVATE KEY",
    ]
    .iter()
    .any(|label| has_block(text, label))
}

fn has_block(text: &[u8], label: &str) -> bool {
    memmem::find(text, format!("-----BEGIN {label}-----").as_bytes()).is_some()
}

fn subject_of_ca(der: &CertificateDer<'_>) -> Option<String> {
    let certificate = Certificate::parse(der).ok()?;
    certificate.is_ca().then(|| certificate.subject())
}

/// The suggested name of the converted file.
pub(crate) fn converted(path: &Path) -> String {
    let mut name = path.as_os_str().to_owned();
    name.push(".pem");
    shell_word(Path::new(&name))
}

/// The message for text in an encoding that is not valid in PEM.
pub(crate) fn utf16(path: &Path) -> String {
    let (file, pem) = (shell_word(path), converted(path));
    format!(
        "this is UTF-16 text, as some editors write it: PEM is ASCII; convert it with `iconv -f {} -t ASCII {file} > {pem}`",
        pem::UTF_16
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(label: &str) -> Vec<u8> {
        format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n").into_bytes()
    }

    #[test]
    fn files_without_certificates() {
        let path = Path::new("/etc/my site.txt");
        for (text, part) in [
            (b" \n".to_vec(), "empty"),
            (block("CERTIFICATE REQUEST"), "CSR"),
            (block("NEW CERTIFICATE REQUEST"), "CSR"),
            (
                block("PKCS7"),
                "openssl pkcs7 -print_certs -in '/etc/my site.txt' -out '/etc/my site.txt.pem'",
            ),
            (block("TRUSTED CERTIFICATE"), "openssl x509 -in"),
            (block("X509 CRL"), "revocation list"),
            (block("EC PRIVATE KEY"), "has a private key"),
            (b"  -----BEGIN CERTIFICATE-----\n".to_vec(), "left margin"),
            (b"some text".to_vec(), "-----BEGIN CERTIFICATE-----"),
        ] {
            let said = without_certificate(path, &text);
            assert!(said.contains(part), "{said}");
        }
    }

    #[test]
    fn files_without_keys() {
        let path = Path::new("own.key");
        for (text, part) in [
            (Vec::new(), "empty"),
            (block("OPENSSH PRIVATE KEY"), "ssh-keygen -p -m PEM -f own.key"),
            (block("DSA PRIVATE KEY"), "DSA"),
            (block("PUBLIC KEY"), "public key"),
            (block("CERTIFICATE REQUEST"), "CSR"),
            (b"some text".to_vec(), "-----BEGIN PRIVATE KEY-----"),
        ] {
            let said = without_key(path, &text, &[], true);
            assert!(said.contains(part), "{said}");
        }
        let certificates = [CertificateDer::from(vec![0])];
        assert!(without_key(path, b"x", &certificates, true).contains("it has a certificate"));
        assert!(without_key(path, b"x", &certificates, false).contains("second argument"));
    }

    #[test]
    fn binary_files() {
        let path = Path::new("site.pfx");
        for (data, part) in [
            (
                &[0x30, 0x82, 1, 2, 2, 1, 3, 0x30, 0x82, 1, 2][..],
                "openssl pkcs12 -in site.pfx -nodes -out site.pfx.pem",
            ),
            (&[0x30, 0x80, 2, 1, 3, 0x30, 0x80], "openssl pkcs12"),
            (
                &[0x30, 0x82, 1, 2, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2],
                "openssl pkcs7",
            ),
            (&[0x30, 0x82, 1, 2, 2, 1, 0, 0x30], "openssl pkey -inform der"),
        ] {
            let said = der(path, DerKind::of(data));
            assert!(said.contains(part), "{said}");
        }
    }
}
