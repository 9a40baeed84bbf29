// SPDX-License-Identifier: Apache-2.0
//! Describes private keys that the library does not accept.

use pkcs1::RsaPrivateKeyRef;
use pkcs8::{ObjectIdentifier, PrivateKeyInfoRef};
use rustls_pki_types::PrivateKeyDer;
use sec1::EcPrivateKey;

use crate::crypto::EC_PUBLIC_KEY;

/// rsaEncryption (RFC 8017 appendix A.1).
pub(crate) const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// The supported sizes of RSA keys, in bits.
const RSA_SIZES: std::ops::RangeInclusive<usize> = 2048..=8192;

/// The supported curves, if the library has all of them.
const CURVES: [(&str, &str); 3] = [
    ("1.2.840.10045.3.1.7", "P-256"),
    ("1.3.132.0.34", "P-384"),
    ("1.3.132.0.35", "P-521"),
];

/// Other curves, by their OpenSSL names.
const OTHER_CURVES: [(&str, &str); 9] = [
    ("1.2.840.10045.3.1.1", "prime192v1"),
    ("1.3.132.0.10", "secp256k1"),
    ("1.3.132.0.33", "secp224r1"),
    ("1.3.36.3.3.2.8.1.1.7", "brainpoolP256r1"),
    ("1.3.36.3.3.2.8.1.1.8", "brainpoolP256t1"),
    ("1.3.36.3.3.2.8.1.1.11", "brainpoolP384r1"),
    ("1.3.36.3.3.2.8.1.1.13", "brainpoolP512r1"),
    ("1.3.132.0.38", "sect283k1"),
    ("1.2.156.10197.1.301", "SM2"),
];

/// Other algorithms.
const OTHER_ALGORITHMS: [(&str, &str); 9] = [
    ("1.2.840.113549.1.1.10", "an RSA key that is for RSASSA-PSS alone"),
    ("1.2.840.10040.4.1", "a DSA key"),
    ("1.2.840.113549.1.3.1", "a DH key, which cannot sign"),
    ("1.3.101.110", "an X25519 key, which cannot sign"),
    ("1.3.101.111", "an X448 key, which cannot sign"),
    ("1.3.101.113", "an Ed448 key"),
    ("2.16.840.1.101.3.4.3.17", "an ML-DSA-44 key"),
    ("2.16.840.1.101.3.4.3.18", "an ML-DSA-65 key"),
    ("2.16.840.1.101.3.4.3.19", "an ML-DSA-87 key"),
];

const ED25519: &str = "1.3.101.112";

/// Whether keys of this kind are supported.
enum Kind {
    /// They are supported, so the key itself is invalid.
    Usable(String),
    /// They are not supported.
    Other(String),
}

/// Why `key`, which the library does not accept, cannot be used.
pub fn why_unusable(key: &PrivateKeyDer<'_>) -> String {
    match kind_of(key) {
        Some(Kind::Usable(kind)) => {
            format!("it is {kind}, but it is damaged, or its public part does not match: replace it by a good copy")
        }
        Some(Kind::Other(kind)) => format!(
            "it is {kind}: make another one with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out <new file>`, \
             and have a certificate issued for it"
        ),
        None => "it is damaged: replace it by a good copy".to_owned(),
    }
}

fn kind_of(key: &PrivateKeyDer<'_>) -> Option<Kind> {
    match key {
        PrivateKeyDer::Pkcs1(der) => rsa(der.secret_pkcs1_der()),
        PrivateKeyDer::Sec1(der) => ecdsa(der.secret_sec1_der(), None),
        PrivateKeyDer::Pkcs8(der) => {
            let info = PrivateKeyInfoRef::try_from(der.secret_pkcs8_der()).ok()?;
            match info.algorithm.oid {
                RSA => rsa(info.private_key.as_bytes()),
                EC_PUBLIC_KEY => ecdsa(info.private_key.as_bytes(), info.algorithm.parameters_oid().ok()),
                oid => Some(other(&oid.to_string())),
            }
        }
        _ => None,
    }
}

