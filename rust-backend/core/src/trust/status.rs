// SPDX-License-Identifier: Apache-2.0
//! What OCSP responders say about a certificate. Nothing here waits: what is not known yet is a question, which somebody else asks.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::refusal::Reason;
use super::revocation::{Depth, Subject};
use crate::revocation::checks::{CheckEvent, CountsChecks};
use crate::revocation::orders::OcspSettings;
use crate::revocation::process::Link;
use crate::revocation::published::{Published, Status, Verdict};
use crate::revocation::questions::{self, Question};
use crate::x509::Certificate;

/// How much longer than another machine the process may take that asks it.
pub(super) const SLACK: Duration = Duration::from_millis(500);

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

impl fmt::Display for OcspCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.depth {
            None => "off",
            Some(Depth::Leaf) => "leaf",
            Some(Depth::Chain) => "chain",
        })?;
        let flags = [
            (self.soft_fail, " soft-fail"),
            (self.missing_ok, " no_ocsp_for_cert_ok"),
        ];
        flags
            .iter()
            .filter(|(is_set, _)| *is_set)
            .try_for_each(|(_, flag)| f.write_str(flag))
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
    counts: Option<Arc<dyn CountsChecks>>,
}

impl OcspStatus {
    /// With these settings. `counts` is told of all checks.
    pub fn new(spec: OcspSpec, link: Option<Arc<Link>>, counts: Option<Arc<dyn CountsChecks>>) -> Self {
        Self {
            digest: spec.settings.digest(),
            spec,
            link,
            counts,
        }
    }

    /// Asks a question. None if there is nobody to ask.
    pub(super) fn ask(&self, question: &Question) -> Option<io::Result<questions::Asked>> {
        let limit = Duration::from_secs(self.spec.settings.fetch.timeout.into()) + SLACK;
        let asked = self.link.as_ref()?.ask(question, limit);
        self.count(CheckEvent::Asked);
        Some(asked)
    }

    fn count(&self, event: CheckEvent) {
        if let Some(counts) = &self.counts {
            counts.count(event);
        }
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
            self.count(CheckEvent::NoResponder);
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
        let verdict = status.map(|status| status.verdict);
        match &verdict {
            Some(Verdict::Good) => self.count(CheckEvent::Good),
            Some(Verdict::Revoked { .. }) => self.count(CheckEvent::Revoked),
            Some(Verdict::Unknown) => self.count(CheckEvent::Unknown),
            // It is asked and checked again.
            None if asks => {}
            Some(Verdict::Failed(_)) | None => self.count(CheckEvent::NoAnswer),
        }
        match verdict {
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
