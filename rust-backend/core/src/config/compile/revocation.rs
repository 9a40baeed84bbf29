// SPDX-License-Identifier: Apache-2.0
//! Validation of the settings for revocation by what other machines say.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::Compiler;
use crate::base::diagnostics::Severity;
use crate::base::directive::Located;
use crate::base::file_reading;
use crate::config::CompileMode;
use crate::config::revocation::Online;
use crate::key_process::parent::Launch;
use crate::process::counted_checks::CountedChecks;
use crate::revocation::orders::OcspSettings;
use crate::revocation::process::Link;
use crate::settings::{ClientSettings, KeyPlace};
use crate::site::Site;
use crate::trust::anchors::Anchors;
use crate::trust::client::verifier::Asking;
use crate::trust::fetched_lists::{FetchCheck, ParsedLists};
use crate::trust::status::OcspSpec;
use crate::x509::{Certificate, pem};

/// The directory of what was fetched, if none is configured and httpd has told none.
const CACHE: &str = "tls-revocation";

/// What hosts share.
#[derive(Default)]
pub(super) struct OnlineParts {
    link: Option<Arc<Link>>,
    ocsp: Vec<OcspSettings>,
    /// Where lists are that are fetched ahead of time.
    lists: BTreeSet<String>,
    /// The certificates in DER of the CAs that may have signed them.
    issuers: BTreeSet<Vec<u8>>,
    /// Lists that were fetched and parsed.
    parsed: Arc<ParsedLists>,
    /// Whether child processes ask questions.
    has_questions: bool,
    /// Whether it was said that there is no program.
    has_complained: bool,
}

impl OnlineParts {
    /// Has the lists fetched ahead of time that the certificates of CAs name: those of their issuers. The CAs sign lists.
    pub(super) fn want_lists_of(&mut self, anchors: &Anchors) {
        for anchor in anchors.list() {
            if let Ok(parsed) = Certificate::parse(&anchor.der) {
                self.lists.extend(parsed.crl_urls());
                self.issuers.insert(anchor.der.to_vec());
            }
        }
    }
}

impl Compiler {
    /// The program that asks other machines, if it is there. It is needed wherever the private keys are.
    fn revocation_program(&self) -> Option<PathBuf> {
        let program = match self.global.key_process.as_ref().map(|said| &said.value) {
            Some(KeyPlace::Program(path)) => Some(path),
            _ => self.builder.environment.key_program.as_ref(),
        };
        program.filter(|path| path.is_file()).cloned()
    }

    /// The way to the process that asks other machines. None if it is not started now, or cannot be.
    pub(super) fn revocation_link(&mut self) -> Option<Arc<Link>> {
        if self.builder.environment.mode != CompileMode::Run {
            return None;
        }
        if let Some(link) = &self.online.link {
            return Some(Arc::clone(link));
        }
        let process = Arc::clone(&self.builder.process);
        let certificates = self
            .hosts
            .iter()
            .map(|host| host.certificates.len() + host.files.certificates.len());
        match process.revocation.get()?.prepare(certificates.sum()) {
            Ok(link) => Some(Arc::clone(self.online.link.insert(link))),
            Err(why) => {
                let text = format!("OCSP responses and revocation lists cannot be fetched: {why}");
                self.report(Severity::Error, 0, text);
                None
            }
        }
    }

    /// How other machines are asked, if something is asked.
    pub(super) fn asking(&mut self, asks: bool) -> Asking {
        let process = Arc::clone(&self.builder.process);
        Asking {
            fetch: self.global.fetching.settings(),
            link: asks.then(|| self.revocation_link()).flatten(),
            parsed: Arc::clone(&self.online.parsed),
            counts: (!self.global.monitoring.is_not_counting).then(|| Arc::new(CountedChecks(process)) as _),
        }
    }

    /// The number of settings by which responders are asked.
    pub(super) fn ocsp_number(&mut self, settings: OcspSettings) -> u32 {
        let known = self.online.ocsp.iter().position(|known| *known == settings);
        let at = known.unwrap_or_else(|| {
            self.online.ocsp.push(settings);
            self.online.ocsp.len() - 1
        });
        at as u32
    }

    /// The site with OCSP responses for its certificates, if it is configured to have some.
    pub(super) fn with_stapling(&mut self, index: usize, site: Site) -> Site {
        let policy = self.hosts[index].policy.clone();
        if !policy.revocation.staples() {
            return site;
        }
        let Some(said) = &policy.revocation.stapling else {
            return site;
        };
        if self.revocation_program().is_none() {
            if !std::mem::replace(&mut self.online.has_complained, true) {
                let text = "TLSStapling on: OCSP responses are fetched by the program tls-keyd, which is not installed beside this \
                            module: nothing is stapled";
                self.report_at(Severity::Warning, index, said, text);
            }
            return site;
        }
        let settings = policy
            .revocation
            .staples
            .settings(&self.global.fetching.settings(), Vec::new());
        let number = self.ocsp_number(settings);
        if self.builder.environment.mode == CompileMode::Run {
            self.revocation_link();
        }
        let site = site.with_stapling(Some(number));
        // Child processes find the certificates.
        self.online.has_questions |= site.store().is_some();
        self.check_stapling(index, said, number, &site);
        site
    }

