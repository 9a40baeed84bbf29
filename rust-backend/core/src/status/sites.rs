// SPDX-License-Identifier: Apache-2.0
//! The hosts of a report. There may be many thousands: only the certificates of those that are shown are parsed.

use std::cmp::Reverse;
use std::net::IpAddr;

use serde::Serialize;

use super::StatusRequest;
use super::revocation::{FetchedList, FetchedStaple, SiteLists};
use crate::config::Config;
use crate::keys::identity::Identity;
use crate::process::counters::{SiteCounts, SiteKey};
use crate::site::Site;
use crate::x509::{Certificate, Context};

/// The hosts on a page, if the request does not say.
const PER_PAGE: usize = 50;

/// The most that a request can ask for.
const MAX_PER_PAGE: usize = 1000;

/// By what hosts are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    Name,
    DaysLeft,
    Handshakes,
    Failures,
}

impl Order {
    pub(super) const ALL: [Self; 4] = [Self::Name, Self::DaysLeft, Self::Handshakes, Self::Failures];

    /// Its name in URLs.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::DaysLeft => "days_left",
            Self::Handshakes => "handshakes",
            Self::Failures => "failures",
        }
    }
}

/// Which hosts are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    /// A part of the name, of a name in a certificate, or of the path of a certificate, in lower case.
    pub(super) filter: String,
    pub(super) order: Order,
    pub(super) descending: bool,
    /// The number of the page, from 1.
    pub(super) page: usize,
    pub(super) per_page: usize,
}

impl View {
    pub(super) fn new(request: &StatusRequest<'_>) -> Self {
        let number = |name: &str| request.parameter(name).and_then(|value| value.parse::<usize>().ok());
        let order = request.parameter("sort").unwrap_or_default();
        Self {
            filter: request.parameter("filter").unwrap_or_default().trim().to_lowercase(),
            order: Order::ALL
                .into_iter()
                .find(|known| known.name() == order)
                .unwrap_or(Order::DaysLeft),
            descending: request.parameter("order").as_deref() == Some("descending"),
            page: number("page").unwrap_or(1).max(1),
            per_page: number("per_page").unwrap_or(PER_PAGE).clamp(1, MAX_PER_PAGE),
        }
    }

    /// No hosts.
    pub(super) fn nothing() -> Self {
        Self {
            filter: String::new(),
            order: Order::Name,
            descending: false,
            page: 1,
            per_page: 0,
        }
    }

    fn shows(&self, site: &Site) -> bool {
        let has = |text: &str| text.to_lowercase().contains(&self.filter);
        self.filter.is_empty()
            || has(&site.name)
            || site
                .identities()
                .any(|identity| has(&identity.source().to_string_lossy()) || self.selects_name_in(&identity))
    }

    /// Whether the certificate has such a name. Only those are parsed whose DER contains the text or the octets of the
    /// address.
    fn selects_name_in(&self, identity: &Identity) -> bool {
        let leaf = identity.leaf();
        let contains = |what: &[u8]| leaf.windows(what.len()).any(|part| part.eq_ignore_ascii_case(what));
        let may_have = match self.filter.parse() {
            Ok(IpAddr::V4(address)) => contains(&address.octets()),
            Ok(IpAddr::V6(address)) => contains(&address.octets()),
            Err(_) => contains(self.filter.as_bytes()),
        };
        may_have
            && Certificate::parse(&leaf).is_ok_and(|certificate| {
                certificate
                    .names()
                    .iter()
                    .any(|name| name.to_lowercase().contains(&self.filter))
            })
    }
}

