// SPDX-License-Identifier: Apache-2.0
//! Tests with SoftHSM.

mod certificates;
mod login;
mod softhsm;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mod_tls_core::keys::pkcs11_uri::Pkcs11Uri;
use rustls::SignatureScheme;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::sign::SigningKey;
use rustls_pki_types::SubjectPublicKeyInfoDer;
use webpki::RawPublicKeyEntity;

use self::softhsm::{SoftHsm, nobody, refusal, test};
use super::{TokenKey, Tokens};

#[cfg(not(feature = "ring"))]
use rustls::crypto::aws_lc_rs::default_provider;
#[cfg(feature = "ring")]
use rustls::crypto::ring::default_provider;

fn algorithms(scheme: SignatureScheme) -> &'static [&'static dyn rustls_pki_types::SignatureVerificationAlgorithm] {
    let WebPkiSupportedAlgorithms { mapping, .. } = default_provider().signature_verification_algorithms;
    let found = mapping.iter().find(|(known, _)| *known == scheme);
    found.map_or(&[], |(_, algorithms)| algorithms)
}

/// Whether the signature was made by the key.
fn is_by(public_key: &SubjectPublicKeyInfoDer<'_>, scheme: SignatureScheme, signature: &[u8], message: &[u8]) -> bool {
    let entity = RawPublicKeyEntity::try_from(public_key).unwrap();
    let mut algorithms = algorithms(scheme).iter();
    algorithms.any(|algorithm| entity.verify_signature(*algorithm, message, signature).is_ok())
}

/// Signs with a scheme and verifies the signature.
fn check(key: &TokenKey, scheme: SignatureScheme) {
    let message = format!("a message for {scheme:?}").into_bytes();
    let signer = key.choose_scheme(&[scheme]).unwrap_or_else(|| panic!("{scheme:?}"));
    assert_eq!(signer.scheme(), scheme);
    let signature = signer.sign(&message).unwrap();
    let public_key = key.public_key().unwrap();
    assert!(is_by(&public_key, scheme, &signature, &message), "{scheme:?}");
    assert!(
        !is_by(&public_key, scheme, &signature, b"another message"),
        "{scheme:?}"
    );
}

fn signs(key: &TokenKey, scheme: SignatureScheme) -> bool {
    key.choose_scheme(&[scheme])
        .is_some_and(|signer| signer.sign(b"message").is_ok())
}

/// Waits until `condition` holds.
fn until(mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < end, "it does not happen");
        thread::yield_now();
    }
}

fn key(tokens: &Tokens, hsm: &SoftHsm, path: &str) -> TokenKey {
    tokens.key(&hsm.uri(path), &mut nobody).unwrap()
}

#[test]
fn rsa() {
    test(|hsm| {
        hsm.token("web");
        hsm.key_pair("web", "rsa:2048", "www", "01");
        let key = key(&Tokens::default(), hsm, "token=web;object=www;type=private");
        assert_eq!(key.algorithm(), rustls::SignatureAlgorithm::RSA);
        for scheme in [
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::RSA_PSS_SHA384,
            SignatureScheme::RSA_PSS_SHA512,
            SignatureScheme::RSA_PKCS1_SHA256,
            SignatureScheme::RSA_PKCS1_SHA384,
            SignatureScheme::RSA_PKCS1_SHA512,
        ] {
            check(&key, scheme);
        }
        assert!(
            key.choose_scheme(&[SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::RSA_PKCS1_SHA1])
                .is_none()
        );
        let both = [SignatureScheme::RSA_PKCS1_SHA256, SignatureScheme::RSA_PSS_SHA256];
        assert_eq!(
            key.choose_scheme(&both).unwrap().scheme(),
            SignatureScheme::RSA_PSS_SHA256
        );
    });
}

#[test]
fn curves() {
    test(|hsm| {
        hsm.token("web");
        let tokens = Tokens::default();
        for (curve, scheme) in [
            ("EC:prime256v1", SignatureScheme::ECDSA_NISTP256_SHA256),
            ("EC:secp384r1", SignatureScheme::ECDSA_NISTP384_SHA384),
            ("EC:secp521r1", SignatureScheme::ECDSA_NISTP521_SHA512),
            ("EC:edwards25519", SignatureScheme::ED25519),
        ] {
            if algorithms(scheme).is_empty() {
                println!("skipped: {scheme:?} cannot be verified by this library");
                continue;
            }
            let label = curve.replace(':', "-");
            hsm.key_pair("web", curve, &label, "01");
            let key = key(&tokens, hsm, &format!("token=web;object={label}"));
            // The length of r and s varies.
            for _ in 0..20 {
                check(&key, scheme);
            }
        }
    });
}

