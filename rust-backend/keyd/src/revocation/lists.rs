// SPDX-License-Identifier: Apache-2.0
//! Revocation lists, which are fetched before they expire.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use mod_tls_core::base::clock::unix_now;
use mod_tls_core::base::diagnostics::Severity;
use mod_tls_core::base::lock::lock;
use mod_tls_core::revocation::disk::Fetched;
use mod_tls_core::revocation::orders::FetchSettings;
use mod_tls_core::revocation::published::List;
use mod_tls_core::revocation::schedule::{refresh_at, retry_at};
use mod_tls_core::revocation::shared_table::Key;
use mod_tls_core::revocation::summary::{ListFacts, ListTimes};
use mod_tls_core::trust::crl::{self, Crl};

use super::agenda::Task;
use super::http::{Answer, FetchError, Query};
use super::list_issuers::ListIssuers;
use super::service::{Service, State, host_of, random};
use super::staples::{span, without_times};

/// The longest list in bytes: half a million entries.
const MAX_LIST: u64 = 32 << 20;

/// How many lists are fetched because certificates name them. The one that was asked for first makes room for another one.
const MAX_ASKED: usize = 256;

/// How much clocks may differ, in seconds. Nobody has verified the signature of a list here: one from the future would keep out those
/// of the CA until then.
const SKEW: i64 = 300;

/// A list is looked for anew at least so often, in seconds: its CA may issue another one at any time.
const LOOK_EVERY: u32 = 4 * 3600;

/// A list.
#[derive(Debug)]
pub(super) struct ListState {
    url: Arc<str>,
    settings: FetchSettings,
    is_loaded: bool,
    /// When a child process asked for it, in seconds since 1970; none if the configuration has it.
    asked: Option<i64>,
    /// Sockets that are closed when the list is there, or cannot be had.
    waiting: Vec<OwnedFd>,
    /// Whether it is waited for the first time.
    is_begun: bool,
    /// What there is.
    known: Option<Arc<Kept>>,
    failures: u32,
    /// Why the last attempt has failed.
    problem: Option<String>,
}

impl ListState {
    /// What there is to be said about it.
    pub(super) fn facts(&self) -> ListFacts {
        ListFacts {
            url: self.url.to_string(),
            is_configured: self.asked.is_none(),
            current: self.known.as_ref().map(|kept| ListTimes {
                entries: kept.entries,
                this_update: kept.this_update,
                next_update: kept.next_update,
            }),
            problem: self.problem.clone(),
        }
    }

    /// Nobody has to wait any longer.
    fn answer(&mut self) {
        self.is_begun = false;
        // This closes them.
        self.waiting.clear();
    }
}

/// A list that is used.
#[derive(Debug)]
struct Kept {
    der: Vec<u8>,
    etag: Option<String>,
    last_modified: Option<String>,
    entries: u64,
    this_update: i64,
    next_update: i64,
}

impl Service {
    /// Has a list fetched. With `waiting`, which is closed when it is there, a child process asks for it. Returns its key.
    pub(super) fn add_list(
        &self,
        state: &mut State,
        url: &str,
        settings: &FetchSettings,
        waiting: Option<OwnedFd>,
    ) -> Key {
        let key = List::key_for(url);
        let asked = waiting.is_some().then(unix_now);
        if let Some(known) = state.lists.get_mut(&key) {
            known.asked = known.asked.filter(|_| asked.is_some());
            known.settings = settings.clone();
            match known.is_begun {
                true => known.waiting.extend(waiting),
                // It failed of late, or is there by now.
                false => drop(waiting),
            }
            return key;
        }
        if asked.is_some() {
            self.make_room(state);
        }
        let begun = ListState {
            url: url.into(),
            settings: settings.clone(),
            is_loaded: false,
            asked,
            waiting: waiting.into_iter().collect(),
            is_begun: true,
            known: None,
            failures: 0,
            problem: None,
        };
        state.lists.insert(key, begun);
        self.agenda.set(Task::List(key), 0, &host_of(url));
        key
    }

    /// Forgets the list that was asked for first, if there are many. If it is asked for again, it is on disk.
    fn make_room(&self, state: &mut State) {
        let asked = || state.lists.iter().filter_map(|(key, list)| Some((list.asked?, *key)));
        if asked().count() >= MAX_ASKED
            && let Some((_, oldest)) = asked().min()
        {
            state.lists.remove(&oldest);
            self.agenda.remove(Task::List(oldest));
            self.unpublish(&oldest);
        }
    }

    /// Publishes a list, unless it is no longer wanted: nobody would replace it.
    fn publish_list(&self, key: &Key, list: &List) {
        if let Some(known) = lock(&self.state).lists.get_mut(key) {
            self.publish(key, list);
            known.answer();
        }
    }

