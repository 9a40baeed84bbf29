// SPDX-License-Identifier: Apache-2.0
//! Access to the record protection (RFC 8446 section 5.2) of a connection, which rustls does not provide.
//!
//! It is needed for two purposes: a fatal alert if rustls ends a connection without one, and the detection of early
//! data records that a server ignores, which only trial decryption distinguishes from the handshake (RFC 8446 section
//! 4.2.10). The suites of this module wrap those of the provider; their keys are recorded while [`observe`] runs.

use std::cell::RefCell;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};

use rustls::crypto::cipher::{
    AeadKey, InboundOpaqueMessage, InboundPlainMessage, Iv, KeyBlockShape, MessageDecrypter, MessageEncrypter,
    OutboundChunks, OutboundOpaqueMessage, OutboundPlainMessage, Tls12AeadAlgorithm, Tls13AeadAlgorithm,
    UnsupportedOperationError,
};
use rustls::{
    AlertDescription, CipherSuiteCommon, ConnectionTrafficSecrets, ContentType, Error, ProtocolVersion,
    SupportedCipherSuite, Tls12CipherSuite, Tls13CipherSuite,
};

use super::{ALL_CIPHER_SUITES, fastest};

/// AlertLevel.fatal (RFC 8446 section 6).
const FATAL: u8 = 2;

thread_local! {
    /// The keys that the current call of rustls in this thread has derived; none if the call is not observed.
    static OBSERVED: RefCell<Option<Protection>> = const { RefCell::new(None) };
}

/// The latest keys of a connection.
#[derive(Default)]
pub(crate) struct Protection {
    encrypter: Option<Arc<Encrypter>>,
    decrypter: Option<Arc<Decrypter>>,
    wants_decrypter: bool,
}

/// Calls a function of rustls, and records the keys that it derives in `protection`.
pub(crate) fn observe<T>(protection: &mut Protection, call: impl FnOnce() -> T) -> T {
    OBSERVED.set(Some(Protection {
        wants_decrypter: protection.wants_decrypter,
        ..Protection::default()
    }));
    let result = call();
    if let Some(made) = OBSERVED.take() {
        protection.encrypter = made.encrypter.or(protection.encrypter.take());
        protection.decrypter = made.decrypter.or(protection.decrypter.take());
    }
    result
}

impl Protection {
    /// Whether records that are sent are encrypted.
    pub(crate) fn is_encrypting(&self) -> bool {
        self.encrypter
            .as_ref()
            .is_some_and(|encrypter| encrypter.lock().is_active)
    }

    /// The fatal alert in the last encrypted record that was sent. None if that is another record.
    pub(crate) fn sent_alert(&self) -> Option<AlertDescription> {
        self.encrypter.as_ref()?.lock().last_alert
    }

    /// Encrypts a fatal alert as the next and last record, if records are encrypted. A record number must not be used
    /// twice with a key, so rustls would panic if it sent another record.
    pub(crate) fn fatal_alert(&self, description: AlertDescription) -> Option<Vec<u8>> {
        let mut state = self.encrypter.as_ref()?.lock();
        if !state.is_active {
            return None;
        }
        let alert = OutboundPlainMessage {
            typ: ContentType::Alert,
            version: ProtocolVersion::TLSv1_2,
            payload: OutboundChunks::Single(&[FATAL, description.into()]),
        };
        let seq = state.next_seq;
        let record = state.encrypt(alert, seq).ok()?;
        state.is_closed = true;
        Some(record.encode())
    }

    /// Whether `payload` decrypts as the first record under the latest keys of the peer.
    pub(crate) fn opens_first(&self, payload: &[u8]) -> bool {
        let Some(decrypter) = &self.decrypter else { return false };
        let mut copy = payload.to_vec();
        let record = InboundOpaqueMessage::new(ContentType::ApplicationData, ProtocolVersion::TLSv1_2, &mut copy);
        decrypter.lock().decrypt(record, 0).is_ok()
    }

    /// Sets whether the keys of the peer are also recorded.
    pub(crate) fn want_decrypter(&mut self, wants: bool) {
        self.wants_decrypter = wants;
        self.decrypter.take_if(|_| !wants);
    }
}

/// The fastest variant of the suite on this CPU, with recording of keys.
pub(crate) fn observable(suite: SupportedCipherSuite) -> SupportedCipherSuite {
    static SUITES: LazyLock<Box<[SupportedCipherSuite]>> =
        LazyLock::new(|| ALL_CIPHER_SUITES.iter().copied().map(fastest).map(wrap).collect());
    let found = SUITES.iter().find(|known| known.suite() == suite.suite());
    found.copied().unwrap_or(suite)
}

fn wrap(suite: SupportedCipherSuite) -> SupportedCipherSuite {
    match suite {
        SupportedCipherSuite::Tls13(suite) => with_aead13(suite, Box::leak(Box::new(Observed13(suite.aead_alg)))),
        SupportedCipherSuite::Tls12(suite) => with_aead12(suite, Box::leak(Box::new(Observed12(suite.aead_alg)))),
    }
}

/// The suite with other record protection. It is never freed, since rustls requires a static reference.
pub(super) fn with_aead13(suite: &Tls13CipherSuite, aead_alg: &'static dyn Tls13AeadAlgorithm) -> SupportedCipherSuite {
    SupportedCipherSuite::Tls13(Box::leak(Box::new(Tls13CipherSuite {
        common: common(&suite.common),
        hkdf_provider: suite.hkdf_provider,
        aead_alg,
        quic: None,
    })))
}

