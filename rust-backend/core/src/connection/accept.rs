// SPDX-License-Identifier: Apache-2.0
//! The start of a client's connection: its ClientHello, and the answer of the selected site.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use rustls::server::ClientHello;
use rustls::{AlertDescription, CipherSuite, HandshakeKind, ProtocolVersion};

use super::alert::{self, plaintext_record};
use super::counting::Begun;
use super::failure::{Failure, LastAlert};
use super::hello::Hello;
use super::rejected_early_data::{End, Skipper};
use super::{Connection, Event, State, plain_http, reason};
use crate::base::log_codes::Code;
use crate::base::panic_points;
use crate::crypto::protection::observe;
use crate::info::offer::Offer;
use crate::keys::identity::Identity;
use crate::process::counters::Counter;
use crate::session::resumption::keeping_fresh_tickets;
use crate::site::Site;
use crate::site::profile::offers_tls13;

/// TLS_FALLBACK_SCSV: RFC 7507.
const FALLBACK_SCSV: CipherSuite = CipherSuite::Unknown(0x5600);

impl Connection {
    pub(super) fn receive_hello(&mut self, data: &[u8]) -> Result<(usize, Event), Failure> {
        if self.head.is_empty() && plain_http::is_start(data) {
            self.retire();
            self.config.counters().count(Counter::PlainHttp);
            return Ok((0, Event::PlainHttp));
        }
        let State::Hello(acceptor) = &mut self.state else {
            return Ok((0, Event::None));
        };
        let mut rest = data;
        if self.head.is_empty() {
            self.started = Instant::now();
        }
        self.head.extend_from_slice(data);
        while !rest.is_empty() {
            if let Err(error) = acceptor.read_tls(&mut rest) {
                let why = format!("ClientHello refused: {error}");
                return Err(self.fail(Code::TooLarge, AlertDescription::DecodeError, why));
            }
            match acceptor.accept() {
                Ok(None) => {}
                Ok(Some(accepted)) => {
                    self.hello = Hello::new(&accepted.client_hello(), &std::mem::take(&mut self.head));
                    self.state = State::Accepted(Box::new(accepted));
                    self.behind_hello.extend_from_slice(rest);
                    panic_points::point("hello", self.hello.sni.as_deref());
                    return Ok((data.len(), Event::Hello));
                }
                Err((error, mut sent)) => {
                    self.hello = Hello::of_refused(&self.head);
                    if matches!(error, rustls::Error::PeerIncompatible(_)) && is_outdated(&self.head) {
                        let why = "the client speaks no version newer than TLS 1.1";
                        return Err(self.fail(Code::VersionTooOld, AlertDescription::ProtocolVersion, why));
                    }
                    self.add_output(&mut sent);
                    let code = match is_tls(&self.head) {
                        true => reason::of_client(&error),
                        false => Code::NotTls,
                    };
                    return Err(self.fail(code, alert::for_error(&error), format!("ClientHello refused: {error}")));
                }
            }
        }
        Ok((data.len(), Event::None))
    }

    /// Refuses the client before the handshake has started.
    pub fn refuse(&mut self, code: Code, alert: AlertDescription, why: impl fmt::Display) -> Failure {
        self.fail(code, alert, why)
    }

    /// Ends the handshake with `alert`, if there is one, unless another alert is already queued.
    fn fail(&mut self, code: Code, alert: impl Into<Option<AlertDescription>>, why: impl fmt::Display) -> Failure {
        self.retire();
        if let Some(alert) = alert.into().filter(|_| self.alerts.is_empty()) {
            self.alerts.push(plaintext_record(alert).into());
        }
        self.config.counters().count(Counter::FailedHandshakes);
        Failure {
            alert: self.sent_alert().map(LastAlert::Sent),
            ..Failure::theirs(code, why)
        }
    }

    /// The identity that `site` presents to this client, as it is now.
    fn identity_for(&self, site: &Site, hello: &ClientHello<'_>) -> Option<Arc<Identity>> {
        self.config.catch_up();
        let identity = site.identity_for(hello)?;
        match self.config.look_at(&identity) {
            true => site.identity_for(hello),
            false => Some(identity),
        }
    }

    /// The identity that `site` would present to this client. It is valid only between [`Event::Hello`] and
    /// [`Self::accept`].
    pub fn identity_at(&self, site: &Site) -> Option<Arc<Identity>> {
        let site = self.config.with_certificate_for(site, self.hello.sni.as_deref()).ok()?;
        match &self.state {
            State::Accepted(accepted) => self.identity_for(&site, &accepted.client_hello()),
            _ => None,
        }
    }