    /// Fetches a list, unless there is one on disk.
    pub(super) fn fetch_list(&self, key: &Key) {
        let mut state = lock(&self.state);
        let issuers = state.list_issuers.clone();
        let (url, settings, mut known, was_loaded, failures) = match state.lists.get_mut(key) {
            Some(list) => (
                Arc::clone(&list.url),
                list.settings.clone(),
                list.known.clone(),
                std::mem::replace(&mut list.is_loaded, true),
                list.failures,
            ),
            None => return,
        };
        drop(state);
        let now = unix_now();
        let on_disk = self
            .directory
            .as_ref()
            .filter(|_| !was_loaded)
            .and_then(|directory| directory.read(key));
        if let Some(fetched) = on_disk
            && let Ok(kept) = parse(&url, fetched, &issuers)
        {
            let due = refresh_at(
                kept.this_update,
                Some(kept.next_update),
                kept.this_update,
                None,
                random(),
            );
            // Those who wait are not told of one that has expired before a newer one was looked for.
            if kept.next_update > now {
                self.publish_list(key, &present(&kept));
            }
            known = Some(Arc::new(kept));
            // It may be old: there may be a newer one by now.
            if due > now {
                return self.schedule_list(key, known, None, now + 1);
            }
        }
        match self.get_list(&url, &settings, &issuers, known.as_deref()) {
            Ok(fetched) => {
                let list = match fetched {
                    Some((kept, fetched)) => {
                        self.keep(key, &fetched);
                        Some(Arc::new(kept))
                    }
                    None => known,
                };
                let due = list.as_ref().map_or(now, |list| {
                    self.publish_list(key, &present(list));
                    refresh_at(
                        list.this_update,
                        Some(list.next_update),
                        now,
                        Some(LOOK_EVERY),
                        random(),
                    )
                });
                if self.complaints.is_well(&url) {
                    let text = format!("the revocation list {url} could be fetched again");
                    self.complaints.say(Severity::Notice, text);
                }
                self.schedule_list(key, list, None, due);
            }
            Err(error) => {
                let failures = failures.saturating_add(1);
                let until = known.as_ref().map(|known| known.next_update);
                let due = retry_at(failures, until, now, None, random());
                self.complain_of_list(&url, &error.why, until, due);
                let list = known.as_deref().map_or_else(|| missing(error.why.clone()), present);
                self.publish_list(key, &list);
                self.schedule_list(key, known, Some((failures, error.why)), due);
            }
        }
    }

    /// `failed` is how often it has failed in sequence, and why.
    fn schedule_list(&self, key: &Key, known: Option<Arc<Kept>>, failed: Option<(u32, String)>, due: i64) {
        let state = &mut *lock(&self.state);
        if let Some(list) = state.lists.get_mut(key) {
            list.known = known;
            (list.failures, list.problem) = match failed {
                Some((failures, why)) => (failures, Some(why)),
                None => (0, None),
            };
            list.answer();
            self.agenda.set(Task::List(*key), due, &host_of(&list.url));
        }
    }

    fn complain_of_list(&self, url: &str, why: &str, until: Option<i64>, due: i64) {
        let left = until.map_or(0, |until| until - unix_now());
        let (severity, state) = match (until, left > 0) {
            (None, _) => (Severity::Error, "there is none".to_owned()),
            (_, true) => (
                Severity::Warning,
                format!("the one of before is good for {} more", span(left)),
            ),
            (_, false) => (Severity::Error, "the one of before has expired".to_owned()),
        };
        let text = format!(
            "the revocation list {url} could not be fetched: {why}; {state}; the next attempt is in {}",
            span(due - unix_now())
        );
        let reason = format!("{severity:?} {}", without_times(why));
        self.complaints.complain(severity, url, &reason, text);
    }

    /// Gets a list. None if `known` is still the current one.
    fn get_list(
        &self,
        url: &str,
        settings: &FetchSettings,
        issuers: &ListIssuers,
        known: Option<&Kept>,
    ) -> Result<Option<(Kept, Fetched)>, FetchError> {
        let query = Query {
            accept: "application/pkix-crl",
            etag: known.and_then(|known| known.etag.as_deref()),
            last_modified: known.and_then(|known| known.last_modified.as_deref()),
            limit: MAX_LIST,
            ..Query::default()
        };
        match self.client.fetch(url, &query, settings)? {
            Answer::Unchanged if known.is_some_and(|known| known.next_update < unix_now()) => Err(failed(EXPIRED)),
            Answer::Unchanged => Ok(None),
            Answer::Document {
                body,
                etag,
                last_modified,
            } => {
                let fetched = Fetched {
                    at: unix_now(),
                    etag,
                    last_modified,
                    body,
                };
                let kept = parse(url, fetched.clone(), issuers).map_err(|why| failed(&why))?;
                if known.is_some_and(|known| kept.this_update < known.this_update) {
                    return Err(failed("it is older than the one of before"));
                }
                if kept.this_update > unix_now() + SKEW {
                    return Err(failed(
                        "it is from the future: the clock of the CA or of this machine is wrong",
                    ));
                }
                if kept.next_update < unix_now() {
                    return Err(failed(EXPIRED));
                }
                Ok(Some((kept, fetched)))
            }
        }
    }
}

/// Why a list that has expired is not taken.
const EXPIRED: &str = "it has expired: the CA has to publish its current CRL there";

fn failed(why: &str) -> FetchError {
    FetchError {
        why: why.to_owned(),
        is_silence: false,
    }
}

/// The list in what was fetched: one, in DER or PEM, that its issuer has signed.
fn parse(url: &str, fetched: Fetched, issuers: &ListIssuers) -> Result<Kept, String> {
    let mut found = crl::split(&fetched.body).map_err(|error| error.to_string())?;
    let (Some(der), true) = (found.pop(), found.is_empty()) else {
        return Err("it is not one revocation list: expected DER".to_owned());
    };
    let crl = Crl::parse(Path::new(url), der).map_err(|error| error.to_string())?;
    if !issuers.have_signed(&crl) {
        return Err("it is not signed by the CA that it names as issuer".to_owned());
    }
    Ok(Kept {
        entries: crl.len() as u64,
        this_update: crl.this_update(),
        next_update: crl.next_update(),
        der: crl.der().to_vec(),
        etag: fetched.etag,
        last_modified: fetched.last_modified,
    })
}

fn present(kept: &Kept) -> List {
    List {
        content: Ok(kept.der.clone().into()),
    }
}

fn missing(why: String) -> List {
    List { content: Err(why) }
}
