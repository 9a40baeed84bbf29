// SPDX-License-Identifier: Apache-2.0
//! How sessions are resumed: by ticket, or by an entry in the cache that all children share.
//!
//! Both are bound to a *scope*, a digest of the settings that decided who the client is. rustls leaves it to its user
//! that a session made under one client authentication policy does not enter under another; the scope sees to it.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::server::{ProducesTickets, StoresServerSessions};

use crate::client_auth::verifier::ClientAuth;
use crate::clock::unix_now;
use crate::tickets::{LIFETIME, TicketKeys};

/// A cache that all children of the server share: httpd's socache.
pub trait SharedCache: Send + Sync + fmt::Debug {
    /// Stores `value` under `id` for `lifetime` seconds. False if it could not.
    fn store(&self, id: &[u8], value: &[u8], lifetime: u32) -> bool;
    /// What is stored under `id` and has not expired.
    fn retrieve(&self, id: &[u8]) -> Option<Vec<u8>>;
    /// Forgets `id`.
    fn remove(&self, id: &[u8]);
}

/// What sessions are bound to: the settings that decided who the client is.
#[derive(Clone, Debug)]
pub enum Scope {
    /// Clients are nobody in particular.
    Anonymous,
    /// Clients are who their certificates say.
    Authenticated(Arc<ClientAuth>),
}

impl Scope {
    /// The digest of the settings as they are now.
    fn digest(&self) -> [u8; 32] {
        match self {
            Self::Anonymous => [0; 32],
            Self::Authenticated(auth) => auth.scope(unix_now()),
        }
    }
}

/// The place of the cache in a configuration: it is opened only after the configuration was found to be good.
#[derive(Debug, Default)]
pub struct CacheSlot(OnceLock<Box<dyn SharedCache>>);

impl CacheSlot {
    /// Puts the cache in its place. A second cache is refused.
    pub fn attach(&self, cache: Box<dyn SharedCache>) -> bool {
        self.0.set(cache).is_ok()
    }
}

/// Sessions in the shared cache, encrypted: neither shared memory nor a memcached on the network sees a secret.
#[derive(Debug)]
pub(crate) struct CachedSessions {
    pub(crate) slot: Arc<CacheSlot>,
    pub(crate) keys: Arc<TicketKeys>,
    pub(crate) scope: Scope,
}

impl CachedSessions {
    fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        self.keys.open(&self.scope.digest(), sealed)
    }
}

impl StoresServerSessions for CachedSessions {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        let Some(cache) = self.slot.0.get() else { return false };
        self.keys
            .seal(&self.scope.digest(), &value)
            .is_some_and(|sealed| cache.store(&key, &sealed, LIFETIME))
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.open(&self.slot.0.get()?.retrieve(key)?)
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        let cache = self.slot.0.get()?;
        let value = self.open(&cache.retrieve(key)?)?;
        cache.remove(key);
        Some(value)
    }

    fn can_cache(&self) -> bool {
        self.slot.0.get().is_some()
    }
}

/// Tickets (RFC 5077, RFC 8446 section 4.6.1) under the server's ratcheting keys.
#[derive(Debug)]
pub(crate) struct Tickets {
    pub(crate) keys: Arc<TicketKeys>,
    pub(crate) scope: Scope,
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.keys.seal(&self.scope.digest(), plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.keys.open(&self.scope.digest(), cipher)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Mutex;

    use super::*;
    use crate::client_auth::demand::Mode;
    use crate::client_auth::verifier::{CaNames, ClientAuthSpec};
    use crate::trust::anchors::{Anchors, Report};
    use crate::trust::revocation::CrlCheck;

    fn authenticated() -> Scope {
        let spec = ClientAuthSpec {
            mode: Mode::Optional,
            cas: Vec::new(),
            names: CaNames::None,
            depth: 1,
            crls: Vec::new(),
            crl_check: CrlCheck::default(),
        };
        let nobody = Arc::new(Anchors::new(Vec::new(), &mut Report::default()));
        Scope::Authenticated(Arc::new(ClientAuth::new(spec, nobody, None, Vec::new())))
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
        fn remove(&self, id: &[u8]) {
            self.0.lock().unwrap().remove(id);
        }
    }

    #[test]
    fn the_cache_sees_no_plaintext_and_scopes_do_not_mix() {
        let memory = Memory::default();
        let slot = Arc::new(CacheSlot::default());
        let keys = Arc::new(TicketKeys::random().unwrap());
        let sessions = |scope| CachedSessions {
            slot: slot.clone(),
            keys: keys.clone(),
            scope,
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
}
