// SPDX-License-Identifier: Apache-2.0
//! OCSP responses for certificates that httpd presents, which are fetched ahead of time.

use std::sync::Arc;

use mod_tls_core::base::clock::unix_now;
use mod_tls_core::base::diagnostics::Severity;
use mod_tls_core::base::lock::lock;
use mod_tls_core::revocation::disk::Fetched;
use mod_tls_core::revocation::ocsp::{self, Answer, Checks, Status};
use mod_tls_core::revocation::orders::{OcspSettings, StapleOrder};
use mod_tls_core::revocation::published::{Staple, Verdict};
use mod_tls_core::revocation::questions::Subject;
use mod_tls_core::revocation::schedule::{refresh_at, retry_at};
use mod_tls_core::revocation::shared_table::Key;
use mod_tls_core::revocation::summary::StapleCounts;

use super::agenda::Task;
use super::http::{self, FetchError, Query};
use super::service::{Certificate, Service, State, host_of, random};
use super::statuses::verdict;

/// For how many certificates of stores responses are fetched. They are not forgotten before the configuration changes.
const MAX_ASKED: usize = 4096;

/// The longest response in bytes.
const MAX_RESPONSE: u64 = ocsp::MAX_RESPONSE as u64;

/// A certificate, and what there is for it.
#[derive(Clone, Debug)]
pub(super) struct StapleState {
    certificate: Arc<Certificate>,
    /// Whether clients refuse it without a response.
    is_required: bool,
    /// Whether it was looked for on disk.
    is_loaded: bool,
    /// Whether a child process has asked for it, and not the configuration.
    is_asked: bool,
    /// What its responder says; none if there was no answer yet.
    said: Option<Status>,
    /// Until when there is a response to be stapled.
    until: Option<i64>,
    failures: u32,
}

impl StapleState {
    /// Adds it to what it is at `now`.
    pub(super) fn count(&self, counts: &mut StapleCounts, now: i64) {
        *match (self.said, self.until) {
            (Some(Status::Revoked { .. }), _) => &mut counts.revoked,
            (Some(Status::Unknown), _) => &mut counts.unknown,
            (Some(Status::Good), Some(until)) if until > now => &mut counts.good,
            (Some(Status::Good), _) => &mut counts.stale,
            (None, _) => &mut counts.none,
        } += 1;
    }
}

impl Service {
    /// Has responses fetched for a certificate. Returns its key; none if nobody can be asked.
    pub(super) fn add_staple(
        &self,
        state: &mut State,
        order: &StapleOrder,
        issuer: Arc<[u8]>,
        settings: Arc<OcspSettings>,
    ) -> Option<Key> {
        let key = Staple::key_of(&order.certificate);
        if let Some(known) = state.staples.get_mut(&key)
            && *known.certificate.settings == *settings
        {
            known.is_asked = false;
            return Some(key);
        }
        match Certificate::new(&order.name, &order.certificate, issuer, settings) {
            Ok(certificate) => {
                self.begin_staple(state, key, certificate, order.is_required);
                Some(key)
            }
            Err(why) => {
                let text = format!("{}: no OCSP response is stapled: {why}", order.name);
                self.complaints.complain(Severity::Warning, &order.name, &why, text);
                None
            }
        }
    }

    /// A child process has a certificate of a store.
    pub(super) fn add_asked_staple(
        &self,
        state: &mut State,
        subject: &Subject,
        issuer: Arc<[u8]>,
        settings: Arc<OcspSettings>,
    ) {
        let key = Staple::key_of(&subject.certificate);
        if state.staples.contains_key(&key) || state.staples.values().filter(|one| one.is_asked).count() >= MAX_ASKED {
            return;
        }
        let name = ocsp::name_of(&subject.certificate);
        // Most certificates of stores name no responder, which is not worth a message.
        if let Ok(certificate) = Certificate::new(&name, &subject.certificate, issuer, settings) {
            self.begin_staple(state, key, certificate, false);
            if let Some(added) = state.staples.get_mut(&key) {
                added.is_asked = true;
            }
        }
    }

