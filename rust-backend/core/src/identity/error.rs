// SPDX-License-Identifier: Apache-2.0
//! Why certificates and keys cannot be used, in words that help.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::IdentityFiles;
use crate::files::FileError;
use crate::pem::PemError;

/// Why an identity cannot be used. Each text names the file and the mend.
#[derive(Debug)]
pub enum IdentityError {
    /// A file could not be read.
    File(FileError),
    /// A file is not the PEM it should be.
    Pem(PathBuf, PemError),
    /// There is no certificate in the file.
    NoCertificate(PathBuf),
    /// There is no private key in the file; whether one was to be expected in a file of its own.
    NoKey(PathBuf, bool),
    /// The private key is encrypted, and there is nobody to ask for its pass phrase.
    EncryptedKey(PathBuf),
    /// The private key is encrypted, and stays so.
    Locked(PathBuf, String),
    /// The private key is of a kind that cannot be used.
    UnusableKey(PathBuf, String),
    /// A certificate (number in the file, from 1) cannot be parsed.
    BadCertificate(Arc<Path>, usize, String),
    /// The key is not that of the first certificate; the number of the one it does fit, from 1.
    Mismatch(IdentityFiles, Option<usize>),
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::Pem(path, error) => write!(f, "{}: {error}", path.display()),
            Self::NoCertificate(path) => write!(
                f,
                "{}: no certificate in this file: expected a block that begins with \"-----BEGIN CERTIFICATE-----\"",
                path.display()
            ),
            Self::NoKey(path, false) => write!(
                f,
                "{}: no private key in this file: add the key to it, or name the key's file as second argument",
                path.display()
            ),
            Self::NoKey(path, true) => write!(
                f,
                "{}: no private key in this file: expected a block that begins with \"-----BEGIN PRIVATE KEY-----\", \
                 \"-----BEGIN EC PRIVATE KEY-----\" or \"-----BEGIN RSA PRIVATE KEY-----\"",
                path.display()
            ),
            Self::EncryptedKey(path) => write!(
                f,
                "{0}: the private key is encrypted, and nobody is there to type its pass phrase: decrypt it once with \
                 `openssl pkey -in {0} -out <new file>`, keep the new file readable by root alone, and name it here",
                path.display()
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
