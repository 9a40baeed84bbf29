// SPDX-License-Identifier: Apache-2.0
//! Verifying what a client presents.

use std::cell::RefCell;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature_with_raw_key};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, VerifiedPath};

use super::anchors::Anchors;
use super::demand::Mode;
use super::revocation::{CrlCheck, Depth, RevocationLists, Subject};
use super::verdict::{Reason, Refusal, Verdict};
use crate::x509::{Certificate, Context};

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
    /// How many CAs may be above the client's certificate; 0 leaves certificates that are trusted themselves.
    pub depth: usize,
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
    /// Whom it trusts.
    pub anchors: Arc<Anchors>,
    /// The revocation lists, where some are to be asked.
    pub lists: Option<Arc<RevocationLists>>,
    /// What clients are told.
    pub hints: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientAuth {
    /// A verification by `spec` that trusts `anchors`, asks `lists` and tells clients `hints`.
    pub fn new(
        spec: ClientAuthSpec,
        anchors: Arc<Anchors>,
        lists: Option<Arc<RevocationLists>>,
        hints: Vec<DistinguishedName>,
    ) -> Self {
        Self {
            spec,
            anchors,
            lists,
            hints,
            algorithms: default_provider().signature_verification_algorithms,
        }
    }

    /// The digest of everything that decides about a client, as it is at `now` (seconds since 1970). A session is
    /// resumed only where it is the same.
    pub fn scope(&self, now: i64) -> [u8; 32] {
        let spec = &self.spec;
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(format!("{:?} {} {:?}", spec.mode, spec.depth, spec.crl_check).as_bytes());
        context.update(self.anchors.digest());
        if let Some(lists) = &self.lists {
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
            Some((leaf, others)) => match self.verify(leaf, others, now) {
                Ok(()) => Verdict::Verified,
                Err(refusal) => Verdict::Refused(refusal),
            },
        }
    }

    fn verify(&self, leaf: &CertificateDer<'_>, others: &[CertificateDer<'_>], now: i64) -> Result<(), Refusal> {
        let time = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now).unwrap_or(0)));
        // A policy speaks only where everything else is right, so what it says last is what is wrong.
        let objection: RefCell<Option<(Reason, String)>> = RefCell::new(None);
        let policy = |path: &VerifiedPath<'_>| {
            self.check_path(path, now).map_err(|refused| {
                *objection.borrow_mut() = Some(refused);
                webpki::Error::UnknownIssuer
            })
        };
        let verified = EndEntityCert::try_from(leaf).and_then(|end_entity| {
            end_entity
                .verify_for_usage(
                    self.algorithms.all,
                    self.anchors.trust(),
                    others,
                    time,
                    KeyUsage::client_auth(),
                    None,
                    Some(&policy),
                )
                .map(drop)
        });
        let Err(error) = verified else { return Ok(()) };
        let (reason, why) = objection.into_inner().unwrap_or_else(|| explain(&error, leaf));
        Err(Refusal {
            reason,
            text: format!("client certificate refused: {}: {why}", whose(leaf)),
        })
    }

    /// What is asked of a path that webpki finds good.
    fn check_path(&self, path: &VerifiedPath<'_>, now: i64) -> Result<(), (Reason, String)> {
        let Some(anchor) = self.anchors.find(path.anchor()) else {
            return Err((Reason::UnknownIssuer, "its trust anchor is not known".to_owned()));
        };
        let leaf = path.end_entity();
        let is_trusted_itself = leaf.der() == anchor.der;
        let issuers = path.intermediate_certificates().count() + usize::from(!is_trusted_itself);
        let file = anchor.file.display();
        if issuers > self.spec.depth {
            let text = format!(
                "there are {issuers} CAs above it, and TLSClientVerifyDepth allows {}",
                self.spec.depth
            );
            return Err((Reason::TooDeep, text));
        }
        if !is_trusted_itself && !anchor.may_issue {
            let text = format!("{file} is trusted itself, but it is not the certificate of a CA that may issue others");
            return Err((Reason::NotACa, text));
        }
        if now < anchor.validity.0 {
            return Err((
                Reason::NotYetValid,
                format!("the CA's certificate in {file} is not valid yet"),
            ));
        }
        if now > anchor.validity.1 {
            return Err((Reason::Expired, format!("the CA's certificate in {file} has expired")));
        }
        self.check_revocation(path, anchor.der.as_ref(), now)
    }

    fn check_revocation(&self, path: &VerifiedPath<'_>, anchor: &[u8], now: i64) -> Result<(), (Reason, String)> {
        let (Some(lists), Some(depth)) = (&self.lists, self.spec.crl_check.depth) else {
            return Ok(());
        };
        let leaf = path.end_entity();
        if leaf.der().as_ref() == anchor {
            return Ok(());
        }
        let certificates: Vec<_> = std::iter::once(&**leaf)
            .chain(path.intermediate_certificates())
            .collect();
        let count = match depth {
            Depth::Leaf => 1,
            Depth::Chain => certificates.len(),
        };
        for (at, certificate) in certificates.iter().enumerate().take(count) {
            let (der, issuer) = (certificate.der(), certificates.get(at + 1).map(|issuer| issuer.der()));
            let subject = Subject {
                der: &der,
                issuer: certificate.issuer(),
                serial: certificate.serial(),
                is_leaf: at == 0,
                issuer_der: issuer.as_deref().unwrap_or(anchor),
            };
            match lists.check(&subject, now) {
                Err((Reason::NoCrl, _)) if self.spec.crl_check.missing_ok => {}
                Err((reason, text)) if at > 0 => {
                    return Err((reason, format!("its issuer {}: {text}", whose(&der))));
                }
                Err(refused) => return Err(refused),
                Ok(()) => {}
            }
        }
        Ok(())
    }
}

