// SPDX-License-Identifier: Apache-2.0
//! Stores in which certificates are looked up by name, while handshakes wait.
//!
//! Another process looks into them (`supply`) and hands over files. Their keys are kept as long as they are used; a key's number
//! depends on the key alone, so that a child process can use it again when it was read again.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use lru::LruCache;
use mod_tls_core::base::lock::lock;
use mod_tls_core::key_process::channel::Channel;
use mod_tls_core::key_process::protocol::{BadFrame, Found, KeyId, KeyInfo, Stored};
use mod_tls_core::key_process::supply::{Supplied, SupplyRequest};
use mod_tls_core::keys::pass_phrase::PassPhrases;
use mod_tls_core::keys::sealing::SealingKeys;
use zeroize::Zeroizing;

use crate::files::Reader;
use crate::keys::Keys;

/// How many lookups there may be at the same time.
const MAX_LOOKUPS: usize = 64;

/// How many keys are kept. Those that were not used for the longest time go, and are read again when they are needed.
const MAX_KEYS: NonZeroUsize = NonZeroUsize::new(16 * 1024).expect("it is not 0");

/// All stores.
pub(crate) struct Stores {
    reader: Reader,
    table: RwLock<HashMap<u32, Arc<Store>>>,
    /// The keys by store and name.
    kept: Mutex<LruCache<(u32, Box<str>), KeyId>>,
    lookups: AtomicUsize,
}

/// A store.
pub(crate) struct Store {
    /// The connections to the process that looks into it. One is used for one lookup at a time.
    first: Mutex<Channel>,
    idle: Mutex<Vec<Channel>>,
    /// What opens the keys in it, or why nothing does.
    sealing: Result<SealingKeys, String>,
}

impl Stores {
    /// None. Keys are added to `keys`.
    pub(crate) fn new(keys: &Arc<Keys>) -> Self {
        Self {
            reader: Reader {
                keys: Arc::clone(keys),
                phrases: PassPhrases::default(),
            },
            table: RwLock::default(),
            kept: Mutex::new(LruCache::new(MAX_KEYS)),
            lookups: AtomicUsize::new(0),
        }
    }

    /// From now on, these are the stores.
    pub(crate) fn set(&self, stores: HashMap<u32, Arc<Store>>) {
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = stores;
    }

    /// What there is for a name. `known` is the stamp of what the child process has.
    pub(crate) fn look_up(&self, number: u32, name: &str, known: u64) -> Found {
        let store = {
            let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
            table.get(&number).cloned()
        };
        let Some(store) = store else {
            return Found::Unreachable(
                "tls-keyd does not know the store: the process that looks into it is being started".to_owned(),
            );
        };
        let before = self.lookups.fetch_add(1, Relaxed);
        let found = match before < MAX_LOOKUPS {
            true => self.look_into(&store, number, name, known),
            false => Found::Unreachable(format!("{MAX_LOOKUPS} other names are being looked up")),
        };
        self.lookups.fetch_sub(1, Relaxed);
        found
    }

    fn look_into(&self, store: &Store, number: u32, name: &str, known: u64) -> Found {
        let (supplied, descriptors) = match store.ask(name, known) {
            Ok(answer) => answer,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Found::Unreachable(
                    "there was no answer in time: the file system or the server is slow or not there".to_owned(),
                );
            }
            Err(error) => return Found::Unreachable(format!("the process that looks into it has failed: {error}")),
        };
        match supplied {
            Supplied::Connection => Found::Failed(io::Error::from(BadFrame).to_string()),
            Supplied::Nothing => Found::Nothing,
            Supplied::Failed(why) => Found::Failed(why),
            Supplied::Unreachable(why) => Found::Unreachable(why),
            Supplied::Same => {
                lock(&self.kept).promote(&(number, name.into()));
                Found::Same
            }
            Supplied::Files {
                stamp,
                certificate,
                key,
            } => {
                let path = Path::new(OsStr::from_bytes(&certificate));
                let key = key.as_ref().map(|path| Path::new(OsStr::from_bytes(path)));
                let read = self.reader.read_stored(path, key, descriptors);
                self.found(number, name, stamp, certificate, read)
            }
            Supplied::Sealed {
                stamp,
                source,
                name: sealed_for,
                certificate,
                key,
            } => {
                let path = Path::new(OsStr::from_bytes(&source));
                let opened = store.open(&sealed_for, &key);
                let opened = opened.map_err(|why| format!("{}: {why}", path.display()));
                let read = opened.and_then(|key| self.reader.parse_stored(path, &certificate, path, &key));
                self.found(number, name, stamp, source, read)
            }
        }
    }

    fn found(
        &self,
        number: u32,
        name: &str,
        stamp: u64,
        source: Vec<u8>,
        read: Result<(Vec<u8>, KeyInfo), String>,
    ) -> Found {
        match read {
            Ok((text, key)) => {
                self.keep(number, name, key.id);
                Found::Certificate(Stored {
                    stamp,
                    source,
                    text,
                    key,
                })
            }
            Err(why) => Found::Failed(why),
        }
    }

    /// Keeps the key of a name, in place of another one.
    fn keep(&self, number: u32, name: &str, id: KeyId) {
        let gone = lock(&self.kept).push((number, name.into()), id);
        match gone {
            // It may be that of other names too, which read it again. Child processes may still use one that was replaced.
            Some((of, gone)) if gone != id && of == (number, name.into()) => self.reader.keys.release(vec![gone]),
            Some((_, gone)) if gone != id => self.reader.keys.forget(&[gone]),
            _ => {}
        }
    }
}

impl Store {
    /// A store behind `socket`, whose keys `sealing` opens.
    pub(crate) fn new(socket: OwnedFd, sealing: Result<SealingKeys, String>) -> Self {
        Self {
            first: Mutex::new(Channel::new(socket)),
            idle: Mutex::default(),
            sealing,
        }
    }

    /// Opens a sealed key.
    fn open(&self, name: &str, key: &[u8]) -> Result<Zeroizing<Vec<u8>>, String> {
        let keys = self.sealing.as_ref().map_err(String::clone)?;
        keys.open(name, key).map_err(|error| error.to_string())
    }

    /// Asks for a name. The descriptors belong to the answer.
    fn ask(&self, name: &str, known: u64) -> io::Result<(Supplied, Vec<OwnedFd>)> {
        let idle = lock(&self.idle).pop();
        let mut channel = idle.map_or_else(|| self.connect(), Ok)?;
        let request = SupplyRequest::Get {
            name: name.to_owned(),
            known,
        };
        channel.send(&request, &[])?;
        let supplied = channel.receive(true)?;
        let count = match &supplied {
            Supplied::Files { key, .. } => 1 + usize::from(key.is_some()),
            Supplied::Connection => return Err(BadFrame.into()),
            Supplied::Same
            | Supplied::Nothing
            | Supplied::Failed(_)
            | Supplied::Unreachable(_)
            | Supplied::Sealed { .. } => 0,
        };
        let descriptors: io::Result<Vec<_>> = (0..count).map(|_| channel.descriptor()).collect();
        let descriptors = descriptors?;
        // One whose answer has not come in time is closed: the next answer would be that.
        lock(&self.idle).push(channel);
        Ok((supplied, descriptors))
    }

    /// Another connection.
    fn connect(&self) -> io::Result<Channel> {
        let mut first = lock(&self.first);
        first.send(&SupplyRequest::Connect, &[])?;
        match first.receive(true)? {
            Supplied::Connection => Ok(Channel::new(first.descriptor()?)),
            _ => Err(BadFrame.into()),
        }
    }
}
