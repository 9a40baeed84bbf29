// SPDX-License-Identifier: Apache-2.0
//! Validation of the settings for session resumption.

use super::Compiler;
use crate::base::diagnostics::Severity;
use crate::base::directive::Located;
use crate::session::resumption::SessionSpec;
use crate::settings::SessionCache;

/// The cache providers that return an entry to at most one caller of `take`: `shmcb` because of the lock that all child
/// processes share, the others because their servers report which client has deleted an entry.
const SINGLE_USE_CACHES: [&str; 3] = ["shmcb", "memcache", "redis"];

impl Compiler {
    /// The resumption settings of a host. Early data is disabled if the client could not be authenticated.
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

    /// A session can be used for early data once (RFC 8446 section 8.1). This requires a cache that detects the second
    /// use.
    fn check_early_data_cache(&mut self, index: usize, said: &Located<bool>) {
        let text = match self.global.session_cache.as_ref().map(|said| &said.value) {
            Some(SessionCache::None) => {
                let text = "TLSEarlyData needs a session cache, which detects repeated use of a session: remove \
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
