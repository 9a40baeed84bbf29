// SPDX-License-Identifier: Apache-2.0
//! Certificates and private keys: reading them, checking that they belong together, keeping them.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{NamedGroup, SignatureAlgorithm, SignatureScheme};
use rustls_pki_types::{CertificateDer, SubjectPublicKeyInfoDer};

use crate::crypto::{self, digest};
use crate::deferred_key::DeferredKey;
use crate::encrypted_key::SecretKey;
use crate::files::{self, FileError, FileStamp};
use crate::journal::Journal;
use crate::pem::{self, PemBundle, PemError};
use crate::trust::anchors::Anchors;
use crate::x509::Certificate;

/// The files that an identity is read from. The key is in the certificate's file unless it has its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdentityFiles {
    /// PEM: the certificate, then the certificates of its issuers.
    pub certificate: Arc<Path>,
    /// PEM: the private key, as PKCS#8, PKCS#1 or SEC1.
    pub key: Option<Arc<Path>>,
    /// PEM: the certificates of the issuers, for a certificate whose own file has none.
    pub chain: Option<Arc<Path>>,
}

impl IdentityFiles {
    /// Paths of its own. Those of a configuration lie between other things that go with it.
    fn copied(&self) -> Self {
        let copied = |path: &Option<Arc<Path>>| path.as_deref().map(Arc::from);
        Self {
            certificate: Arc::from(&*self.certificate),
            key: copied(&self.key),
            chain: copied(&self.chain),
        }
    }

    fn key_file(&self) -> &Arc<Path> {
        self.key.as_ref().unwrap_or(&self.certificate)
    }
}

/// Why an identity cannot be used. Each text names the file and the mend.
#[derive(Debug)]
pub enum IdentityError {
    /// A file could not be read.
    File(FileError),
    /// A file is not the PEM it should be.
    Pem(PathBuf, PemError),
    /// There is no certificate in the file.
    NoCertificate(PathBuf),
    /// There is no private key in the file; whether one was to be expected in a file of its own.
    NoKey(PathBuf, bool),
    /// The private key is encrypted, and there is nobody to ask for its pass phrase.
    EncryptedKey(PathBuf),
    /// The private key is encrypted, and stays so.
    Locked(PathBuf, String),
    /// The private key is of a kind that cannot be used.
    UnusableKey(PathBuf, String),
    /// A certificate (number in the file, from 1) cannot be parsed.
    BadCertificate(Arc<Path>, usize, String),
    /// The key is not that of the first certificate; the number of the one it does fit, from 1.
    Mismatch(IdentityFiles, Option<usize>),
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::Pem(path, error) => write!(f, "{}: {error}", path.display()),
            Self::NoCertificate(path) => write!(
                f,
                "{}: no certificate in this file: expected a block that begins with \"-----BEGIN CERTIFICATE-----\"",
                path.display()
            ),
            Self::NoKey(path, false) => write!(
                f,
                "{}: no private key in this file: add the key to it, or name the key's file as second argument",
                path.display()
            ),
            Self::NoKey(path, true) => write!(
                f,
                "{}: no private key in this file: expected a block that begins with \"-----BEGIN PRIVATE KEY-----\", \
                 \"-----BEGIN EC PRIVATE KEY-----\" or \"-----BEGIN RSA PRIVATE KEY-----\"",
                path.display()
            ),
            Self::EncryptedKey(path) => write!(
                f,
                "{0}: the private key is encrypted, and nobody is there to type its pass phrase: decrypt it once with \
                 `openssl pkey -in {0} -out <new file>`, keep the new file readable by root alone, and name it here",
                path.display()
            ),
            Self::Locked(path, why) => write!(f, "{}: the private key is encrypted: {why}", path.display()),
            Self::UnusableKey(path, why) => write!(
                f,
                "{}: the private key cannot be used: {why}; RSA (2048 to 8192 bits), ECDSA (P-256, P-384, P-521) and \
                 Ed25519 keys can",
                path.display()
            ),
            Self::BadCertificate(path, number, why) => {
                write!(
                    f,
                    "{}: certificate {number} in this file cannot be read: {why}",
                    path.display()
                )
            }
            Self::Mismatch(files, Some(number)) => write!(
                f,
                "{}: the private key in {} is not that of the first certificate but of certificate {number}: put that one \
                 first, then its issuers",
                files.certificate.display(),
                files.key_file().display(),
            ),
            Self::Mismatch(files, None) => write!(
                f,
                "{}: the private key in {} does not belong to this certificate: name the key that the certificate was \
                 requested with",
                files.certificate.display(),
                files.key_file().display(),
            ),
        }
    }
}

