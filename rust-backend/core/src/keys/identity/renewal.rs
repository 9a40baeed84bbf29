// SPDX-License-Identifier: Apache-2.0
//! Certificates that are renewed while httpd runs.
//!
//! If the keys are in `tls-keyd`, the parent process reads files that have changed, and tells the child processes by the
//! [journal](crate::key_process::journal). If they are in httpd's processes, each child process looks itself from time to time.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, PoisonError};

use rustls_pki_types::CertificateDer;
use serde_bytes::ByteBuf;

use super::store::Entry;
use super::{ConnectionInfo, Identity, IdentityFiles, IdentityStore, Key};
use crate::base::clock::unix_now;
use crate::base::lock::lock;
use crate::base::slots;
use crate::base::stamp::Stamp;
use crate::key_process::door::Door;
use crate::key_process::journal::{Change, Content, Journal, RemoteCertificate};
use crate::key_process::remote_key::RemoteKey;
use crate::key_process::watch_orders::Settled;
use crate::keys::key_file::KeyReader;
use crate::keys::unlock::Unlock;
use crate::trust::anchors::Anchors;
use crate::x509::Certificate;

/// An identity whose files can be watched.
#[derive(Clone, Debug)]
pub struct Watched {
    /// Its number.
    pub slot: u32,
    /// The stamp of the files that were read.
    pub stamp: Stamp,
    /// What became of them.
    pub settled: Settled,
    /// The files.
    pub files: IdentityFiles,
}

/// An identity in the store.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its number.
    pub slot: u32,
    /// Whether its files can be watched.
    pub is_watched: bool,
    /// What became of its files.
    pub settled: Settled,
    /// The files.
    pub files: IdentityFiles,
}

/// A renewal that was refused.
#[derive(Debug)]
pub(super) struct Refused {
    /// The stamp of the files; none if one could not be looked at.
    stamp: Option<Stamp>,
    /// When, in seconds since 1970.
    since: i64,
    why: String,
}

impl Entry {
    /// Notes what became of the files, which were `looked_at` before they were read.
    fn note(&mut self, outcome: &Result<Outcome, String>, old: &Arc<Identity>, looked_at: Option<Stamp>) {
        match outcome {
            Ok((stamp, new)) => {
                self.stamp = *stamp;
                self.refused = None;
                if !Arc::ptr_eq(new, old) {
                    self.since = unix_now();
                }
            }
            Err(why) => {
                self.refused = Some(Box::new(Refused {
                    stamp: looked_at,
                    since: unix_now(),
                    why: why.clone(),
                }));
            }
        }
    }

    fn known(&self, files: &IdentityFiles) -> Known {
        Known {
            slot: self.identity.slot,
            is_watched: self.stamp.is_some(),
            settled: self.settled(),
            files: files.clone(),
        }
    }

    /// What became of the files when they were last read.
    fn settled(&self) -> Settled {
        match &self.refused {
            Some(refused) => Settled {
                stamp: refused.stamp.map(Stamp::to_bits),
                since: refused.since,
                refused: Some(refused.why.clone()),
            },
            None => Settled {
                stamp: self.stamp.map(Stamp::to_bits),
                since: self.since,
                refused: None,
            },
        }
    }
}

/// An identity, and the stamp of the files that it was read from.
type Outcome = (Option<Stamp>, Arc<Identity>);

/// What became of files that have changed.
#[derive(Debug)]
pub enum Renewed {
    /// The second identity is used in place of the first one.
    Used(Arc<Identity>, Arc<Identity>),
    /// The certificate, its issuers and the key are those of before.
    Same,
    /// The identity is used as before, because the new one must not be used for this reason.
    Refused(Arc<Identity>, String),
}