/// All hosts, and those that are shown.
#[derive(Debug, Serialize)]
pub(super) struct Sites {
    /// The number of hosts.
    pub(super) total: usize,
    /// The number of hosts without a certificate of their own.
    pub(super) without_certificate: usize,
    /// The end of the first certificate that expires, in seconds since 1970.
    pub(super) first_expiry: Option<i64>,
    /// How many hosts have a certificate that has expired, or expires within so many days.
    pub(super) expiring: Vec<Expiring>,
    /// The number of hosts that the filter selects.
    pub(super) matching: usize,
    pub(super) page: usize,
    pub(super) pages: usize,
    pub(super) sort: Order,
    pub(super) descending: bool,
    pub(super) filter: String,
    pub(super) list: Vec<SiteReport>,
}

/// How many hosts have a certificate that expires within some days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Expiring {
    /// The number of days; 0 for certificates that have expired.
    pub(super) within_days: i64,
    pub(super) sites: usize,
}

/// A host.
#[derive(Debug, Serialize)]
pub(super) struct SiteReport {
    pub(super) name: String,
    /// Whether there is no certificate: requests are answered with 503.
    pub(super) unavailable: bool,
    pub(super) days_left: Option<i64>,
    pub(super) certificates: Vec<CertificateReport>,
    /// Where certificates are looked up by name.
    pub(super) store: Option<String>,
    /// The OCSP response of the last handshake that had one.
    pub(super) staple: Option<StapleReport>,
    /// The revocation lists for its clients.
    pub(super) revocation_lists: Option<SiteLists>,
    pub(super) handshakes: SiteCounts,
}

/// A stapled OCSP response.
#[derive(Debug, Serialize)]
pub(super) struct StapleReport {
    /// In seconds since 1970.
    pub(super) this_update: i64,
    pub(super) next_update: i64,
    pub(super) stale: bool,
}

/// A certificate of a host.
#[derive(Debug, Serialize)]
pub(super) struct CertificateReport {
    pub(super) file: String,
    pub(super) names: Vec<String>,
    pub(super) issuer: String,
    pub(super) key: String,
    /// The process that has the private key: `tls-keyd` or `httpd`.
    pub(super) key_in: &'static str,
    /// In seconds since 1970.
    pub(super) not_before: i64,
    pub(super) not_after: i64,
    pub(super) days_left: i64,
    /// The OCSP response that is fetched for it.
    pub(super) staple: Option<FetchedStaple>,
}

const DAY: i64 = 24 * 60 * 60;

/// The days that are counted as soon to end: those of the warnings in the error log.
const SOON: [i64; 5] = [0, 1, 7, 14, 30];

/// The whole days from `now` to `end`; negative afterwards.
pub(super) fn days_left(end: i64, now: i64) -> i64 {
    (end - now).div_euclid(DAY)
}

/// The end of the certificate of a host that expires first. None if it has no certificate of its own.
pub(super) fn first_end(site: &Site) -> Option<i64> {
    let ends = site.identities().map(|identity| identity.validity().1);
    ends.min().filter(|_| !site.unavailable)
}

/// The thisUpdate and nextUpdate times of a stapled OCSP response.
type Staple = Option<(i64, i64)>;

/// A host, its first expiry, what was counted for it, and its staple.
pub(super) type Row<'a> = (&'a Site, Option<i64>, SiteCounts, Staple);

/// The hosts of the configuration. Those that cannot be reached by TLS are left out, and the base server if it has no
/// certificate: only connections to addresses without a virtual host reach it.
pub(super) fn rows(config: &Config) -> impl Iterator<Item = Row<'_>> {
    let counters = config.counters();
    let sites = config
        .sites
        .iter()
        .enumerate()
        .filter_map(|(index, site)| Some((index, site.as_ref()?)));
    sites
        .filter(|(index, site)| *index > 0 || !site.unavailable)
        .map(|(_, site)| {
            let key = SiteKey::of(&site.name);
            (site, first_end(site), counters.of_site(key), counters.staple_of(key))
        })
}

