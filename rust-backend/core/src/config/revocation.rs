// SPDX-License-Identifier: Apache-2.0
//! Revocation by what other machines say: what another process is to fetch, and what it has fetched.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::Config;
use crate::base::clock::unix_now;
use crate::key_process::parent::Launch;
use crate::keys::identity::Identity;
use crate::revocation::orders::{FetchSettings, OcspSettings, Settings, Single, StapleOrder};
use crate::revocation::process::{Link, Work};
use crate::revocation::published::{Published, Staple};
use crate::revocation::questions::{Question, Subject};
use crate::revocation::summary::Summary;
use crate::site::Site;

/// How the process is started, and what it is to do besides fetching responses for certificates.
#[derive(Debug)]
pub(crate) struct Online {
    /// The way to it.
    pub(crate) link: Arc<Link>,
    pub(crate) launch: Launch,
    /// How responders are asked, by the numbers that sites and questions have.
    pub(crate) ocsp: Vec<OcspSettings>,
    /// How lists are fetched.
    pub(crate) fetch: FetchSettings,
    /// Where lists are that are fetched ahead of time.
    pub(crate) lists: Vec<String>,
    /// The certificates in DER of the CAs that may have signed them.
    pub(crate) list_issuers: Vec<Vec<u8>>,
    /// Whether child processes ask questions.
    pub(crate) has_questions: bool,
}

impl Config {
    /// Has the other process do what the configuration wants. Called in the parent process when the configuration begins to be
    /// used, and when there is another such process.
    pub(crate) fn begin_to_ask(&self) {
        let Some(process) = self.process.revocation.get() else {
            return;
        };
        match (&self.online, self.work()) {
            (Some(online), work) if !work.is_empty() => process.give(&online.launch, &online.link, work),
            _ => process.stop(),
        }
    }

    /// Starts the other process again, if it has ended.
    pub(crate) fn ask_again(&self) {
        if self
            .process
            .revocation
            .get()
            .is_some_and(|process| process.wants_work())
        {
            self.begin_to_ask();
        }
    }

    fn work(&self) -> Work {
        let Some(online) = &self.online else {
            return Work::default();
        };
        let mut issuers = Issuers::default();
        let mut staples = Vec::new();
        let mut seen = HashSet::new();
        for (site, settings) in self
            .sites
            .iter()
            .flatten()
            .filter_map(|site| Some((site, site.stapling()?)))
        {
            for identity in site.identities() {
                if let Some(issuer) = site.issuer_of(&identity)
                    && has_responder(&identity, &online.ocsp[settings as usize])
                    && seen.insert(identity.id())
                {
                    staples.push(order(&identity, issuers.number(issuer), settings));
                }
            }
        }
        Work {
            settings: Settings {
                generation: online.link.generation,
                ocsp: online.ocsp.clone(),
                issuers: issuers.0.into_iter().map(Into::into).collect(),
                lists: online.fetch.clone(),
                list_issuers: online.list_issuers.iter().cloned().map(Into::into).collect(),
            },
            staples,
            lists: online.lists.clone(),
            has_questions: online.has_questions,
        }
    }

    /// Has a response fetched for a certificate that is used from now on. In the parent process.
    pub(super) fn order_staple(&self, site: &Site, identity: &Identity) {
        if let Some((online, settings, issuer)) = self.stapling(site, identity)
            && let Some(process) = self.process.revocation.get()
        {
            process.add(Single {
                order: order(identity, 0, 0),
                issuer: issuer.to_vec(),
                settings: online.ocsp[settings as usize].clone(),
            });
        }
    }

    /// The same in a child process, which has found the certificate itself.
    pub(super) fn want_staple(&self, site: &Site, identity: &Identity) {
        if let Some((online, settings, issuer)) = self.stapling(site, identity) {
            let question = Question::Staple(Subject {
                generation: online.link.generation,
                settings,
                certificate: identity.leaf().to_vec(),
                issuer: issuer.to_vec(),
            });
            // Nobody waits for it. If it is lost, the certificate has no response until it is looked up again.
            let _ = online.link.ask(&question, Duration::ZERO);
        }
    }

    /// What belongs to a certificate for which responses are fetched.
    fn stapling(&self, site: &Site, identity: &Identity) -> Option<(&Online, u32, Vec<u8>)> {
        let (online, settings) = (self.online.as_ref()?, site.stapling()?);
        let issuer = site.issuer_of(identity)?;
        has_responder(identity, &online.ocsp[settings as usize]).then_some((online, settings, issuer))
    }

    /// The response to be stapled to a certificate of `site` now. The outer `None` means that none are fetched for it.
    pub(crate) fn staple_for(&self, site: &Site, identity: &Identity) -> Option<Option<Vec<u8>>> {
        site.stapling()?;
        let table = &self.online.as_ref()?.link.table;
        let staple = Staple::read(table, &Staple::key_of(&identity.leaf()));
        Some(
            staple
                .filter(|staple| staple.is_usable(unix_now()))
                .map(|staple| staple.response),
        )
    }

    /// What is known about a certificate of `site` for which responses are fetched. The outer `None` means that none are fetched for
    /// it; the inner one that it was not asked yet.
    pub(crate) fn staple_of(&self, site: &Site, identity: &Identity) -> Option<Option<Staple>> {
        let (online, settings) = (self.online.as_ref()?, site.stapling()?);
        let is_asked = has_responder(identity, &online.ocsp[settings as usize]);
        is_asked.then(|| Staple::read(&online.link.table, &Staple::key_of(&identity.leaf())))
    }

    /// What the other process says of its work. The outer `None` means that there is none; the inner one that it has said nothing yet.
    pub(crate) fn revocation_summary(&self) -> Option<Option<Summary>> {
        let online = self.online.as_ref()?;
        Some(Summary::read(&online.link.table, &Summary::key_of_it()))
    }
}

/// Whether there is somebody to ask about a certificate.
fn has_responder(identity: &Identity, settings: &OcspSettings) -> bool {
    identity.names_responder() || settings.responder.is_some()
}

fn order(identity: &Identity, issuer: u32, settings: u32) -> StapleOrder {
    StapleOrder {
        name: identity.name().to_string(),
        certificate: identity.leaf().to_vec(),
        issuer,
        settings,
        is_required: identity.must_staple(),
    }
}

/// The certificates of issuers, each once.
#[derive(Default)]
struct Issuers(Vec<Vec<u8>>);

impl Issuers {
    fn number(&mut self, der: Vec<u8>) -> u32 {
        // Most certificates have the issuer of the one before them.
        let known = self.0.iter().rposition(|known| *known == der);
        let at = known.unwrap_or_else(|| {
            self.0.push(der);
            self.0.len() - 1
        });
        at as u32
    }
}