impl std::error::Error for IdentityError {}

/// A certificate chain with its private key.
#[derive(Debug)]
pub struct Identity {
    /// Where it comes from, for people.
    source: Arc<Path>,
    facts: Facts,
    leaf: Box<[u8]>,
    issuers: Chain,
    key: Key,
    /// What rustls serves, once somebody was served: of thousands of certificates a process serves few.
    certified: RwLock<Option<Arc<CertifiedKey>>>,
    /// The digest of names that were found in the certificate; 0 if none were looked for.
    covered: AtomicU64,
}

/// Certificates that many identities have in common.
type Chain = Arc<[CertificateDer<'static>]>;

#[derive(Debug)]
enum Key {
    Ready(Arc<dyn SigningKey>),
    Deferred(DeferredKey),
    /// The key of another.
    Of(Arc<Identity>),
}

impl Key {
    fn ready(&self) -> Arc<dyn SigningKey> {
        match self {
            Self::Ready(key) => Arc::clone(key),
            Self::Deferred(key) => key.ready(),
            Self::Of(other) => other.key.ready(),
        }
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self {
            Self::Ready(key) => key.algorithm(),
            Self::Deferred(key) => key.algorithm(),
            Self::Of(other) => other.key.algorithm(),
        }
    }
}

/// What is asked of a certificate often.
#[derive(Clone, Copy, Debug)]
struct Facts {
    /// The curve of an ECDSA key.
    curve: Option<NamedGroup>,
    /// The first second and the last one in which it is valid, since 1970.
    validity: (i64, i64),
}

impl Facts {
    const UNKNOWN: Self = Self {
        curve: None,
        validity: (i64::MIN, i64::MAX),
    };

    fn of(certificate: &Certificate<'_>) -> Self {
        Self {
            curve: certificate.curve(),
            validity: (certificate.not_before(), certificate.not_after()),
        }
    }
}

impl Identity {
    /// Puts certificates and key together after checking that they belong together. The issuers are known to be well-formed.
    fn new(
        files: &IdentityFiles,
        leaf: CertificateDer<'static>,
        issuers: Chain,
        key: Arc<dyn SigningKey>,
    ) -> Result<Self, IdentityError> {
        let parsed = well_formed(&files.certificate, 1, &leaf)?;
        if !is_key_of(&key, &parsed) {
            let other = position_of(&key, files, std::iter::once(&leaf).chain(issuers.iter()))?;
            return Err(IdentityError::Mismatch(files.clone(), other.map(|at| at + 1)));
        }
        let facts = Facts::of(&parsed);
        Ok(Self::with(&files.certificate, facts, leaf, issuers, Key::Ready(key)))
    }

    /// An identity from PEM in memory, as others hand it over: mod_md's answers to ACME challenges.
    pub fn from_pem(name: &str, certificate: &[u8], key: Option<&[u8]>) -> Result<Self, IdentityError> {
        let files = IdentityFiles {
            certificate: Path::new(name).into(),
            key: None,
            chain: None,
        };
        let (leaf, issuers) = leaf_and_issuers(&files.certificate, certificate)?;
        for (at, issuer) in issuers.iter().enumerate() {
            well_formed(&files.certificate, at + 2, issuer)?;
        }
        let key = key_of(&files, key.unwrap_or(certificate), &mut nobody)?;
        Self::new(&files, leaf, issuers.into(), signing_key(&files, &key)?)
    }

    /// An identity that was made rather than read, or that is known to be sound.
    pub(crate) fn generated(
        source: &Path,
        leaf: CertificateDer<'static>,
        issuers: Vec<CertificateDer<'static>>,
        key: Arc<dyn SigningKey>,
    ) -> Self {
        let facts = Certificate::parse(&leaf).map_or(Facts::UNKNOWN, |leaf| Facts::of(&leaf));
        Self::with(&source.into(), facts, leaf, issuers.into(), Key::Ready(key))
    }

    fn with(source: &Arc<Path>, facts: Facts, leaf: CertificateDer<'_>, issuers: Chain, key: Key) -> Self {
        Self {
            source: Arc::clone(source),
            facts,
            leaf: leaf.as_ref().into(),
            issuers,
            key,
            certified: RwLock::default(),
            covered: AtomicU64::new(0),
        }
    }

    /// The same with the certificates of its issuers, as far as they are among `anchors`, and without a root, which whoever
    /// trusts it has; none if that changes nothing.
    pub(crate) fn completed(self: &Arc<Self>, anchors: &Anchors) -> Option<Self> {
        if self.has_issuers() {
            return None;
        }
        let issuers = issuers_of(&self.leaf(), |name| Some(anchors.with_subject(name)?.der.clone()));
        let key = || Key::Of(Arc::clone(self));
        (!issuers.is_empty()).then(|| Self::with(&self.source, self.facts, self.leaf(), issuers.into(), key()))
    }

    /// Where it comes from: the certificate's file.
    pub(crate) fn source(&self) -> &Arc<Path> {
        &self.source
    }

    /// Where it comes from, for people: the certificate's file.
    pub fn name(&self) -> impl fmt::Display + '_ {
        self.source.display()
    }

    /// The first second and the last one in which the certificate is valid, since 1970.
    pub fn validity(&self) -> (i64, i64) {
        self.facts.validity
    }

    /// What rustls serves.
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

    /// By what its key signs.
    pub(crate) fn algorithm(&self) -> SignatureAlgorithm {
        self.key.algorithm()
    }

    /// Its certificates, the issuers after the certificate itself, and the key that signs by none but `schemes`.
    pub fn limited_to(&self, schemes: &Arc<[SignatureScheme]>) -> Arc<CertifiedKey> {
        let mut certified = CertifiedKey::clone(&self.certified());
        certified.key = Arc::new(LimitedKey {
            key: certified.key,
            schemes: Arc::clone(schemes),
        });
        Arc::new(certified)
    }

    /// The certificate itself, as DER.
    pub fn leaf(&self) -> CertificateDer<'_> {
        CertificateDer::from(&*self.leaf)
    }

    /// Which of `names` the certificate does not cover. Those of a host are asked for again at each reload, and the
    /// certificate is parsed only if they have changed.
    pub(crate) fn uncovered<'a>(&self, names: &[&'a str]) -> Vec<&'a str> {
        let mut hasher = DefaultHasher::new();
        names.hash(&mut hasher);
        let digest = hasher.finish();
        if self.covered.load(Relaxed) == digest {
            return Vec::new();
        }
        let parsed = Certificate::parse(&self.leaf).ok();
        let covers = |name: &str| parsed.as_ref().is_some_and(|certificate| certificate.covers(name));
        let uncovered: Vec<_> = names.iter().copied().filter(|name| !covers(name)).collect();
        if uncovered.is_empty() {
            self.covered.store(digest, Relaxed);
        }
        uncovered
    }

    /// Whether the certificate comes with those of its issuers.
    pub(crate) fn has_issuers(&self) -> bool {
        !self.issuers.is_empty()
    }

    /// How many certificates are presented.
    pub(crate) fn chain_len(&self) -> usize {
        1 + self.issuers.len()
    }

    /// What the certificate is known by to providers of OCSP responses: its SHA-256 digest.
    pub fn id(&self) -> [u8; 32] {
        let digest = digest::digest(&digest::SHA256, &self.leaf);
        let mut id = [0; 32];
        id.copy_from_slice(digest.as_ref());
        id
    }

    /// The certificate and the one of its issuer in PEM, if the chain has it.
    pub fn pem_with_issuer(&self) -> Option<String> {
        let issuer = self.issuers.first()?;
        Some(pem::certificate(&self.leaf()) + &pem::certificate(issuer))
    }

    /// Whether a client that offers `schemes` can verify this identity's signatures. A client of TLS 1.2 also tells by
    /// `groups` which curves it knows (RFC 8422 section 5.1).
    pub fn suits(&self, schemes: &[SignatureScheme], groups: Option<&[NamedGroup]>) -> bool {
        let knows_curve = match (self.facts.curve, groups) {
            (Some(curve), Some(groups)) => groups.contains(&curve),
            _ => true,
        };
        knows_curve && self.certified().key.choose_scheme(schemes).is_some()
    }

    /// Staples `response` (a DER OCSPResponse, RFC 6960) to the handshakes from now on; `None` staples nothing.
    pub fn staple(&self, response: Option<&[u8]>) {
        if self.certified().ocsp.as_deref() == response {
            return;
        }
        let mut certified = CertifiedKey::clone(&self.certified());
        certified.ocsp = response.map(<[u8]>::to_vec);
        *self.certified.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(certified));
    }
}

