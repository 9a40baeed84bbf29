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

/// The names in IANA's registry "TLS SignatureScheme", also of schemes that are not supported here.
const NAMES: &[(u16, &str)] = &[
    (0x0201, "rsa_pkcs1_sha1"),
    (0x0202, "dsa_sha1"),
    (0x0203, "ecdsa_sha1"),
    (0x0301, "rsa_pkcs1_sha224"),
    (0x0302, "dsa_sha224"),
    (0x0303, "ecdsa_sha224"),
    (0x0401, "rsa_pkcs1_sha256"),
    (0x0402, "dsa_sha256"),
    (0x0403, "ecdsa_secp256r1_sha256"),
    (0x0501, "rsa_pkcs1_sha384"),
    (0x0502, "dsa_sha384"),
    (0x0503, "ecdsa_secp384r1_sha384"),
    (0x0601, "rsa_pkcs1_sha512"),
    (0x0602, "dsa_sha512"),
    (0x0603, "ecdsa_secp521r1_sha512"),
    (0x0708, "sm2sig_sm3"),
    (0x0804, "rsa_pss_rsae_sha256"),
    (0x0805, "rsa_pss_rsae_sha384"),
    (0x0806, "rsa_pss_rsae_sha512"),
    (0x0807, "ed25519"),
    (0x0808, "ed448"),
    (0x0809, "rsa_pss_pss_sha256"),
    (0x080a, "rsa_pss_pss_sha384"),
    (0x080b, "rsa_pss_pss_sha512"),
    (0x081a, "ecdsa_brainpoolP256r1tls13_sha256"),
    (0x081b, "ecdsa_brainpoolP384r1tls13_sha384"),
    (0x081c, "ecdsa_brainpoolP512r1tls13_sha512"),
    (0x0904, "mldsa44"),
    (0x0905, "mldsa65"),
    (0x0906, "mldsa87"),
];

/// The IANA name of a scheme.
pub fn name_of(scheme: SignatureScheme) -> Option<&'static str> {
    let id = u16::from(scheme);
    let at = NAMES.binary_search_by_key(&id, |(known, _)| *known).ok()?;
    Some(NAMES[at].1)
}

/// Whether it is a scheme of supported keys that are not RSA keys.
pub(crate) fn is_not_of_rsa(scheme: SignatureScheme) -> bool {
    [P256, P384, OTHERS].iter().any(|schemes| schemes.contains(&scheme))
}

/// Whether it is a scheme with padding of PKCS#1 v1.5, which TLS 1.3 has only in certificates.
pub fn is_pkcs1(scheme: SignatureScheme) -> bool {
    matches!(
        scheme,
        SignatureScheme::RSA_PKCS1_SHA256 | SignatureScheme::RSA_PKCS1_SHA384 | SignatureScheme::RSA_PKCS1_SHA512
    )
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_keys_here_use_have_names() {
        assert!(NAMES.is_sorted());
        for scheme in [RSA, P256, P384, OTHERS].concat() {
            assert!(name_of(scheme).is_some(), "{scheme:?}");
        }
        assert_eq!(name_of(SignatureScheme::Unknown(1)), None);
    }
}
