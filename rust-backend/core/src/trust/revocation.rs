// SPDX-License-Identifier: Apache-2.0
//! `TLSClientCRL`, `TLSProxyCRL`: revocation lists that are reloaded when they change.
//!
//! Every process reads changed files independently, when a certificate is checked and at most once a second. New lists
//! are validated before they replace the old ones.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use x509_parser::time::ASN1Time;

use super::anchors::Report;
use super::ca_set::CaSet;
use super::crl::{self, Crl, CrlError};
use super::path::Role;
use super::refusal::Reason;
use crate::base::diagnostics::Severity;
use crate::base::file_reading::{self, FileStamp};
use crate::base::log_queue::LogQueue;
use crate::crypto::digest;
use crate::crypto::verification_algorithms;

/// Which certificates of a path are checked against revocation lists: `TLSClientCRLCheck`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Depth {
    /// Only the peer's certificate.
    Leaf,
    /// All certificates except the trust anchor.
    Chain,
}

/// The setting of `TLSClientCRLCheck`.
///
/// # Examples
///
/// ```
/// use mod_tls_core::trust::revocation::{CrlCheck, Depth};
///
/// let check = CrlCheck::parse(&["leaf", "no_crl_for_cert_ok"]).unwrap();
/// assert_eq!(check, CrlCheck { depth: Some(Depth::Leaf), missing_ok: true });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CrlCheck {
    /// Which certificates are checked; `None` disables the check.
    pub depth: Option<Depth>,
    /// Whether certificates that no list covers are accepted: `no_crl_for_cert_ok`.
    pub missing_ok: bool,
}

impl Default for CrlCheck {
    /// If revocation lists are configured, all certificates are checked by default.
    fn default() -> Self {
        Self {
            depth: Some(Depth::Chain),
            missing_ok: false,
        }
    }
}

impl CrlCheck {
    /// No certificate is checked.
    pub const NONE: Self = Self {
        depth: None,
        missing_ok: false,
    };

    /// Parses the arguments of `TLSClientCRLCheck`.
    pub fn parse(words: &[&str]) -> Result<Self, String> {
        let mut check = Self::default();
        let (first, flags) = words.split_first().ok_or("takes leaf, chain or none")?;
        check.depth = match first.to_ascii_lowercase().as_str() {
            "leaf" => Some(Depth::Leaf),
            "chain" => Some(Depth::Chain),
            "none" => None,
            _ => return Err(format!("takes leaf, chain or none, not \"{first}\"")),
        };
        for flag in flags {
            if !flag.eq_ignore_ascii_case("no_crl_for_cert_ok") {
                return Err(format!("knows the flag no_crl_for_cert_ok, not \"{flag}\""));
            }
            check.missing_ok = true;
        }
        Ok(check)
    }
}

/// A certificate to be checked for revocation.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The certificate.
    pub der: &'a [u8],
    /// The content of the issuer's DER Name.
    pub issuer: &'a [u8],
    /// The content of the DER INTEGER of the serial number.
    pub serial: &'a [u8],
    /// Whether it is the peer's certificate.
    pub is_leaf: bool,
    /// The certificate of its issuer.
    pub issuer_der: &'a [u8],
}

/// The content of the files at some time.
#[derive(Debug, Default)]
struct Lists {
    stamps: Vec<(PathBuf, FileStamp)>,
    by_issuer: HashMap<Vec<u8>, Vec<Arc<Crl>>>,
    digest: [u8; 32],
}

/// The revocation lists in a set of files and directories.
#[derive(Debug)]
pub struct RevocationLists {
    paths: Vec<PathBuf>,
    role: Role,
    cas: Arc<CaSet>,
    log_queue: Arc<LogQueue>,
    lists: RwLock<Arc<Lists>>,
    /// The time of the last check of the files, in seconds since 1970.
    looked: AtomicI64,
    /// Locked while changed files are read; the files that were found invalid, so that each error is logged once.
    reading: Mutex<Vec<(PathBuf, FileStamp)>>,
}

impl RevocationLists {
    /// Reads the lists in `paths`. Lists of CAs in `cas` must be signed by these.
    pub fn load(
        paths: &[PathBuf],
        role: Role,
        cas: &Arc<CaSet>,
        log_queue: &Arc<LogQueue>,
        now: i64,
        report: &mut Report,
    ) -> Self {
        let lists = Self {
            paths: paths.to_vec(),
            role,
            cas: Arc::clone(cas),
            log_queue: Arc::clone(log_queue),
            lists: RwLock::default(),
            looked: AtomicI64::new(now),
            reading: Mutex::default(),
        };
        match lists.stamps() {
            Ok(stamps) => {
                let read = lists.read(stamps, now, report);
                *lists.lists.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(read);
            }
            Err(why) => report.errors.push(why),
        }
        lists
    }

    /// A digest of all current lists. Sessions from before a change of the lists are not resumed, so that revocation
    /// ends them.
    pub fn digest(&self, now: i64) -> [u8; 32] {
        self.current(now).digest
    }

    /// The file, the number of entries, and the thisUpdate and nextUpdate times (seconds since 1970) of each list.
    pub fn describe(&self, now: i64) -> Vec<(PathBuf, usize, i64, i64)> {
        let lists = self.current(now);
        let mut all: Vec<_> = lists
            .by_issuer
            .values()
            .flatten()
            .map(|crl| (crl.file.clone(), crl.len(), crl.this_update(), crl.next_update()))
            .collect();
        all.sort();
        all
    }

    /// Reads the files again if they have changed since the last check.
    pub fn refresh(&self, now: i64) {
        self.current(now);
    }

