// SPDX-License-Identifier: Apache-2.0
//! What other machines say about a certificate: OCSP responders, and revocation lists that were fetched. Nothing here waits: what is
//! not known yet is a question, which somebody else asks.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::crl::{self, Crl};
use super::path::Role;
use super::refusal::Reason;
use super::revocation::{Depth, Subject};
use crate::base::lock::lock;
use crate::crypto::verification_algorithms;
use crate::revocation::orders::{FetchSettings, OcspSettings};
use crate::revocation::process::Link;
use crate::revocation::published::{List, Published, Status, Verdict};
use crate::revocation::questions::{self, Question};
use crate::x509::Certificate;

/// How much longer than another machine the process may take that asks it.
const SLACK: Duration = Duration::from_millis(500);

/// What is known about a certificate.
#[derive(Debug)]
pub(super) enum Known {
    /// It is not revoked.
    Good,
    /// It is not to be accepted.
    Bad(Reason, String),
    /// This has to be asked first.
    Ask(Question),
}

/// Whether certificates of clients are checked by OCSP: `TLSClientOCSP`.
///
/// # Examples
///
/// ```
/// use mod_tls_core::trust::revocation::Depth;
/// use mod_tls_core::trust::status::OcspCheck;
///
/// let check = OcspCheck::parse(&["leaf", "soft-fail"]).unwrap();
/// assert_eq!((check.depth, check.soft_fail), (Some(Depth::Leaf), true));
/// assert!(OcspCheck::parse(&["maybe"]).is_err());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct OcspCheck {
    /// Which certificates of a path; none if there is no check.
    pub depth: Option<Depth>,
    /// Whether a certificate is accepted about which there is no answer.
    pub soft_fail: bool,
    /// Whether a certificate is accepted that names no responder, if none is configured.
    pub missing_ok: bool,
}

impl OcspCheck {
    /// Parses the arguments.
    pub fn parse(words: &[&str]) -> Result<Self, String> {
        let (first, flags) = words.split_first().ok_or("takes off, leaf or chain")?;
        let mut check = Self {
            depth: match first.to_ascii_lowercase().as_str() {
                "off" => None,
                "leaf" => Some(Depth::Leaf),
                "chain" | "on" => Some(Depth::Chain),
                _ => return Err(format!("takes off, leaf or chain, not \"{first}\"")),
            },
            ..Self::default()
        };
        for flag in flags {
            match flag.to_ascii_lowercase().as_str() {
                "soft-fail" => check.soft_fail = true,
                "no_ocsp_for_cert_ok" => check.missing_ok = true,
                _ => {
                    return Err(format!(
                        "knows the flags soft-fail and no_ocsp_for_cert_ok, not \"{flag}\""
                    ));
                }
            }
        }
        Ok(check)
    }
}

/// The settings of an OCSP check. Hosts with equal settings share a verifier.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OcspSpec {
    /// Which certificates are checked, and what is accepted.
    pub check: OcspCheck,
    /// How responders are asked.
    pub settings: OcspSettings,
    /// The number of these settings in questions.
    pub number: u32,
}

/// Asks OCSP responders about certificates.
#[derive(Debug)]
pub struct OcspStatus {
    spec: OcspSpec,
    digest: [u8; 32],
    /// The way to the process that asks. Without it, nothing is known.
    link: Option<Arc<Link>>,
}

impl OcspStatus {
    /// With these settings.
    pub fn new(spec: OcspSpec, link: Option<Arc<Link>>) -> Self {
        Self {
            digest: spec.settings.digest(),
            spec,
            link,
        }
    }

    /// Asks a question. None if there is nobody to ask.
    pub(super) fn ask(&self, question: &Question) -> Option<io::Result<questions::Asked>> {
        let limit = Duration::from_secs(self.spec.settings.fetch.timeout.into()) + SLACK;
        Some(self.link.as_ref()?.ask(question, limit))
    }

