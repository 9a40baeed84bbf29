// SPDX-License-Identifier: Apache-2.0
//! The profiles of hosts. Hosts with equal settings share one.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::Compiler;
use crate::base::diagnostics::Severity;
use crate::settings::suites::{self, SuiteSettings};
use crate::site::profile::{Profile, ProfileSpec, Resumption};

impl Compiler {
    /// The profile of a host. None if an error was reported.
    pub(super) fn profile(&mut self, index: usize, resumption: &Resumption) -> Option<Arc<Profile>> {
        let host = &self.hosts[index];
        let key = (host.policy.id(), host.is_mod_ssls);
        if let Some(known) = self.profiles_by_policy.get(&key) {
            return Some(Arc::clone(known));
        }
        let messages = self.diagnostics.list().len();
        let profile = self.make_profile(index, resumption)?;
        // Messages must be reported for each host.
        if self.diagnostics.list().len() == messages {
            self.profiles_by_policy.insert(key, Arc::clone(&profile));
        }
        Some(profile)
    }

    fn make_profile(&mut self, index: usize, resumption: &Resumption) -> Option<Arc<Profile>> {
        let mut protocols = self.protocols(index)?;
        let host = &self.hosts[index];
        let words = SuiteSettings {
            prefix: "TLS",
            prefer: &host.policy.prefer,
            suppress: &host.policy.suppress,
            only: &host.policy.only_suites,
            is_mod_ssls: host.is_mod_ssls,
        };
        let mut suites = suites::arrange(&mut self.diagnostics, index, &words, &mut protocols)?;
        let groups = host
            .policy
            .groups
            .arrange(&mut self.diagnostics, index, &mut protocols)?;
        let client_auth = self.client_auth(index)?;
        let sessions = self.sessions(index, client_auth.is_some(), protocols.tls13);
        let host = &self.hosts[index];
        let suite_order = host.suite_order();
        suite_order.sort(&mut suites);
        let spec = ProfileSpec {
            protocols,
            suites: suites.iter().map(|suite| suite.suite().into()).collect(),
            suite_order,
            groups: groups.iter().map(|group| group.name().into()).collect(),
            preferred_groups: host.policy.groups.preferred(&groups, suite_order),
            max_fragment: host.policy.max_fragment,
            compression: host.policy.compression.unwrap_or(true),
            sessions,
            signatures: host
                .policy
                .signatures
                .iter()
                .flat_map(|said| &said.value)
                .map(|scheme| u16::from(*scheme))
                .collect(),
            ticket_key_file: self.ticket_key_file(index),
            client_auth: client_auth.as_ref().map(|auth| auth.spec.clone()),
        };
        match self.profiles.entry(spec) {
            Entry::Occupied(known) => Some(Arc::clone(known.get())),
            Entry::Vacant(place) => match Profile::new(place.key().clone(), suites, groups, client_auth, resumption) {
                Ok(profile) if self.global.wants_fips() && !profile.is_fips() => {
                    let text = format!(
                        "TLSFIPS: {} is not approved: it would use {}",
                        self.describe(index),
                        profile.unapproved()
                    );
                    self.report(Severity::Error, index, text);
                    None
                }
                Ok(profile) => Some(Arc::clone(place.insert(Arc::new(profile)))),
                Err(error) => {
                    self.report(
                        Severity::Error,
                        index,
                        format!("the TLS settings cannot be used: {error}"),
                    );
                    None
                }
            },
        }
    }
}
