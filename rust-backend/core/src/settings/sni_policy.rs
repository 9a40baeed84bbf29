// SPDX-License-Identifier: Apache-2.0
//! `SSLVHostSNIPolicy`: whether a request may be for another virtual host than that of the handshake.

/// What has to be equal for both virtual hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SniPolicy {
    /// They have to be the same virtual host.
    Strict,
    /// The certificates, the protocol versions, cipher suites and groups, and the settings for client certificates.
    #[default]
    Secure,
    /// The settings for client certificates.
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
