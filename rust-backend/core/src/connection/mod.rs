// SPDX-License-Identifier: Apache-2.0
//! One TLS connection, of a client or to a backend: from its first byte to close_notify, without any I/O.
//!
//! Bytes from the network go in by [`Connection::receive`], bytes for the network come out by [`Connection::take`].
//! Between ClientHello and ServerHello the caller is asked which site the client gets.
//!
//! May use: backend, base, config, crypto, info, keys, process, session, site, trust.

pub(crate) mod alert;
mod copying;
pub mod failure;
mod framing;
mod hello;
mod record_size;
mod rejected_early_data;

use std::fmt;
use std::io::{self, BufRead, IoSlice, Read, Write};
use std::sync::{Arc, OnceLock};

use rustls::server::{Accepted, Acceptor};
use rustls::{AlertDescription, CipherSuite, HandshakeKind, NamedGroup, ProtocolVersion};
use rustls_pki_types::ServerName;

use self::alert::plaintext_record;
use self::copying::{Sink, Source};
use crate::backend::profile::ProxyProfile;
use crate::base::clock::unix_now;
use crate::base::panic_points;
use crate::config::Config;
use crate::connection::failure::{Failure, describe};
use crate::connection::framing::Framing;
use crate::connection::hello::Hello;
use crate::connection::record_size::RecordSize;
use crate::connection::rejected_early_data::{End, Found, Skipper};
use crate::crypto::protection::{Protection, observe};
use crate::info::facts::{CipherNames, Facts};
use crate::keys::identity::Identity;
use crate::process::counters::Counter;
use crate::session::resumption::keeping_fresh_tickets;
use crate::site::Site;
use crate::site::profile::offers_tls13;
use crate::trust::client::demand::Mode;
use crate::trust::client::verdict::Verdict;
use crate::trust::client::verifier::Audit;

/// What [`Connection::receive`] wants to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Nothing in particular: read plaintext, send what there is to send, receive more.
    None,
    /// The ClientHello is complete: choose a site and call [`Connection::accept`].
    Hello,
    /// The client speaks plain HTTP. Nothing was consumed, and nothing more can be done here.
    PlainHttp,
    /// The client has sent early data (RFC 8446 section 2.3), which can be read and answered before the handshake is
    /// complete; [`Connection::facts`] are there.
    Early,
    /// The handshake is complete; [`Connection::facts`] are there.
    Established,
}

enum State {
    Hello(Box<Acceptor>),
    Accepted(Box<Accepted>),
    Live(Box<rustls::Connection>),
    Failed,
}

/// What a connection to a backend was made for.
#[derive(Debug)]
struct Backend {
    profile: Arc<ProxyProfile>,
    protocol: Box<[u8]>,
}

/// A connection, of a client unless it was made [to a backend](Connection::to_backend).
pub struct Connection {
    config: Arc<Config>,
    state: State,
    hello: Hello,
    /// The records of a ClientHello as far as it has arrived, or the first byte of a backend.
    head: Vec<u8>,
    framing: Framing,
    /// Received behind the ClientHello, before there was a site to handle it.
    behind_hello: Vec<u8>,
    /// Early data that was not read yet.
    early_data: Vec<u8>,
    /// To be sent before anything that rustls has to send.
    alert: Vec<u8>,
    protection: Protection,
    /// What removes the early data of a client whose early data was not accepted, until the handshake goes on.
    skipper: Option<Box<Skipper>>,
    identity: Option<Arc<Identity>>,
    /// Whom it goes to, if it is not from a client.
    backend: Option<Backend>,
    /// What finds out about the client, where clients are verified.
    audit: Option<Arc<Audit>>,
    /// How the site wants clients to be dealt with, whether this one was asked or not.
    client_mode: Option<Mode>,
    /// How many CAs may be above its certificate where no location says otherwise, if the handshake allows more.
    usual_depth: Option<usize>,
    /// How ciphers are called.
    names: CipherNames,
    session_id: Box<str>,
    facts: Option<Arc<Facts>>,
    /// Whether the handshake is complete.
    established: bool,
    closing: bool,
    peer_closed: bool,
    sendable: usize,
    record_size: RecordSize,
}

/// TLS_FALLBACK_SCSV: RFC 7507.
const FALLBACK_SCSV: CipherSuite = CipherSuite::Unknown(0x5600);

