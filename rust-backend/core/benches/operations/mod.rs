// SPDX-License-Identifier: Apache-2.0
//! The operations that the benchmarks time and count.

use std::io::IoSlice;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use mod_tls_core::base::diagnostics::Origin;
use mod_tls_core::base::directive::Directive;
use mod_tls_core::config::vhosts::NameIndex;
use mod_tls_core::config::{Builder, Config, Environment, Server};
use mod_tls_core::connection::{Connection, Event};
use mod_tls_core::process::Process;
use mod_tls_core::process::counters::CELLS;
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::client::Resumption;
#[cfg(feature = "aws-lc-rs")]
use rustls::crypto::aws_lc_rs::default_provider;
#[cfg(feature = "ring")]
use rustls::crypto::ring::default_provider;
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};

/// A directory with certificates. It is removed on drop.
struct Files(PathBuf);

impl Files {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("mod-tls-bench-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("there is room");
        Self(path)
    }

    fn write(&self, name: &str, content: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, content).expect("there is room");
        path.display().to_string()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn directive(line: &str) -> Directive {
    let mut words = line.split(' ').map(str::to_owned);
    Directive {
        in_section: false,
        name: words.next().unwrap_or_default(),
        args: words.collect(),
        origin: origin(),
    }
}

fn origin() -> Origin {
    Origin {
        file: "bench.conf".into(),
        line: 1,
    }
}

fn server(name: &str, lines: &[String]) -> Server {
    let mut server = Server::new(name, origin());
    server.addresses = vec![(None::<IpAddr>, 443)];
    server.directives = lines.iter().map(|line| directive(line)).collect();
    server
}

/// A process that counts, as httpd does.
fn counting() -> Arc<Process> {
    let process = Process::default();
    let cells = (0..CELLS).map(|_| AtomicU64::new(0)).collect();
    process.counters.attach(Box::leak(cells));
    Arc::new(process)
}

/// A site for localhost and a client that trusts it.
pub struct Pair {
    config: Arc<Config>,
    client: ClientConfig,
    _files: Files,
}

/// The time that the server's part of an operation takes.
#[derive(Default)]
pub struct Stopwatch(pub Duration);

impl Stopwatch {
    /// Adds the time that `work` takes.
    pub fn measure<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        self.0 += start.elapsed();
        result
    }
}

impl Pair {
    /// A site with an ECDSA certificate. The client uses `version`, and resumes sessions if `resumes` is set.
    pub fn new(version: &'static SupportedProtocolVersion, resumes: bool) -> Self {
        let files = Files::new();
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).expect("there are random numbers");
        let lines = [
            "TLSEngine 443".to_owned(),
            format!(
                "TLSCertificate {} {}",
                files.write("cert.pem", &cert.pem()),
                files.write("key.pem", &signing_key.serialize_pem())
            ),
        ];
        let mut builder = Builder::new(counting(), Environment::new("/"));
        builder.add_server(server("localhost", &lines));
        let (config, diagnostics) = builder.compile();
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).expect("it is a certificate");
        let mut client = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[version])
            .expect("the version has suites")
            .with_root_certificates(roots)
            .with_no_client_auth();
        if !resumes {
            client.resumption = Resumption::disabled();
        }
        Self {
            config: config.unwrap_or_else(|| panic!("{diagnostics:?}")),
            client,
            _files: files,
        }
    }

    /// A handshake. `stopwatch` measures the server's part.
    pub fn handshake(&self, stopwatch: &mut Stopwatch) -> (Connection, ClientConnection) {
        let name = "localhost".try_into().expect("it is a name");
        let mut client = ClientConnection::new(Arc::new(self.client.clone()), name).expect("the configuration is good");
        let mut server = stopwatch.measure(|| Connection::new(Arc::clone(&self.config)));
        while client.is_handshaking() || client.wants_write() || server.info().is_none() {
            let mut sent = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut sent).expect("memory takes it");
            }
            let mut answer = Vec::new();
            stopwatch.measure(|| {
                self.receive(&mut server, &sent);
                server.output(usize::MAX, &mut |piece| answer.extend_from_slice(piece));
                server.sent();
            });
            let mut rest = answer.as_slice();
            while !rest.is_empty() {
                client.read_tls(&mut rest).expect("it is read");
                client.process_new_packets().expect("it is good");
            }
        }
        (server, client)
    }

    fn receive(&self, server: &mut Connection, data: &[u8]) {
        let (_, event) = server.receive(data).expect("the client is good");
        if event == Event::Hello {
            let site = self.config.site(0).expect("there is a base server");
            server.accept(site, Some(b"http/1.1")).expect("the client is good");
        }
    }
}

/// Encrypts `data` as the server does. Returns the number of bytes for the network.
pub fn send(server: &mut Connection, data: &[u8]) -> usize {
    assert!(server.write(&[IoSlice::new(data)]));
    let mut sent = 0;
    server.output(usize::MAX, &mut |piece| sent += piece.len());
    server.sent();
    sent
}

/// Decrypts the client's `records`. Returns the number of bytes of plaintext.
pub fn receive(server: &mut Connection, records: &[u8]) -> usize {
    let mut total = 0;
    let mut rest = records;
    while !rest.is_empty() {
        let (taken, _) = server.receive(rest).expect("the records are good");
        rest = &rest[taken..];
        loop {
            let len = server.read().len();
            if len == 0 {
                break;
            }
            server.consume(len);
            total += len;
        }
    }
    total
}

/// The records in which the client sends `data`.
pub fn encrypt(client: &mut ClientConnection, data: &[u8]) -> Vec<u8> {
    use std::io::Write;
    client.writer().write_all(data).expect("memory takes it");
    let mut records = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut records).expect("memory takes it");
    }
    records
}

/// An index of `count` host names, and one of the names.
pub fn names(count: u32) -> (NameIndex, String) {
    let mut index = NameIndex::default();
    for number in 0..count {
        let name = format!("host{number}.example.test");
        index.add_host(number, [name.as_str()]);
    }
    (index, format!("host{}.example.test", count / 2))
}

/// A configuration of hosts with a certificate each. It can be compiled repeatedly.
pub struct Hosts {
    servers: Vec<Server>,
    _files: Files,
}

impl Hosts {
    /// `count` hosts.
    pub fn new(count: usize) -> Self {
        let files = Files::new();
        let mut servers = vec![server("base.example.test", &["TLSEngine 443".to_owned()])];
        for number in 0..count {
            let name = format!("host{number}.example.test");
            let made: CertifiedKey<KeyPair> =
                generate_simple_self_signed([name.clone()]).expect("there are random numbers");
            let line = format!(
                "TLSCertificate {} {}",
                files.write(&format!("{number}.pem"), &made.cert.pem()),
                files.write(&format!("{number}.key"), &made.signing_key.serialize_pem())
            );
            servers.push(server(&name, &[line]));
        }
        Self { servers, _files: files }
    }

    /// Compiles the configuration. Files that `process` has read before are not read again.
    pub fn compile(&self, process: &Arc<Process>) -> Arc<Config> {
        let mut builder = Builder::new(Arc::clone(process), Environment::new("/"));
        for server in self.servers.iter().cloned() {
            let index = builder.add_server(server);
            builder.add_to_chain(1, index);
        }
        builder.compile().0.expect("the configuration is good")
    }
}
