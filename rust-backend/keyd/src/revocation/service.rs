// SPDX-License-Identifier: Apache-2.0
//! What the threads of the process share, and what has become of the orders.

use std::collections::{HashMap, HashSet, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use lru::LruCache;
use mod_tls_core::base::clock::unix_now;
use mod_tls_core::base::diagnostics::Severity;
use mod_tls_core::base::lock::lock;
use mod_tls_core::revocation::disk::Directory;
use mod_tls_core::revocation::ocsp::{self, CertId};
use mod_tls_core::revocation::orders::{FetchSettings, OcspSettings, Settings, Single, StapleOrder};
use mod_tls_core::revocation::published::Published;
use mod_tls_core::revocation::questions::{Question, Subject};
use mod_tls_core::revocation::shared_table::{Key, Writer};
use mod_tls_core::revocation::summary::Summary;
use rustix::rand::{GetRandomFlags, getrandom};
use url::Url;

use super::agenda::{Agenda, Task};
use super::complaints::Complaints;
use super::http::Client;
use super::list_issuers::ListIssuers;
use super::lists::ListState;
use super::staples::StapleState;
use super::statuses::{MAX_STATUSES, StatusState};

/// How many earlier settings are known: child processes of an earlier configuration may still ask.
const GENERATIONS: usize = 4;

/// How many questions may come before the settings that they are about.
const MAX_EARLY: usize = 1024;

/// A certificate about which responders are asked.
#[derive(Debug)]
pub(super) struct Certificate {
    /// What it is called in messages.
    pub(super) name: String,
    pub(super) id: CertId,
    pub(super) issuer: Arc<[u8]>,
    pub(super) settings: Arc<OcspSettings>,
    /// The URLs of its responders; at least one.
    pub(super) responders: Vec<String>,
}

impl Certificate {
    /// The error says why nobody can be asked.
    pub(super) fn new(name: &str, der: &[u8], issuer: Arc<[u8]>, settings: Arc<OcspSettings>) -> Result<Self, String> {
        let id = CertId::new(der, &issuer).map_err(|error| error.to_string())?;
        let own = match settings.only_responder {
            true => Vec::new(),
            false => ocsp::responders(der),
        };
        let responders = match own.is_empty() {
            true => settings.responder.iter().cloned().collect(),
            false => own,
        };
        if responders.is_empty() {
            return Err("it names no OCSP responder (authorityInfoAccess), and none is configured".to_owned());
        }
        Ok(Self {
            name: name.to_owned(),
            id,
            issuer,
            settings,
            responders,
        })
    }

    /// The responder to ask after so many failures.
    pub(super) fn responder(&self, failures: u32) -> &str {
        &self.responders[failures as usize % self.responders.len()]
    }
}

/// What there is to do.
#[derive(Debug)]
pub(super) struct State {
    /// The last settings, by their numbers.
    settings: VecDeque<(u64, Arc<Known>)>,
    pub(super) staples: HashMap<Key, StapleState>,
    pub(super) lists: HashMap<Key, ListState>,
    pub(super) statuses: LruCache<Key, StatusState>,
    /// CAs that may have signed lists.
    pub(super) list_issuers: ListIssuers,
    /// Questions about settings that have not come yet: child processes may be faster than the parent process.
    early: Vec<(Question, Option<OwnedFd>)>,
    /// Keys of the table that another process has left, and that nobody has asked for yet.
    strangers: HashSet<Key>,
}

/// Settings, as they are shared.
#[derive(Debug, Default)]
struct Known {
    ocsp: Vec<Arc<OcspSettings>>,
    issuers: Vec<Arc<[u8]>>,
    lists: FetchSettings,
}

impl Known {
    fn new(settings: Settings) -> Self {
        Self {
            ocsp: settings.ocsp.into_iter().map(Arc::new).collect(),
            issuers: settings.issuers.into_iter().map(|der| der.into_vec().into()).collect(),
            lists: settings.lists,
        }
    }
}

/// What the threads share.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) agenda: Agenda,
    pub(super) complaints: Complaints,
    pub(super) client: Client,
    pub(super) directory: Option<Directory>,
    pub(super) state: Mutex<State>,
    table: Mutex<Writer>,
    /// When the summary was published last, in seconds since 1970.
    summarized: AtomicI64,
}

