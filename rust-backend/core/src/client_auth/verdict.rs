// SPDX-License-Identifier: Apache-2.0
//! What became of a client's certificate.

use std::fmt;
use std::sync::Arc;

use rustls::{CertificateError, OtherError};

use super::demand::{Demand, Mode};

/// Why a certificate was refused. The names are those of OpenSSL's verification errors, which applications know from
/// `SSL_CLIENT_VERIFY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// Nobody who is trusted has issued it.
    UnknownIssuer,
    /// It is on a revocation list.
    Revoked,
    /// No revocation list tells about it.
    NoCrl,
    /// The revocation list that tells about it is out of date.
    CrlExpired,
    /// A signature in its path is wrong.
    BadSignature,
    /// A signature in its path is of a kind that is not safe, or not known.
    WeakSignature,
    /// It is not for clients.
    WrongPurpose,
    /// There are more issuers above it than `TLSClientVerifyDepth` allows.
    TooDeep,
    /// It is the certificate of a CA.
    IsCa,
    /// Something above it may not issue certificates.
    NotACa,
    /// A constraint on path lengths or names forbids it.
    Constraint,
    /// It is of X.509 version 1 or 2.
    OldVersion,
    /// It has a critical extension that nobody here knows.
    CriticalExtension,
    /// It cannot be read.
    Malformed,
    /// Something else.
    Other,
}

impl Reason {
    /// In OpenSSL's words.
    pub fn openssl_text(self) -> &'static str {
        match self {
            Self::Expired => "certificate has expired",
            Self::NotYetValid => "certificate is not yet valid",
            Self::UnknownIssuer => "unable to get local issuer certificate",
            Self::Revoked => "certificate revoked",
            Self::NoCrl => "unable to get certificate CRL",
            Self::CrlExpired => "CRL has expired",
            Self::BadSignature => "certificate signature failure",
            Self::WeakSignature => "CA signature digest algorithm too weak",
            Self::WrongPurpose => "unsuitable certificate purpose",
            Self::TooDeep => "certificate chain too long",
            Self::IsCa | Self::NotACa => "invalid CA certificate",
            Self::Constraint => "permitted subtree violation",
            Self::CriticalExtension => "unhandled critical extension",
            Self::OldVersion | Self::Malformed | Self::Other => "certificate rejected",
        }
    }

    /// Whether it is the administrator's to mend rather than the client's.
    pub fn is_ours(self) -> bool {
        matches!(self, Self::NoCrl | Self::CrlExpired)
    }
}

/// A certificate was refused.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// By which rule.
    pub reason: Reason,
    /// What there is to say about it: whose certificate, why, and what mends it.
    pub text: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for CertificateError {
    /// The error by which rustls chooses the alert (RFC 8446 section 6.2).
    fn from(refusal: Refusal) -> Self {
        match refusal.reason {
            Reason::Expired => Self::Expired,
            Reason::NotYetValid => Self::NotValidYet,
            Reason::UnknownIssuer => Self::UnknownIssuer,
            Reason::Revoked => Self::Revoked,
            Reason::NoCrl => Self::UnknownRevocationStatus,
            Reason::CrlExpired => Self::ExpiredRevocationList,
            Reason::BadSignature => Self::BadSignature,
            Reason::WrongPurpose => Self::InvalidPurpose,
            Reason::CriticalExtension => Self::UnhandledCriticalExtension,
            Reason::Malformed => Self::BadEncoding,
            Reason::TooDeep
            | Reason::WeakSignature
            | Reason::IsCa
            | Reason::NotACa
            | Reason::Constraint
            | Reason::OldVersion
            | Reason::Other => Self::Other(OtherError(Arc::new(refusal))),
        }
    }
}

/// What is thought of a client.
#[derive(Clone, Debug, Default)]
pub enum Verdict {
    /// It was not asked for a certificate.
    #[default]
    NotAsked,
    /// It was asked but has presented none.
    Anonymous,
    /// Its certificate is good.
    Verified,
    /// Its certificate is not good, but the handshake went on.
    Refused(Refusal),
}

impl Verdict {
    /// `SSL_CLIENT_VERIFY` under `mode`.
    pub fn variable(&self, mode: Option<Mode>) -> String {
        match self {
            Self::NotAsked | Self::Anonymous => "NONE".to_owned(),
            Self::Verified => "SUCCESS".to_owned(),
            Self::Refused(refusal) if is_generous(mode) && refusal.reason == Reason::UnknownIssuer => {
                "GENEROUS".to_owned()
            }
            Self::Refused(refusal) => format!("FAILED:{}", refusal.reason.openssl_text()),
        }
    }

    /// Whether a connection with this verdict may be used at all under `mode`. Handshakes see to that by themselves;
    /// of a resumed session it has to be asked again.
    pub fn stands(&self, mode: Option<Mode>) -> Result<(), String> {
        match (mode, self) {
            (None | Some(Mode::Ask { .. }), _) => Ok(()),
            (Some(Mode::Required), _) => self.satisfies(Demand::Required),
            (Some(Mode::Optional), _) => self.satisfies(Demand::Optional),
            (Some(Mode::OptionalNoCa), _) => self.satisfies(Demand::OptionalNoCa),
        }
    }

    /// Whether the client is let in where `demand` holds, or why not.
    pub fn satisfies(&self, demand: Demand) -> Result<(), String> {
        match (demand, self) {
            (Demand::Unset | Demand::None, _) | (_, Self::Verified) => Ok(()),
            (Demand::Optional | Demand::OptionalNoCa, Self::NotAsked | Self::Anonymous) => Ok(()),
            (Demand::OptionalNoCa, Self::Refused(refusal)) if refusal.reason == Reason::UnknownIssuer => Ok(()),
            (Demand::Required, Self::NotAsked) => Err(
                "a client certificate is required, but the handshake did not ask for one: say TLSClientCertificate \
                 optional or required for the virtual host (an .htaccess file alone cannot make a host ask)"
                    .to_owned(),
            ),
            (Demand::Required, Self::Anonymous) => {
                Err("a client certificate is required, and the client presented none".to_owned())
            }
            (_, Self::Refused(refusal)) => Err(refusal.text.clone()),
        }
    }
}

fn is_generous(mode: Option<Mode>) -> bool {
    matches!(mode, Some(Mode::OptionalNoCa | Mode::Ask { generous: true }))
}