    /// What is known about a certificate. With `asks`, a question can be asked.
    pub(super) fn check(&self, subject: &Subject<'_>, asks: bool, now: i64) -> Known {
        let OcspCheck {
            depth,
            soft_fail,
            missing_ok,
        } = self.spec.check;
        if depth.is_none() || depth == Some(Depth::Leaf) && !subject.is_leaf {
            return Known::Good;
        }
        let unknown = |why: String| match soft_fail {
            true => Known::Good,
            false => Known::Bad(Reason::StatusUnknown, why),
        };
        let names_responder = Certificate::parse(subject.der).is_ok_and(|parsed| !parsed.ocsp_responders().is_empty());
        if self.spec.settings.responder.is_none() && (!names_responder || self.spec.settings.only_responder) {
            return match missing_ok {
                true => Known::Good,
                false => unknown(
                    "it names no OCSP responder: name one with TLSClientOCSPResponder, or accept such certificates with \
                     no_ocsp_for_cert_ok"
                        .to_owned(),
                ),
            };
        }
        let Some(link) = &self.link else {
            return unknown("OCSP responders cannot be asked".to_owned());
        };
        let key = Status::key_for(&self.digest, subject.der, subject.issuer_der);
        let status = Status::read(&link.table, &key).filter(|status| status.until > now);
        match status.map(|status| status.verdict) {
            Some(Verdict::Good) => Known::Good,
            Some(Verdict::Revoked { .. }) => Known::Bad(
                Reason::Revoked,
                "its CA's OCSP responder says that it is revoked".to_owned(),
            ),
            Some(Verdict::Unknown) => unknown("its CA's OCSP responder does not know it".to_owned()),
            Some(Verdict::Failed(why)) => unknown(why),
            None if asks => Known::Ask(Question::Status(questions::Subject {
                generation: link.generation,
                settings: self.spec.number,
                certificate: subject.der.to_vec(),
                issuer: subject.issuer_der.to_vec(),
            })),
            None => unknown(format!(
                "there is no answer of its CA's OCSP responder within {} seconds",
                self.spec.settings.fetch.timeout
            )),
        }
    }
}

/// Whether revocation lists are fetched: `TLSClientRevocation`, `TLSProxyRevocation`.
///
/// # Examples
///
/// ```
/// use mod_tls_core::trust::status::FetchCheck;
///
/// let check = FetchCheck::parse(&["fetch", "soft-fail", "http://ca.example/ca.crl"]).unwrap();
/// assert!(check.fetches && check.soft_fail);
/// assert_eq!(check.urls, ["http://ca.example/ca.crl"]);
/// assert!(FetchCheck::parse(&["fetch", "ftp://ca.example/ca.crl"]).is_err());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FetchCheck {
    /// Whether they are.
    pub fetches: bool,
    /// Whether a certificate is accepted if its list cannot be fetched, or has expired.
    pub soft_fail: bool,
    /// Lists besides those that certificates name.
    pub urls: Vec<String>,
}

impl FetchCheck {
    /// Parses the arguments.
    pub fn parse(words: &[&str]) -> Result<Self, String> {
        match words {
            [off] if off.eq_ignore_ascii_case("off") => Ok(Self::default()),
            [fetch, rest @ ..] if fetch.eq_ignore_ascii_case("fetch") => {
                let mut check = Self {
                    fetches: true,
                    ..Self::default()
                };
                for word in rest {
                    match *word {
                        flag if flag.eq_ignore_ascii_case("soft-fail") => check.soft_fail = true,
                        url if crate::x509::status::is_http(url) => check.urls.push(url.to_owned()),
                        other => {
                            return Err(format!(
                                "fetch takes soft-fail and URLs that begin with http:// or https://, not \"{other}\""
                            ));
                        }
                    }
                }
                Ok(check)
            }
            _ => Err("takes off or fetch".to_owned()),
        }
    }
}

/// Revocation lists that are fetched.
#[derive(Debug)]
pub struct FetchedLists {
    check: FetchCheck,
    role: Role,
    /// How long a list may take.
    limit: Duration,
    link: Option<Arc<Link>>,
    /// Lists that were parsed, by their URLs.
    parsed: Mutex<HashMap<String, Parsed>>,
}

/// A list, and the version of what is published.
type Parsed = ([u8; 32], Arc<Crl>);

/// How many lists are kept in each process.
const MAX_PARSED: usize = 64;

