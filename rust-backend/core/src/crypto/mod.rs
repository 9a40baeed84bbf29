// SPDX-License-Identifier: Apache-2.0
//! The cryptography that was selected at build time: aws-lc, its FIPS module, or ring.
//!
//! No other part of this crate depends on a cryptographic library. A feature that a library lacks is not in the lists
//! here; settings that require it cause a message.
//!
//! # Examples
//!
//! ```
//! use mod_tls_core::crypto::ciphers;
//! use mod_tls_core::crypto::protocol::Protocols;
//!
//! let cipher = ciphers::find("ECDHE-RSA-AES256-GCM-SHA384").expect("it is OpenSSL's name");
//! assert_eq!(cipher.name_iana(), "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384");
//! assert_eq!(cipher.key_bits(), (256, 256));
//!
//! let error = ciphers::parse_list(&["TLS_AES_128_GCM_SHA265"]).unwrap_err();
//! assert_eq!(error.nearest, Some("TLS_AES_128_GCM_SHA256"));
//!
//! let (protocols, left_out) = Protocols::parse(&["TLSv1.2+"]).expect("it is supported");
//! assert!(protocols.tls12 && protocols.tls13 && left_out.is_empty());
//! ```
//!
//! May use: base.

pub mod cipher_string;
pub mod ciphers;
pub mod groups;
pub mod hash;
pub mod key_kind;
pub mod protocol;
pub mod schemes;
pub mod signature;

#[cfg_attr(not(all(feature = "aws-lc", not(feature = "fips"))), path = "suites_of_one.rs")]
mod suites;

pub(crate) mod protection;

#[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
compile_error!("one of the features aws-lc, fips and ring is needed");
#[cfg(all(feature = "aws-lc-rs", feature = "ring"))]
compile_error!("the features aws-lc and fips exclude ring");

#[cfg(feature = "aws-lc-rs")]
use aws_lc_rs::rand;
#[cfg(feature = "aws-lc-rs")]
pub(crate) use aws_lc_rs::{aead, digest, hkdf};
#[cfg(feature = "ring")]
use ring::rand;
#[cfg(feature = "ring")]
pub(crate) use ring::{aead, digest, hkdf};
#[cfg(feature = "aws-lc-rs")]
use rustls::crypto::aws_lc_rs as provider;
#[cfg(feature = "ring")]
use rustls::crypto::ring as provider;

pub(crate) use protection::observable;
pub(crate) use provider::{ALL_CIPHER_SUITES, ALL_KX_GROUPS, DEFAULT_CIPHER_SUITES, default_provider};
use suites::fastest;
pub(crate) use suites::is_aes_of_ring;

use std::sync::{Arc, OnceLock};

use pkcs8::{ObjectIdentifier, PrivateKeyInfoRef};
use rand::SecureRandom;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::sign::SigningKey;
use rustls_pki_types::PrivateKeyDer;

/// The libraries in use, in the format of `SSL_VERSION_LIBRARY`.
pub const LIBRARY: &str = env!("MOD_TLS_LIBRARY");

/// Whether this build uses a validated cryptographic module (FIPS 140-3).
pub(crate) const IS_FIPS_BUILD: bool = cfg!(feature = "fips");

/// The algorithm for the encryption of sessions: AES-GCM-SIV (RFC 8452) if it is available, because it tolerates
/// repeated random nonces. It is not FIPS-approved, and ring does not have it.
#[cfg(all(feature = "aws-lc", not(feature = "fips")))]
pub(crate) static SESSION_AEAD: &aead::Algorithm = &aead::AES_256_GCM_SIV;
#[cfg(any(feature = "ring", feature = "fips"))]
pub(crate) static SESSION_AEAD: &aead::Algorithm = &aead::AES_256_GCM;

/// id-ecPublicKey (RFC 5480 section 2.1.1).
pub(crate) const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// The signing key in `der`. The providers try one algorithm after the other, RSA first, and parse the whole key each
/// time. Servers have thousands of ECDSA keys, so those are tried first.
pub fn signing_key(der: &PrivateKeyDer<'_>) -> Result<Arc<dyn SigningKey>, rustls::Error> {
    let is_ecdsa = match der {
        PrivateKeyDer::Sec1(_) => true,
        PrivateKeyDer::Pkcs8(key) => {
            PrivateKeyInfoRef::try_from(key.secret_pkcs8_der()).is_ok_and(|info| info.algorithm.oid == EC_PUBLIC_KEY)
        }
        _ => false,
    };
    match is_ecdsa.then(|| provider::sign::any_ecdsa_type(der)) {
        Some(Ok(key)) => Ok(key),
        _ => provider::sign::any_supported_type(der),
    }
}

/// The accepted signature algorithms: in certificates, in handshakes, and in what CAs say about certificates.
pub fn verification_algorithms() -> WebPkiSupportedAlgorithms {
    static ALGORITHMS: OnceLock<WebPkiSupportedAlgorithms> = OnceLock::new();
    *ALGORITHMS.get_or_init(|| default_provider().signature_verification_algorithms)
}

/// Makes this library that of code which leaves the choice to rustls.
pub fn install_provider() {
    // The first one stays.
    let _ = default_provider().install_default();
}

/// Fills `buffer` with random bytes. False if the system provides none.
pub(crate) fn fill_random(buffer: &mut [u8]) -> bool {
    rand::SystemRandom::new().fill(buffer).is_ok()
}

/// A description of the parts of a provider that are not approved by FIPS 140-3.
pub(crate) fn unapproved(provider: &CryptoProvider) -> String {
    let suites = provider.cipher_suites.iter().filter(|suite| !suite.fips());
    let suites = suites.filter_map(|suite| suite.suite().as_str());
    let groups = provider.kx_groups.iter().filter(|group| !group.fips());
    let groups = groups.filter_map(|group| groups::name_of(group.name()));
    let names: Vec<&str> = suites.chain(groups).collect();
    match names.is_empty() {
        true => format!("a module that is not in FIPS mode ({})", LIBRARY),
        false => names.join(", "),
    }
}
