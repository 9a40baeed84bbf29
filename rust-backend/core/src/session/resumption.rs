// SPDX-License-Identifier: Apache-2.0
//! Session resumption by ticket, or by an entry in the cache that all child processes share.
//!
//! Both are bound to a *scope*, a digest of the settings that authenticate the client. rustls does not prevent the
//! resumption of a session under another client authentication policy; the scope does.

use std::cell::Cell;
use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::server::{ProducesTickets, StoresServerSessions};
use zeroize::Zeroizing;

use crate::base::clock::unix_now;
use crate::session::tickets::{DEFAULT_LIFETIME, TicketKeys};
use crate::trust::client::verifier::ClientAuth;

/// A cache that all child processes of the server share: httpd's socache.
pub trait SharedCache: Send + Sync + fmt::Debug {
    /// Stores `value` under `id` for `lifetime` seconds. False on failure.
    fn store(&self, id: &[u8], value: &[u8], lifetime: u32) -> bool;
    /// The value that is stored under `id`, if it has not expired.
    fn retrieve(&self, id: &[u8]) -> Option<Vec<u8>>;
    /// Removes and returns the value that is stored under `id`, if it has not expired. At most one caller gets it,
    /// among all child processes of all servers that share the cache.
    fn take(&self, id: &[u8]) -> Option<Vec<u8>>;
}

/// The maximum number of tickets after one handshake, even if the client requests more (RFC 9149 section 5).
pub(crate) const MAX_TICKETS: usize = 8;

/// The default limit for early data, in bytes: one record.
pub(crate) const DEFAULT_EARLY_DATA: u32 = 16_384;

/// The maximum configurable limit for early data, in bytes. Early data is buffered in memory.
pub(crate) const MAX_EARLY_DATA: u32 = 1024 * 1024;

/// The resumption settings of a host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionSpec {
    /// Whether sessions are stored by clients, encrypted in tickets. Otherwise they are stored in the cache.
    pub tickets: bool,
    /// The number of TLS 1.3 tickets after a handshake (RFC 8446 section 4.6.1).
    pub count: usize,
    /// How long a session can be resumed, in seconds.
    pub lifetime: u32,
    /// The maximum amount of early data (RFC 8446 section 4.2.10), in bytes; 0 for none.
    pub early_data: u32,
}

impl Default for SessionSpec {
    /// Two tickets, so that a client can resume on two connections at the same time.
    fn default() -> Self {
        Self {
            tickets: true,
            count: 2,
            lifetime: DEFAULT_LIFETIME,
            early_data: 0,
        }
    }
}

/// The settings to which sessions are bound, because they authenticate the client.
#[derive(Clone, Debug)]
pub enum Scope {
    /// Clients are not authenticated.
    Anonymous,
    /// Clients are authenticated by certificates.
    Authenticated(Arc<ClientAuth>),
}

impl Scope {
    /// The current digest of the settings.
    fn digest(&self) -> [u8; 32] {
        match self {
            Self::Anonymous => [0; 32],
            Self::Authenticated(auth) => auth.scope(unix_now()),
        }
    }
}

/// The place of the cache in a configuration. The cache is opened only after the configuration has been validated.
#[derive(Debug, Default)]
pub struct CacheSlot(OnceLock<Box<dyn SharedCache>>);

impl CacheSlot {
    /// Sets the cache. A second cache is refused.
    pub fn attach(&self, cache: Box<dyn SharedCache>) -> bool {
        self.0.set(cache).is_ok()
    }
}

/// Encrypts sessions for storage outside of the process, with the time of the handshake.
#[derive(Debug)]
pub(crate) struct Sealer {
    pub(crate) keys: Arc<TicketKeys>,
    pub(crate) scope: Scope,
    /// How long sessions can be resumed, in seconds.
    pub(crate) lifetime: u32,
}

impl Sealer {
    fn seal(&self, session: &[u8]) -> Option<Vec<u8>> {
        self.seal_at(session, unix_now())
    }

    fn seal_at(&self, session: &[u8], now: i64) -> Option<Vec<u8>> {
        let dated = Zeroizing::new([&now.to_be_bytes(), session].concat());
        self.keys.seal(&self.scope.digest(), &dated)
    }

    fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        self.open_at(sealed, unix_now()).map(|(_, session)| session)
    }

    /// Decrypts a session that can still be resumed. Also returns its age in seconds.
    fn open_at(&self, sealed: &[u8], now: i64) -> Option<(i64, Vec<u8>)> {
        let mut dated = self.keys.open(&self.scope.digest(), sealed)?;
        let made = i64::from_be_bytes(*dated.first_chunk()?);
        let age = now.saturating_sub(made);
        (age <= i64::from(self.lifetime)).then(|| (age, dated.split_off(size_of_val(&made))))
    }
}

/// Sessions in the shared cache. They are encrypted: neither shared memory nor a memcached on the network contains
/// secrets in plaintext.
#[derive(Debug)]
pub(crate) struct CachedSessions {
    pub(crate) slot: Arc<CacheSlot>,
    pub(crate) sealer: Arc<Sealer>,
}

