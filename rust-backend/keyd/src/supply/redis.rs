// SPDX-License-Identifier: Apache-2.0
//! Stores in a Redis server, which many machines use. Private keys are sealed there: only `tls-keyd` can open them.
//!
//! `tls-certs put` writes a hash for each name and tells of it by a message. As long as messages are received, the server need not
//! be asked again for a name that it was asked for. While it cannot be reached, what child processes have is used on.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::num::NonZeroUsize;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use lru::LruCache;
use mod_tls_core::base::host_name::HostName;
use mod_tls_core::base::lock::lock;
use mod_tls_core::crypto;
use mod_tls_core::key_process::supply::{RedisSpec, Supplied};
use mod_tls_core::keys::redis_names::{CERTIFICATE, CHANNEL, KEY, REMOVED, key_of};
use redis::{Client, Connection, RedisError, TlsCertificates};

use super::Answer;

/// How long a request may take. `tls-keyd` waits somewhat longer.
const LIMIT: Duration = Duration::from_millis(700);

/// The pauses between attempts to reach a server that does not answer.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// For how many names it is remembered what the server has.
const MAX_REMEMBERED: NonZeroUsize = NonZeroUsize::new(64 * 1024).expect("it is not 0");

/// How long it is remembered: a message may be lost.
const REMEMBERED_FOR: Duration = Duration::from_secs(60);

/// How long the thread that receives messages waits for one before it looks whether the server is still there.
const QUIET: Duration = Duration::from_secs(10);

/// Certificates in a Redis server.
pub(super) struct RedisStore {
    client: Client,
    /// The server, for messages.
    server: String,
    link: Mutex<Link>,
    remembered: Arc<Remembered>,
}

/// The connection for requests.
#[derive(Default)]
struct Link {
    connection: Option<Connection>,
    /// The pause after the last failure, and when it ends.
    pause: Option<(Duration, Instant)>,
    failure: String,
}

/// What the server has, by name: the stamp, and when it was asked.
struct Remembered {
    /// It changes with each message, and when messages begin to be received or cease to be. Odd while they are received.
    generation: AtomicU64,
    names: Mutex<LruCache<Box<str>, (Instant, u64)>>,
}

impl Remembered {
    /// The number of the generation, if messages are received.
    fn generation(&self) -> Option<u64> {
        Some(self.generation.load(Relaxed)).filter(|number| number % 2 == 1)
    }

    fn is_same(&self, name: &HostName, known: u64) -> bool {
        self.generation().is_some()
            && lock(&self.names)
                .get(name.as_str())
                .is_some_and(|(since, stamp)| *stamp == known && since.elapsed() < REMEMBERED_FOR)
    }

    /// Remembers what the server has, unless there were messages since `generation`, when it was asked: it may have something
    /// else by now.
    fn add(&self, name: &HostName, stamp: u64, generation: Option<u64>) {
        let mut names = lock(&self.names);
        if generation.is_some() && self.generation() == generation {
            names.put(name.as_str().into(), (Instant::now(), stamp));
        }
    }

    /// Messages begin to be received, or cease to be.
    fn turn(&self) {
        let mut names = lock(&self.names);
        self.generation.fetch_add(1, Relaxed);
        names.clear();
    }

    /// A certificate was written or removed.
    fn forget(&self, name: &str) {
        let mut names = lock(&self.names);
        self.generation.fetch_add(2, Relaxed);
        match name.starts_with("*.") {
            // Names below it may use it.
            true => names.clear(),
            false => drop(names.pop(name)),
        }
    }
}

impl RedisStore {
    /// The error is why the address is none.
    pub(super) fn new(spec: &RedisSpec) -> Result<Self, String> {
        crypto::install_provider();
        let client = match &spec.ca {
            Some(ca) => {
                let certificates = TlsCertificates {
                    client_tls: None,
                    root_cert: Some(ca.clone()),
                };
                Client::build_with_tls(spec.url.as_str(), certificates)
            }
            None => Client::open(spec.url.as_str()),
        };
        let client = client.map_err(|error| text_of(&error))?;
        let remembered = Arc::new(Remembered {
            generation: AtomicU64::new(0),
            names: Mutex::new(LruCache::new(MAX_REMEMBERED)),
        });
        let store = Self {
            server: client.get_connection_info().addr().to_string(),
            link: Mutex::default(),
            remembered: Arc::clone(&remembered),
            client,
        };
        let client = store.client.clone();
        thread::Builder::new()
            .name("messages".to_owned())
            .spawn(move || receive(&client, &remembered))
            .map_err(|error| error.to_string())?;
        Ok(store)
    }

    /// What the server has for a name, or for the wildcard name that covers it.
    pub(super) fn get(&self, name: &HostName, known: u64) -> Answer {
        if known != 0 && self.remembered.is_same(name, known) {
            return Supplied::Same.into();
        }
        let generation = self.remembered.generation();
        match self.ask(name) {
            Ok(Record::Present(found)) => {
                let stamp = stamp_of(&found);
                self.remembered.add(name, stamp, generation);
                match stamp == known {
                    true => Supplied::Same.into(),
                    false => self.supplied(found, stamp).into(),
                }
            }
            // A server that was emptied, or has lost its data, takes no certificate that is in use away.
            Ok(Record::Missing) if known != 0 => Supplied::Same.into(),
            Ok(Record::Missing | Record::Removed) => Supplied::Nothing.into(),
            Err(_) if known != 0 => Supplied::Same.into(),
            Err(why) => Supplied::Unreachable(format!("{}: {why}", self.server)).into(),
        }
    }

