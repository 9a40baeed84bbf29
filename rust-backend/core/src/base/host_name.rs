// SPDX-License-Identifier: Apache-2.0
//! Host names that clients send (RFC 6066 section 3).

use std::net::IpAddr;

/// The longest host name (RFC 1035 section 2.3.4), and the longest part of one.
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// A host name in lower case without a final dot: letters, digits, hyphens and underscores in parts that are not empty. So it is
/// no IP address, and never more than one component of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostName(Box<str>);

impl HostName {
    /// The name, if it is one.
    pub fn new(name: &str) -> Option<Self> {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let is_label = |label: &str| {
            (1..=MAX_LABEL).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|octet| octet.is_ascii_alphanumeric() || b"-_".contains(&octet))
        };
        let is_name = name.len() <= MAX_NAME && name.split('.').all(is_label) && name.parse::<IpAddr>().is_err();
        is_name.then(|| Self(name.into()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The wildcard name that covers it: with `*` in place of the first part (RFC 9525 section 6.3).
    pub fn wildcard(&self) -> Option<String> {
        self.0.split_once('.').map(|(_, rest)| format!("*.{rest}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for wrong in [
            "",
            ".",
            "..",
            "a..b",
            ".a",
            "a/b",
            "a\0",
            "192.0.2.1",
            "::1",
            "-a.b",
            "a-.b",
            "a b",
            "a%n",
            "\u{e9}.b",
        ] {
            assert!(HostName::new(wrong).is_none(), "{wrong:?}");
        }
        assert!(HostName::new(&"a".repeat(64)).is_none());
        assert!(HostName::new(&"a.".repeat(127)).is_some() && HostName::new(&"a.".repeat(128)).is_none());
        assert_eq!(
            HostName::new("_dmarc.A-b.xn--p1ai.").unwrap().as_str(),
            "_dmarc.a-b.xn--p1ai"
        );
    }
}
