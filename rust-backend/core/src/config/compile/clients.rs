// SPDX-License-Identifier: Apache-2.0
//! Validation of the settings for client certificates.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::Compiler;
use crate::base::diagnostics::Severity;
use crate::base::directive::Located;
use crate::base::place::Place;
use crate::settings::ClientSettings;
use crate::trust::anchors::Report;
use crate::trust::ca_set::CaSet;
use crate::trust::client::verifier::{CaNames, ClientAuth, ClientAuthSpec, DEFAULT_DEPTH};
use crate::trust::client::verify_mode::HandshakeMode;
use crate::trust::path::Role;
use crate::trust::revocation::RevocationLists;

/// The paths of CRLs, and of the CAs that have signed them.
type ListsKey = (Vec<PathBuf>, Vec<Place>);

/// Objects that hosts share: each file is read once, even if several hosts use it.
#[derive(Default)]
pub(super) struct ClientAuths {
    auths: HashMap<ClientAuthSpec, Option<Arc<ClientAuth>>>,
    cas: HashMap<Vec<Place>, Option<Arc<CaSet>>>,
    lists: HashMap<ListsKey, Option<Arc<RevocationLists>>>,
}

impl ClientAuths {
    /// All sets of CAs, and all revocation lists, of the configuration.
    pub(super) fn into_parts(self) -> (Vec<Arc<CaSet>>, Vec<Arc<RevocationLists>>) {
        let cas = self.cas.into_values().flatten();
        (cas.collect(), self.lists.into_values().flatten().collect())
    }
}

impl Compiler {
    /// The verification of the host's clients: the inner `None` disables it, the outer `None` means that an error was
    /// reported.
    pub(super) fn client_auth(&mut self, index: usize) -> Option<Option<Arc<ClientAuth>>> {
        let clients = self.hosts[index].policy.clients.clone();
        let (host, somewhere) = clients.verify_modes();
        let Some(mode) = HandshakeMode::of(host, somewhere) else {
            return Some(None);
        };
        let takes_anybody = mode == HandshakeMode::OptionalNoCa || mode == (HandshakeMode::Ask { generous: true });
        let is_mod_ssls = self.hosts[index].is_mod_ssls;
        if clients.cas.is_empty() && !takes_anybody {
            let said = if host.asks() { &clients.mode } else { &clients.somewhere };
            let text = "TLSClientCertificate needs TLSClientCA: name the PEM file of the CA that issues the clients' certificates";
            // mod_ssl starts in this case, and then accepts no certificate.
            let severity = if is_mod_ssls {
                Severity::Warning
            } else {
                Severity::Error
            };
            self.report_said(severity, index, said.clone().as_ref(), text);
            if !is_mod_ssls {
                return None;
            }
        }
        let mut spec = spec(mode, &clients);
        spec.ocsp = self.ocsp_spec(index)?;
        self.check_fetching(index, &clients)?;
        if let Some(known) = self.client_auths.auths.get(&spec) {
            return known.clone().map(Some);
        }
        let made = self.make_client_auth(index, &clients, &spec);
        self.client_auths.auths.insert(spec, made.clone());
        made.map(Some)
    }

    fn make_client_auth(
        &mut self,
        index: usize,
        clients: &ClientSettings,
        spec: &ClientAuthSpec,
    ) -> Option<Arc<ClientAuth>> {
        let cas = self.cas(index, "TLSClientCA", &spec.cas, clients.cas.first())?;
        if cas.current().trust().is_empty() && !spec.cas.is_empty() {
            let text = "TLSClientCA has no certificate of a CA that can be trusted, see above";
            self.report_said(Severity::Error, index, clients.cas.first(), text);
            return None;
        }
        let hints = self.hints(index, clients, spec, &cas)?;
        let lists = match self.needs_lists(index, clients, spec) {
            Some(true) => Some(self.lists(index, clients, spec, &cas)?),
            Some(false) => None,
            None => return None,
        };
        let asks = spec.fetch.fetches || spec.ocsp.is_some();
        let asking = self.asking(asks);
        if spec.fetch.fetches {
            self.want_lists(&spec.fetch, &cas.current());
        }
        Some(Arc::new(ClientAuth::new(spec.clone(), cas, lists, hints, asking)))
    }