impl Service {
    pub(super) fn new(table: Writer, directory: Option<Directory>) -> Self {
        let state = State {
            settings: VecDeque::new(),
            staples: HashMap::new(),
            lists: HashMap::new(),
            statuses: LruCache::new(MAX_STATUSES),
            list_issuers: ListIssuers::default(),
            early: Vec::new(),
            strangers: table.keys().into_iter().collect(),
        };
        Self {
            agenda: Agenda::default(),
            complaints: Complaints::default(),
            client: Client::default(),
            directory,
            state: Mutex::new(state),
            table: Mutex::new(table),
            summarized: AtomicI64::new(0),
        }
    }

    /// Does tasks, for ever.
    pub(super) fn work(&self) {
        loop {
            let (task, host) = self.agenda.next();
            match task {
                Task::Status(key) => self.find_status(&key),
                Task::Staple(key) => self.fetch_staple(&key),
                Task::List(key) => self.fetch_list(&key),
            }
            self.agenda.done(&host);
            // Not for each of thousands of responses.
            if self.summarized.load(Relaxed) != unix_now() {
                self.summarize();
            }
        }
    }

    /// What is ordered from now on, in place of before.
    pub(super) fn replace(&self, mut settings: Settings, staples: &[StapleOrder], lists: &[String]) {
        let generation = settings.generation;
        let list_issuers = std::mem::take(&mut settings.list_issuers);
        let known = Arc::new(Known::new(settings));
        let state = &mut *lock(&self.state);
        state.settings.push_front((generation, Arc::clone(&known)));
        state.settings.truncate(GENERATIONS);
        list_issuers.iter().for_each(|der| state.list_issuers.add(der));
        let mut wanted = HashSet::new();
        for order in staples {
            let (settings, issuer) = (
                known.ocsp.get(order.settings as usize),
                known.issuers.get(order.issuer as usize),
            );
            if let (Some(settings), Some(issuer)) = (settings, issuer) {
                wanted.extend(self.add_staple(state, order, Arc::clone(issuer), Arc::clone(settings)));
            }
        }
        for url in lists {
            wanted.insert(self.add_list(state, url, &known.lists, None));
        }
        self.forget_all_but(state, &wanted);
        for (question, waiting) in std::mem::take(&mut state.early) {
            self.take(state, question, waiting);
        }
        if let Some(directory) = &self.directory {
            let names: HashSet<String> = wanted.iter().map(mod_tls_core::revocation::disk::name_of).collect();
            if let Err(error) = directory.tidy(|name| names.contains(name)) {
                self.complain_of_disk(&error);
            }
        }
    }

    fn forget_all_but(&self, state: &mut State, wanted: &HashSet<Key>) {
        let is_gone = |key: &Key| !wanted.contains(key);
        let staples: Vec<Key> = state.staples.keys().copied().filter(is_gone).collect();
        for key in staples {
            state.staples.remove(&key);
            self.agenda.remove(Task::Staple(key));
            self.unpublish(&key);
        }
        let lists: Vec<Key> = state.lists.keys().copied().filter(is_gone).collect();
        for key in lists {
            state.lists.remove(&key);
            self.agenda.remove(Task::List(key));
            self.unpublish(&key);
        }
        for key in std::mem::take(&mut state.strangers).iter().filter(|key| is_gone(key)) {
            self.unpublish(key);
        }
    }

    /// Has a response fetched for one more certificate.
    pub(super) fn add_one(&self, single: &Single) {
        let state = &mut *lock(&self.state);
        let settings = Arc::new(single.settings.clone());
        self.add_staple(state, &single.order, single.issuer.to_vec().into(), settings);
    }