    fn begin_staple(&self, state: &mut State, key: Key, certificate: Certificate, is_required: bool) {
        self.agenda
            .set(Task::Staple(key), 0, &host_of(certificate.responder(0)));
        let begun = StapleState {
            certificate: Arc::new(certificate),
            is_required,
            is_loaded: false,
            is_asked: false,
            said: None,
            until: None,
            failures: 0,
        };
        state.staples.insert(key, begun);
    }

    /// Fetches a response, unless there is one on disk.
    pub(super) fn fetch_staple(&self, key: &Key) {
        let Some(mut staple) = lock(&self.state).staples.get(key).cloned() else {
            return;
        };
        let was_loaded = std::mem::replace(&mut staple.is_loaded, true);
        let kept = self
            .directory
            .as_ref()
            .filter(|_| !was_loaded)
            .and_then(|directory| directory.read(key));
        if let Some(fetched) = kept
            && let Ok(answer) = self.verify(&staple.certificate, &fetched.body, None)
        {
            let due = self.take_staple(key, &mut staple, fetched.body, &answer, fetched.at);
            return self.schedule_staple(key, staple, due);
        }
        let certificate = Arc::clone(&staple.certificate);
        let due = match self.ask_responder(&certificate, staple.failures) {
            Ok((response, answer)) => {
                let fetched = Fetched {
                    at: unix_now(),
                    etag: None,
                    last_modified: None,
                    body: response,
                };
                self.keep(key, &fetched);
                self.take_staple(key, &mut staple, fetched.body, &answer, fetched.at)
            }
            Err(error) => {
                if staple.said.is_none() {
                    self.publish(key, &Staple::missing(Verdict::Failed(error.why.clone())));
                }
                self.go_without_staple(&mut staple, &error.why)
            }
        };
        self.schedule_staple(key, staple, due);
    }

    fn schedule_staple(&self, key: &Key, staple: StapleState, due: i64) {
        let host = host_of(staple.certificate.responder(staple.failures));
        let state = &mut *lock(&self.state);
        // It may have been given up, or ordered with other settings.
        if let Some(known) = state.staples.get_mut(key)
            && Arc::ptr_eq(&known.certificate, &staple.certificate)
        {
            let is_asked = known.is_asked;
            *known = StapleState { is_asked, ..staple };
            self.agenda.set(Task::Staple(*key), due, &host);
        }
    }

    /// Makes use of a response that is in order. Returns when to fetch another one.
    fn take_staple(&self, key: &Key, staple: &mut StapleState, response: Vec<u8>, answer: &Answer, at: i64) -> i64 {
        let certificate = &staple.certificate;
        let (now, settings) = (unix_now(), &certificate.settings);
        staple.failures = 0;
        let due = refresh_at(answer.this_update, answer.next_update, at, settings.refresh, random()).max(now + 1);
        let until = answer.usable_until(settings.max_age);
        staple.said = Some(answer.status);
        match answer.status {
            Status::Good => {
                staple.until = Some(until);
                let verdict = verdict(answer);
                let published = Staple {
                    verdict,
                    until,
                    response,
                };
                self.publish(key, &published);
                if self.complaints.is_well(certificate.responder(0)) | self.complaints.is_well(&certificate.name) {
                    let text = format!("{}: there is an OCSP response again", certificate.name);
                    self.complaints.say(Severity::Notice, text);
                }
            }
            Status::Revoked { .. } | Status::Unknown => {
                staple.until = None;
                self.publish(key, &Staple::missing(verdict(answer)));
                let what = match answer.status {
                    Status::Unknown => "is not known to its OCSP responder",
                    _ => "has been revoked by its CA: replace it",
                };
                let text = format!("the certificate in {} {what}; nothing is stapled", certificate.name);
                self.complaints.complain(Severity::Error, &certificate.name, what, text);
            }
        }
        due
    }

