// SPDX-License-Identifier: Apache-2.0
//! Looks for certificates that expire.

use std::borrow::Cow;
use std::sync::Arc;

use crate::base::diagnostics::Severity;
use crate::base::log_codes::Code;
use crate::config::Config;
use crate::keys::identity::Identity;
use crate::process::expiry::User;
use crate::settings::Watching;

/// How many are logged one by one at a time.
const MAX_LINES: usize = 20;

/// What uses the certificates for backends.
const BACKENDS: &str = "TLSProxyMachineCertificate";

impl Config {
    /// Queues messages for the error log, and notices for the command, about certificates that expire. Called in the parent
    /// process. `is_start` is whether the configuration is new: then those that have expired were logged before.
    pub fn check_expiry(&self, now: i64, is_start: bool) {
        let backends = self.proxies.made_identities();
        let user = User {
            name: BACKENDS,
            is_watched: self.watching != Watching::Off,
        };
        let backends = backends.iter().map(|identity| (Cow::Borrowed(identity), user));
        let notices = self.process.expiry.check(self.served().chain(backends), now);
        let said: Vec<_> = notices
            .iter()
            .filter(|notice| !is_start || notice.code() == Code::Expires || notice.host == BACKENDS)
            .collect();
        for notice in said.iter().take(MAX_LINES) {
            self.process.log_queue.add(Severity::Warning, notice.text());
        }
        if let Some(others) = said.len().checked_sub(MAX_LINES).filter(|others| *others > 0) {
            let code = Code::Expires;
            let text = format!("{others} more certificates expire soon: httpd -t -D DUMP_TLS shows them [{code}]");
            self.process.log_queue.add(Severity::Warning, text);
        }
        if self.monitoring.expiry_command.is_some() {
            self.process.expiry.add_pending(&notices);
        }
    }

    /// The configured certificates of hosts, with the hosts.
    fn served(&self) -> impl Iterator<Item = (Cow<'_, Arc<Identity>>, User<'_>)> {
        let is_watched = self.watching != Watching::Off;
        let sites = self.sites.iter().flatten().filter(|site| !site.unavailable);
        sites.flat_map(move |site| {
            let name = &*site.name;
            site.identities()
                .map(move |identity| (identity, User { name, is_watched }))
        })
    }

    /// The program of `TLSExpiryCommand` and its arguments for the next certificate. None if there is nothing to tell.
    pub fn next_expiry_command(&self) -> Option<Vec<String>> {
        let command = &self.monitoring.expiry_command.as_ref()?.value;
        let notice = self.process.expiry.next_pending()?;
        let facts = [notice.days.to_string(), notice.date(), notice.file, notice.host];
        Some(command.iter().cloned().chain(facts).collect())
    }
}
