// SPDX-License-Identifier: Apache-2.0
//! Reading of certificates and their keys from files.

use std::path::Path;
use std::sync::Arc;

use rustls_pki_types::CertificateDer;

use super::{ConnectionInfo, Identity, IdentityError, IdentityFiles, Key};
use crate::base::file_reading;
use crate::crypto::{self, key_kind};
use crate::key_process::parent::{KeyProcess, OpenedKey};
use crate::key_process::protocol::{Purpose, Wanted};
use crate::keys::deferred_key::DeferredKey;
use crate::keys::encrypted_key::SecretKey;
use crate::keys::key_file::{self, KeyFile, KeyReader, KeysThere, Part};
use crate::keys::unlock::Unlock;
use crate::x509::pem::{self, PemBundle};
use crate::x509::{Certificate, wrong_file};

/// Parses certificate `number` in a file. All certificates must be well-formed: clients refuse others.
pub(super) fn well_formed<'a>(
    file: &Arc<Path>,
    number: usize,
    der: &'a [u8],
) -> Result<Certificate<'a>, IdentityError> {
    Certificate::parse(der).map_err(|error| IdentityError::BadCertificate(Arc::clone(file), number, error.to_string()))
}

/// The position of the certificate with the SubjectPublicKeyInfo `public`. All certificates must be well-formed.
pub(super) fn position_of<'a>(
    public: &[u8],
    files: &IdentityFiles,
    chain: impl IntoIterator<Item = &'a CertificateDer<'static>>,
) -> Result<Option<usize>, IdentityError> {
    let mut position = None;
    for (at, der) in chain.into_iter().enumerate() {
        if public == well_formed(&files.certificate, at + 1, der)?.spki_der() {
            position = position.or(Some(at));
        }
    }
    Ok(position)
}

pub(super) fn bundle(path: &Path, pem: &[u8]) -> Result<PemBundle, IdentityError> {
    pem::parse(pem).map_err(|error| IdentityError::Pem(path.to_owned(), error))
}

/// The certificates in `pem`, the content of `path`.
pub(super) fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let mut bundle = bundle(path, pem)?;
    match bundle.certificates.is_empty() {
        true => Err(IdentityError::NoCertificate(
            path.to_owned(),
            wrong_file::without_certificate(path, pem),
        )),
        false => Ok(std::mem::take(&mut bundle.certificates)),
    }
}

/// The first certificate in `pem`, the content of `path`, and those that follow.
pub(super) fn leaf_and_issuers(
    path: &Path,
    pem: &[u8],
) -> Result<(CertificateDer<'static>, Vec<CertificateDer<'static>>), IdentityError> {
    let mut all = certificates(path, pem)?;
    let leaf = all.remove(0);
    Ok((leaf, all))
}

/// A private key, and its SubjectPublicKeyInfo in DER.
pub(super) struct FoundKey {
    pub(super) key: Key,
    pub(super) public: Vec<u8>,
}

impl From<OpenedKey> for FoundKey {
    fn from(opened: OpenedKey) -> Self {
        Self {
            key: Key::Remote(opened.key),
            public: opened.public,
        }
    }
}

impl FoundKey {
    fn ready(files: &IdentityFiles, der: &SecretKey) -> Result<Self, IdentityError> {
        let key = crypto::signing_key(der)
            .map_err(|_| IdentityError::UnusableKey(files.key_file().to_path_buf(), key_kind::why_unusable(der)))?;
        let public = key.public_key().map(|public| public.as_ref().to_vec());
        Ok(Self {
            public: public.unwrap_or_default(),
            key: Key::Ready(key),
        })
    }

    /// A key in a file that `tls-keyd` has read.
    fn read_there(files: &IdentityFiles, opened: Result<OpenedKey, String>) -> Result<Self, IdentityError> {
        opened
            .map(Self::from)
            .map_err(|why| IdentityError::UnusableKey(files.key_file().to_path_buf(), why))
    }

    /// The private key in `pem`, the content of the key file.
    pub(super) fn in_pem(files: &IdentityFiles, pem: &[u8], unlock: &Unlock<'_>) -> Result<Self, IdentityError> {
        Self::ready(files, &secret_key_in(files, pem, unlock)?)
    }

    /// The private key in `file`, the key file, of a certificate with the SubjectPublicKeyInfo `wanted`.
    pub(super) fn of(
        files: &IdentityFiles,
        file: &mut KeyFile,
        wanted: &[u8],
        reader: &KeyReader<'_>,
        unlock: &Unlock<'_>,
    ) -> Result<Self, IdentityError> {
        match (file.there.take(), reader) {
            (Some(there), KeyReader::Process(process, purpose)) => {
                Self::there(files, &file.text, there, process, *purpose, unlock)
            }
            (_, KeyReader::Here(Some(log_queue))) => {
                let der = secret_key_in(files, &file.text, unlock)?;
                match DeferredKey::new(der, files.key_file(), log_queue) {
                    Ok((key, public)) if public == wanted => Ok(Self {
                        key: Key::Deferred(key),
                        public,
                    }),
                    Ok((key, _)) => Self::ready(files, &key.into_der()),
                    Err(der) => Self::ready(files, &der),
                }
            }
            _ => Self::in_pem(files, &file.text, unlock),
        }
    }

