// SPDX-License-Identifier: Apache-2.0
//! The private keys, and what they sign.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use mod_tls_core::base::diagnostics::Severity;
use mod_tls_core::base::lock::lock;
use mod_tls_core::base::log_queue::LogQueue;
use mod_tls_core::crypto::schemes::schemes_of;
use mod_tls_core::key_process::permitted::is_permitted;
use mod_tls_core::key_process::protocol::{KeyId, KeyInfo, KeyUse, Purpose, Refusal, Report};
use mod_tls_core::keys::deferred_key::DeferredKey;
use rustls::SignatureScheme;
use rustls::sign::{Signer, SigningKey};

/// How long a key can still be used that the configuration does not need any longer: child processes of an earlier configuration
/// end their handshakes in this time.
const GRACE: Duration = Duration::from_secs(300);

/// How many keys a report lists.
const MOST_USED: usize = 10;

const MINUTE: Duration = Duration::from_secs(60);

/// A private key.
enum Secret {
    Ready(Arc<dyn SigningKey>),
    /// It is parsed when it is first used: a server uses few of thousands of keys.
    Deferred(Box<DeferredKey>, OnceLock<Arc<dyn SigningKey>>),
    /// It is in a token. A signature may take long.
    InToken(TokenSecret),
}

/// A key in a token.
struct TokenSecret {
    key: Arc<dyn SigningKey>,
    /// How many threads wait for the token.
    waiting: AtomicUsize,
    /// When it was last logged that the token does not sign; none if it has signed since.
    complaint: Mutex<Option<Instant>>,
}

/// How many threads may wait for one key in a token. Handshakes are given up after two seconds: a token that needs longer for so
/// many is too slow for its clients.
const MAX_WAITING: usize = 64;

