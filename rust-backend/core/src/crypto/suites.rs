// SPDX-License-Identifier: Apache-2.0
//! aws-lc cipher suites with ring's AES-GCM on CPUs where that is faster.
//!
//! aws-lc implements AES-GCM for AES-NI and for AVX-512. On CPUs with VAES but without AVX-512, such as AMD's Zen 3, it
//! uses the implementation for AES-NI. ring's implementation for VAES takes half the time. All other parts of a suite
//! are aws-lc's.

use std::sync::LazyLock;

use rustls::SupportedCipherSuite;
use rustls::crypto::{aws_lc_rs, ring};

use super::protection::{with_aead12, with_aead13};

/// The fastest variant of the suite on this CPU.
pub(crate) fn fastest(suite: SupportedCipherSuite) -> SupportedCipherSuite {
    static MIXED: LazyLock<Box<[SupportedCipherSuite]>> = LazyLock::new(|| match is_aes_of_ring() {
        true => aws_lc_rs::ALL_CIPHER_SUITES
            .iter()
            .copied()
            .filter_map(with_aes_of_ring)
            .collect(),
        false => Box::default(),
    });
    let mixed = MIXED.iter().find(|mixed| mixed.suite() == suite.suite());
    mixed.copied().unwrap_or(suite)
}

/// Whether ring's AES-GCM is used: the CPU has VAES, but no AVX-512.
pub(crate) fn is_aes_of_ring() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("vaes")
        && is_x86_feature_detected!("vpclmulqdq")
        && !is_x86_feature_detected!("avx512f");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

/// The suite with ring's AES-GCM, if it uses AES-GCM.
fn with_aes_of_ring(suite: SupportedCipherSuite) -> Option<SupportedCipherSuite> {
    use SupportedCipherSuite::{Tls12, Tls13};
    let of_ring = ring::ALL_CIPHER_SUITES.iter().copied();
    let other = of_ring.filter(is_aes).find(|other| other.suite() == suite.suite())?;
    Some(match (suite, other) {
        (Tls13(suite), Tls13(other)) => with_aead13(suite, other.aead_alg),
        (Tls12(suite), Tls12(other)) => with_aead12(suite, other.aead_alg),
        _ => return None,
    })
}

fn is_aes(suite: &SupportedCipherSuite) -> bool {
    suite.suite().as_str().is_some_and(|name| name.contains("_AES_"))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::sync::Arc;

    use rustls::crypto::CryptoProvider;
    use rustls::{ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection};
    use rustls_pki_types::{PrivateKeyDer, ServerName};

    use super::*;

    fn provider(suite: SupportedCipherSuite) -> Arc<CryptoProvider> {
        Arc::new(CryptoProvider {
            cipher_suites: vec![suite],
            ..aws_lc_rs::default_provider()
        })
    }

    /// Transfers the pending output of `from`.
    fn pass(from: &mut Connection, to: &mut Connection) {
        let mut wire = Vec::new();
        while from.wants_write() {
            from.write_tls(&mut wire).unwrap();
        }
        let mut wire = wire.as_slice();
        while !wire.is_empty() {
            to.read_tls(&mut wire).unwrap();
            to.process_new_packets().unwrap();
        }
    }

    fn send(data: &[u8], from: &mut Connection, to: &mut Connection) {
        from.writer().write_all(data).unwrap();
        pass(from, to);
        let mut read = vec![0; data.len()];
        to.reader().read_exact(&mut read).unwrap();
        assert_eq!(read, data);
    }

    fn check(ours: SupportedCipherSuite, theirs: SupportedCipherSuite) {
        let own = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
        let chain = vec![own.cert.der().clone()];
        let mut roots = RootCertStore::empty();
        roots.add(chain[0].clone()).unwrap();
        let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
        let server = ServerConfig::builder_with_provider(provider(ours));
        let server = server.with_safe_default_protocol_versions().unwrap();
        let server = server.with_no_client_auth().with_single_cert(chain, key).unwrap();
        let client = ClientConfig::builder_with_provider(provider(theirs));
        let client = client.with_safe_default_protocol_versions().unwrap();
        let client = client.with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from("a.test").unwrap();
        let mut server: Connection = ServerConnection::new(Arc::new(server)).unwrap().into();
        let mut client: Connection = ClientConnection::new(Arc::new(client), name).unwrap().into();
        while client.is_handshaking() || server.is_handshaking() {
            pass(&mut client, &mut server);
            pass(&mut server, &mut client);
        }
        // Lengths around multiples of the vector size, before and after a key update.
        for len in (0..600).step_by(7).chain([4_095, 16_000]) {
            let data: Vec<u8> = (0..len).map(|at| at as u8).collect();
            send(&data, &mut client, &mut server);
            send(&data, &mut server, &mut client);
            if len == 294 && ours.tls13().is_some() {
                server.refresh_traffic_keys().unwrap();
                client.refresh_traffic_keys().unwrap();
            }
        }
        let exported = |connection: &Connection| connection.export_keying_material([0; 32], b"label", None).unwrap();
        assert_eq!(exported(&client), exported(&server));
    }

    #[test]
    fn mixed_suites_are_the_same_suites() {
        // Suites for RSA keys use the same implementations.
        let is_for_rsa = |suite: &SupportedCipherSuite| suite.suite().as_str().unwrap().contains("_RSA_");
        let suites = aws_lc_rs::ALL_CIPHER_SUITES.iter().copied();
        for suite in suites.filter(|suite| !is_for_rsa(suite)) {
            match with_aes_of_ring(suite) {
                Some(mixed) => {
                    check(mixed, suite);
                    check(suite, mixed);
                }
                None => assert!(suite.suite().as_str().unwrap().contains("CHACHA20")),
            }
            assert_eq!(fastest(suite).suite(), suite.suite());
        }
    }
}
