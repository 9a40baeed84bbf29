// SPDX-License-Identifier: Apache-2.0
//! What a client has offered in its ClientHello (RFC 8446 section 4.1.2), for logs, variables and statistics.
//!
//! Only the numbers are kept, in one allocation. Texts and fingerprints are made when they are asked for.

use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;

use rustls::{NamedGroup, SignatureScheme};

use crate::crypto::{ciphers, groups, schemes};

/// So many names of a list are at most in a line of a log; a client could name hundreds.
const MAX_NAMES: usize = 32;

/// A ClientHello with more numbers than this is not kept. Real clients send fewer than a hundred.
const MAX_VALUES: usize = 1000;

/// The list of a ClientHello that is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum List {
    Suites,
    Extensions,
    Versions,
    Groups,
    Schemes,
}

/// The number of lists.
const LISTS: usize = 5;

/// The extension of Encrypted Client Hello (RFC 9849).
const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;
/// The extension `server_name` (RFC 6066 section 3).
const SERVER_NAME: u16 = 0;

/// The numbers in a ClientHello, in its order, GREASE (RFC 8701) included. Lists are empty if an extension is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    values: Arc<[u16]>,
    /// The end of each list in `values`.
    ends: [u16; LISTS],
    /// The field `legacy_version`.
    legacy_version: u16,
    /// The first and the last byte of the first protocol in the ALPN extension.
    alpn: Option<(u8, u8)>,
}

/// The parts of a ClientHello from which an [`Offer`] is made.
#[derive(Clone, Debug, Default)]
pub struct OfferParts<'a> {
    /// The field `legacy_version`.
    pub legacy_version: u16,
    /// The cipher suites.
    pub suites: &'a [u8],
    /// The types of the extensions.
    pub extensions: Vec<u16>,
    /// The list of `supported_versions`.
    pub versions: &'a [u8],
    /// The list of `supported_groups`.
    pub groups: &'a [u8],
    /// The list of `signature_algorithms`.
    pub schemes: &'a [u8],
    /// The first protocol of `application_layer_protocol_negotiation`.
    pub alpn: &'a [u8],
}

impl Offer {
    /// The offer with these parts. None if they are unreasonably long.
    pub fn new(parts: &OfferParts<'_>) -> Option<Self> {
        let numbers = |bytes: &[u8]| {
            let (pairs, _) = bytes.as_chunks::<2>();
            pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect::<Vec<_>>()
        };
        let mut values = numbers(parts.suites);
        let mut ends = [0; LISTS];
        ends[List::Suites as usize] = u16::try_from(values.len()).ok()?;
        let others = [
            (List::Extensions, parts.extensions.clone()),
            (List::Versions, numbers(parts.versions)),
            (List::Groups, numbers(parts.groups)),
            (List::Schemes, numbers(parts.schemes)),
        ];
        for (list, numbers) in others {
            values.extend(numbers);
            ends[list as usize] = u16::try_from(values.len()).ok()?;
        }
        (values.len() <= MAX_VALUES).then(|| Self {
            values: values.into(),
            ends,
            legacy_version: parts.legacy_version,
            alpn: parts.alpn.first().copied().zip(parts.alpn.last().copied()),
        })
    }

    fn list(&self, list: List) -> &[u16] {
        let end = |at: usize| usize::from(self.ends[at]);
        let range: Range<usize> = match list as usize {
            0 => 0..end(0),
            at => end(at - 1)..end(at),
        };
        self.values.get(range).unwrap_or_default()
    }

    /// The numbers of the cipher suites.
    pub fn suites(&self) -> &[u16] {
        self.list(List::Suites)
    }

    /// The types of the extensions.
    pub fn extensions(&self) -> &[u16] {
        self.list(List::Extensions)
    }

    /// The numbers of the groups for key exchange.
    pub fn groups(&self) -> &[u16] {
        self.list(List::Groups)
    }

    /// The numbers of the signature schemes.
    pub fn schemes(&self) -> &[u16] {
        self.list(List::Schemes)
    }

    /// The numbers of the protocol versions, GREASE excluded. Without the extension, `legacy_version` is the highest one.
    pub fn versions(&self) -> Vec<u16> {
        match self.list(List::Versions) {
            [] => vec![self.legacy_version],
            list => list.iter().copied().filter(|version| !is_grease(*version)).collect(),
        }
    }

    /// The first and the last byte of the first protocol that the client offers by ALPN.
    pub fn alpn(&self) -> Option<(u8, u8)> {
        self.alpn
    }

    /// Whether the client sends a server name.
    pub fn has_server_name(&self) -> bool {
        self.extensions().contains(&SERVER_NAME)
    }

    /// Whether the client sends values that servers have to ignore (RFC 8701), as browsers do.
    pub fn has_grease(&self) -> bool {
        self.values.iter().any(|value| is_grease(*value))
    }

    /// Whether the client sends the extension of Encrypted Client Hello, be it with content or as GREASE.
    pub fn has_ech(&self) -> bool {
        self.extensions().contains(&ENCRYPTED_CLIENT_HELLO)
    }