impl StoresServerSessions for CachedSessions {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        let Some(cache) = self.slot.0.get() else { return false };
        self.sealer
            .seal(&value)
            .is_some_and(|sealed| cache.store(&key, &sealed, self.sealer.lifetime))
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.sealer.open(&self.slot.0.get()?.retrieve(key)?)
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.sealer.open(&self.slot.0.get()?.take(key)?)
    }

    fn can_cache(&self) -> bool {
        self.slot.0.get().is_some()
    }
}

thread_local! {
    /// Whether the client of the current handshake in this thread keeps its ticket; `None` outside of
    /// [`keeping_fresh_tickets`].
    static KEPT: Cell<Option<bool>> = const { Cell::new(None) };
}

/// Runs a TLS 1.2 handshake up to our Finished. A client that resumes a session by a ticket with more than half of its
/// lifetime left keeps that ticket: a new one would not extend the session, and other clients of the session may use
/// the old one.
pub(crate) fn keeping_fresh_tickets<T>(handshake: impl FnOnce() -> T) -> T {
    KEPT.set(Some(false));
    let result = handshake();
    KEPT.set(None);
    result
}

/// Tickets (RFC 5077, RFC 8446 section 4.6.1) that are encrypted with the rotating keys of the server.
#[derive(Debug)]
pub(crate) struct Tickets(pub(crate) Arc<Sealer>);

impl ProducesTickets for Tickets {
    /// rustls calls this after it has decrypted a TLS 1.2 ticket, to decide whether a new one follows.
    fn enabled(&self) -> bool {
        KEPT.get() != Some(true)
    }

    fn lifetime(&self) -> u32 {
        self.0.lifetime
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.0.seal(plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let (age, session) = self.0.open_at(cipher, unix_now())?;
        if KEPT.get().is_some() {
            KEPT.set(Some(age < i64::from(self.0.lifetime) / 2));
        }
        Some(session)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Mutex;

    use super::*;
    use crate::trust::anchors::{Anchors, Report};
    use crate::trust::ca_set::CaSet;
    use crate::trust::client::verifier::{Asking, CaNames, ClientAuthSpec};
    use crate::trust::client::verify_mode::HandshakeMode;
    use crate::trust::fetched_lists::FetchCheck;
    use crate::trust::revocation::CrlCheck;

    fn authenticated() -> Scope {
        let spec = ClientAuthSpec {
            mode: HandshakeMode::Optional,
            cas: Vec::new(),
            names: CaNames::None,
            usual_depth: 1,
            depth: 1,
            crls: Vec::new(),
            crl_check: CrlCheck::default(),
            fetch: FetchCheck::default(),
            ocsp: None,
        };
        let nobody = Arc::new(CaSet::fixed(Anchors::new(Vec::new(), &mut Report::default())));
        Scope::Authenticated(Arc::new(ClientAuth::new(spec, nobody, None, None, Asking::default())))
    }

    #[derive(Debug, Default, Clone)]
    struct Memory(Arc<Mutex<HashMap<Vec<u8>, Vec<u8>>>>);

    impl SharedCache for Memory {
        fn store(&self, id: &[u8], value: &[u8], _lifetime: u32) -> bool {
            self.0.lock().unwrap().insert(id.to_vec(), value.to_vec());
            true
        }
        fn retrieve(&self, id: &[u8]) -> Option<Vec<u8>> {
            self.0.lock().unwrap().get(id).cloned()
        }
        fn take(&self, id: &[u8]) -> Option<Vec<u8>> {
            self.0.lock().unwrap().remove(id)
        }
    }

    #[test]
    fn the_cache_sees_no_plaintext_and_scopes_do_not_mix() {
        let memory = Memory::default();
        let slot = Arc::new(CacheSlot::default());
        let keys = Arc::new(TicketKeys::random(DEFAULT_LIFETIME).unwrap());
        let sessions = |scope| CachedSessions {
            slot: slot.clone(),
            sealer: Arc::new(Sealer {
                keys: keys.clone(),
                scope,
                lifetime: DEFAULT_LIFETIME,
            }),
        };
        let (one, two) = (sessions(Scope::Anonymous), sessions(authenticated()));
        assert!(!one.can_cache());
        assert!(!one.put(b"id".to_vec(), b"secret".to_vec()));
        assert!(slot.attach(Box::new(memory.clone())));
        assert!(one.put(b"id".to_vec(), b"secret".to_vec()));
        assert!(!memory.retrieve(b"id").unwrap().windows(6).any(|w| w == b"secret"));
        assert_eq!(two.get(b"id"), None);
        assert_eq!(one.get(b"id").unwrap(), b"secret");
        assert_eq!(one.take(b"id").unwrap(), b"secret");
        assert_eq!(one.get(b"id"), None);
    }

    #[test]
    fn sessions_end_with_their_lifetime() {
        let sealer = Sealer {
            keys: Arc::new(TicketKeys::random(DEFAULT_LIFETIME).unwrap()),
            scope: Scope::Anonymous,
            lifetime: 60,
        };
        let opened = |age| sealer.open(&sealer.seal_at(b"session", unix_now() - age).unwrap());
        assert_eq!(opened(0).unwrap(), b"session");
        assert_eq!(opened(50).unwrap(), b"session");
        assert_eq!(opened(-50).unwrap(), b"session", "clocks of a fleet differ");
        assert_eq!(opened(70), None);
    }
}
