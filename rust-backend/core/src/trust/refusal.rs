// SPDX-License-Identifier: Apache-2.0
//! Why a certificate is not believed.

use std::fmt;
use std::sync::Arc;

use rustls::{CertificateError, OtherError};

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
    /// It is not for what it is used for.
    WrongPurpose,
    /// There are more issuers above it than are allowed.
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
    /// It is for other names than the one that was asked for.
    WrongName,
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
            Self::WrongName => "hostname mismatch",
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
