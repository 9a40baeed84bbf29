// SPDX-License-Identifier: Apache-2.0
//! Tests of certificates in tokens, and of the public keys in them.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PublicKeyData};
use rustls::SignatureScheme;
use rustls::sign::SigningKey;

use super::super::Tokens;
use super::check;
use super::softhsm::{nobody, refusal, test};

fn parameters(name: &str, is_ca: bool) -> CertificateParams {
    let mut parameters = CertificateParams::new(vec![]).unwrap();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.use_authority_key_identifier_extension = true;
    if is_ca {
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    parameters
}

fn root() -> CertifiedIssuer<'static, KeyPair> {
    CertifiedIssuer::self_signed(parameters("Root", true), KeyPair::generate().unwrap()).unwrap()
}

#[test]
fn chains() {
    test(|hsm| {
        hsm.token("web");
        let root = root();
        let new_ca =
            || CertifiedIssuer::signed_by(parameters("CA", true), KeyPair::generate().unwrap(), &root).unwrap();
        // The name of both is the same.
        let (ca, other) = (new_ca(), new_ca());
        let issue = |name, issuer| {
            let key = KeyPair::generate().unwrap();
            parameters(name, false).signed_by(&key, issuer).unwrap()
        };
        let (leaf, second) = (issue("www", &ca), issue("second", &other));
        let tokens = Tokens::default();
        // Nobody has to log in for public objects.
        let uri = hsm.uri_with("token=web;object=www", "");
        hsm.write("web", leaf.der(), "cert", "www", "01");
        assert_eq!(tokens.certificates(&uri, &mut nobody).unwrap(), [leaf.der().clone()]);
        for (label, certificate) in [
            ("second", second.der()),
            ("root", root.der()),
            ("other", other.der()),
            ("ca", ca.der()),
        ] {
            hsm.write("web", certificate, "cert", label, "02");
        }
        let chain = tokens.certificates(&uri, &mut nobody).unwrap();
        assert_eq!(chain, [leaf.der().clone(), ca.der().clone()]);
        let chain = tokens
            .certificates(&hsm.uri_with("token=web;object=second", ""), &mut nobody)
            .unwrap();
        assert_eq!(chain, [second.der().clone(), other.der().clone()]);
        let alone = tokens
            .certificates(&hsm.uri_with("token=web;object=root", ""), &mut nobody)
            .unwrap();
        assert_eq!(alone, [root.der().clone()]);
        let error = tokens
            .certificates(&hsm.uri("token=web;object=ww"), &mut nobody)
            .unwrap_err();
        assert!(
            error.contains("no certificate \"ww\", but certificate \"ca\" id=%02, \"other\""),
            "{error}"
        );
        let error = tokens
            .certificates(&hsm.uri("token=web;id=%02"), &mut nobody)
            .unwrap_err();
        assert!(error.contains("it has 4 like certificate id=%02"), "{error}");
    });
}

#[test]
fn certificates_behind_a_pin() {
    test(|hsm| {
        hsm.token("web");
        let root = root();
        let file = hsm.file("cert.der", root.der());
        let args = [
            "--write-object",
            file.to_str().unwrap(),
            "--type",
            "cert",
            "--label",
            "www",
            "--private",
        ];
        hsm.tool("web", &args);
        let found = Tokens::default().certificates(&hsm.uri("token=web;object=www"), &mut nobody);
        assert_eq!(found.unwrap(), [root.der().clone()]);
    });
}

/// A private key of a curve does not tell its public key.
#[test]
fn public_keys() {
    test(|hsm| {
        hsm.token("web");
        let key = KeyPair::generate().unwrap();
        let root = root();
        let certificate = parameters("www", false).signed_by(&key, &root).unwrap();
        hsm.write("web", &key.serialize_der(), "privkey", "www", "01");
        let (tokens, uri) = (Tokens::default(), hsm.uri("token=web;object=www"));
        let error = refusal(&tokens, &uri, &mut nobody);
        assert!(
            error.contains("does not tell its public key") && error.contains("\"www\" id=%01"),
            "{error}"
        );
        hsm.write("web", root.der(), "cert", "root", "01");
        let error = refusal(&tokens, &uri, &mut nobody);
        assert!(error.contains("belongs to another key"), "{error}");
        hsm.tool("web", &["--delete-object", "--type", "cert", "--label", "root"]);
        hsm.write("web", certificate.der(), "cert", "another label", "01");
        let found = tokens.key(&uri, &mut nobody).unwrap();
        assert_eq!(found.public_key().unwrap().as_ref(), key.subject_public_key_info());
        check(&found, SignatureScheme::ECDSA_NISTP256_SHA256);
    });
}