fn rsa(der: &[u8]) -> Option<Kind> {
    let key = RsaPrivateKeyRef::try_from(der).ok()?;
    let modulus = key.public_key().modulus.as_bytes().to_vec();
    let first = modulus.first()?;
    let bits = modulus.len() * 8 - first.leading_zeros() as usize;
    let kind = format!("an RSA key of {bits} bits");
    Some(match RSA_SIZES.contains(&bits) {
        true => Kind::Usable(kind),
        false if bits < *RSA_SIZES.start() => Kind::Other(format!("{kind}, which is too short to be safe")),
        false => Kind::Other(format!("{kind}, which is longer than clients accept")),
    })
}

fn ecdsa(der: &[u8], curve: Option<ObjectIdentifier>) -> Option<Kind> {
    let own = || EcPrivateKey::try_from(der).ok()?.parameters?.named_curve();
    let Some(curve) = curve.or_else(own) else {
        return Some(Kind::Other(
            "an ECDSA key that does not name its curve (openssl's option -param_enc explicit)".to_owned(),
        ));
    };
    let oid = curve.to_string();
    let name = |list: &[(&str, &'static str)]| list.iter().find(|(known, _)| *known == oid).map(|(_, name)| *name);
    Some(match name(&CURVES) {
        Some("P-521") if cfg!(feature = "ring") => Kind::Other(
            "an ECDSA key on the curve P-521, which ring, the library of this build, does not have".to_owned(),
        ),
        Some(name) => Kind::Usable(format!("an ECDSA key on the curve {name}")),
        None => {
            let name = name(&OTHER_CURVES).unwrap_or(&oid);
            Kind::Other(format!(
                "an ECDSA key on the curve {name}, which TLS clients do not support"
            ))
        }
    })
}

fn other(oid: &str) -> Kind {
    if oid == ED25519 {
        return Kind::Usable("an Ed25519 key".to_owned());
    }
    let known = OTHER_ALGORITHMS.iter().find(|(known, _)| *known == oid);
    Kind::Other(known.map_or_else(
        || format!("a key of the algorithm {oid}"),
        |(_, name)| (*name).to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::{PrivatePkcs1KeyDer, PrivatePkcs8KeyDer};

    use super::*;

    /// A PKCS#8 key of this algorithm. The parameters are DER.
    fn pkcs8(algorithm: &[u8], parameters: &[u8], key: &[u8]) -> PrivateKeyDer<'static> {
        let wrap = |tag: u8, content: &[u8]| [&[tag, content.len() as u8], content].concat();
        let algorithm = wrap(0x30, &[&wrap(0x06, algorithm), parameters].concat());
        let der = wrap(0x30, &[&[2, 1, 0], &algorithm[..], &wrap(0x04, key)].concat());
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der))
    }

    #[test]
    fn kinds() {
        const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
        for (key, part) in [
            (
                pkcs8(&[0x2b, 0x65, 0x71], &[], &[4, 1, 0]),
                "an Ed448 key: make another one with `openssl genpkey",
            ),
            (
                pkcs8(&[0x2b, 0x65, 0x70], &[], &[4, 1, 0]),
                "an Ed25519 key, but it is damaged",
            ),
            (pkcs8(&[0x2b, 0x05], &[], &[]), "the algorithm 1.3.5"),
            (
                pkcs8(EC, &[0x06, 5, 0x2b, 0x81, 0x04, 0, 0x0a], &[]),
                "curve secp256k1, which TLS clients",
            ),
            (
                pkcs8(EC, &[0x06, 5, 0x2b, 0x81, 0x04, 0, 0x22], &[]),
                "curve P-384, but it is damaged",
            ),
            (pkcs8(EC, &[0x06, 4, 0x2b, 0x81, 0x04, 1], &[]), "curve 1.3.132.1,"),
            (PrivateKeyDer::Pkcs1(PrivatePkcs1KeyDer::from(vec![1])), "it is damaged"),
        ] {
            let why = why_unusable(&key);
            assert!(why.contains(part), "{why}");
        }
    }
}
