// SPDX-License-Identifier: Apache-2.0
//! Certificates and keys that are kept over reloads.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustls_pki_types::CertificateDer;

use super::loading::FoundKey;
use super::oddities::Links;
use super::renewal::{Look, Refused};
use super::{Chain, Identity, IdentityError, IdentityFiles, certificates, leaf_and_issuers, well_formed};
use crate::base::clock::unix_now;
use crate::base::lock::lock;
use crate::base::slots;
use crate::base::stamp::{Stamp, hash_of};
use crate::key_process::parent::{FileRequest, KeyProcess, ReadFile};
use crate::key_process::protocol::{Purpose, Wanted};
use crate::keys::key_file::{self, Facts, IdentityContent, KeyFile, KeyReader};
use crate::keys::unlock::Unlock;
use crate::x509::pem;

/// Keeps certificates and keys, so that a reload reads only files that have changed.
///
/// httpd reads its configuration twice at startup and again at each reload; servers have thousands of certificates of
/// which few change in between. An entry is valid as long as device, inode, size and change time of its files are
/// equal.
#[derive(Debug, Default)]
pub struct IdentityStore {
    pub(super) entries: Mutex<HashMap<IdentityFiles, Entry>>,
    /// Why identities that were [prepared](Self::prepare) cannot be used.
    failed: Mutex<HashMap<IdentityFiles, IdentityError>>,
    issuers: Mutex<HashSet<&'static [u8]>>,
    /// Intermediate certificates by their PEM text.
    issuer_texts: Mutex<HashMap<Box<[u8]>, Issuers>>,
    /// In a child process that looks at the files itself: when it has looked, by the numbers of identities.
    pub(super) looks: Mutex<Option<HashMap<u32, Look>>>,
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
pub(super) struct Entry {
    /// None if an object in a token is part of it.
    pub(super) stamp: Option<Stamp>,
    /// As it was when the configuration was read.
    pub(super) identity: Arc<Identity>,
    /// Since when the certificate is used, in seconds since 1970.
    pub(super) since: i64,
    /// The last renewal, if it was refused.
    pub(super) refused: Option<Box<Refused>>,
    used: bool,
    /// Whether it was read for the configuration that is being compiled, so that its files need not be looked at.
    is_fresh: bool,
}

impl Entry {
    /// Whether the identity can be used for `files` with this reader.
    fn is_current(&self, files: &IdentityFiles, reader: &KeyReader<'_>) -> Result<bool, IdentityError> {
        if self.identity.is_remote() != matches!(reader, KeyReader::Process(..)) {
            return Ok(false);
        }
        match self.stamp {
            _ if self.is_fresh => Ok(true),
            Some(stamp) => Ok(stamp == files.stamp()?),
            None => Ok(false),
        }
    }
}

/// An identity whose files `tls-keyd` reads.
struct Pending {
    files: IdentityFiles,
    /// What is known of the files: of the certificate, the key and the chain, as far as they are different files.
    facts: Vec<Facts>,
    read: Vec<Result<ReadFile, String>>,
}

impl Pending {
    /// Opens the files.
    fn open(files: &IdentityFiles, purpose: Purpose) -> Result<(Self, Vec<FileRequest>), IdentityError> {
        let files = files.copied();
        let all = std::iter::once((&files.certificate, files.wanted_beside_certificate()))
            .chain(files.key.iter().map(|path| (path, Wanted::First)))
            .chain(files.chain.iter().map(|path| (path, Wanted::None)));
        let opened: Result<Vec<_>, _> = all
            .map(|(path, wanted)| key_file::request(path, wanted, purpose).map_err(IdentityError::File))
            .collect();
        let (requests, facts) = opened?.into_iter().unzip();
        let pending = Self {
            files,
            facts,
            read: Vec::with_capacity(3),
        };
        Ok((pending, requests))
    }

    /// Adds the next file that was read. True if it is the last one.
    fn receive(&mut self, read: Result<ReadFile, String>) -> bool {
        self.read.push(read);
        self.read.len() == self.facts.len()
    }

    fn content(self) -> Result<IdentityContent, IdentityError> {
        let all = self.facts.into_iter().zip(self.read);
        let files: Result<Vec<_>, _> = all.map(|(facts, read)| Ok(KeyFile::there(facts, read?))).collect();
        let mut files = files.map_err(IdentityError::Process)?.into_iter();
        let certificate = files.next();
        Ok(IdentityContent {
            certificate: certificate.ok_or_else(|| IdentityError::Process("no file was read".to_owned()))?,
            key: self.files.key.as_ref().and_then(|_| files.next()),
            chain: files.next(),
        })
    }
}

impl IdentityStore {
    /// The identity in `files`, which is read by `reader` if it is not known or has changed.
    pub fn load(
        &self,
        files: &IdentityFiles,
        reader: &KeyReader<'_>,
        unlock: &Unlock<'_>,
    ) -> Result<Arc<Identity>, IdentityError> {
        if let Some(error) = lock(&self.failed).remove(files) {
            return Err(error);
        }
        if let Some(entry) = lock(&self.entries).get_mut(files)
            && entry.is_current(files, reader)?
        {
            entry.used = true;
            entry.refused = None;
            if let Cow::Owned(current) = entry.identity.current() {
                entry.identity = current;
            }
            return Ok(Arc::clone(&entry.identity));
        }
        let files = files.copied();
        let content = reader.read_all(&files, unlock)?;
        let identity = self.add(files, content, reader, unlock, true)?;
        Ok(identity)
    }