impl Identity {
    /// The identity to use: the renewed one, if it was renewed. Otherwise no memory is written, which processes share.
    pub fn current(self: &Arc<Self>) -> Cow<'_, Arc<Self>> {
        match &self.key {
            Key::Of(original, anchors) => match original.current() {
                Cow::Borrowed(_) => Cow::Borrowed(self),
                Cow::Owned(current) => Cow::Owned(self.completed_anew(current, anchors)),
            },
            Key::Ready(_) | Key::Deferred(_) | Key::Remote(_) => match self.renewal_in_use() {
                Some(new) => Cow::Owned(new),
                None => Cow::Borrowed(self),
            },
        }
    }

    fn renewal_in_use(&self) -> Option<Arc<Self>> {
        let is_renewed = self.is_renewed.load(Acquire);
        is_renewed.then(|| self.renewed.read().unwrap_or_else(PoisonError::into_inner).clone())?
    }

    /// [`Self::current`] for an identity that was completed, whose original is now `current`.
    fn completed_anew(&self, current: Arc<Self>, anchors: &Arc<Anchors>) -> Arc<Self> {
        let is_of_current =
            |known: &Arc<Self>| matches!(&known.key, Key::Of(original, _) if Arc::ptr_eq(original, &current));
        self.renewal_in_use().filter(is_of_current).unwrap_or_else(|| {
            let new = current.completed(anchors).map_or(current, Arc::new);
            self.replace_by(Arc::clone(&new));
            new
        })
    }

    fn replace_by(&self, new: Arc<Self>) {
        *self.renewed.write().unwrap_or_else(PoisonError::into_inner) = Some(new);
        self.is_renewed.store(true, Release);
    }

    /// The number of the identity from which it comes.
    pub(crate) fn slot(&self) -> u32 {
        match &self.key {
            Key::Of(original, _) => original.slot,
            Key::Ready(_) | Key::Deferred(_) | Key::Remote(_) => self.slot,
        }
    }

    /// Whether it has the same certificates and the same key as `other`: the key belongs to the certificate.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.leaf == other.leaf && self.issuers == other.issuers
    }

    /// The number of its key in `tls-keyd`.
    pub(crate) fn key_id(&self) -> Option<u64> {
        match &self.key {
            Key::Remote(key) => Some(key.id()),
            Key::Ready(_) | Key::Deferred(_) | Key::Of(..) => None,
        }
    }

    /// What child processes are told of it. None if the key is not in `tls-keyd`.
    pub(crate) fn remote_certificate(&self) -> Option<RemoteCertificate> {
        let Key::Remote(key) = &self.key else { return None };
        Some(RemoteCertificate {
            source: self.source.as_os_str().as_bytes().to_vec(),
            leaf: self.leaf.to_vec(),
            issuers: self.issuers.iter().map(|der| ByteBuf::from(der.to_vec())).collect(),
            key: key.id(),
            schemes: key.schemes(),
        })
    }

    /// The identity of which the parent process tells. None if the certificate cannot be parsed.
    pub(crate) fn told(certificate: &RemoteCertificate, door: &Arc<Door>) -> Option<Self> {
        let info = ConnectionInfo::of(&Certificate::parse(&certificate.leaf).ok()?);
        let issuers = certificate.issuers.iter();
        let issuers = issuers.map(|der| CertificateDer::from(der.to_vec()));
        let key = RemoteKey::in_child(certificate.key, &certificate.schemes, Arc::clone(door));
        let key = Key::Remote(Arc::new(key));
        let source = Path::new(OsStr::from_bytes(&certificate.source)).into();
        Some(Self::with(&source, info, &certificate.leaf, issuers.collect(), key))
    }
}

impl IdentityStore {
    /// The identities whose files can be watched.
    pub fn watched(&self) -> Vec<Watched> {
        let entries = lock(&self.entries);
        let watched = entries.iter().filter_map(|(files, entry)| {
            Some(Watched {
                slot: entry.identity.slot,
                stamp: entry.stamp?,
                settled: entry.settled(),
                files: files.clone(),
            })
        });
        watched.collect()
    }

    /// All identities.
    pub fn known(&self) -> impl Iterator<Item = Known> {
        let entries = lock(&self.entries);
        let known = entries.iter().map(|(files, entry)| entry.known(files));
        known.collect::<Vec<_>>().into_iter()
    }

    /// The identity with this number. None if it is no longer used.
    pub fn known_as(&self, slot: u32) -> Option<Known> {
        let entries = lock(&self.entries);
        let found = entries.iter().find(|(_, entry)| entry.identity.slot == slot);
        found.map(|(files, entry)| entry.known(files))
    }

    /// In a child process: uses `certificate`, of which the parent process has told, in place of the identity `slot`, if that is
    /// in this store.
    pub fn replace(&self, slot: u32, certificate: &RemoteCertificate, door: &Arc<Door>) {
        let known = lock(&self.entries)
            .values()
            .find(|entry| entry.identity.slot == slot)
            .map(|entry| Arc::clone(&entry.identity));
        if let Some(known) = known
            && let Some(mut new) = Identity::told(certificate, door)
        {
            new.slot = slot;
            known.replace_by(Arc::new(new));
        }
    }

