// SPDX-License-Identifier: Apache-2.0
//! Checks of what is said about the resumption of sessions.

use super::Compiler;
use crate::base::diagnostics::Severity;
use crate::base::directive::Located;
use crate::session::resumption::SessionSpec;
use crate::settings::SessionCache;

/// The providers of caches of which one caller alone gets an entry that is taken, whoever else asks at the same time: the
/// one of shared memory under a lock of all children, the others because their servers say who has deleted it.
const SINGLE_USE_CACHES: [&str; 3] = ["shmcb", "memcache", "redis"];

impl Compiler {
    /// How the sessions of a host are resumed. Early data is given up where it would tell us nothing of who sends it.
    pub(super) fn sessions(&mut self, index: usize, asks_clients: bool, speaks_tls13: bool) -> SessionSpec {
        let Some(said) = self.hosts[index].policy.sessions.early_data().cloned() else {
            return self.hosts[index].session_spec();
        };
        let why_not = match (asks_clients, speaks_tls13) {
            (true, _) => "its clients are asked for certificates, which come after early data",
            (_, false) => "it does not speak TLSv1.3",
            _ => {
                self.check_early_data_cache(index, &said);
                return self.hosts[index].session_spec();
            }
        };
        let text = format!("TLSEarlyData has no effect on {}: {why_not}", self.describe(index));
        self.report_at(Severity::Notice, index, &said, text);
        self.hosts[index].policy.sessions.early_data = None;
        self.hosts[index].session_spec()
    }

    /// A session is good for early data once (RFC 8446 section 8.1). It takes the right cache to know which ones were used.
    fn check_early_data_cache(&mut self, index: usize, said: &Located<bool>) {
        let text = match self.global.session_cache.as_ref().map(|said| &said.value) {
            Some(SessionCache::None) => {
                let text = "TLSEarlyData needs a session cache, which knows what was used already: remove \
                            TLSSessionCache none";
                text.to_owned()
            }
            Some(SessionCache::Provider(name, _)) if !SINGLE_USE_CACHES.contains(&name.as_str()) => format!(
                "TLSEarlyData needs a session cache that gives each entry once only, which {name} does not promise: use \
                 one of {} for TLSSessionCache",
                SINGLE_USE_CACHES.join(", ")
            ),
            _ => return,
        };
        self.report_at(Severity::Error, index, said, text);
    }
}
