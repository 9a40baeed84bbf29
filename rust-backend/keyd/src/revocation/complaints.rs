// SPDX-License-Identifier: Apache-2.0
//! Messages for the error log, which httpd's parent process fetches. What concerns thousands of certificates is said once.

use std::collections::HashMap;
use std::sync::Mutex;

use mod_tls_core::base::diagnostics::Severity;
use mod_tls_core::base::lock::lock;

/// How many messages wait.
const MAX_MESSAGES: usize = 500;

/// What there is to say.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    messages: Mutex<Vec<(Severity, String)>>,
    /// What was last said about a URL or a certificate.
    last: Mutex<HashMap<String, String>>,
}

impl Complaints {
    /// Says something, which is lost if too much waits already.
    pub(super) fn say(&self, severity: Severity, text: String) {
        let mut messages = lock(&self.messages);
        if messages.len() < MAX_MESSAGES {
            messages.push((severity, text));
        }
    }

    /// Says something is wrong with `what`, unless that was said last. `why` is the reason without times.
    pub(super) fn complain(&self, severity: Severity, what: &str, why: &str, text: String) {
        let before = lock(&self.last).insert(what.to_owned(), why.to_owned());
        if before.as_deref() != Some(why) {
            self.say(severity, text);
        }
    }

    /// All is well with `what`. True if that was different.
    pub(super) fn is_well(&self, what: &str) -> bool {
        lock(&self.last).remove(what).is_some()
    }

    /// Removes and returns what there is to say.
    pub(super) fn take(&self) -> Vec<(Severity, String)> {
        std::mem::take(&mut *lock(&self.messages))
    }
}
