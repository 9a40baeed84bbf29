// SPDX-License-Identifier: Apache-2.0
//! httpd's parent process starts `tls-keyd`, gives it files to read, and starts another one if it ends or does not answer.
//!
//! The parent process opens files and `tls-keyd` reads them, so that the former never has a key in its memory and the latter
//! needs no right to open files.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use rustls::SignatureScheme;

use super::control::{CatalogueFile, ControlSocket};
use super::door::Door;
use super::protocol::{Answer, Asking, BadFrame, FileContent, FileOrder, KeyId, KeyInfo, Purpose, TicketState, Wanted};
use super::remote_key::RemoteKey;
use super::running::Running;
use super::suppliers::{KnownStore, Supplier};
use super::watcher::Watcher;
use crate::base::lock::lock;
use crate::base::log_queue::LogQueue;
use crate::base::pin_values::PinValues;
use crate::base::stamp::hash_of;

/// The most keys in one file.
pub const MAX_KEYS: u64 = 64;

/// How `tls-keyd` is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The program.
    pub program: PathBuf,
    /// The user to run as; none for the user of httpd's parent process.
    pub user: Option<String>,
    /// Whether the configuration names keys in tokens, whose modules need more rights.
    pub tokens: bool,
    /// Where [`Role::Revocation`] keeps what it has fetched.
    pub cache: Option<PathBuf>,
}

/// What a process of the program does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It has the keys.
    Keys,
    /// It watches that one, and files.
    Watch,
    /// It looks into stores of certificates in files.
    Open,
    /// It looks into those on other machines.
    Fetch,
    /// It asks OCSP responders, and fetches revocation lists.
    Revocation,
    /// It ends when that one has something to tell. httpd's parent process notices the end of a child within a second, and
    /// cannot wait for anything else.
    Bell,
}

/// Starts programs. It is implemented where unsafe code is allowed.
pub trait Launcher: fmt::Debug + Send + Sync {
    /// Starts `tls-keyd` with `socket` as its standard input and without any other descriptor of this process. Returns its
    /// process number.
    fn launch(&self, launch: &Launch, role: Role, socket: OwnedFd) -> io::Result<u32>;
}

/// How to ask for a pass phrase: what to send with the order.
#[derive(Debug)]
pub struct OpenSource {
    /// How `tls-keyd` asks.
    pub asking: Asking,
    /// What it reads from, and writes to.
    pub descriptors: Vec<OwnedFd>,
}

/// Opens the source of a pass phrase: a terminal or a program.
pub trait PhraseOpener: fmt::Debug + Send + Sync {
    /// Opens the source, has `ask` ask there, and closes it. `ask` returns an error if nobody has answered. The error says why
    /// there is no pass phrase.
    fn with(&self, ask: &mut dyn FnMut(&OpenSource) -> Result<(), String>) -> Result<(), String>;
}

/// The numbers of keys that are no longer used.
#[derive(Clone, Debug, Default)]
pub struct Released(Arc<Mutex<Vec<KeyId>>>);

impl Released {
    pub(super) fn add(&self, id: KeyId) {
        lock(&self.0).push(id);
    }

    pub(super) fn take(&self) -> Vec<KeyId> {
        std::mem::take(&mut *lock(&self.0))
    }
}

/// Where a key is read from.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// A file.
    File(Arc<Path>),
    /// A token: a PKCS#11 URI.
    Token(Arc<str>),
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Token(uri) => f.write_str(uri),
        }
    }
}

/// A key that is in use, to read it again.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) source: KeySource,
    pub(super) purpose: Purpose,
    /// The number of the first key of the source.
    pub(super) first: KeyId,
    /// A hash of its public key.
    pub(super) public: u64,
    /// How to ask for its pass phrase, if it was needed.
    pub(super) opener: Option<Arc<dyn PhraseOpener>>,
}

#[derive(Debug, Default)]
pub(super) enum State {
    /// Keys are in httpd's processes.
    #[default]
    Off,
    Running(Running),
    /// It has ended, and was not started again yet.
    Lost(Launch),
}