/// Enough for the alerts and tickets whose size rustls does not tell.
const UNKNOWN_SENDABLE: usize = 512;

impl Connection {
    /// A connection to the backend `host`, a DNS name or an IP address, by `profile`, on which `protocol` is to be spoken
    /// (RFC 7301). Its ClientHello waits to be taken.
    pub fn to_backend(
        config: Arc<Config>,
        profile: Arc<ProxyProfile>,
        host: &str,
        protocol: &[u8],
    ) -> Result<Self, Failure> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(bare.to_owned())
            .map_err(|_| Failure::ours(format!("\"{host}\" is neither a DNS name nor an IP address")))?;
        let mut live = profile.connect(name, protocol).map_err(Failure::ours)?;
        live.set_buffer_limit(None);
        let sendable = live.process_new_packets().map_err(Failure::ours)?.tls_bytes_to_write();
        let backend = Backend {
            profile,
            protocol: protocol.into(),
        };
        Ok(Self {
            state: State::Live(Box::new(live.into())),
            backend: Some(backend),
            sendable,
            ..Self::new(config)
        })
    }

    /// A connection of a client on which nothing was said yet.
    pub fn new(config: Arc<Config>) -> Self {
        Self {
            config,
            state: State::Hello(Box::default()),
            hello: Hello::default(),
            head: Vec::new(),
            framing: Framing::default(),
            behind_hello: Vec::new(),
            early_data: Vec::new(),
            alert: Vec::new(),
            protection: Protection::default(),
            skipper: None,
            identity: None,
            backend: None,
            audit: None,
            client_mode: None,
            usual_depth: None,
            names: CipherNames::Iana,
            session_id: Box::default(),
            facts: None,
            established: false,
            closing: false,
            peer_closed: false,
            sendable: 0,
            record_size: RecordSize::default(),
        }
    }

    /// What the client asked for; meaningful from [`Event::Hello`] on.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// The outcome of the handshake, once it is complete.
    pub fn facts(&self) -> Option<&Arc<Facts>> {
        self.facts.as_ref()
    }

    /// The configuration that the connection began with; it stays the same over a reload.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// Whether the client said that it sends no more (close_notify, RFC 8446 section 6.1).
    pub fn peer_closed(&self) -> bool {
        self.peer_closed
    }

    /// Takes bytes from the network. Returns how many it took; the rest wants [`Self::read`] to be called first.
    pub fn receive(&mut self, data: &[u8]) -> Result<(usize, Event), Failure> {
        let (taken, event) = match &mut self.state {
            State::Hello(_) => self.receive_hello(data)?,
            State::Accepted(_) => {
                self.behind_hello.extend_from_slice(data);
                (data.len(), Event::Hello)
            }
            State::Live(_) => self.receive_records(data)?,
            State::Failed => return Err(Failure::theirs("the connection has failed before")),
        };
        self.framing.advance(&data[..taken]);
        Ok((taken, event))
    }

    /// How many bytes from the network complete what has begun: a record, or the header of one. Never 0.
    pub fn wanted(&self) -> usize {
        self.framing.wanted()
    }

    fn receive_hello(&mut self, data: &[u8]) -> Result<(usize, Event), Failure> {
        if self.head.is_empty() && looks_like_http(data) {
            self.state = State::Failed;
            self.config.counters().count(Counter::PlainHttp);
            return Ok((0, Event::PlainHttp));
        }
        let State::Hello(acceptor) = &mut self.state else {
            return Ok((0, Event::None));
        };
        let mut rest = data;
        self.head.extend_from_slice(data);
        while !rest.is_empty() {
            if let Err(error) = acceptor.read_tls(&mut rest) {
                return Err(self.fail(AlertDescription::DecodeError, format!("ClientHello refused: {error}")));
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
                    if matches!(error, rustls::Error::PeerIncompatible(_)) && is_outdated(&self.head) {
                        let why = "the client speaks no version newer than TLS 1.1";
                        return Err(self.fail(AlertDescription::ProtocolVersion, why));
                    }
                    // Writing to memory does not fail.
                    let _ = sent.write_all(&mut self.alert);
                    return Err(self.fail(alert::for_error(&error), format!("ClientHello refused: {error}")));
                }
            }
        }
        Ok((data.len(), Event::None))
    }

    /// Refuses the client before the handshake has begun.
    pub fn refuse(&mut self, alert: AlertDescription, why: impl fmt::Display) -> Failure {
        self.fail(alert, why)
    }

    /// Ends the handshake with `alert`, if it is one, unless a better one waits already.
    fn fail(&mut self, alert: impl Into<Option<AlertDescription>>, why: impl fmt::Display) -> Failure {
        self.state = State::Failed;
        if let Some(alert) = alert.into().filter(|_| self.alert.is_empty()) {
            self.alert.extend_from_slice(&plaintext_record(alert));
        }
        self.config.counters().count(Counter::FailedHandshakes);
        Failure::theirs(why)
    }

    /// The identity that this client would be presented by `site`; meaningful between [`Event::Hello`] and
    /// [`Self::accept`].
    pub fn identity_at(&self, site: &Site) -> Option<Arc<Identity>> {
        match &self.state {
            State::Accepted(accepted) => site.identity_for(&accepted.client_hello()),
            _ => None,
        }
    }

    /// Goes on with the handshake as `site`, agreeing on `protocol` by ALPN or on nothing.
    pub fn accept(&mut self, site: &Site, protocol: Option<&[u8]>) -> Result<Event, Failure> {
        let State::Accepted(accepted) = std::mem::replace(&mut self.state, State::Failed) else {
            return Err(Failure::theirs("there is no ClientHello to accept"));
        };
        panic_points::point("accept", self.hello.sni.as_deref());
        let hello = accepted.client_hello();
        let is_fallback = hello.cipher_suites().contains(&FALLBACK_SCSV);
        let identity = site.identity_for(&hello);
        self.identity = identity;
        let (config, audit) = match site.handshake(&hello, protocol, self.hello.tickets) {
            Ok(made) => made,
            Err(error) => return Err(self.fail(AlertDescription::InternalError, error)),
        };
        self.audit = audit;
        if let Some(auth) = site.profile().client_auth() {
            self.client_mode = Some(auth.spec.mode);
            self.usual_depth = Some(auth.spec.usual_depth).filter(|usual| *usual < auth.spec.depth);
        }
        self.names = site.names;
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
        // RFC 7507: a client that came back with a lower version than we both speak was tampered with.
        if is_fallback && live.protocol_version() != Some(site.profile().spec().protocols.max()) {
            return Err(self.fail(
                AlertDescription::InappropriateFallback,
                "the client fell back to an older protocol version than it and we support",
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

    /// The handshake was refused in the answer to the ClientHello.
    fn refused(&mut self, site: &Site, error: rustls::Error, sent: &mut rustls::server::AcceptedAlert) -> Failure {
        if self.identity.is_none() && matches!(error, rustls::Error::General(_)) {
            return self.fail(
                AlertDescription::HandshakeFailure,
                format!(
                    "no certificate of {} suits the client's signature schemes and cipher suites",
                    site.name
                ),
            );
        }
        let _ = sent.write_all(&mut self.alert);
        self.fail(alert::for_error(&error), describe(&error))
    }

    fn receive_records(&mut self, data: &[u8]) -> Result<(usize, Event), Failure> {
        if self.peer_closed {
            // RFC 8446 section 6.1: whatever follows a close_notify is ignored.
            return Ok((data.len(), Event::None));
        }
        if self.backend.is_some() && self.head.is_empty() {
            self.head.extend(data.first());
        }
        let Some(skipper) = &mut self.skipper else {
            return self.feed(data);
        };
        let (taken, found) = skipper.take(data, &self.protection);
        let record = match found {
            Found::Nothing => return Ok((taken, Event::None)),
            Found::Other(record) => record,
            Found::Last(record) => {
                self.skipper = None;
                self.protection.want_decrypter(false);
                record
            }
        };
        let (_, event) = self.feed(&record)?;
        Ok((taken, event))
    }

    /// Gives records to rustls. Returns how much it took.
    fn feed(&mut self, data: &[u8]) -> Result<(usize, Event), Failure> {
        let mut rest = Source(data);
        let mut event = Event::None;
        while !rest.0.is_empty() {
            let State::Live(live) = &mut self.state else { break };
            match live.read_tls(&mut rest) {
                Ok(_) => {}
                // There is enough plaintext to be read first.
                Err(error) if error.kind() == io::ErrorKind::Other => break,
                // A handshake message is larger than rustls takes.
                Err(error) => {
                    self.end(Some(AlertDescription::DecodeError));
                    return Err(Failure::theirs(error));
                }
            }
            match self.process()? {
                Event::None => {}
                news => event = news,
            }
            if self.peer_closed {
                rest = Source(&[]);
            }
        }
        Ok((data.len() - rest.0.len(), event))
    }

    /// Lets rustls work on what it has received.
    fn process(&mut self) -> Result<Event, Failure> {
        let State::Live(live) = &mut self.state else {
            return Ok(Event::None);
        };
        panic_points::point("receive", self.hello.sni.as_deref());
        let state = match observe(&mut self.protection, || live.process_new_packets()) {
            Ok(state) => state,
            Err(error) => {
                self.end(alert::for_error(&error));
                let counter = match self.established {
                    true => Counter::FailedConnections,
                    false => Counter::FailedHandshakes,
                };
                if self.backend.is_some() {
                    return Err(Failure::of_backend(&error, looks_like_http(&self.head)));
                }
                self.config.counters().count(counter);
                return Err(self.failure(&error));
            }
        };
        self.sendable = state.tls_bytes_to_write();
        self.peer_closed |= state.peer_has_closed();
        if self.established {
            return Ok(Event::None);
        }
        let complete = !live.is_handshaking();
        let has_early = self.receive_early_data();
        if complete {
            self.check_backend()?;
            self.established = true;
            self.note_facts();
            if self.is_http2() {
                self.bind_channel();
            }
            return Ok(Event::Established);
        }
        if has_early {
            self.note_facts();
            return Ok(Event::Early);
        }
        Ok(Event::None)
    }

    /// Takes over the early data that rustls has. Whether there is any that was not read.
    fn receive_early_data(&mut self) -> bool {
        if let State::Live(live) = &mut self.state
            && let rustls::Connection::Server(live) = &mut **live
            && let Some(mut early) = live.early_data()
        {
            // rustls has it in memory: reading does not fail.
            let _ = early.read_to_end(&mut self.early_data);
        }
        !self.early_data.is_empty()
    }

    /// Why rustls gave up.
    fn failure(&self, error: &rustls::Error) -> Failure {
        match (error, self.audit.as_ref().and_then(|audit| audit.refusal())) {
            (rustls::Error::InvalidCertificate(_), Some(refusal)) => Failure {
                ours: refusal.reason.is_ours(),
                text: refusal.text,
            },
            (rustls::Error::NoCertificatesPresented, _) => {
                Failure::theirs("the client presented no certificate, and TLSClientCertificate requires one")
            }
            _ => Failure::theirs(describe(error)),
        }
    }

    /// Whether the handshake with a backend came to what was wanted.
    fn check_backend(&mut self) -> Result<(), Failure> {
        let (State::Live(live), Some(backend)) = (&self.state, &self.backend) else {
            return Ok(());
        };
        let failure = if &*backend.protocol == b"h2" && live.alpn_protocol() != Some(b"h2") {
            Some(Failure::ours(
                "the backend does not speak HTTP/2 by ALPN: use https:// instead of h2://",
            ))
        } else if live.handshake_kind() == Some(HandshakeKind::Resumed) {
            let chain = live.peer_certificates().unwrap_or_default();
            backend.profile.verify_again(chain, unix_now()).err().map(Failure::ours)
        } else {
            None
        };
        match failure {
            Some(failure) => {
                self.state = State::Failed;
                Err(failure)
            }
            None => Ok(()),
        }
    }

    /// Keeps what the handshake has come to. Of one that began with early data all is known before it is complete.
    fn note_facts(&mut self) {
        let State::Live(live) = &self.state else { return };
        let (Some(version), Some(suite), None) = (live.protocol_version(), live.negotiated_cipher_suite(), &self.facts)
        else {
            return;
        };
        let identity = self.identity.take();
        let resumed = live.handshake_kind() == Some(HandshakeKind::Resumed);
        let group = live.negotiated_key_exchange_group().map(|group| group.name());
        if self.backend.is_none() {
            let counters = self.config.counters();
            counters.count(match resumed {
                true => Counter::ResumedHandshakes,
                false => Counter::FullHandshakes,
            });
            if group.is_some_and(is_post_quantum) {
                counters.count(Counter::PostQuantumHandshakes);
            }
            if !self.established {
                counters.count(Counter::EarlyDataHandshakes);
            }
        }
        let client_chain: Box<[_]> = live.peer_certificates().unwrap_or_default().into();
        let client_verdict = match &self.audit {
            Some(audit) => audit.verdict(&client_chain, unix_now()),
            None => Verdict::NotAsked,
        };
        self.facts = Some(Arc::new(Facts {
            sni: self.hello.sni.clone(),
            version,
            suite,
            group,
            resumed,
            session_id: std::mem::take(&mut self.session_id),
            identity,
            client_chain,
            client_verdict,
            client_mode: self.client_mode,
            exporter: OnceLock::new(),
            usual_depth: self.usual_depth,
            names: self.names,
        }));
    }

    /// Whether requests run in other threads than the connection.
    fn is_http2(&self) -> bool {
        matches!(&self.state, State::Live(live) if live.alpn_protocol() == Some(b"h2"))
    }

    /// Derives what binds other authentication to this connection: `tls-exporter` (RFC 9266), to be had from
    /// [`Self::facts`]. That takes time, and few want it; with HTTP/2 nobody can ask for it later. In TLS 1.2 it is unique
    /// only with the extended master secret, which we use with everybody who offers it.
    pub fn bind_channel(&self) {
        let (State::Live(live), Some(facts)) = (&self.state, &self.facts) else {
            return;
        };
        if facts.exporter.get().is_some() || self.backend.is_some() {
            return;
        }
        if facts.version != ProtocolVersion::TLSv1_3 && !self.hello.extended_master_secret {
            return;
        }
        if let Ok(binding) = live.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", None) {
            let _ = facts.exporter.set(binding);
        }
    }

    /// Plaintext that has arrived, as much as lies together; empty if there is none.
    pub fn read(&mut self) -> &[u8] {
        panic_points::point("read", self.hello.sni.as_deref());
        match &mut self.state {
            State::Live(_) if !self.early_data.is_empty() => &self.early_data,
            State::Live(live) => live.reader().into_first_chunk().unwrap_or_default(),
            _ => &[],
        }
    }

    /// Drops the first `len` bytes of what [`Self::read`] returned.
    pub fn consume(&mut self, len: usize) {
        if !self.early_data.is_empty() {
            self.early_data.drain(..len);
        } else if let State::Live(live) = &mut self.state {
            live.reader().consume(len);
        }
    }

    /// Encrypts `data`, which may lie in pieces: they share records. True if all was taken; false if the connection
    /// has ended.
    pub fn write(&mut self, data: &[IoSlice<'_>]) -> bool {
        panic_points::point("write", self.hello.sni.as_deref());
        let State::Live(live) = &mut self.state else {
            return false;
        };
        if self.closing || self.facts.is_none() {
            return false;
        }
        let total: usize = data.iter().map(|piece| piece.len()).sum();
        let data = copying::in_pieces(data);
        let (is_backend, record_size) = (self.backend.is_some(), &mut self.record_size);
        let (written, state) = observe(&mut self.protection, || {
            let written = match is_backend {
                true => live.writer().write_vectored(&data).unwrap_or(0),
                false => record_size.write(&mut live.writer(), &data, total),
            };
            (written, live.process_new_packets())
        });
        self.sendable = match state {
            Ok(state) => state.tls_bytes_to_write(),
            Err(_) => UNKNOWN_SENDABLE,
        };
        written == total
    }

    /// How much there is to send, in bytes. An estimate after an error; never 0 while there is something.
    pub fn sendable(&self) -> usize {
        let live = match &self.state {
            State::Live(live) if live.wants_write() => self.sendable.max(1),
            _ => 0,
        };
        self.alert.len() + live
    }

    /// Moves bytes for the network into `buffer`, as many as there are and fit. Returns their number.
    pub fn take(&mut self, buffer: &mut [u8]) -> usize {
        let mut sink = Sink { buffer, used: 0 };
        let from_alert = sink.write(&self.alert).unwrap_or(0);
        self.alert.drain(..from_alert);
        if let State::Live(live) = &mut self.state {
            while live.wants_write() {
                match live.write_tls(&mut sink) {
                    Ok(moved) if moved > 0 => {}
                    _ => break,
                }
            }
            self.sendable = self.sendable.saturating_sub(sink.used);
            if self.facts.is_none() && self.session_id.is_empty() {
                self.session_id = session_id(live.protocol_version(), &sink.buffer[..sink.used]);
            }
        }
        sink.used
    }

    /// Says that nothing more will be sent (close_notify). After a fatal alert there is nothing more to say.
    pub fn close(&mut self) {
        panic_points::point("close", self.hello.sni.as_deref());
        if let State::Live(live) = &mut self.state
            && !self.closing
        {
            self.closing = true;
            live.send_close_notify();
            self.sendable += UNKNOWN_SENDABLE;
        }
    }

    /// Ends the connection after a failure: what rustls has to send is still sent, then `alert` where rustls has none to send.
    fn end(&mut self, alert: Option<AlertDescription>) {
        let State::Live(mut live) = std::mem::replace(&mut self.state, State::Failed) else {
            return;
        };
        // Writing to memory does not fail.
        while live.wants_write() && live.write_tls(&mut self.alert).is_ok() {}
        let has_alert = match self.protection.is_encrypting() {
            true => self.protection.has_sent_alert(),
            false => alert::ends_with_plaintext(&self.alert),
        };
        if let Some(alert) = alert.filter(|_| !has_alert) {
            let encrypted = self.protection.fatal_alert(alert);
            self.alert
                .extend(encrypted.unwrap_or_else(|| plaintext_record(alert).into()));
        }
    }

    /// Ends the connection after an error inside this module. What is encrypted cannot be trusted any more, so nothing
    /// is sent, except in a handshake that has no keys yet.
    pub fn poison(&mut self) {
        self.config.counters().count(Counter::InternalErrors);
        let has_keys = matches!(self.state, State::Live(_)) || self.facts.is_some();
        self.state = State::Failed;
        self.alert.clear();
        if !has_keys {
            self.alert
                .extend_from_slice(&plaintext_record(AlertDescription::InternalError));
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("hello", &self.hello)
            .finish_non_exhaustive()
    }
}

/// What removes the early data that the client sends in vain; none if it was accepted, or cannot be.
fn skipper(live: &mut rustls::ServerConnection) -> Option<Skipper> {
    if live.protocol_version() != Some(ProtocolVersion::TLSv1_3) || live.early_data().is_some() {
        return None;
    }
    Some(Skipper::new(match live.handshake_kind() {
        Some(HandshakeKind::FullWithHelloRetryRequest) => End::ClientHello,
        _ => End::Encrypted,
    }))
}

/// Whether `head` begins a ClientHello of a version before TLS 1.2. rustls complains first of extensions that such
/// clients cannot know of.
fn is_outdated(head: &[u8]) -> bool {
    const HANDSHAKE: u8 = 22;
    const CLIENT_HELLO: u8 = 1;
    match head {
        [HANDSHAKE, _, _, _, _, CLIENT_HELLO, _, _, _, major, minor, ..] => (*major, *minor) < (3, 3),
        _ => false,
    }
}

/// No TLS record begins with a letter; every HTTP request does.
fn looks_like_http(data: &[u8]) -> bool {
    data.first().is_some_and(u8::is_ascii_alphabetic)
}

fn is_post_quantum(group: NamedGroup) -> bool {
    matches!(
        group,
        NamedGroup::X25519MLKEM768
            | NamedGroup::secp256r1MLKEM768
            | NamedGroup::MLKEM512
            | NamedGroup::MLKEM768
            | NamedGroup::MLKEM1024
    )
}

/// The session id in a TLS 1.2 ServerHello (RFC 5246 section 7.4.1.3) that begins `flight`, in upper-case hex. rustls
/// does not tell it. In TLS 1.3 the field is an echo without meaning.
fn session_id(version: Option<ProtocolVersion>, flight: &[u8]) -> Box<str> {
    const RECORD_HEADER: usize = 5;
    const HANDSHAKE_HEADER: usize = 4;
    const VERSION_AND_RANDOM: usize = 2 + 32;
    if version != Some(ProtocolVersion::TLSv1_2) {
        return Box::default();
    }
    let id = flight
        .get(RECORD_HEADER + HANDSHAKE_HEADER + VERSION_AND_RANDOM..)
        .and_then(<[u8]>::split_first)
        .and_then(|(len, rest)| rest.get(..usize::from(*len)))
        .unwrap_or_default();
    id.iter().map(|byte| format!("{byte:02X}")).collect::<String>().into()
}
