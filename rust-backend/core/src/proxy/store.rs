// SPDX-License-Identifier: Apache-2.0
//! Blocks, what their files hold, and the profiles of chains of them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::profile::{Parts, ProxyProfile};
use super::settings::{CaSource, ProxySettings};
use crate::clock::unix_now;
use crate::compile::suites::{self, SuiteSettings};
use crate::diagnostics::{Diagnostics, Severity};
use crate::identity::{Identity, IdentityFiles};
use crate::process::Process;
use crate::protocol::Protocols;
use crate::settings::Said;
use crate::trust::anchors::{Anchors, Report};
use crate::trust::path::{Policy, Role};
use crate::trust::revocation::{CrlCheck, RevocationLists};

/// The lists of files and directories that CRLs and the CAs that signed them are in.
type ListsKey = (Vec<PathBuf>, CaSource);

/// All that configurations say about backends.
#[derive(Debug)]
pub struct ProxyStore {
    process: Arc<Process>,
    blocks: Vec<ProxySettings>,
    /// What was made so far: while httpd starts, all that is known to be needed; later only what nobody could foresee.
    made: Mutex<Made>,
}

#[derive(Debug, Default)]
struct Made {
    anchors: HashMap<CaSource, Option<Arc<Anchors>>>,
    identities: HashMap<IdentityFiles, Option<Arc<Identity>>>,
    lists: HashMap<ListsKey, Option<Arc<RevocationLists>>>,
    profiles: HashMap<Vec<usize>, Option<Arc<ProxyProfile>>>,
    /// The same by what the chain says, wherever it says so: connections may serve all who would make the same ones.
    by_content: HashMap<String, Option<Arc<ProxyProfile>>>,
}

impl ProxyStore {
    /// A store of blocks of which nothing was made yet.
    pub fn new(process: Arc<Process>, blocks: Vec<ProxySettings>) -> Self {
        Self {
            process,
            blocks,
            made: Mutex::default(),
        }
    }

    /// What the blocks of `chain`, the outermost first, say together.
    pub fn settings(&self, chain: &[usize]) -> ProxySettings {
        chain
            .iter()
            .filter_map(|block| self.blocks.get(*block))
            .fold(ProxySettings::default(), |outer, inner| inner.inherit(&outer))
    }

    /// Whether connections that are made where `chain` holds are such as would be made where `other` does. Nothing is read
    /// or made for the answer.
    pub fn agree(&self, chain: &[usize], other: &[usize]) -> bool {
        chain == other || self.settings(chain).content() == self.settings(other).content()
    }

    /// The profile of `chain`; none if it cannot be made, which was reported when it was tried first.
    pub fn profile(&self, chain: &[usize], index: usize, diagnostics: &mut Diagnostics) -> Option<Arc<ProxyProfile>> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = made.profiles.get(chain) {
            return known.clone();
        }
        let settings = self.settings(chain);
        let content = settings.content();
        if let Some(known) = made.by_content.get(&content).cloned() {
            made.profiles.insert(chain.to_vec(), known.clone());
            return known;
        }
        let mut maker = Maker {
            store: self,
            made: &mut made,
            diagnostics,
            index,
        };
        let profile = maker.make(&settings).map(Arc::new);
        made.profiles.insert(chain.to_vec(), profile.clone());
        made.by_content.insert(content, profile.clone());
        profile
    }

    /// Reads revocation lists that have changed.
    pub fn refresh(&self, now: i64) {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.lists.values().flatten().for_each(|lists| lists.refresh(now));
    }
}

struct Maker<'a> {
    store: &'a ProxyStore,
    made: &'a mut Made,
    diagnostics: &'a mut Diagnostics,
    index: usize,
}