    fn needs_lists(&mut self, index: usize, clients: &ClientSettings, spec: &ClientAuthSpec) -> Option<bool> {
        match (&clients.crl_check, spec.crls.is_empty()) {
            (Some(said), true) if said.value.depth.is_some() && !spec.fetch.fetches => {
                let text = "TLSClientCRLCheck needs TLSClientCRL: name the file or the directory of the CA's revocation lists, or have \
                     them fetched with TLSClientRevocation";
                self.report_at(Severity::Error, index, said, text);
                None
            }
            (Some(said), nothing_there) if said.value.depth.is_none() && (clients.fetches() || !nothing_there) => {
                let lists = match nothing_there {
                    true => "TLSClientRevocation",
                    false => "TLSClientCRL",
                };
                let text = format!("TLSClientCRLCheck none: the revocation lists of {lists} are not used");
                self.report_at(Severity::Notice, index, said, text);
                Some(false)
            }
            (_, nothing_there) => Some(!nothing_there),
        }
    }

    pub(super) fn cas<T>(
        &mut self,
        index: usize,
        directive: &'static str,
        places: &[Place],
        said: Option<&Located<T>>,
    ) -> Option<Arc<CaSet>> {
        if let Some(known) = self.client_auths.cas.get(places) {
            return known.clone();
        }
        let mut report = Report::default();
        let cas = CaSet::load(directive, places, false, &mut report);
        for anchor in cas.current().list() {
            if anchor.validity.1 < self.now {
                report.warnings.push(format!(
                    "{}: the CA's certificate has expired: what it has issued will be refused until it is replaced",
                    anchor.file.display()
                ));
            }
        }
        let origin = said.map(|said| &said.origin);
        let usable = report.tell(&mut self.diagnostics, index, origin, &format!("{directive} "));
        let cas = usable.then(|| Arc::new(cas));
        self.client_auths.cas.insert(places.to_vec(), cas.clone());
        cas
    }

    /// The CAs whose names are sent to clients: the inner `None` means none, the outer `None` that an error was reported.
    fn hints(
        &mut self,
        index: usize,
        clients: &ClientSettings,
        spec: &ClientAuthSpec,
        cas: &Arc<CaSet>,
    ) -> Option<Option<Arc<CaSet>>> {
        let named = match &spec.names {
            CaNames::None => return Some(None),
            CaNames::Trusted => Arc::clone(cas),
            CaNames::Of(paths) => self.cas(index, "TLSClientCANames", paths, clients.names.as_ref())?,
        };
        if let Err(why) = named.tell_names() {
            self.report_said(Severity::Error, index, clients.cas.first(), &why);
            return None;
        }
        Some(Some(named))
    }

    fn lists(
        &mut self,
        index: usize,
        clients: &ClientSettings,
        spec: &ClientAuthSpec,
        cas: &Arc<CaSet>,
    ) -> Option<Arc<RevocationLists>> {
        let key = (spec.crls.clone(), spec.cas.clone());
        if let Some(known) = self.client_auths.lists.get(&key) {
            return known.clone();
        }
        let mut report = Report::default();
        let log_queue = &self.builder.process.log_queue;
        let lists = RevocationLists::load(&spec.crls, Role::Client, cas, log_queue, self.now, &mut report);
        let origin = clients.crls.first().map(|said| &said.origin);
        let usable = report.tell(&mut self.diagnostics, index, origin, "");
        let lists = usable.then(|| Arc::new(lists));
        self.client_auths.lists.insert(key, lists.clone());
        lists
    }

    fn report_said<T>(&mut self, severity: Severity, index: usize, said: Option<&Located<T>>, text: &str) {
        self.diagnostics
            .report(severity, index, said.map(|said| &said.origin), text);
    }
}

fn spec(mode: HandshakeMode, clients: &ClientSettings) -> ClientAuthSpec {
    fn values<T: Clone>(said: &[Located<T>]) -> Vec<T> {
        said.iter().map(|said| said.value.clone()).collect()
    }
    let usual_depth = clients.depth.unwrap_or(DEFAULT_DEPTH);
    let crl_check = clients.crl_check.as_ref().map(|said| said.value).unwrap_or_default();
    let fetch = clients.fetch_lists.as_ref().filter(|_| crl_check.depth.is_some());
    ClientAuthSpec {
        mode,
        cas: values(&clients.cas),
        names: clients
            .names
            .as_ref()
            .map_or(CaNames::Trusted, |said| said.value.clone()),
        depth: usual_depth.max(clients.depth_somewhere.unwrap_or_default()),
        usual_depth,
        crls: values(&clients.crls),
        crl_check,
        fetch: fetch.map(|said| said.value.clone()).unwrap_or_default(),
        ocsp: None,
    }
}
