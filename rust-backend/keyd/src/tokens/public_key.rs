// SPDX-License-Identifier: Apache-2.0
//! The public key that belongs to a private key in a token.

use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use mod_tls_core::x509::Certificate;
use pkcs1::RsaPublicKey;
use pkcs1::der::asn1::{OctetStringRef, UintRef};
use pkcs1::der::{Decode, Encode};
use rustls::sign::public_key_to_spki;
use rustls_pki_types::{AlgorithmIdentifier, SubjectPublicKeyInfoDer, alg_id};

use super::failure::Failure;
use super::objects::{Wanted, attribute, bytes};

/// What kind of key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyKind {
    Rsa,
    P256,
    P384,
    P521,
    Ed25519,
}

/// The values of CKA_EC_PARAMS: the DER encodings of the names of curves. That of Ed25519 is an OID or a text.
const CURVES: [(&[u8], KeyKind); 5] = [
    (
        &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
        KeyKind::P256,
    ),
    (&[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22], KeyKind::P384),
    (&[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23], KeyKind::P521),
    (&[0x06, 0x03, 0x2b, 0x65, 0x70], KeyKind::Ed25519),
    (b"\x13\x0cedwards25519", KeyKind::Ed25519),
];

impl KeyKind {
    pub(super) fn of(session: &Session, key: ObjectHandle) -> Result<Self, Failure> {
        match attribute(session, key, AttributeType::KeyType)? {
            Some(Attribute::KeyType(KeyType::RSA)) => Ok(Self::Rsa),
            Some(Attribute::KeyType(KeyType::EC | KeyType::EC_EDWARDS)) => {
                let curve = bytes(session, key, AttributeType::EcParams)?;
                let known = CURVES.into_iter().find(|(name, _)| Some(*name) == curve.as_deref());
                known.map(|(_, kind)| kind).ok_or_else(|| unsupported("its curve"))
            }
            _ => Err(unsupported("its kind")),
        }
    }

    fn algorithm(self) -> AlgorithmIdentifier {
        match self {
            Self::Rsa => alg_id::RSA_ENCRYPTION,
            Self::P256 => alg_id::ECDSA_P256,
            Self::P384 => alg_id::ECDSA_P384,
            Self::P521 => alg_id::ECDSA_P521,
            Self::Ed25519 => alg_id::ED25519,
        }
    }

    /// The length of a public key of a curve, in bytes.
    fn point_length(self) -> usize {
        match self {
            Self::Rsa => 0,
            Self::P256 => 65,
            Self::P384 => 97,
            Self::P521 => 133,
            Self::Ed25519 => 32,
        }
    }
}

fn unsupported(what: &str) -> Failure {
    Failure::Other(format!(
        "{what} is not supported: make a key of the kind RSA, ECDSA P-256, P-384 or P-521, or Ed25519"
    ))
}

/// The SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7) of the private key `key`, which `name` names exactly: from its
/// own attributes, or else from the public key or the certificate beside it.
pub(super) fn of(
    session: &Session,
    key: ObjectHandle,
    name: &Wanted,
    kind: KeyKind,
) -> Result<SubjectPublicKeyInfoDer<'static>, Failure> {
    if let Some(found) = from_attributes(session, key, kind)? {
        return Ok(found);
    }
    if let Some(info) = bytes(session, key, AttributeType::PublicKeyInfo)?.filter(|info| !info.is_empty()) {
        return Ok(info.into());
    }
    let beside = |class| name.beside(class).map_or(Ok(Vec::new()), |other| other.all(session));
    for object in beside(ObjectClass::PUBLIC_KEY)? {
        if let Some(found) = from_attributes(session, object, kind)? {
            return Ok(found);
        }
    }
    for object in beside(ObjectClass::CERTIFICATE)? {
        let der = bytes(session, object, AttributeType::Value)?.unwrap_or_default();
        if let Ok(certificate) = Certificate::parse(&der) {
            return Ok(certificate.spki_der().to_vec().into());
        }
    }
    Err(Failure::Other(
        "the token does not tell its public key: put its certificate or public key beside it, with the same id \
         (pkcs11-tool --login --write-object cert.der --type cert --id ...)"
            .to_owned(),
    ))
}

fn from_attributes(
    session: &Session,
    object: ObjectHandle,
    kind: KeyKind,
) -> Result<Option<SubjectPublicKeyInfoDer<'static>>, Failure> {
    let get = |name| bytes(session, object, name);
    let key = if kind == KeyKind::Rsa {
        match (get(AttributeType::Modulus)?, get(AttributeType::PublicExponent)?) {
            (Some(modulus), Some(exponent)) => rsa_public_key(&modulus, &exponent),
            _ => None,
        }
    } else {
        get(AttributeType::EcPoint)?.and_then(|point| bare_point(&point, kind.point_length()))
    };
    Ok(key.map(|key| public_key_to_spki(&kind.algorithm(), key)))
}

/// RSAPublicKey: RFC 8017 appendix A.1.1.
fn rsa_public_key(modulus: &[u8], exponent: &[u8]) -> Option<Vec<u8>> {
    if modulus.is_empty() || exponent.is_empty() {
        return None;
    }
    let key = RsaPublicKey {
        modulus: UintRef::new(modulus).ok()?,
        public_exponent: UintRef::new(exponent).ok()?,
    };
    key.to_der().ok()
}

/// The point in the value of CKA_EC_POINT: PKCS#11 wants it in an OCTET STRING, and some tokens leave that out.
fn bare_point(value: &[u8], length: usize) -> Option<Vec<u8>> {
    if value.len() == length {
        return Some(value.to_vec());
    }
    let inner = <&OctetStringRef>::from_der(value).ok()?.as_bytes();
    (inner.len() == length).then(|| inner.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points() {
        let mut bare = [7; 65];
        bare[0] = 4;
        let wrapped = [&[4, 65], &bare[..]].concat();
        assert_eq!(bare_point(&bare, 65).as_deref(), Some(&bare[..]));
        assert_eq!(bare_point(&wrapped, 65).as_deref(), Some(&bare[..]));
        assert_eq!(bare_point(&wrapped[..66], 65), None);
        assert_eq!(bare_point(&wrapped, 97), None);
    }
}
