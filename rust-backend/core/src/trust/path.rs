// SPDX-License-Identifier: Apache-2.0
//! Verification of a certificate: the path to a trust anchor, and the policy for that path.

use std::cell::{Cell, RefCell};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature_with_raw_key};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, VerifiedPath};

use super::anchors::Anchors;
use super::ca_set::CaSet;
use super::fetched_lists::FetchedLists;
use super::refusal::{Reason, Refusal};
use super::revocation::{CrlCheck, Depth, RevocationLists, Subject};
use super::status::{Known, OcspStatus};
use crate::crypto::verification_algorithms;
use crate::revocation::questions::{Asked, Question};
use crate::x509::{Certificate, Context};

/// The owners of the certificates to be verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Clients.
    Client,
    /// Backends.
    Backend,
}

impl Role {
    /// The name of such certificates in messages.
    fn name(self) -> &'static str {
        match self {
            Self::Client => "client certificate",
            Self::Backend => "certificate of the backend",
        }
    }

    /// The directive that configures the trusted CAs.
    pub fn ca_directive(self) -> &'static str {
        match self {
            Self::Client => "TLSClientCA",
            Self::Backend => "TLSProxyCA",
        }
    }

    /// The directive that configures revocation lists.
    pub fn crl_directive(self) -> &'static str {
        match self {
            Self::Client => "TLSClientCRL",
            Self::Backend => "TLSProxyCRL",
        }
    }

    /// The directive by which revocation lists are fetched.
    pub fn fetch_directive(self) -> &'static str {
        match self {
            Self::Client => "TLSClientRevocation",
            Self::Backend => "TLSProxyRevocation",
        }
    }

    /// The refusal of `leaf` for `reason`.
    pub(crate) fn refusal(self, leaf: &[u8], reason: Reason, why: &str) -> Refusal {
        Refusal {
            reason,
            text: format!("{} refused: {}: {why}", self.name(), whose(leaf)),
        }
    }

    /// The message for `issuers` CAs above a certificate if only `depth` are allowed.
    pub(crate) fn too_deep(self, issuers: usize, depth: usize) -> String {
        let directive = match self {
            Self::Client => "TLSClientVerifyDepth",
            Self::Backend => "TLSProxyVerifyDepth",
        };
        format!("there are {issuers} CAs above it, and {directive} allows {depth}")
    }

    fn purpose(self) -> (KeyUsage, &'static str) {
        match self {
            Self::Client => (KeyUsage::client_auth(), "clientAuth"),
            Self::Backend => (KeyUsage::server_auth(), "serverAuth"),
        }
    }

    /// The recommendation for a new certificate.
    fn reissue(self) -> String {
        format!(
            "have it reissued with an extension file that says \"basicConstraints=CA:FALSE\", \
             \"keyUsage=digitalSignature\" and \"extendedKeyUsage={}\": openssl x509 -req -in request.csr -CA ca.pem \
             -CAkey ca.key -sha256 -days 365 -extfile extensions -out certificate.pem",
            self.purpose().1
        )
    }
}

/// The requirements for a path.
#[derive(Debug)]
pub struct Policy {
    /// The owners of the certificates.
    pub role: Role,
    /// The trusted CAs.
    pub cas: Arc<CaSet>,
    /// The maximum number of CAs above a certificate.
    pub depth: usize,
    /// The revocation lists, if any are checked.
    pub lists: Option<Arc<RevocationLists>>,
    /// Which certificates are checked against them.
    pub crl_check: CrlCheck,
    /// The revocation lists that are fetched, if any are.
    pub fetched: Option<Arc<FetchedLists>>,
    /// The OCSP check, if there is one.
    pub ocsp: Option<Arc<OcspStatus>>,
}

/// How many questions there may be about one certificate and the CAs above it.
pub const MAX_QUESTIONS: usize = 8;

/// Why a certificate is not accepted, or not yet.
#[derive(Debug)]
pub enum Unverified {
    /// It is refused.
    Refused(Refusal),
    /// This has to be asked first.
    Asks(Question),
}

/// The signature schemes that are offered to peers.
pub fn schemes() -> Vec<SignatureScheme> {
    verification_algorithms().supported_schemes()
}

/// Verifies the signature of a TLS 1.2 handshake with the key in `cert`.
pub fn verify_signature_tls12(
    message: &[u8],
    cert: &CertificateDer<'_>,
    dss: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    verify_tls12_signature(message, cert, dss, &verification_algorithms())
}

/// Verifies the signature of a TLS 1.3 handshake with the key in `cert`. If any certificate is accepted, webpki may be
/// unable to parse it; the peer must still prove that it has the key.
pub fn verify_signature_tls13(
    message: &[u8],
    cert: &CertificateDer<'_>,
    dss: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let certificate = Certificate::parse(cert).map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
    let key = SubjectPublicKeyInfoDer::from(certificate.spki_der());
    verify_tls13_signature_with_raw_key(message, &key, dss, &verification_algorithms())
}