/// A certificate's subject and serial number, for the log.
fn whose(der: &[u8]) -> String {
    match Certificate::parse(der) {
        Ok(certificate) => {
            let context = Context::at(0);
            let value = |name| certificate.variable(name, &context).unwrap_or_default();
            format!(
                "subject \"{}\", serial {}, issuer \"{}\"",
                value("S_DN"),
                value("M_SERIAL"),
                value("I_DN")
            )
        }
        Err(error) => error.to_string(),
    }
}

/// What `error` means for the administrator and for the client's owner.
fn explain(error: &webpki::Error, leaf: &[u8]) -> (Reason, String) {
    use webpki::Error as E;
    const REISSUE: &str = "have it reissued with an extension file that says \"basicConstraints=CA:FALSE\", \
                           \"keyUsage=digitalSignature\" and \"extendedKeyUsage=clientAuth\": openssl x509 -req -in \
                           client.csr -CA ca.pem -CAkey ca.key -sha256 -days 365 -extfile client.ext -out client.pem";
    let is_old = Certificate::parse(leaf).is_ok_and(|certificate| certificate.is_old());
    match error {
        _ if is_old => (
            Reason::OldVersion,
            format!(
                "it, or a CA between it and a trusted one, is of X.509 version 1, which cannot say what it is for; {REISSUE}"
            ),
        ),
        E::CertExpired { .. } => (Reason::Expired, "it, or a CA above it, has expired".to_owned()),
        E::CertNotValidYet { .. } => (
            Reason::NotYetValid,
            "it, or a CA above it, is not valid yet (is the clock right?)".to_owned(),
        ),
        E::UnknownIssuer => (
            Reason::UnknownIssuer,
            "its issuer is not among TLSClientCA, and the client sent no path to one that is".to_owned(),
        ),
        E::RequiredEkuNotFoundContext(_) | E::EmptyEkuExtension => (
            Reason::WrongPurpose,
            format!("its extended key usage does not allow clientAuth; {REISSUE}"),
        ),
        E::CaUsedAsEndEntity => (
            Reason::IsCa,
            format!("it is the certificate of a CA (basicConstraints CA:TRUE), which clients must not use; {REISSUE}"),
        ),
        E::EndEntityUsedAsCa => (
            Reason::NotACa,
            "a certificate above it is not that of a CA (basicConstraints CA:TRUE is missing): have that one reissued \
             with `-addext basicConstraints=critical,CA:TRUE`"
                .to_owned(),
        ),
        E::PathLenConstraintViolated => (
            Reason::Constraint,
            "there are more CAs above it than one of them allows (pathLenConstraint)".to_owned(),
        ),
        E::NameConstraintViolation => (
            Reason::Constraint,
            "a CA above it may not issue certificates for its name (nameConstraints)".to_owned(),
        ),
        E::InvalidSignatureForPublicKey | E::SignatureAlgorithmMismatch => (
            Reason::BadSignature,
            "it was not signed by the CA whose name it has as issuer".to_owned(),
        ),
        E::UnsupportedSignatureAlgorithmContext(_) | E::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => (
            Reason::WeakSignature,
            format!("it, or a CA above it, was signed in a way that is not safe, such as by SHA-1; {REISSUE}"),
        ),
        E::UnsupportedCriticalExtension => (
            Reason::CriticalExtension,
            "it, or a CA above it, has a critical extension that is not known".to_owned(),
        ),
        E::BadDer | E::BadDerTime | E::TrailingData(_) | E::MalformedExtensions | E::ExtensionValueInvalid => {
            (Reason::Malformed, format!("it is not well-formed ({error:?})"))
        }
        E::UnsupportedCertVersion => (
            Reason::OldVersion,
            format!("a certificate in its path is of X.509 version 1; {REISSUE}"),
        ),
        other => (Reason::Other, format!("{other:?}")),
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
        let verdict = match self.auth.verify(end_entity, intermediates, now) {
            Ok(()) => Verdict::Verified,
            Err(refusal) => Verdict::Refused(refusal),
        };
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
        verify_tls12_signature(message, cert, dss, &self.auth.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // Not as a certificate: where a host takes what comes, webpki may refuse to read it, and that the client has the
        // key has to be proved all the same.
        let certificate =
            Certificate::parse(cert).map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let key = SubjectPublicKeyInfoDer::from(certificate.spki_der());
        verify_tls13_signature_with_raw_key(message, &key, dss, &self.auth.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.auth.algorithms.supported_schemes()
    }
}
