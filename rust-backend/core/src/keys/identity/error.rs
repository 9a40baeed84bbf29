// SPDX-License-Identifier: Apache-2.0
//! Why certificates and keys cannot be used, with the remedy.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::IdentityFiles;
use crate::base::file_reading::FileError;
use crate::base::shell::shell_word;
use crate::keys::key_file::{IdentityContent, KeyFile};
use crate::x509::pem::PemError;
use crate::x509::wrong_file;

/// Why an identity cannot be used. Each text names the file and the remedy.
#[derive(Debug)]
pub enum IdentityError {
    /// A file could not be read.
    File(FileError),
    /// A file is not valid PEM.
    Pem(PathBuf, PemError),
    /// There is no certificate in the file; the text describes its content.
    NoCertificate(PathBuf, String),
    /// There is no private key in the file; the text describes its content.
    NoKey(PathBuf, String),
    /// The files of certificate and key are exchanged.
    Swapped(IdentityFiles),
    /// The private key is encrypted, and no pass phrase dialog is configured.
    EncryptedKey(PathBuf),
    /// The private key is encrypted and could not be decrypted.
    Locked(PathBuf, String),
    /// The private key is of an unsupported kind.
    UnusableKey(PathBuf, String),
    /// A certificate cannot be parsed. The number is its position in the file, starting at 1.
    BadCertificate(Arc<Path>, usize, String),
    /// The key does not match the first certificate. The number is the position of the certificate that it matches,
    /// starting at 1.
    Mismatch(IdentityFiles, Option<usize>),
    /// The key is in a token (this PKCS#11 URI), which only `tls-keyd` can use.
    InToken(String),
    /// `tls-keyd` cannot read a file or a token. The text is complete.
    Process(String),
}

impl IdentityError {
    /// This error, or `Swapped` if the files of certificate and key are exchanged.
    pub(super) fn or_swapped(self, files: &IdentityFiles, content: &IdentityContent) -> Self {
        let is_certificate = |path: &Arc<Path>, file: &KeyFile| super::certificates(path, &file.text).is_ok();
        match (&self, &files.key, &content.key) {
            (Self::NoCertificate(..), Some(path), Some(key))
                if wrong_file::has_private_key(&content.certificate.text) && is_certificate(path, key) =>
            {
                Self::Swapped(files.clone())
            }
            _ => self,
        }
    }
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::Pem(path, error) => f.write_str(&error.about(path)),
            Self::NoCertificate(path, why) => write!(f, "{}: no certificate in this file: {why}", path.display()),
            Self::NoKey(path, why) => write!(f, "{}: no private key in this file: {why}", path.display()),
            Self::Swapped(files) => write!(
                f,
                "{} is the file of a private key, and {} that of its certificate: exchange the two names",
                files.certificate.display(),
                files.key_file().display(),
            ),
            Self::EncryptedKey(path) => write!(
                f,
                "{}: the private key is encrypted, and nobody is there to type its pass phrase: decrypt it once with \
                 `openssl pkey -in {} -out <new file>`, keep the new file readable by root alone, and name it here",
                path.display(),
                shell_word(path),
            ),
            Self::Locked(path, why) => write!(f, "{}: the private key is encrypted: {why}", path.display()),
            Self::UnusableKey(path, why) => write!(
                f,
                "{}: the private key cannot be used: {why}; RSA (2048 to 8192 bits), ECDSA (P-256, P-384, P-521) and \
                 Ed25519 keys can",
                path.display()
            ),
            Self::BadCertificate(path, number, why) => {
                write!(
                    f,
                    "{}: certificate {number} in this file cannot be read: {why}",
                    path.display()
                )
            }
            Self::InToken(uri) => write!(
                f,
                "{uri}: keys in tokens are used by tls-keyd alone, which is not running: set `TLSKeyProcess on`"
            ),
            Self::Process(why) => f.write_str(why),
            Self::Mismatch(files, Some(number)) => write!(
                f,
                "{}: the private key in {} is not that of the first certificate but of certificate {number}: put that one \
                 first, then its issuers",
                files.certificate.display(),
                files.key_file().display(),
            ),
            Self::Mismatch(files, None) => write!(
                f,
                "{}: the private key in {} does not belong to this certificate: name the key that the certificate was \
                 requested with",
                files.certificate.display(),
                files.key_file().display(),
            ),
        }
    }
}

impl std::error::Error for IdentityError {}
