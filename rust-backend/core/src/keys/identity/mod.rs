// SPDX-License-Identifier: Apache-2.0
//! Certificates and private keys: reading them, and checking that they match.

mod alone;
mod error;
mod loading;
mod oddities;
mod renewal;
mod store;

pub use error::IdentityError;
pub use loading::machine_identities;
pub(crate) use oddities::Invalidity;
pub use renewal::{Known, Renewed, Watched};
pub use store::IdentityStore;

use loading::{FoundKey, certificates, issuers_of, leaf_and_issuers, position_of, well_formed};

use oddities::Oddities;

use std::fmt;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{NamedGroup, SignatureAlgorithm, SignatureScheme};
use rustls_pki_types::{CertificateDer, SubjectPublicKeyInfoDer};

use crate::base::file_reading::Exposure;
use crate::base::slots;
use crate::base::stamp::{Stamp, hash_of};
use crate::crypto::digest;
use crate::key_process::protocol::Wanted;
use crate::key_process::remote_key::RemoteKey;
use crate::keys::deferred_key::DeferredKey;
use crate::keys::key_file::{pin_file, token_uri};
use crate::trust::anchors::Anchors;
use crate::x509::Certificate;
use crate::x509::pem;

/// The files of an identity. Without `key`, the key is in the certificate file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdentityFiles {
    /// PEM: the certificate, followed by its intermediate certificates. Here and for the key, a PKCS#11 URI without a PIN stands
    /// for an object in a token.
    pub certificate: Arc<Path>,
    /// PEM: the private key, as PKCS#8, PKCS#1 or SEC1.
    pub key: Option<Arc<Path>>,
    /// PEM: the intermediate certificates, if the certificate file has none.
    pub chain: Option<Arc<Path>>,
}

impl IdentityFiles {
    /// One file.
    fn one(path: &Path) -> Self {
        Self {
            certificate: path.into(),
            key: None,
            chain: None,
        }
    }

    /// Copies the paths. The allocations of the originals are adjacent to other data of a configuration.
    fn copied(&self) -> Self {
        let copied = |path: &Option<Arc<Path>>| path.as_deref().map(Arc::from);
        Self {
            certificate: Arc::from(&*self.certificate),
            key: copied(&self.key),
            chain: copied(&self.chain),
        }
    }

    /// The keys that are needed of the certificate file.
    pub(crate) fn wanted_beside_certificate(&self) -> Wanted {
        match self.key {
            Some(_) => Wanted::None,
            None => Wanted::First,
        }
    }

    /// The paths of all files.
    pub fn paths(&self) -> impl Iterator<Item = &Arc<Path>> {
        std::iter::once(&self.certificate).chain(&self.key).chain(&self.chain)
    }

    /// Whether a part of it is an object in a token.
    pub(crate) fn is_in_token(&self) -> bool {
        self.paths().any(|path| token_uri(path).is_some())
    }

    /// The current stamp of the files.
    pub(crate) fn stamp(&self) -> Result<Stamp, IdentityError> {
        Stamp::of(self.paths()).map_err(IdentityError::File)
    }

    /// The warning that other users may have the file with the key, who then `can` do something, or that with the PIN of its
    /// token.
    fn exposure_warning(&self, exposure: Exposure, can: &str) -> Option<String> {
        match pin_file(self.key_file()) {
            Some(file) => exposure.about(&file, "use the token, for which it has the PIN"),
            None => exposure.about(self.key_file(), can),
        }
    }

    fn key_file(&self) -> &Arc<Path> {
        self.key.as_ref().unwrap_or(&self.certificate)
    }
}

