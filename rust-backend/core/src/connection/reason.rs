// SPDX-License-Identifier: Apache-2.0
//! The codes of errors: which one is logged for an error of rustls, an alert or a refused certificate.

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, OtherError, PeerIncompatible};

use crate::base::log_codes::Code;
use crate::key_process::door::SignError;
use crate::trust::refusal::{Reason, Refusal};

/// The code for an error in a connection with a client.
pub(super) fn of_client(error: &Error) -> Code {
    use PeerIncompatible as P;
    match error {
        Error::InvalidMessage(
            InvalidMessage::HandshakePayloadTooLarge
            | InvalidMessage::CertificatePayloadTooLarge
            | InvalidMessage::MessageTooLarge,
        )
        | Error::PeerSentOversizedRecord => Code::TooLarge,
        Error::InvalidMessage(_) => Code::Malformed,
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => Code::UnexpectedMessage,
        Error::PeerMisbehaved(_) => Code::ProtocolViolation,
        Error::DecryptError => Code::DecryptError,
        Error::PeerIncompatible(why) => match why {
            P::NoCipherSuitesInCommon => Code::NoCommonSuite,
            P::NoKxGroupsInCommon => Code::NoCommonGroup,
            P::NoSignatureSchemesInCommon => Code::NoCommonScheme,
            P::SupportedVersionsExtensionRequired
            | P::Tls12NotOffered
            | P::Tls12NotOfferedOrEnabled
            | P::ServerTlsVersionIsDisabledByOurConfig => Code::VersionNotEnabled,
            P::EcPointsExtensionRequired
            | P::ExtendedMasterSecretExtensionRequired
            | P::KeyShareExtensionRequired
            | P::NamedGroupsExtensionRequired
            | P::SignatureAlgorithmsExtensionRequired => Code::ExtensionMissing,
            _ => Code::Incompatible,
        },
        Error::NoApplicationProtocol => Code::NoCommonProtocol,
        Error::NoCertificatesPresented => Code::NoClientCertificate,
        // The certificate itself was accepted, or there would be a refusal.
        Error::InvalidCertificate(CertificateError::BadSignature) => Code::ClientNoProof,
        Error::InvalidCertificate(_) => Code::ClientOther,
        Error::AlertReceived(alert) => of_clients_alert(*alert),
        Error::Other(other) => of_signing(other),
        _ => Code::OtherError,
    }
}

fn of_clients_alert(alert: AlertDescription) -> Code {
    use AlertDescription as Alert;
    match alert {
        Alert::UnknownCA => Code::AlertUnknownCa,
        Alert::BadCertificate | Alert::CertificateUnknown | Alert::UnsupportedCertificate => Code::AlertBadCertificate,
        Alert::CertificateExpired | Alert::CertificateRevoked => Code::AlertExpired,
        Alert::HandshakeFailure | Alert::InsufficientSecurity => Code::AlertHandshakeFailure,
        Alert::ProtocolVersion => Code::AlertProtocolVersion,
        Alert::InternalError => Code::AlertInternalError,
        Alert::CloseNotify | Alert::UserCanceled => Code::AlertCancelled,
        _ => Code::AlertOther,
    }
}

/// Errors of other code are those of private keys.
fn of_signing(error: &OtherError) -> Code {
    match error.0.downcast_ref::<SignError>() {
        Some(error) if !error.is_of_key() => Code::KeyProcessUnavailable,
        _ => Code::SigningFailed,
    }
}

/// The code for a client certificate that is refused.
pub(super) fn of_client_certificate(reason: Reason) -> Code {
    match reason {
        Reason::Expired => Code::ClientExpired,
        Reason::NotYetValid => Code::ClientNotYetValid,
        Reason::UnknownIssuer => Code::ClientUnknownIssuer,
        Reason::Revoked => Code::ClientRevoked,
        Reason::NoCrl => Code::ClientNoCrl,
        Reason::CrlExpired => Code::ClientCrlExpired,
        Reason::StatusUnknown => Code::ClientStatusUnknown,
        Reason::BadSignature => Code::ClientBadSignature,
        Reason::WeakSignature => Code::ClientWeakSignature,
        Reason::WrongPurpose => Code::ClientWrongPurpose,
        Reason::TooDeep => Code::ClientTooDeep,
        Reason::IsCa => Code::ClientIsCa,
        Reason::NotACa => Code::ClientNotACa,
        Reason::Constraint => Code::ClientConstraint,
        Reason::OldVersion => Code::ClientOldVersion,
        Reason::CriticalExtension => Code::ClientCriticalExtension,
        Reason::Malformed => Code::ClientMalformed,
        Reason::WrongName | Reason::Other => Code::ClientOther,
    }
}

/// The code for an error in a connection to a backend. `spoke_http` is true if its first bytes look like HTTP.
pub(super) fn of_backend(error: &Error, spoke_http: bool) -> Code {
    use AlertDescription as Alert;
    match error {
        Error::InvalidMessage(_) if spoke_http => Code::BackendNotTls,
        Error::InvalidMessage(_)
        | Error::PeerSentOversizedRecord
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. }
        | Error::PeerMisbehaved(_)
        | Error::DecryptError => Code::BackendBrokenTls,
        Error::PeerIncompatible(_) | Error::NoApplicationProtocol => Code::BackendIncompatible,
        Error::InvalidCertificate(CertificateError::Other(OtherError(why))) => why
            .downcast_ref::<Refusal>()
            .map_or(Code::BackendCertificate, |refusal| {
                of_backends_certificate(refusal.reason)
            }),
        Error::InvalidCertificate(_) | Error::NoCertificatesPresented => Code::BackendCertificate,
        Error::AlertReceived(alert) => match alert {
            Alert::CertificateRequired | Alert::HandshakeFailure => Code::BackendWantsCertificate,
            Alert::BadCertificate
            | Alert::UnknownCA
            | Alert::CertificateExpired
            | Alert::CertificateRevoked
            | Alert::CertificateUnknown
            | Alert::UnsupportedCertificate => Code::BackendRefusesCertificate,
            Alert::ProtocolVersion => Code::BackendProtocolVersion,
            _ => Code::BackendAlert,
        },
        Error::Other(_) => Code::BackendSigning,
        _ => Code::BackendOther,
    }
}

/// The code for a backend's certificate that is refused.
pub(super) fn of_backends_certificate(reason: Reason) -> Code {
    match reason {
        Reason::Expired => Code::BackendExpired,
        Reason::NotYetValid => Code::BackendNotYetValid,
        Reason::UnknownIssuer => Code::BackendUnknownIssuer,
        Reason::Revoked => Code::BackendRevoked,
        Reason::NoCrl => Code::BackendNoCrl,
        Reason::CrlExpired => Code::BackendCrlExpired,
        Reason::BadSignature => Code::BackendBadSignature,
        Reason::WeakSignature => Code::BackendWeakSignature,
        Reason::WrongPurpose => Code::BackendWrongPurpose,
        Reason::WrongName => Code::BackendWrongName,
        _ => Code::BackendCertificate,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn certificates_of_backends() {
        let refusal = Refusal {
            reason: Reason::WrongName,
            text: String::new(),
        };
        let error = Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refusal))));
        assert_eq!(of_backend(&error, false), Code::BackendWrongName);
    }

    #[test]
    fn keys() {
        let of = |error| of_client(&Error::Other(OtherError(error)));
        assert_eq!(of(Arc::new(SignError::NoAnswer)), Code::KeyProcessUnavailable);
        assert_eq!(of(Arc::new(std::io::Error::other("x"))), Code::SigningFailed);
    }
}
