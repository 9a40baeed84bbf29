// SPDX-License-Identifier: Apache-2.0
//! Certificates that are looked up by name in a store when a client asks for them: `TLSCertificateStore`.
//!
//! Each child process keeps those that were used last. From time to time it looks whether a certificate was replaced.

use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lru::LruCache;

use super::Config;
use crate::base::clock::unix_now;
use crate::base::diagnostics::Severity;
use crate::base::file_reading::FileError;
use crate::base::host_name::HostName;
use crate::base::lock::lock;
use crate::base::log_codes::Code;
use crate::base::stamp::Stamp;
use crate::key_process::protocol::Found;
use crate::key_process::remote_key::{RemoteKey, StorePlace};
use crate::keys::identity::Identity;
use crate::keys::store_source::StoreSource;
use crate::process::counters::Counter;
use crate::settings::{StoreCacheSize, Watching};
use crate::site::Site;

/// How often a store is asked whether a certificate has changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long a store is not asked about a certificate again that could not be asked.
const PUT_OFF: Duration = Duration::from_secs(10);

/// How long it is remembered that a store has nothing for a name, or that the host's own certificate is used for it.
const ABSENT_FOR: Duration = Duration::from_secs(2);

/// For how many names that is remembered.
const MAX_ABSENT: NonZeroUsize = NonZeroUsize::new(4096).expect("it is not 0");

/// What a certificate in the cache needs besides its chain, in bytes: the settings of its handshakes and the key.
const OVERHEAD: usize = 8 * 1024;

/// A store of certificates.
#[derive(Debug)]
pub(crate) struct CertificateStore {
    pub(crate) source: StoreSource,
    /// Its number in `tls-keyd`. None if this process reads the files.
    pub(crate) number: Option<u32>,
}

/// A host and the name that a client asks for. Hosts are told apart by their addresses in memory.
type Key = (usize, HostName);

/// A certificate in the cache.
#[derive(Debug)]
struct Entry {
    /// The host with this certificate.
    site: Arc<Site>,
    stamp: u64,
    /// When the store is to be asked whether there is another one.
    look_at: Instant,
    size: usize,
    /// Why a newer certificate is not used.
    complaint: Option<String>,
}

/// Why the store's certificate is not used.
#[derive(Clone, Debug)]
enum Absent {
    /// The store has none.
    NotThere,
    /// It cannot be used, for this reason.
    Failed(String),
    /// The store cannot be asked, for this reason.
    Unreachable(String),
    /// That of the host covers the name.
    Covered,
}

/// The certificates that were looked up.
#[derive(Debug)]
pub(crate) struct StoreCache {
    limit: usize,
    kept: Mutex<Kept>,
    /// Names for which there is nothing to use, and until when that is remembered.
    absent: Mutex<LruCache<Key, (Instant, Absent)>>,
}

#[derive(Debug)]
struct Kept {
    entries: LruCache<Key, Entry>,
    size: usize,
}

impl StoreCache {
    pub(crate) fn new(size: StoreCacheSize) -> Self {
        let kept = Kept {
            // Memory for entries is only taken when there are some.
            entries: LruCache::unbounded(),
            size: 0,
        };
        let this = Self {
            limit: size.bytes,
            kept: Mutex::new(kept),
            absent: Mutex::new(LruCache::unbounded()),
        };
        lock(&this.kept).entries.resize(size.entries);
        lock(&this.absent).resize(MAX_ABSENT);
        this
    }

    /// Remembers a certificate, in place of those that were not used for the longest time.
    fn keep(&self, key: Key, entry: Entry) {
        let mut kept = lock(&self.kept);
        kept.size += entry.size;
        if let Some((_, gone)) = kept.entries.push(key, entry) {
            kept.size -= gone.size;
        }
        while kept.size > self.limit
            && kept.entries.len() > 1
            && let Some((_, gone)) = kept.entries.pop_lru()
        {
            kept.size -= gone.size;
        }
    }

    /// What is known for a name. With `looks`, an old certificate is to be compared with the store; other threads that ask
    /// meanwhile use it.
    fn find(&self, key: &Key, looks: bool) -> Cached {
        let now = Instant::now();
        if let Some(entry) = lock(&self.kept).entries.get_mut(key) {
            let site = Arc::clone(&entry.site);
            if !looks || now < entry.look_at {
                return Cached::Fresh(site);
            }
            entry.look_at = now + LOOK_EVERY;
            return Cached::Old(site, entry.stamp);
        }
        match lock(&self.absent).get(key) {
            Some((until, absent)) if now < *until => Cached::Absent(absent.clone()),
            _ => Cached::Unknown,
        }
    }

    /// The store cannot be asked about a certificate, which is used for a while.
    fn put_off(&self, key: &Key) {
        if let Some(entry) = lock(&self.kept).entries.get_mut(key) {
            entry.look_at = Instant::now() + PUT_OFF;
        }
    }

    /// Notes why a newer certificate is not used. False if that is known.
    fn complain(&self, key: &Key, why: String) -> bool {
        let mut kept = lock(&self.kept);
        match kept.entries.get_mut(key) {
            Some(entry) if entry.complaint.as_ref() != Some(&why) => {
                entry.complaint = Some(why);
                true
            }
            _ => false,
        }
    }

