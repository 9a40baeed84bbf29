// SPDX-License-Identifier: Apache-2.0
//! `TLSClientCertificate`: the client certificate that a host or a location requires.

/// The client certificate that is required.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(C)]
pub enum VerifyMode {
    /// Not configured.
    #[default]
    Unset,
    /// No certificate is requested.
    None,
    /// A certificate is optional. If present, it must be from a known CA.
    Optional,
    /// A certificate is optional, and may be from any CA.
    OptionalNoCa,
    /// A certificate is required.
    Required,
}

impl VerifyMode {
    /// Parses the argument of `TLSClientCertificate`. `require` is mod_ssl's name for `required`.
    pub fn parse(word: &str) -> Result<Self, String> {
        match word.to_ascii_lowercase().as_str() {
            "none" => Ok(Self::None),
            "optional" => Ok(Self::Optional),
            "optional_no_ca" => Ok(Self::OptionalNoCa),
            "required" | "require" => Ok(Self::Required),
            _ => Err(format!(
                "takes none, optional, optional_no_ca or required, not \"{word}\""
            )),
        }
    }

    /// Whether a certificate is requested from clients.
    pub fn asks(self) -> bool {
        self > Self::None
    }
}

/// How the handshake of a host treats client certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HandshakeMode {
    /// A location requires a certificate. The handshake requests one and accepts any; the location decides.
    Ask {
        /// Whether a location accepts certificates of unknown CAs.
        generous: bool,
    },
    /// Clients without a certificate are accepted, clients with an invalid certificate are not.
    Optional,
    /// Clients without a certificate, and certificates of unknown CAs, are accepted.
    OptionalNoCa,
    /// Clients must have a verified certificate.
    Required,
}

impl HandshakeMode {
    /// The mode of a host with the demand `host` for all clients and `location` in some location. None if no
    /// certificate is requested.
    pub fn of(host: VerifyMode, location: VerifyMode) -> Option<Self> {
        match host {
            VerifyMode::Required => Some(Self::Required),
            VerifyMode::Optional => Some(Self::Optional),
            VerifyMode::OptionalNoCa => Some(Self::OptionalNoCa),
            VerifyMode::Unset | VerifyMode::None => location.asks().then_some(Self::Ask {
                generous: location == VerifyMode::OptionalNoCa,
            }),
        }
    }

    /// The name of the mode in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ask { .. } => "requested, because locations require a certificate",
            Self::Optional => "optional",
            Self::OptionalNoCa => "optional_no_ca",
            Self::Required => "required",
        }
    }
}

/// The combined demand of several locations: the handshake of the host must be as lenient as the most lenient location.
pub fn combine(one: VerifyMode, other: VerifyMode) -> VerifyMode {
    match (one, other) {
        (VerifyMode::OptionalNoCa, _) | (_, VerifyMode::OptionalNoCa) => VerifyMode::OptionalNoCa,
        _ => one.max(other),
    }
}