impl Maker<'_> {
    fn report<T>(&mut self, severity: Severity, said: Option<&Said<T>>, text: &str) {
        self.diagnostics
            .report(severity, self.index, said.map(|said| &said.origin), text);
    }

    fn make(&mut self, settings: &ProxySettings) -> Option<ProxyProfile> {
        let mut protocols = settings
            .protocols
            .as_ref()
            .map_or_else(Protocols::default, |said| said.value);
        let words = SuiteSettings {
            prefix: "TLSProxy",
            prefer: &settings.prefer,
            suppress: &settings.suppress,
        };
        let suites = suites::arrange(self.diagnostics, self.index, &words, &mut protocols)?;
        let policy = match settings.verifies() {
            true => Some(self.policy(settings)?),
            false => {
                let text = "TLSProxyVerify none: whoever answers is taken for the backend, and can read and change \
                            everything; name its CA with TLSProxyCA instead";
                self.report(Severity::Warning, settings.verify.as_ref(), text);
                None
            }
        };
        let identities: Vec<_> = settings.identities.iter().map(|said| self.identity(said)).collect();
        let parts = Parts {
            protocols,
            suites,
            policy,
            check_name: settings.check_name.unwrap_or(true),
            identities: identities.into_iter().collect::<Option<Vec<_>>>()?,
        };
        match ProxyProfile::new(parts) {
            Ok(profile) => Some(profile),
            Err(error) => {
                let text = format!("the TLSProxy settings cannot be used: {error}");
                self.report(Severity::Error, settings.engine.as_ref(), &text);
                None
            }
        }
    }

    fn policy(&mut self, settings: &ProxySettings) -> Option<Policy> {
        let anchors = self.anchors(settings)?;
        let lists = match settings.crls.is_empty() {
            true => None,
            false => Some(self.lists(settings, &anchors)?),
        };
        Some(Policy {
            role: Role::Backend,
            anchors,
            depth: usize::MAX,
            lists,
            crl_check: CrlCheck::default(),
        })
    }

    fn anchors(&mut self, settings: &ProxySettings) -> Option<Arc<Anchors>> {
        let source = settings.ca_source();
        if let Some(known) = self.made.anchors.get(&source) {
            return known.clone();
        }
        let mut report = Report::default();
        let anchors = Anchors::load_with_system(&source.paths, source.system, &mut report);
        if anchors.trust().is_empty() && report.errors.is_empty() {
            report.errors.push(
                "there is no CA to verify backends by: name a PEM file, or install the platform's certificates (Debian: \
                 ca-certificates)"
                    .to_owned(),
            );
        }
        let origin = settings.ca.as_ref().map(|said| &said.origin);
        let origin = origin.or(settings.engine.as_ref().map(|said| &said.origin));
        let usable = report.tell(self.diagnostics, self.index, origin, "TLSProxyCA ");
        let anchors = usable.then(|| Arc::new(anchors));
        self.made.anchors.insert(source, anchors.clone());
        anchors
    }

    fn lists(&mut self, settings: &ProxySettings, anchors: &Arc<Anchors>) -> Option<Arc<RevocationLists>> {
        let paths: Vec<_> = settings.crls.iter().map(|said| said.value.clone()).collect();
        let key = (paths, settings.ca_source());
        if let Some(known) = self.made.lists.get(&key) {
            return known.clone();
        }
        let mut report = Report::default();
        let journal = &self.store.process.journal;
        let lists = RevocationLists::load(&key.0, Role::Backend, anchors, journal, unix_now(), &mut report);
        let origin = settings.crls.first().map(|said| &said.origin);
        let usable = report.tell(self.diagnostics, self.index, origin, "");
        let lists = usable.then(|| Arc::new(lists));
        self.made.lists.insert(key, lists.clone());
        lists
    }

    fn identity(&mut self, said: &Said<IdentityFiles>) -> Option<Arc<Identity>> {
        if let Some(known) = self.made.identities.get(&said.value) {
            return known.clone();
        }
        let loaded = match self.store.process.identities.load(&said.value) {
            Ok(identity) => Some(identity),
            Err(error) => {
                let text = format!("TLSProxyMachineCertificate {error}");
                self.report(Severity::Error, Some(said), &text);
                None
            }
        };
        self.made.identities.insert(said.value.clone(), loaded.clone());
        loaded
    }
}
