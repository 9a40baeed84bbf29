// SPDX-License-Identifier: Apache-2.0
//! `SSLVHostSNIPolicy`: when a request may name another virtual host than the handshake did.

use crate::site::Site;

/// What the two virtual hosts have to have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SniPolicy {
    /// Everything: they have to be the same.
    Strict,
    /// The certificates, and what decides about the security of a connection: versions, suites, groups, and the verification
    /// of clients.
    #[default]
    Secure,
    /// The verification of clients.
    AuthOnly,
    /// Nothing.
    Insecure,
}

impl SniPolicy {
    /// Reads the argument of `SSLVHostSNIPolicy`.
    pub fn parse(word: &str) -> Result<Self, String> {
        match word.to_ascii_lowercase().as_str() {
            "strict" => Ok(Self::Strict),
            "secure" => Ok(Self::Secure),
            "authonly" => Ok(Self::AuthOnly),
            "insecure" => Ok(Self::Insecure),
            _ => Err(format!("takes strict, secure, authonly or insecure, not \"{word}\"")),
        }
    }

    /// Whether a connection to the host `one` may be used for a request for another, `other`.
    pub fn allows(self, one: &Site, other: &Site) -> bool {
        let (spec, of_other) = (one.profile().spec(), other.profile().spec());
        match self {
            Self::Strict => false,
            Self::Secure => spec.is_as_secure_as(of_other) && one.has_identities_of(other),
            Self::AuthOnly => spec.client_auth == of_other.client_auth,
            Self::Insecure => true,
        }
    }
}
