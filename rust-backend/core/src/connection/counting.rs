// SPDX-License-Identifier: Apache-2.0
//! What is counted of a handshake.

use rustls::server::ClientHello;
use rustls::{SignatureAlgorithm, SupportedCipherSuite};

use super::Connection;
use super::failure::{Failure, LastAlert};
use super::report::Circumstances;
use crate::base::clock::unix_now;
use crate::base::directive_names::worded;
use crate::crypto::{groups, schemes};
use crate::info::connection_info::ConnectionInfo;
use crate::info::ja4::ja4;
use crate::keys::identity::Identity;
use crate::process::counters::families::{ALERTS_RECEIVED, ALERTS_SENT, CLIENTS, ClientCertificate, FAILURES};
use crate::process::counters::recent::{AlertDirection, RecentFailure};
use crate::process::counters::{Counter, Handshake, Needs, SiteKey};
use crate::site::Site;
use crate::site::profile::offers_tls13;
use crate::trust::client::verify_result::VerifyResult;
use crate::x509::ocsp;

/// What is known for the counters before the handshake ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun {
    site: SiteKey,
    needs: Needs,
}

impl Begun {
    /// The handshake of `site` with a client that has sent `hello` and gets the certificate of `identity`.
    pub(super) fn new(hello: &ClientHello<'_>, site: &Site, identity: Option<&Identity>) -> Self {
        Self {
            site: SiteKey::of(&site.name),
            needs: needs(hello, site, identity),
        }
    }
}

/// Which settings of `site` are the only ones that make the handshake possible.
fn needs(hello: &ClientHello<'_>, site: &Site, identity: Option<&Identity>) -> Needs {
    let (profile, offered) = (site.profile(), hello.cipher_suites());
    let knows_tls13 = offers_tls13(hello);
    let is_tls13 = knows_tls13 && profile.spec().protocols.tls13;
    let has_key_for = |suite: &SupportedCipherSuite| {
        is_rsa_suite(suite).is_none_or(|is_rsa| {
            let mut algorithms = site.identities().map(|identity| identity.algorithm());
            algorithms.any(|algorithm| (algorithm == SignatureAlgorithm::RSA) == is_rsa)
        })
    };
    let suites = profile.suites().iter().filter(|suite| {
        let is_of_version = is_rsa_suite(suite).is_none() == is_tls13;
        is_of_version && offered.contains(&suite.suite()) && has_key_for(suite)
    });
    let groups = profile.spec().groups.iter().copied().filter(|group| {
        let group = (*group).into();
        let is_offered = hello.named_groups().is_some_and(|offered| offered.contains(&group));
        is_offered && (is_tls13 || groups::is_curve(group))
    });
    // A suite of TLS 1.2 determines the kind of key.
    let takes_others = hello
        .signature_schemes()
        .iter()
        .any(|scheme| schemes::is_not_of_rsa(*scheme))
        && (is_tls13
            || profile
                .suites()
                .iter()
                .any(|suite| is_rsa_suite(suite) == Some(false) && offered.contains(&suite.suite())));
    Needs {
        tls12: !knows_tls13,
        rsa: !takes_others && identity.is_some_and(|identity| identity.algorithm() == SignatureAlgorithm::RSA),
        suite: only(suites.map(|suite| suite.suite().into())),
        group: only(groups),
    }
}

/// Whether the suite is for RSA keys; none if it is for all keys, as those of TLS 1.3.
fn is_rsa_suite(suite: &SupportedCipherSuite) -> Option<bool> {
    match suite {
        SupportedCipherSuite::Tls12(suite) => Some(suite.sign.iter().any(|scheme| schemes::RSA.contains(scheme))),
        SupportedCipherSuite::Tls13(_) => None,
    }
}

/// The only one of `values`, if there is one.
fn only(mut values: impl Iterator<Item = u16>) -> Option<u16> {
    values.next().filter(|_| values.next().is_none())
}

