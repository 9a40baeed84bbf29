// SPDX-License-Identifier: Apache-2.0
//! What a location wants of the connections that its requests come on.

use crate::info::facts::Facts;
use crate::mod_ssl::suites;
use crate::trust::client::demand::Demand;

/// The rules of a location. The texts are lists as `SSLCipherSuite` has them; empty ones say nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct AccessRules<'a> {
    /// The certificate that clients have to present.
    pub demand: Demand,
    /// How many CAs may be above it; none if the location does not say.
    pub depth: Option<usize>,
    /// The cipher suites of TLS 1.2.
    pub tls12: &'a str,
    /// The cipher suites of TLS 1.3.
    pub tls13: &'a str,
}

impl AccessRules<'_> {
    /// Whether the client of a connection is let in, or why not. A connection without facts is not TLS of this module.
    pub fn admit(&self, facts: Option<&Facts>) -> Result<(), String> {
        let Some(facts) = facts else {
            return match self.demand {
                Demand::Required => {
                    Err("a client certificate is required, and the connection is not TLS of this module".to_owned())
                }
                _ => Ok(()),
            };
        };
        if let Some(suite) = facts.cipher() {
            suites::allows(self.tls12, self.tls13, suite)?;
        }
        let verdict = facts.client_verdict.within(self.depth.or(facts.usual_depth));
        verdict.stands(facts.client_mode)?;
        verdict.satisfies(self.demand)
    }
}
