// SPDX-License-Identifier: Apache-2.0
//! What there is to report. The fields are those of the JSON, which `docs/monitoring.md` describes.

use std::collections::BTreeMap;

use serde::Serialize;

use super::StatusRequest;
use super::revocation::{ClientChecks, Revocation};
use super::sites::{Sites, View};
use crate::base::clock::rfc3339;
use crate::base::log_codes::TABLE;
use crate::config::Config;
use crate::crypto::LIBRARY;
use crate::info::connection_info::INTERFACE;
use crate::key_process::parent::KeyProcess;
use crate::key_process::protocol;
use crate::process::counters::families::{
    self, ALERTS_RECEIVED, ALERTS_SENT, CLIENTS, DURATION_LIMITS, FAILURES, Family, GROUPS, SCHEMES, SUITES, VERSIONS,
};
use crate::process::counters::recent::{AlertDirection, RecentFailure};
use crate::process::counters::{Counter, Counters, Day, Needs};
use crate::settings::SessionCache;
use crate::settings::backend::BackendCheck;

/// Counts by name. Those that are 0 are in it, too.
pub(super) type Counts = Vec<(&'static str, u64)>;

/// Everything.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) version: &'static str,
    pub(super) library: &'static str,
    /// The time of the report, and when the configuration was read, in seconds since 1970.
    pub(super) time: i64,
    pub(super) configured: i64,
    /// Whether it is counted what happens: `TLSCounters`.
    pub(super) counting: bool,
    pub(super) handshakes: Handshakes,
    pub(super) failures: Failures,
    pub(super) what_if: WhatIf,
    pub(super) connections: Connections,
    pub(super) backends: Backends,
    pub(super) processes: Processes,
    pub(super) keys: Keys,
    pub(super) sessions: Sessions,
    pub(super) certificate_store: StoreCounts,
    pub(super) revocation_lists: Vec<RevocationList>,
    /// None if nothing is asked of other machines.
    pub(super) revocation: Option<Revocation>,
    pub(super) client_checks: ClientChecks,
    pub(super) sites: Sites,
}

#[derive(Debug, Serialize)]
pub(super) struct Handshakes {
    pub(super) full: u64,
    pub(super) resumed: u64,
    pub(super) failed: u64,
    pub(super) early_data: u64,
    pub(super) post_quantum: u64,
    pub(super) stale_staples: u64,
    #[serde(serialize_with = "as_map")]
    pub(super) versions: Counts,
    #[serde(serialize_with = "as_map")]
    pub(super) cipher_suites: Counts,
    #[serde(serialize_with = "as_map")]
    pub(super) groups: Counts,
    #[serde(serialize_with = "as_map")]
    pub(super) signature_schemes: Counts,
    #[serde(serialize_with = "as_map")]
    pub(super) client_certificates: Counts,
    pub(super) durations: Durations,
}

/// A histogram. The counts are not cumulative.
#[derive(Debug, Serialize)]
pub(super) struct Durations {
    pub(super) buckets: Vec<Bucket>,
    /// The number of those that took longer than the last bucket.
    pub(super) longer: u64,
    pub(super) sum_seconds: f64,
}

