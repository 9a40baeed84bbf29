// SPDX-License-Identifier: Apache-2.0
//! Sources of ticket keys.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::Compiler;
use crate::base::diagnostics::Severity;
use crate::base::directive::Located;
use crate::config::seed::SeedFile;
use crate::key_process::protocol::Purpose;
use crate::session::tickets::{DEFAULT_LIFETIME, TicketKeys};

/// Ticket keys by key file; the keys without a file are those of the process.
pub(super) type TicketStores = HashMap<Option<PathBuf>, Arc<TicketKeys>>;

impl Compiler {
    /// The key file of a host.
    pub(super) fn ticket_key_file(&self, index: usize) -> Option<PathBuf> {
        let said = self.hosts[index].policy.sessions.ticket_key_file.as_ref();
        said.map(|said| said.value.clone())
    }

    /// The ticket keys of all hosts. None if an error was reported.
    pub(super) fn ticket_stores(&mut self) -> Option<TicketStores> {
        let lifetimes = self.hosts.iter().map(|host| host.session_spec().lifetime);
        let lifetime = lifetimes.max().unwrap_or(DEFAULT_LIFETIME);
        let mut stores = HashMap::new();
        // By these, child processes are told new seeds.
        let own = self.own_keys(lifetime);
        let mut usable = own.is_some();
        stores.insert(None, own);
        for index in 0..self.hosts.len() {
            let file = self.ticket_key_file(index);
            if stores.contains_key(&file) {
                continue;
            }
            let said = self.hosts[index].policy.sessions.ticket_key_file.clone();
            let keys = said.and_then(|said| self.shared_keys(index, &said, lifetime));
            usable &= keys.is_some();
            stores.insert(file, keys);
        }
        let stores = stores.into_iter().filter_map(|(file, keys)| Some((file, keys?)));
        usable.then(|| stores.collect())
    }

    fn own_keys(&mut self, lifetime: u32) -> Option<Arc<TicketKeys>> {
        let own = self.builder.process.ticket_keys(lifetime);
        own.map_err(|why| self.report(Severity::Error, 0, why)).ok()
    }

    fn shared_keys(&mut self, index: usize, said: &Located<PathBuf>, lifetime: u32) -> Option<Arc<TicketKeys>> {
        let host = &self.hosts[index];
        if let Some(tickets) = host.policy.sessions.tickets.clone().filter(|_| !host.is_mod_ssls)
            && !tickets.value
        {
            let text = format!(
                "TLSSessionTickets off contradicts TLSSessionTicketKeyFile at {}: remove one",
                said.origin
            );
            self.report_at(Severity::Error, index, &tickets, text);
        }
        let process = Arc::clone(&self.builder.process);
        let reader = process.key_reader(Purpose::Server, true);
        match SeedFile::load(&said.value, lifetime, self.now, &reader) {
            Ok((file, exposure)) => {
                if let Some(text) = exposure.about(&said.value, "read what is in all tickets") {
                    self.report_at(
                        Severity::Warning,
                        index,
                        said,
                        format!("TLSSessionTicketKeyFile {text}"),
                    );
                }
                let keys = Arc::clone(file.keys());
                self.seeds.push(Arc::new(file));
                Some(keys)
            }
            Err(why) => {
                self.report_at(Severity::Error, index, said, format!("TLSSessionTicketKeyFile {why}"));
                None
            }
        }
    }
}
