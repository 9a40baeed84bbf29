// SPDX-License-Identifier: Apache-2.0
//! Stores of certificates that are looked up by name.

use std::os::unix::fs::PermissionsExt;

use super::Compiler;
use crate::base::diagnostics::Severity;
use crate::config::CompileMode;
use crate::config::on_demand::CertificateStore;
use crate::key_process::supply::StoreSpec;
use crate::keys::store_pattern::{Pattern, StorePatterns};

impl Compiler {
    /// The number of the host's store; none if it has none.
    pub(super) fn store(&mut self, index: usize) -> Option<usize> {
        let said = self.hosts[index].policy.store.clone()?;
        let patterns = said.value?;
        if let Some(known) = self.stores.iter().position(|store| store.patterns == patterns) {
            return Some(known);
        }
        if self.builder.environment.mode != CompileMode::First {
            let all = std::iter::once(&patterns.certificate).chain(&patterns.key);
            for text in all.filter_map(problem_of) {
                let text = format!("TLSCertificateStore {text}");
                self.diagnostics
                    .report(Severity::Warning, index, Some(&said.origin), text);
            }
        }
        let keys = self.builder.process.key_process.get().filter(|keys| keys.is_on());
        self.stores.push(CertificateStore {
            number: keys.map(|keys| keys.store_number(&spec_of(&patterns))),
            patterns,
        });
        Some(self.stores.len() - 1)
    }
}

fn spec_of(patterns: &StorePatterns) -> StoreSpec {
    StoreSpec::Files {
        certificate: patterns.certificate.to_string(),
        key: patterns.key.as_ref().map(Pattern::to_string),
    }
}

/// What is wrong with the directory of a pattern.
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
