// SPDX-License-Identifier: Apache-2.0
//! Reasons for the end of connections, as text for the log.

use std::fmt;

use rustls::AlertDescription;

/// Why a connection ended. If an alert must be sent, it is queued.
#[derive(Debug)]
pub struct Failure {
    /// The reason, for the log.
    pub text: String,
    /// Whether the administrator of the server has to act, and not the client.
    pub ours: bool,
}

impl Failure {
    pub(crate) fn ours(text: impl fmt::Display) -> Self {
        Self {
            text: text.to_string(),
            ours: true,
        }
    }

    pub(crate) fn theirs(text: impl fmt::Display) -> Self {
        Self {
            text: text.to_string(),
            ours: false,
        }
    }

    /// The failure of a connection to a backend, with the remedy. `spoke_http` is true if the first bytes of the
    /// backend look like HTTP.
    pub(crate) fn of_backend(error: &rustls::Error, spoke_http: bool) -> Self {
        use rustls::{CertificateError, Error as E, OtherError};
        Self::ours(match error {
            E::InvalidCertificate(CertificateError::Other(OtherError(refusal))) => refusal.to_string(),
            E::InvalidMessage(_) if spoke_http => {
                "the backend does not speak TLS on this port (it answered in plain text): use http://, or another port"
                    .to_owned()
            }
            E::AlertReceived(alert @ (AlertDescription::CertificateRequired | AlertDescription::HandshakeFailure)) => {
                format!(
                    "the backend ended the connection with alert {alert:?}: it may want a client certificate \
                     (TLSProxyMachineCertificate), or know none of our protocols and cipher suites (TLSProxyProtocol, \
                     TLSProxyCiphersSuppress)"
                )
            }
            E::AlertReceived(
                alert @ (AlertDescription::BadCertificate
                | AlertDescription::UnknownCA
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnsupportedCertificate),
            ) => format!(
                "the backend does not take TLSProxyMachineCertificate: it ended the connection with alert {alert:?}"
            ),
            E::AlertReceived(AlertDescription::ProtocolVersion) => {
                "the backend speaks none of the protocol versions of TLSProxyProtocol (TLS 1.2 and 1.3 unless it says \
                 otherwise)"
                    .to_owned()
            }
            // Signing has failed.
            E::Other(OtherError(why)) => why.to_string(),
            E::AlertReceived(alert) => format!("the backend ended the connection with alert {alert:?}"),
            other => other.to_string(),
        })
    }
}

/// A description of an error for administrators.
pub(crate) fn describe(error: &rustls::Error) -> String {
    match error {
        rustls::Error::AlertReceived(alert) => format!("the client ended the connection with alert {alert:?}"),
        other => other.to_string(),
    }
}
