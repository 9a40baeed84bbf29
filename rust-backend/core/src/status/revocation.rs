// SPDX-License-Identifier: Apache-2.0
//! Revocation by what other machines say: OCSP responses, lists that are fetched, and the process that fetches them.

use serde::Serialize;

use crate::config::Config;
use crate::keys::identity::Identity;
use crate::process::counters::{Counter, Counters};
use crate::revocation::published::{Staple, Verdict};
use crate::revocation::summary::{ListFacts, StapleCounts};
use crate::site::Site;
use crate::x509::ocsp;

/// The process says how it is every ten seconds. After so many seconds without it, it does not work.
const SILENCE: i64 = 45;

/// What the process that talks to other machines says.
#[derive(Debug, Default, Serialize)]
pub(super) struct Revocation {
    /// Its process number; none if it does not answer.
    pub(super) process: Option<u32>,
    /// When it has said this, in seconds since 1970.
    pub(super) time: Option<i64>,
    /// The certificates of sites for which responses are fetched.
    pub(super) staples: StapleCounts,
    pub(super) lists: Vec<FetchedList>,
}

/// Whether something is of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Good,
    Revoked,
    /// The responder does not know the certificate.
    Unknown,
    /// Its time is over.
    Stale,
    /// There is none.
    None,
}

impl State {
    /// Its name in JSON and metrics.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Revoked => "revoked",
            Self::Unknown => "unknown",
            Self::Stale => "stale",
            Self::None => "none",
        }
    }
}

/// A revocation list that is fetched.
#[derive(Debug, Serialize)]
pub(super) struct FetchedList {
    pub(super) url: String,
    /// Whether the configuration or a CA of it names it, and not only the certificate of a client.
    pub(super) configured: bool,
    pub(super) state: State,
    pub(super) entries: Option<u64>,
    /// In seconds since 1970.
    pub(super) this_update: Option<i64>,
    pub(super) next_update: Option<i64>,
    /// Why the last attempt to fetch it has failed.
    pub(super) problem: Option<String>,
}

/// What has become of OCSP checks of clients' certificates.
#[derive(Debug, Serialize)]
pub(super) struct ClientChecks {
    pub(super) good: u64,
    pub(super) revoked: u64,
    pub(super) unknown: u64,
    /// There was no answer that can be used, or none in time.
    pub(super) no_answer: u64,
    /// There was nobody to ask.
    pub(super) no_responder: u64,
    /// How many answers were known already, and how many had to be asked for.
    pub(super) cached: u64,
    pub(super) asked: u64,
}

/// The OCSP response that is fetched for a certificate.
#[derive(Debug, Serialize)]
pub(super) struct FetchedStaple {
    pub(super) state: State,
    /// In seconds since 1970.
    pub(super) this_update: Option<i64>,
    pub(super) next_update: Option<i64>,
    /// Until when it is stapled.
    pub(super) usable_until: Option<i64>,
    /// Why there is none.
    pub(super) problem: Option<String>,
}

/// The revocation lists for the clients of a host.
#[derive(Debug, Default, Serialize)]
pub(super) struct SiteLists {
    /// How many the configuration names.
    pub(super) lists: usize,
    /// How many of them have expired, or are not there.
    pub(super) stale: usize,
    pub(super) missing: usize,
    /// Whether those are fetched that certificates name.
    pub(super) fetched: bool,
    /// The first thisUpdate and nextUpdate times, in seconds since 1970.
    pub(super) this_update: Option<i64>,
    pub(super) next_update: Option<i64>,
}

impl Revocation {
    pub(super) fn new(config: &Config, now: i64) -> Option<Self> {
        let summary = config.revocation_summary()?;
        Some(summary.map_or_else(Self::default, |said| Self {
            process: (now - said.at < SILENCE).then_some(said.pid),
            time: Some(said.at),
            staples: said.staples,
            lists: said.lists.into_iter().map(|list| FetchedList::new(list, now)).collect(),
        }))
    }

