// SPDX-License-Identifier: Apache-2.0
//! Verifying backends.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::EndEntityCert;

use crate::trust::path::{self, Policy};
use crate::trust::refusal::{Reason, Refusal};
use crate::x509::Certificate;

/// What is asked of the certificates of backends.
#[derive(Debug)]
pub(super) struct BackendVerifier {
    /// What is asked of the path; none if nothing is.
    pub(super) policy: Option<Policy>,
    /// Whether the certificate has to be for the name that was asked for.
    pub(super) check_name: bool,
}

impl BackendVerifier {
    /// Verifies `chain`, the backend's certificate first, at `now` (seconds since 1970). `name` is who the backend has to
    /// be, if that is in question.
    pub(super) fn verify(
        &self,
        chain: &[CertificateDer<'_>],
        name: Option<&ServerName<'_>>,
        now: i64,
    ) -> Result<(), Refusal> {
        let (Some(policy), Some((leaf, others))) = (&self.policy, chain.split_first()) else {
            return Ok(());
        };
        policy.verify(leaf, others, now)?;
        match name {
            Some(name) if self.check_name => check_name(policy, leaf, name),
            _ => Ok(()),
        }
    }
}

fn check_name(policy: &Policy, leaf: &CertificateDer<'_>, name: &ServerName<'_>) -> Result<(), Refusal> {
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
    Err(policy.refusal(leaf, Reason::WrongName, &why))
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
        // Of rustls' own errors none could carry the reason to the log.
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