/// A key that not all algorithms it could sign by are wanted of.
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

/// Certificate `number` in a file. All of them must be well-formed: clients refuse others.
fn well_formed<'a>(file: &Arc<Path>, number: usize, der: &'a [u8]) -> Result<Certificate<'a>, IdentityError> {
    Certificate::parse(der).map_err(|error| IdentityError::BadCertificate(Arc::clone(file), number, error.to_string()))
}

fn is_key_of(key: &Arc<dyn SigningKey>, certificate: &Certificate<'_>) -> bool {
    key.public_key()
        .is_some_and(|public| public.as_ref() == certificate.spki_der())
}

/// Which of the certificates `key` belongs to. All of them must be well-formed.
fn position_of<'a>(
    key: &Arc<dyn SigningKey>,
    files: &IdentityFiles,
    chain: impl IntoIterator<Item = &'a CertificateDer<'static>>,
) -> Result<Option<usize>, IdentityError> {
    let mut position = None;
    for (at, der) in chain.into_iter().enumerate() {
        if is_key_of(key, &well_formed(&files.certificate, at + 1, der)?) {
            position = position.or(Some(at));
        }
    }
    Ok(position)
}

fn bundle(path: &Path, pem: &[u8]) -> Result<PemBundle, IdentityError> {
    pem::parse(pem).map_err(|error| IdentityError::Pem(path.to_owned(), error))
}

