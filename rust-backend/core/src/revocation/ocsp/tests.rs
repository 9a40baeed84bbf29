// SPDX-License-Identifier: Apache-2.0
//! Responses of the corpus of the fuzz target, which are valid from 2026-11-01 to 2026-11-08.

use std::path::Path;

use super::*;

const THIS_UPDATE: i64 = 1_793_491_200;
const NEXT_UPDATE: i64 = 1_794_096_000;
const NOW: i64 = THIS_UPDATE + 3 * 86_400;

const ISSUER: &[u8] = include_bytes!("../../../../fuzz/ocsp/issuer.der");
const LEAF: &[u8] = include_bytes!("../../../../fuzz/ocsp/leaf.der");

fn response(name: &str) -> Vec<u8> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/ocsp");
    std::fs::read(corpus.join(name)).unwrap()
}

fn id() -> CertId {
    CertId::new(LEAF, ISSUER).unwrap()
}

fn checks() -> Checks<'static> {
    Checks {
        issuer: ISSUER,
        responders: &[],
        nonce: None,
        skew: 300,
        max_age: None,
        no_verify: false,
        now: NOW,
    }
}

fn outcome(name: &str, checks: &Checks<'_>) -> Result<Status, OcspError> {
    verify(&response(name), &id(), checks).map(|answer| answer.status)
}

#[test]
fn what_the_issuer_has_signed_is_believed() {
    for name in ["good", "good-sha256-id", "good-delegated", "good-nonce"] {
        let answer = verify(&response(name), &id(), &checks()).unwrap();
        let expected = Answer {
            status: Status::Good,
            this_update: THIS_UPDATE,
            next_update: Some(NEXT_UPDATE),
        };
        assert_eq!(answer, expected, "{name}");
    }
    assert_eq!(outcome("revoked", &checks()), Ok(Status::Revoked { at: THIS_UPDATE }));
    assert_eq!(outcome("unknown", &checks()), Ok(Status::Unknown));
}

#[test]
fn other_signers_are_not_believed() {
    for name in ["no-eku", "foreign-delegated", "expired-delegated", "other-ca"] {
        assert_eq!(outcome(name, &checks()), Err(OcspError::NotSigned), "{name}");
        let lax = Checks {
            no_verify: true,
            ..checks()
        };
        assert_eq!(outcome(name, &lax), Ok(Status::Good), "{name}");
    }
    let good = response("good");
    for at in 0..good.len() {
        let mut changed = good.clone();
        changed[at] ^= 1;
        if let Ok(answer) = verify(&changed, &id(), &checks()) {
            // Some bytes are not signed, such as those of the outermost lengths.
            assert_eq!((answer.status, answer.this_update), (Status::Good, THIS_UPDATE), "{at}");
        }
    }
}

#[test]
fn other_questions_are_not_answered() {
    assert_eq!(
        outcome("other-certificate", &checks()),
        Err(OcspError::OtherCertificate)
    );
    assert_eq!(
        outcome("try-later", &checks()),
        Err(OcspError::Unsuccessful("tryLater"))
    );
    let with_nonce = |nonce| Checks {
        nonce: Some(nonce),
        ..checks()
    };
    assert_eq!(outcome("good-nonce", &with_nonce(b"nonce")), Ok(Status::Good));
    assert_eq!(outcome("good-nonce", &with_nonce(b"other")), Err(OcspError::Nonce));
    assert_eq!(outcome("good", &with_nonce(b"nonce")), Err(OcspError::Nonce));
    for len in 0..response("good").len() {
        assert!(verify(&response("good")[..len], &id(), &checks()).is_err());
    }
}

#[test]
fn times() {
    let at = |now, max_age| Checks {
        now,
        max_age,
        ..checks()
    };
    assert_eq!(outcome("good", &at(THIS_UPDATE - 299, None)), Ok(Status::Good));
    assert_eq!(outcome("good", &at(THIS_UPDATE - 301, None)), Err(OcspError::Future));
    assert_eq!(outcome("good", &at(NEXT_UPDATE + 299, None)), Ok(Status::Good));
    assert_eq!(outcome("good", &at(NEXT_UPDATE + 301, None)), Err(OcspError::Stale));
    assert_eq!(outcome("good", &at(NOW, Some(86_400))), Err(OcspError::Stale));
    assert_eq!(
        outcome("no-next-update", &at(THIS_UPDATE + 86_000, None)),
        Ok(Status::Good)
    );
    assert_eq!(outcome("no-next-update", &at(NOW, None)), Err(OcspError::Stale));
    assert_eq!(outcome("no-next-update", &at(NOW, Some(4 * 86_400))), Ok(Status::Good));
}

#[test]
fn what_certificates_say() {
    assert_eq!(responders(LEAF), ["http://ocsp.test/a"]);
    assert!(responders(ISSUER).is_empty());
    assert!(Certificate::parse(LEAF).unwrap().must_staple());
    assert!(!Certificate::parse(ISSUER).unwrap().must_staple());
    assert!(name_of(LEAF).contains("leaf.test"));
    assert!(CertId::new(b"", ISSUER).is_err());
}

#[test]
fn requests() {
    let der = request(&id(), None);
    let parsed = <x509_ocsp::OcspRequest as x509_cert::der::Decode>::from_der(&der).unwrap();
    let asked = &parsed.tbs_request.request_list[0].req_cert;
    assert_eq!(asked.serial_number.as_bytes(), [0x00, 0x81, 0x23, 0x45, 0x67, 0x89]);
    assert!(request(&id(), Some(b"nonce")).len() > der.len());
    let url = get_url("http://ocsp.test", &der).unwrap();
    assert!(url.starts_with("http://ocsp.test/M") && url.len() <= 255);
    assert_eq!(get_url("http://ocsp.test/", &der), Some(url));
    assert_eq!(get_url(&format!("http://{}/", "o".repeat(200)), &der), None);
    assert_eq!(get_url("http://ocsp.test/?a", &der), None);
    assert_ne!(new_nonce(), new_nonce());
}
