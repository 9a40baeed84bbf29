// SPDX-License-Identifier: Apache-2.0
//! Certificates and keys that are kept over reloads.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustls_pki_types::CertificateDer;

use super::oddities::Links;
use super::{
    Chain, ConnectionInfo, Identity, IdentityError, IdentityFiles, Key, Unlock, certificates, hash_of, key_of,
    leaf_and_issuers, signing_key, well_formed,
};
use crate::base::file_reading::{self, FileStamp};
use crate::base::log_queue::LogQueue;
use crate::keys::deferred_key::DeferredKey;
use crate::x509::pem;

/// Keeps certificates and keys, so that a reload reads only files that have changed.
///
/// httpd reads its configuration twice at startup and again at each reload; servers have thousands of certificates of
/// which few change in between. An entry is valid as long as device, inode, size and change time of its files are
/// equal.
#[derive(Debug, Default)]
pub struct IdentityStore {
    entries: Mutex<HashMap<IdentityFiles, Entry>>,
    issuers: Mutex<HashSet<&'static [u8]>>,
    /// Intermediate certificates by their PEM text.
    issuer_texts: Mutex<HashMap<Box<[u8]>, Issuers>>,
}

/// The maximum number of entries in `issuer_texts`. CAs have few intermediate certificates.
const MAX_ISSUER_TEXTS: usize = 256;

/// Intermediate certificates, and the results of their checks.
#[derive(Clone, Debug)]
struct Issuers {
    certificates: Chain,
    links: Arc<Links>,
}

impl Issuers {
    fn new(certificates: Chain) -> Self {
        let links = Arc::new(Links::of(&certificates));
        Self { certificates, links }
    }
}

#[derive(Debug)]
struct Entry {
    stamp: Stamp,
    identity: Arc<Identity>,
    used: bool,
}

/// A digest of the stamps of an identity's files: the certificate file, the key file and the chain file. A change is
/// missed with a probability of 2^-64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp(u64);

impl Stamp {
    fn new(certificate: FileStamp, key: Option<FileStamp>, chain: Option<FileStamp>) -> Self {
        Self(hash_of((certificate, key, chain)))
    }

    /// The current stamp of `files`.
    fn of(files: &IdentityFiles) -> Result<Self, IdentityError> {
        let stamp = |path: &Path| FileStamp::of(path).map_err(IdentityError::File);
        let optional = |path: &Option<Arc<Path>>| path.as_deref().map(stamp).transpose();
        Ok(Self::new(
            stamp(&files.certificate)?,
            optional(&files.key)?,
            optional(&files.chain)?,
        ))
    }
}