    /// Remembers that there is nothing to use, and forgets what was used.
    fn note_absence(&self, key: Key, absent: Absent) -> Absent {
        let mut kept = lock(&self.kept);
        if let Some(gone) = kept.entries.pop(&key) {
            kept.size -= gone.size;
        }
        drop(kept);
        lock(&self.absent).push(key, (Instant::now() + ABSENT_FOR, absent.clone()));
        absent
    }
}

/// What is known for a name.
enum Cached {
    /// This certificate.
    Fresh(Arc<Site>),
    /// This certificate with its stamp, unless there is another one by now.
    Old(Arc<Site>, u64),
    /// That there is nothing to use.
    Absent(Absent),
    /// Nothing.
    Unknown,
}

/// The host that answers a client.
pub(crate) enum Chosen<'a> {
    /// As it is configured.
    Configured(&'a Site),
    /// With a certificate from a store.
    Stored(Arc<Site>),
}

impl std::ops::Deref for Chosen<'_> {
    type Target = Site;

    fn deref(&self) -> &Site {
        match self {
            Self::Configured(site) => site,
            Self::Stored(site) => site,
        }
    }
}

/// Why a host cannot answer a client.
pub(crate) type Refusal = (Code, String);

impl Config {
    /// The host `site` with the certificate for `sni`, if it has a store. Without a certificate there, its own one is used; the
    /// error says that it has none either.
    pub(crate) fn with_certificate_for<'a>(&self, site: &'a Site, sni: Option<&str>) -> Result<Chosen<'a>, Refusal> {
        let Some(store) = site.store().and_then(|number| self.stores.get(number)) else {
            return Ok(Chosen::Configured(site));
        };
        let Some(name) = sni.and_then(HostName::new) else {
            return configured(site, || {
                let what = if sni.is_some() {
                    "asks for a name that no host can have"
                } else {
                    "sent no server name"
                };
                (
                    Code::NotInStore,
                    format!(
                        "the client {what}, and {} has no TLSCertificate for such clients",
                        site.name
                    ),
                )
            });
        };
        match self.stored(site, store, &name) {
            Ok(stored) => Ok(Chosen::Stored(stored)),
            Err(Absent::Covered) => Ok(Chosen::Configured(site)),
            Err(Absent::NotThere) => configured(site, || {
                let text = format!("{} has no certificate for {}", store.source, name.as_str());
                (Code::NotInStore, text)
            }),
            Err(Absent::Failed(why)) => configured(site, || {
                let text = format!("the certificate for {} cannot be used: {why}", name.as_str());
                (Code::StoreFailed, text)
            }),
            Err(Absent::Unreachable(why)) => configured(site, || {
                let text = format!("the certificate for {} cannot be looked up: {why}", name.as_str());
                (Code::StoreFailed, text)
            }),
        }
    }

    fn stored(&self, site: &Site, store: &CertificateStore, name: &HostName) -> Result<Arc<Site>, Absent> {
        let key: Key = (std::ptr::from_ref(site).addr(), name.clone());
        match self.store_cache.find(&key, self.watching != Watching::Off) {
            Cached::Fresh(site) => {
                self.counters().count(Counter::StoreHits);
                Ok(site)
            }
            Cached::Old(old, stamp) => match self.look_up(store, name, stamp) {
                Ok(LookedUp::Same) => Ok(old),
                Ok(LookedUp::New(identity, stamp)) => Ok(self.replace(key, site, *identity, stamp, old)),
                Err(Absent::Failed(why)) => {
                    self.counters().count(Counter::StoreFailures);
                    Ok(self.go_on_with(&key, old, why))
                }
                Err(Absent::Unreachable(_)) => {
                    self.store_cache.put_off(&key);
                    Ok(old)
                }
                Err(absent) => Err(self.note_absence(key, absent)),
            },
            Cached::Absent(absent) => Err(absent),
            Cached::Unknown => self.load(key, site, store),
        }
    }

    /// Reads a certificate for a name that is not known.
    fn load(&self, key: Key, site: &Site, store: &CertificateStore) -> Result<Arc<Site>, Absent> {
        if site.identities().any(|identity| identity.covers(key.1.as_str())) {
            return Err(self.store_cache.note_absence(key, Absent::Covered));
        }
        match self.look_up(store, &key.1, 0) {
            Ok(LookedUp::New(identity, stamp)) => {
                self.counters().count(Counter::StoreLoads);
                if let Some(why) = identity.invalidity(unix_now()) {
                    let (name, file) = (key.1.as_str(), identity.name());
                    let text = format!("{name}: the certificate in {file} {why}: clients will refuse it");
                    self.process.log_queue.add(Severity::Warning, text);
                }
                Ok(self.keep(key, site, *identity, stamp))
            }
            Ok(LookedUp::Same) => Err(self.note_absence(key, Absent::NotThere)),
            Err(absent) => Err(self.note_absence(key, absent)),
        }
    }

    /// Uses a certificate in place of the one of before, unless it must not be used.
    fn replace(&self, key: Key, site: &Site, identity: Identity, stamp: u64, old: Arc<Site>) -> Arc<Site> {
        if let Some(why) = identity.invalidity(unix_now()) {
            let why = format!("{}: the certificate {why}", identity.name());
            return self.go_on_with(&key, old, why);
        }
        self.counters().count(Counter::StoreLoads);
        let text = format!(
            "{}: the renewed certificate in {} is used now",
            key.1.as_str(),
            identity.name()
        );
        self.process.log_queue.add(Severity::Notice, text);
        self.keep(key, site, identity, stamp)
    }

    /// Remembers that there is nothing to use.
    fn note_absence(&self, key: Key, absent: Absent) -> Absent {
        self.counters().count(match absent {
            Absent::Failed(_) | Absent::Unreachable(_) => Counter::StoreFailures,
            Absent::NotThere | Absent::Covered => Counter::StoreAbsent,
        });
        self.store_cache.note_absence(key, absent)
    }

    fn keep(&self, key: Key, site: &Site, identity: Identity, stamp: u64) -> Arc<Site> {
        let size = OVERHEAD + identity.size();
        let site = Arc::new(site.presenting(identity));
        for identity in site.identities() {
            self.want_staple(&site, &identity);
        }
        let entry = Entry {
            site: Arc::clone(&site),
            stamp,
            look_at: Instant::now() + LOOK_EVERY,
            size,
            complaint: None,
        };
        self.store_cache.keep(key, entry);
        site
    }

    /// The certificate of before is used, because the new one cannot be. That is logged once.
    fn go_on_with(&self, key: &Key, old: Arc<Site>, why: String) -> Arc<Site> {
        let name = key.1.as_str();
        let text = format!("{name}: the certificate has changed and is not used: {why}; the one of before is used");
        if self.store_cache.complain(key, why) {
            self.process.log_queue.add(Severity::Warning, text);
        }
        old
    }

    /// Asks the store.
    fn look_up(&self, store: &CertificateStore, name: &HostName, known: u64) -> Result<LookedUp, Absent> {
        let looked_up = match store.number {
            Some(number) => self.ask_process(number, name, known)?,
            None => self.read_here(store, name, known)?,
        };
        if let LookedUp::New(identity, _) = &looked_up
            && !identity.covers(name.as_str())
        {
            return Err(Absent::Failed(format!(
                "{}: the certificate is not valid for this name",
                identity.name()
            )));
        }
        Ok(looked_up)
    }

    fn ask_process(&self, store: u32, name: &HostName, known: u64) -> Result<LookedUp, Absent> {
        let door = self.process.key_process.get().and_then(|keys| keys.door());
        let door = door.ok_or_else(|| Absent::Unreachable("tls-keyd is not running".to_owned()))?;
        let found = door.look_up(store, name, known);
        match found.map_err(|error| Absent::Unreachable(error.to_string()))? {
            Found::Same => Ok(LookedUp::Same),
            Found::Nothing => Err(Absent::NotThere),
            Found::Failed(why) => Err(Absent::Failed(why)),
            Found::Unreachable(why) => Err(Absent::Unreachable(why)),
            Found::Certificate(stored) => {
                let source = Path::new(std::ffi::OsStr::from_bytes(&stored.source));
                let place = StorePlace {
                    store,
                    name: name.clone(),
                };
                let key = RemoteKey::stored(&stored.key, door, place);
                let identity = Identity::stored(source, &stored.text, key, stored.key.public);
                let identity = identity.map_err(|error| Absent::Failed(error.to_string()))?;
                Ok(LookedUp::New(Box::new(identity), stored.stamp))
            }
        }
    }

    /// Reads the files in this process, with the rights that it has.
    fn read_here(&self, store: &CertificateStore, name: &HostName, known: u64) -> Result<LookedUp, Absent> {
        let StoreSource::Files(patterns) = &store.source else {
            return Err(Absent::Failed("private keys are unsealed by tls-keyd alone".to_owned()));
        };
        let (certificate, key) = patterns.paths(name);
        let absent = |error: FileError| match error.is_absence() {
            true => Absent::NotThere,
            false => Absent::Failed(error.to_string()),
        };
        let stamp = Stamp::of(std::iter::once(&certificate).chain(&key)).map_err(absent)?;
        if stamp.to_bits() == known {
            return Ok(LookedUp::Same);
        }
        let identity = Identity::read(&certificate, key.as_deref(), &self.process.log_queue);
        let identity = identity.map_err(|error| Absent::Failed(error.to_string()))?;
        Ok(LookedUp::New(Box::new(identity), stamp.to_bits()))
    }
}

enum LookedUp {
    Same,
    /// A certificate, and its stamp.
    New(Box<Identity>, u64),
}

/// `site` as it is configured, if it has a certificate.
fn configured(site: &Site, otherwise: impl FnOnce() -> Refusal) -> Result<Chosen<'_>, Refusal> {
    match site.identities().next() {
        Some(_) => Ok(Chosen::Configured(site)),
        None => Err(otherwise()),
    }
}