/// A token that has no hashing mechanisms gets digests, one that has nothing else gets messages. Keys can be restricted
/// in the same way.
#[test]
fn mechanisms_of_keys() {
    test(|hsm| {
        hsm.token("web");
        let tokens = Tokens::default();
        let make = |label: &str, mechanisms: &str| {
            let args = [
                "--keypairgen",
                "--key-type",
                "rsa:2048",
                "--label",
                label,
                "--allowed-mechanisms",
                mechanisms,
            ];
            hsm.tool("web", &args);
        };
        make("hashing", "SHA256-RSA-PKCS,SHA384-RSA-PKCS-PSS");
        let hashing = key(&tokens, hsm, "object=hashing");
        check(&hashing, SignatureScheme::RSA_PKCS1_SHA256);
        check(&hashing, SignatureScheme::RSA_PSS_SHA384);
        assert!(hashing.choose_scheme(&[SignatureScheme::RSA_PSS_SHA256]).is_none());
        make("encrypting", "RSA-PKCS-OAEP");
        let error = refusal(&tokens, &hsm.uri("object=encrypting"), &mut nobody);
        assert!(
            error.contains("no signatures of TLS") && error.contains("\"encrypting\""),
            "{error}"
        );
        hsm.key_pair("web", "rsa:1024", "short", "02");
        let error = refusal(&tokens, &hsm.uri("object=short"), &mut nobody);
        assert!(error.contains("its 1024 bits are too few"), "{error}");
        hsm.tool(
            "web",
            &[
                "--keypairgen",
                "--key-type",
                "rsa:2048",
                "--label",
                "strict",
                "--always-auth",
            ],
        );
        let error = refusal(&tokens, &hsm.uri("object=strict"), &mut nobody);
        assert!(error.contains("CKA_ALWAYS_AUTHENTICATE"), "{error}");
    });
}

#[test]
fn missing_and_ambiguous_objects() {
    test(|hsm| {
        hsm.token("web");
        let tokens = Tokens::default();
        let refused = |path: &str| refusal(&tokens, &hsm.uri(path), &mut nobody);
        let error = refused("token=web;object=www");
        assert!(
            error.contains("token \"web\" (serial ") && error.contains("no private key at all"),
            "{error}"
        );
        hsm.key_pair("web", "EC:prime256v1", "a", "01");
        key(&tokens, hsm, "token=web");
        hsm.key_pair("web", "EC:prime256v1", "b", "02");
        hsm.key_pair("web", "EC:prime256v1", "b", "03");
        let error = refused("token=web;object=www");
        let list = "it has no private key \"www\", but private key \"a\" id=%01, \"b\" id=%02, \"b\" id=%03";
        assert!(error.contains(list), "{error}");
        let error = refused("token=web;object=b");
        assert!(
            error.contains("2 like private key \"b\": \"b\" id=%02, \"b\" id=%03: add"),
            "{error}"
        );
        assert!(refused("token=web").contains("it has 3 like private key"));
        key(&tokens, hsm, "token=web;object=b;id=%03");
        let error = refused("token=web;object=b;id=%03;type=cert");
        assert!(error.contains("write type=private"), "{error}");
        assert!(!error.contains("1234"), "{error}");
    });
}

#[test]
fn missing_and_ambiguous_tokens() {
    test(|hsm| {
        let tokens = Tokens::default();
        let refused = |path: &str| refusal(&tokens, &hsm.uri(path), &mut nobody);
        assert!(refused("token=web").contains("has no token like that: plug it in"));
        hsm.token("a");
        hsm.token("b");
        hsm.key_pair("b", "EC:prime256v1", "www", "01");
        // The module looks for new tokens when it is restarted, which does not happen too often.
        until(|| refused("token=web").contains("but \""));
        let error = refused("token=web");
        assert!(error.contains("but \"") && error.contains("\"a\" (serial "), "{error}");
        assert!(refused("object=www").contains("add token= or serial="));
        assert!(refused("token=b;slot-id=1").contains("no token like that"));
        assert!(refused("token=b;library-version=1.0").contains("no token like that"));
        check(
            &key(&tokens, hsm, "token=b;manufacturer=SoftHSM%20project"),
            SignatureScheme::ECDSA_NISTP256_SHA256,
        );
    });
}

