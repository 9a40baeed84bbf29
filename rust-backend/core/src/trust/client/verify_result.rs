// SPDX-License-Identifier: Apache-2.0
//! The result of the verification of a client certificate.

use super::verify_mode::{HandshakeMode, VerifyMode};
use crate::trust::path::Role;
use crate::trust::refusal::{Reason, Refusal};

/// The result of client authentication.
#[derive(Clone, Debug, Default)]
pub enum VerifyResult {
    /// No certificate was requested.
    #[default]
    NotAsked,
    /// A certificate was requested, but the client has sent none.
    Anonymous,
    /// The certificate is verified.
    Verified {
        /// The number of CAs above the certificate.
        issuers: usize,
    },
    /// The certificate is invalid, but the handshake was completed.
    Refused(Refusal),
}

impl VerifyResult {
    /// The value of `SSL_CLIENT_VERIFY` in mode `mode`.
    pub fn variable(&self, mode: Option<HandshakeMode>) -> String {
        match self {
            Self::NotAsked | Self::Anonymous => "NONE".to_owned(),
            Self::Verified { .. } => "SUCCESS".to_owned(),
            Self::Refused(refusal) if is_generous(mode) && refusal.reason == Reason::UnknownIssuer => {
                "GENEROUS".to_owned()
            }
            Self::Refused(refusal) => format!("FAILED:{}", refusal.reason.openssl_text()),
        }
    }

    /// Whether a connection with this verdict is acceptable in mode `mode`. Full handshakes ensure this; it must be
    /// checked again for resumed sessions.
    pub fn stands(&self, mode: Option<HandshakeMode>) -> Result<(), String> {
        match (mode, self) {
            (None | Some(HandshakeMode::Ask { .. }), _) => Ok(()),
            (Some(HandshakeMode::Required), _) => self.satisfies(VerifyMode::Required),
            (Some(HandshakeMode::Optional), _) => self.satisfies(VerifyMode::Optional),
            (Some(HandshakeMode::OptionalNoCa), _) => self.satisfies(VerifyMode::OptionalNoCa),
        }
    }

    /// The verdict if at most `depth` CAs are allowed above the certificate.
    pub fn within(&self, depth: Option<usize>) -> Self {
        match (self, depth) {
            (Self::Verified { issuers }, Some(depth)) if *issuers > depth => Self::Refused(Refusal {
                reason: Reason::TooDeep,
                text: format!("client certificate refused: {}", Role::Client.too_deep(*issuers, depth)),
            }),
            _ => self.clone(),
        }
    }

    /// Whether the client satisfies `demand`, or the reason why not.
    pub fn satisfies(&self, mode: VerifyMode) -> Result<(), String> {
        match (mode, self) {
            (VerifyMode::Unset | VerifyMode::None, _) | (_, Self::Verified { .. }) => Ok(()),
            (VerifyMode::Optional | VerifyMode::OptionalNoCa, Self::NotAsked | Self::Anonymous) => Ok(()),
            (VerifyMode::OptionalNoCa, Self::Refused(refusal)) if refusal.reason == Reason::UnknownIssuer => Ok(()),
            (VerifyMode::Required, Self::NotAsked) => Err(
                "a client certificate is required, but the handshake did not ask for one: say TLSClientCertificate \
                 optional for the virtual host (an .htaccess file alone cannot make a host ask)"
                    .to_owned(),
            ),
            (VerifyMode::Required, Self::Anonymous) => {
                Err("a client certificate is required, and the client presented none".to_owned())
            }
            (_, Self::Refused(refusal)) => Err(refusal.text.clone()),
        }
    }
}

fn is_generous(mode: Option<HandshakeMode>) -> bool {
    matches!(
        mode,
        Some(HandshakeMode::OptionalNoCa | HandshakeMode::Ask { generous: true })
    )
}
