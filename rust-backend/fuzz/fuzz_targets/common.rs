// SPDX-License-Identifier: Apache-2.0
//! What the fuzz targets do with their input. `core/tests/corpus.rs` does the same without a fuzzer.

use std::sync::{Arc, OnceLock};

use mod_tls_core::config::{Builder, Config, Server};
use mod_tls_core::connection::{Connection, Event};
use mod_tls_core::diagnostics::Origin;
use mod_tls_core::directive::Directive;
use mod_tls_core::identity::Identity;
use mod_tls_core::x509::{Certificate, Context};

fn config() -> Arc<Config> {
    static CONFIG: OnceLock<Arc<Config>> = OnceLock::new();
    let origin = Origin {
        file: "fuzz".into(),
        line: 1,
    };
    let make = || {
        let mut builder = Builder::new(Arc::default(), "/".into());
        builder.add_server(Server {
            name: "localhost".to_owned(),
            aliases: Vec::new(),
            origin: origin.clone(),
            addresses: Vec::new(),
            directives: ["TLSEngine 443", "TLSStrictSNI off"]
                .map(|line| {
                    let (name, argument) = line.split_once(' ').unwrap_or_default();
                    Directive {
                        in_section: false,
                        name: name.to_owned(),
                        args: vec![argument.to_owned()],
                        origin: origin.clone(),
                    }
                })
                .to_vec(),
            supplied: Vec::new(),
            stopgaps: Vec::new(),
        });
        builder.compile().0.expect("the configuration is good")
    };
    Arc::clone(CONFIG.get_or_init(make))
}

/// Bytes from the network, in pieces whose size the first byte says, into a connection.
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

/// A file that ought to be PEM, and the certificates in it.
#[allow(dead_code)]
pub fn pem(data: &[u8]) {
    if let Err(error) = Identity::from_pem("input", data, None) {
        let _ = error.to_string();
    }
    let Ok(bundle) = mod_tls_core::pem::parse(data) else {
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
        let _ = certificate.extension_values("2.16.840.1.113730.1.13");
    }
}
