// SPDX-License-Identifier: Apache-2.0
//! Verification of client certificates.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::verify_mode::HandshakeMode;
use super::verify_result::VerifyResult;
use crate::base::place::Place;
use crate::crypto::digest;
use crate::revocation::checks::CountsChecks;
use crate::revocation::orders::FetchSettings;
use crate::revocation::process::Link;
use crate::revocation::questions::{Asked, Question};
use crate::trust::ca_set::CaSet;
use crate::trust::fetched_lists::{FetchCheck, FetchedLists, ParsedLists};
use crate::trust::path::{self, Policy, Role, Unverified};
use crate::trust::refusal::Refusal;
use crate::trust::revocation::{CrlCheck, RevocationLists};
use crate::trust::status::{OcspSpec, OcspStatus};

/// The CA names that are sent to clients: `TLSClientCANames`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CaNames {
    /// The names of the trusted CAs.
    Trusted,
    /// The subjects of the certificates in these files.
    Of(Vec<Place>),
    /// None: the client may present any certificate.
    None,
}

/// The settings for the verification of clients. Hosts with equal settings share a verifier.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientAuthSpec {
    /// Whether a certificate is required.
    pub mode: HandshakeMode,
    /// The files of trusted CAs.
    pub cas: Vec<Place>,
    /// The CA names that are sent to clients.
    pub names: CaNames,
    /// The maximum number of CAs above the client certificate in any location; 0 allows only certificates that are
    /// trusted themselves.
    pub depth: usize,
    /// The maximum number in locations without a setting.
    pub usual_depth: usize,
    /// The files of revocation lists.
    pub crls: Vec<PathBuf>,
    /// Which certificates are checked against them.
    pub crl_check: CrlCheck,
    /// Whether revocation lists are fetched.
    pub fetch: FetchCheck,
    /// The OCSP check, if there is one.
    pub ocsp: Option<OcspSpec>,
}

/// The default of `TLSClientVerifyDepth`, as in mod_ssl.
pub const DEFAULT_DEPTH: usize = 1;

/// How other machines are asked.
#[derive(Clone, Debug, Default)]
pub struct Asking {
    /// How lists are fetched.
    pub fetch: FetchSettings,
    /// The way to the process that asks, if there is one.
    pub link: Option<Arc<Link>>,
    /// Lists that were parsed.
    pub parsed: Arc<ParsedLists>,
    /// Who counts the OCSP checks of clients.
    pub counts: Option<Arc<dyn CountsChecks>>,
}

impl Asking {
    /// The revocation lists that are fetched with the settings `check`.
    pub fn lists(&self, check: &FetchCheck, role: Role) -> FetchedLists {
        FetchedLists::new(
            check.clone(),
            role,
            &self.fetch,
            self.link.clone(),
            Arc::clone(&self.parsed),
        )
    }
}

/// Verifies clients with one set of settings.
#[derive(Debug)]
pub struct ClientAuth {
    /// The settings.
    pub spec: ClientAuthSpec,
    /// The requirements for certificates.
    pub policy: Policy,
    /// The CAs whose names are sent to clients, if any are.
    pub hints: Option<Arc<CaSet>>,
}

impl ClientAuth {
    /// A verifier with the settings `spec`, which trusts `cas`, checks `lists` and sends the names of `hints` to clients. What has
    /// to be asked of other machines is asked by `asking`.
    pub fn new(
        spec: ClientAuthSpec,
        cas: Arc<CaSet>,
        lists: Option<Arc<RevocationLists>>,
        hints: Option<Arc<CaSet>>,
        asking: Asking,
    ) -> Self {
        let fetched = (spec.fetch.fetches).then(|| Arc::new(asking.lists(&spec.fetch, Role::Client)));
        let ocsp = spec.ocsp.clone();
        let ocsp = ocsp.map(|spec| Arc::new(OcspStatus::new(spec, asking.link, asking.counts)));
        let policy = Policy {
            role: Role::Client,
            cas,
            depth: spec.depth,
            lists,
            crl_check: spec.crl_check,
            fetched,
            ocsp,
        };
        Self { spec, policy, hints }
    }

    /// A digest of all inputs for the authentication of a client at `now` (seconds since 1970). A session is resumed
    /// only if the digest is equal.
    pub fn scope(&self, now: i64) -> [u8; 32] {
        let spec = &self.spec;
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(
            format!(
                "{:?} {} {} {:?} {:?} {:?}",
                spec.mode, spec.depth, spec.usual_depth, spec.crl_check, spec.fetch, spec.ocsp
            )
            .as_bytes(),
        );
        context.update(self.policy.cas.current().digest());
        if let Some(lists) = &self.policy.lists {
            context.update(&lists.digest(now));
        }
        let mut scope = [0; 32];
        scope.copy_from_slice(context.finish().as_ref());
        scope
    }