/// A thread that waits for a token.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    /// None if there are too many.
    fn begin(count: &'a AtomicUsize) -> Option<Self> {
        let before = count.fetch_add(1, Relaxed);
        let this = Self(count);
        (before < MAX_WAITING).then_some(this)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// How often a key was used.
#[derive(Default)]
struct Uses {
    total: u64,
    /// The minute that `current` counts, since the start of the process.
    minute: u64,
    current: u64,
    last: u64,
}

impl Uses {
    /// Starts to count for `minute`.
    fn advance_to(&mut self, minute: u64) {
        if self.minute != minute {
            self.last = if self.minute + 1 == minute { self.current } else { 0 };
            self.current = 0;
            self.minute = minute;
        }
    }
}

/// A key with what it is used for.
struct StoredKey {
    /// The file or the token object.
    name: Arc<Path>,
    purpose: Purpose,
    secret: Secret,
    uses: Mutex<Uses>,
}

/// All keys.
pub(crate) struct Keys {
    table: RwLock<HashMap<KeyId, Arc<StoredKey>>>,
    /// Keys that the configuration does not need any longer, and since when.
    leaving: Mutex<Vec<(Instant, KeyId)>>,
    refused: AtomicU64,
    signatures: AtomicU64,
    started: Instant,
    log_queue: Arc<LogQueue>,
}

impl Secret {
    fn ready(&self) -> &Arc<dyn SigningKey> {
        match self {
            Self::Ready(key) | Self::InToken(TokenSecret { key, .. }) => key,
            Self::Deferred(key, ready) => ready.get_or_init(|| key.ready()),
        }
    }
}

impl Keys {
    /// Without any key. Errors are logged to `log_queue`.
    pub(crate) fn new(log_queue: &Arc<LogQueue>) -> Self {
        Self {
            table: RwLock::default(),
            leaving: Mutex::default(),
            refused: AtomicU64::new(0),
            signatures: AtomicU64::new(0),
            started: Instant::now(),
            log_queue: Arc::clone(log_queue),
        }
    }

    /// Messages for the error log.
    pub(crate) fn log_queue(&self) -> &Arc<LogQueue> {
        &self.log_queue
    }

    /// Adds a key that is parsed when it is first used. `public` is its SubjectPublicKeyInfo.
    pub(crate) fn add_deferred(
        &self,
        id: KeyId,
        name: &Arc<Path>,
        purpose: Purpose,
        key: DeferredKey,
        public: Vec<u8>,
    ) -> KeyInfo {
        let schemes = key.schemes().to_vec();
        self.insert(id, name, purpose, Secret::Deferred(Box::new(key), OnceLock::new()));
        info(id, public, &schemes)
    }

    /// Adds a key.
    pub(crate) fn add(&self, id: KeyId, name: &Arc<Path>, purpose: Purpose, key: Arc<dyn SigningKey>) -> KeyInfo {
        let info = info_of(id, &*key);
        self.insert(id, name, purpose, Secret::Ready(key));
        info
    }

    /// Adds a key of a token.
    pub(crate) fn add_of_token(
        &self,
        id: KeyId,
        name: &Arc<Path>,
        purpose: Purpose,
        key: Arc<dyn SigningKey>,
    ) -> KeyInfo {
        let info = info_of(id, &*key);
        let secret = TokenSecret {
            key,
            waiting: AtomicUsize::new(0),
            complaint: Mutex::default(),
        };
        self.insert(id, name, purpose, Secret::InToken(secret));
        info
    }

    /// Whether a signature of this key may take long.
    pub(crate) fn is_slow(&self, id: KeyId) -> bool {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table
            .get(&id)
            .is_some_and(|key| matches!(key.secret, Secret::InToken(_)))
    }

    fn insert(&self, id: KeyId, name: &Arc<Path>, purpose: Purpose, secret: Secret) {
        let key = StoredKey {
            name: Arc::clone(name),
            purpose,
            secret,
            uses: Mutex::default(),
        };
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        table.insert(id, Arc::new(key));
    }

    /// The configuration does not need these keys any longer.
    pub(crate) fn release(&self, ids: Vec<KeyId>) {
        let now = Instant::now();
        lock(&self.leaving).extend(ids.into_iter().map(|id| (now, id)));
    }

    /// Removes these keys at once.
    pub(crate) fn forget(&self, ids: &[KeyId]) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        for id in ids {
            table.remove(id);
        }
    }

    /// Removes the keys that were released long ago.
    pub(crate) fn expire(&self) {
        let mut gone = Vec::new();
        lock(&self.leaving).retain(|(since, id)| {
            let stays = since.elapsed() < GRACE;
            if !stays {
                gone.push(*id);
            }
            stays
        });
        if !gone.is_empty() {
            self.forget(&gone);
        }
    }

    /// The signature of a key on `message`.
    pub(crate) fn sign(&self, id: KeyId, scheme: u16, message: &[u8]) -> Result<Vec<u8>, Refusal> {
        let outcome = self.try_sign(id, scheme, message);
        let counter = if outcome.is_ok() {
            &self.signatures
        } else {
            &self.refused
        };
        counter.fetch_add(1, Relaxed);
        outcome
    }

    fn try_sign(&self, id: KeyId, scheme: u16, message: &[u8]) -> Result<Vec<u8>, Refusal> {
        let key = {
            let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(table.get(&id).ok_or(Refusal::UnknownKey)?)
        };
        if !is_permitted(key.purpose, message) {
            return Err(Refusal::NotAHandshake);
        }
        let ready = key.secret.ready();
        let Some(signer) = ready.choose_scheme(&[SignatureScheme::from(scheme)]) else {
            // A damaged key has no public part.
            return Err(if ready.public_key().is_some() {
                Refusal::Scheme
            } else {
                Refusal::Failed
            });
        };
        let signature = match &key.secret {
            Secret::InToken(secret) => self.sign_in_token(&key.name, secret, &*signer, message)?,
            _ => signer.sign(message).map_err(|_| Refusal::Failed)?,
        };
        let mut uses = lock(&key.uses);
        uses.advance_to(self.minute());
        uses.total += 1;
        uses.current += 1;
        Ok(signature)
    }

    /// Has a token sign. If it does not, that is logged once a minute, and once more that it does again.
    fn sign_in_token(
        &self,
        name: &Path,
        secret: &TokenSecret,
        signer: &dyn Signer,
        message: &[u8],
    ) -> Result<Vec<u8>, Refusal> {
        let outcome = match Waiting::begin(&secret.waiting) {
            Some(_waiting) => signer.sign(message).map_err(text_of),
            None => Err(format!(
                "{MAX_WAITING} handshakes wait for this token already, and more are refused: it is too slow, or its module hangs"
            )),
        };
        let mut complaint = lock(&secret.complaint);
        match outcome {
            Ok(signature) => {
                if complaint.take().is_some() {
                    self.log_queue
                        .add(Severity::Notice, format!("{}: signs again", name.display()));
                }
                Ok(signature)
            }
            Err(why) => {
                if complaint.is_none_or(|last| last.elapsed() >= MINUTE) {
                    *complaint = Some(Instant::now());
                    self.log_queue
                        .add(Severity::Error, format!("{}: {why}", name.display()));
                }
                Err(Refusal::Failed)
            }
        }
    }

    fn minute(&self) -> u64 {
        self.started.elapsed().as_secs() / MINUTE.as_secs()
    }

    /// How keys were used. `connections` is the number of connections of child processes.
    pub(crate) fn report(&self, connections: usize) -> Report {
        let minute = self.minute();
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        let mut used: Vec<_> = table
            .values()
            .filter_map(|key| {
                let mut uses = lock(&key.uses);
                uses.advance_to(minute);
                (uses.total > 0).then(|| (uses.total, uses.last, &key.name))
            })
            .collect();
        used.sort_by_key(|(total, ..)| std::cmp::Reverse(*total));
        let most_used = used.into_iter().take(MOST_USED);
        Report {
            keys: table.len() as u64,
            signatures: self.signatures.load(Relaxed),
            refused: self.refused.load(Relaxed),
            connections: connections as u64,
            most_used: most_used
                .map(|(signatures, last_minute, name)| KeyUse {
                    name: name.display().to_string(),
                    signatures,
                    last_minute,
                })
                .collect(),
        }
    }
}

fn text_of(error: rustls::Error) -> String {
    match error {
        rustls::Error::General(text) => text,
        other => other.to_string(),
    }
}

fn info_of(id: KeyId, key: &dyn SigningKey) -> KeyInfo {
    let public = key.public_key().map(|public| public.as_ref().to_vec());
    info(id, public.unwrap_or_default(), &schemes_of(key))
}

fn info(id: KeyId, public: Vec<u8>, schemes: &[SignatureScheme]) -> KeyInfo {
    KeyInfo {
        id,
        public,
        schemes: schemes.iter().map(|scheme| u16::from(*scheme)).collect(),
    }
}
