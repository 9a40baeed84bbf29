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
use mod_tls_core::trust::crl::{self, Crl};

use super::agenda::Task;
use super::http::{Answer, FetchError, Query};
use super::service::{Service, State, host_of, random};
use super::staples::{span, without_times};

/// The longest list in bytes: half a million entries.
const MAX_LIST: u64 = 32 << 20;

/// How many lists are fetched because certificates of clients name them.
const MAX_ASKED: usize = 256;

/// A list is looked for anew at least so often, in seconds: its CA may issue another one at any time.
const LOOK_EVERY: u32 = 4 * 3600;

/// A list.
#[derive(Debug)]
pub(super) struct ListState {
    url: Arc<str>,
    settings: FetchSettings,
    is_loaded: bool,
    is_asked: bool,
    /// Sockets that are closed when the list is there, or cannot be had.
    waiting: Vec<OwnedFd>,
    /// Whether it is waited for the first time.
    is_begun: bool,
    /// What there is.
    known: Option<Arc<Kept>>,
    failures: u32,
}

/// A list that is used.
#[derive(Debug)]
struct Kept {
    der: Vec<u8>,
    etag: Option<String>,
    last_modified: Option<String>,
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
        let is_asked = waiting.is_some();
        if let Some(known) = state.lists.get_mut(&key) {
            known.is_asked &= is_asked;
            known.settings = settings.clone();
            match known.is_begun {
                true => known.waiting.extend(waiting),
                // It failed of late, or is there by now.
                false => drop(waiting),
            }
            return key;
        }
        if is_asked && state.lists.values().filter(|list| list.is_asked).count() >= MAX_ASKED {
            let why = format!("{url}: {MAX_ASKED} lists that certificates of clients name are fetched already");
            self.publish(&key, &missing(why));
            return key;
        }
        let begun = ListState {
            url: url.into(),
            settings: settings.clone(),
            is_loaded: false,
            is_asked,
            waiting: waiting.into_iter().collect(),
            is_begun: true,
            known: None,
            failures: 0,
        };
        state.lists.insert(key, begun);
        self.agenda.set(Task::List(key), 0, &host_of(url));
        key
    }

    /// Fetches a list, unless there is one on disk.
    pub(super) fn fetch_list(&self, key: &Key) {
        let (url, settings, mut known, was_loaded, failures) = match lock(&self.state).lists.get_mut(key) {
            Some(list) => (
                Arc::clone(&list.url),
                list.settings.clone(),
                list.known.clone(),
                std::mem::replace(&mut list.is_loaded, true),
                list.failures,
            ),
            None => return,
        };
        let now = unix_now();
        let on_disk = self
            .directory
            .as_ref()
            .filter(|_| !was_loaded)
            .and_then(|directory| directory.read(key));
        if let Some(fetched) = on_disk
            && let Ok(kept) = parse(&url, fetched)
        {
            let due = refresh_at(
                kept.this_update,
                Some(kept.next_update),
                kept.this_update,
                None,
                random(),
            );
            self.publish(key, &present(&kept));
            known = Some(Arc::new(kept));
            // It may be old: there may be a newer one by now.
            if due > now {
                return self.schedule_list(key, known, 0, now + 1);
            }
        }
        match self.get_list(&url, &settings, known.as_deref()) {
            Ok(fetched) => {
                let list = match fetched {
                    Some((kept, fetched)) => {
                        self.keep(key, &fetched);
                        Some(Arc::new(kept))
                    }
                    None => known,
                };
                let due = list.as_ref().map_or(now, |list| {
                    self.publish(key, &present(list));
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
                self.schedule_list(key, list, 0, due);
            }
            Err(error) => {
                let failures = failures.saturating_add(1);
                let until = known.as_ref().map(|known| known.next_update);
                let due = retry_at(failures, until, now, None, random());
                self.complain_of_list(&url, &error.why, until, due);
                if known.is_none() {
                    self.publish(key, &missing(error.why));
                }
                self.schedule_list(key, known, failures, due);
            }
        }
    }

    fn schedule_list(&self, key: &Key, known: Option<Arc<Kept>>, failures: u32, due: i64) {
        let state = &mut *lock(&self.state);
        if let Some(list) = state.lists.get_mut(key) {
            list.known = known;
            list.failures = failures;
            list.is_begun = false;
            // This closes them.
            list.waiting.clear();
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
                let failed = |why| FetchError { why, is_silence: false };
                let kept = parse(url, fetched.clone()).map_err(failed)?;
                if known.is_some_and(|known| kept.this_update < known.this_update) {
                    return Err(failed("it is older than the one of before".to_owned()));
                }
                if kept.next_update < unix_now() {
                    return Err(failed(
                        "it has expired: the CA has to publish its current CRL there".to_owned(),
                    ));
                }
                Ok(Some((kept, fetched)))
            }
        }
    }
}

/// The list in what was fetched: one, in DER or PEM. Its signature is verified by those who use it.
fn parse(url: &str, fetched: Fetched) -> Result<Kept, String> {
    let mut found = crl::split(&fetched.body).map_err(|error| error.to_string())?;
    let (Some(der), true) = (found.pop(), found.is_empty()) else {
        return Err("it is not one revocation list: expected DER".to_owned());
    };
    let crl = Crl::parse(Path::new(url), der).map_err(|error| error.to_string())?;
    Ok(Kept {
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