#[derive(Debug, Serialize)]
pub(super) struct Bucket {
    pub(super) at_most_seconds: f64,
    pub(super) count: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Failures {
    #[serde(serialize_with = "as_map")]
    pub(super) reasons: Counts,
    #[serde(serialize_with = "as_map")]
    pub(super) alerts_sent: Counts,
    #[serde(serialize_with = "as_map")]
    pub(super) alerts_received: Counts,
    pub(super) last: Vec<Failure>,
}

/// One of the last failures.
#[derive(Debug, Serialize)]
pub(super) struct Failure {
    pub(super) time: String,
    pub(super) client: String,
    pub(super) server_name: Option<String>,
    pub(super) host: String,
    /// `TLS1103`, and its name and what to do.
    pub(super) code: String,
    pub(super) name: &'static str,
    pub(super) mend: &'static str,
    /// What has happened.
    pub(super) reason: String,
    pub(super) ja4: Option<String>,
    pub(super) alert_sent: Option<String>,
    pub(super) alert_received: Option<String>,
}

/// Clients that only work because something is allowed.
#[derive(Debug, Serialize)]
pub(super) struct WhatIf {
    pub(super) since_start: Needed,
    pub(super) today: Needed,
    pub(super) yesterday: Needed,
}

#[derive(Debug, Serialize)]
pub(super) struct Needed {
    /// All handshakes of that time.
    pub(super) handshakes: u64,
    /// Those that would have failed without something.
    pub(super) without: Vec<Need>,
}

#[derive(Debug, Serialize)]
pub(super) struct Need {
    pub(super) kind: &'static str,
    pub(super) name: &'static str,
    pub(super) refused: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Connections {
    pub(super) failed: u64,
    pub(super) plain_http: u64,
    pub(super) internal_errors: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Backends {
    pub(super) handshakes: u64,
    pub(super) failed: u64,
    pub(super) places: Vec<BackendPlace>,
}

/// A place in the configuration with settings for backends.
#[derive(Debug, Serialize)]
pub(super) struct BackendPlace {
    pub(super) place: String,
    pub(super) verifies: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Processes {
    pub(super) generation: u64,
    pub(super) children: Vec<u32>,
    /// That of `tls-keyd` when the child process that answers was started.
    pub(super) key_process: Option<u32>,
}

/// The private keys.
#[derive(Debug, Serialize)]
pub(super) struct Keys {
    /// Which processes have them.
    pub(super) place: String,
    /// What `tls-keyd` says; none if there is none, or it does not answer.
    pub(super) key_process: Option<KeyProcessReport>,
    /// Why it does not answer.
    pub(super) problem: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct KeyProcessReport {
    pub(super) keys: u64,
    pub(super) signatures: u64,
    pub(super) refused: u64,
    pub(super) connections: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Sessions {
    pub(super) cache: String,
    /// Sessions that the cache has stored, and those that it has not stored.
    pub(super) stored: u64,
    pub(super) not_stored: u64,
    /// Sessions that were asked for and were in it, and those that were not.
    pub(super) found: u64,
    pub(super) not_found: u64,
    /// The age of the current key of each set of ticket keys.
    pub(super) ticket_key_ages_seconds: Vec<i64>,
}

/// What happened with names that are looked up: `TLSCertificateStore`.
#[derive(Debug, Serialize)]
pub(super) struct StoreCounts {
    /// Handshakes with a certificate in the cache.
    pub(super) from_cache: u64,
    /// Certificates that were read.
    pub(super) loaded: u64,
    /// Names for which there is nothing.
    pub(super) not_found: u64,
    /// Certificates that cannot be used.
    pub(super) failed: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct RevocationList {
    pub(super) file: String,
    pub(super) entries: usize,
    /// In seconds since 1970.
    pub(super) this_update: i64,
    pub(super) next_update: i64,
    pub(super) expired: bool,
}

/// As a JSON object.
fn as_map<S: serde::Serializer>(counts: &Counts, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(counts.iter().copied())
}

fn counts(counters: &Counters, family: &'static Family) -> Counts {
    counters.of_family(family).collect()
}

impl Report {
    pub(super) fn new(config: &Config, request: &StatusRequest<'_>, view: &View) -> Self {
        let (counters, now) = (config.counters(), request.now);
        let count = |counter| counters.total(counter);
        let of = |family| counts(counters, family);
        let revocation = Revocation::new(config, now);
        let lists = revocation.as_ref().map(|said| said.lists.as_slice());
        let sites = Sites::new(config, view, lists.unwrap_or_default(), now);
        let [key_process, ..] = config.process.processes().map(|pid| (pid > 0).then_some(pid));
        Self {
            version: INTERFACE,
            library: LIBRARY,
            time: now,
            configured: request.configured,
            counting: !config.monitoring.is_not_counting,
            handshakes: Handshakes {
                full: count(Counter::FullHandshakes),
                resumed: count(Counter::ResumedHandshakes),
                failed: count(Counter::FailedHandshakes),
                early_data: count(Counter::EarlyDataHandshakes),
                post_quantum: count(Counter::PostQuantumHandshakes),
                stale_staples: count(Counter::StaleStaples),
                versions: of(&VERSIONS),
                cipher_suites: of(&SUITES),
                groups: of(&GROUPS),
                signature_schemes: of(&SCHEMES),
                client_certificates: of(&CLIENTS),
                durations: Durations::new(counters),
            },
            failures: Failures {
                reasons: of(&FAILURES),
                alerts_sent: of(&ALERTS_SENT),
                alerts_received: of(&ALERTS_RECEIVED),
                last: last_failures(counters),
            },
            what_if: WhatIf {
                since_start: Needed::new(counters.needs()),
                today: Needed::new(counters.needs_of(Day::Today, now)),
                yesterday: Needed::new(counters.needs_of(Day::Yesterday, now)),
            },
            connections: Connections {
                failed: count(Counter::FailedConnections),
                plain_http: count(Counter::PlainHttp),
                internal_errors: count(Counter::InternalErrors),
            },
            backends: Backends {
                handshakes: count(Counter::BackendHandshakes),
                failed: count(Counter::FailedBackends),
                places: backend_places(config),
            },
            processes: Processes {
                generation: request.generation,
                children: request.children.clone(),
                key_process,
            },
            keys: Keys::new(config),
            sessions: Sessions {
                cache: cache(config.session_cache().0),
                stored: count(Counter::SessionsStored),
                not_stored: count(Counter::SessionsNotStored),
                found: count(Counter::SessionsFound),
                not_found: count(Counter::SessionsNotFound),
                ticket_key_ages_seconds: config.ticket_keys.iter().map(|keys| keys.age(now)).collect(),
            },
            certificate_store: StoreCounts {
                from_cache: count(Counter::StoreHits),
                loaded: count(Counter::StoreLoads),
                not_found: count(Counter::StoreAbsent),
                failed: count(Counter::StoreFailures),
            },
            revocation_lists: revocation_lists(config, now),
            revocation,
            client_checks: ClientChecks::new(counters),
            sites,
        }
    }

    /// The report as JSON.
    pub(super) fn json(&self) -> String {
        // Maps have texts as keys, so nothing in it can fail.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

impl Durations {
    fn new(counters: &Counters) -> Self {
        let (mut counts, sum) = counters.durations();
        let longer = counts.pop().unwrap_or_default();
        let buckets = DURATION_LIMITS.iter().zip(counts).map(|(limit, count)| Bucket {
            at_most_seconds: seconds(*limit),
            count,
        });
        Self {
            buckets: buckets.collect(),
            longer,
            sum_seconds: seconds(sum),
        }
    }
}

fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

impl Needed {
    fn new((handshakes, needs): (u64, Vec<u64>)) -> Self {
        let without = Needs::labels()
            .zip(needs)
            .map(|((kind, name), refused)| Need { kind, name, refused });
        Self {
            handshakes,
            without: without.collect(),
        }
    }
}

fn last_failures(counters: &Counters) -> Vec<Failure> {
    let list = counters.recent().map(|recent| recent.list()).unwrap_or_default();
    list.into_iter().map(Failure::new).collect()
}

impl Failure {
    fn new(failure: RecentFailure) -> Self {
        let entry = TABLE.iter().find(|entry| entry.code as u16 == failure.code);
        let alert = |wanted| {
            let (_, alert) = failure.alert.filter(|(direction, _)| *direction == wanted)?;
            Some(families::alert_name(alert.into()).map_or_else(|| alert.to_string(), str::to_owned))
        };
        Self {
            time: rfc3339(failure.time.saturating_mul(1_000_000)),
            code: format!("TLS{:04}", failure.code),
            name: entry.map_or("other", |entry| entry.name),
            mend: entry.map_or("", |entry| entry.mend),
            alert_sent: alert(AlertDirection::Sent),
            alert_received: alert(AlertDirection::Received),
            client: failure.client,
            server_name: failure.sni,
            host: failure.host,
            reason: failure.reason,
            ja4: failure.ja4,
        }
    }
}

fn backend_places(config: &Config) -> Vec<BackendPlace> {
    let settings = config
        .proxy_chains
        .iter()
        .map(|(_, chain)| config.proxies.settings(chain));
    settings
        .filter(|settings| settings.is_on())
        .map(|settings| BackendPlace {
            place: settings.place.as_ref().map(ToString::to_string).unwrap_or_default(),
            verifies: settings.check() != BackendCheck::None,
        })
        .collect()
}

impl Keys {
    fn new(config: &Config) -> Self {
        let door = config.process.key_process.get().and_then(KeyProcess::door);
        let report = door.map(|door| door.report());
        Self {
            place: config.key_place.clone(),
            problem: report
                .as_ref()
                .and_then(|report| Some(report.as_ref().err()?.to_string())),
            key_process: report
                .and_then(Result::ok)
                .map(|report: protocol::Report| KeyProcessReport {
                    keys: report.keys,
                    signatures: report.signatures,
                    refused: report.refused,
                    connections: report.connections,
                }),
        }
    }
}

fn cache(cache: &SessionCache) -> String {
    match cache {
        SessionCache::None => "none".to_owned(),
        SessionCache::Default => "default".to_owned(),
        // The arguments may be the address of another machine; the name says enough.
        SessionCache::Provider(name, _) => name.clone(),
    }
}

/// The lists of all hosts. Hosts may share them.
fn revocation_lists(config: &Config, now: i64) -> Vec<RevocationList> {
    let lists = config.revocation_lists.iter().flat_map(|lists| lists.describe(now));
    let lists: BTreeMap<_, _> = lists
        .map(|(file, entries, this_update, next_update)| ((file, next_update), (this_update, entries)))
        .collect();
    lists
        .into_iter()
        .map(|((file, next_update), (this_update, entries))| RevocationList {
            file: file.display().to_string(),
            entries,
            this_update,
            next_update,
            expired: next_update < now,
        })
        .collect()
}
