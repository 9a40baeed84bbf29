// SPDX-License-Identifier: Apache-2.0
//! Selection and validation of the certificates of hosts.

use std::sync::Arc;

use rustls::SignatureAlgorithm;

use super::Compiler;
use crate::base::diagnostics::Severity;
use crate::base::directive::Located;
use crate::base::place::Place;
use crate::config::CompileMode;
use crate::key_process::protocol::Purpose;
use crate::keys::identity::{Identity, IdentityError, IdentityFiles};
use crate::keys::pass_phrase::Dialog;
use crate::keys::unlock::{Asker, Unlock};

/// The certificates of a host.
pub(super) enum Identities {
    /// Certificates that are configured, or provided by another module.
    Own(Vec<Arc<Identity>>),
    /// The keys are encrypted or in tokens, and a test does not look at them.
    Locked,
    /// There are none.
    None,
}

/// Why a certificate is not available.
enum Missing {
    /// An error was reported.
    Reported,
    /// The key is encrypted or in a token, and a test asks for no pass phrase.
    Locked,
}

type Loaded = Result<Arc<Identity>, Missing>;

impl Compiler {
    /// The certificates of a host. Certificates from another module replace the configured ones. None if one cannot be
    /// used.
    pub(super) fn identities(&mut self, index: usize) -> Option<Identities> {
        let supplied = std::mem::take(&mut self.builder.servers[index].supplied);
        let named = self.hosts[index].files.pairs();
        let configured = self.hosts[index].certificates.clone();
        let is_supplied = !supplied.is_empty();
        let is_mod_ssls = !is_supplied && !named.is_empty();
        let loaded: Vec<Loaded> = if is_supplied {
            supplied.iter().map(|files| self.load(index, 0, files, None)).collect()
        } else {
            let all = named.iter().chain(&configured).enumerate();
            all.map(|(number, said)| self.load(index, number, &said.value, Some(said)))
                .collect()
        };
        let locked = loaded.iter().any(|one| matches!(one, Err(Missing::Locked)));
        let mut identities = Vec::new();
        for one in loaded {
            match one {
                Ok(identity) => identities.push(identity),
                Err(Missing::Locked) => {}
                Err(Missing::Reported) => return None,
            }
        }
        if is_mod_ssls {
            identities = last_of_each_kind(identities)
                .into_iter()
                .map(|identity| self.with_issuers(index, identity))
                .collect();
        }
        // Certificates from other modules have no order of preference, and mod_ssl does not define one.
        if is_supplied || is_mod_ssls {
            identities.sort_by_key(|identity| identity.algorithm() == SignatureAlgorithm::RSA);
        }
        match (identities.is_empty(), locked) {
            (true, true) => Some(Identities::Locked),
            (true, false) => Some(Identities::None),
            (false, _) => Some(Identities::Own(identities)),
        }
    }

    /// Adds missing intermediate certificates from the CAs for client certificates, as OpenSSL does.
    fn with_issuers(&mut self, index: usize, identity: Arc<Identity>) -> Arc<Identity> {
        let cas = self.hosts[index].policy.clients.cas.clone();
        if cas.is_empty() || identity.has_issuers() {
            return identity;
        }
        let places: Vec<Place> = cas.iter().map(|said| said.value.clone()).collect();
        let key = (identity.id(), places);
        if let Some(known) = self.completed.get(&key) {
            return Arc::clone(known);
        }
        let found = self.cas(index, "TLSClientCA", &key.1, cas.first());
        let completed = found.and_then(|cas| identity.completed(&cas.current()));
        let completed = completed.map_or(identity, Arc::new);
        self.completed.insert(key, Arc::clone(&completed));
        completed
    }

