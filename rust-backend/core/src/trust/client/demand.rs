// SPDX-License-Identifier: Apache-2.0
//! `TLSClientCertificate`: what a host or a location wants of its clients.

/// What is wanted of a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(C)]
pub enum Demand {
    /// Nothing was said.
    #[default]
    Unset,
    /// No certificate.
    None,
    /// A certificate if there is one, of a known CA, as all certificates have to be.
    Optional,
    /// A certificate if there is one, of whatever CA.
    OptionalNoCa,
    /// A certificate.
    Required,
}

impl Demand {
    /// Reads the argument of `TLSClientCertificate`. `require` is what mod_ssl calls it.
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

    /// Whether clients are asked for a certificate.
    pub fn asks(self) -> bool {
        self > Self::None
    }
}

/// How a host's handshake deals with client certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Some location wants a certificate. The handshake asks for one and takes what comes: the location decides.
    /// `generous` if one of the locations takes certificates of unknown CAs.
    Ask {
        /// Whether certificates of unknown CAs are welcome somewhere.
        generous: bool,
    },
    /// Clients may come without a certificate, but not with a bad one.
    Optional,
    /// Clients may come without a certificate, or with one of an unknown CA.
    OptionalNoCa,
    /// Clients must have a certificate, and a good one.
    Required,
}

impl Mode {
    /// The mode of a host that demands `host` of every client, and `location` somewhere; none if nobody is asked.
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

    /// Its name, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ask { .. } => "asked for, because locations want a certificate",
            Self::Optional => "optional",
            Self::OptionalNoCa => "optional_no_ca",
            Self::Required => "required",
        }
    }
}

/// What locations want together: the handshake of their host has to be as lenient as the most lenient one.
pub fn combine(one: Demand, other: Demand) -> Demand {
    match (one, other) {
        (Demand::OptionalNoCa, _) | (_, Demand::OptionalNoCa) => Demand::OptionalNoCa,
        _ => one.max(other),
    }
}