    /// Reports certificates for which no response can be fetched.
    fn check_stapling(&mut self, index: usize, said: &Located<bool>, number: u32, site: &Site) {
        let has_responder = self.online.ocsp[number as usize].responder.is_some();
        let mut problems = Vec::new();
        for identity in site.identities().filter(|_| !site.unavailable) {
            let file = identity.name();
            if !has_responder && !identity.names_responder() {
                // Most CAs have no responder any more. Nothing is wrong with that.
                if identity.must_staple() {
                    problems.push(format!(
                        "{file}: clients refuse this certificate without an OCSP response (it has the extension of RFC 7633), but it \
                         names no responder: have it reissued, or name the responder with TLSStaplingResponder"
                    ));
                }
            } else if site.issuer_of(&identity).is_none() {
                problems.push(format!(
                    "{file}: TLSStapling needs the certificate of its issuer: append it to the file"
                ));
            }
        }
        for text in problems {
            self.report_at(Severity::Warning, index, said, text);
        }
    }

    /// Reports certificates that clients refuse because nothing is stapled.
    pub(super) fn check_must_staple(&mut self, index: usize, site: &Site) {
        let is_stapled = site.stapling().is_some() || self.builder.environment.has_stapler;
        let lacking = site.identities().find(|identity| identity.must_staple() && !is_stapled);
        if let Some(identity) = lacking.filter(|_| !site.unavailable) {
            let text = format!(
                "{}: clients refuse this certificate without an OCSP response (it has the extension of RFC 7633): set TLSStapling on",
                identity.name()
            );
            self.report(Severity::Warning, index, text);
        }
    }

    /// The OCSP check of the host's clients: the inner `None` if there is none, the outer one if an error was reported.
    pub(super) fn ocsp_spec(&mut self, index: usize) -> Option<Option<OcspSpec>> {
        let revocation = self.hosts[index].policy.revocation.clone();
        let Some(said) = revocation
            .client_check
            .as_ref()
            .filter(|said| said.value.depth.is_some())
        else {
            return Some(None);
        };
        self.needs_program(index, said, "TLSClientOCSP")?;
        let signers = self.signers(index, revocation.clients.signers.as_ref())?;
        let settings = revocation.clients.settings(&self.global.fetching.settings(), signers);
        self.online.has_questions = true;
        Some(Some(OcspSpec {
            check: said.value,
            number: self.ocsp_number(settings.clone()),
            settings,
        }))
    }

    /// None if lists cannot be fetched that are to be fetched for the host's clients: an error was reported.
    pub(super) fn check_fetching(&mut self, index: usize, clients: &ClientSettings) -> Option<()> {
        match clients.fetch_lists.as_ref().filter(|said| said.value.fetches) {
            Some(said) => self.needs_program(index, said, "TLSClientRevocation"),
            None => Some(()),
        }
    }

    /// Without the program, clients would be accepted or refused without a reason. None if it is not there.
    fn needs_program<T>(&mut self, index: usize, said: &Located<T>, directive: &str) -> Option<()> {
        if self.revocation_program().is_some() {
            return Some(());
        }
        let text = format!(
            "{directive}: other machines are asked by the program tls-keyd, which is not installed beside this module"
        );
        self.report_at(Severity::Error, index, said, text);
        None
    }

    /// Has lists fetched ahead of time: those that are named, and those that CAs say are about themselves.
    pub(super) fn want_lists(&mut self, check: &FetchCheck, anchors: &Anchors) {
        self.online.has_questions = true;
        self.online.lists.extend(check.urls.iter().cloned());
        self.online.want_lists_of(anchors);
    }

    /// The same for backends.
    pub(super) fn want_lists_of_backends(&mut self) {
        if !self.proxies.fetches_lists() {
            return;
        }
        let urls: Vec<String> = self.proxies.list_urls().cloned().collect();
        self.online.lists.extend(urls);
        self.online.has_questions = true;
        if self.revocation_program().is_none() {
            let text = "TLSProxyRevocation: other machines are asked by the program tls-keyd, which is not installed beside this module";
            self.report(Severity::Error, 0, text);
        }
        let asking = self.asking(true);
        self.proxies.ask_by(asking);
    }

    /// The certificates of OCSP responders in a file, in DER.
    fn signers(&mut self, index: usize, said: Option<&Located<PathBuf>>) -> Option<Vec<Vec<u8>>> {
        let Some(said) = said else { return Some(Vec::new()) };
        let path = &said.value;
        let found = file_reading::read(path)
            .map_err(|error| error.to_string())
            .and_then(|content| {
                let found = pem::parse(&content).map_err(|error| error.about(path))?.certificates;
                match found.is_empty() {
                    true => Err(format!("{}: no certificate in this file", path.display())),
                    false => Ok(found.into_iter().map(|der| der.to_vec()).collect()),
                }
            });
        found
            .map_err(|why| {
                let text = format!("SSLOCSPResponderCertificateFile {why}");
                self.report_at(Severity::Error, index, said, text);
            })
            .ok()
    }

    /// What the configuration needs of the process that asks other machines. None if it needs nothing.
    pub(super) fn online(&mut self) -> Option<Online> {
        let link = self.online.link.clone()?;
        let environment = &self.builder.environment;
        let configured = self.global.fetching.cache.clone();
        let cache = configured.or_else(|| environment.revocation_cache.clone());
        Some(Online {
            link,
            launch: Launch {
                program: self.revocation_program()?,
                user: self.global.key_process_user.as_ref().map(|said| said.value.clone()),
                tokens: false,
                cache: Some(cache.unwrap_or_else(|| environment.server_root.join(CACHE))),
            },
            ocsp: std::mem::take(&mut self.online.ocsp),
            fetch: self.global.fetching.settings(),
            lists: std::mem::take(&mut self.online.lists).into_iter().collect(),
            list_issuers: std::mem::take(&mut self.online.issuers).into_iter().collect(),
            has_questions: self.online.has_questions,
        })
    }
}
