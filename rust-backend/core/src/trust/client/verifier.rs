// SPDX-License-Identifier: Apache-2.0
//! Verifying what a client presents.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::demand::Mode;
use super::verdict::Verdict;
use crate::crypto::digest;
use crate::trust::anchors::Anchors;
use crate::trust::path::{self, Policy, Role};
use crate::trust::refusal::Refusal;
use crate::trust::revocation::{CrlCheck, RevocationLists};

/// The names of CAs that clients are told: `TLSClientCANames`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CaNames {
    /// Those of the CAs that are trusted.
    Trusted,
    /// Those of other certificates.
    Of(Vec<PathBuf>),
    /// None: the client is to present what it has.
    None,
}

/// The settings by which clients are verified. What is equal here is shared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientAuthSpec {
    /// Whether a certificate is wanted.
    pub mode: Mode,
    /// Where the certificates of trusted CAs are.
    pub cas: Vec<PathBuf>,
    /// Which names clients are told.
    pub names: CaNames,
    /// How many CAs may be above the client's certificate somewhere; 0 leaves certificates that are trusted themselves.
    pub depth: usize,
    /// How many may be where no location says otherwise.
    pub usual_depth: usize,
    /// Where revocation lists are.
    pub crls: Vec<PathBuf>,
    /// What is looked up there.
    pub crl_check: CrlCheck,
}

/// The default of `TLSClientVerifyDepth`: mod_ssl's.
pub const DEFAULT_DEPTH: usize = 1;

/// The verification of clients by one set of settings.
#[derive(Debug)]
pub struct ClientAuth {
    /// The settings.
    pub spec: ClientAuthSpec,
    /// What is asked of certificates.
    pub policy: Policy,
    /// What clients are told.
    pub hints: Vec<DistinguishedName>,
}

impl ClientAuth {
    /// A verification by `spec` that trusts `anchors`, asks `lists` and tells clients `hints`.
    pub fn new(
        spec: ClientAuthSpec,
        anchors: Arc<Anchors>,
        lists: Option<Arc<RevocationLists>>,
        hints: Vec<DistinguishedName>,
    ) -> Self {
        let policy = Policy {
            role: Role::Client,
            anchors,
            depth: spec.depth,
            lists,
            crl_check: spec.crl_check,
        };
        Self { spec, policy, hints }
    }

    /// The digest of everything that decides about a client, as it is at `now` (seconds since 1970). A session is
    /// resumed only where it is the same.
    pub fn scope(&self, now: i64) -> [u8; 32] {
        let spec = &self.spec;
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(
            format!(
                "{:?} {} {} {:?}",
                spec.mode, spec.depth, spec.usual_depth, spec.crl_check
            )
            .as_bytes(),
        );
        context.update(self.policy.anchors.digest());
        if let Some(lists) = &self.policy.lists {
            context.update(&lists.digest(now));
        }
        let mut scope = [0; 32];
        scope.copy_from_slice(context.finish().as_ref());
        scope
    }

    /// Verifies `chain`, the client's certificate first, at `now` (seconds since 1970).
    pub fn judge(&self, chain: &[CertificateDer<'_>], now: i64) -> Verdict {
        match chain.split_first() {
            None => Verdict::Anonymous,
            Some((leaf, others)) => self.verify(leaf, others, now),
        }
    }

    fn verify(&self, leaf: &CertificateDer<'_>, others: &[CertificateDer<'_>], now: i64) -> Verdict {
        match self.policy.verify(leaf, others, now) {
            Ok(issuers) => Verdict::Verified { issuers },
            Err(refusal) => Verdict::Refused(refusal),
        }
    }
}

/// The verification of one connection, which remembers its outcome.
pub(crate) struct Audit {
    auth: Arc<ClientAuth>,
    verdict: Mutex<Option<Verdict>>,
}

impl Audit {
    pub(crate) fn new(auth: &Arc<ClientAuth>) -> Self {
        Self {
            auth: Arc::clone(auth),
            verdict: Mutex::default(),
        }
    }

    fn mode(&self) -> Mode {
        self.auth.spec.mode
    }

    /// What the handshake found. Where it found nothing, because it resumed a session, `chain` is looked at once more:
    /// time has passed.
    pub(crate) fn verdict(&self, chain: &[CertificateDer<'_>], now: i64) -> Verdict {
        self.found().unwrap_or_else(|| self.auth.judge(chain, now))
    }

    /// Why the handshake was refused, if it was because of the certificate.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        match self.found()? {
            Verdict::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    fn found(&self) -> Option<Verdict> {
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audit")
            .field("mode", &self.mode())
            .finish_non_exhaustive()
    }
}

impl ClientCertVerifier for Audit {
    fn client_auth_mandatory(&self) -> bool {
        self.mode() == Mode::Required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.auth.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let verdict = self.auth.verify(end_entity, intermediates, now);
        let stands = verdict.stands(Some(self.mode())).is_ok();
        *self.verdict.lock().unwrap_or_else(PoisonError::into_inner) = Some(verdict.clone());
        match verdict {
            Verdict::Refused(refusal) if !stands => Err(Error::InvalidCertificate(refusal.into())),
            _ => Ok(ClientCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        path::verify_signature_tls12(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        path::verify_signature_tls13(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        path::schemes()
    }
}