    /// The versions and groups, for a line of a log: `TLSv1.3 TLSv1.2, groups x25519 secp256r1`.
    pub fn brief(&self) -> String {
        let versions = self.version_names().join(" ");
        match self.group_names().as_slice() {
            [] => format!("{versions}, no groups"),
            groups => format!("{versions}, groups {}", groups.join(" ")),
        }
    }

    /// The value of `SSL_CLIENT_OFFER`: versions, groups, signature schemes and cipher suites, GREASE excluded.
    pub fn full(&self) -> String {
        let mut text = String::new();
        for (label, list) in [
            ("versions", self.version_names()),
            ("groups", self.group_names()),
            ("schemes", names(self.schemes(), scheme_name)),
            ("suites", names(self.suites(), suite_name)),
        ] {
            let separator = if text.is_empty() { "" } else { " " };
            // Writing to a string does not fail.
            let _ = write!(text, "{separator}{label}={}", list.join(","));
        }
        text
    }

    /// The names of the protocol versions.
    pub fn version_names(&self) -> Vec<String> {
        names(&self.versions(), version_name)
    }

    /// The names of the groups, GREASE excluded.
    pub fn group_names(&self) -> Vec<String> {
        names(self.groups(), group_name)
    }
}

/// Whether `value` is reserved by RFC 8701: 0x0a0a, 0x1a1a and so on.
pub fn is_grease(value: u16) -> bool {
    let [high, low] = value.to_be_bytes();
    high == low && low & 0x0f == 0x0a
}

/// The names of the first values that are not GREASE.
fn names(values: &[u16], name: fn(u16) -> String) -> Vec<String> {
    let real = values.iter().copied().filter(|value| !is_grease(*value));
    real.take(MAX_NAMES).map(name).collect()
}

/// The name of a protocol version, as in `SSL_PROTOCOL`.
fn version_name(version: u16) -> String {
    match version {
        0x0304 => "TLSv1.3".to_owned(),
        0x0303 => "TLSv1.2".to_owned(),
        0x0302 => "TLSv1.1".to_owned(),
        0x0301 => "TLSv1".to_owned(),
        0x0300 => "SSLv3".to_owned(),
        other => hex(other),
    }
}

fn group_name(group: u16) -> String {
    groups::name_of(NamedGroup::from(group)).map_or_else(|| hex(group), str::to_owned)
}

fn scheme_name(scheme: u16) -> String {
    schemes::name_of(SignatureScheme::from(scheme)).map_or_else(|| hex(scheme), str::to_owned)
}

fn suite_name(suite: u16) -> String {
    ciphers::by_id(suite).map_or_else(|| hex(suite), |cipher| cipher.name_iana().to_owned())
}

fn hex(number: u16) -> String {
    format!("0x{number:04x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer() -> Offer {
        Offer::new(&OfferParts {
            legacy_version: 0x0303,
            suites: &[0x1a, 0x1a, 0x13, 0x01, 0xc0, 0x2b, 0x12, 0x34],
            extensions: vec![0, 0xfe0d],
            versions: &[0x2a, 0x2a, 3, 4, 3, 3],
            groups: &[0x11, 0xec, 0, 29],
            schemes: &[4, 3, 8, 4],
            alpn: b"h2",
        })
        .unwrap()
    }

    #[test]
    fn texts() {
        let offer = offer();
        assert_eq!(offer.brief(), "TLSv1.3 TLSv1.2, groups X25519MLKEM768 x25519");
        assert_eq!(
            offer.full(),
            "versions=TLSv1.3,TLSv1.2 groups=X25519MLKEM768,x25519 schemes=ecdsa_secp256r1_sha256,rsa_pss_rsae_sha256 \
             suites=TLS_AES_128_GCM_SHA256,TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,0x1234"
        );
        assert!(offer.has_ech() && offer.has_grease() && offer.has_server_name());
        let old = Offer {
            legacy_version: 0x0301,
            ..Offer::default()
        };
        assert_eq!(old.brief(), "TLSv1, no groups");
        assert_eq!(old.full(), "versions=TLSv1 groups= schemes= suites=");
        assert!(!old.has_ech() && !old.has_grease());
    }

    #[test]
    fn unreasonable_ones_are_not_kept() {
        let suites = vec![1; 2 * MAX_VALUES + 2];
        let parts = OfferParts {
            suites: &suites,
            ..OfferParts::default()
        };
        assert_eq!(Offer::new(&parts), None);
        let parts = OfferParts {
            suites: &suites[2..],
            ..OfferParts::default()
        };
        assert_eq!(Offer::new(&parts).map(|offer| offer.suites().len()), Some(MAX_VALUES));
    }

    #[test]
    fn grease() {
        assert!(is_grease(0x0a0a) && is_grease(0xfafa));
        assert!(!is_grease(0x0a1a) && !is_grease(0x0b0b) && !is_grease(0x1301));
    }
}
