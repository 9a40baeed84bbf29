// SPDX-License-Identifier: Apache-2.0
//! A TLS connection from a client or to a backend, from the first byte to close_notify. It does no I/O.
//!
//! [`Connection::receive`] accepts data from the network, [`Connection::output`] returns data for the network. Between
//! ClientHello and ServerHello, the caller selects the site for the client.
//!
//! May use: backend, base, config, crypto, info, key_process, keys, process, revocation, session, site, trust, x509.

mod accept;
pub(crate) mod alert;
mod client_status;
mod copying;
mod counting;
mod ending;
mod event;
pub mod failure;
mod framing;
mod hello;
pub mod limit;
mod outcome;
mod output;
pub mod plain_http;
mod reason;
mod record_size;
mod rejected_early_data;
pub mod report;

use std::fmt;
use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::time::Instant;

use rustls::server::{Accepted, Acceptor};
use rustls::{AlertDescription, SignatureScheme};
use rustls_pki_types::ServerName;

pub use self::event::Event;

use self::client_status::Awaited;
use self::copying::Source;
use self::counting::Begun;
use self::output::Lent;
use crate::backend::profile::ProxyProfile;
use crate::base::log_codes::Code;
use crate::base::panic_points;
use crate::config::Config;
use crate::connection::failure::Failure;
use crate::connection::framing::Framing;
use crate::connection::hello::Hello;
use crate::connection::record_size::RecordSize;
use crate::connection::rejected_early_data::{Found, Skipper};
use crate::crypto::protection::{Protection, observe};
use crate::info::connection_info::{CipherNames, ConnectionInfo};
use crate::info::offer::Offer;
use crate::keys::identity::Identity;
use crate::process::counters::Counter;
use crate::trust::client::verifier::ClientVerification;
use crate::trust::client::verify_mode::HandshakeMode;

enum State {
    Hello(Box<Acceptor>),
    Accepted(Box<Accepted>),
    Live(Box<rustls::Connection>),
    /// The connection has failed. What rustls has encrypted before is still sent.
    Ending(Box<rustls::Connection>),
    /// The connection has failed. Only alerts are still sent.
    Failed,
}

/// The destination of a connection to a backend.
#[derive(Debug)]
struct Backend {
    profile: Arc<ProxyProfile>,
    protocol: Box<[u8]>,
}

/// A connection from a client, or [to a backend](Connection::to_backend).
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
///
/// use mod_tls_core::base::diagnostics::Origin;
/// use mod_tls_core::config::{Builder, Environment, Server};
/// use mod_tls_core::connection::{Connection, Event};
/// use mod_tls_core::process::Process;
///
/// let mut builder = Builder::new(Arc::new(Process::default()), Environment::new("/etc/httpd"));
/// builder.add_server(Server::new("www.example.org", Origin { file: "httpd.conf".into(), line: 1 }));
/// let config = builder.compile().0.expect("there are no errors");
/// let mut connection = Connection::new(config);
/// assert!(matches!(connection.receive(b"GET / HTTP/1.1"), Ok((0, Event::PlainHttp))));
/// ```
pub struct Connection {
    config: Arc<Config>,
    state: State,
    hello: Hello,
    /// The received part of the ClientHello's records, or the first byte of a backend.
    head: Vec<u8>,
    framing: Framing,
    /// Data after the ClientHello that was received before the site was selected.
    behind_hello: Vec<u8>,
    /// Whether another module has provided the OCSP response.
    is_stapled: bool,
    /// What was asked about the client's certificate.
    awaited: Option<Awaited>,
    /// Early data that has not been read yet.
    early_data: Vec<u8>,
    /// Records to be sent behind the output of rustls.
    alerts: Vec<Box<[u8]>>,
    /// The output that the caller has and has not sent yet.
    lent: Lent,
    /// rustls, if it is used no more. The caller may have pieces of its memory.
    retired: Option<Box<rustls::Connection>>,
    protection: Protection,
    /// The filter for early data that is not accepted; it is removed when the handshake continues.
    skipper: Option<Box<Skipper>>,
    identity: Option<Arc<Identity>>,
    /// The backend, unless the connection is from a client.
    backend: Option<Backend>,
    /// The verifier of the client certificate, if clients are verified.
    verification: Option<Arc<ClientVerification>>,
    /// The site's mode for client certificates, whether or not this client was asked for one.
    client_mode: Option<HandshakeMode>,
    /// The maximum number of CAs above the certificate in locations without a setting, if the handshake allows more.
    usual_depth: Option<usize>,
    /// The format of cipher names.
    names: CipherNames,
    /// The only signature schemes of the site, if it does not use all.
    signatures: Option<Arc<[SignatureScheme]>>,
    /// When the connection began: the first byte of a client.
    started: Instant,
    session_id: Box<str>,
    info: Option<Arc<ConnectionInfo>>,
    /// Whether the handshake is complete.
    established: bool,
    /// What is counted when the handshake has ended; none for backends, and before the site is selected.
    begun: Option<Begun>,
    closing: bool,
    peer_closed: bool,
    record_size: RecordSize,
}