impl FetchedLists {
    /// With these settings.
    pub fn new(check: FetchCheck, role: Role, fetch: &FetchSettings, link: Option<Arc<Link>>) -> Self {
        Self {
            check,
            role,
            limit: Duration::from_secs(fetch.timeout.into()) + SLACK,
            link,
            parsed: Mutex::default(),
        }
    }

    /// Asks a question. None if there is nobody to ask.
    pub(super) fn ask(&self, question: &Question) -> Option<io::Result<questions::Asked>> {
        Some(self.link.as_ref()?.ask(question, self.limit))
    }

    /// Whether there is a list that says something about a certificate. With `asks`, a question can be asked.
    pub(super) fn check(&self, subject: &Subject<'_>, asks: bool, now: i64) -> Known {
        let Some(link) = &self.link else {
            return self.unknown(Reason::NoCrl, "revocation lists cannot be fetched".to_owned());
        };
        let named = Certificate::parse(subject.der).map_or_else(|_| Vec::new(), |parsed| parsed.crl_urls());
        let mut newest: Option<(Arc<Crl>, String)> = None;
        let mut problems = Vec::new();
        for url in named.iter().chain(&self.check.urls) {
            match self.list(link, url) {
                Some(Ok(crl)) if self.is_about(&crl, subject) => {
                    if newest
                        .as_ref()
                        .is_none_or(|(other, _)| other.this_update() < crl.this_update())
                    {
                        newest = Some((crl, url.clone()));
                    }
                }
                Some(Ok(_)) => problems.push(format!("{url} is not a list of its issuer that covers it")),
                Some(Err(why)) => problems.push(format!("{url}: {why}")),
                None if asks => {
                    return Known::Ask(Question::List {
                        generation: link.generation,
                        url: url.clone(),
                    });
                }
                None => problems.push(format!("{url} was not fetched in time")),
            }
        }
        let Some((crl, url)) = newest else {
            let why = match problems.is_empty() {
                true => format!(
                    "it names no revocation list of http or https, and {} names none",
                    self.role.fetch_directive()
                ),
                false => format!("there is no revocation list for it: {}", problems.join("; ")),
            };
            return self.unknown(Reason::NoCrl, why);
        };
        if crl.has(subject.serial) {
            return Known::Bad(Reason::Revoked, format!("it is on the revocation list {url}"));
        }
        if crl.next_update() < now {
            let why = format!("the revocation list {url} has expired, and no current one can be fetched there");
            return self.unknown(Reason::CrlExpired, why);
        }
        Known::Good
    }

    fn is_about(&self, crl: &Crl, subject: &Subject<'_>) -> bool {
        crl.issuer() == subject.issuer
            && crl.covers(subject.der, subject.is_leaf)
            && crl.is_signed_by(subject.issuer_der, &verification_algorithms())
    }

    fn unknown(&self, reason: Reason, why: String) -> Known {
        match self.check.soft_fail {
            true => Known::Good,
            false => Known::Bad(reason, why),
        }
    }

    /// The list at a URL, or why there is none. None if it was not asked for.
    fn list(&self, link: &Link, url: &str) -> Option<Result<Arc<Crl>, String>> {
        let key = List::key_for(url);
        let version = link.table.version(&key)?;
        if let Some((known, crl)) = lock(&self.parsed).get(url)
            && *known == version
        {
            return Some(Ok(Arc::clone(crl)));
        }
        let content = List::read(&link.table, &key)?.content;
        let parsed = content.and_then(|der| parse(url, &der));
        Some(parsed.map(|crl| {
            let crl = Arc::new(crl);
            let mut all = lock(&self.parsed);
            if all.len() >= MAX_PARSED {
                all.clear();
            }
            all.insert(url.to_owned(), (version, Arc::clone(&crl)));
            crl
        }))
    }
}

fn parse(url: &str, der: &[u8]) -> Result<Crl, String> {
    let der = crl::split(der)
        .map_err(|error| error.to_string())?
        .pop()
        .ok_or("it is empty")?;
    Crl::parse(Path::new(url), der).map_err(|error| error.to_string())
}
