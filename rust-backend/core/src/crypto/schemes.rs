// SPDX-License-Identifier: Apache-2.0
//! Signature schemes of private keys.

use rustls::sign::SigningKey;
use rustls::{SignatureAlgorithm, SignatureScheme};

/// Those of RSA keys, in the order in which rustls prefers them.
pub(crate) const RSA: &[SignatureScheme] = &[
    SignatureScheme::RSA_PSS_SHA512,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PKCS1_SHA512,
    SignatureScheme::RSA_PKCS1_SHA384,
    SignatureScheme::RSA_PKCS1_SHA256,
];

/// Those of keys on the curve P-256.
pub(crate) const P256: &[SignatureScheme] = &[SignatureScheme::ECDSA_NISTP256_SHA256];

/// Those of keys on the curve P-384.
pub(crate) const P384: &[SignatureScheme] = &[SignatureScheme::ECDSA_NISTP384_SHA384];

/// Those of other keys.
const OTHERS: &[SignatureScheme] = &[SignatureScheme::ECDSA_NISTP521_SHA512, SignatureScheme::ED25519];

/// The schemes of `key`, in the order of preference.
pub fn schemes_of(key: &dyn SigningKey) -> Vec<SignatureScheme> {
    let all = [RSA, P256, P384, OTHERS].concat();
    all.into_iter()
        .filter(|scheme| key.choose_scheme(&[*scheme]).is_some())
        .collect()
}

/// The algorithm of keys that sign by these schemes.
pub(crate) fn algorithm_of(schemes: &[SignatureScheme]) -> SignatureAlgorithm {
    match schemes.first() {
        Some(scheme) if RSA.contains(scheme) => SignatureAlgorithm::RSA,
        Some(SignatureScheme::ED25519) => SignatureAlgorithm::ED25519,
        Some(_) => SignatureAlgorithm::ECDSA,
        None => SignatureAlgorithm::Anonymous,
    }
}
