// SPDX-License-Identifier: Apache-2.0
//! `SSLVHostSNIPolicy`: when a request may name another virtual host than the handshake did.

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
}