    /// Whether `subject` is revoked, or why this cannot be determined. The newest list that covers it decides.
    pub fn check(&self, subject: &Subject<'_>, now: i64) -> Result<(), (Reason, String)> {
        let lists = self.current(now);
        let newest = lists
            .by_issuer
            .get(subject.issuer)
            .into_iter()
            .flatten()
            .filter(|crl| crl.covers(subject.der, subject.is_leaf))
            .filter(|crl| crl.is_signed_by(subject.issuer_der, &verification_algorithms()))
            .max_by_key(|crl| crl.this_update());
        let Some(crl) = newest else {
            let mut text = format!(
                "no revocation list in {} is from its issuer: add the issuer's CRL",
                self.role.crl_directive()
            );
            if self.role == Role::Client {
                text += ", or set TLSClientCRLCheck with no_crl_for_cert_ok";
            }
            return Err((Reason::NoCrl, text));
        };
        let file = crl.file.display();
        if crl.has(subject.serial) {
            return Err((Reason::Revoked, format!("it is on the revocation list {file}")));
        }
        if crl.next_update() < now {
            return Err((
                Reason::CrlExpired,
                format!("the revocation list {file} has expired: fetch the CA's current CRL"),
            ));
        }
        Ok(())
    }

    fn stamps(&self) -> Result<Vec<(PathBuf, FileStamp)>, String> {
        let named = |error| format!("{} {error}", self.role.crl_directive());
        let mut stamps = Vec::new();
        for path in &self.paths {
            for file in file_reading::expand(path).map_err(named)? {
                let stamp = FileStamp::of(&file).map_err(named)?;
                stamps.push((file, stamp));
            }
        }
        Ok(stamps)
    }

    fn loaded(&self) -> Arc<Lists> {
        Arc::clone(&self.lists.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn current(&self, now: i64) -> Arc<Lists> {
        if self.looked.swap(now, Ordering::Relaxed) != now
            && let Ok(mut refused) = self.reading.try_lock()
        {
            self.reread(&mut refused, now);
        }
        self.loaded()
    }

    fn reread(&self, refused: &mut Vec<(PathBuf, FileStamp)>, now: i64) {
        let mut report = Report::default();
        match self.stamps() {
            Ok(stamps) if stamps == self.loaded().stamps || stamps == *refused => return,
            Ok(stamps) => {
                let read = self.read(stamps, now, &mut report);
                if report.errors.is_empty() {
                    refused.clear();
                    *self.lists.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(read);
                    self.log_queue.add(
                        Severity::Notice,
                        "the revocation lists have changed and were read again",
                    );
                } else {
                    *refused = read.stamps;
                }
            }
            // Without stamps, this error cannot be distinguished from the next.
            Err(why) => self.log_queue.add_once(Severity::Error, kept(&why)),
        }
        for error in &report.errors {
            self.log_queue.add(Severity::Error, kept(error));
        }
        for warning in &report.warnings {
            self.log_queue.add(Severity::Warning, warning);
        }
    }

    fn read(&self, stamps: Vec<(PathBuf, FileStamp)>, now: i64, report: &mut Report) -> Lists {
        let mut lists = Lists::default();
        let directive = self.role.crl_directive();
        let mut context = digest::Context::new(&digest::SHA256);
        for (file, _) in &stamps {
            match read_file(file) {
                Ok(crls) if crls.is_empty() && self.paths.contains(file) => report.errors.push(format!(
                    "{directive} {}: no revocation list in this file: expected blocks that begin with \"-----BEGIN X509 \
                     CRL-----\", or DER",
                    file.display()
                )),
                Ok(crls) => {
                    for crl in crls {
                        context.update(digest::digest(&digest::SHA256, crl.der()).as_ref());
                        self.examine(&crl, now, report);
                        lists.by_issuer.entry(crl.issuer().to_vec()).or_default().push(Arc::new(crl));
                    }
                }
                Err(why) => report.errors.push(format!("{directive} {why}")),
            }
        }
        if lists.by_issuer.is_empty() && report.errors.is_empty() {
            let paths: Vec<_> = self.paths.iter().map(|path| path.display().to_string()).collect();
            report.errors.push(format!(
                "{directive} {}: there is no revocation list in it",
                paths.join(" ")
            ));
        }
        lists.stamps = stamps;
        lists.digest.copy_from_slice(context.finish().as_ref());
        lists
    }

    fn examine(&self, crl: &Crl, now: i64, report: &mut Report) {
        let (directive, file) = (self.role.crl_directive(), crl.file.display());
        let anchors = self.cas.current();
        let mut issuers = anchors.named(crl.issuer()).peekable();
        if issuers.peek().is_some() && !issuers.any(|issuer| crl.is_signed_by(&issuer.der, &verification_algorithms()))
        {
            report
                .errors
                .push(format!("{directive} {file}: {}", CrlError::NotSignedByIssuer));
        }
        if crl.next_update() < now {
            let since = ASN1Time::from_timestamp(crl.next_update()).map_or_else(|_| String::new(), |at| at.to_string());
            report.warnings.push(format!(
                "{directive} {file}: this revocation list has expired ({since}): certificates of its issuer will be \
                 refused until there is a current one"
            ));
        }
    }
}

fn kept(why: &str) -> String {
    format!(
        "{why}; the revocation lists that were read before are kept (files have to be readable for the user that httpd's \
         children run as)"
    )
}

fn read_file(file: &Path) -> Result<Vec<Crl>, String> {
    let content = file_reading::read(file).map_err(|error| error.to_string())?;
    let named = |error: CrlError| format!("{}: {error}", file.display());
    crl::split(&content)
        .map_err(named)?
        .into_iter()
        .map(|der| Crl::parse(file, der).map_err(named))
        .collect()
}
