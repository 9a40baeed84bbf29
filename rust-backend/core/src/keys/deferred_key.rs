// SPDX-License-Identifier: Apache-2.0
//! Private keys that are parsed when they are first needed.
//!
//! A server with thousands of certificates uses few of them in each of its processes. The public key in a key file is
//! sufficient to decide whether it belongs to a certificate. The arithmetic checks of the private key, and the
//! precomputations of the cryptographic library, would take most of the startup time and much memory.

use std::path::Path;
use std::sync::Arc;

use pkcs1::RsaPrivateKeyRef;
use pkcs8::der::Encode;
use pkcs8::der::asn1::{AnyRef, BitStringRef};
use pkcs8::spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfo};
use pkcs8::{ObjectIdentifier, PrivateKeyInfoRef};
use rustls::sign::{Signer, SigningKey};
use rustls::{SignatureAlgorithm, SignatureScheme};
use rustls_pki_types::PrivateKeyDer;
use sec1::EcPrivateKey;

use crate::base::diagnostics::Severity;
use crate::base::log_queue::LogQueue;
use crate::crypto::key_kind::RSA;
use crate::crypto::{self, EC_PUBLIC_KEY, schemes};
use crate::keys::encrypted_key::SecretKey;

/// The lengths of common RSA moduli, in bytes, and the common exponent.
const RSA_SIZES: [usize; 3] = [256, 384, 512];
const RSA_EXPONENT: [u8; 3] = [1, 0, 1];

/// The common curves (RFC 5480 section 2.1.1.1).
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");

/// A key in the encoding of its file.
#[derive(Debug)]
pub struct DeferredKey {
    der: SecretKey,
    schemes: &'static [SignatureScheme],
    file: Arc<Path>,
    log_queue: Arc<LogQueue>,
}

impl DeferredKey {
    /// The key from `file` and its SubjectPublicKeyInfo, if it contains its public key and is of a kind that all libraries
    /// support. Otherwise the key is returned and must be parsed immediately. Errors that are found later are logged to
    /// `log_queue`.
    pub fn new(der: SecretKey, file: &Arc<Path>, log_queue: &Arc<LogQueue>) -> Result<(Self, Vec<u8>), SecretKey> {
        let Some((schemes, public)) = public_key_in(&der) else {
            return Err(der);
        };
        let key = Self {
            der,
            schemes,
            file: Arc::clone(file),
            log_queue: Arc::clone(log_queue),
        };
        Ok((key, public))
    }

    /// The key in the encoding of its file.
    pub(crate) fn into_der(self) -> SecretKey {
        self.der
    }

    /// The schemes that the key signs by, in the order of preference.
    pub fn schemes(&self) -> &'static [SignatureScheme] {
        self.schemes
    }

    pub(crate) fn algorithm(&self) -> SignatureAlgorithm {
        schemes::algorithm_of(self.schemes)
    }

    /// The signing key. If the key is damaged, signing fails.
    pub fn ready(&self) -> Arc<dyn SigningKey> {
        crypto::signing_key(&self.der).unwrap_or_else(|error| {
            let text = format!(
                "{}: the private key is damaged ({error}): handshakes that need it fail until the file is replaced and \
                 httpd reloaded",
                self.file.display()
            );
            self.log_queue.add(Severity::Error, text);
            Arc::new(DamagedKey(self.algorithm()))
        })
    }
}

#[derive(Debug)]
struct DamagedKey(SignatureAlgorithm);

impl SigningKey for DamagedKey {
    fn choose_scheme(&self, _: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        None
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.0
    }
}

/// The schemes of a key of a common kind, and the public key that its encoding contains, as SubjectPublicKeyInfo in DER.
fn public_key_in(key: &PrivateKeyDer<'_>) -> Option<(&'static [SignatureScheme], Vec<u8>)> {
    let (oid, curve, inner) = match key {
        PrivateKeyDer::Pkcs8(der) => {
            let info = PrivateKeyInfoRef::try_from(der.secret_pkcs8_der()).ok()?;
            let curve = info.algorithm.parameters_oid().ok();
            (info.algorithm.oid, curve, info.private_key.as_bytes())
        }
        PrivateKeyDer::Sec1(der) => (EC_PUBLIC_KEY, None, der.secret_sec1_der()),
        PrivateKeyDer::Pkcs1(der) => (RSA, None, der.secret_pkcs1_der()),
        _ => return None,
    };
    if oid == RSA {
        let key = RsaPrivateKeyRef::try_from(inner).ok()?;
        let own = key.public_key();
        let is_common =
            RSA_SIZES.contains(&own.modulus.as_bytes().len()) && own.public_exponent.as_bytes() == RSA_EXPONENT;
        let public = is_common.then(|| own.to_der())?.ok()?;
        return Some((schemes::RSA, encoded(oid, AnyRef::NULL, &public)?));
    }
    if oid == EC_PUBLIC_KEY {
        let key = EcPrivateKey::try_from(inner).ok()?;
        let curve = curve.or(key.parameters.and_then(|parameters| parameters.named_curve()))?;
        let schemes = match curve {
            P256 => schemes::P256,
            P384 => schemes::P384,
            _ => return None,
        };
        return Some((schemes, encoded(oid, AnyRef::from(&curve), key.public_key?)?));
    }
    None
}

/// A SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7) in DER.
fn encoded(oid: ObjectIdentifier, parameters: AnyRef<'_>, public: &[u8]) -> Option<Vec<u8>> {
    let info = SubjectPublicKeyInfo {
        algorithm: AlgorithmIdentifierRef {
            oid,
            parameters: Some(parameters),
        },
        subject_public_key: BitStringRef::from_bytes(public).ok()?,
    };
    info.to_der().ok()
}