/// `tls-keyd`, for the parent process.
#[derive(Debug)]
pub struct KeyProcess {
    pub(super) launcher: Arc<dyn Launcher>,
    pub(super) log_queue: Arc<LogQueue>,
    pub(super) state: Mutex<State>,
    pub(super) door: Mutex<Option<Arc<Door>>>,
    next_key: AtomicU64,
    /// There may be tens of thousands.
    pub(super) known: Mutex<Vec<(KeyId, Known)>>,
    pub(super) released: Released,
    pub(super) pins: Mutex<PinValues>,
    /// The lists of schemes, of which there are few.
    schemes: Mutex<Vec<Arc<[SignatureScheme]>>>,
    pub(super) starts: Mutex<VecDeque<Instant>>,
    /// Whether it was said that there were too many starts.
    pub(super) has_given_up: AtomicBool,
    /// The process that this belongs to.
    pub(super) owner: AtomicU32,
    pub(super) watcher: Mutex<Option<Watcher>>,
    /// Whether the process that watches has to be told the files.
    pub(super) wants_files: AtomicBool,
    /// The numbers of files that have changed.
    pub(super) changed: Mutex<Vec<u32>>,
    /// All stores of certificates since the start, by their numbers.
    pub(super) stores: Mutex<Vec<KnownStore>>,
    pub(super) suppliers: Mutex<Vec<Supplier>>,
    /// The socket for `tls-certs`.
    pub(super) control: Mutex<Option<ControlSocket>>,
    /// The catalogue, if somebody has asked for it since the last reload.
    pub(super) catalogue: Mutex<Option<CatalogueFile>>,
    pub(super) wants_catalogue: AtomicBool,
}

/// A file to be read by `tls-keyd`.
#[derive(Debug)]
pub struct FileRequest {
    /// Its path.
    pub path: Arc<Path>,
    /// The file.
    pub file: File,
    /// Which keys are needed.
    pub wanted: Wanted,
    /// What they are used for.
    pub purpose: Purpose,
}

/// A key in `tls-keyd`, and its SubjectPublicKeyInfo.
#[derive(Debug)]
pub struct OpenedKey {
    /// The key.
    pub key: Arc<RemoteKey>,
    /// Its public part in DER.
    pub public: Vec<u8>,
}

/// A file that `tls-keyd` has read.
#[derive(Debug)]
pub struct ReadFile {
    /// Its text without secrets.
    pub text: Vec<u8>,
    /// Its keys, or why one cannot be used.
    pub keys: Vec<Result<OpenedKey, String>>,
    /// Whether there is an encrypted key that no known pass phrase opens.
    pub is_locked: bool,
}

impl KeyProcess {
    /// No `tls-keyd` yet. Messages about it are logged to `log_queue`.
    pub fn new(launcher: Arc<dyn Launcher>, log_queue: Arc<LogQueue>) -> Self {
        Self {
            launcher,
            log_queue,
            state: Mutex::default(),
            door: Mutex::default(),
            next_key: AtomicU64::new(1),
            known: Mutex::default(),
            released: Released::default(),
            pins: Mutex::default(),
            schemes: Mutex::default(),
            starts: Mutex::default(),
            has_given_up: AtomicBool::new(false),
            owner: AtomicU32::new(0),
            watcher: Mutex::default(),
            wants_files: AtomicBool::new(false),
            changed: Mutex::default(),
            stores: Mutex::default(),
            suppliers: Mutex::default(),
            control: Mutex::default(),
            catalogue: Mutex::default(),
            wants_catalogue: AtomicBool::new(false),
        }
    }

    /// Whether `tls-keyd` has the keys, be it that it is just being replaced.
    pub fn is_on(&self) -> bool {
        !matches!(*lock(&self.state), State::Off)
    }

    /// The process numbers of `tls-keyd`, of the process that watches it, of the bell, and of those that look into stores; 0 for one
    /// that does not run.
    pub fn processes(&self) -> [u32; 5] {
        let keys = match &*lock(&self.state) {
            State::Running(running) => running.pid,
            State::Off | State::Lost(_) => 0,
        };
        let [watcher, bell] = lock(&self.watcher).as_ref().map_or([0; 2], |one| [one.pid, one.bell]);
        let suppliers = lock(&self.suppliers);
        let [open, fetch] = [Role::Open, Role::Fetch].map(|role| {
            let supplier = suppliers.iter().find(|supplier| supplier.role == role);
            supplier.map_or(0, |supplier| supplier.process.pid)
        });
        [keys, watcher, bell, open, fetch]
    }

    /// The way to `tls-keyd`, if keys are there.
    pub fn door(&self) -> Option<Arc<Door>> {
        lock(&self.door).clone()
    }

    /// Has the running `tls-keyd` carry out something. One that fails is replaced; the error says so.
    pub(super) fn with<T>(&self, what: impl FnOnce(&mut Running) -> io::Result<T>) -> Result<T, String> {
        let state = &mut *lock(&self.state);
        let State::Running(running) = state else {
            return Err("tls-keyd, which reads private keys, is not running".to_owned());
        };
        match what(running) {
            Ok(result) => Ok(result),
            Err(error) => {
                running.kill();
                *state = State::Lost(running.launch.clone());
                Err(format!("tls-keyd, which reads private keys, has failed: {error}"))
            }
        }
    }