    fn supplied(&self, found: Found, stamp: u64) -> Supplied {
        Supplied::Sealed {
            stamp,
            source: format!("{} in {}", found.name, self.server).into_bytes(),
            name: found.name,
            certificate: found.certificate,
            key: found.key,
        }
    }

    fn ask(&self, name: &HostName) -> Result<Record, String> {
        let mut link = lock(&self.link);
        if let Some((_, end)) = link.pause
            && Instant::now() < end
        {
            return Err(link.failure.clone());
        }
        let outcome = self.connection(&mut link).and_then(|connection| {
            let names = std::iter::once(name.as_str().to_owned()).chain(name.wildcard());
            let mut record = Record::Missing;
            for name in names {
                record = read(connection, name)?;
                if !matches!(record, Record::Missing) {
                    break;
                }
            }
            Ok(record)
        });
        match outcome {
            Ok(record) => {
                link.pause = None;
                Ok(record)
            }
            Err(error) => {
                link.connection = None;
                let pause = link
                    .pause
                    .map_or(FIRST_PAUSE, |(pause, _)| (pause * 2).min(LONGEST_PAUSE));
                link.pause = Some((pause, Instant::now() + pause));
                link.failure = text_of(&error);
                Err(link.failure.clone())
            }
        }
    }

    fn connection<'a>(&self, link: &'a mut Link) -> Result<&'a mut Connection, RedisError> {
        if link.connection.is_none() {
            let connection = self.client.get_connection_with_timeout(LIMIT)?;
            connection.set_read_timeout(Some(LIMIT))?;
            connection.set_write_timeout(Some(LIMIT))?;
            link.connection = Some(connection);
        }
        Ok(link.connection.as_mut().expect("it was just made"))
    }
}

/// What the server has for a name.
enum Record {
    Present(Found),
    /// A certificate was taken away by intention.
    Removed,
    Missing,
}

struct Found {
    /// The name under which it is, which may be a wildcard name.
    name: String,
    certificate: Vec<u8>,
    /// Sealed.
    key: Vec<u8>,
}

fn read(connection: &mut Connection, name: String) -> Result<Record, RedisError> {
    let mut fields: HashMap<String, Vec<u8>> = redis::cmd("HGETALL").arg(key_of(&name)).query(connection)?;
    Ok(match (fields.remove(CERTIFICATE), fields.remove(KEY)) {
        (Some(certificate), Some(key)) => Record::Present(Found { name, certificate, key }),
        _ if fields.contains_key(REMOVED) => Record::Removed,
        _ => Record::Missing,
    })
}

fn stamp_of(found: &Found) -> u64 {
    let all = (&found.name, &found.certificate, &found.key);
    BuildHasherDefault::<DefaultHasher>::default().hash_one(all).max(1)
}

/// Receives messages about names that were written, as long as the process runs.
fn receive(client: &Client, remembered: &Remembered) {
    let mut pause = FIRST_PAUSE;
    loop {
        let began = Instant::now();
        let _ = receive_until_it_fails(client, remembered);
        if remembered.generation().is_some() {
            remembered.turn();
        }
        pause = if began.elapsed() > LONGEST_PAUSE {
            FIRST_PAUSE
        } else {
            (pause * 2).min(LONGEST_PAUSE)
        };
        thread::sleep(pause);
    }
}

fn receive_until_it_fails(client: &Client, remembered: &Remembered) -> Result<(), RedisError> {
    let mut connection = client.get_connection_with_timeout(LIMIT)?;
    let mut messages = connection.as_pubsub();
    messages.subscribe(CHANNEL)?;
    messages.set_read_timeout(Some(QUIET))?;
    remembered.turn();
    loop {
        match messages.get_message() {
            Ok(message) => remembered.forget(&message.get_payload::<String>()?),
            // It is subscribed to again, which fails if the server is no longer there.
            Err(error) if error.is_timeout() => messages.subscribe(CHANNEL)?,
            Err(error) => return Err(error),
        }
    }
}

/// The text of an error, without what the server may have said in several lines.
fn text_of(error: &RedisError) -> String {
    error.to_string().replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remembered() -> Remembered {
        Remembered {
            generation: AtomicU64::new(0),
            names: Mutex::new(LruCache::new(MAX_REMEMBERED)),
        }
    }

    #[test]
    fn an_answer_from_before_a_message_is_not_remembered() {
        let (remembered, name) = (remembered(), HostName::new("a.test").unwrap());
        remembered.turn();
        let before = remembered.generation();
        remembered.forget("a.test");
        remembered.add(&name, 1, before);
        assert!(!remembered.is_same(&name, 1));
        remembered.add(&name, 2, remembered.generation());
        assert!(remembered.is_same(&name, 2) && !remembered.is_same(&name, 1));
        remembered.forget("b.test");
        assert!(remembered.is_same(&name, 2));
        remembered.forget("*.test");
        assert!(!remembered.is_same(&name, 2));
    }

    #[test]
    fn nothing_is_remembered_without_messages() {
        let (remembered, name) = (remembered(), HostName::new("a.test").unwrap());
        remembered.add(&name, 1, remembered.generation());
        assert!(!remembered.is_same(&name, 1));
        remembered.turn();
        remembered.add(&name, 1, remembered.generation());
        assert!(remembered.is_same(&name, 1));
        remembered.turn();
        assert!(!remembered.is_same(&name, 1));
    }
}
