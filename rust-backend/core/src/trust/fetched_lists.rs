// SPDX-License-Identifier: Apache-2.0
//! `TLSClientRevocation`, `TLSProxyRevocation`: revocation lists that are fetched. Nothing here waits: a list that is not there yet is
//! a question, which somebody else asks.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lru::LruCache;

use super::crl::{self, Crl};
use super::path::Role;
use super::refusal::Reason;
use super::revocation::Subject;
use super::status::{Known, SLACK};
use crate::base::lock::lock;
use crate::crypto::verification_algorithms;
use crate::revocation::orders::FetchSettings;
use crate::revocation::process::Link;
use crate::revocation::published::{List, Published};
use crate::revocation::questions::{Asked, Question};
use crate::revocation::shared_table::Reader;
use crate::x509::Certificate;
use crate::x509::status::is_http;

/// Whether revocation lists are fetched: the setting.
///
/// # Examples
///
/// ```
/// use mod_tls_core::trust::fetched_lists::FetchCheck;
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
                        url if is_http(url) => check.urls.push(url.to_owned()),
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

impl fmt::Display for FetchCheck {
    /// The arguments.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.fetches { "fetch" } else { "off" })?;
        if self.soft_fail {
            f.write_str(" soft-fail")?;
        }
        self.urls.iter().try_for_each(|url| write!(f, " {url}"))
    }
}

/// How many bytes of lists a process keeps in parsed form, and how many lists. The one that is used is always kept.
const MAX_PARSED_BYTES: usize = 64 << 20;
const MAX_PARSED: usize = 256;

/// Lists that were parsed, which hosts share.
pub struct ParsedLists(Mutex<LruCache<String, Parsed>>);

/// A list, and the version of what is published.
struct Parsed {
    version: [u8; 32],
    crl: Arc<Crl>,
}

impl Default for ParsedLists {
    fn default() -> Self {
        Self(Mutex::new(LruCache::unbounded()))
    }
}

impl fmt::Debug for ParsedLists {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParsedLists").finish_non_exhaustive()
    }
}

impl ParsedLists {
    /// The list at a URL, or why there is none. None if it was not asked for.
    fn get(&self, table: &Reader, url: &str) -> Option<Result<Arc<Crl>, String>> {
        let key = List::key_for(url);
        let version = table.version(&key)?;
        if let Some(known) = lock(&self.0).get(url).filter(|known| known.version == version) {
            return Some(Ok(Arc::clone(&known.crl)));
        }
        let content = List::read(table, &key)?.content;
        let parsed = content.and_then(|der| parse(url, &der));
        Some(parsed.map(|crl| self.keep(url, version, Arc::new(crl))))
    }

    fn keep(&self, url: &str, version: [u8; 32], crl: Arc<Crl>) -> Arc<Crl> {
        let mut all = lock(&self.0);
        let kept = Arc::clone(&crl);
        all.put(url.to_owned(), Parsed { version, crl });
        let size = |all: &LruCache<String, Parsed>| all.iter().map(|(_, one)| one.crl.der().len()).sum::<usize>();
        while all.len() > 1 && (all.len() > MAX_PARSED || size(&all) > MAX_PARSED_BYTES) {
            all.pop_lru();
        }
        kept
    }
}

fn parse(url: &str, der: &[u8]) -> Result<Crl, String> {
    let der = crl::split(der)
        .map_err(|error| error.to_string())?
        .pop()
        .ok_or("it is empty")?;
    Crl::parse(Path::new(url), der).map_err(|error| error.to_string())
}

/// Revocation lists that are fetched.
#[derive(Debug)]
pub struct FetchedLists {
    check: FetchCheck,
    role: Role,
    /// How long a list may take.
    limit: Duration,
    /// The way to the process that fetches. Without it, there are no lists.
    link: Option<Arc<Link>>,
    parsed: Arc<ParsedLists>,
}

impl FetchedLists {
    /// With these settings.
    pub fn new(
        check: FetchCheck,
        role: Role,
        fetch: &FetchSettings,
        link: Option<Arc<Link>>,
        parsed: Arc<ParsedLists>,
    ) -> Self {
        Self {
            check,
            role,
            limit: Duration::from_secs(fetch.timeout.into()) + SLACK,
            link,
            parsed,
        }
    }

    /// Asks a question. None if there is nobody to ask.
    pub(super) fn ask(&self, question: &Question) -> Option<io::Result<Asked>> {
        Some(self.link.as_ref()?.ask(question, self.limit))
    }

