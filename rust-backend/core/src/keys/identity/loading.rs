// SPDX-License-Identifier: Apache-2.0
//! Reading of certificates and their keys from files.

use std::path::Path;
use std::sync::Arc;

use rustls::sign::SigningKey;
use rustls_pki_types::CertificateDer;

use super::{Identity, IdentityError, IdentityFiles};
use crate::base::file_reading;
use crate::crypto::{self, key_kind};
use crate::keys::encrypted_key::SecretKey;
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

pub(super) fn is_key_of(key: &Arc<dyn SigningKey>, certificate: &Certificate<'_>) -> bool {
    key.public_key()
        .is_some_and(|public| public.as_ref() == certificate.spki_der())
}

/// The position of the certificate that `key` matches. All certificates must be well-formed.
pub(super) fn position_of<'a>(
    key: &Arc<dyn SigningKey>,
    files: &IdentityFiles,
    chain: impl IntoIterator<Item = &'a CertificateDer<'static>>,
) -> Result<Option<usize>, IdentityError> {
    let mut position = None;
    for (at, der) in chain.into_iter().enumerate() {
        if is_key_of(key, &well_formed(&files.certificate, at + 1, der)?) {
            position = position.or(Some(at));
        }
    }
    Ok(position)
}

pub(super) fn bundle(path: &Path, pem: &[u8]) -> Result<PemBundle, IdentityError> {
    pem::parse(pem).map_err(|error| IdentityError::Pem(path.to_owned(), error))
}

/// Decrypts the key in a file with this content. It is not called for unencrypted keys.
pub type Unlock<'a> = dyn FnMut(&Path, &[u8]) -> Result<SecretKey, IdentityError> + 'a;

/// An [`Unlock`] for contexts without pass phrases.
pub fn nobody(path: &Path, _: &[u8]) -> Result<SecretKey, IdentityError> {
    Err(IdentityError::EncryptedKey(path.to_owned()))
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

/// The private key in `pem`, the content of the key file.
pub(super) fn key_of(files: &IdentityFiles, pem: &[u8], unlock: &mut Unlock<'_>) -> Result<SecretKey, IdentityError> {
    let path = files.key_file();
    let bundle = bundle(path, pem)?;
    match bundle.keys.into_iter().next() {
        Some(key) => Ok(key),
        None if bundle.encrypted_key => unlock(path, pem),
        None => {
            let why = wrong_file::without_key(path, pem, &bundle.certificates, files.key.is_some());
            Err(IdentityError::NoKey(path.to_path_buf(), why))
        }
    }
}

/// All certificates with their keys in `path`, a PEM file or a directory of PEM files, in any order. Certificates
/// without a key are intermediate certificates. `chain` is a file with further intermediate certificates.
pub fn machine_identities(path: &Path, chain: Option<&Path>) -> Result<Vec<Identity>, IdentityError> {
    let further = match chain {
        Some(chain) => certificates(chain, &file_reading::read(chain).map_err(IdentityError::File)?)?,
        None => Vec::new(),
    };
    let mut identities = Vec::new();
    for file in file_reading::expand(path).map_err(IdentityError::File)? {
        identities.extend(identities_in(&file, &further)?);
    }
    match identities.is_empty() {
        true => {
            let why = "each certificate needs its key beside it, in the same file".to_owned();
            Err(IdentityError::NoKey(path.to_owned(), why))
        }
        false => Ok(identities),
    }
}

pub(super) fn identities_in(path: &Path, further: &[CertificateDer<'static>]) -> Result<Vec<Identity>, IdentityError> {
    let files = IdentityFiles {
        certificate: path.into(),
        key: None,
        chain: None,
    };
    let content = file_reading::read_stamped(path).map_err(IdentityError::File)?;
    let bundle = bundle(path, &content.bytes)?;
    if bundle.encrypted_key {
        return Err(IdentityError::EncryptedKey(path.to_owned()));
    }
    let mut identities = Vec::new();
    for key in &bundle.keys {
        let key = signing_key(&files, key)?;
        let at = position_of(&key, &files, &bundle.certificates)?
            .ok_or_else(|| IdentityError::Mismatch(files.clone(), None))?;
        let leaf = bundle.certificates[at].clone();
        let issuers = issuers_of(&leaf, |name| {
            let is_wanted = |der: &&CertificateDer<'static>| {
                Certificate::parse(der).is_ok_and(|certificate| certificate.subject_der() == name)
            };
            bundle.certificates.iter().chain(further).find(is_wanted).cloned()
        });
        let mut identity = Identity::generated(path, leaf, issuers, key);
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

pub(super) fn signing_key(files: &IdentityFiles, key: &SecretKey) -> Result<Arc<dyn SigningKey>, IdentityError> {
    crypto::signing_key(key)
        .map_err(|_| IdentityError::UnusableKey(files.key_file().to_path_buf(), key_kind::why_unusable(key)))
}