    /// The first key of a file that `tls-keyd` has read.
    fn there(
        files: &IdentityFiles,
        text: &[u8],
        there: KeysThere,
        process: &KeyProcess,
        purpose: Purpose,
        unlock: &Unlock<'_>,
    ) -> Result<Self, IdentityError> {
        let path = files.key_file();
        if let Some(opened) = there.keys.into_iter().next() {
            return Self::read_there(files, opened);
        }
        if there.is_locked {
            let opener = unlock.opener(path)?;
            let (request, _) = key_file::request(path, Wanted::First, purpose).map_err(IdentityError::File)?;
            let opened = process.unlock(request, &opener).map(Self::from);
            return opened.map_err(|why| IdentityError::Locked(path.to_path_buf(), why));
        }
        Err(no_key(files, text, &bundle(path, text)?))
    }
}

/// The private key in `pem`, the content of the key file.
fn secret_key_in(files: &IdentityFiles, pem: &[u8], unlock: &Unlock<'_>) -> Result<SecretKey, IdentityError> {
    let path = files.key_file();
    let mut bundle = bundle(path, pem)?;
    if bundle.keys.is_empty() {
        return match bundle.encrypted_key {
            true => unlock.decrypt(path, pem),
            false => Err(no_key(files, pem, &bundle)),
        };
    }
    Ok(bundle.keys.swap_remove(0))
}

fn no_key(files: &IdentityFiles, pem: &[u8], bundle: &PemBundle) -> IdentityError {
    let path = files.key_file();
    let why = wrong_file::without_key(path, pem, &bundle.certificates, files.key.is_some());
    IdentityError::NoKey(path.to_path_buf(), why)
}

/// All certificates with their keys in `path`, a PEM file or a directory of PEM files, in any order. Certificates
/// without a key are intermediate certificates. `chain` is a file with further intermediate certificates.
pub fn machine_identities(
    path: &Path,
    chain: Option<&Path>,
    reader: &KeyReader<'_>,
) -> Result<Vec<Identity>, IdentityError> {
    let further = match chain {
        Some(chain) => certificates(
            chain,
            &reader
                .read(&chain.into(), Part::Certificate, Wanted::None, &Unlock::Nobody)?
                .text,
        )?,
        None => Vec::new(),
    };
    let mut identities = Vec::new();
    for file in file_reading::expand(path).map_err(IdentityError::File)? {
        identities.extend(identities_in(&file, &further, reader)?);
    }
    match identities.is_empty() {
        true => {
            let why = "each certificate needs its key beside it, in the same file".to_owned();
            Err(IdentityError::NoKey(path.to_owned(), why))
        }
        false => Ok(identities),
    }
}

fn identities_in(
    path: &Path,
    further: &[CertificateDer<'static>],
    reader: &KeyReader<'_>,
) -> Result<Vec<Identity>, IdentityError> {
    let files = IdentityFiles {
        certificate: path.into(),
        key: None,
        chain: None,
    };
    let content = reader.read(&files.certificate, Part::Certificate, Wanted::All, &Unlock::Nobody)?;
    let bundle = bundle(path, &content.text)?;
    let keys: Vec<_> = match content.there {
        Some(there) if there.is_locked => return Err(IdentityError::EncryptedKey(path.to_owned())),
        Some(there) => there
            .keys
            .into_iter()
            .map(|key| FoundKey::read_there(&files, key))
            .collect(),
        None if bundle.encrypted_key => return Err(IdentityError::EncryptedKey(path.to_owned())),
        None => bundle.keys.iter().map(|key| FoundKey::ready(&files, key)).collect(),
    };
    let mut identities = Vec::new();
    for found in keys {
        let found = found?;
        let at = position_of(&found.public, &files, &bundle.certificates)?
            .ok_or_else(|| IdentityError::Mismatch(files.clone(), None))?;
        let leaf = bundle.certificates[at].clone();
        let issuers = issuers_of(&leaf, |name| {
            let is_wanted = |der: &&CertificateDer<'static>| {
                Certificate::parse(der).is_ok_and(|certificate| certificate.subject_der() == name)
            };
            bundle.certificates.iter().chain(further).find(is_wanted).cloned()
        });
        let info = ConnectionInfo::of(&well_formed(&files.certificate, at + 1, &leaf)?);
        let mut identity = Identity::with(&files.certificate, info, &leaf, issuers.into(), found.key);
        identity.info.oddities.exposure = content.exposure;
        identities.push(identity);
    }
    Ok(identities)
}

/// The issuers of `leaf`, one after the other. `find` returns the certificate with a DER subject name. The root is
/// omitted, because a peer that trusts it has it.
pub(super) fn issuers_of(
    leaf: &CertificateDer<'_>,
    find: impl Fn(&[u8]) -> Option<CertificateDer<'static>>,
) -> Vec<CertificateDer<'static>> {
    let mut issuers: Vec<CertificateDer<'static>> = Vec::new();
    let next = |last: &CertificateDer<'_>| find(Certificate::parse(last).ok()?.issuer_der());
    while let Some(issuer) = next(issuers.last().unwrap_or(leaf))
        && !is_root(&issuer)
        && issuer != *leaf
        && !issuers.contains(&issuer)
    {
        issuers.push(issuer);
    }
    issuers
}

pub(super) fn is_root(certificate: &CertificateDer<'_>) -> bool {
    Certificate::parse(certificate).is_ok_and(|certificate| certificate.issuer_der() == certificate.subject_der())
}
