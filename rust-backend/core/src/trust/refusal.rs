// SPDX-License-Identifier: Apache-2.0
//! Reasons for the refusal of a certificate.

use std::fmt;
use std::sync::Arc;

use rustls::{CertificateError, OtherError};

/// Why a certificate was refused. The names are those of OpenSSL's verification errors, which applications know from
/// `SSL_CLIENT_VERIFY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It has expired.
    Expired,
    /// It is not valid yet.
    NotYetValid,
    /// No trusted CA has issued it.
    UnknownIssuer,
    /// It is on a revocation list.
    Revoked,
    /// No revocation list covers it.
    NoCrl,
    /// The revocation list that covers it has expired.
    CrlExpired,
    /// No OCSP responder says whether it is revoked.
    StatusUnknown,
    /// A signature in its path is invalid.
    BadSignature,
    /// A signature in its path uses a weak or unknown algorithm.
    WeakSignature,
    /// Its key usage or extended key usage does not allow this use.
    WrongPurpose,
    /// There are more CAs above it than allowed.
    TooDeep,
    /// It is a CA certificate.
    IsCa,
    /// An issuer in its path is not a CA.
    NotACa,
    /// A path length or name constraint forbids it.
    Constraint,
    /// It has X.509 version 1 or 2.
    OldVersion,
    /// It has an unknown critical extension.
    CriticalExtension,
    /// It cannot be parsed.
    Malformed,
    /// It is not valid for the requested name.
    WrongName,
    /// Another reason.
    Other,
}

impl Reason {
    /// The reason in OpenSSL's words.
    pub fn openssl_text(self) -> &'static str {
        match self {
            Self::Expired => "certificate has expired",
            Self::NotYetValid => "certificate is not yet valid",
            Self::UnknownIssuer => "unable to get local issuer certificate",
            Self::Revoked => "certificate revoked",
            Self::NoCrl => "unable to get certificate CRL",
            Self::CrlExpired => "CRL has expired",
            Self::StatusUnknown => "application verification failure",
            Self::BadSignature => "certificate signature failure",
            Self::WeakSignature => "CA signature digest algorithm too weak",
            Self::WrongPurpose => "unsuitable certificate purpose",
            Self::TooDeep => "certificate chain too long",
            Self::IsCa | Self::NotACa => "invalid CA certificate",
            Self::Constraint => "permitted subtree violation",
            Self::WrongName => "hostname mismatch",
            Self::CriticalExtension => "unhandled critical extension",
            Self::OldVersion | Self::Malformed | Self::Other => "certificate rejected",
        }
    }

    /// Whether the administrator of the server has to act, and not the client.
    pub fn is_ours(self) -> bool {
        matches!(self, Self::NoCrl | Self::CrlExpired | Self::StatusUnknown)
    }
}

/// The refusal of a certificate.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The reason.
    pub reason: Reason,
    /// The certificate, the explanation and the remedy, as text.
    pub text: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for CertificateError {
    /// The error from which rustls selects the alert (RFC 8446 section 6.2).
    fn from(refusal: Refusal) -> Self {
        match refusal.reason {
            Reason::Expired => Self::Expired,
            Reason::NotYetValid => Self::NotValidYet,
            Reason::UnknownIssuer => Self::UnknownIssuer,
            Reason::Revoked => Self::Revoked,
            Reason::NoCrl | Reason::StatusUnknown => Self::UnknownRevocationStatus,
            Reason::CrlExpired => Self::ExpiredRevocationList,
            Reason::BadSignature => Self::BadSignature,
            Reason::WrongPurpose => Self::InvalidPurpose,
            Reason::WrongName => Self::NotValidForName,
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
