// SPDX-License-Identifier: Apache-2.0
//! Verification of backend certificates.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::EndEntityCert;

use crate::settings::backend::NameCheck;
use crate::trust::path::{self, Policy, Role};
use crate::trust::refusal::{Reason, Refusal};
use crate::x509::{Certificate, matches_host};

/// The requirements for the certificates of backends.
#[derive(Debug)]
pub(super) struct BackendVerifier {
    /// The requirements for the path, if there are any.
    pub(super) policy: Option<Policy>,
    /// Whether certificates of unknown CAs are accepted.
    pub(super) any_ca: bool,
    /// Which names of the certificate must match the name of the backend.
    pub(super) check_name: NameCheck,
    /// Whether expired certificates are refused even if there are no other requirements.
    pub(super) check_expiry: bool,
}

impl BackendVerifier {
    /// Verifies `chain`, the backend's certificate first, at `now` (seconds since 1970). `name` is the required name,
    /// if names are checked.
    pub(super) fn verify(
        &self,
        chain: &[CertificateDer<'_>],
        name: Option<&ServerName<'_>>,
        now: i64,
    ) -> Result<(), Refusal> {
        let Some((leaf, others)) = chain.split_first() else {
            return Ok(());
        };
        match self
            .policy
            .as_ref()
            .map(|policy| policy.verify_waiting(leaf, others, now))
        {
            Some(Err(refusal)) if self.any_ca && refusal.reason == Reason::UnknownIssuer => {}
            Some(verified) => drop(verified?),
            None => {}
        }
        if self.check_expiry {
            check_expiry(leaf, now)?;
        }
        match (self.check_name, name) {
            (NameCheck::None, _) | (_, None) => Ok(()),
            (NameCheck::AlternativeNames, Some(name)) => check_name(leaf, name),
            (names, Some(name)) => check_ssl_name(leaf, name, names),
        }
    }
}

fn refusal(leaf: &CertificateDer<'_>, reason: Reason, why: &str) -> Refusal {
    Role::Backend.refusal(leaf, reason, why)
}

/// Implements mod_ssl's SSLProxyCheckPeerExpire.
fn check_expiry(leaf: &CertificateDer<'_>, now: i64) -> Result<(), Refusal> {
    let certificate = Certificate::parse(leaf).map_err(|error| refusal(leaf, Reason::Malformed, &error.to_string()))?;
    if now < certificate.not_before() {
        return Err(refusal(
            leaf,
            Reason::NotYetValid,
            "it is not valid yet (SSLProxyCheckPeerExpire)",
        ));
    }
    match now > certificate.not_after() {
        true => Err(refusal(
            leaf,
            Reason::Expired,
            "it has expired (SSLProxyCheckPeerExpire)",
        )),
        false => Ok(()),
    }
}

/// Implements mod_ssl's SSLProxyCheckPeerName, which accepts the common name as well, and SSLProxyCheckPeerCN, which
/// accepts only the common name.
fn check_ssl_name(leaf: &CertificateDer<'_>, name: &ServerName<'_>, names: NameCheck) -> Result<(), Refusal> {
    let certificate = Certificate::parse(leaf).map_err(|error| refusal(leaf, Reason::Malformed, &error.to_string()))?;
    let known: Vec<String> = match names {
        NameCheck::CommonName => certificate.common_names(),
        _ => certificate
            .alternative_host_names()
            .into_iter()
            .chain(certificate.common_names())
            .collect(),
    };
    let wanted = name.to_str();
    if known.iter().any(|name| matches_host(name, &wanted)) {
        return Ok(());
    }
    let why = format!(
        "it is not for {wanted} but for {}; see SSLProxyCheckPeerName, or call the backend by that name",
        if known.is_empty() {
            "nobody".to_owned()
        } else {
            known.join(", ")
        }
    );
    Err(refusal(leaf, Reason::WrongName, &why))
}

fn check_name(leaf: &CertificateDer<'_>, name: &ServerName<'_>) -> Result<(), Refusal> {
    let valid = EndEntityCert::try_from(leaf).and_then(|cert| cert.verify_is_valid_for_subject_name(name));
    if valid.is_ok() {
        return Ok(());
    }
    let names = Certificate::parse(leaf).map_or_else(|_| Vec::new(), |cert| cert.alternative_host_names());
    let has = match names.is_empty() {
        true => "has no name in its subjectAltName, and the common name does not count".to_owned(),
        false => format!("is for {}", names.join(", ")),
    };
    let why = format!(
        "it is not for {} but {has}; see TLSProxyCheckPeerName, or call the backend by that name",
        name.to_str()
    );
    Err(refusal(leaf, Reason::WrongName, &why))
}

impl ServerCertVerifier for BackendVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain: Vec<_> = std::iter::once(end_entity)
            .chain(intermediates)
            .map(|der| CertificateDer::from(der.as_ref()))
            .collect();
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        // rustls' own error variants cannot carry the reason to the log.
        self.verify(&chain, Some(server_name), now)
            .map(|()| ServerCertVerified::assertion())
            .map_err(|refusal| Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refusal)))))
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