    /// Reads the files of an identity again, which have changed, and tells the child processes by `journal`, unless `objection`
    /// has something against the new identity, which it compares with the one of before. None if the identity is
    /// no longer used, or its files are as they were. The error is why there is no new one.
    pub fn renew(
        &self,
        slot: u32,
        reader: &KeyReader<'_>,
        journal: Option<&Journal>,
        objection: impl FnOnce(&Arc<Identity>, &Arc<Identity>) -> Option<String>,
    ) -> Option<Renewed> {
        let found = lock(&self.entries)
            .iter()
            .find(|(_, entry)| entry.identity.slot == slot)
            .map(|(files, entry)| (files.clone(), entry.stamp, Arc::clone(&entry.identity)));
        let (files, stamp, base) = found?;
        let looked_at = files.stamp().ok();
        let is_as_before = stamp.is_some() && looked_at == stamp;
        let old = base.current().into_owned();
        let outcome = match is_as_before {
            true => Ok((stamp, old.clone())),
            false => self.read_again(slot, &files, &old, reader, journal, objection),
        };
        if let Ok((_, new)) = &outcome
            && !Arc::ptr_eq(new, &old)
        {
            base.replace_by(Arc::clone(new));
        }
        if let Some(entry) = lock(&self.entries).get_mut(&files) {
            entry.note(&outcome, &old, looked_at);
        }
        match outcome {
            _ if is_as_before => None,
            Ok((_, new)) if Arc::ptr_eq(&new, &old) => Some(Renewed::Same),
            Ok((_, new)) => Some(Renewed::Used(old, new)),
            Err(why) => Some(Renewed::Refused(old, why)),
        }
    }

    /// The identity in `files`, which is `old` if the certificates are the same, and the stamp of the files. The child processes
    /// know of it. The error is why there is no new one.
    fn read_again(
        &self,
        slot: u32,
        files: &IdentityFiles,
        old: &Arc<Identity>,
        reader: &KeyReader<'_>,
        journal: Option<&Journal>,
        objection: impl FnOnce(&Arc<Identity>, &Arc<Identity>) -> Option<String>,
    ) -> Result<Outcome, String> {
        let read = reader.read_all(files, &Unlock::Nobody).and_then(|content| {
            let stamp = content.stamp();
            let mut identity = self.assemble(files, content, reader, &Unlock::Nobody)?;
            identity.slot = slot;
            Ok((stamp, Arc::new(identity)))
        });
        let (stamp, new) = read.map_err(|error| error.to_string())?;
        if new.is_same(old) {
            return Ok((stamp, Arc::clone(old)));
        }
        if let Some(why) = objection(old, &new) {
            return Err(why);
        }
        if let (Some(journal), Some(certificate)) = (journal, new.remote_certificate()) {
            let content = Content::Identities(vec![certificate]);
            journal.append(&Change { slot, content })?;
        }
        Ok((stamp, new))
    }

    /// In a child process whose parent does not watch files: the number of an identity whose files have changed. They are
    /// looked at no more often than every `interval` seconds; `now` is the time in seconds. Files that this process must not
    /// look at have not changed.
    pub fn has_changed(&self, identity: &Identity, now: u32, interval: u32) -> Option<u32> {
        let slot = identity.slot();
        if slot == slots::NONE {
            return None;
        }
        let files = self.take_look(slot, now, interval)?;
        // Not under the lock: a file system that does not answer must keep only this handshake waiting.
        let stamp = files.stamp().ok()?;
        let mut looks = lock(&self.looks);
        let known = &mut looks.as_mut()?.get_mut(&slot)?.watched.stamp;
        (std::mem::replace(known, stamp) != stamp).then_some(slot)
    }

    /// The files of the identity `slot` if they are to be looked at, which is noted.
    fn take_look(&self, slot: u32, now: u32, interval: u32) -> Option<IdentityFiles> {
        let mut looks = lock(&self.looks);
        let all = || {
            let watched = self.watched().into_iter();
            watched
                .map(|watched| (watched.slot, Look { watched, last: now }))
                .collect()
        };
        let look = looks.get_or_insert_with(all).get_mut(&slot)?;
        if now.wrapping_sub(look.last) < interval {
            return None;
        }
        look.last = now;
        Some(look.watched.files.clone())
    }
}

/// When a child process has looked at files.
#[derive(Debug)]
pub(super) struct Look {
    watched: Watched,
    last: u32,
}