impl Policy {
    /// Verifies `leaf` at `now` (seconds since 1970); `others` are the other certificates that the peer sent. Returns
    /// the number of CAs above it.
    ///
    /// What is not known yet counts as unknown. See [`Self::verify_or_ask`].
    pub fn verify(&self, leaf: &CertificateDer<'_>, others: &[CertificateDer<'_>], now: i64) -> Result<usize, Refusal> {
        self.examine(leaf, others, None, now)
    }

    /// The same, unless other machines have to be asked first.
    pub fn verify_or_ask(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: i64,
    ) -> Result<usize, Unverified> {
        let question = RefCell::new(None);
        let examined = self.examine(leaf, others, Some(&question), now);
        examined.map_err(|refusal| match question.into_inner() {
            Some(question) => Unverified::Asks(question),
            None => Unverified::Refused(refusal),
        })
    }

    /// The same, and other machines are asked and waited for.
    pub fn verify_waiting(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: i64,
    ) -> Result<usize, Refusal> {
        for _ in 0..MAX_QUESTIONS {
            match self.verify_or_ask(leaf, others, now) {
                Ok(issuers) => return Ok(issuers),
                Err(Unverified::Refused(refusal)) => return Err(refusal),
                Err(Unverified::Asks(question)) => match self.ask(&question) {
                    Some(Ok(asked)) => asked.wait(),
                    _ => break,
                },
            }
        }
        self.verify(leaf, others, now)
    }

    /// Asks a question that [`Self::verify_or_ask`] has. None if there is nobody to ask.
    pub fn ask(&self, question: &Question) -> Option<io::Result<Asked>> {
        match question {
            Question::Status(_) | Question::Staple(_) => self.ocsp.as_ref()?.ask(question),
            Question::List { .. } => self.fetched.as_ref()?.ask(question),
        }
    }

    /// Whether other machines may have to be asked.
    pub fn may_ask(&self) -> bool {
        self.fetched.is_some() || self.ocsp.is_some()
    }

    /// Verifies a certificate. With `question`, there may be a refusal that is none, but a question.
    fn examine(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        question: Option<&RefCell<Option<Question>>>,
        now: i64,
    ) -> Result<usize, Refusal> {
        let time = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now).unwrap_or(0)));
        // The policy is applied only to paths that are otherwise valid, so its last objection is the reason of a
        // failure.
        let objection: RefCell<Option<(Reason, String)>> = RefCell::new(None);
        let above = Cell::new(0);
        let anchors = self.cas.current();
        let policy = |path: &VerifiedPath<'_>| match self.check_path(&anchors, path, question, now) {
            Ok(issuers) => {
                above.set(issuers);
                Ok(())
            }
            Err(refused) => {
                *objection.borrow_mut() = Some(refused);
                Err(webpki::Error::UnknownIssuer)
            }
        };
        let verified = EndEntityCert::try_from(leaf).and_then(|end_entity| {
            end_entity
                .verify_for_usage(
                    verification_algorithms().all,
                    anchors.trust(),
                    others,
                    time,
                    self.role.purpose().0,
                    None,
                    Some(&policy),
                )
                .map(drop)
        });
        let Err(error) = verified else { return Ok(above.get()) };
        let (reason, why) = objection.into_inner().unwrap_or_else(|| self.explain(&error, leaf));
        Err(self.role.refusal(leaf, reason, &why))
    }

    /// Applies the policy to a path that webpki accepts. Returns the number of CAs in it.
    fn check_path(
        &self,
        anchors: &Anchors,
        path: &VerifiedPath<'_>,
        question: Option<&RefCell<Option<Question>>>,
        now: i64,
    ) -> Result<usize, (Reason, String)> {
        let Some(anchor) = anchors.find(path.anchor()) else {
            return Err((Reason::UnknownIssuer, "its trust anchor is not known".to_owned()));
        };
        let leaf = path.end_entity();
        let is_trusted_itself = leaf.der() == anchor.der;
        let issuers = path.intermediate_certificates().count() + usize::from(!is_trusted_itself);
        let file = anchor.file.display();
        if issuers > self.depth {
            return Err((Reason::TooDeep, self.role.too_deep(issuers, self.depth)));
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
        let revocation = self.check_revocation(path, anchor.der.as_ref(), question.is_some(), now);
        match revocation {
            Known::Good => {
                // An earlier path had a question, but this one has none.
                question.into_iter().for_each(|question| drop(question.take()));
                Ok(issuers)
            }
            Known::Bad(reason, why) => Err((reason, why)),
            Known::Ask(asked) => {
                question
                    .into_iter()
                    .for_each(|question| *question.borrow_mut() = Some(asked.clone()));
                Err((Reason::StatusUnknown, "its status has to be asked for".to_owned()))
            }
        }
    }

    /// What is known about the certificates of a path.
    fn check_revocation(&self, path: &VerifiedPath<'_>, anchor: &[u8], asks: bool, now: i64) -> Known {
        let leaf = path.end_entity();
        if leaf.der().as_ref() == anchor {
            return Known::Good;
        }
        let certificates: Vec<_> = std::iter::once(&**leaf)
            .chain(path.intermediate_certificates())
            .collect();
        for (at, certificate) in certificates.iter().enumerate() {
            let (der, issuer) = (certificate.der(), certificates.get(at + 1).map(|issuer| issuer.der()));
            let subject = Subject {
                der: &der,
                issuer: certificate.issuer(),
                serial: certificate.serial(),
                is_leaf: at == 0,
                issuer_der: issuer.as_deref().unwrap_or(anchor),
            };
            match self.check_one(&subject, asks, now) {
                Known::Good => {}
                Known::Bad(reason, text) if at > 0 => {
                    return Known::Bad(reason, format!("its issuer {}: {text}", whose(&der)));
                }
                other => return other,
            }
        }
        Known::Good
    }

    /// What is known about a certificate: it must be on no list, in a list's domain, and well known to its responder.
    fn check_one(&self, subject: &Subject<'_>, asks: bool, now: i64) -> Known {
        let is_wanted = match self.crl_check.depth {
            Some(Depth::Chain) => true,
            Some(Depth::Leaf) => subject.is_leaf,
            None => false,
        };
        let missing_ok = self.crl_check.missing_ok;
        let in_files = self
            .lists
            .as_ref()
            .filter(|_| is_wanted)
            .map(|lists| lists.check(subject, now));
        let in_files = match in_files {
            // Lists that are fetched still have a say.
            Some(Err((Reason::NoCrl, _))) if missing_ok && self.fetched.is_some() => None,
            Some(Err((Reason::NoCrl, _))) if missing_ok => Some(Ok(())),
            other => other,
        };
        if let Some(Err((Reason::Revoked, text))) = in_files {
            return Known::Bad(Reason::Revoked, text);
        }
        let fetched = self
            .fetched
            .as_ref()
            .filter(|_| is_wanted)
            .map(|lists| lists.check(subject, asks, missing_ok, now));
        match (in_files, fetched) {
            (_, Some(known @ (Known::Ask(_) | Known::Bad(Reason::Revoked, _)))) => return known,
            // One of both is enough.
            (Some(Ok(())), _) | (_, Some(Known::Good)) | (None, None) => {}
            (_, Some(known)) => return known,
            (Some(Err((reason, text))), None) => return Known::Bad(reason, text),
        }
        self.ocsp
            .as_ref()
            .map_or(Known::Good, |ocsp| ocsp.check(subject, asks, now))
    }

    /// Translates `error` for the administrator and the owner of the certificate.
    fn explain(&self, error: &webpki::Error, leaf: &[u8]) -> (Reason, String) {
        use webpki::Error as E;
        let reissue = || self.role.reissue();
        let is_old = Certificate::parse(leaf).is_ok_and(|certificate| certificate.is_old());
        match error {
            _ if is_old => (
                Reason::OldVersion,
                format!(
                    "it is of X.509 version 1, which has no extended key usage; {}",
                    reissue()
                ),
            ),
            E::CertExpired { .. } => (Reason::Expired, "it, or a CA above it, has expired".to_owned()),
            E::CertNotValidYet { .. } => (
                Reason::NotYetValid,
                "it, or a CA above it, is not valid yet (is the clock right?)".to_owned(),
            ),
            E::UnknownIssuer => (
                Reason::UnknownIssuer,
                format!(
                    "its issuer is not among {}, and the intermediate certificates that came with it lead to none of them",
                    self.role.ca_directive()
                ),
            ),
            E::RequiredEkuNotFoundContext(_) | E::EmptyEkuExtension => (
                Reason::WrongPurpose,
                format!(
                    "its extended key usage does not allow {}; {}",
                    self.role.purpose().1,
                    reissue()
                ),
            ),
            E::CaUsedAsEndEntity => (
                Reason::IsCa,
                format!(
                    "it is the certificate of a CA (basicConstraints CA:TRUE), which may only issue other certificates; {}",
                    reissue()
                ),
            ),
            E::EndEntityUsedAsCa => (
                Reason::NotACa,
                "a certificate above it is not that of a CA (basicConstraints CA:TRUE is missing): have that one \
                 reissued with `-addext basicConstraints=critical,CA:TRUE`"
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
                format!(
                    "it, or a CA above it, is signed with an algorithm that is not safe, such as SHA-1; {}",
                    reissue()
                ),
            ),
            E::UnsupportedCriticalExtension => (
                Reason::CriticalExtension,
                "it, or a CA above it, has a critical extension that is not known".to_owned(),
            ),
            E::UnsupportedCertVersion => (
                Reason::OldVersion,
                format!("a CA above it is of X.509 version 1; {}", reissue()),
            ),
            E::BadDer | E::BadDerTime | E::TrailingData(_) | E::MalformedExtensions | E::ExtensionValueInvalid => {
                (Reason::Malformed, format!("it is not well-formed ({error:?})"))
            }
            other => (Reason::Other, format!("{other:?}")),
        }
    }
}

/// The subject and serial number of a certificate, for the log.
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
