// SPDX-License-Identifier: Apache-2.0
//! What became of a client's certificate.

use super::demand::{Demand, Mode};
use crate::trust::path::Role;
use crate::trust::refusal::{Reason, Refusal};

/// What is thought of a client.
#[derive(Clone, Debug, Default)]
pub enum Verdict {
    /// It was not asked for a certificate.
    #[default]
    NotAsked,
    /// It was asked but has presented none.
    Anonymous,
    /// Its certificate is good.
    Verified {
        /// How many CAs are above it.
        issuers: usize,
    },
    /// Its certificate is not good, but the handshake went on.
    Refused(Refusal),
}

impl Verdict {
    /// `SSL_CLIENT_VERIFY` under `mode`.
    pub fn variable(&self, mode: Option<Mode>) -> String {
        match self {
            Self::NotAsked | Self::Anonymous => "NONE".to_owned(),
            Self::Verified { .. } => "SUCCESS".to_owned(),
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

    /// What is thought of the client where no more than `depth` CAs may be above its certificate.
    pub fn within(&self, depth: Option<usize>) -> Self {
        match (self, depth) {
            (Self::Verified { issuers }, Some(depth)) if *issuers > depth => Self::Refused(Refusal {
                reason: Reason::TooDeep,
                text: format!("client certificate refused: {}", Role::Client.too_deep(*issuers, depth)),
            }),
            _ => self.clone(),
        }
    }

    /// Whether the client is let in where `demand` holds, or why not.
    pub fn satisfies(&self, demand: Demand) -> Result<(), String> {
        match (demand, self) {
            (Demand::Unset | Demand::None, _) | (_, Self::Verified { .. }) => Ok(()),
            (Demand::Optional | Demand::OptionalNoCa, Self::NotAsked | Self::Anonymous) => Ok(()),
            (Demand::OptionalNoCa, Self::Refused(refusal)) if refusal.reason == Reason::UnknownIssuer => Ok(()),
            (Demand::Required, Self::NotAsked) => Err(
                "a client certificate is required, but the handshake did not ask for one: say TLSClientCertificate \
                 optional for the virtual host (an .htaccess file alone cannot make a host ask)"
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
