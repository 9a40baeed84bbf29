// SPDX-License-Identifier: Apache-2.0
//! PEM files (RFC 7468) of certificates and keys.

use std::fmt;
use std::path::Path;

use ::pem::{EncodeConfig, LineEnding};
use memchr::memmem;
use rustls_pki_types::pem::{self, PemObject, SectionKind};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::{Zeroize, Zeroizing};

use crate::x509::wrong_file::{self, DerKind};

/// The relevant contents of a PEM file.
#[derive(Debug, Default)]
pub struct PemBundle {
    /// All certificates, in the order of the file.
    pub certificates: Vec<CertificateDer<'static>>,
    /// The unencrypted private keys, in the order of the file.
    pub keys: Vec<Zeroizing<PrivateKeyDer<'static>>>,
    /// Whether there is an encrypted private key.
    pub encrypted_key: bool,
}

/// Why a file is not valid PEM.
#[derive(Debug)]
pub enum PemError {
    /// A block has no end line, or the wrong one.
    Unfinished,
    /// The content of a block is not valid base64.
    Base64(String),
    /// The file is UTF-16 text.
    Utf16,
    /// The file is binary.
    Der(DerKind),
}

impl PemError {
    /// The error message for `path`, with the remedy.
    pub fn about(&self, path: &Path) -> String {
        let why = match self {
            Self::Utf16 => wrong_file::utf16(path),
            Self::Der(kind) => wrong_file::der(path, *kind),
            _ => self.to_string(),
        };
        format!("{}: {why}", path.display())
    }
}

impl fmt::Display for PemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unfinished => f.write_str(
                "a PEM block in this file has no matching \"-----END ...-----\" line: the file may be cut off (copy it again) or \
                 joined without a line break",
            ),
            Self::Base64(why) => write!(f, "a PEM block in this file is damaged: {why}"),
            Self::Utf16 => f.write_str("this is UTF-16 text; PEM is ASCII"),
            Self::Der(_) => f.write_str("this is DER, not PEM"),
        }
    }
}

impl std::error::Error for PemError {}

impl From<pem::Error> for PemError {
    fn from(error: pem::Error) -> Self {
        match error {
            pem::Error::MissingSectionEnd { .. } | pem::Error::IllegalSectionStart { .. } => Self::Unfinished,
            error => Self::Base64(error.to_string()),
        }
    }
}

/// The byte order mark that some editors write at the start of UTF-8 files.
const UTF_8_MARK: &[u8] = b"\xef\xbb\xbf";

/// The name that iconv uses for UTF-16 with a byte order mark.
pub(crate) const UTF_16: &str = "UTF-16";

/// The parts of `text` between UTF-8 byte order marks. Concatenated files have such marks in the middle, where they
/// would hide the block that follows.
pub(crate) fn without_marks(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let marks = memmem::find_iter(text, UTF_8_MARK).chain(std::iter::once(text.len()));
    let mut start = 0;
    marks.map(move |mark| {
        let piece = &text[start..mark];
        start = (mark + UTF_8_MARK.len()).min(text.len());
        piece
    })
}