#[test]
fn modules() {
    test(|hsm| {
        hsm.token("web");
        hsm.key_pair("web", "EC:prime256v1", "www", "01");
        let tokens = Tokens::default();
        key(&tokens, hsm, "token=web");
        let named = |query: &str| {
            let uri = Pkcs11Uri::parse(&format!("pkcs11:token=web?{query}&pin-value=1234"));
            tokens.key(&uri.unwrap(), &mut nobody)
        };
        // The same file by other paths is not initialised once more.
        named("module-name=softhsm2").unwrap();
        let directory = Path::new(hsm.module).parent().unwrap().display();
        named(&format!("module-path={directory}&module-name=softhsm2")).unwrap();
        for (query, part) in [
            ("module-path=/nothing/there.so", "/nothing/there.so cannot be found"),
            ("module-path=/usr/lib", "is a directory"),
            (
                "module-path=/usr/lib&module-name=nothing",
                "no nothing.so and no libnothing.so in /usr/lib:",
            ),
            ("module-name=nothing", "name its file by module-path"),
            ("module-path=/etc/passwd", "cannot be loaded"),
        ] {
            let error = named(query).expect_err(query);
            assert!(error.contains(part), "{query}: {error}");
        }
    });
}

/// The module that is used if the URI names none, if it is installed. It loads SoftHSM.
#[test]
fn proxy_of_p11_kit() {
    test(|hsm| {
        hsm.token("web");
        hsm.key_pair("web", "EC:prime256v1", "www", "01");
        let scheme = SignatureScheme::ECDSA_NISTP256_SHA256;
        let uri = Pkcs11Uri::parse("pkcs11:token=web;object=www?pin-value=1234").unwrap();
        let tokens = Tokens::default();
        match tokens.key(&uri, &mut nobody) {
            Err(error) if error.contains("no p11-kit-proxy.so") => println!("skipped: {error}"),
            found => {
                let key = found.unwrap();
                check(&key, scheme);
                hsm.remove();
                until(|| !signs(&key, scheme));
                hsm.put_back();
                until(|| signs(&key, scheme));
            }
        }
    });
}

#[test]
fn several_threads() {
    test(|hsm| {
        hsm.token("web");
        hsm.key_pair("web", "EC:prime256v1", "ec", "01");
        hsm.key_pair("web", "rsa:2048", "rsa", "02");
        let tokens = Tokens::default();
        let keys = [
            (key(&tokens, hsm, "object=ec"), SignatureScheme::ECDSA_NISTP256_SHA256),
            (key(&tokens, hsm, "object=rsa"), SignatureScheme::RSA_PSS_SHA256),
        ];
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for number in 0..100 {
                        let (key, scheme) = &keys[number % 2];
                        check(key, *scheme);
                    }
                });
            }
        });
    });
}

#[test]
fn removed_and_back() {
    test(|hsm| {
        hsm.token("web");
        hsm.key_pair("web", "EC:prime256v1", "www", "01");
        let tokens = Tokens::default();
        let key = key(&tokens, hsm, "token=web;object=www");
        let scheme = SignatureScheme::ECDSA_NISTP256_SHA256;
        check(&key, scheme);
        for _ in 0..2 {
            hsm.remove();
            let error = key
                .choose_scheme(&[scheme])
                .unwrap()
                .sign(b"message")
                .expect_err("it has gone")
                .to_string();
            let parts = [
                "token \"web\" (serial ",
                "private key \"www\"",
                "it has gone: plug it in again",
            ];
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
            hsm.put_back();
            until(|| signs(&key, scheme));
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| check(&key, scheme));
                }
            });
        }
    });
}

/// While a token is away, its module is restarted again and again. The other token signs all the time.
#[test]
fn other_tokens_go_on() {
    test(|hsm| {
        let directory = hsm.token("a");
        hsm.token("b");
        let tokens = Tokens::default();
        let [gone, other] = ["a", "b"].map(|token| {
            hsm.key_pair(token, "EC:prime256v1", "www", "01");
            key(&tokens, hsm, &format!("token={token}"))
        });
        let scheme = SignatureScheme::ECDSA_NISTP256_SHA256;
        let away = directory.parent().unwrap().with_file_name("away");
        let is_back = AtomicBool::new(false);
        let limit = Instant::now() + Duration::from_secs(60);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !is_back.load(Ordering::Relaxed) && Instant::now() < limit {
                        check(&other, scheme);
                    }
                });
            }
            for _ in 0..3 {
                fs::rename(&directory, &away).unwrap();
                until(|| !signs(&gone, scheme));
                let end = Instant::now() + Duration::from_millis(200);
                while Instant::now() < end {
                    assert!(!signs(&gone, scheme));
                }
                fs::rename(&away, &directory).unwrap();
                until(|| signs(&gone, scheme));
            }
            is_back.store(true, Ordering::Relaxed);
        });
    });
}