impl IdentityStore {
    /// The identity in `files`, which is read if it is not known or has changed. `unlock` decrypts encrypted keys. With
    /// a `log_queue`, a key file that contains the public key of the certificate is parsed when it is first needed, and
    /// errors are logged to the log_queue.
    pub fn load(
        &self,
        files: &IdentityFiles,
        log_queue: Option<&Arc<LogQueue>>,
        unlock: &mut Unlock<'_>,
    ) -> Result<Arc<Identity>, IdentityError> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get_mut(files)
            && entry.stamp == Stamp::of(files)?
        {
            entry.used = true;
            return Ok(Arc::clone(&entry.identity));
        }
        let files = files.copied();
        let (identity, stamp) = self.read(&files, log_queue, unlock)?;
        let identity = Arc::new(identity);
        let entry = Entry {
            stamp,
            identity: Arc::clone(&identity),
            used: true,
        };
        entries.insert(files, entry);
        Ok(identity)
    }

    /// Removes the identities that were not loaded since the last call: they are no longer used.
    pub fn forget_unused(&self) {
        self.entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|_, entry| std::mem::take(&mut entry.used));
    }

    fn read(
        &self,
        files: &IdentityFiles,
        log_queue: Option<&Arc<LogQueue>>,
        unlock: &mut Unlock<'_>,
    ) -> Result<(Identity, Stamp), IdentityError> {
        let read = |path: &Path| file_reading::read_stamped(path).map_err(IdentityError::File);
        let certificate = read(&files.certificate)?;
        let (leaf, mut chain) = self
            .chain_in(&files.certificate, &certificate.bytes)
            .map_err(|error| error.or_swapped(files, &certificate.bytes))?;
        let own_file = files.key.as_deref().map(read).transpose()?;
        let key_file = own_file.as_ref().unwrap_or(&certificate);
        let key = key_of(files, &key_file.bytes, unlock)?;
        let mut chain_stamp = None;
        if let Some(path) = &files.chain {
            let content = read(path)?;
            chain_stamp = Some(content.stamp);
            if chain.certificates.is_empty() {
                let all = certificates(path, &content.bytes)?;
                // The file may also contain the certificate itself.
                let others = all.iter().enumerate().filter(|(_, issuer)| **issuer != leaf);
                let shared = others.map(|(at, issuer)| self.shared(path, at + 1, issuer));
                chain = Issuers::new(shared.collect::<Result<_, _>>()?);
            }
        }
        let parsed = well_formed(&files.certificate, 1, &leaf)?;
        let deferred = match log_queue {
            Some(log_queue) => DeferredKey::new(key, &parsed, files.key_file(), log_queue),
            None => Err(key),
        };
        let mut identity = match deferred {
            Ok(key) => {
                let info = ConnectionInfo::of(&parsed);
                Identity::with(
                    &files.certificate,
                    info,
                    leaf.clone(),
                    chain.certificates,
                    Key::Deferred(key),
                )
            }
            Err(key) => Identity::new(files, leaf.clone(), chain.certificates, signing_key(files, &key)?)?,
        };
        identity.info.oddities.stranger = chain.links.stranger_below(&parsed);
        identity.info.oddities.exposure = key_file.exposure;
        let key_stamp = own_file.as_ref().map(|file| file.stamp);
        Ok((identity, Stamp::new(certificate.stamp, key_stamp, chain_stamp)))
    }

    /// The certificate in `pem`, the content of `file`, and its intermediate certificates. Text of intermediate
    /// certificates that was read before is recognised.
    fn chain_in(&self, file: &Arc<Path>, pem: &[u8]) -> Result<(CertificateDer<'static>, Issuers), IdentityError> {
        let rest = pem::issuers_in(pem);
        let mut known = self.issuer_texts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rest) = rest
            && let Some(issuers) = known.get(rest)
        {
            let (leaf, _) = leaf_and_issuers(file, &pem[..pem.len() - rest.len()])?;
            return Ok((leaf, issuers.clone()));
        }
        let (leaf, issuers) = leaf_and_issuers(file, pem)?;
        let shared = issuers
            .iter()
            .enumerate()
            .map(|(at, issuer)| self.shared(file, at + 2, issuer));
        let issuers = Issuers::new(shared.collect::<Result<_, _>>()?);
        if let Some(rest) = rest.filter(|_| known.len() < MAX_ISSUER_TEXTS) {
            known.insert(rest.into(), issuers.clone());
        }
        Ok((leaf, issuers))
    }

    /// All chains share one copy of each intermediate certificate. It is kept for the lifetime of the process. There
    /// are only a few: they change when a CA changes its intermediate certificates. The certificate is number `number`
    /// in `file`; an error is returned if it is not well-formed.
    fn shared(
        &self,
        file: &Arc<Path>,
        number: usize,
        issuer: &CertificateDer<'_>,
    ) -> Result<CertificateDer<'static>, IdentityError> {
        let mut issuers = self.issuers.lock().unwrap_or_else(PoisonError::into_inner);
        let der = match issuers.get(issuer.as_ref()) {
            Some(known) => *known,
            None => {
                well_formed(file, number, issuer)?;
                let der: &'static [u8] = Box::leak(issuer.to_vec().into_boxed_slice());
                issuers.insert(der);
                der
            }
        };
        Ok(CertificateDer::from(der))
    }
}
