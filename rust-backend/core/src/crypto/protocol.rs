// SPDX-License-Identifier: Apache-2.0
//! TLS protocol versions in configurations.

use std::fmt;

use rustls::{ProtocolVersion, SupportedProtocolVersion, version};

/// The enabled versions, at least one.
///
/// # Examples
///
/// ```
/// use mod_tls_core::crypto::protocol::{LeftOut, ProtocolError, Protocols};
///
/// let (protocols, left_out) = Protocols::parse(&["TLSv1.1", "TLSv1.3"]).unwrap();
/// assert!(protocols.tls13 && !protocols.tls12);
/// assert_eq!(left_out, [LeftOut::Older]);
/// assert!(matches!(Protocols::parse(&["TLSv1.1"]), Err(ProtocolError::Unsupported(_))));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Protocols {
    /// TLS 1.2.
    pub tls12: bool,
    /// TLS 1.3.
    pub tls13: bool,
}

impl Default for Protocols {
    fn default() -> Self {
        Self {
            tls12: true,
            tls13: true,
        }
    }
}

const TLS12: u16 = 0x0303;
const TLS13: u16 = 0x0304;

/// The recommendation in error messages.
const FORMS: &str = "versions such as TLSv1.2+, TLSv1.3, TLSv1.2-TLSv1.3 or default";

/// Why versions cannot be configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// No version was given.
    Missing,
    /// There is no version with this name.
    Unknown(String),
    /// None of the versions is supported.
    Unsupported(String),
    /// The end of the range is before its start.
    Reversed(String),
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => write!(f, "takes {FORMS}"),
            Self::Unknown(word) => write!(f, "takes {FORMS}, not \"{word}\""),
            Self::Unsupported(words) => {
                write!(f, "{words}: that is not supported; TLSv1.2 and TLSv1.3 are")
            }
            Self::Reversed(word) => write!(f, "\"{word}\": the range ends before it begins"),
        }
    }
}

impl std::error::Error for ProtocolError {}

/// Versions that are ignored because supported versions are configured too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeftOut {
    /// Versions before TLS 1.2.
    Older,
    /// A version number that is not assigned.
    Unknown(String),
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Older => f.write_str("versions older than TLSv1.2 are not supported and will not be spoken"),
            Self::Unknown(word) => write!(
                f,
                "{word}: TLSv1.3 (TLSv0x0304) is the newest version, so this has no effect: remove it"
            ),
        }
    }
}

impl Protocols {
    /// Parses the arguments of `TLSProtocol`: versions (`TLSv1.2`, `v1.2`, `TLSv0x0303`), a version with `+` for it and
    /// all later ones, a range (`TLSv1.2-TLSv1.3`), or `default`. Several arguments are combined.
    pub fn parse(words: &[&str]) -> Result<(Self, Vec<LeftOut>), ProtocolError> {
        if words.is_empty() {
            return Err(ProtocolError::Missing);
        }
        let mut protocols = Self {
            tls12: false,
            tls13: false,
        };
        let mut left_out = Vec::new();
        for word in words {
            let (first, last) = Self::range(word)?;
            if first > last {
                return Err(ProtocolError::Reversed((*word).to_owned()));
            }
            if first < TLS12 && !left_out.contains(&LeftOut::Older) {
                left_out.push(LeftOut::Older);
            }
            if last > TLS13 {
                left_out.push(LeftOut::Unknown((*word).to_owned()));
            }
            protocols.tls12 |= (first..=last).contains(&TLS12);
            protocols.tls13 |= (first..=last).contains(&TLS13);
        }
        if !protocols.tls12 && !protocols.tls13 {
            return Err(ProtocolError::Unsupported(words.join(" ")));
        }
        Ok((protocols, left_out))
    }

