// SPDX-License-Identifier: Apache-2.0
//! The code of the fuzz targets. `core/tests/corpus.rs` runs it on the corpus without a fuzzer.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use mod_tls_core::CertificateDer;
use mod_tls_core::base::diagnostics::Origin;
use mod_tls_core::base::directive::Directive;
use mod_tls_core::config::{Builder, Config, Environment, Server};
use mod_tls_core::connection::{Connection, Event};
use mod_tls_core::keys::encrypted_key::EncryptedKey;
use mod_tls_core::keys::identity::Identity;
use mod_tls_core::mod_ssl::{protocol, suites};
use mod_tls_core::trust::anchors::{Anchors, Report};
use mod_tls_core::trust::client::verifier::{CaNames, ClientAuth, ClientAuthSpec};
use mod_tls_core::trust::client::verify_mode::{HandshakeMode, VerifyMode};
use mod_tls_core::trust::crl::{self, Crl};
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

/// A connection receives bytes from the network, in chunks. The first byte is the size of the chunks.
#[allow(dead_code)]
pub fn connection(data: &[u8]) {
    let Some((&size, data)) = data.split_first() else {
        return;
    };
    let config = config();
    let mut connection = Connection::new(Arc::clone(&config));
    let mut buffer = [0; 4096];
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
            while connection.take(&mut buffer) > 0 {}
        }
    }
    connection.close();
    while connection.take(&mut buffer) > 0 {}
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

/// A PEM file, and the certificates in it.
#[allow(dead_code)]
pub fn pem(data: &[u8]) {
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
    };
    let result = ClientAuth::new(spec, Arc::new(anchors), None, Vec::new()).judge(chain, 1_800_000_000);
    let _ = result.variable(None);
    let _ = result.satisfies(VerifyMode::Required);
}