impl Connection {
    /// Staples `response` to the certificate that `site` presents to this client; none staples nothing. Between
    /// [`Event::Hello`](super::Event::Hello) and [`Self::accept`].
    pub fn staple(&mut self, site: &Site, response: Option<&[u8]>) {
        if let Some(identity) = self.identity_at(site) {
            self.is_stapled = response.is_some();
            self.staple_to(site, &identity, response);
        }
    }

    /// Staples the response that was fetched for `identity`, unless another module has provided one.
    pub(super) fn staple_fetched(&self, site: &Site, identity: &Identity) {
        if !self.is_stapled
            && let Some(response) = self.config.staple_for(site, identity)
        {
            self.staple_to(site, identity, response.as_deref());
        }
    }

    fn staple_to(&self, site: &Site, identity: &Identity, response: Option<&[u8]>) {
        let (counters, key) = (self.config.counters(), SiteKey::of(&site.name));
        if identity.staple(response) {
            counters.set_staple(key, response.and_then(ocsp::validity));
        }
        let is_stale = counters.staple_of(key).is_some_and(|(_, next)| next < unix_now());
        if is_stale && response.is_some() {
            counters.count(Counter::StaleStaples);
        }
    }

    /// Counts the failure of a connection. Those of clients are kept among the last ones.
    pub fn count_failure(&self, failure: &Failure, when: &Circumstances<'_>) {
        let counters = self.config.counters();
        counters.count_in(&FAILURES, failure.code.number());
        if when.is_backend {
            counters.count(Counter::FailedBackends);
            return;
        }
        match failure.alert {
            Some(LastAlert::Sent(alert)) => counters.count_in(&ALERTS_SENT, u8::from(alert).into()),
            Some(LastAlert::Received(alert)) => counters.count_in(&ALERTS_RECEIVED, u8::from(alert).into()),
            None => {}
        }
        if failure.code.is_of_client_certificate() {
            counters.count_in(&CLIENTS, ClientCertificate::Refused as u16);
        }
        if let Some(begun) = self.begun.filter(|_| !when.is_established) {
            counters.count_failure_of(begun.site);
        }
        if let Some(recent) = counters.recent() {
            recent.add(RecentFailure {
                time: unix_now(),
                client: when.address.to_owned(),
                sni: self.hello.sni.as_deref().map(str::to_owned),
                host: when.host.to_owned(),
                code: failure.code.number(),
                reason: worded(&failure.text).into_owned(),
                ja4: self.offer().map(ja4),
                alert: failure.alert.map(|alert| match alert {
                    LastAlert::Sent(alert) => (AlertDirection::Sent, alert.into()),
                    LastAlert::Received(alert) => (AlertDirection::Received, alert.into()),
                }),
            });
        }
    }

    /// Counts a handshake that has succeeded.
    pub(super) fn count_success(&self, info: &ConnectionInfo) {
        let counters = self.config.counters();
        let Some(begun) = self.begun else {
            counters.count(Counter::BackendHandshakes);
            return;
        };
        let client = match info.client_result {
            VerifyResult::NotAsked => ClientCertificate::NotRequested,
            VerifyResult::Anonymous => ClientCertificate::Missing,
            VerifyResult::Verified { .. } => ClientCertificate::Verified,
            VerifyResult::Refused(_) => ClientCertificate::Unverified,
        };
        let handshake = Handshake {
            site: begun.site,
            version: info.version.into(),
            suite: info.suite.suite().into(),
            group: info.group.map(u16::from),
            scheme: info.signature_scheme().map(u16::from),
            resumed: info.resumed,
            client: client as u16,
            needs: begun.needs,
            time: info.handshake_time,
        };
        counters.count_handshake(&handshake, unix_now());
        if info.group.is_some_and(groups::is_post_quantum) {
            counters.count(Counter::PostQuantumHandshakes);
        }
        if !self.established {
            counters.count(Counter::EarlyDataHandshakes);
        }
    }
}
