// SPDX-License-Identifier: Apache-2.0
//! The status of certificates of clients, for which child processes ask in a handshake.

use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use mod_tls_core::base::clock::unix_now;
use mod_tls_core::base::lock::lock;
use mod_tls_core::revocation::ocsp::{self, Answer, Status as Said};
use mod_tls_core::revocation::orders::OcspSettings;
use mod_tls_core::revocation::process::MAX_OTHERS;
use mod_tls_core::revocation::published::{Status, Verdict};
use mod_tls_core::revocation::questions::Subject;
use mod_tls_core::revocation::shared_table::Key;

use super::agenda::Task;
use super::http::FetchError;
use super::service::{Certificate, Service, State, host_of};

/// For how many certificates of clients answers are kept: those that were asked for last.
pub(super) const MAX_STATUSES: NonZeroUsize = NonZeroUsize::new(MAX_OTHERS / 2).expect("it is not 0");

/// How many processes may wait for one answer, or for all that are under way.
const MAX_WAITING: usize = 1024;

/// How long an answer holds that does not say so itself, and how long one that cannot be used, in seconds.
const UNKNOWN_LIFE: i64 = 60;
const FAILURE_LIFE: i64 = 5;

/// A certificate, and who waits for what is said about it.
#[derive(Debug)]
pub(super) struct StatusState {
    certificate: Arc<Certificate>,
    /// Sockets that are closed when there is an answer.
    waiting: Vec<OwnedFd>,
    /// Since when it is to be asked, in seconds since 1970; none if it is not.
    since: Option<i64>,
    /// Until when the answer holds.
    until: i64,
}

impl Service {
    /// Has a responder asked about the certificate of a client. `waiting` is closed when there is an answer.
    pub(super) fn add_status(
        &self,
        state: &mut State,
        subject: &Subject,
        issuer: Arc<[u8]>,
        settings: Arc<OcspSettings>,
        waiting: Option<OwnedFd>,
    ) {
        let now = unix_now();
        let key = Status::key_for(&settings.digest(), &subject.certificate, &issuer);
        if let Some(known) = state.statuses.get_mut(&key) {
            // If somebody has asked at the same time, there is an answer by now.
            if known.since.is_some() {
                known.waiting.extend(waiting);
                return;
            }
            if now < known.until {
                return;
            }
        }
        let under_way = state
            .statuses
            .iter()
            .map(|(_, status)| status.waiting.len())
            .sum::<usize>();
        let name = ocsp::name_of(&subject.certificate);
        let certificate = match Certificate::new(&name, &subject.certificate, issuer, settings) {
            Ok(_) if under_way >= MAX_WAITING => Err("too many answers of OCSP responders are waited for".to_owned()),
            other => other,
        };
        let certificate = match certificate {
            Ok(certificate) => Arc::new(certificate),
            Err(why) => return self.publish(&key, &failed(why, now)),
        };
        self.agenda
            .set(Task::Status(key), 0, &host_of(certificate.responder(0)));
        let begun = StatusState {
            certificate,
            waiting: waiting.into_iter().collect(),
            since: Some(now),
            until: 0,
        };
        if let Some((gone, _)) = state.statuses.push(key, begun).filter(|(gone, _)| *gone != key) {
            self.agenda.remove(Task::Status(gone));
            self.unpublish(&gone);
        }
    }

    /// Asks the responders, one after the other, and publishes what they say.
    pub(super) fn find_status(&self, key: &Key) {
        let (certificate, since) = match lock(&self.state).statuses.peek(key) {
            Some(status) => (Arc::clone(&status.certificate), status.since),
            None => return,
        };
        let now = unix_now();
        let limit = i64::from(certificate.settings.fetch.timeout);
        let status = match since {
            // The handshake waits no longer.
            Some(since) if now - since >= limit => {
                let url = certificate.responder(0);
                failed(
                    format!("{url}: it has not answered other questions within {limit} seconds"),
                    now,
                )
            }
            _ => self.status_of(&certificate, now + limit),
        };
        self.publish(key, &status);
        if let Some(known) = lock(&self.state).statuses.peek_mut(key) {
            known.until = status.until;
            known.since = None;
            // This closes them.
            known.waiting.clear();
        }
    }

    fn status_of(&self, certificate: &Certificate, deadline: i64) -> Status {
        let mut outcome = Err(FetchError::default());
        for attempt in 0..certificate.responders.len() as u32 {
            outcome = self.ask_responder(certificate, attempt);
            if outcome.is_ok() || unix_now() >= deadline {
                break;
            }
        }
        match outcome {
            Ok((_, answer)) => Status {
                verdict: verdict(&answer),
                until: answer.next_update.map_or(unix_now() + UNKNOWN_LIFE, |_| {
                    answer.usable_until(certificate.settings.max_age)
                }),
            },
            Err(error) => failed(error.why, unix_now()),
        }
    }
}

/// What a responder says.
pub(super) fn verdict(answer: &Answer) -> Verdict {
    match answer.status {
        Said::Good => Verdict::Good,
        Said::Revoked { at, .. } => Verdict::Revoked { at },
        Said::Unknown => Verdict::Unknown,
    }
}

fn failed(why: String, now: i64) -> Status {
    Status {
        verdict: Verdict::Failed(why),
        until: now + FAILURE_LIFE,
    }
}