/// Decrypts the key in a file with this content; not called where the key is in the clear.
pub type Unlock<'a> = dyn FnMut(&Path, &[u8]) -> Result<SecretKey, IdentityError> + 'a;

/// For keys of which nobody knows the pass phrase.
pub fn nobody(path: &Path, _: &[u8]) -> Result<SecretKey, IdentityError> {
    Err(IdentityError::EncryptedKey(path.to_owned()))
}

/// The certificates in `pem`, the content of `path`.
fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let mut bundle = bundle(path, pem)?;
    match bundle.certificates.is_empty() {
        true => Err(IdentityError::NoCertificate(path.to_owned())),
        false => Ok(std::mem::take(&mut bundle.certificates)),
    }
}

/// The first certificate in `pem`, the content of `path`, and those that follow.
fn leaf_and_issuers(
    path: &Path,
    pem: &[u8],
) -> Result<(CertificateDer<'static>, Vec<CertificateDer<'static>>), IdentityError> {
    let mut all = certificates(path, pem)?;
    let leaf = all.remove(0);
    Ok((leaf, all))
}

/// The private key in `pem`, the content of the key's file.
fn key_of(files: &IdentityFiles, pem: &[u8], unlock: &mut Unlock<'_>) -> Result<SecretKey, IdentityError> {
    let path = files.key_file();
    let bundle = bundle(path, pem)?;
    match bundle.keys.into_iter().next() {
        Some(key) => Ok(key),
        None if bundle.encrypted_key => unlock(path, pem),
        None => Err(IdentityError::NoKey(path.to_path_buf(), files.key.is_some())),
    }
}

/// All certificates with their keys in `path`, a PEM file or a directory of them, in any order; certificates without a key
/// are issuers. `chain` names a file of further issuers.
pub fn machine_identities(path: &Path, chain: Option<&Path>) -> Result<Vec<Identity>, IdentityError> {
    let further = match chain {
        Some(chain) => certificates(chain, &files::read(chain).map_err(IdentityError::File)?)?,
        None => Vec::new(),
    };
    let mut identities = Vec::new();
    for file in files::expand(path).map_err(IdentityError::File)? {
        identities.extend(identities_in(&file, &further)?);
    }
    match identities.is_empty() {
        true => Err(IdentityError::NoKey(path.to_owned(), false)),
        false => Ok(identities),
    }
}

