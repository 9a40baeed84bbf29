// SPDX-License-Identifier: Apache-2.0
//! How tokens make the signatures of TLS.

use std::ffi::c_ulong;

use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use mod_tls_core::crypto::hash::Hash;
use pkcs1::der::Encode;
use pkcs1::der::asn1::UintRef;
use rustls::SignatureScheme;

use super::public_key::KeyKind;

/// The DER encodings of DigestInfo without the digest: RFC 8017 section 9.2, note 1.
const SHA256_INFO: &[u8] = b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";
const SHA384_INFO: &[u8] = b"\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30";
const SHA512_INFO: &[u8] = b"\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40";

/// A way in which a token makes signatures of a scheme.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    pub(super) scheme: SignatureScheme,
    padding: Padding,
    /// Whether the token hashes the message. Otherwise it gets a digest, which is shorter to transfer.
    hashes: bool,
}

#[derive(Clone, Copy, Debug)]
enum Padding {
    Pkcs1(Hash),
    Pss(Hash),
    Ecdsa(Hash),
    Eddsa,
}

impl Padding {
    /// The mechanism that gets a digest, and the one that gets the message.
    fn mechanisms(self) -> [Option<MechanismType>; 2] {
        use Hash::{Sha256, Sha384, Sha512};
        use MechanismType as M;
        let (bare, hashing) = match self {
            Self::Pkcs1(Sha256) => (M::RSA_PKCS, M::SHA256_RSA_PKCS),
            Self::Pkcs1(Sha384) => (M::RSA_PKCS, M::SHA384_RSA_PKCS),
            Self::Pkcs1(Sha512) => (M::RSA_PKCS, M::SHA512_RSA_PKCS),
            Self::Pss(Sha256) => (M::RSA_PKCS_PSS, M::SHA256_RSA_PKCS_PSS),
            Self::Pss(Sha384) => (M::RSA_PKCS_PSS, M::SHA384_RSA_PKCS_PSS),
            Self::Pss(Sha512) => (M::RSA_PKCS_PSS, M::SHA512_RSA_PKCS_PSS),
            Self::Ecdsa(Sha256) => (M::ECDSA, M::ECDSA_SHA256),
            Self::Ecdsa(Sha384) => (M::ECDSA, M::ECDSA_SHA384),
            Self::Ecdsa(Sha512) => (M::ECDSA, M::ECDSA_SHA512),
            Self::Eddsa => return [None, Some(M::EDDSA)],
        };
        [Some(bare), Some(hashing)]
    }
}

/// The schemes of a kind of key, the preferred ones first: every token that has a padding has it with SHA-256.
fn schemes(kind: KeyKind) -> Vec<(SignatureScheme, Padding)> {
    use SignatureScheme as S;
    match kind {
        KeyKind::Rsa => vec![
            (S::RSA_PSS_SHA256, Padding::Pss(Hash::Sha256)),
            (S::RSA_PSS_SHA384, Padding::Pss(Hash::Sha384)),
            (S::RSA_PSS_SHA512, Padding::Pss(Hash::Sha512)),
            (S::RSA_PKCS1_SHA256, Padding::Pkcs1(Hash::Sha256)),
            (S::RSA_PKCS1_SHA384, Padding::Pkcs1(Hash::Sha384)),
            (S::RSA_PKCS1_SHA512, Padding::Pkcs1(Hash::Sha512)),
        ],
        KeyKind::P256 => vec![(S::ECDSA_NISTP256_SHA256, Padding::Ecdsa(Hash::Sha256))],
        KeyKind::P384 => vec![(S::ECDSA_NISTP384_SHA384, Padding::Ecdsa(Hash::Sha384))],
        KeyKind::P521 => vec![(S::ECDSA_NISTP521_SHA512, Padding::Ecdsa(Hash::Sha512))],
        KeyKind::Ed25519 => vec![(S::ED25519, Padding::Eddsa)],
    }
}

/// The ways to sign with a key of a token that has the mechanisms for which `has` is true.
pub(super) fn ways(kind: KeyKind, has: impl Fn(MechanismType) -> bool) -> Vec<Way> {
    let way = |(scheme, padding): (SignatureScheme, Padding)| {
        let [bare, hashing] = padding.mechanisms().map(|mechanism| mechanism.is_some_and(&has));
        (bare || hashing).then_some(Way {
            scheme,
            padding,
            hashes: !bare,
        })
    };
    schemes(kind).into_iter().filter_map(way).collect()
}