    /// Has `tls-keyd` read all of `wanted` that are not known or have changed: one order for many files. Errors are returned by
    /// [`Self::load`], which also reads those whose keys are encrypted. An error is returned if `tls-keyd` fails.
    pub fn prepare(
        &self,
        wanted: impl Iterator<Item = IdentityFiles>,
        process: &KeyProcess,
        purpose: Purpose,
    ) -> Result<(), String> {
        let reader = KeyReader::Process(process, purpose);
        let mut seen = HashSet::new();
        let pending = RefCell::new(VecDeque::<Pending>::new());
        let fail = |files: &IdentityFiles, error| {
            lock(&self.failed).insert(files.copied(), error);
        };
        let requests = wanted.flat_map(|files| {
            let is_current = lock(&self.entries).get_mut(&files).is_some_and(|entry| {
                entry.is_fresh = matches!(entry.is_current(&files, &reader), Ok(true));
                entry.is_fresh
            });
            if is_current || files.is_in_token() || !seen.insert(hash_of(&files)) {
                return Vec::new();
            }
            match Pending::open(&files, purpose) {
                Ok((one, requests)) => {
                    pending.borrow_mut().push_back(one);
                    requests
                }
                Err(error) => {
                    fail(&files, error);
                    Vec::new()
                }
            }
        });
        process.read(requests, |read| {
            let mut pending = pending.borrow_mut();
            if let Some(one) = pending.front_mut()
                && one.receive(read)
                && let Some(one) = pending.pop_front()
            {
                drop(pending);
                let files = one.files.clone();
                match one.content() {
                    Ok(content) if content.key_file().is_locked() => {}
                    Ok(content) => {
                        if let Err(error) = self.add(files.clone(), content, &reader, &Unlock::Nobody, false) {
                            fail(&files, error);
                        }
                    }
                    Err(error) => fail(&files, error),
                }
            }
        })
    }

    /// Adds an identity whose files were read.
    fn add(
        &self,
        files: IdentityFiles,
        content: IdentityContent,
        reader: &KeyReader<'_>,
        unlock: &Unlock<'_>,
        used: bool,
    ) -> Result<Arc<Identity>, IdentityError> {
        let stamp = content.stamp();
        let mut identity = self.assemble(&files, content, reader, unlock)?;
        identity.slot = slots::next();
        let identity = Arc::new(identity);
        let entry = Entry {
            stamp,
            identity: Arc::clone(&identity),
            since: unix_now(),
            refused: None,
            used,
            is_fresh: true,
        };
        lock(&self.entries).insert(files, entry);
        Ok(identity)
    }

    /// Removes the identities that were not loaded since the last call: they are no longer used.
    pub fn forget_unused(&self) {
        lock(&self.failed).clear();
        lock(&self.entries).retain(|_, entry| {
            entry.is_fresh = false;
            std::mem::take(&mut entry.used)
        });
    }

    pub(super) fn assemble(
        &self,
        files: &IdentityFiles,
        mut content: IdentityContent,
        reader: &KeyReader<'_>,
        unlock: &Unlock<'_>,
    ) -> Result<Identity, IdentityError> {
        let (leaf, mut chain) = self
            .chain_in(&files.certificate, &content.certificate.text)
            .map_err(|error| error.or_swapped(files, &content))?;
        if let (Some(path), Some(file)) = (&files.chain, &content.chain)
            && chain.certificates.is_empty()
        {
            let all = certificates(path, &file.text)?;
            // The file may also contain the certificate itself.
            let others = all.iter().enumerate().filter(|(_, issuer)| **issuer != leaf);
            let shared = others.map(|(at, issuer)| self.shared(path, at + 1, issuer));
            chain = Issuers::new(shared.collect::<Result<_, _>>()?);
        }
        let exposure = content.key_file().exposure;
        let parsed = well_formed(&files.certificate, 1, &leaf)?;
        let key_file = content.key.as_mut().unwrap_or(&mut content.certificate);
        let found = FoundKey::of(files, key_file, parsed.spki_der(), reader, unlock)?;
        let mut identity = Identity::new(files, &leaf, &parsed, chain.certificates, found)?;
        identity.info.oddities.stranger = chain.links.stranger_below(&parsed);
        identity.info.oddities.exposure = exposure;
        Ok(identity)
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
