// SPDX-License-Identifier: Apache-2.0
//! Reasons for the end of connections, as text and code for the log.

use std::fmt;

use rustls::{AlertDescription, Error, OtherError};

use super::{Connection, State, reason};
use crate::base::log_codes::Code;
use crate::key_process::door::SignError;
use crate::process::counters::Counter;
use crate::trust::refusal::Refusal;

/// The alert at the end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastAlert {
    /// This side has sent it.
    Sent(AlertDescription),
    /// The peer has sent it.
    Received(AlertDescription),
}

impl fmt::Display for LastAlert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sent(alert) => write!(f, "sent alert {alert:?}"),
            Self::Received(alert) => write!(f, "received alert {alert:?}"),
        }
    }
}

/// Why a connection ended. If an alert must be sent, it is queued.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The reason, for programs.
    pub code: Code,
    /// The reason, for the log.
    pub text: String,
    /// Whether the administrator of the server has to act, and not the client.
    pub ours: bool,
    /// The alert that ended the connection.
    pub alert: Option<LastAlert>,
}

impl Failure {
    /// A failure because of which the administrator has to act.
    pub fn ours(code: Code, text: impl fmt::Display) -> Self {
        Self {
            code,
            text: text.to_string(),
            ours: true,
            alert: None,
        }
    }

    /// A failure because of the client.
    pub fn theirs(code: Code, text: impl fmt::Display) -> Self {
        Self {
            ours: false,
            ..Self::ours(code, text)
        }
    }

    /// The refusal of a backend's certificate.
    pub(crate) fn of_backends_certificate(refusal: &Refusal) -> Self {
        Self::ours(reason::of_backends_certificate(refusal.reason), refusal)
    }

    /// The failure of a connection to a backend, with the remedy. `spoke_http` is true if the first bytes of the
    /// backend look like HTTP.
    pub(crate) fn of_backend(error: &Error, spoke_http: bool) -> Self {
        use rustls::{CertificateError, Error as E};
        let code = reason::of_backend(error, spoke_http);
        let text = match error {
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
        };
        Self::ours(code, text)
    }
}

/// How a connection can end in the handshake without a word of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum Interruption {
    /// The peer has closed it.
    Closed,
    /// A time limit was over.
    TooSlow,
    /// It was reset, or another error of the network.
    Lost,
}

impl Connection {
    /// Translates an error of rustls.
    pub(super) fn failure(&self, error: &Error) -> Failure {
        let code = reason::of_client(error);
        let failure = match (
            error,
            self.verification
                .as_ref()
                .and_then(|verification| verification.refusal()),
        ) {
            (Error::InvalidCertificate(_), Some(refusal)) => Failure {
                ours: refusal.reason.is_ours(),
                ..Failure::theirs(reason::of_client_certificate(refusal.reason), refusal.text)
            },
            (Error::NoCertificatesPresented, _) => Failure::theirs(
                code,
                "the client presented no certificate, and TLSClientCertificate requires one",
            ),
            // Signing has failed. If the key is the reason, `tls-keyd` has logged that, and not for each handshake.
            (Error::Other(OtherError(why)), _) => Failure {
                ours: why.downcast_ref::<SignError>().is_none_or(|error| !error.is_of_key()),
                ..Failure::theirs(code, why)
            },
            _ => Failure::theirs(code, describe(error)),
        };
        self.with_alert_of(failure, error)
    }

    /// `failure` with the alert that the peer, or this side, has sent.
    pub(super) fn with_alert_of(&self, failure: Failure, error: &Error) -> Failure {
        match error {
            Error::AlertReceived(alert) => Failure {
                alert: Some(LastAlert::Received(*alert)),
                ..failure
            },
            _ => self.with_alert(failure),
        }
    }

    pub(super) fn with_alert(&self, failure: Failure) -> Failure {
        let alert = self.sent_alert().map(LastAlert::Sent);
        Failure { alert, ..failure }
    }

    /// The failure of a handshake that was interrupted. None if the client has not sent a byte: those that connect only to
    /// see whether the server is there do that.
    pub fn interrupted(&mut self, how: Interruption) -> Option<Failure> {
        if self.backend.is_some() {
            return Some(match how {
                Interruption::TooSlow => {
                    Failure::ours(Code::BackendTooSlow, "the backend does not answer: see ProxyTimeout")
                }
                Interruption::Closed | Interruption::Lost => Failure::ours(
                    Code::BackendClosed,
                    "the backend closed the connection: does it speak TLS?",
                ),
            });
        }
        let when = match self.state {
            State::Hello(_) if self.head.is_empty() => return None,
            State::Hello(_) => "before its ClientHello was complete",
            _ => "after the server's answer to its ClientHello",
        };
        self.retire();
        self.config.counters().count(Counter::FailedHandshakes);
        Some(match how {
            Interruption::Closed => {
                Failure::theirs(Code::ClientClosed, format!("the client closed the connection {when}"))
            }
            Interruption::TooSlow => Failure::theirs(
                Code::TooSlow,
                format!(
                    "the client has sent nothing more {when}, and its time is over (RequestReadTimeout handshake=, Timeout)"
                ),
            ),
            Interruption::Lost => Failure::theirs(Code::ConnectionLost, format!("the connection was lost {when}")),
        })
    }
}

/// A description of an error for administrators.
fn describe(error: &Error) -> String {
    match error {
        Error::AlertReceived(alert) => format!("the client ended the connection with alert {alert:?}"),
        other => other.to_string(),
    }
}
