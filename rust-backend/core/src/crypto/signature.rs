// SPDX-License-Identifier: Apache-2.0
//! Verification of single signatures.

use rustls::SignatureScheme;
use rustls_pki_types::SubjectPublicKeyInfoDer;
use webpki::RawPublicKeyEntity;

use super::default_provider;

/// Whether `signature` is one of `scheme` over `message` by the key `public_key`. `None` if the library cannot verify
/// this scheme.
pub fn is_valid(
    public_key: &SubjectPublicKeyInfoDer<'_>,
    scheme: SignatureScheme,
    message: &[u8],
    signature: &[u8],
) -> Option<bool> {
    let known = default_provider().signature_verification_algorithms.mapping;
    let (_, algorithms) = known.iter().find(|(known, _)| *known == scheme)?;
    let Ok(key) = RawPublicKeyEntity::try_from(public_key) else {
        return Some(false);
    };
    let mut algorithms = algorithms.iter();
    Some(algorithms.any(|algorithm| key.verify_signature(*algorithm, message, signature).is_ok()))
}

#[cfg(test)]
mod tests {
    use rcgen::{KeyPair, PublicKeyData, SigningKey};

    use super::*;

    #[test]
    fn signatures() {
        let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let signature = key.sign(b"message").unwrap();
        let check = |key: &KeyPair, scheme, message: &[u8]| {
            let public_key = key.subject_public_key_info().into();
            is_valid(&public_key, scheme, message, &signature)
        };
        let scheme = SignatureScheme::ECDSA_NISTP256_SHA256;
        assert_eq!(check(&key, scheme, b"message"), Some(true));
        assert_eq!(check(&key, scheme, b"another"), Some(false));
        assert_eq!(check(&other, scheme, b"message"), Some(false));
        assert_eq!(check(&key, SignatureScheme::ED448, b"message"), None);
        assert_eq!(is_valid(&b"x"[..].into(), scheme, b"message", &signature), Some(false));
    }
}
