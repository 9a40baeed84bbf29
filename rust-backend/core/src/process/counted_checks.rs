// SPDX-License-Identifier: Apache-2.0
//! Counts what becomes of OCSP checks of certificates of clients.

use std::sync::Arc;

use crate::process::Process;
use crate::process::counters::Counter;
use crate::revocation::checks::{CheckEvent, CountsChecks};

/// Counts by the counters of a process.
#[derive(Debug)]
pub(crate) struct CountedChecks(pub(crate) Arc<Process>);

impl CountsChecks for CountedChecks {
    fn count(&self, event: CheckEvent) {
        self.0.counters.count(match event {
            CheckEvent::Good => Counter::ClientsGood,
            CheckEvent::Revoked => Counter::ClientsRevoked,
            CheckEvent::Unknown => Counter::ClientsUnknown,
            CheckEvent::NoAnswer => Counter::ClientsWithoutAnswer,
            CheckEvent::NoResponder => Counter::ClientsWithoutResponder,
            CheckEvent::Asked => Counter::ClientsAsked,
        });
    }
}