/// A certificate chain and its private key.
///
/// # Examples
///
/// ```
/// use mod_tls_core::keys::identity::Identity;
/// use rustls::SignatureScheme;
///
/// let generated = rcgen::generate_simple_self_signed(["www.example.org".to_owned()]).unwrap();
/// let (certificate, key) = (generated.cert.pem(), generated.signing_key.serialize_pem());
/// let identity = Identity::from_pem("example", certificate.as_bytes(), Some(key.as_bytes())).unwrap();
/// assert!(identity.suits(&[SignatureScheme::ECDSA_NISTP256_SHA256], None));
/// assert!(!identity.suits(&[SignatureScheme::RSA_PSS_SHA256], None));
///
/// let other = rcgen::KeyPair::generate().unwrap().serialize_pem();
/// assert!(Identity::from_pem("example", certificate.as_bytes(), Some(other.as_bytes())).is_err());
/// ```
#[derive(Debug)]
pub struct Identity {
    /// The origin, for messages.
    source: Arc<Path>,
    info: ConnectionInfo,
    leaf: Box<[u8]>,
    issuers: Chain,
    key: Key,
    /// The object that rustls serves, created at the first handshake: a process uses few of thousands of certificates.
    certified: RwLock<Option<Arc<CertifiedKey>>>,
    /// The hash of the last names that the certificate was found to cover; 0 if none were checked.
    covered: AtomicU64,
    /// Its [number](crate::base::slots) in the [`IdentityStore`], which its renewals have too.
    slot: u32,
    /// The renewed certificate, which is used in place of this one.
    renewed: RwLock<Option<Arc<Identity>>>,
    /// Whether there is one.
    is_renewed: AtomicBool,
}

