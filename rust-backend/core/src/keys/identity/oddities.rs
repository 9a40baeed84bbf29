// SPDX-License-Identifier: Apache-2.0
//! What is odd about certificates and keys that can be used all the same.

use rustls_pki_types::CertificateDer;

use super::IdentityFiles;
use crate::base::file_reading::Exposure;
use crate::x509::Certificate;

/// What an administrator should know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Oddities {
    /// The certificate says that it is a CA's, and it is not one of those that `openssl req -x509` makes for a server.
    is_ca: bool,
    /// It has no subjectAltName.
    is_nameless: bool,
    /// Who else may read the key.
    pub(super) exposure: Exposure,
    /// Which certificate in the file (from 1) is the first that has not issued the one before it; 0 if all have.
    pub(super) stranger: u8,
}

impl Oddities {
    pub(super) const NONE: Self = Self {
        is_ca: false,
        is_nameless: false,
        exposure: Exposure::NONE,
        stranger: 0,
    };

    /// What the certificate itself says.
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
        texts.extend(self.exposure.about(files.key_file(), "pass for this server"));
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

/// The links of a chain without its leaf: what is found out once about issuers that many chains have in common.
#[derive(Clone, Debug)]
pub(super) struct Links {
    /// The subject of the first one.
    first: Box<[u8]>,
    /// The number of the first one in the file of the leaf that has not issued the one before it, the leaf aside; 0 if all
    /// have.
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
            // The leaf is the first in its file, and the second of the pair is meant.
            stranger: broken.map_or(0, |at| u8::try_from(at + 3).unwrap_or(u8::MAX)),
        }
    }

    /// The number of the first certificate that has not issued the one before it, below `leaf`.
    pub(super) fn stranger_below(&self, leaf: &Certificate<'_>) -> u8 {
        match self.first.is_empty() || *self.first == *leaf.issuer_der() {
            true => self.stranger,
            false => 2,
        }
    }
}