    /// Loads certificate `number` of a host.
    fn load(
        &mut self,
        index: usize,
        number: usize,
        files: &IdentityFiles,
        said: Option<&Located<IdentityFiles>>,
    ) -> Loaded {
        let origin = said.map(|said| &said.origin);
        let process = Arc::clone(&self.builder.process);
        let server = self.key_owner(index);
        let dialog = self.dialog(index);
        let asker = dialog.map(|dialog| Asker {
            known: &process.pass_phrases,
            dialogs: &process.dialogs,
            dialog,
            server,
            number,
        });
        let unlock = asker.as_ref().map_or(Unlock::Nobody, Unlock::Ask);
        // A test must find all errors.
        let is_test = self.builder.environment.mode == CompileMode::Test;
        let loaded = process
            .identities
            .load(files, &process.key_reader(Purpose::Server, is_test), &unlock);
        let file = loaded.as_ref().map_or(&files.certificate, |identity| identity.source());
        self.certificate_files.push(Arc::clone(file));
        match loaded {
            Ok(identity) => {
                let mut problems: Vec<String> = identity.validity_problem(self.now).into_iter().collect();
                // Thousands of hosts may use the same certificate.
                if self.warned.insert(Arc::clone(identity.source())) {
                    problems.extend(identity.warnings(files));
                }
                for text in problems {
                    self.diagnostics.report(Severity::Warning, index, origin, text);
                }
                Ok(identity)
            }
            Err(IdentityError::EncryptedKey(_)) if is_test && self.hosts[index].is_mod_ssls => Err(Missing::Locked),
            // `tls-keyd` would have to be started to look at it.
            Err(IdentityError::InToken(_)) if self.leaves_tokens_out() => Err(Missing::Locked),
            Err(error) => {
                let text = match said {
                    Some(_) => format!("TLSCertificate {error}"),
                    None => format!("certificate of {}: {error}", self.describe(index)),
                };
                self.diagnostics.report(Severity::Error, index, origin, text);
                Err(Missing::Reported)
            }
        }
    }

    /// Whether this is a test of a configuration whose keys in tokens `tls-keyd` uses, which a test does not start.
    pub(super) fn leaves_tokens_out(&self) -> bool {
        self.builder.environment.mode == CompileMode::Test && self.key_program().is_some()
    }

    /// The source of pass phrases for a host's keys. None in a test.
    fn dialog(&self, index: usize) -> Option<Dialog> {
        let is_asked = self.hosts[index].is_mod_ssls && self.builder.environment.mode != CompileMode::Test;
        let said = self.global.pass_phrases.as_ref();
        is_asked.then(|| said.map(|said| said.value.clone()).unwrap_or_default())
    }

    /// mod_ssl's name of a host in pass phrase dialogs.
    fn key_owner(&self, index: usize) -> String {
        let server = &self.builder.servers[index];
        let is_on = self.hosts[index].engine.as_ref().is_some_and(|said| said.value);
        let port = match (server.port, is_on) {
            (0, true) => 443,
            (0, false) => 80,
            (port, _) => port,
        };
        format!("{}:{port}", server.name)
    }

    /// The certificate of a host without a configured one.
    pub(super) fn stopgaps(&mut self, index: usize) -> Option<Vec<Arc<Identity>>> {
        let supplied = std::mem::take(&mut self.builder.servers[index].stopgaps);
        if !supplied.is_empty() {
            let loaded: Vec<_> = supplied.iter().map(|files| self.load(index, 0, files, None)).collect();
            return loaded.into_iter().collect::<Result<_, _>>().ok();
        }
        // In a test, mod_md does not yet know which hosts it manages.
        let may_be_supplied =
            self.builder.environment.mode == CompileMode::Test && self.builder.environment.has_supplier;
        if self.hosts[index].is_mod_ssls && !may_be_supplied {
            let text = format!(
                "{} has SSLEngine on and no certificate: give it SSLCertificateFile and SSLCertificateKeyFile",
                self.describe(index)
            );
            let engine = self.hosts[index].engine.clone();
            self.diagnostics
                .report(Severity::Error, index, engine.as_ref().map(|said| &said.origin), text);
            return None;
        }
        let is_known_to_lack = !(self.hosts[index].is_mod_ssls && may_be_supplied);
        if is_known_to_lack && (index != 0 || !self.base_is_hidden()) {
            let text = format!(
                "{} is on a TLS port but has no certificate: its requests will be answered with 503; give it a \
                 TLSCertificate",
                self.describe(index)
            );
            // Connections that no virtual host accepts reach the base server; there may be none.
            let severity = if index == 0 {
                Severity::Notice
            } else {
                Severity::Warning
            };
            self.report(severity, index, text);
        }
        let stopgap = self.builder.process.stopgap();
        if stopgap.is_none() {
            self.report(
                Severity::Error,
                index,
                "a certificate for hosts without one cannot be made",
            );
        }
        Some(vec![stopgap?])
    }
}

/// The last certificate of each kind of key, as in mod_ssl.
fn last_of_each_kind(identities: Vec<Arc<Identity>>) -> Vec<Arc<Identity>> {
    let mut kept: Vec<Arc<Identity>> = Vec::new();
    for identity in identities {
        kept.retain(|other| other.algorithm() != identity.algorithm());
        kept.push(identity);
    }
    kept
}
