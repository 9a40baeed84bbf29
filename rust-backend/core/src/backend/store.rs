// SPDX-License-Identifier: Apache-2.0
//! Blocks of `TLSProxy…` directives, the contents of their files, and the profiles of chains of blocks.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::machines::{MachineSet, Machines};
use super::profile::{Parts, ProxyProfile};
use crate::base::clock::unix_now;
use crate::base::diagnostics::{Diagnostics, Severity};
use crate::base::directive::Located;
use crate::base::lock::lock;
use crate::crypto::protocol::Protocols;
use crate::key_process::protocol::Purpose;
use crate::keys::identity::{Identity, IdentityFiles};
use crate::keys::unlock::Unlock;
use crate::process::Process;
use crate::settings::backend::{BackendCheck, CaSource, ProxySettings};
use crate::settings::suites::{self, SuiteSettings};
use crate::trust::anchors::Report;
use crate::trust::ca_set::CaSet;
use crate::trust::client::verifier::Asking;
use crate::trust::path::{Policy, Role};
use crate::trust::revocation::RevocationLists;

/// The paths of CRLs, and the CAs that have signed them.
type ListsKey = (Vec<PathBuf>, CaSource);

/// The file or directory of certificates with their keys, and the file of further intermediate certificates.
type MachineKey = (PathBuf, Option<PathBuf>);

/// All settings for backends of a configuration.
#[derive(Debug)]
pub struct ProxyStore {
    process: Arc<Process>,
    blocks: Vec<ProxySettings>,
    /// Whether certificates in tokens are left out, in a test.
    leaves_tokens_out: bool,
    /// How revocation lists are fetched.
    asking: Asking,
    /// Objects that were built so far: at startup those for all foreseeable chains, later those for other chains.
    made: Mutex<Made>,
}

#[derive(Debug, Default)]
struct Made {
    cas: HashMap<CaSource, Option<Arc<CaSet>>>,
    identities: HashMap<IdentityFiles, Option<Arc<Identity>>>,
    machines: HashMap<MachineKey, Option<Arc<MachineSet>>>,
    lists: HashMap<ListsKey, Option<Arc<RevocationLists>>>,
    profiles: HashMap<Vec<usize>, Option<Arc<ProxyProfile>>>,
    /// Profiles by the content of their settings: connections are shared by all chains with equal settings.
    by_content: HashMap<String, Option<Arc<ProxyProfile>>>,
}

impl ProxyStore {
    /// A store of `blocks` without any profiles.
    pub fn new(process: Arc<Process>, blocks: Vec<ProxySettings>) -> Self {
        Self {
            process,
            blocks,
            leaves_tokens_out: false,
            asking: Asking::default(),
            made: Mutex::default(),
        }
    }

    /// The certificates for backends that were read so far.
    pub(crate) fn made_identities(&self) -> Vec<Arc<Identity>> {
        let one = |identity: &Arc<Identity>| Machines::One(Arc::clone(identity));
        let identities: Vec<_> = self.made().identities.values().flatten().map(one).collect();
        let sets = self.machine_sets().into_iter().map(Machines::Set);
        sets.chain(identities).flat_map(|machines| machines.current()).collect()
    }

    /// The files and directories of certificates that were read so far.
    pub(crate) fn machine_sets(&self) -> Vec<Arc<MachineSet>> {
        self.made().machines.values().flatten().cloned().collect()
    }

    /// The sets of CAs that were read so far.
    pub(crate) fn ca_sets(&self) -> Vec<Arc<CaSet>> {
        self.made().cas.values().flatten().cloned().collect()
    }

