// SPDX-License-Identifier: Apache-2.0
//! Identities that are not configured: they are not kept over reloads, and nobody is asked for a pass phrase.

use std::path::Path;
use std::sync::Arc;

use super::loading::{FoundKey, leaf_and_issuers, well_formed};
use super::{Identity, IdentityError, IdentityFiles, Key};
use crate::base::log_queue::LogQueue;
use crate::key_process::remote_key::RemoteKey;
use crate::keys::key_file::KeyReader;
use crate::keys::unlock::Unlock;

impl Identity {
    /// An identity from PEM in memory, for example mod_md's answer to an ACME challenge.
    pub fn from_pem(name: &str, certificate: &[u8], key: Option<&[u8]>) -> Result<Self, IdentityError> {
        let files = IdentityFiles::one(Path::new(name));
        Self::of_pem(&files, certificate, |_| {
            FoundKey::in_pem(&files, key.unwrap_or(certificate), &Unlock::Nobody)
        })
    }

    /// The identity of a certificate in a store: PEM with its intermediate certificates. `tls-keyd` has the key, whose
    /// SubjectPublicKeyInfo is `public`.
    pub(crate) fn stored(
        source: &Path,
        certificate: &[u8],
        key: RemoteKey,
        public: Vec<u8>,
    ) -> Result<Self, IdentityError> {
        let key = Key::Remote(Arc::new(key));
        Self::of_pem(&IdentityFiles::one(source), certificate, |_| {
            Ok(FoundKey { key, public })
        })
    }

    /// Reads an identity without asking for a pass phrase. Messages about its key are logged to `log_queue` when it is used.
    pub(crate) fn read(
        certificate: &Path,
        key: Option<&Path>,
        log_queue: &Arc<LogQueue>,
    ) -> Result<Self, IdentityError> {
        let files = IdentityFiles {
            key: key.map(Arc::from),
            ..IdentityFiles::one(certificate)
        };
        let reader = KeyReader::Here(Some(log_queue));
        let mut content = reader.read_all(&files, &Unlock::Nobody)?;
        let mut key_file = content.key.take();
        let text = content.certificate.text.clone();
        let key_file = key_file.as_mut().unwrap_or(&mut content.certificate);
        Self::of_pem(&files, &text, |wanted| {
            FoundKey::of(&files, key_file, wanted, &reader, &Unlock::Nobody)
        })
    }

    /// An identity from PEM. `key` returns the key for a SubjectPublicKeyInfo.
    fn of_pem(
        files: &IdentityFiles,
        certificate: &[u8],
        key: impl FnOnce(&[u8]) -> Result<FoundKey, IdentityError>,
    ) -> Result<Self, IdentityError> {
        let (leaf, issuers) = leaf_and_issuers(&files.certificate, certificate)?;
        for (at, issuer) in issuers.iter().enumerate() {
            well_formed(&files.certificate, at + 2, issuer)?;
        }
        let parsed = well_formed(&files.certificate, 1, &leaf)?;
        let key = key(parsed.spki_der())?;
        Self::new(files, &leaf, &parsed, issuers.into(), key)
    }
}