fn identities_in(path: &Path, further: &[CertificateDer<'static>]) -> Result<Vec<Identity>, IdentityError> {
    let files = IdentityFiles {
        certificate: path.into(),
        key: None,
        chain: None,
    };
    let bundle = bundle(path, &files::read(path).map_err(IdentityError::File)?)?;
    if bundle.encrypted_key {
        return Err(IdentityError::EncryptedKey(path.to_owned()));
    }
    let mut identities = Vec::new();
    for key in &bundle.keys {
        let key = signing_key(&files, key)?;
        let at = position_of(&key, &files, &bundle.certificates)?
            .ok_or_else(|| IdentityError::Mismatch(files.clone(), None))?;
        let leaf = bundle.certificates[at].clone();
        let issuers = issuers_of(&leaf, |name| {
            let is_wanted = |der: &&CertificateDer<'static>| {
                Certificate::parse(der).is_ok_and(|certificate| certificate.subject_der() == name)
            };
            bundle.certificates.iter().chain(further).find(is_wanted).cloned()
        });
        identities.push(Identity::generated(path, leaf, issuers, key));
    }
    Ok(identities)
}

/// Who has issued `leaf` and each other, one after the other, as `find` finds them by the DER of their names; without a root,
/// which whoever trusts it has.
fn issuers_of(
    leaf: &CertificateDer<'_>,
    find: impl Fn(&[u8]) -> Option<CertificateDer<'static>>,
) -> Vec<CertificateDer<'static>> {
    let mut issuers: Vec<CertificateDer<'static>> = Vec::new();
    let next = |last: &CertificateDer<'_>| find(Certificate::parse(last).ok()?.issuer_der());
    while let Some(issuer) = next(issuers.last().unwrap_or(leaf))
        && !is_root(&issuer)
        && issuer != *leaf
        && !issuers.contains(&issuer)
    {
        issuers.push(issuer);
    }
    issuers
}

fn is_root(certificate: &CertificateDer<'_>) -> bool {
    Certificate::parse(certificate).is_ok_and(|certificate| certificate.issuer_der() == certificate.subject_der())
}

fn signing_key(files: &IdentityFiles, key: &SecretKey) -> Result<Arc<dyn SigningKey>, IdentityError> {
    crypto::signing_key(key)
        .map_err(|error| IdentityError::UnusableKey(files.key_file().to_path_buf(), error.to_string()))
}

/// Keeps what was read, so that a reload reads only what has changed.
///
/// httpd reads its configuration twice at start and again at each reload; servers have thousands of certificates of
/// which few ever change in between. An entry is good for as long as its files are the same by device, inode, size
/// and time of change.
#[derive(Debug, Default)]
pub struct IdentityStore {
    entries: Mutex<HashMap<IdentityFiles, Entry>>,
    issuers: Mutex<HashSet<&'static [u8]>>,
    /// The issuers of chains by their PEM.
    issuer_texts: Mutex<HashMap<Box<[u8]>, Chain>>,
}

/// How many texts of issuers are remembered. CAs have a handful of intermediates.
const MAX_ISSUER_TEXTS: usize = 256;

#[derive(Debug)]
struct Entry {
    stamp: Stamp,
    identity: Arc<Identity>,
    used: bool,
}

/// What the stamps of an identity's files come to: of the certificate's, of the key's if it has its own, of the chain's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp(u64);

impl Stamp {
    fn new(certificate: FileStamp, key: Option<FileStamp>, chain: Option<FileStamp>) -> Self {
        let mut hasher = DefaultHasher::new();
        (certificate, key, chain).hash(&mut hasher);
        Self(hasher.finish())
    }

    /// The stamp of `files` as they are now.
    fn of(files: &IdentityFiles) -> Result<Self, IdentityError> {
        let stamp = |path: &Path| FileStamp::of(path).map_err(IdentityError::File);
        let optional = |path: &Option<Arc<Path>>| path.as_deref().map(stamp).transpose();
        Ok(Self::new(
            stamp(&files.certificate)?,
            optional(&files.key)?,
            optional(&files.chain)?,
        ))
    }
}