    /// The number of certificates by state.
    pub(super) fn staples(&self) -> [(&'static str, u64); 5] {
        let counts = &self.staples;
        [
            (State::Good.name(), counts.good),
            (State::Revoked.name(), counts.revoked),
            (State::Unknown.name(), counts.unknown),
            (State::Stale.name(), counts.stale),
            (State::None.name(), counts.none),
        ]
    }

    /// The number of lists by state.
    pub(super) fn lists(&self) -> [(&'static str, u64); 3] {
        [State::Good, State::Stale, State::None].map(|state| {
            let count = self.lists.iter().filter(|list| list.state == state).count();
            (state.name(), count as u64)
        })
    }
}

impl FetchedList {
    fn new(facts: ListFacts, now: i64) -> Self {
        Self {
            url: facts.url,
            configured: facts.is_configured,
            state: match facts.current {
                None => State::None,
                Some(times) if times.next_update < now => State::Stale,
                Some(_) => State::Good,
            },
            entries: facts.current.map(|times| times.entries),
            this_update: facts.current.map(|times| times.this_update),
            next_update: facts.current.map(|times| times.next_update),
            problem: facts.problem,
        }
    }
}

impl ClientChecks {
    pub(super) fn new(counters: &Counters) -> Self {
        let count = |counter| counters.total(counter);
        let [good, revoked, unknown, no_answer] = [
            Counter::ClientsGood,
            Counter::ClientsRevoked,
            Counter::ClientsUnknown,
            Counter::ClientsWithoutAnswer,
        ]
        .map(count);
        let asked = count(Counter::ClientsAsked);
        Self {
            good,
            revoked,
            unknown,
            no_answer,
            no_responder: count(Counter::ClientsWithoutResponder),
            // What was asked for is looked up once more.
            cached: (good + revoked + unknown + no_answer).saturating_sub(asked),
            asked,
        }
    }

    /// By result.
    pub(super) fn results(&self) -> [(&'static str, u64); 5] {
        [
            ("good", self.good),
            ("revoked", self.revoked),
            ("unknown", self.unknown),
            ("no_answer", self.no_answer),
            ("no_responder", self.no_responder),
        ]
    }
}

impl FetchedStaple {
    /// None if no responses are fetched for the certificate.
    pub(super) fn new(config: &Config, site: &Site, identity: &Identity, now: i64) -> Option<Self> {
        let staple = config.staple_of(site, identity)?;
        let usable_until = staple.as_ref().map(|staple| staple.until).filter(|until| *until > 0);
        let times = staple.as_ref().and_then(|staple| ocsp::validity(&staple.response));
        let (state, problem) = match staple {
            None => (State::None, Some("it was not fetched yet".to_owned())),
            Some(staple) if staple.is_usable(now) => (State::Good, None),
            Some(Staple { verdict, .. }) => match verdict {
                Verdict::Good => (State::Stale, None),
                Verdict::Revoked { .. } => (State::Revoked, None),
                Verdict::Unknown => (State::Unknown, None),
                Verdict::Failed(why) => (State::None, Some(why)),
            },
        };
        Some(Self {
            state,
            this_update: times.map(|(this_update, _)| this_update),
            next_update: times.map(|(_, next_update)| next_update),
            usable_until,
            problem,
        })
    }
}

impl SiteLists {
    /// None if no lists are configured for the clients of `site`.
    pub(super) fn new(site: &Site, fetched: &[FetchedList], now: i64) -> Option<Self> {
        let auth = site.profile().client_auth()?;
        let mut all = Self {
            fetched: auth.policy.fetched.is_some(),
            ..Self::default()
        };
        if auth.policy.lists.is_none() && !all.fetched {
            return None;
        }
        for (_, _, this_update, next_update) in auth.policy.lists.iter().flat_map(|lists| lists.describe(now)) {
            all.add(Some((this_update, next_update)), now);
        }
        for url in &auth.spec.fetch.urls {
            let found = fetched.iter().find(|list| list.url == *url);
            all.add(found.and_then(|list| list.this_update.zip(list.next_update)), now);
        }
        Some(all)
    }

    fn add(&mut self, times: Option<(i64, i64)>, now: i64) {
        self.lists += 1;
        let Some((this_update, next_update)) = times else {
            self.missing += 1;
            return;
        };
        self.stale += usize::from(next_update < now);
        self.this_update = Some(self.this_update.map_or(this_update, |first| first.min(this_update)));
        self.next_update = Some(self.next_update.map_or(next_update, |first| first.min(next_update)));
    }
}
