// SPDX-License-Identifier: Apache-2.0
//! Stores of certificates that are looked up by name.

use std::os::unix::fs::PermissionsExt;

use super::Compiler;
use crate::base::diagnostics::Severity;
use crate::base::file_reading::{self, Exposure, FileError};
use crate::config::CompileMode;
use crate::config::on_demand::CertificateStore;
use crate::key_process::suppliers::KnownStore;
use crate::key_process::supply::{RedisSpec, StoreSpec};
use crate::keys::store_pattern::{Pattern, StorePatterns};
use crate::keys::store_source::{RedisAddress, StoreSource};

impl Compiler {
    /// The number of the host's store; none if it has none.
    pub(super) fn store(&mut self, index: usize) -> Option<usize> {
        let said = self.hosts[index].policy.store.clone()?;
        let source = said.value?;
        if let Some(known) = self.stores.iter().position(|store| store.source == source) {
            return Some(known);
        }
        let mut problems = Vec::new();
        if self.builder.environment.mode != CompileMode::First {
            problems = match &source {
                StoreSource::Files(patterns) => problems_of(patterns),
                StoreSource::Redis(address) => self.problems_of_address(address),
            };
        }
        let known = match known(&source) {
            Ok(known) => Some(known),
            Err(why) => {
                problems.push((Severity::Error, why));
                None
            }
        };
        for (severity, text) in problems {
            let text = format!("TLSCertificateStore {text}");
            self.diagnostics.report(severity, index, Some(&said.origin), text);
        }
        let keys = self.builder.process.key_process.get().filter(|keys| keys.is_on());
        let number = keys.zip(known).map(|(keys, known)| keys.store_number(&known));
        self.stores.push(CertificateStore { source, number });
        Some(self.stores.len() - 1)
    }

    fn problems_of_address(&self, address: &RedisAddress) -> Vec<(Severity, String)> {
        let mut problems = Vec::new();
        if self.key_program().is_none() {
            let text =
                format!("{address}: private keys there are unsealed by tls-keyd alone, and TLSKeyProcess is off");
            problems.push((Severity::Error, text));
        }
        match Exposure::of_file(&address.sealing_key) {
            Ok(exposure) => {
                let about = exposure.about(&address.sealing_key, "unseal all private keys");
                problems.extend(about.map(|text| (Severity::Warning, text)));
            }
            Err(error) => {
                let path = address.sealing_key.clone();
                problems.push((Severity::Error, FileError { path, error }.to_string()));
            }
        }
        problems
    }
}

/// A store as `tls-keyd` is told of it. The error says which file cannot be read.
fn known(source: &StoreSource) -> Result<KnownStore, String> {
    Ok(match source {
        StoreSource::Files(patterns) => KnownStore {
            spec: StoreSpec::Files {
                certificate: patterns.certificate.to_string(),
                key: patterns.key.as_ref().map(Pattern::to_string),
            },
            sealing_keys: None,
        },
        StoreSource::Redis(address) => {
            let ca = address.ca.as_deref().map(file_reading::read).transpose();
            let ca = ca.map_err(|error| error.to_string())?;
            KnownStore {
                spec: StoreSpec::Redis(RedisSpec {
                    url: address.url.clone(),
                    ca: ca.map(|ca| ca.to_vec()),
                }),
                sealing_keys: Some(address.sealing_key.clone()),
            }
        }
    })
}

/// What is wrong with the directories of patterns.
fn problems_of(patterns: &StorePatterns) -> Vec<(Severity, String)> {
    let all = std::iter::once(&patterns.certificate).chain(&patterns.key);
    let texts = all.filter_map(problem_of);
    texts.map(|text| (Severity::Warning, text)).collect()
}

fn problem_of(pattern: &Pattern) -> Option<String> {
    const OTHERS_WRITE: u32 = 0o002;
    let path = pattern.fixed_directory();
    let directory = path.display();
    match path.metadata() {
        Err(error) => Some(format!(
            "{pattern}: {directory}: {error}: no certificate will be found until it is there"
        )),
        Ok(found) if !found.is_dir() => Some(format!("{pattern}: {directory} is no directory")),
        Ok(found) if found.permissions().mode() & OTHERS_WRITE != 0 => Some(format!(
            "{pattern}: every user can write to {directory}, and so have a certificate used: chmod o-w {directory}"
        )),
        Ok(_) => None,
    }
}