impl Connection {
    /// A connection to the backend `host`, a DNS name or an IP address, with `profile` and the ALPN protocol `protocol`
    /// (RFC 7301). Its ClientHello can be taken.
    pub fn to_backend(
        config: Arc<Config>,
        profile: Arc<ProxyProfile>,
        host: &str,
        protocol: &[u8],
    ) -> Result<Self, Failure> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(bare.to_owned())
            .map_err(|_| format!("\"{host}\" is neither a DNS name nor an IP address"))
            .map_err(|why| Failure::ours(Code::BackendName, why))?;
        let unusable = |error| Failure::ours(Code::BackendSettings, error);
        config.prepare_for_backend(&profile);
        let mut live = profile.connect(name, protocol).map_err(unusable)?;
        live.set_buffer_limit(None);
        let backend = Backend {
            profile,
            protocol: protocol.into(),
        };
        Ok(Self {
            state: State::Live(Box::new(live.into())),
            backend: Some(backend),
            ..Self::new(config)
        })
    }

    /// A connection from a client that has not received any data.
    pub fn new(config: Arc<Config>) -> Self {
        Self {
            config,
            state: State::Hello(Box::default()),
            hello: Hello::default(),
            head: Vec::new(),
            framing: Framing::default(),
            behind_hello: Vec::new(),
            is_stapled: false,
            awaited: None,
            early_data: Vec::new(),
            alerts: Vec::new(),
            lent: Lent::default(),
            retired: None,
            protection: Protection::default(),
            skipper: None,
            identity: None,
            backend: None,
            verification: None,
            client_mode: None,
            usual_depth: None,
            names: CipherNames::Iana,
            signatures: None,
            started: Instant::now(),
            session_id: Box::default(),
            info: None,
            established: false,
            begun: None,
            closing: false,
            peer_closed: false,
            record_size: RecordSize::default(),
        }
    }

    /// The relevant contents of the ClientHello. They are valid after [`Event::Hello`].
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// What the client has offered, if its ClientHello was complete and well-formed.
    pub fn offer(&self) -> Option<&Offer> {
        let after = self.info.as_ref().and_then(|info| info.offer.as_ref());
        after.or(self.hello.offer.as_ref())
    }

    /// The result of the handshake, after it is complete.
    pub fn info(&self) -> Option<&Arc<ConnectionInfo>> {
        self.info.as_ref()
    }

    /// The configuration of the connection. It does not change in a reload.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// Whether the peer has sent close_notify (RFC 8446 section 6.1).
    pub fn peer_closed(&self) -> bool {
        self.peer_closed
    }

    /// Processes data from the network. Returns the number of bytes that were accepted; the rest is accepted after
    /// [`Self::read`].
    pub fn receive(&mut self, data: &[u8]) -> Result<(usize, Event), Failure> {
        let (taken, event) = match &mut self.state {
            State::Hello(_) => self.receive_hello(data)?,
            State::Accepted(_) => {
                self.behind_hello.extend_from_slice(data);
                (data.len(), Event::Hello)
            }
            State::Live(_) => self.receive_records(data)?,
            State::Ending(_) | State::Failed => {
                return Err(Failure::theirs(Code::OtherError, "the connection has failed before"));
            }
        };
        self.framing.advance(&data[..taken]);
        Ok((taken, event))
    }

    /// The number of bytes from the network that complete the current record, or a header. Never 0.
    pub fn wanted(&self) -> usize {
        self.framing.wanted()
    }

    fn receive_records(&mut self, data: &[u8]) -> Result<(usize, Event), Failure> {
        if self.peer_closed {
            // RFC 8446 section 6.1: data after a close_notify is ignored.
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

    /// Passes records to rustls. Returns the number of bytes that were accepted.
    fn feed(&mut self, data: &[u8]) -> Result<(usize, Event), Failure> {
        let is_part = self.established && self.framing.is_part(data.len());
        let mut rest = Source(data);
        let mut event = Event::None;
        while !rest.0.is_empty() {
            let State::Live(live) = &mut self.state else { break };
            match live.read_tls(&mut rest) {
                Ok(_) => {}
                // Plaintext must be read before more is accepted.
                Err(error) if error.kind() == io::ErrorKind::Other => break,
                // A handshake message is larger than rustls accepts.
                Err(error) => {
                    self.end(Some(AlertDescription::DecodeError));
                    return Err(self.with_alert(Failure::theirs(Code::TooLarge, error)));
                }
            }
            if is_part {
                continue;
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

    /// Lets rustls process the received data.
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
                    let failure = Failure::of_backend(&error, plain_http::is_start(&self.head));
                    return Err(self.with_alert_of(failure, &error));
                }
                self.config.counters().count(counter);
                return Err(self.failure(&error));
            }
        };
        self.peer_closed |= state.peer_has_closed();
        if self.established {
            return Ok(Event::None);
        }
        self.progress()
    }

    /// What the state of the handshake means for the caller.
    fn progress(&mut self) -> Result<Event, Failure> {
        let State::Live(live) = &self.state else {
            return Ok(Event::None);
        };
        let complete = !live.is_handshaking();
        let has_early = self.receive_early_data();
        if (complete || has_early) && self.awaits_answer()? {
            return Ok(Event::Awaiting);
        }
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

    /// Moves early data out of rustls. True if there is unread early data.
    fn receive_early_data(&mut self) -> bool {
        if let State::Live(live) = &mut self.state
            && let rustls::Connection::Server(live) = &mut **live
            && let Some(mut early) = live.early_data()
        {
            // The data is in memory: reading does not fail.
            let _ = early.read_to_end(&mut self.early_data);
        }
        !self.early_data.is_empty()
    }

    /// The received plaintext, up to the end of one buffer. Empty if there is none.
    pub fn read(&mut self) -> &[u8] {
        panic_points::point("read", self.hello.sni.as_deref());
        match &mut self.state {
            State::Live(_) if !self.early_data.is_empty() => &self.early_data,
            // Data before an error was received.
            State::Live(live) | State::Ending(live) => live.reader().into_first_chunk().unwrap_or_default(),
            _ => &[],
        }
    }

    /// Removes the first `len` bytes of the result of [`Self::read`].
    pub fn consume(&mut self, len: usize) {
        if !self.early_data.is_empty() {
            self.early_data.drain(..len);
        } else if let State::Live(live) | State::Ending(live) = &mut self.state {
            live.reader().consume(len);
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
