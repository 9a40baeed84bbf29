// SPDX-License-Identifier: Apache-2.0
//! `TLSEarlyDataMethods`: the requests that a location accepts as early data (RFC 8470).

/// The requests that are accepted as early data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub enum EarlyMethods {
    /// Not configured. The default is [`Safe`](Self::Safe).
    #[default]
    Unset,
    /// None.
    None,
    /// Requests with safe methods.
    Safe,
    /// All.
    Any,
}

impl EarlyMethods {
    /// Parses the argument of `TLSEarlyDataMethods`.
    pub fn parse(word: &str) -> Result<Self, String> {
        match word.to_ascii_lowercase().as_str() {
            "none" => Ok(Self::None),
            "safe" => Ok(Self::Safe),
            "any" => Ok(Self::Any),
            _ => Err(format!("takes none, safe or any, not \"{word}\"")),
        }
    }

    /// Whether a request with `method` is accepted as early data. Safe methods are those of RFC 9110 section 9.2.1.
    pub fn allow(self, method: &str) -> bool {
        match self {
            Self::Unset | Self::Safe => matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE"),
            Self::None => false,
            Self::Any => true,
        }
    }
}
