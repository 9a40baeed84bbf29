// SPDX-License-Identifier: Apache-2.0
//! Unusual properties of certificates and keys, which are used with a warning.

use std::fmt;

use rustls_pki_types::CertificateDer;

use super::{Identity, IdentityFiles};
use crate::base::file_reading::Exposure;
use crate::x509::Certificate;

/// The unusual properties of an identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Oddities {
    /// It is a CA certificate, but not of the form that `openssl req -x509` creates for a server.
    is_ca: bool,
    /// It has no subjectAltName.
    is_nameless: bool,
    /// The permissions of other users for the key file.
    pub(super) exposure: Exposure,
    /// The position in the file (starting at 1) of the first certificate that has not issued the one before it; 0 if
    /// there is none.
    pub(super) stranger: u8,
}

impl Oddities {
    pub(super) const NONE: Self = Self {
        is_ca: false,
        is_nameless: false,
        exposure: Exposure::NONE,
        stranger: 0,
    };

    /// The properties that depend only on the certificate.
    pub(super) fn of(certificate: &Certificate<'_>) -> Self {
        let is_nameless = certificate.alternative_host_names().is_empty();
        let is_self_issued = certificate.issuer_der() == certificate.subject_der();
        Self {
            is_ca: certificate.is_ca() && (is_nameless || !is_self_issued),
            is_nameless,
            ..Self::NONE
        }
    }

    pub(super) fn describe(
        self,
        files: &IdentityFiles,
        leaf: &[u8],
        issuers: &[CertificateDer<'static>],
    ) -> Vec<String> {
        let file = files.certificate.display();
        let mut texts = Vec::new();
        if self.is_ca {
            texts.push(format!(
                "{file}: the first certificate is a CA's (basicConstraints CA:TRUE), which many clients do not take from a server: \
                 name one that the CA has issued for the host, and put the CA's own behind it"
            ));
        }
        if self.is_nameless {
            texts.push(format!(
                "{file}: the certificate has no subjectAltName, and clients look at no other name (RFC 9525): have it reissued with \
                 the host's names as subjectAltName (openssl: -addext subjectAltName=DNS:www.example.org)"
            ));
        }
        if let Some(text) = self.about_stranger(leaf, issuers) {
            let place = match &files.chain {
                Some(chain) => chain.display().to_string(),
                None => file.to_string(),
            };
            texts.push(format!("{place}: {text}"));
        }
        texts.extend(files.exposure_warning(self.exposure, "pass for this server"));
        texts
    }

    fn about_stranger(self, leaf: &[u8], issuers: &[CertificateDer<'static>]) -> Option<String> {
        let at = usize::from(self.stranger).checked_sub(2)?;
        let subject = |der: &[u8]| {
            Certificate::parse(der)
                .map(|parsed| parsed.subject())
                .unwrap_or_default()
        };
        let stranger = subject(issuers.get(at)?);
        let before = subject(at.checked_sub(1).and_then(|at| issuers.get(at)).map_or(leaf, |der| der));
        Some(format!(
            "certificate {} ({stranger}) has not issued the one before it ({before}): clients may refuse the chain; put the issuers \
             in their order, and what does not belong to this certificate into a file of its own",
            self.stranger
        ))
    }
}

/// Why a certificate is not valid at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Invalidity {
    Expired,
    NotYet,
}

impl fmt::Display for Invalidity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "has expired",
            Self::NotYet => "is not valid yet",
        })
    }
}

impl Identity {
    /// Whether the certificate is not valid at `now`, in seconds since 1970.
    pub(crate) fn invalidity(&self, now: i64) -> Option<Invalidity> {
        let (not_before, not_after) = self.validity();
        if not_after < now {
            return Some(Invalidity::Expired);
        }
        (not_before > now).then_some(Invalidity::NotYet)
    }

    /// Why clients refuse the certificate at `now`.
    pub(crate) fn validity_problem(&self, now: i64) -> Option<String> {
        let invalidity = self.invalidity(now)?;
        let mend = match invalidity {
            Invalidity::Expired => "until it is renewed",
            Invalidity::NotYet => "(is the clock of this machine right?)",
        };
        let file = self.name();
        Some(format!(
            "{file}: the certificate {invalidity}: clients will refuse it {mend}"
        ))
    }

    /// Whether one of the certificates has not issued the one before it.
    pub(crate) fn is_out_of_order(&self) -> bool {
        self.info.oddities.stranger > 0
    }

    /// The warnings about the identity, which was read from `files`.
    pub(crate) fn warnings(&self, files: &IdentityFiles) -> Vec<String> {
        match self.info.oddities == Oddities::NONE {
            true => Vec::new(),
            false => self.info.oddities.describe(files, &self.leaf, &self.issuers),
        }
    }

    /// The warnings for an identity that is used towards backends. Names and issuers are checked by the backends.
    pub(crate) fn key_warning(&self, files: &IdentityFiles) -> Option<String> {
        let can = "pass for this server where backends ask for a certificate";
        files.exposure_warning(self.info.oddities.exposure, can)
    }
}

/// The chain without its leaf. The result for intermediate certificates that many chains share is computed once.
#[derive(Clone, Debug)]
pub(super) struct Links {
    /// The subject of the first certificate.
    first: Box<[u8]>,
    /// The position in the leaf's file of the first certificate that has not issued the one before it, apart from the
    /// leaf; 0 if there is none.
    stranger: u8,
}

impl Links {
    pub(super) fn of(issuers: &[CertificateDer<'static>]) -> Self {
        let parsed: Vec<_> = issuers.iter().filter_map(|der| Certificate::parse(der).ok()).collect();
        let broken = parsed
            .windows(2)
            .position(|pair| pair[0].issuer_der() != pair[1].subject_der());
        Self {
            first: parsed
                .first()
                .map(|first| first.subject_der().into())
                .unwrap_or_default(),
            // The leaf is the first in its file, and the second of the pair is reported.
            stranger: broken.map_or(0, |at| u8::try_from(at + 3).unwrap_or(u8::MAX)),
        }
    }

    /// The position of the first certificate after `leaf` that has not issued the one before it.
    pub(super) fn stranger_below(&self, leaf: &Certificate<'_>) -> u8 {
        match self.first.is_empty() || *self.first == *leaf.issuer_der() {
            true => self.stranger,
            false => 2,
        }
    }
}