    fn made(&self) -> MutexGuard<'_, Made> {
        lock(&self.made)
    }

    /// Leaves certificates in tokens out: a test does not look at them.
    pub(crate) fn leave_tokens_out(&mut self) {
        self.leaves_tokens_out = true;
    }

    /// Whether revocation lists are fetched.
    pub(crate) fn fetches_lists(&self) -> bool {
        self.blocks.iter().any(|block| block.fetched_lists().is_some())
    }

    /// The URLs of lists that are named.
    pub(crate) fn list_urls(&self) -> impl Iterator<Item = &String> {
        self.blocks
            .iter()
            .filter_map(ProxySettings::fetched_lists)
            .flat_map(|check| &check.urls)
    }

    /// The CAs that were read for these settings.
    pub(crate) fn cas_of(&self, settings: &ProxySettings) -> Option<Arc<CaSet>> {
        lock(&self.made).cas.get(&settings.ca_source()).cloned().flatten()
    }

    /// Has revocation lists fetched by `asking`.
    pub(crate) fn ask_by(&mut self, asking: Asking) {
        self.asking = asking;
    }

    /// The files of the certificates that are named with their keys.
    pub(crate) fn identity_files(&self) -> impl Iterator<Item = IdentityFiles> {
        self.blocks
            .iter()
            .flat_map(|block| &block.identities)
            .map(|said| said.value.clone())
    }

    /// The merged settings of the blocks in `chain`, the outermost first.
    pub fn settings(&self, chain: &[usize]) -> ProxySettings {
        chain
            .iter()
            .filter_map(|block| self.blocks.get(*block))
            .fold(ProxySettings::default(), |outer, inner| inner.inherit(&outer))
    }

    /// Whether the settings of `chain` and `other` are equal, so that they can share connections. This reads no files
    /// and builds no profile.
    pub fn agree(&self, chain: &[usize], other: &[usize]) -> bool {
        chain == other || self.settings(chain).content() == self.settings(other).content()
    }

    /// The profile of `chain`. None if it cannot be built; the reason was reported at the first attempt.
    pub fn profile(&self, chain: &[usize], index: usize, diagnostics: &mut Diagnostics) -> Option<Arc<ProxyProfile>> {
        let mut made = self.made();
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

    /// Reloads changed revocation lists.
    pub fn refresh(&self, now: i64) {
        let made = self.made();
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
    fn report<T>(&mut self, severity: Severity, said: Option<&Located<T>>, text: &str) {
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
            only: &settings.only_suites,
            is_mod_ssls: settings.is_mod_ssls == Some(true),
        };
        let suites = suites::arrange(self.diagnostics, self.index, &words, &mut protocols)?;
        let check = settings.check();
        let policy = match check {
            BackendCheck::Required => Some(self.policy(settings)?),
            BackendCheck::AnyCa | BackendCheck::None => {
                self.warn_of_trust(settings);
                match check {
                    BackendCheck::AnyCa => Some(self.policy(settings)?),
                    _ => None,
                }
            }
        };
        let leaves_tokens_out = self.store.leaves_tokens_out;
        let is_looked_at = |said: &&Located<IdentityFiles>| !(leaves_tokens_out && said.value.is_in_token());
        let looked_at = settings.identities.iter().filter(is_looked_at);
        let identities: Vec<_> = looked_at.map(|said| self.identity(said)).collect();
        let identities = identities.into_iter().collect::<Option<Vec<_>>>()?;
        let mut machines: Vec<_> = identities.into_iter().map(Machines::One).collect();
        machines.extend(self.machine_sets(settings)?.into_iter().map(Machines::Set));
        let parts = Parts {
            protocols,
            suites,
            policy,
            any_ca: check == BackendCheck::AnyCa,
            check_name: settings.name_check(),
            check_expiry: settings.checks_expiry(),
            machines,
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

    /// Warns if backends are not verified.
    fn warn_of_trust(&mut self, settings: &ProxySettings) {
        let origin = settings.verify.as_ref().map(|said| &said.origin);
        let origin = origin.or(settings.engine.as_ref().map(|said| &said.origin));
        let is_default = settings.verify.is_none();
        let text = format!(
            "TLSProxyVerify {}: any server that answers is accepted as the backend, and can read and change all data; \
             name its CA with TLSProxyCA instead{}",
            if settings.check() == BackendCheck::None {
                "none"
            } else {
                "optional_no_ca"
            },
            if is_default {
                ", and set SSLProxyVerify require (none is the default)"
            } else {
                ""
            },
        );
        self.diagnostics.report(Severity::Warning, self.index, origin, text);
    }

    /// The certificates for backends from mod_ssl's directives.
    fn machine_sets(&mut self, settings: &ProxySettings) -> Option<Vec<Arc<MachineSet>>> {
        let chain = settings.machine_chain.as_ref().map(|said| said.value.as_path());
        let mut sets = Vec::new();
        for said in settings.machine_certificates.list() {
            let key = (said.value.clone(), chain.map(Path::to_owned));
            let read = match self.made.machines.get(&key) {
                Some(known) => known.clone(),
                None => {
                    let read = self.machine_set(&said, chain);
                    self.made.machines.insert(key, read.clone());
                    read
                }
            };
            sets.push(read?);
        }
        Some(sets)
    }

    fn machine_set(&mut self, said: &Located<PathBuf>, chain: Option<&Path>) -> Option<Arc<MachineSet>> {
        let reader = self.store.process.key_reader(Purpose::Client, true);
        match MachineSet::new(&said.value, chain, &reader) {
            Ok(set) => {
                let identities = set.current();
                for text in identities.iter().filter_map(|one| one.key_warning(&one.only_file())) {
                    self.report(Severity::Warning, Some(said), &text);
                }
                Some(Arc::new(set))
            }
            Err(error) => {
                let text = format!("TLSProxyMachineCertificate {error}");
                self.report(Severity::Error, Some(said), &text);
                None
            }
        }
    }

    fn policy(&mut self, settings: &ProxySettings) -> Option<Policy> {
        let cas = self.cas(settings)?;
        let crl_check = settings.crl_check();
        let fetched = settings
            .fetched_lists()
            .map(|check| Arc::new(self.store.asking.lists(check, Role::Backend)));
        let lists = match (crl_check.depth.is_some(), settings.crl_files().is_empty()) {
            (true, false) => Some(self.lists(settings, &cas)?),
            (true, true) if settings.crl_check.is_some() && fetched.is_none() => {
                let text = "SSLProxyCARevocationCheck needs SSLProxyCARevocationFile or SSLProxyCARevocationPath";
                self.report(Severity::Error, settings.crl_check.as_ref(), text);
                return None;
            }
            _ => None,
        };
        Some(Policy {
            role: Role::Backend,
            cas,
            depth: settings.max_depth(),
            lists,
            crl_check,
            fetched,
            ocsp: None,
        })
    }

    fn cas(&mut self, settings: &ProxySettings) -> Option<Arc<CaSet>> {
        let source = settings.ca_source();
        if let Some(known) = self.made.cas.get(&source) {
            return known.clone();
        }
        let mut report = Report::default();
        let cas = CaSet::load("TLSProxyCA", &source.paths, source.system, &mut report);
        let problems = match settings.check() {
            // mod_ssl starts without any CA, and then trusts no backend.
            BackendCheck::Required if settings.is_mod_ssls == Some(true) => &mut report.warnings,
            BackendCheck::AnyCa => &mut Vec::new(),
            _ => &mut report.errors,
        };
        if cas.current().trust().is_empty() && problems.is_empty() {
            problems.push(
                "there is no CA to verify backends by: name a PEM file, or install the platform's certificates (Debian: \
                 ca-certificates)"
                    .to_owned(),
            );
        }
        let origin = settings.ca_origin();
        let origin = origin.or(settings.engine.as_ref().map(|said| said.origin.clone()));
        let usable = report.tell(self.diagnostics, self.index, origin.as_ref(), "TLSProxyCA ");
        let cas = usable.then(|| Arc::new(cas));
        self.made.cas.insert(source, cas.clone());
        cas
    }

    fn lists(&mut self, settings: &ProxySettings, cas: &Arc<CaSet>) -> Option<Arc<RevocationLists>> {
        let files = settings.crl_files();
        let paths: Vec<_> = files.iter().map(|said| said.value.clone()).collect();
        let key = (paths, settings.ca_source());
        if let Some(known) = self.made.lists.get(&key) {
            return known.clone();
        }
        let mut report = Report::default();
        let log_queue = &self.store.process.log_queue;
        let lists = RevocationLists::load(&key.0, Role::Backend, cas, log_queue, unix_now(), &mut report);
        let origin = files.first().map(|said| &said.origin);
        let usable = report.tell(self.diagnostics, self.index, origin, "");
        let lists = usable.then(|| Arc::new(lists));
        self.made.lists.insert(key, lists.clone());
        lists
    }

    fn identity(&mut self, said: &Located<IdentityFiles>) -> Option<Arc<Identity>> {
        if let Some(known) = self.made.identities.get(&said.value) {
            return known.clone();
        }
        let process = &self.store.process;
        let reader = process.key_reader(Purpose::Client, true);
        let loaded = match process.backend_identities.load(&said.value, &reader, &Unlock::Nobody) {
            Ok(identity) => {
                if let Some(text) = identity.key_warning(&said.value) {
                    self.report(Severity::Warning, Some(said), &text);
                }
                Some(identity)
            }
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
