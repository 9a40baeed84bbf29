// SPDX-License-Identifier: Apache-2.0
//! The code of the fuzz targets. `core/tests/corpus.rs` runs it on the corpus without a fuzzer.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use mod_tls_core::CertificateDer;
use mod_tls_core::base::diagnostics::Origin;
use mod_tls_core::base::directive::Directive;
use mod_tls_core::base::host_name::HostName;
use mod_tls_core::config::{Builder, Config, Environment, Server};
use mod_tls_core::connection::{Connection, Event};
use mod_tls_core::key_process::inquiry::{Inquiry, Response};
use mod_tls_core::key_process::permitted::is_permitted;
use mod_tls_core::key_process::protocol::{
    self as key_protocol, Answer, MAX_CONTROL_FRAME, MAX_FRAME, Order, Purpose, Reply, Request,
};
use mod_tls_core::key_process::supply::{Supplied, SupplyOrder, SupplyRequest};
use mod_tls_core::keys::encrypted_key::EncryptedKey;
use mod_tls_core::keys::identity::Identity;
use mod_tls_core::keys::store_pattern::Pattern;
use mod_tls_core::mod_ssl::{protocol, suites};
use mod_tls_core::revocation::ocsp::{self, CertId, Checks, Status};
use mod_tls_core::trust::anchors::{Anchors, Report};
use mod_tls_core::trust::ca_set::CaSet;
use mod_tls_core::trust::client::verifier::{Asking, CaNames, ClientAuth, ClientAuthSpec};
use mod_tls_core::trust::client::verify_mode::{HandshakeMode, VerifyMode};
use mod_tls_core::trust::crl::{self, Crl};
use mod_tls_core::trust::fetched_lists::FetchCheck;
use mod_tls_core::trust::revocation::CrlCheck;
use mod_tls_core::x509::{Certificate, Context};

fn config() -> Arc<Config> {
    static CONFIG: OnceLock<Arc<Config>> = OnceLock::new();
    let origin = Origin {
        file: "fuzz".into(),
        line: 1,
    };
    let make = || {
        let mut builder = Builder::new(Arc::default(), Environment::new("/"));
        let mut server = Server::new("localhost", origin.clone());
        server.directives = ["TLSEngine 443", "TLSStrictSNI off"]
            .map(|line| {
                let (name, argument) = line.split_once(' ').unwrap_or_default();
                Directive {
                    in_section: false,
                    name: name.to_owned(),
                    args: vec![argument.to_owned()],
                    origin: origin.clone(),
                }
            })
            .to_vec();
        builder.add_server(server);
        builder.compile().0.expect("the configuration is good")
    };
    Arc::clone(CONFIG.get_or_init(make))
}

/// Takes the output, in two parts.
#[allow(dead_code)]
fn send(connection: &mut Connection) {
    for room in [1, usize::MAX] {
        connection.output(room, &mut |piece| assert!(!piece.is_empty()));
    }
    connection.sent();
}

/// A connection receives bytes from the network, in chunks. The first byte is the size of the chunks.
#[allow(dead_code)]
pub fn connection(data: &[u8]) {
    let Some((&size, data)) = data.split_first() else {
        return;
    };
    let config = config();
    let mut connection = Connection::new(Arc::clone(&config));
    for piece in data.chunks(usize::from(size) + 1) {
        let mut rest = piece;
        while !rest.is_empty() {
            let Ok((taken, event)) = connection.receive(rest) else {
                return;
            };
            rest = &rest[taken..];
            let site = config.site(0).expect("there is a base server");
            let protocol = connection.hello().alpn.first().cloned();
            match event {
                Event::Hello if connection.accept(site, protocol.as_deref()).is_err() => return,
                Event::PlainHttp => return,
                _ => {}
            }
            let plaintext = connection.read().len();
            connection.consume(plaintext);
            send(&mut connection);
        }
    }
    connection.close();
    send(&mut connection);
}

/// Lists of cipher suites and protocols in mod_ssl's syntax, one per line.
#[allow(dead_code)]
pub fn ssl(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let Ok((is_tls13, evaluated)) = suites::parse(&words) {
            assert!(evaluated.suites.iter().all(|suite| suite.is_tls13() == is_tls13));
        }
        let _ = protocol::parse(&words);
    }
}

/// What can be decoded is the same when it is encoded and decoded again.
#[allow(unused_macros)]
macro_rules! same_again {
    ($kind:ty, $data:expr) => {
        if let Ok(message) = key_protocol::decode::<$kind>($data) {
            let mut frame = Vec::new();
            key_protocol::encode(&message, &mut frame);
            assert_eq!(
                key_protocol::frame_len(&frame, u32::MAX as usize),
                Ok(Some(frame.len()))
            );
            assert_eq!(key_protocol::decode::<$kind>(&frame), Ok(message));
        }
    };
}