impl IdentityStore {
    /// The identity in `files`, read if it is not known or has changed. `unlock` is asked for a key that is encrypted. With a
    /// `journal`, a key that says itself that it belongs to the certificate is not looked at more closely until it is
    /// needed, and the journal gets to know what is wrong with it then.
    pub fn load(
        &self,
        files: &IdentityFiles,
        journal: Option<&Arc<Journal>>,
        unlock: &mut Unlock<'_>,
    ) -> Result<Arc<Identity>, IdentityError> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get_mut(files)
            && entry.stamp == Stamp::of(files)?
        {
            entry.used = true;
            return Ok(Arc::clone(&entry.identity));
        }
        let files = files.copied();
        let (identity, stamp) = self.read(&files, journal, unlock)?;
        let identity = Arc::new(identity);
        let entry = Entry {
            stamp,
            identity: Arc::clone(&identity),
            used: true,
        };
        entries.insert(files, entry);
        Ok(identity)
    }

    /// Forgets what was not loaded since the last call: nobody refers to it any more.
    pub fn forget_unused(&self) {
        self.entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|_, entry| std::mem::take(&mut entry.used));
    }

    fn read(
        &self,
        files: &IdentityFiles,
        journal: Option<&Arc<Journal>>,
        unlock: &mut Unlock<'_>,
    ) -> Result<(Identity, Stamp), IdentityError> {
        let (pem, stamp) = files::read_stamped(&files.certificate).map_err(IdentityError::File)?;
        let (leaf, mut issuers) = self.chain_in(&files.certificate, &pem)?;
        let (key, key_stamp) = match &files.key {
            Some(path) => {
                let (pem, stamp) = files::read_stamped(path).map_err(IdentityError::File)?;
                (key_of(files, &pem, unlock)?, Some(stamp))
            }
            None => (key_of(files, &pem, unlock)?, None),
        };
        let mut chain_stamp = None;
        if let Some(path) = &files.chain {
            let (pem, stamp) = files::read_stamped(path).map_err(IdentityError::File)?;
            chain_stamp = Some(stamp);
            if issuers.is_empty() {
                let all = certificates(path, &pem)?;
                // The file may begin with the certificate itself.
                let others = all.iter().enumerate().filter(|(_, issuer)| **issuer != leaf);
                let shared = others.map(|(at, issuer)| self.shared(path, at + 1, issuer));
                issuers = shared.collect::<Result<_, _>>()?;
            }
        }
        let parsed = well_formed(&files.certificate, 1, &leaf)?;
        let deferred = match journal {
            Some(journal) => DeferredKey::new(key, &parsed, files.key_file(), journal),
            None => Err(key),
        };
        let identity = match deferred {
            Ok(key) => {
                let facts = Facts::of(&parsed);
                Identity::with(&files.certificate, facts, leaf, issuers, Key::Deferred(key))
            }
            Err(key) => Identity::new(files, leaf, issuers, signing_key(files, &key)?)?,
        };
        Ok((identity, Stamp::new(stamp, key_stamp, chain_stamp)))
    }

    /// The certificate in `pem`, the content of `file`, and its issuers. The text of issuers that were read before is
    /// recognised.
    fn chain_in(&self, file: &Arc<Path>, pem: &[u8]) -> Result<(CertificateDer<'static>, Chain), IdentityError> {
        let rest = pem::issuers_in(pem);
        let mut known = self.issuer_texts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rest) = rest
            && let Some(issuers) = known.get(rest)
        {
            let (leaf, _) = leaf_and_issuers(file, &pem[..pem.len() - rest.len()])?;
            return Ok((leaf, Arc::clone(issuers)));
        }
        let (leaf, issuers) = leaf_and_issuers(file, pem)?;
        let shared = issuers
            .iter()
            .enumerate()
            .map(|(at, issuer)| self.shared(file, at + 2, issuer));
        let issuers: Chain = shared.collect::<Result<_, _>>()?;
        if let Some(rest) = rest.filter(|_| known.len() < MAX_ISSUER_TEXTS) {
            known.insert(rest.into(), Arc::clone(&issuers));
        }
        Ok((leaf, issuers))
    }

    /// One copy of each issuer certificate serves all chains. It stays for the life of the process, which knows only a
    /// handful of them: they change when a CA changes its intermediates. An error if it is not well-formed: it is
    /// certificate `number` in `file`.
    fn shared(
        &self,
        file: &Arc<Path>,
        number: usize,
        issuer: &CertificateDer<'_>,
    ) -> Result<CertificateDer<'static>, IdentityError> {
        let mut issuers = self.issuers.lock().unwrap_or_else(PoisonError::into_inner);
        let der = match issuers.get(issuer.as_ref()) {
            Some(known) => *known,
            None => {
                well_formed(file, number, issuer)?;
                let der: &'static [u8] = Box::leak(issuer.to_vec().into_boxed_slice());
                issuers.insert(der);
                der
            }
        };
        Ok(CertificateDer::from(der))
    }
}
