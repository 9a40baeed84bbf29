// SPDX-License-Identifier: Apache-2.0
//! Tests of PINs.

use std::cell::RefCell;

use rustls::SignatureScheme;
use rustls::sign::SigningKey;
use zeroize::Zeroizing;

use super::super::{TokenKey, Tokens};
use super::softhsm::{PIN, SoftHsm, nobody, refusal, test};
use super::{check, signs, until};

const SCHEME: SignatureScheme = SignatureScheme::ECDSA_NISTP256_SHA256;

fn prepare(hsm: &SoftHsm) -> Tokens {
    hsm.token("web");
    hsm.key_pair("web", "EC:prime256v1", "www", "01");
    Tokens::default()
}

#[test]
fn pins_of_files() {
    test(|hsm| {
        let tokens = prepare(hsm);
        let file = |content: &str| {
            let file = hsm.file("pin.txt", content.as_bytes());
            hsm.uri_with("token=web", &format!("&pin-source=file:{}", file.display()))
        };
        assert!(refusal(&tokens, &file("\n"), &mut nobody).contains("pin.txt: its first line is empty"));
        let missing = hsm.uri_with("token=web", "&pin-source=/nothing/there");
        assert!(refusal(&tokens, &missing, &mut nobody).contains("/nothing/there: no such file"));
        for content in ["1234", "1234\n", "1234\r\nThe PIN of web\n"] {
            check(&Tokens::default().key(&file(content), &mut nobody).unwrap(), SCHEME);
        }
        check(&tokens.key(&file("1234\n"), &mut nobody).unwrap(), SCHEME);
    });
}

#[test]
fn dialog() {
    test(|hsm| {
        let tokens = prepare(hsm);
        let uri = hsm.uri_with("token=web;object=www", "");
        let error = refusal(&tokens, &uri, &mut |_: &str| Err("there is no terminal".to_owned()));
        assert!(error.contains("there is no terminal; or name a file"), "{error}");
        let prompts = RefCell::new(Vec::new());
        let mut ask = |prompt: &str| {
            prompts.borrow_mut().push(prompt.to_owned());
            Ok(Zeroizing::new(PIN.to_owned()))
        };
        let key = tokens.key(&uri, &mut ask).unwrap();
        // It is logged in, and remembered when the token returns.
        check(&tokens.key(&uri, &mut nobody).unwrap(), SCHEME);
        hsm.remove();
        assert!(!signs(&key, SCHEME));
        hsm.put_back();
        until(|| signs(&key, SCHEME));
        let prompts = prompts.into_inner();
        assert_eq!(prompts.len(), 1);
        assert!(
            prompts[0].starts_with("Token \"web\" (serial ") && prompts[0].ends_with("\nEnter PIN:"),
            "{prompts:?}"
        );
    });
}

fn error_of(key: &TokenKey) -> String {
    let signer = key.choose_scheme(&[SCHEME]).unwrap();
    signer
        .sign(b"message")
        .map_or_else(|error| error.to_string(), |_| String::new())
}

#[test]
fn wrong_pins_are_tried_once() {
    test(|hsm| {
        let tokens = prepare(hsm);
        let wrong = hsm.uri_with("token=web", "&pin-value=4321");
        let error = refusal(&tokens, &wrong, &mut nobody);
        assert!(
            error.contains("token \"web\"") && error.contains("pin-value is wrong"),
            "{error}"
        );
        let error = refusal(&tokens, &wrong, &mut nobody);
        assert!(
            error.contains("has refused pin-value, which is not tried again"),
            "{error}"
        );
        assert!(!error.contains("4321"));
        check(&tokens.key(&hsm.uri("token=web"), &mut nobody).unwrap(), SCHEME);
    });
}

/// A token that comes back with another PIN is tried with the old one once, and works again with the new one.
#[test]
fn changed_pins() {
    test(|hsm| {
        let tokens = prepare(hsm);
        let key = tokens.key(&hsm.uri("token=web"), &mut nobody).unwrap();
        check(&key, SCHEME);
        hsm.tool("web", &["--change-pin", "--new-pin", "9876"]);
        hsm.remove();
        assert!(!signs(&key, SCHEME));
        hsm.put_back();
        until(|| error_of(&key).contains("has refused"));
        let error = refusal(&tokens, &hsm.uri("token=web"), &mut nobody);
        assert!(error.contains("has refused pin-value"), "{error}");
        let uri = hsm.uri_with("token=web", "&pin-value=9876");
        check(&tokens.key(&uri, &mut nobody).unwrap(), SCHEME);
        check(&key, SCHEME);
    });
}