    /// There is no response. Returns when to try again.
    fn go_without_staple(&self, staple: &mut StapleState, why: &str) -> i64 {
        let certificate = Arc::clone(&staple.certificate);
        let now = unix_now();
        staple.failures = staple.failures.saturating_add(1);
        let name = &certificate.name;
        let due = retry_at(staple.failures, staple.until, now, certificate.settings.retry, random());
        let left = staple.until.map_or(0, |until| until - now);
        let (severity, what, state) = match (left > 0, staple.is_required) {
            (true, _) => (
                Severity::Warning,
                "kept",
                format!("the one of before is good for {} more", span(left)),
            ),
            (false, false) => (Severity::Warning, "none", "nothing is stapled".to_owned()),
            (false, true) => (
                Severity::Error,
                "missing",
                "and clients refuse this certificate without one (it has the extension of RFC 7633)".to_owned(),
            ),
        };
        let text = format!(
            "{name}: no OCSP response: {why}; {state}; the next attempt is in {}",
            span(due - now)
        );
        // Thousands of certificates may have the same responder; those that clients refuse are named each.
        let about = match what {
            "missing" => name,
            _ => certificate.responder(0),
        };
        self.complaints
            .complain(severity, about, &format!("{what} {}", without_times(why)), text);
        due
    }

    /// Asks a responder about a certificate.
    pub(super) fn ask_responder(
        &self,
        certificate: &Certificate,
        failures: u32,
    ) -> Result<(Vec<u8>, Answer), FetchError> {
        let url = certificate.responder(failures);
        let failed = |why: String| FetchError {
            why: format!("{url}: {why}"),
            is_silence: false,
        };
        let settings = &certificate.settings;
        let nonce = settings.nonce.then(ocsp::new_nonce).transpose().map_err(failed)?;
        let request = ocsp::request(&certificate.id, nonce.as_ref().map(|nonce| nonce.as_slice()));
        // After a failure, what a cache on the way has is not wanted.
        let by_get = ocsp::get_url(url, &request).filter(|_| nonce.is_none() && failures.is_multiple_of(2));
        let answered = match by_get.map(|url| self.query(&url, None, settings)) {
            Some(Ok(response)) if ocsp::is_successful(&response) => Ok(response),
            // Who does not answer at all is not asked twice.
            Some(Err(error)) if error.is_silence => Err(error),
            // Responders need not know GET.
            _ => self.query(url, Some(&request), settings),
        };
        let response = answered.map_err(|error| FetchError {
            why: format!("{url}: {}", error.why),
            ..error
        })?;
        let answer = self.verify(certificate, &response, nonce.as_ref().map(|nonce| nonce.as_slice()));
        answer.map(|answer| (response, answer)).map_err(failed)
    }

    fn query(&self, url: &str, body: Option<&[u8]>, settings: &OcspSettings) -> Result<Vec<u8>, FetchError> {
        let query = Query {
            body: body.map(|der| ("application/ocsp-request", der)),
            accept: "application/ocsp-response",
            limit: MAX_RESPONSE,
            ..Query::default()
        };
        match self.client.fetch(url, &query, &settings.fetch)? {
            http::Answer::Document { body, .. } => Ok(body),
            http::Answer::Unchanged => Ok(Vec::new()),
        }
    }

    fn verify(&self, certificate: &Certificate, response: &[u8], nonce: Option<&[u8]>) -> Result<Answer, String> {
        let settings = &certificate.settings;
        let signers: Vec<&[u8]> = settings.signers.iter().map(|der| der.as_ref()).collect();
        let checks = Checks {
            issuer: &certificate.issuer,
            responders: &signers,
            nonce,
            skew: settings.skew.into(),
            max_age: settings.max_age,
            no_verify: settings.no_verify,
            now: unix_now(),
        };
        ocsp::verify(response, &certificate.id, &checks).map_err(|error| error.to_string())
    }

    /// Keeps what was fetched on disk.
    pub(super) fn keep(&self, key: &Key, fetched: &Fetched) {
        if let Some(directory) = &self.directory
            && let Err(error) = directory.write(key, fetched)
        {
            self.complain_of_disk(&error);
        }
    }
}

/// A reason without numbers, which differ each time.
pub(super) fn without_times(why: &str) -> String {
    why.chars().filter(|one| !one.is_ascii_digit()).collect()
}

/// A span of time for people.
pub(super) fn span(seconds: i64) -> String {
    match seconds {
        ..120 => format!("{} seconds", seconds.max(0)),
        120..7200 => format!("{} minutes", seconds / 60),
        7200..172_800 => format!("{} hours", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}