    /// Continues the handshake with `site`, and selects `protocol` by ALPN, or none.
    pub fn accept(&mut self, site: &Site, protocol: Option<&[u8]>) -> Result<Event, Failure> {
        let State::Accepted(accepted) = std::mem::replace(&mut self.state, State::Failed) else {
            return Err(Failure::theirs(
                Code::InternalError,
                "there is no ClientHello to accept",
            ));
        };
        panic_points::point("accept", self.hello.sni.as_deref());
        let config = Arc::clone(&self.config);
        let site = match config.with_certificate_for(site, self.hello.sni.as_deref()) {
            Ok(site) => site,
            Err((code, why)) => return Err(self.fail(code, AlertDescription::UnrecognisedName, why)),
        };
        let site = &*site;
        let hello = accepted.client_hello();
        let is_fallback = hello.cipher_suites().contains(&FALLBACK_SCSV);
        self.identity = self.identity_for(site, &hello);
        if let Some(identity) = &self.identity {
            self.staple_fetched(site, identity);
        }
        self.begun = Some(Begun::new(&hello, site, self.identity.as_deref()));
        self.config.look_for_client(site.profile().client_auth());
        let (config, verification) = match site.handshake(&hello, protocol, self.hello.tickets) {
            Ok(made) => made,
            Err(error) => return Err(self.fail(Code::NoSettings, AlertDescription::InternalError, error)),
        };
        self.verification = verification;
        if let Some(auth) = site.profile().client_auth() {
            self.client_mode = Some(auth.spec.mode);
            self.usual_depth = Some(auth.spec.usual_depth).filter(|usual| *usual < auth.spec.depth);
        }
        self.names = site.names;
        self.signatures = Some(Arc::clone(site.profile().signatures())).filter(|only| !only.is_empty());
        self.protection.want_decrypter(self.hello.early_data);
        let is_tls13 = site.profile().spec().protocols.tls13 && offers_tls13(&hello);
        let answer = || match is_tls13 {
            true => accepted.into_connection(config),
            false => keeping_fresh_tickets(|| accepted.into_connection(config)),
        };
        let mut live = match observe(&mut self.protection, answer) {
            Ok(live) => live,
            Err((error, mut sent)) => return Err(self.refused(site, error, &mut sent)),
        };
        // RFC 7507: the client repeats the handshake with a lower version than both sides support, which indicates an
        // attack.
        if is_fallback && live.protocol_version() != Some(site.profile().spec().protocols.max()) {
            return Err(self.fail(
                Code::VersionFallback,
                AlertDescription::InappropriateFallback,
                "the client fell back to an older protocol version than both sides support",
            ));
        }
        if self.hello.early_data {
            self.skipper = skipper(&mut live).map(Box::new);
        }
        let mut live = Box::new(rustls::Connection::from(live));
        live.set_buffer_limit(None);
        self.state = State::Live(live);
        let mut event = self.process()?;
        let behind = std::mem::take(&mut self.behind_hello);
        let mut rest = behind.as_slice();
        while !rest.is_empty() {
            let (taken, next) = self.receive_records(rest)?;
            rest = &rest[taken..];
            if next != Event::None {
                event = next;
            }
        }
        Ok(event)
    }

    /// Handles a refusal in the answer to the ClientHello.
    fn refused(&mut self, site: &Site, error: rustls::Error, sent: &mut rustls::server::AcceptedAlert) -> Failure {
        if self.identity.is_none() && matches!(error, rustls::Error::General(_)) {
            let (code, why) = match self.has_common_suite(site) {
                true => (
                    Code::NoSuitableCertificate,
                    format!(
                        "no certificate of {} suits the client's signature schemes and cipher suites",
                        site.name
                    ),
                ),
                false => (
                    Code::NoCommonSuite,
                    format!("the client offers none of the cipher suites of {}", site.name),
                ),
            };
            return self.fail(code, AlertDescription::HandshakeFailure, why);
        }
        // A ServerHello may be in it, after which alerts are encrypted.
        self.add_output(sent);
        self.add_alert(alert::for_error(&error));
        self.config.counters().count(Counter::FailedHandshakes);
        self.failure(&error)
    }
}

impl Connection {
    /// Whether the client offers a cipher suite of `site`.
    fn has_common_suite(&self, site: &Site) -> bool {
        let suites = self.offer().map(Offer::suites).unwrap_or_default();
        site.profile().spec().suites.iter().any(|suite| suites.contains(suite))
    }
}

/// The filter for early data that is not accepted. None if the client sends none, or it is accepted.
fn skipper(live: &mut rustls::ServerConnection) -> Option<Skipper> {
    if live.protocol_version() != Some(ProtocolVersion::TLSv1_3) || live.early_data().is_some() {
        return None;
    }
    Some(Skipper::new(match live.handshake_kind() {
        Some(HandshakeKind::FullWithHelloRetryRequest) => End::ClientHello,
        _ => End::Encrypted,
    }))
}

/// Whether `head` is the start of a handshake record (RFC 8446 section 5.1).
fn is_tls(head: &[u8]) -> bool {
    const HANDSHAKE: u8 = 22;
    const MAJOR_VERSION: u8 = 3;
    matches!(head, [HANDSHAKE] | [HANDSHAKE, MAJOR_VERSION, ..])
}

/// Whether `head` is the start of a ClientHello without TLS 1.2 or newer. For these, rustls reports missing extensions
/// first, which such clients do not support.
fn is_outdated(head: &[u8]) -> bool {
    const HANDSHAKE: u8 = 22;
    const CLIENT_HELLO: u8 = 1;
    match head {
        [HANDSHAKE, _, _, _, _, CLIENT_HELLO, _, _, _, major, minor, ..] => (*major, *minor) < (3, 3),
        _ => false,
    }
}