    /// Whether there is a list that says something about a certificate. With `asks`, a question can be asked. With `missing_ok`, a
    /// certificate is accepted for which no list is named anywhere.
    pub(super) fn check(&self, subject: &Subject<'_>, asks: bool, missing_ok: bool, now: i64) -> Known {
        let Some(link) = &self.link else {
            return self.unknown(Reason::NoCrl, "revocation lists cannot be fetched".to_owned());
        };
        let urls = self.urls(subject);
        if urls.is_empty() {
            return self.names_none(missing_ok);
        }
        match self.look_up(&link.table, &urls, subject, now) {
            Ok(known) => known,
            Err(Unknown { url: Some(url), .. }) if asks => Known::Ask(Question::List {
                generation: link.generation,
                url,
                issuer: subject.issuer_der.to_vec(),
            }),
            Err(unknown) => self.unknown(unknown.reason, unknown.text()),
        }
    }

    /// No list is named anywhere.
    fn names_none(&self, missing_ok: bool) -> Known {
        let directive = self.role.fetch_directive();
        let why = format!("it names no revocation list of http or https, and {directive} names none");
        match missing_ok {
            true => Known::Good,
            false => self.unknown(Reason::NoCrl, why),
        }
    }

    /// Where the lists are that may cover a certificate.
    fn urls(&self, subject: &Subject<'_>) -> Vec<String> {
        let mut urls = Certificate::parse(subject.der).map_or_else(|_| Vec::new(), |parsed| parsed.crl_urls());
        urls.extend(
            self.check
                .urls
                .iter()
                .filter(|url| !urls.contains(url))
                .cloned()
                .collect::<Vec<_>>(),
        );
        urls
    }

    /// What the lists that are there say. The newest one decides. If one of them does, the others are not waited for.
    fn look_up(&self, table: &Reader, urls: &[String], subject: &Subject<'_>, now: i64) -> Result<Known, Unknown> {
        let mut newest: Option<(Arc<Crl>, &String)> = None;
        let mut problems = Vec::new();
        let mut not_asked_for = None;
        for url in urls {
            match self.parsed.get(table, url) {
                Some(Ok(crl)) if is_about(&crl, subject) => {
                    let is_newer = |(other, _): &(Arc<Crl>, _)| other.this_update() < crl.this_update();
                    if newest.as_ref().is_none_or(is_newer) {
                        newest = Some((crl, url));
                    }
                }
                Some(Ok(_)) => problems.push(format!("{url} is not a list of its issuer that covers it")),
                Some(Err(why)) => problems.push(format!("{url}: {why}")),
                None => not_asked_for = not_asked_for.or_else(|| Some(url.clone())),
            }
        }
        let unknown = |reason, why| Unknown {
            reason,
            why,
            url: not_asked_for,
        };
        match newest {
            Some((crl, url)) if crl.has(subject.serial) => {
                let why = format!("it is on the revocation list {url}");
                Ok(Known::Bad(Reason::Revoked, why))
            }
            Some((crl, url)) if crl.next_update() < now => {
                let why = format!("the revocation list {url} has expired, and no current one can be fetched there");
                Err(unknown(Reason::CrlExpired, Some(why)))
            }
            Some(_) => Ok(Known::Good),
            None => {
                let why = format!("there is no revocation list for it: {}", problems.join("; "));
                Err(unknown(Reason::NoCrl, (!problems.is_empty()).then_some(why)))
            }
        }
    }

    fn unknown(&self, reason: Reason, why: String) -> Known {
        match self.check.soft_fail {
            true => Known::Good,
            false => Known::Bad(reason, why),
        }
    }
}

/// No list says anything about a certificate.
#[derive(Debug)]
struct Unknown {
    reason: Reason,
    why: Option<String>,
    /// A list that was not asked for.
    url: Option<String>,
}

impl Unknown {
    fn text(self) -> String {
        let late = self
            .url
            .map(|url| format!("the revocation list {url} was not fetched in time"));
        late.into_iter().chain(self.why).collect::<Vec<_>>().join("; ")
    }
}

fn is_about(crl: &Crl, subject: &Subject<'_>) -> bool {
    crl.issuer() == subject.issuer
        && crl.covers(subject.der, subject.is_leaf)
        && crl.is_signed_by(subject.issuer_der, &verification_algorithms())
}

#[cfg(test)]
#[path = "fetched_lists_tests.rs"]
mod tests;