/// Parses the blocks of `text`. Blocks of other kinds, and text around the blocks, are ignored.
pub fn parse(text: &[u8]) -> Result<PemBundle, PemError> {
    let mut bundle = PemBundle::default();
    if is_utf16(text) {
        return Err(PemError::Utf16);
    }
    // RFC 1421 headers ("Proc-Type: 4,ENCRYPTED") are not base64; only encrypted keys have them.
    bundle.encrypted_key = is_encrypted(text);
    for piece in without_marks(text) {
        for section in <(SectionKind, Vec<u8>) as PemObject>::pem_slice_iter(piece) {
            match section {
                Ok((kind, der)) => bundle.add(kind, der),
                Err(_) if bundle.encrypted_key => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    if bundle.certificates.is_empty() && bundle.keys.is_empty() && looks_like_der(text) {
        return Err(PemError::Der(DerKind::of(text)));
    }
    Ok(bundle)
}

impl PemBundle {
    fn add(&mut self, kind: SectionKind, mut der: Vec<u8>) {
        match kind {
            SectionKind::Certificate => self.certificates.push(der.into()),
            SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey => {
                self.keys.extend(PrivateKeyDer::from_pem(kind, der).map(Zeroizing::new));
            }
            _ => der.zeroize(),
        }
    }
}

/// The part of `text` after its first block, if all blocks are certificates. These are the intermediate certificates,
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

/// What stands for text that [`public_part`] leaves out.
const LEFT_OUT: &[u8] = b"(text)\n";

/// The part of a PEM file that cannot be secret: its certificates, and the first and last lines of all blocks.
///
/// If each block has an end, what [`parse`] finds in it differs from what it finds in `text` by the private keys alone. A file
/// with unexpected content can still be explained by it.
pub fn public_part(text: &[u8]) -> Vec<u8> {
    const LABEL: &[u8] = b"-----";
    let mut public = Vec::with_capacity(text.len());
    let mut place = Place::Outside;
    let mut block = 0;
    // The parser also knows lines that end with a carriage return alone.
    for line in text.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
        let Some(at) = memmem::find(line, LABEL) else {
            match place {
                _ if line.trim_ascii().is_empty() => public.extend_from_slice(line),
                Place::Certificate => public.extend_from_slice(line),
                // It may be the content of a block whose first line is damaged.
                Place::Outside if !public.ends_with(LEFT_OUT) => public.extend_from_slice(LEFT_OUT),
                Place::Outside | Place::OtherBlock => {}
            }
            continue;
        };
        let (before, label) = line.split_at(at);
        let known = label_in(label);
        let is_whole = (before.is_empty() || before == UTF_8_MARK) && known.is_some();
        let next = place.after(label, is_whole);
        // The parser takes the content of a block that does not end for that of the next one.
        if matches!((place, next), (Place::Certificate, Place::OtherBlock)) {
            public.truncate(block);
        }
        place = next;
        let is_plain = before == UTF_8_MARK || before.iter().all(u8::is_ascii_whitespace);
        public.extend_from_slice(if is_plain { before } else { b"x" });
        public.extend_from_slice(known.unwrap_or(LABEL));
        public.push(b'\n');
        block = public.len();
    }
    public
}

/// Where a line stands.
#[derive(Clone, Copy)]
enum Place {
    Certificate,
    OtherBlock,
    Outside,
}

impl Place {
    /// The place of the lines that follow a label. `is_whole` is true if there is nothing else in its line.
    fn after(self, label: &[u8], is_whole: bool) -> Self {
        let is_begin = label.starts_with(b"-----BEGIN ");
        match self {
            _ if is_whole && label.starts_with(b"-----BEGIN CERTIFICATE-----") => Self::Certificate,
            _ if is_whole && !is_begin => Self::Outside,
            Self::Outside if !is_begin => Self::Outside,
            // Lines that look like a label may be content.
            _ => Self::OtherBlock,
        }
    }
}

/// The label of a block at the start of `line`: `-----BEGIN X-----` with nothing behind it, or `-----END X-----`, behind which the
/// parser ignores everything.
fn label_in(line: &[u8]) -> Option<&[u8]> {
    const DASHES: &[u8] = b"-----";
    let inner = line.strip_prefix(DASHES)?;
    let len = memmem::find(inner, DASHES)?;
    let (name, rest) = (&inner[..len], &inner[len + DASHES.len()..]);
    let is_known = name.starts_with(b"END ") || name.starts_with(b"BEGIN ") && rest.trim_ascii().is_empty();
    let is_name = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b' ';
    (is_known && name.iter().all(is_name)).then(|| &line[..2 * DASHES.len() + len])
}

/// A certificate in PEM.
pub fn certificate(der: &[u8]) -> String {
    let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
    ::pem::encode_config(&::pem::Pem::new("CERTIFICATE", der), config)
}

/// The PKCS#8 label of encrypted keys, or the header of OpenSSL's older formats.
fn is_encrypted(text: &[u8]) -> bool {
    let contains = |wanted: &str| memmem::find(text, wanted.as_bytes()).is_some();
    contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") || contains("Proc-Type: 4,ENCRYPTED")
}

/// Certificates and keys are SEQUENCEs of more than 127 bytes. A PKCS#12 file may have an indefinite length.
fn looks_like_der(text: &[u8]) -> bool {
    matches!(text, [0x30, 0x80..=0x83, ..])
}

/// Whether the text starts with a UTF-16 byte order mark, or contains a PEM block in either byte order.
pub(crate) fn is_utf16(text: &[u8]) -> bool {
    let begins = [b"-\0B\0E\0G\0I\0N\0".as_slice(), b"\0-\0B\0E\0G\0I\0N"];
    text.starts_with(b"\xff\xfe")
        || text.starts_with(b"\xfe\xff")
        || begins.iter().any(|begin| memmem::find(text, begin).is_some())
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
        assert!(matches!(
            parse(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIF"),
            Err(PemError::Unfinished)
        ));
        assert!(matches!(parse(&[0x30, 0x82, 1, 2, 3]), Err(PemError::Der(_))));
        let nothing = parse(b"just text\n").unwrap();
        assert!(nothing.certificates.is_empty() && nothing.keys.is_empty());
    }

    #[test]
    fn marks_of_encodings() {
        let block = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let joined = format!("\u{feff}{block}\u{feff}{block}");
        assert_eq!(parse(joined.as_bytes()).unwrap().certificates.len(), 2);
        let wide = |bytes: fn(u16) -> [u8; 2], text: &str| text.encode_utf16().flat_map(bytes).collect::<Vec<_>>();
        for bytes in [u16::to_le_bytes, u16::to_be_bytes] {
            for mark in ["", "\u{feff}"] {
                let text = wide(bytes, &format!("{mark}{block}"));
                assert!(matches!(parse(&text), Err(PemError::Utf16)));
            }
        }
    }

    #[test]
    fn issuers_are_what_follows_the_first_certificate() {
        let block = |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
        let (certificate, key) = (block("CERTIFICATE"), block("PRIVATE KEY"));
        let chain = format!("of a.test\n{certificate}{certificate}{certificate}");
        let issuers = issuers_in(chain.as_bytes()).unwrap();
        assert_eq!(issuers, format!("\n{certificate}{certificate}").as_bytes());
        assert_eq!(issuers_in(certificate.as_bytes()), Some(b"\n".as_slice()));
        // Private keys must not be remembered.
        assert_eq!(issuers_in(format!("{certificate}{key}").as_bytes()), None);
        assert_eq!(issuers_in(format!("{key}{certificate}").as_bytes()), None);
        assert_eq!(issuers_in(b"-----BEGIN CERTIFICATE-----\nAAAA\n"), None);
        assert_eq!(issuers_in(b""), None);
    }

    #[test]
    fn the_public_part_has_certificates_and_no_keys() {
        let block = |label: &str, text: &str| format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n");
        let (certificate, key) = (block("CERTIFICATE", "AAAA"), block("PRIVATE KEY", "U0VDUkVU"));
        let text = format!("of a.test\r\n{certificate}{key}\u{feff}{certificate}  {key}{certificate}");
        let public = public_part(text.as_bytes());
        assert_eq!(memmem::find(&public, b"U0VDUkVU"), None);
        assert_eq!(parse(&public).unwrap().certificates.len(), 3);
        let lines = "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n";
        assert_eq!(public_part(key.as_bytes()), lines.as_bytes());
        assert_eq!(public_part(b"words\nmore\n"), LEFT_OUT);
        // A certificate without an end does not become a part of the key behind it.
        let joined = format!("-----BEGIN CERTIFICATE-----\nAAAA\n{key}{certificate}");
        let part = parse(&public_part(joined.as_bytes())).unwrap();
        assert!(part.keys.iter().all(|key| key.secret_der().is_empty()) && part.certificates.len() == 1);
        // A block of certificates that a key interrupts, keys without a block, and keys in the line of a label.
        for secret in [
            format!("-----BEGIN CERTIFICATE-----\n{key}"),
            "U0VDUkVU".to_owned(),
            "U0VDUkVU-----BEGIN CERTIFICATE-----\n".to_owned(),
            "-----BEGIN CERTIFICATE-----U0VDUkVU-----END CERTIFICATE-----\n".to_owned(),
            "-----BEGIN PRIVATE KEY-----U0VDUkVU".to_owned(),
            "-----BEGIN PRIVATE KEY-----\nAA-----BEGIN CERTIFICATE-----\nU0VDUkVU\n".to_owned(),
            "-----BEGIN PRIVATE KEY-----\n -----BEGIN CERTIFICATE-----\nU0VDUkVU\n".to_owned(),
            "-----BEGIN PRIVATE KEY-----\n-----BEGIN CERTIFICATE----- x\nU0VDUkVU\n".to_owned(),
        ] {
            let public = public_part(secret.as_bytes());
            assert_eq!(
                memmem::find(&public, b"U0VDUkVU"),
                None,
                "{}",
                String::from_utf8_lossy(&public)
            );
        }
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
