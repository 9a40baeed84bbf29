// SPDX-License-Identifier: Apache-2.0
//! Private keys that are parsed when they are first needed.
//!
//! A server with thousands of certificates uses few of them in each of its processes. The public key in a key file is
//! sufficient to decide whether it belongs to a certificate. The arithmetic checks of the private key, and the
//! precomputations of the cryptographic library, would take most of the startup time and much memory.

use std::path::Path;
use std::sync::Arc;

use pkcs1::RsaPrivateKeyRef;
use pkcs1::der::Encode;
use pkcs8::PrivateKeyInfoRef;
use rustls::sign::{Signer, SigningKey};
use rustls::{NamedGroup, SignatureAlgorithm, SignatureScheme};
use rustls_pki_types::PrivateKeyDer;
use sec1::EcPrivateKey;

use crate::base::diagnostics::Severity;
use crate::base::log_queue::LogQueue;
use crate::crypto::key_kind::RSA;
use crate::crypto::{self, EC_PUBLIC_KEY};
use crate::keys::encrypted_key::SecretKey;
use crate::x509::Certificate;

/// The lengths of common RSA moduli, in bytes, and the common exponent.
const RSA_SIZES: [usize; 3] = [256, 384, 512];
const RSA_EXPONENT: [u8; 3] = [1, 0, 1];

/// A key in the encoding of its file.
#[derive(Debug)]
pub(crate) struct DeferredKey {
    der: SecretKey,
    algorithm: SignatureAlgorithm,
    file: Arc<Path>,
    log_queue: Arc<LogQueue>,
}

impl DeferredKey {
    /// The key from `file`, if it contains the public key of `certificate` and is of a kind that all libraries support.
    /// Otherwise the key is returned and must be parsed immediately. Errors that are found later are logged to
    /// `log_queue`.
    pub(crate) fn new(
        der: SecretKey,
        certificate: &Certificate<'_>,
        file: &Arc<Path>,
        log_queue: &Arc<LogQueue>,
    ) -> Result<Self, SecretKey> {
        match algorithm_if_of(&der, certificate) {
            Some(algorithm) => Ok(Self {
                der,
                algorithm,
                file: Arc::clone(file),
                log_queue: Arc::clone(log_queue),
            }),
            None => Err(der),
        }
    }

    pub(crate) fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// The signing key. If the key is damaged, signing fails.
    pub(crate) fn ready(&self) -> Arc<dyn SigningKey> {
        crypto::signing_key(&self.der).unwrap_or_else(|error| {
            let text = format!(
                "{}: the private key is damaged ({error}): handshakes that need it fail until the file is replaced and \
                 httpd reloaded",
                self.file.display()
            );
            self.log_queue.add(Severity::Error, text);
            Arc::new(DamagedKey(self.algorithm))
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

/// The algorithm of a key of a common kind that contains the public key of `certificate`.
fn algorithm_if_of(key: &PrivateKeyDer<'_>, certificate: &Certificate<'_>) -> Option<SignatureAlgorithm> {
    let (algorithm, parameters, public) = certificate.public_key();
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
    if oid.as_bytes() != algorithm {
        return None;
    }
    if oid == RSA {
        let key = RsaPrivateKeyRef::try_from(inner).ok()?;
        let own = key.public_key();
        let is_common =
            RSA_SIZES.contains(&own.modulus.as_bytes().len()) && own.public_exponent.as_bytes() == RSA_EXPONENT;
        return (is_common && own.to_der().ok()? == public).then_some(SignatureAlgorithm::RSA);
    }
    if oid == EC_PUBLIC_KEY {
        let key = EcPrivateKey::try_from(inner).ok()?;
        let curve = curve.or(key.parameters.and_then(|parameters| parameters.named_curve()))?;
        if !matches!(certificate.curve(), Some(NamedGroup::secp256r1 | NamedGroup::secp384r1)) {
            return None;
        }
        let is_own = key.public_key? == public && Some(curve.as_bytes()) == parameters.as_deref();
        return is_own.then_some(SignatureAlgorithm::ECDSA);
    }
    None
}
