// SPDX-License-Identifier: Apache-2.0
//! Sources of ticket keys.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::Compiler;
use crate::base::diagnostics::Severity;
use crate::base::directive::Located;
use crate::base::file_reading::{self, Exposure};
use crate::key_process::protocol::{Purpose, TicketState};
use crate::keys::key_file::KeyReader;
use crate::session::tickets::{DEFAULT_LIFETIME, MIN_SEED, RatchetState, TicketKeys};

/// Ticket keys by key file; the keys without a file are those of the process.
pub(super) type TicketStores = HashMap<Option<PathBuf>, Arc<TicketKeys>>;

/// A seed file.
struct Seed {
    /// None if the file is too small.
    keys: Option<TicketKeys>,
    size: u64,
    exposure: Exposure,
}

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
        let mut usable = true;
        for index in 0..self.hosts.len() {
            let file = self.ticket_key_file(index);
            if stores.contains_key(&file) {
                continue;
            }
            let keys = match self.hosts[index].policy.sessions.ticket_key_file.clone() {
                Some(said) => self.shared_keys(index, &said, lifetime),
                None => self.own_keys(lifetime),
            };
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
        match self.seed(&said.value, lifetime) {
            Ok(Seed {
                keys: Some(keys),
                exposure,
                ..
            }) => {
                if let Some(text) = exposure.about(&said.value, "read what is in all tickets") {
                    self.report_at(
                        Severity::Warning,
                        index,
                        said,
                        format!("TLSSessionTicketKeyFile {text}"),
                    );
                }
                Some(Arc::new(keys))
            }
            Ok(Seed { keys: None, size, .. }) => {
                let path = said.value.display();
                let text = format!(
                    "TLSSessionTicketKeyFile {path} has {size} bytes, which can be guessed: make it with \
                     `openssl rand -out {path} 48`"
                );
                self.report_at(Severity::Error, index, said, text);
                None
            }
            Err(why) => {
                self.report_at(Severity::Error, index, said, format!("TLSSessionTicketKeyFile {why}"));
                None
            }
        }
    }

    /// Has the seed file read, by `tls-keyd` if that has the private keys.
    fn seed(&self, path: &Path, lifetime: u32) -> Result<Seed, String> {
        match self.builder.process.key_reader(Purpose::Server, true) {
            KeyReader::Process(process, _) => {
                let opened = file_reading::open(path).map_err(|error| error.to_string())?;
                let (size, state) = process
                    .ticket_state(&opened.file, self.now, lifetime)
                    .map_err(|why| format!("{}: cannot be read: {why}", path.display()))?;
                let state = state.map(|TicketState { period, state }| RatchetState {
                    period,
                    state: Zeroizing::new(state),
                });
                Ok(Seed {
                    keys: state.map(|state| TicketKeys::from_state(state, lifetime, self.now)),
                    size,
                    exposure: opened.exposure,
                })
            }
            KeyReader::Here(_) => {
                let seed = file_reading::read_stamped(path).map_err(|error| error.to_string())?;
                let is_long = seed.bytes.len() >= MIN_SEED;
                Ok(Seed {
                    keys: is_long.then(|| TicketKeys::from_seed(&seed.bytes, lifetime)),
                    size: seed.bytes.len() as u64,
                    exposure: seed.exposure,
                })
            }
        }
    }
}