/// Certificates that many identities share.
type Chain = Arc<[CertificateDer<'static>]>;

#[derive(Debug)]
enum Key {
    Ready(Arc<dyn SigningKey>),
    Deferred(DeferredKey),
    /// In `tls-keyd`.
    Remote(Arc<RemoteKey>),
    /// The key of another identity, to whose chain the issuers in these anchors are added.
    Of(Arc<Identity>, Arc<Anchors>),
}

impl Key {
    fn ready(&self) -> Arc<dyn SigningKey> {
        match self {
            Self::Ready(key) => Arc::clone(key),
            Self::Deferred(key) => key.ready(),
            Self::Remote(key) => Arc::clone(key) as _,
            Self::Of(other, _) => other.key.ready(),
        }
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self {
            Self::Ready(key) => key.algorithm(),
            Self::Deferred(key) => key.algorithm(),
            Self::Remote(key) => key.algorithm(),
            Self::Of(other, _) => other.key.algorithm(),
        }
    }
}

/// Properties of a certificate that are needed often.
#[derive(Clone, Copy, Debug)]
struct ConnectionInfo {
    /// The curve of an ECDSA key.
    curve: Option<NamedGroup>,
    /// The notBefore and notAfter times, in seconds since 1970.
    validity: (i64, i64),
    /// Whether the certificate names an OCSP responder.
    names_responder: bool,
    /// Whether clients refuse it without an OCSP response.
    must_staple: bool,
    oddities: Oddities,
}

impl ConnectionInfo {
    const UNKNOWN: Self = Self {
        curve: None,
        validity: (i64::MIN, i64::MAX),
        names_responder: false,
        must_staple: false,
        oddities: Oddities::NONE,
    };

    fn of(certificate: &Certificate<'_>) -> Self {
        Self {
            curve: certificate.curve(),
            validity: (certificate.not_before(), certificate.not_after()),
            names_responder: !certificate.ocsp_responders().is_empty(),
            must_staple: certificate.must_staple(),
            oddities: Oddities::of(certificate),
        }
    }
}

impl Identity {
    /// Combines certificates and key after checking that they match. `parsed` is the certificate `leaf`. The intermediate
    /// certificates must be well-formed.
    fn new(
        files: &IdentityFiles,
        leaf: &CertificateDer<'static>,
        parsed: &Certificate<'_>,
        issuers: Chain,
        found: FoundKey,
    ) -> Result<Self, IdentityError> {
        if found.public != parsed.spki_der() {
            let other = position_of(&found.public, files, std::iter::once(leaf).chain(issuers.iter()))?;
            return Err(IdentityError::Mismatch(files.clone(), other.map(|at| at + 1)));
        }
        let info = ConnectionInfo::of(parsed);
        Ok(Self::with(&files.certificate, info, leaf, issuers, found.key))
    }

    /// The size of the certificates in bytes.
    pub(crate) fn size(&self) -> usize {
        self.leaf.len() + self.issuers.iter().map(|issuer| issuer.len()).sum::<usize>()
    }

    /// An identity that was generated, or that is known to be valid.
    pub(crate) fn generated(
        source: &Path,
        leaf: CertificateDer<'static>,
        issuers: Vec<CertificateDer<'static>>,
        key: Arc<dyn SigningKey>,
    ) -> Self {
        let info = Certificate::parse(&leaf).map_or(ConnectionInfo::UNKNOWN, |leaf| ConnectionInfo::of(&leaf));
        Self::with(&source.into(), info, &leaf, issuers.into(), Key::Ready(key))
    }

    /// Whether the key is in `tls-keyd`.
    pub(crate) fn is_remote(&self) -> bool {
        match &self.key {
            Key::Remote(_) => true,
            Key::Ready(_) | Key::Deferred(_) => false,
            Key::Of(other, _) => other.is_remote(),
        }
    }

    fn with(source: &Arc<Path>, info: ConnectionInfo, leaf: &[u8], issuers: Chain, key: Key) -> Self {
        Self {
            source: Arc::clone(source),
            info,
            leaf: leaf.into(),
            issuers,
            key,
            certified: RwLock::default(),
            covered: AtomicU64::new(0),
            slot: slots::NONE,
            renewed: RwLock::default(),
            is_renewed: AtomicBool::new(false),
        }
    }

    /// The same identity with intermediate certificates from `anchors`, without a root, because a peer that trusts it
    /// has it. None if that changes nothing.
    pub(crate) fn completed(self: &Arc<Self>, anchors: &Arc<Anchors>) -> Option<Self> {
        if self.has_issuers() {
            return None;
        }
        let issuers = issuers_of(&self.leaf(), |name| Some(anchors.with_subject(name)?.der.clone()));
        let key = || Key::Of(Arc::clone(self), Arc::clone(anchors));
        (!issuers.is_empty()).then(|| Self::with(&self.source, self.info, &self.leaf, issuers.into(), key()))
    }

    /// The files of an identity whose data is in one file.
    pub(crate) fn only_file(&self) -> IdentityFiles {
        IdentityFiles {
            certificate: Arc::clone(&self.source),
            key: None,
            chain: None,
        }
    }

    /// The origin: the certificate file.
    pub(crate) fn source(&self) -> &Arc<Path> {
        &self.source
    }

    /// The origin, for messages: the certificate file.
    pub fn name(&self) -> impl fmt::Display + '_ {
        self.source.display()
    }

    /// The notBefore and notAfter times, in seconds since 1970.
    pub fn validity(&self) -> (i64, i64) {
        self.info.validity
    }

    /// Whether the certificate names an OCSP responder.
    pub(crate) fn names_responder(&self) -> bool {
        self.info.names_responder
    }

    /// Whether clients refuse the certificate without an OCSP response (RFC 7633).
    pub(crate) fn must_staple(&self) -> bool {
        self.info.must_staple
    }

    /// The intermediate certificates.
    pub(crate) fn issuers(&self) -> &[CertificateDer<'static>] {
        &self.issuers
    }

    /// The object that rustls serves.
    pub fn certified(&self) -> Arc<CertifiedKey> {
        if let Some(certified) = &*self.certified.read().unwrap_or_else(PoisonError::into_inner) {
            return Arc::clone(certified);
        }
        let mut slot = self.certified.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slot.get_or_insert_with(|| {
            let leaf = CertificateDer::from(self.leaf.to_vec());
            let chain = std::iter::once(leaf).chain(self.issuers.iter().cloned());
            Arc::new(CertifiedKey::new(chain.collect(), self.key.ready()))
        }))
    }

    /// The signature algorithm of the key.
    pub(crate) fn algorithm(&self) -> SignatureAlgorithm {
        self.key.algorithm()
    }

    /// The certificate chain with a key that uses only `schemes` for signatures.
    pub fn limited_to(&self, schemes: &Arc<[SignatureScheme]>) -> Arc<CertifiedKey> {
        let mut certified = CertifiedKey::clone(&self.certified());
        certified.key = Arc::new(LimitedKey {
            key: certified.key,
            schemes: Arc::clone(schemes),
        });
        Arc::new(certified)
    }

    /// The certificate in DER.
    pub fn leaf(&self) -> CertificateDer<'_> {
        CertificateDer::from(&*self.leaf)
    }

    /// Those of `names`, ServerNames and ServerAliases, that the certificate does not cover. The result is cached,
    /// because the names of a host are checked at each reload: the certificate is parsed only if the names have
    /// changed.
    pub(crate) fn uncovered<'a>(&self, names: &[&'a str]) -> Vec<&'a str> {
        let digest = hash_of(names);
        if self.covered.load(Relaxed) == digest {
            return Vec::new();
        }
        let parsed = Certificate::parse(&self.leaf).ok();
        let covers = |name: &str| {
            parsed
                .as_ref()
                .is_some_and(|certificate| certificate.covers_alias(name))
        };
        let uncovered: Vec<_> = names.iter().copied().filter(|name| !covers(name)).collect();
        if uncovered.is_empty() {
            self.covered.store(digest, Relaxed);
        }
        uncovered
    }

    /// Whether the certificate is valid for `host`, a DNS name or an IP address.
    pub(crate) fn covers(&self, host: &str) -> bool {
        Certificate::parse(&self.leaf).is_ok_and(|certificate| certificate.covers(host))
    }

    /// Whether there are intermediate certificates.
    pub(crate) fn has_issuers(&self) -> bool {
        !self.issuers.is_empty()
    }

    /// The number of certificates that are presented.
    pub(crate) fn chain_len(&self) -> usize {
        1 + self.issuers.len()
    }

    /// The identifier of the certificate for OCSP response providers: its SHA-256 digest.
    pub fn id(&self) -> [u8; 32] {
        let digest = digest::digest(&digest::SHA256, &self.leaf);
        let mut id = [0; 32];
        id.copy_from_slice(digest.as_ref());
        id
    }

    /// The certificate and the certificate of its issuer in PEM, if the chain contains it.
    pub fn pem_with_issuer(&self) -> Option<String> {
        let issuer = self.issuers.first()?;
        Some(pem::certificate(&self.leaf()) + &pem::certificate(issuer))
    }

    /// Whether a client that offers `schemes` can verify signatures of this identity. `groups` are the curves that a
    /// TLS 1.2 client supports (RFC 8422 section 5.1).
    pub fn suits(&self, schemes: &[SignatureScheme], groups: Option<&[NamedGroup]>) -> bool {
        let knows_curve = match (self.info.curve, groups) {
            (Some(curve), Some(groups)) => groups.contains(&curve),
            _ => true,
        };
        knows_curve && self.certified().key.choose_scheme(schemes).is_some()
    }

    /// Staples `response` (a DER OCSPResponse, RFC 6960) to all following handshakes; `None` staples nothing. True if this is
    /// another response than before.
    pub fn staple(&self, response: Option<&[u8]>) -> bool {
        let certified = self.certified();
        if certified.ocsp.as_deref() == response {
            return false;
        }
        let mut certified = CertifiedKey::clone(&certified);
        certified.ocsp = response.map(<[u8]>::to_vec);
        *self.certified.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(certified));
        true
    }
}

/// A key that is limited to some signature schemes.
#[derive(Debug)]
struct LimitedKey {
    key: Arc<dyn SigningKey>,
    schemes: Arc<[SignatureScheme]>,
}

impl SigningKey for LimitedKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let wanted: Vec<_> = offered
            .iter()
            .copied()
            .filter(|scheme| self.schemes.contains(scheme))
            .collect();
        self.key.choose_scheme(&wanted)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        self.key.public_key()
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.key.algorithm()
    }
}