    fn range(word: &str) -> Result<(u16, u16), ProtocolError> {
        let unknown = || ProtocolError::Unknown(word.to_owned());
        if word.eq_ignore_ascii_case("default") {
            return Ok((TLS12, TLS13));
        }
        if let Some(minimum) = word.strip_suffix('+') {
            // A minimum above all existing versions selects none.
            return number(minimum)
                .map(|first| (first, TLS13.max(first)))
                .ok_or_else(unknown);
        }
        if let Some((first, last)) = word.split_once('-') {
            return number(first).zip(number(last)).ok_or_else(unknown);
        }
        number(word).map(|only| (only, only)).ok_or_else(unknown)
    }

    /// The versions from `min` to `max`, which are TLS version numbers. None means no limit.
    pub(crate) fn between(self, min: Option<u16>, max: Option<u16>) -> Self {
        let first = min.unwrap_or(if self.tls12 { TLS12 } else { TLS13 });
        let last = max.unwrap_or(if self.tls13 { TLS13 } else { TLS12 });
        Self {
            tls12: (first..=last).contains(&TLS12),
            tls13: (first..=last).contains(&TLS13),
        }
    }

    /// The versions in rustls' representation, newest first.
    pub fn rustls_versions(&self) -> Vec<&'static SupportedProtocolVersion> {
        [(self.tls13, &version::TLS13), (self.tls12, &version::TLS12)]
            .into_iter()
            .filter_map(|(wanted, version)| wanted.then_some(version))
            .collect()
    }

    /// The versions, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = ProtocolVersion> {
        [
            (self.tls12, ProtocolVersion::TLSv1_2),
            (self.tls13, ProtocolVersion::TLSv1_3),
        ]
        .into_iter()
        .filter_map(|(wanted, version)| wanted.then_some(version))
    }

    /// The oldest version.
    pub fn min(&self) -> ProtocolVersion {
        if self.tls12 {
            ProtocolVersion::TLSv1_2
        } else {
            ProtocolVersion::TLSv1_3
        }
    }

    /// The newest version.
    pub fn max(&self) -> ProtocolVersion {
        if self.tls13 {
            ProtocolVersion::TLSv1_3
        } else {
            ProtocolVersion::TLSv1_2
        }
    }
}

impl fmt::Display for Protocols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.iter().map(protocol_name).collect();
        f.write_str(&names.join(" "))
    }
}

/// The number of the version called `word`.
fn number(word: &str) -> Option<u16> {
    let word = word.to_ascii_lowercase();
    if let Some(hex) = word.strip_prefix("tlsv0x").or_else(|| word.strip_prefix("v0x")) {
        // from_str_radix alone would also accept a sign.
        let is_number = hex.len() == 4 && hex.bytes().all(|digit| digit.is_ascii_hexdigit());
        return u16::from_str_radix(hex, 16).ok().filter(|_| is_number);
    }
    let number = match word.as_str() {
        "sslv3" => 0x0300,
        "tlsv1" | "tlsv1.0" | "v1" | "v1.0" => 0x0301,
        "tlsv1.1" | "v1.1" => 0x0302,
        "tlsv1.2" | "v1.2" => TLS12,
        "tlsv1.3" | "v1.3" => TLS13,
        _ => return None,
    };
    Some(number)
}

