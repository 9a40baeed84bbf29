// SPDX-License-Identifier: Apache-2.0
//! `TLSEarlyDataMethods`: which requests a location takes as early data (RFC 8470).

/// The requests that may come as early data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub enum EarlyMethods {
    /// Nothing was said, which means the safe ones.
    #[default]
    Unset,
    /// None.
    None,
    /// Those of safe methods.
    Safe,
    /// All.
    Any,
}

impl EarlyMethods {
    /// Reads the argument of `TLSEarlyDataMethods`.
    pub fn parse(word: &str) -> Result<Self, String> {
        match word.to_ascii_lowercase().as_str() {
            "none" => Ok(Self::None),
            "safe" => Ok(Self::Safe),
            "any" => Ok(Self::Any),
            _ => Err(format!("takes none, safe or any, not \"{word}\"")),
        }
    }

    /// Whether a request with `method` may come as early data. The safe methods are those of RFC 9110 section 9.2.1.
    pub fn allow(self, method: &str) -> bool {
        match self {
            Self::Unset | Self::Safe => matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE"),
            Self::None => false,
            Self::Any => true,
        }
    }
}