    /// Takes a question. `waiting` is closed when the answer is in the table.
    pub(super) fn ask(&self, question: Question, waiting: Option<OwnedFd>) {
        self.take(&mut lock(&self.state), question, waiting);
    }

    fn take(&self, state: &mut State, question: Question, waiting: Option<OwnedFd>) {
        if state.newest() < question.generation() {
            if state.early.len() < MAX_EARLY {
                state.early.push((question, waiting));
            }
            return;
        }
        match question {
            Question::Staple(subject) => {
                if let Some((settings, issuer)) = state.settings_of(&subject) {
                    self.add_asked_staple(state, &subject, issuer, settings);
                }
            }
            Question::Status(subject) => {
                if let Some((settings, issuer)) = state.settings_of(&subject) {
                    self.add_status(state, &subject, issuer, settings, waiting);
                }
            }
            Question::List {
                generation,
                url,
                issuer,
            } => {
                state.list_issuers.add(&issuer);
                // How lists are fetched hardly changes, and children of an old configuration live as long as their connections.
                let newest = || state.settings.front().map(|(_, known)| Arc::clone(known));
                if let Some(known) = state.known(generation).or_else(newest) {
                    self.add_list(state, &url, &known.lists, waiting);
                }
            }
        }
    }

    /// Publishes what there is, for the status page.
    pub(super) fn summarize(&self) {
        let now = unix_now();
        self.summarized.store(now, Relaxed);
        let mut summary = Summary {
            pid: std::process::id(),
            at: now,
            ..Summary::default()
        };
        {
            let state = lock(&self.state);
            for staple in state.staples.values() {
                staple.count(&mut summary.staples, now);
            }
            summary.lists = state.lists.values().map(ListState::facts).collect();
        }
        summary.lists.sort_by(|one, other| one.url.cmp(&other.url));
        self.publish(&Summary::key_of_it(), &summary);
    }

    /// Publishes a value. If there is no memory, it is missing.
    pub(super) fn publish(&self, key: &Key, value: &impl Published) {
        if let Err(error) = lock(&self.table).put(key, &value.to_bytes()) {
            let text = format!("OCSP responses and revocation lists cannot be passed on: {error}");
            self.complaints
                .complain(Severity::Error, "table", &error.to_string(), text);
        }
    }

    pub(super) fn unpublish(&self, key: &Key) {
        // If that is not possible, it is out of date at some time.
        let _ = lock(&self.table).remove(key);
    }

    pub(super) fn complain_of_disk(&self, error: &std::io::Error) {
        let text = format!(
            "the directory of TLSRevocationCache cannot be used: {error}: what was fetched is not kept over a restart"
        );
        self.complaints
            .complain(Severity::Warning, "disk", &error.to_string(), text);
    }
}

impl State {
    /// The number of the last settings; 0 if there are none yet.
    fn newest(&self) -> u64 {
        self.settings.front().map_or(0, |(number, _)| *number)
    }

    fn known(&self, generation: u64) -> Option<Arc<Known>> {
        let mut all = self.settings.iter();
        all.find(|(number, _)| *number == generation)
            .map(|(_, known)| Arc::clone(known))
    }

    fn settings_of(&self, subject: &Subject) -> Option<(Arc<OcspSettings>, Arc<[u8]>)> {
        let known = self.known(subject.generation)?;
        let settings = known.ocsp.get(subject.settings as usize)?;
        Some((Arc::clone(settings), subject.issuer.as_slice().into()))
    }
}

/// The host of a URL with its port, or what there is.
pub(super) fn host_of(url: &str) -> String {
    let parsed = Url::parse(url).ok();
    let host = parsed
        .as_ref()
        .and_then(|url| Some((url.host_str()?, url.port_or_known_default()?)));
    host.map_or_else(|| url.to_owned(), |(host, port)| format!("{host}:{port}"))
}

/// A number, to spread times. Without random numbers they are not spread.
pub(super) fn random() -> u32 {
    let mut bytes = [0; 4];
    let _ = getrandom(&mut bytes, GetRandomFlags::empty());
    u32::from_ne_bytes(bytes)
}