    /// Has files read. `each` is called for each of them, in the same order, with its content or the reason why it cannot be
    /// used, which names the file.
    pub fn read(
        &self,
        files: impl Iterator<Item = FileRequest>,
        mut each: impl FnMut(Result<ReadFile, String>),
    ) -> Result<(), String> {
        // The paths of tens of thousands of files are not copied.
        let paths = RefCell::new(VecDeque::new());
        let orders = files.map(|request| {
            let order = self.order(&request);
            paths.borrow_mut().push_back(request.path);
            (order, request.file)
        });
        self.with(|running| {
            running.read(orders, |order, content| {
                let path = paths.borrow_mut().pop_front().expect("each order has a path");
                each(content.map(|content| self.content(order, KeySource::File(path), content)));
            })
        })
    }

    fn order(&self, request: &FileRequest) -> FileOrder {
        FileOrder {
            path: request.path.as_os_str().as_bytes().to_vec(),
            wanted: request.wanted,
            first_key: self.next_key.fetch_add(MAX_KEYS, Relaxed),
            purpose: request.purpose,
        }
    }

    fn content(&self, order: &FileOrder, source: KeySource, content: FileContent) -> ReadFile {
        let keys = content.keys.into_iter();
        ReadFile {
            text: content.text,
            keys: keys
                .map(|key| Ok(self.opened(key?, &source, order.purpose, order.first_key, None)))
                .collect(),
            is_locked: content.is_locked,
        }
    }

    /// Has a file read whose key is encrypted, with a pass phrase from `opener`.
    pub fn unlock(&self, request: FileRequest, opener: &Arc<dyn PhraseOpener>) -> Result<OpenedKey, String> {
        let order = self.order(&request);
        let info = self.with(|running| running.unlock(&order, &request.file, opener))??;
        let source = KeySource::File(request.path);
        Ok(self.opened(info, &source, order.purpose, order.first_key, Some(opener)))
    }

    /// From now on, these are the PINs in the configuration.
    pub fn set_pins(&self, pins: &PinValues) {
        lock(&self.pins).clone_from(pins);
    }

    /// Finds the key in a token with this PKCS#11 URI. `opener` asks for the PIN if the URI does not tell its source.
    pub fn token_key(
        &self,
        uri: &Arc<str>,
        purpose: Purpose,
        opener: &Arc<dyn PhraseOpener>,
    ) -> Result<OpenedKey, String> {
        let id = self.next_key.fetch_add(1, Relaxed);
        match self.token(uri, Some(id), purpose, opener)? {
            Answer::Key(info) => Ok(self.opened(info?, &KeySource::Token(Arc::clone(uri)), purpose, id, Some(opener))),
            _ => Err(io::Error::from(BadFrame).to_string()),
        }
    }

    /// The certificates in a token with this PKCS#11 URI, the issuers behind the certificate.
    pub fn token_certificates(&self, uri: &Arc<str>, opener: &Arc<dyn PhraseOpener>) -> Result<Vec<Vec<u8>>, String> {
        match self.token(uri, None, Purpose::Server, opener)? {
            Answer::Certificates(found) => found,
            _ => Err(io::Error::from(BadFrame).to_string()),
        }
    }

    fn token(
        &self,
        uri: &Arc<str>,
        key: Option<KeyId>,
        purpose: Purpose,
        opener: &Arc<dyn PhraseOpener>,
    ) -> Result<Answer, String> {
        let uri = lock(&self.pins).complete(uri);
        self.with(|running| running.token(&uri, key, purpose, opener))?
    }

    /// The size of the seed file `file`, and the state of session tickets at `now` for sessions of `lifetime` seconds, unless the
    /// file is too small.
    pub fn ticket_state(&self, file: &File, now: i64, lifetime: u32) -> Result<(u64, Option<TicketState>), String> {
        self.with(|running| running.ticket_state(file, now, lifetime))?
    }

    fn opened(
        &self,
        info: KeyInfo,
        source: &KeySource,
        purpose: Purpose,
        first: KeyId,
        opener: Option<&Arc<dyn PhraseOpener>>,
    ) -> OpenedKey {
        let known = Known {
            source: source.clone(),
            purpose,
            first,
            public: hash_of(&info.public),
            opener: opener.cloned(),
        };
        lock(&self.known).push((info.id, known));
        let door = self.door().expect("a running process has a door");
        let key = RemoteKey {
            id: info.id,
            schemes: self.shared_schemes(&info.schemes),
            door,
            released: self.released.clone(),
            place: None,
        };
        OpenedKey {
            key: Arc::new(key),
            public: info.public,
        }
    }

    fn shared_schemes(&self, numbers: &[u16]) -> Arc<[SignatureScheme]> {
        let schemes: Vec<_> = numbers.iter().copied().map(SignatureScheme::from).collect();
        let mut known = lock(&self.schemes);
        if let Some(list) = known.iter().find(|list| ***list == *schemes) {
            return Arc::clone(list);
        }
        known.push(schemes.into());
        Arc::clone(known.last().expect("it was added"))
    }
}