/// A frame as `tls-keyd`, httpd's parent process, its child processes and `tls-certs` may receive it, and a message to be signed.
#[allow(dead_code)]
pub fn key_process(data: &[u8]) {
    for max in [MAX_FRAME, MAX_CONTROL_FRAME] {
        if let Ok(Some(len)) = key_protocol::frame_len(data, max) {
            assert!(len > 4 && len <= max + 4);
        }
    }
    same_again!(Request<'_>, data);
    same_again!(Reply<'_>, data);
    same_again!(Order, data);
    same_again!(Answer, data);
    same_again!(Inquiry, data);
    same_again!(Response, data);
    same_again!(SupplyOrder, data);
    same_again!(SupplyRequest, data);
    same_again!(Supplied, data);
    if let Ok(Request::Sign { message, .. }) = key_protocol::decode(data) {
        signed(message);
    }
    signed(data);
}

/// A pattern of paths, a line end, and a name: the name adds no directories, and does not leave the fixed part of the path.
#[allow(dead_code)]
pub fn store(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (pattern, name) = text.split_once('\n').unwrap_or((&text, "www.example.org"));
    let (Ok(pattern), Some(name)) = (Pattern::parse(&format!("/{pattern}")), HostName::new(name)) else {
        return;
    };
    let (path, text) = (pattern.path(&name), pattern.to_string());
    assert_eq!(Pattern::parse(&text).as_ref(), Ok(&pattern));
    let slashes = |text: &str| text.matches('/').count();
    assert_eq!(slashes(&path.to_string_lossy()), slashes(&text));
    let climbs = |path: &Path| path.components().filter(|part| part.as_os_str() == "..").count();
    assert_eq!(climbs(&path), climbs(Path::new(&text)));
    assert!(path.starts_with(pattern.fixed_directory()));
}

/// A message that is signed has a form that TLS knows, for one purpose.
#[allow(dead_code)]
fn signed(message: &[u8]) {
    let is_verify = message.starts_with(&[0x20; 64]) && message[64..].starts_with(b"TLS 1.3, ");
    let is_key_exchange = message.get(64) == Some(&3) && message.len() < 64 + 4 + 256;
    let is_transcript = message.first() == Some(&1) && message.len() > 12;
    if is_permitted(Purpose::Server, message) {
        assert!(is_verify || is_key_exchange);
        assert!(!is_verify || !is_permitted(Purpose::Client, message));
    }
    if is_permitted(Purpose::Client, message) {
        assert!(is_verify || is_transcript);
    }
}

/// The part of a file that httpd gets has all of its certificates and no private key.
#[allow(dead_code)]
fn public_part(text: &[u8]) {
    use mod_tls_core::x509::pem;
    let public = pem::public_part(text);
    for line in secret_lines(text) {
        assert!(!contains(&public, line), "{}", String::from_utf8_lossy(line));
    }
    let (Ok(whole), Ok(part)) = (pem::parse(text), pem::parse(&public)) else {
        return;
    };
    assert!(part.keys.iter().all(|key| key.secret_der().is_empty()));
    // Certificates behind an encrypted key in one of OpenSSL's older forms may be hidden by its headers. The parser takes the
    // content of a block without an end for that of the next one.
    if !whole.encrypted_key && is_tidy(text) {
        assert_eq!(whole.certificates, part.certificates);
    }
}

/// Whether each block has an end, and nothing else looks like a label.
#[allow(dead_code)]
fn is_tidy(text: &[u8]) -> bool {
    let lines = text.split(|byte| matches!(byte, b'\n' | b'\r'));
    let labels: Vec<&[u8]> = lines.filter(|line| contains(line, b"-----")).collect();
    let is_name = |name: &[u8]| name.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b' ');
    labels.chunks(2).all(|pair| {
        let name = pair[0]
            .strip_prefix(b"-----BEGIN ")
            .and_then(|rest| rest.strip_suffix(b"-----"));
        let end = pair.get(1).and_then(|line| line.strip_prefix(b"-----END "));
        name.is_some_and(is_name) && end.and_then(|rest| rest.strip_suffix(b"-----")) == name
    })
}

/// The lines in blocks of private keys that are nowhere else.
#[allow(dead_code)]
fn secret_lines(text: &[u8]) -> Vec<&[u8]> {
    let mut is_secret = false;
    let mut lines = Vec::new();
    for line in text.split(|byte| matches!(byte, b'\n' | b'\r')) {
        if contains(line, b"-----") {
            is_secret = line.starts_with(b"-----BEGIN ") && line.ends_with(b"PRIVATE KEY-----");
        } else if is_secret && line.len() >= 16 {
            lines.push(line);
        }
    }
    lines.retain(|line| text.windows(line.len()).filter(|window| window == line).count() == 1);
    lines
}

#[allow(dead_code)]
fn contains(text: &[u8], wanted: &[u8]) -> bool {
    text.windows(wanted.len()).any(|window| window == wanted)
}

/// A PEM file, and the certificates in it.
#[allow(dead_code)]
pub fn pem(data: &[u8]) {
    public_part(data);
    if let Err(error) = Identity::from_pem("input", data, None) {
        let _ = error.to_string();
    }
    // PKCS#8 is not decrypted: the file itself sets the number of iterations.
    if let Some(Ok(key @ EncryptedKey::Traditional { .. })) = EncryptedKey::find(data) {
        let _ = key.decrypt(b"secret");
    }
    let Ok(bundle) = mod_tls_core::x509::pem::parse(data) else {
        return;
    };
    let context = Context::at(1_800_000_000);
    for der in &bundle.certificates {
        let Ok(certificate) = Certificate::parse(der) else {
            continue;
        };
        let _ = certificate.std_env("SSL_SERVER_", &context);
        let _ = (
            certificate.names(),
            certificate.key_type(),
            certificate.covers("a.test"),
        );
        for name in ["CERT_RFC4523_CEA", "S_DN_CN_RAW", "SAN_DNS_0", "SAN_OTHER_msUPN_0"] {
            let _ = certificate.variable(name, &context);
        }
        let _ = (
            certificate.may_issue(),
            certificate.may_sign_crls(),
            certificate.distribution_points(),
        );
        let _ = (certificate.subject(), certificate.legacy_subject());
        for name in [
            "nsComment",
            "basicConstraints",
            "keyUsage",
            "extendedKeyUsage",
            "subjectAltName",
            "2.5.29.35",
        ] {
            let _ = certificate.extension_values(name);
        }
    }
}

/// A file of revocation lists.
#[allow(dead_code)]
pub fn crl(data: &[u8]) {
    let Ok(lists) = crl::split(data) else { return };
    for der in lists {
        match Crl::parse(Path::new("input"), der) {
            Ok(list) => {
                let _ = (list.has(&[0]), list.has(&[1, 2, 3]), list.has(data), list.len());
                let _ = (list.covers(data, true), list.covers(data, false), list.next_update());
            }
            Err(error) => drop(error.to_string()),
        }
    }
}

/// Certificates of a client, each after its length in two bytes. The first one is the CA of the virtual host.
#[allow(dead_code)]
pub fn client(data: &[u8]) {
    let mut chain = Vec::new();
    let mut rest = data;
    while let Some((len, behind)) = rest.split_first_chunk::<2>() {
        let (der, behind) = behind.split_at(usize::from(u16::from_be_bytes(*len)).min(behind.len()));
        chain.push(CertificateDer::from(der));
        rest = behind;
    }
    let Some((ca, chain)) = chain.split_first() else { return };
    let mut report = Report::default();
    let anchors = Anchors::new(vec![("input".into(), ca.clone().into_owned())], &mut report);
    let spec = ClientAuthSpec {
        mode: HandshakeMode::Required,
        cas: Vec::new(),
        names: CaNames::Trusted,
        depth: 3,
        usual_depth: 3,
        crls: Vec::new(),
        crl_check: CrlCheck::default(),
        fetch: FetchCheck::default(),
        ocsp: None,
    };
    let cas = Arc::new(CaSet::fixed(anchors));
    let result = ClientAuth::new(spec, cas, None, None, Asking::default()).judge(chain, 1_800_000_000);
    let _ = result.variable(None);
    let _ = result.satisfies(VerifyMode::Required);
}

/// An OCSP response for `leaf.der`, which `issuer.der` has issued. Nothing but what the issuer has signed is believed.
pub fn ocsp(data: &[u8]) {
    const ISSUER: &[u8] = include_bytes!("../ocsp/issuer.der");
    const LEAF: &[u8] = include_bytes!("../ocsp/leaf.der");
    let id = CertId::new(LEAF, ISSUER).expect("they are well-formed");
    let mut checks = Checks {
        issuer: ISSUER,
        responders: &[],
        nonce: None,
        skew: 300,
        max_age: None,
        no_verify: false,
        now: 1_793_750_400,
    };
    if let Ok(answer) = ocsp::verify(data, &id, &checks)
        && answer.status == Status::Good
    {
        assert_eq!(answer.this_update, 1_793_491_200);
        assert_eq!(answer.next_update, Some(1_794_096_000));
    }
    checks.no_verify = true;
    let _ = ocsp::verify(data, &id, &checks);
    let _ = ocsp::is_successful(data);
    let _ = ocsp::responders(data);
    let _ = CertId::new(data, ISSUER).map(|id| ocsp::request(&id, Some(b"nonce")));
}