impl Sites {
    pub(super) fn new(config: &Config, view: &View, fetched: &[FetchedList], now: i64) -> Self {
        let mut total = 0;
        let mut without_certificate = 0;
        let mut first_expiry: Option<i64> = None;
        let mut expiring = SOON.map(|within_days| Expiring { within_days, sites: 0 });
        let mut found: Vec<Row<'_>> = Vec::new();
        for row in rows(config) {
            let (site, end, ..) = row;
            total += 1;
            without_certificate += usize::from(site.unavailable);
            if let Some(end) = end {
                first_expiry = Some(first_expiry.map_or(end, |first| first.min(end)));
                for one in expiring.iter_mut().filter(|one| end < now + one.within_days * DAY) {
                    one.sites += 1;
                }
            }
            if view.per_page > 0 && view.shows(site) {
                found.push(row);
            }
        }
        sort(&mut found, view);
        let pages = found.len().div_ceil(view.per_page.max(1)).max(1);
        let page = view.page.min(pages);
        let shown = found.iter().skip((page - 1) * view.per_page).take(view.per_page);
        Self {
            total,
            without_certificate,
            first_expiry,
            expiring: expiring.into(),
            matching: found.len(),
            page,
            pages,
            sort: view.order,
            descending: view.descending,
            filter: view.filter.clone(),
            list: shown.map(|row| SiteReport::new(config, row, fetched, now)).collect(),
        }
    }
}

/// Sorts hosts; those with equal values by name.
fn sort(rows: &mut [Row<'_>], view: &View) {
    let name = |row: &Row<'_>| row.0.name.clone();
    match view.order {
        Order::Name => rows.sort_by(|one, other| one.0.name.cmp(&other.0.name)),
        // Hosts without a certificate need attention first, and those whose certificates are looked up last.
        Order::DaysLeft => rows.sort_by_cached_key(|row| {
            let otherwise = if row.0.unavailable { i64::MIN } else { i64::MAX };
            (row.1.unwrap_or(otherwise), name(row))
        }),
        // The most first.
        Order::Handshakes => rows.sort_by_cached_key(|row| (Reverse(row.2.full + row.2.resumed), name(row))),
        Order::Failures => rows.sort_by_cached_key(|row| (Reverse(row.2.failed), name(row))),
    }
    if view.descending {
        rows.reverse();
    }
}

impl SiteReport {
    fn new(config: &Config, (site, end, counts, staple): &Row<'_>, fetched: &[FetchedList], now: i64) -> Self {
        let store = site.store().and_then(|number| config.stores.get(number));
        let shown = site.identities().filter(|_| !site.unavailable);
        Self {
            name: site.name.to_string(),
            unavailable: site.unavailable,
            days_left: end.map(|end| days_left(end, now)),
            certificates: shown
                .map(|identity| CertificateReport {
                    staple: FetchedStaple::new(config, site, &identity, now),
                    ..CertificateReport::new(&identity, now)
                })
                .collect(),
            store: store.map(|store| store.source.to_string()),
            handshakes: *counts,
            staple: staple.map(|(this_update, next_update)| StapleReport {
                this_update,
                next_update,
                stale: next_update < now,
            }),
            revocation_lists: SiteLists::new(site, fetched, now),
        }
    }
}

impl CertificateReport {
    fn new(identity: &Identity, now: i64) -> Self {
        let leaf = identity.leaf();
        let parsed = Certificate::parse(&leaf).ok();
        let (not_before, not_after) = identity.validity();
        Self {
            file: identity.name().to_string(),
            names: parsed.as_ref().map(Certificate::names).unwrap_or_default(),
            issuer: parsed
                .as_ref()
                .and_then(|certificate| certificate.variable("I_DN", &Context::at(now)))
                .unwrap_or_default(),
            key: parsed.as_ref().map(Certificate::key_type).unwrap_or_default(),
            key_in: if identity.is_remote() { "tls-keyd" } else { "httpd" },
            not_before,
            not_after,
            days_left: days_left(not_after, now),
            staple: None,
        }
    }
}