    /// The sets of CAs that are used.
    pub(crate) fn ca_sets(&self) -> impl Iterator<Item = &Arc<CaSet>> {
        std::iter::once(&self.policy.cas).chain(&self.hints)
    }

    /// The CA names that are sent to clients.
    pub(crate) fn names(&self) -> Arc<[DistinguishedName]> {
        let names = |set: &Arc<CaSet>| Arc::clone(set.current().names());
        self.hints.as_ref().map_or_else(|| Arc::new([]), names)
    }

    /// Verifies `chain`, the client's certificate first, at `now` (seconds since 1970).
    pub fn judge(&self, chain: &[CertificateDer<'_>], now: i64) -> VerifyResult {
        match chain.split_first() {
            None => VerifyResult::Anonymous,
            Some((leaf, others)) => self.verify(leaf, others, now),
        }
    }

    fn verify(&self, leaf: &CertificateDer<'_>, others: &[CertificateDer<'_>], now: i64) -> VerifyResult {
        match self.policy.verify(leaf, others, now) {
            Ok(issuers) => VerifyResult::Verified { issuers },
            Err(refusal) => VerifyResult::Refused(refusal),
        }
    }

    /// The same, unless other machines have to be asked first.
    fn verify_or_ask(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: i64,
    ) -> Result<VerifyResult, Question> {
        match self.policy.verify_or_ask(leaf, others, now) {
            Ok(issuers) => Ok(VerifyResult::Verified { issuers }),
            Err(Unverified::Refused(refusal)) => Ok(VerifyResult::Refused(refusal)),
            Err(Unverified::Asks(question)) => Err(question),
        }
    }
}

/// The verifier of one connection, which stores its verdict.
pub(crate) struct ClientVerification {
    auth: Arc<ClientAuth>,
    names: Arc<[DistinguishedName]>,
    result: Mutex<Option<VerifyResult>>,
}

impl ClientVerification {
    pub(crate) fn new(auth: &Arc<ClientAuth>) -> Self {
        Self {
            auth: Arc::clone(auth),
            names: auth.names(),
            result: Mutex::default(),
        }
    }

    fn mode(&self) -> HandshakeMode {
        self.auth.spec.mode
    }

    /// The verdict of the handshake. If the session was resumed, there is none, and `chain` is verified again: it may
    /// have become invalid in the meantime.
    pub(crate) fn result(&self, chain: &[CertificateDer<'_>], now: i64) -> VerifyResult {
        self.found().unwrap_or_else(|| self.auth.judge(chain, now))
    }

    /// What has to be asked before it is known whether the client can be accepted. Called when the handshake has verified that the
    /// client has the key of the certificate, or has resumed its session.
    pub(crate) fn question(&self, chain: &[CertificateDer<'_>], now: i64) -> Option<Question> {
        let (leaf, others) = chain.split_first().filter(|_| self.auth.policy.may_ask())?;
        if self.found().is_some() {
            return None;
        }
        match self.auth.verify_or_ask(leaf, others, now) {
            Ok(result) => {
                self.note(result);
                None
            }
            Err(question) => Some(question),
        }
    }

    /// Asks a question. None if there is nobody to ask.
    pub(crate) fn ask(&self, question: &Question) -> Option<Asked> {
        self.auth.policy.ask(question)?.ok()
    }

    /// There are no more questions. The error says why the client is not accepted.
    pub(crate) fn decide(&self, chain: &[CertificateDer<'_>], now: i64) -> Result<(), Error> {
        let result = self.result(chain, now);
        self.note(result.clone());
        self.check(result)
    }

    /// Whether the handshake may go on with this result.
    fn check(&self, result: VerifyResult) -> Result<(), Error> {
        let stands = result.stands(Some(self.mode())).is_ok();
        match result {
            VerifyResult::Refused(refusal) if !stands => Err(Error::InvalidCertificate(refusal.into())),
            _ => Ok(()),
        }
    }

    fn note(&self, result: VerifyResult) {
        *self.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
    }

    /// The reason, if the handshake failed because of the certificate.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        match self.found()? {
            VerifyResult::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    fn found(&self) -> Option<VerifyResult> {
        self.result.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for ClientVerification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientVerification")
            .field("mode", &self.mode())
            .finish_non_exhaustive()
    }
}

impl ClientCertVerifier for ClientVerification {
    fn client_auth_mandatory(&self) -> bool {
        self.mode() == HandshakeMode::Required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.names
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        // The handshake goes on, and no request is processed before there is an answer.
        let Ok(result) = self.auth.verify_or_ask(end_entity, intermediates, now) else {
            return Ok(ClientCertVerified::assertion());
        };
        self.note(result.clone());
        self.check(result).map(|()| ClientCertVerified::assertion())
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
