// SPDX-License-Identifier: Apache-2.0
//! `TLSClientCertificate`: the client certificate that a host or a location requires.

/// The client certificate that is required.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(C)]
pub enum Demand {
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

impl Demand {
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
pub enum Mode {
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

impl Mode {
    /// The mode of a host with the demand `host` for all clients and `location` in some location. None if no
    /// certificate is requested.
    pub fn of(host: Demand, location: Demand) -> Option<Self> {
        match host {
            Demand::Required => Some(Self::Required),
            Demand::Optional => Some(Self::Optional),
            Demand::OptionalNoCa => Some(Self::OptionalNoCa),
            Demand::Unset | Demand::None => location.asks().then_some(Self::Ask {
                generous: location == Demand::OptionalNoCa,
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
pub fn combine(one: Demand, other: Demand) -> Demand {
    match (one, other) {
        (Demand::OptionalNoCa, _) | (_, Demand::OptionalNoCa) => Demand::OptionalNoCa,
        _ => one.max(other),
    }
}
