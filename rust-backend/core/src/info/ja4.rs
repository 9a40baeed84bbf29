// SPDX-License-Identifier: Apache-2.0
//! JA4, a fingerprint of TLS clients by their ClientHello, as specified by FoxIO
//! (<https://github.com/FoxIO-LLC/ja4/blob/main/technical_details/JA4.md>).

use super::offer::{Offer, is_grease};
use crate::crypto::digest;
use crate::x509::hex;

const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;

/// The largest number that has two digits.
const MAX_COUNT: usize = 99;

/// The JA4 fingerprint of a client: `t13d1516h2_8daaf6152771_e5627efa2ab1`.
///
/// # Examples
///
/// ```
/// use mod_tls_core::info::ja4::ja4;
/// use mod_tls_core::info::offer::{Offer, OfferParts};
///
/// let parts = OfferParts { legacy_version: 0x0303, suites: &[0x13, 0x01], ..OfferParts::default() };
/// let offer = Offer::new(&parts).unwrap();
/// assert!(ja4(&offer).starts_with("t12i010000_"));
/// ```
pub fn ja4(offer: &Offer) -> String {
    let mut suites = without_grease(offer.suites());
    let mut extensions = without_grease(offer.extensions());
    let start = format!(
        "t{}{}{:02}{:02}{}",
        version(offer),
        if offer.has_server_name() { 'd' } else { 'i' },
        suites.len().min(MAX_COUNT),
        extensions.len().min(MAX_COUNT),
        alpn(offer.alpn()),
    );
    suites.sort_unstable();
    extensions.sort_unstable();
    extensions.retain(|kind| ![SERVER_NAME, ALPN].contains(kind));
    let schemes = without_grease(offer.schemes());
    let mut last = joined(&extensions);
    if !last.is_empty() && !schemes.is_empty() {
        last = format!("{last}_{}", joined(&schemes));
    }
    format!("{start}_{}_{}", short_digest(&joined(&suites)), short_digest(&last))
}

fn without_grease(values: &[u16]) -> Vec<u16> {
    values.iter().copied().filter(|value| !is_grease(*value)).collect()
}

fn version(offer: &Offer) -> &'static str {
    match offer.versions().into_iter().max() {
        Some(0x0304) => "13",
        Some(0x0303) => "12",
        Some(0x0302) => "11",
        Some(0x0301) => "10",
        Some(0x0300) => "s3",
        Some(0x0002) => "s2",
        _ => "00",
    }
}

/// The first and last character of a protocol, or of its hexadecimal form if they are not alphanumeric.
fn alpn(ends: Option<(u8, u8)>) -> String {
    match ends {
        None => "00".to_owned(),
        Some((first, last)) if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() => {
            [first, last].map(char::from).iter().collect()
        }
        Some((first, last)) => format!("{:x}{:x}", first >> 4, last & 0x0f),
    }
}

/// The numbers in hexadecimal form, separated by commas.
fn joined(values: &[u16]) -> String {
    let hex = values.iter().map(|value| format!("{value:04x}"));
    hex.collect::<Vec<_>>().join(",")
}

/// The first twelve characters of the digest; zeros for nothing.
fn short_digest(text: &str) -> String {
    if text.is_empty() {
        return "0".repeat(12);
    }
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    hex(&digest.as_ref()[..6]).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::super::offer::OfferParts;
    use super::*;

    const SUITES: &[u16] = &[
        0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c, 0x009d, 0x002f,
        0x0035,
    ];
    const EXTENSIONS: &[u16] = &[
        0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d, 0x0005, 0x0023, 0x0012, 0x002b, 0xff01, 0x000b,
        0x000a, 0x0015,
    ];
    const SCHEMES: &[u16] = &[0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601];

    fn bytes(values: &[u16]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_be_bytes()).collect()
    }

    /// The fingerprint of a client with these lists, into which GREASE is mixed.
    fn of(suites: &[u16], extensions: &[u16], schemes: &[u16], versions: &[u16], alpn: &[u8]) -> String {
        let greased = |values: &[u16]| match values {
            [] => Vec::new(),
            values => [&[0x3a3a], values, &[0xdada]].concat(),
        };
        let (suites, versions) = (bytes(&greased(suites)), bytes(&greased(versions)));
        let schemes = bytes(&greased(schemes));
        let parts = OfferParts {
            legacy_version: 0x0303,
            suites: &suites,
            extensions: greased(extensions),
            versions: &versions,
            groups: &[],
            schemes: &schemes,
            alpn,
        };
        ja4(&Offer::new(&parts).unwrap())
    }

    /// The example of the specification.
    #[test]
    fn chrome() {
        let ja4 = of(SUITES, EXTENSIONS, SCHEMES, &[0x0304, 0x0303], b"h2");
        assert_eq!(ja4, "t13d1516h2_8daaf6152771_e5627efa2ab1");
    }

    /// The order of suites and extensions does not matter; that of signature schemes does.
    #[test]
    fn order() {
        let reversed = |values: &[u16]| values.iter().rev().copied().collect::<Vec<_>>();
        let (suites, extensions) = (reversed(SUITES), reversed(EXTENSIONS));
        assert_eq!(
            of(&suites, &extensions, SCHEMES, &[0x0303, 0x0304], b"h2"),
            "t13d1516h2_8daaf6152771_e5627efa2ab1"
        );
        let other = of(SUITES, EXTENSIONS, &reversed(SCHEMES), &[0x0304], b"h2");
        assert!(!other.ends_with("e5627efa2ab1"), "{other}");
    }

    /// The example of the specification without signature schemes, and without extensions.
    #[test]
    fn parts_that_are_missing() {
        assert_eq!(
            of(SUITES, EXTENSIONS, &[], &[0x0304], b"h2"),
            "t13d1516h2_8daaf6152771_6d807ffa2a79"
        );
        assert_eq!(of(&[], &[], &[], &[], b""), "t12i000000_000000000000_000000000000");
        assert_eq!(
            of(&[], &[0, 16], SCHEMES, &[], b""),
            "t12d000200_000000000000_000000000000"
        );
    }

    /// The examples of the specification.
    #[test]
    fn protocols() {
        for (protocol, expected) in [
            (&b""[..], "00"),
            (b"h2", "h2"),
            (b"http/1.1", "h1"),
            (b"x", "xx"),
            (b"\xab", "ab"),
            (b"\xab\xcd", "ad"),
            (b"\x30\xab", "3b"),
            (b"\x30\x31\xab\xcd", "3d"),
            (b"\x30\xab\xcd\x31", "01"),
        ] {
            let ends = protocol.first().copied().zip(protocol.last().copied());
            assert_eq!(alpn(ends), expected, "{protocol:?}");
        }
    }

    #[test]
    fn counts_have_two_digits() {
        let many: Vec<u16> = (1..=120).collect();
        assert!(of(&many, &many, &[], &[0x0302], b"").starts_with("t11i999900_"));
    }
}