/// The name of a version in variables and logs, as in mod_ssl.
pub fn protocol_name(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::TLSv1_2 => "TLSv1.2",
        ProtocolVersion::TLSv1_3 => "TLSv1.3",
        _ => "UNKNOWN",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Whether TLS 1.2 and TLS 1.3 are enabled, and whether older versions were ignored.
    fn parse(text: &str) -> Result<(bool, bool, bool), ProtocolError> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let is_older = |left_out: &[LeftOut]| left_out.contains(&LeftOut::Older);
        Protocols::parse(&words).map(|(protocols, left_out)| (protocols.tls12, protocols.tls13, is_older(&left_out)))
    }

    #[test]
    fn numbers_that_no_version_has() {
        for (words, unknown) in [
            (["TLSv1.2", "TLSv0x0305"], Some("TLSv0x0305")),
            (["TLSv1.2", "TLSv0x0305+"], Some("TLSv0x0305+")),
            (["TLSv1.2", "TLSv1.3-TLSv0x0305"], Some("TLSv1.3-TLSv0x0305")),
            (["TLSv1.2", "TLSv1.3+"], None),
        ] {
            let (_, left_out) = Protocols::parse(&words).unwrap();
            let expected: Vec<_> = unknown
                .map(|word| LeftOut::Unknown(word.to_owned()))
                .into_iter()
                .collect();
            assert_eq!(left_out, expected);
        }
    }

    #[test]
    fn forms() {
        for (text, expected) in [
            ("TLSv1.2+", (true, true, false)),
            ("v1.2+", (true, true, false)),
            ("tlsV1.3+", (false, true, false)),
            ("default", (true, true, false)),
            ("TLSv0x0303+", (true, true, false)),
            ("TLSv0x0304+", (false, true, false)),
            ("TLSv1.2", (true, false, false)),
            ("TLSv1.2 TLSv1.3", (true, true, false)),
            ("TLSv1.2-TLSv1.3", (true, true, false)),
            ("TLSv1.2-TLSv1.2", (true, false, false)),
            ("TLSv1.0+", (true, true, true)),
            ("TLSv1.1 TLSv1.2", (true, false, true)),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn mistakes() {
        for (text, expected) in [
            ("TLSv1.1", ProtocolError::Unsupported("TLSv1.1".to_owned())),
            ("TLSv0x0305+", ProtocolError::Unsupported("TLSv0x0305+".to_owned())),
            ("TLSv1.3-TLSv1.2", ProtocolError::Reversed("TLSv1.3-TLSv1.2".to_owned())),
            ("TLSv1.4", ProtocolError::Unknown("TLSv1.4".to_owned())),
            ("TLSv0x33+", ProtocolError::Unknown("TLSv0x33+".to_owned())),
            ("TLSv0x+303", ProtocolError::Unknown("TLSv0x+303".to_owned())),
            ("TLSv1.2 nonsense", ProtocolError::Unknown("nonsense".to_owned())),
            ("+", ProtocolError::Unknown("+".to_owned())),
            ("-", ProtocolError::Unknown("-".to_owned())),
            ("SSLv3", ProtocolError::Unsupported("SSLv3".to_owned())),
            ("", ProtocolError::Missing),
        ] {
            assert_eq!(parse(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn errors_say_the_word_and_the_mend() {
        for (text, said) in [
            ("TLSv1.4", &["\"TLSv1.4\"", "TLSv1.2+"]),
            ("TLSv1.1", &["TLSv1.1", "TLSv1.2 and TLSv1.3"]),
            ("TLSv1.3-TLSv1.2", &["TLSv1.3-TLSv1.2", "before"]),
            ("", &["TLSv1.3", "default"]),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(said.iter().all(|part| error.contains(part)), "{error}");
        }
    }

    #[test]
    fn views() {
        let (both, _) = Protocols::parse(&["default"]).unwrap();
        assert_eq!(both, Protocols::default());
        assert_eq!(both.to_string(), "TLSv1.2 TLSv1.3");
        assert_eq!(
            (both.min(), both.max()),
            (ProtocolVersion::TLSv1_2, ProtocolVersion::TLSv1_3)
        );
        for (word, version) in [
            ("TLSv1.2", ProtocolVersion::TLSv1_2),
            ("TLSv1.3", ProtocolVersion::TLSv1_3),
        ] {
            let (one, _) = Protocols::parse(&[word]).unwrap();
            assert_eq!(one.to_string(), word);
            assert_eq!((one.min(), one.max()), (version, version));
            assert_eq!(one.iter().collect::<Vec<_>>(), [version]);
            assert_eq!(
                one.rustls_versions().iter().map(|v| v.version).collect::<Vec<_>>(),
                [version]
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_at_least_one_version(text in "(TLS|tls)?v(1|1[.][0-4]|0x[0-9a-f+]{4})[+]?(-TLSv1[.][0-4])?") {
            if let Ok((tls12, tls13, _)) = parse(&text) {
                prop_assert!(tls12 || tls13);
            }
        }

        #[test]
        fn any_text_is_read_without_panic(text in ".*") {
            let _ = parse(&text).map_err(|error| error.to_string());
        }
    }
}
