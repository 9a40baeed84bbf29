// SPDX-License-Identifier: Apache-2.0
//! What becomes of OCSP checks of certificates of clients, for those who count it.

use std::fmt;

/// An event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckEvent {
    /// The certificate is not revoked.
    Good,
    /// It is revoked.
    Revoked,
    /// Its responder does not know it.
    Unknown,
    /// There is no answer that can be used, or none in time.
    NoAnswer,
    /// There is nobody to ask.
    NoResponder,
    /// The answer was not known, and the responder is asked.
    Asked,
}

/// Who counts.
pub trait CountsChecks: fmt::Debug + Send + Sync {
    /// Counts an event.
    fn count(&self, event: CheckEvent);
}
