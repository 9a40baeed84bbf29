// SPDX-License-Identifier: Apache-2.0
//! Why connections end, in words for the log.

use std::fmt;

use rustls::AlertDescription;

/// Why a connection ended. An alert, if one is due, waits to be taken.
#[derive(Debug)]
pub struct Failure {
    /// What happened, for the log.
    pub text: String,
    /// Whether it is the administrator's to mend, rather than the client's doing.
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

    /// Why there is no connection to the backend, and what the administrator can do about it. `spoke_http` says whether its
    /// first bytes look like HTTP.
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
            E::AlertReceived(alert) => format!("the backend ended the connection with alert {alert:?}"),
            other => other.to_string(),
        })
    }
}

/// An error in words that an administrator can use.
pub(crate) fn describe(error: &rustls::Error) -> String {
    match error {
        rustls::Error::AlertReceived(alert) => format!("the client ended the connection with alert {alert:?}"),
        other => other.to_string(),
    }
}
