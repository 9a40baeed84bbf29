// SPDX-License-Identifier: Apache-2.0
//! Alerts (RFC 8446 section 6) that this module sends because rustls does not.

use rustls::server::AcceptedAlert;
use rustls::{AlertDescription, CertificateError, Error, PeerMisbehaved};

use super::Connection;

const ALERT: u8 = 21;
const FATAL: u8 = 2;

/// A fatal alert in an unencrypted record, for handshakes that end before keys are available.
pub fn plaintext_record(description: AlertDescription) -> [u8; 7] {
    // Records before the ServerHello have the version number of TLS 1.2 (RFC 8446 section 5.1).
    [ALERT, 3, 3, 0, 2, FATAL, description.into()]
}

/// The fatal alert in the last of these unencrypted records.
pub(crate) fn last_plaintext(records: &[u8]) -> Option<AlertDescription> {
    match records.last_chunk() {
        Some([ALERT, _, _, 0, 2, FATAL, description]) => Some(AlertDescription::from(*description)),
        _ => None,
    }
}

impl Connection {
    /// The fatal alert at the end of the output.
    pub(super) fn sent_alert(&self) -> Option<AlertDescription> {
        match self.protection.is_encrypting() {
            true => self.protection.sent_alert(),
            false => self.alerts.last().and_then(|records| last_plaintext(records)),
        }
    }

    /// Adds what rustls sends when it refuses a client.
    pub(super) fn add_output(&mut self, refusal: &mut AcceptedAlert) {
        let mut records = Vec::new();
        // Writing to memory does not fail.
        let _ = refusal.write_all(&mut records);
        if !records.is_empty() {
            self.alerts.push(records.into());
        }
    }

    /// Adds `alert` to the last output of rustls, unless that has one.
    pub(super) fn add_alert(&mut self, alert: Option<AlertDescription>) {
        if let (Some(alert), None) = (alert, self.sent_alert()) {
            let encrypted = self.protection.fatal_alert(alert);
            self.alerts
                .push(encrypted.unwrap_or_else(|| plaintext_record(alert).into()).into());
        }
    }
}

/// The alert for an error of rustls (RFC 8446 section 6.2). None if the error is an alert of the peer.
pub(crate) fn for_error(error: &Error) -> Option<AlertDescription> {
    use AlertDescription as Alert;
    use PeerMisbehaved as Misbehaved;
    Some(match error {
        Error::AlertReceived(_) => return None,
        Error::PeerMisbehaved(
            Misbehaved::IllegalTlsInnerPlaintext
            | Misbehaved::IllegalMiddleboxChangeCipherSpec
            | Misbehaved::MessageInterleavedWithHandshakeMessage
            | Misbehaved::RejectedEarlyDataInterleavedWithHandshakeMessage
            | Misbehaved::KeyEpochWithPendingFragment
            | Misbehaved::TooManyEmptyFragments
            | Misbehaved::TooManyKeyUpdateRequests
            | Misbehaved::TooManyRenegotiationRequests
            | Misbehaved::TooManyWarningAlertsReceived,
        )
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. } => Alert::UnexpectedMessage,
        Error::PeerMisbehaved(_) => Alert::IllegalParameter,
        Error::InvalidMessage(_) => Alert::DecodeError,
        Error::DecryptError => Alert::BadRecordMac,
        Error::PeerSentOversizedRecord => Alert::RecordOverflow,
        Error::PeerIncompatible(_) => Alert::HandshakeFailure,
        Error::NoCertificatesPresented => Alert::CertificateRequired,
        Error::UnsupportedNameType => Alert::UnrecognisedName,
        Error::InvalidCertificate(CertificateError::Expired) => Alert::CertificateExpired,
        Error::InvalidCertificate(CertificateError::Revoked) => Alert::CertificateRevoked,
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => Alert::UnknownCA,
        Error::InvalidCertificate(_) => Alert::BadCertificate,
        Error::NoApplicationProtocol => Alert::NoApplicationProtocol,
        _ => Alert::InternalError,
    })
}