impl Way {
    /// What the token signs for `message`.
    pub(super) fn input(self, message: &[u8]) -> Vec<u8> {
        match self.padding {
            _ if self.hashes => message.to_vec(),
            Padding::Pkcs1(hash) => {
                let info = match hash {
                    Hash::Sha256 => SHA256_INFO,
                    Hash::Sha384 => SHA384_INFO,
                    Hash::Sha512 => SHA512_INFO,
                };
                [info, hash.of(message).as_ref()].concat()
            }
            Padding::Pss(hash) | Padding::Ecdsa(hash) => hash.of(message).as_ref().to_vec(),
            Padding::Eddsa => message.to_vec(),
        }
    }

    pub(super) fn mechanism(self) -> Mechanism<'static> {
        use Hash::{Sha256, Sha384, Sha512};
        match (self.padding, self.hashes) {
            (Padding::Pkcs1(_), false) => Mechanism::RsaPkcs,
            (Padding::Pkcs1(Sha256), true) => Mechanism::Sha256RsaPkcs,
            (Padding::Pkcs1(Sha384), true) => Mechanism::Sha384RsaPkcs,
            (Padding::Pkcs1(Sha512), true) => Mechanism::Sha512RsaPkcs,
            (Padding::Pss(hash), false) => Mechanism::RsaPkcsPss(pss(hash)),
            (Padding::Pss(Sha256), true) => Mechanism::Sha256RsaPkcsPss(pss(Sha256)),
            (Padding::Pss(Sha384), true) => Mechanism::Sha384RsaPkcsPss(pss(Sha384)),
            (Padding::Pss(Sha512), true) => Mechanism::Sha512RsaPkcsPss(pss(Sha512)),
            (Padding::Ecdsa(_), false) => Mechanism::Ecdsa,
            (Padding::Ecdsa(Sha256), true) => Mechanism::EcdsaSha256,
            (Padding::Ecdsa(Sha384), true) => Mechanism::EcdsaSha384,
            (Padding::Ecdsa(Sha512), true) => Mechanism::EcdsaSha512,
            (Padding::Eddsa, _) => Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure)),
        }
    }

    /// The signature in the encoding of TLS. `None` if it is not one.
    pub(super) fn output(self, signature: Vec<u8>) -> Option<Vec<u8>> {
        match self.padding {
            Padding::Ecdsa(_) => ecdsa_der(&signature),
            _ => Some(signature),
        }
    }
}

/// The salt is as long as the digest: RFC 8446 section 4.2.3.
fn pss(hash: Hash) -> PkcsPssParams {
    let (hash_alg, mgf) = match hash {
        Hash::Sha256 => (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256),
        Hash::Sha384 => (MechanismType::SHA384, PkcsMgfType::MGF1_SHA384),
        Hash::Sha512 => (MechanismType::SHA512, PkcsMgfType::MGF1_SHA512),
    };
    PkcsPssParams {
        hash_alg,
        mgf,
        s_len: (hash.length() as c_ulong).into(),
    }
}

/// ECDSA-Sig-Value (RFC 3279 section 2.2.3) from r and s, which PKCS#11 writes one behind the other in equal lengths.
fn ecdsa_der(signature: &[u8]) -> Option<Vec<u8>> {
    if signature.is_empty() || !signature.len().is_multiple_of(2) {
        return None;
    }
    let (r, s) = signature.split_at(signature.len() / 2);
    vec![UintRef::new(r).ok()?, UintRef::new(s).ok()?].to_der().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ecdsa_values() {
        let der = |bytes: &[u8]| ecdsa_der(bytes);
        assert_eq!(
            der(&[0, 1, 0x80, 2]).as_deref(),
            Some(&[0x30, 8, 2, 1, 1, 2, 3, 0, 0x80, 2][..])
        );
        assert_eq!(der(&[0, 0, 0, 3]).as_deref(), Some(&[0x30, 6, 2, 1, 0, 2, 1, 3][..]));
        assert_eq!((der(&[]), der(&[1, 2, 3])), (None, None));
    }

    #[test]
    fn digests_are_preferred_to_messages() {
        let hashes = |has: &[MechanismType]| {
            let ways = ways(KeyKind::P256, |mechanism| has.contains(&mechanism));
            ways.first().map(|way| way.hashes)
        };
        assert_eq!(
            hashes(&[MechanismType::ECDSA, MechanismType::ECDSA_SHA256]),
            Some(false)
        );
        assert_eq!(hashes(&[MechanismType::ECDSA_SHA256]), Some(true));
        assert_eq!(hashes(&[MechanismType::RSA_PKCS]), None);
    }
}