/// The same for a TLS 1.2 suite.
pub(super) fn with_aead12(suite: &Tls12CipherSuite, aead_alg: &'static dyn Tls12AeadAlgorithm) -> SupportedCipherSuite {
    SupportedCipherSuite::Tls12(Box::leak(Box::new(Tls12CipherSuite {
        common: common(&suite.common),
        prf_provider: suite.prf_provider,
        kx: suite.kx,
        sign: suite.sign,
        aead_alg,
    })))
}

fn common(of: &CipherSuiteCommon) -> CipherSuiteCommon {
    CipherSuiteCommon {
        suite: of.suite,
        hash_provider: of.hash_provider,
        confidentiality_limit: of.confidentiality_limit,
    }
}

fn fatal_alert(payload: &[u8]) -> Option<AlertDescription> {
    match payload {
        [FATAL, description] => Some(AlertDescription::from(*description)),
        _ => None,
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

struct Encrypter(Mutex<EncrypterState>);

struct EncrypterState {
    inner: Box<dyn MessageEncrypter>,
    next_seq: u64,
    /// Whether records are encrypted with it. TLS 1.3 keys are used as soon as they are derived, TLS 1.2 keys from our
    /// Finished on.
    is_active: bool,
    last_alert: Option<AlertDescription>,
    is_closed: bool,
}

impl EncrypterState {
    fn encrypt(&mut self, record: OutboundPlainMessage<'_>, seq: u64) -> Result<OutboundOpaqueMessage, Error> {
        if self.is_closed {
            return Err(Error::EncryptError);
        }
        self.next_seq = seq + 1;
        self.is_active = true;
        self.last_alert = match record.typ {
            ContentType::Alert => fatal_alert(&record.payload.to_vec()),
            _ => None,
        };
        self.inner.encrypt(record, seq)
    }
}

impl Encrypter {
    fn lock(&self) -> MutexGuard<'_, EncrypterState> {
        lock(&self.0)
    }

    /// Records `inner`, if the call is observed.
    fn observed(inner: Box<dyn MessageEncrypter>, is_active: bool) -> Box<dyn MessageEncrypter> {
        OBSERVED.with_borrow_mut(|observed| {
            let Some(made) = observed else { return inner };
            let state = EncrypterState {
                inner,
                next_seq: 0,
                is_active,
                last_alert: None,
                is_closed: false,
            };
            let shared = Arc::new(Self(Mutex::new(state)));
            made.encrypter = Some(Arc::clone(&shared));
            Box::new(SharedEncrypter(shared))
        })
    }
}

struct SharedEncrypter(Arc<Encrypter>);

impl MessageEncrypter for SharedEncrypter {
    fn encrypt(&mut self, record: OutboundPlainMessage<'_>, seq: u64) -> Result<OutboundOpaqueMessage, Error> {
        self.0.lock().encrypt(record, seq)
    }

    fn encrypted_payload_len(&self, payload_len: usize) -> usize {
        self.0.lock().inner.encrypted_payload_len(payload_len)
    }
}

struct Decrypter(Mutex<Box<dyn MessageDecrypter>>);

impl Decrypter {
    fn lock(&self) -> MutexGuard<'_, Box<dyn MessageDecrypter>> {
        lock(&self.0)
    }

    /// Records `inner`, if the call is observed and decryption keys are wanted.
    fn observed(inner: Box<dyn MessageDecrypter>) -> Box<dyn MessageDecrypter> {
        OBSERVED.with_borrow_mut(|observed| {
            let Some(made) = observed.as_mut().filter(|made| made.wants_decrypter) else {
                return inner;
            };
            let shared = Arc::new(Self(Mutex::new(inner)));
            made.decrypter = Some(Arc::clone(&shared));
            Box::new(SharedDecrypter(shared))
        })
    }
}

struct SharedDecrypter(Arc<Decrypter>);

impl MessageDecrypter for SharedDecrypter {
    fn decrypt<'a>(&mut self, record: InboundOpaqueMessage<'a>, seq: u64) -> Result<InboundPlainMessage<'a>, Error> {
        self.0.lock().decrypt(record, seq)
    }
}

struct Observed13(&'static dyn Tls13AeadAlgorithm);

impl Tls13AeadAlgorithm for Observed13 {
    fn encrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageEncrypter> {
        Encrypter::observed(self.0.encrypter(key, iv), true)
    }

    fn decrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageDecrypter> {
        Decrypter::observed(self.0.decrypter(key, iv))
    }

    fn key_len(&self) -> usize {
        self.0.key_len()
    }

    fn extract_keys(&self, key: AeadKey, iv: Iv) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        self.0.extract_keys(key, iv)
    }

    fn fips(&self) -> bool {
        self.0.fips()
    }
}

struct Observed12(&'static dyn Tls12AeadAlgorithm);

impl Tls12AeadAlgorithm for Observed12 {
    fn encrypter(&self, key: AeadKey, iv: &[u8], extra: &[u8]) -> Box<dyn MessageEncrypter> {
        Encrypter::observed(self.0.encrypter(key, iv, extra), false)
    }

    fn decrypter(&self, key: AeadKey, iv: &[u8]) -> Box<dyn MessageDecrypter> {
        self.0.decrypter(key, iv)
    }

    fn key_block_shape(&self) -> KeyBlockShape {
        self.0.key_block_shape()
    }

    fn extract_keys(
        &self,
        key: AeadKey,
        iv: &[u8],
        explicit: &[u8],
    ) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        self.0.extract_keys(key, iv, explicit)
    }

    fn fips(&self) -> bool {
        self.0.fips()
    }
}
