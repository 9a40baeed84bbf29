// SPDX-License-Identifier: Apache-2.0
//! Cipher suites: their names, and the order in which they are offered.

mod table;

use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;

use rustls::SupportedCipherSuite;

use table::TABLE;

/// A cipher suite that IANA knows.
#[derive(Debug, PartialEq, Eq)]
pub struct Cipher {
    /// Its number in the IANA registry.
    pub id: u16,
    iana: &'static str,
    openssl: &'static str,
}

impl Cipher {
    const fn new(id: u16, iana: &'static str, openssl: &'static str) -> Self {
        Self { id, iana, openssl }
    }

    /// Its name in the IANA registry: `TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384`.
    pub fn name_iana(&self) -> &'static str {
        self.iana
    }

    /// Its name in OpenSSL, if it ever had one: `ECDHE-RSA-AES256-GCM-SHA384`.
    pub fn name_openssl(&self) -> Option<&'static str> {
        Some(self.openssl).filter(|name| !name.is_empty())
    }

    /// The bits of the key that are in use, and those that the algorithm has: `SSL_CIPHER_USEKEYSIZE` and
    /// `SSL_CIPHER_ALGKEYSIZE`.
    pub fn key_bits(&self) -> (u16, u16) {
        let name = self.iana;
        let bits = if name.contains("_256_") || name.contains("CHACHA20") {
            256
        } else if name.contains("3DES") {
            return (112, 168);
        } else if name.contains("_40_") {
            return (40, 128);
        } else if name.contains("NULL") || name.ends_with("_SCSV") {
            0
        } else if name.contains("_DES_") {
            56
        } else {
            128
        };
        (bits, bits)
    }

    /// Whether it is one of TLS 1.3.
    pub fn is_tls13(&self) -> bool {
        self.id >> 8 == 0x13
    }
}

/// The suite with the number `id`.
pub fn by_id(id: u16) -> Option<&'static Cipher> {
    TABLE
        .binary_search_by_key(&id, |cipher| cipher.id)
        .ok()
        .map(|at| &TABLE[at])
}

/// The suite called `name`, in any case: by IANA, by OpenSSL, by rustls (`TLS13_…`), or by number
/// (`TLS_CIPHER_0xC02F`). A number that IANA has not given away is unknown like a name that nobody has.
pub fn find(name: &str) -> Option<&'static Cipher> {
    static NAMES: OnceLock<HashMap<&'static str, &'static Cipher>> = OnceLock::new();
    let name = name.to_ascii_uppercase();
    if let Some(number) = name.strip_prefix("TLS_CIPHER_0X") {
        return u16::from_str_radix(number, 16).ok().and_then(by_id);
    }
    let names = NAMES.get_or_init(|| {
        TABLE
            .iter()
            .flat_map(|cipher| {
                [cipher.name_openssl(), Some(cipher.iana)]
                    .into_iter()
                    .flatten()
                    .map(move |n| (n, cipher))
            })
            .collect()
    });
    let found = match name.strip_prefix("TLS13_") {
        Some(rest) => names
            .get(format!("TLS_{rest}").as_str())
            .filter(|cipher| cipher.is_tls13()),
        None => names.get(name.as_str()),
    };
    found.copied()
}

/// A name in a list that no suite has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownCipher {
    name: String,
    nearest: Option<&'static str>,
}

impl UnknownCipher {
    fn new(name: &str) -> Self {
        let upper = name.to_ascii_uppercase();
        let nearest = TABLE
            .iter()
            .flat_map(|cipher| [Some(cipher.iana), cipher.name_openssl()].into_iter().flatten())
            .map(|known| (strsim::levenshtein(&upper, known), known))
            .min()
            .filter(|(distance, known)| *distance * 3 <= known.len())
            .map(|(_, known)| known);
        Self {
            name: name.to_owned(),
            nearest,
        }
    }
}

impl fmt::Display for UnknownCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown cipher suite \"{}\"", self.name)?;
        match self.nearest {
            Some(nearest) => write!(f, ": did you mean {nearest}?"),
            None => f.write_str(": give names such as TLS_AES_256_GCM_SHA384 or ECDHE-RSA-AES256-GCM-SHA384"),
        }
    }
}

impl std::error::Error for UnknownCipher {}

/// Reads lists of names joined by `:` or white space. A suite that is named twice keeps its first place.
pub fn parse_list(args: &[&str]) -> Result<Vec<&'static Cipher>, UnknownCipher> {
    let mut ciphers: Vec<&'static Cipher> = Vec::new();
    let separator = |c: char| c == ':' || c.is_whitespace();
    for name in args
        .iter()
        .flat_map(|arg| arg.split(separator))
        .filter(|name| !name.is_empty())
    {
        let cipher = find(name).ok_or_else(|| UnknownCipher::new(name))?;
        if !ciphers.contains(&cipher) {
            ciphers.push(cipher);
        }
    }
    Ok(ciphers)
}

/// Why suites cannot be arranged as wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArrangeError {
    /// A suite is to be preferred and suppressed.
    Contradiction(&'static str),
    /// Every suite is suppressed.
    NothingLeft,
}

impl fmt::Display for ArrangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Contradiction(name) => write!(
                f,
                "{name} is in both TLSCiphersPrefer and TLSCiphersSuppress, which contradict each other: remove it from one"
            ),
            Self::NothingLeft => f.write_str("TLSCiphersSuppress leaves no cipher suite to be used: suppress fewer"),
        }
    }
}

impl std::error::Error for ArrangeError {}

/// Suites in the order of a host.
#[derive(Debug)]
pub struct Arranged {
    /// Most preferred first.
    pub suites: Vec<SupportedCipherSuite>,
    /// What was preferred but is not among the suites that there are.
    pub unsupported_preferred: Vec<&'static Cipher>,
}

/// Arranges `supported`: those in `prefer` first, in that order, then the others in their own; none of `suppress`.
pub fn arrange(
    supported: &[SupportedCipherSuite],
    prefer: &[&'static Cipher],
    suppress: &[&'static Cipher],
) -> Result<Arranged, ArrangeError> {
    if let Some(both) = prefer.iter().find(|cipher| suppress.contains(cipher)) {
        return Err(ArrangeError::Contradiction(both.iana));
    }
    let id = |suite: &SupportedCipherSuite| u16::from(suite.suite());
    let mut suites: Vec<SupportedCipherSuite> = supported
        .iter()
        .copied()
        .filter(|suite| !suppress.iter().any(|cipher| cipher.id == id(suite)))
        .collect();
    if suites.is_empty() {
        return Err(ArrangeError::NothingLeft);
    }
    // A stable sort: what is not preferred keeps its order.
    suites.sort_by_key(|suite| {
        prefer
            .iter()
            .position(|cipher| cipher.id == id(suite))
            .unwrap_or(prefer.len())
    });
    let unsupported_preferred = prefer
        .iter()
        .copied()
        .filter(|cipher| !supported.iter().any(|suite| id(suite) == cipher.id))
        .collect();
    Ok(Arranged {
        suites,
        unsupported_preferred,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES;

    use super::*;

    #[test]
    fn the_table_is_in_order_and_has_what_rustls_has() {
        assert!(TABLE.is_sorted_by(|a, b| a.id < b.id));
        for suite in ALL_CIPHER_SUITES {
            let cipher = by_id(suite.suite().into()).unwrap();
            let name = suite.suite().as_str().unwrap();
            assert_eq!(find(name), Some(cipher), "{name}");
            assert!(cipher.name_openssl().is_some(), "{name}");
        }
    }

    #[test]
    fn every_form_of_a_name_means_the_same() {
        let cipher = by_id(0xc02f);
        assert!(cipher.is_some());
        for name in [
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            "ecdhe-rsa-aes128-gcm-sha256",
            "TLS_CIPHER_0xc02f",
            "tls_cipher_0xC02F",
        ] {
            assert_eq!(find(name), cipher, "{name}");
        }
        assert_eq!(find("TLS13_AES_128_GCM_SHA256"), by_id(0x1301));
        assert_eq!(find("TLS13_RSA_WITH_AES_128_CBC_SHA"), None);
        assert_eq!(find("TLS_CIPHER_0xFFFF"), None);
        assert_eq!(find("TLS_CIPHER_0x"), None);
    }

    #[test]
    fn lists() {
        let list = parse_list(&["AES128-SHA:TLS_AES_128_GCM_SHA256", " : AES128-SHA"]).unwrap();
        assert_eq!(list.iter().map(|c| c.id).collect::<Vec<_>>(), [0x2f, 0x1301]);
        let error = parse_list(&["TLS_AES_128_GCM_SHA265"]).unwrap_err().to_string();
        assert!(error.contains("did you mean TLS_AES_128_GCM_SHA256"), "{error}");
    }

    #[test]
    fn key_sizes() {
        assert_eq!(find("TLS_CHACHA20_POLY1305_SHA256").unwrap().key_bits(), (256, 256));
        assert_eq!(find("ECDHE-RSA-AES128-GCM-SHA256").unwrap().key_bits(), (128, 128));
        assert_eq!(find("TLS_AES_256_GCM_SHA384").unwrap().key_bits(), (256, 256));
    }

    #[test]
    fn arranging() {
        let chacha = find("TLS_CHACHA20_POLY1305_SHA256").unwrap();
        let null = find("TLS_NULL_WITH_NULL_NULL").unwrap();
        let arranged = arrange(ALL_CIPHER_SUITES, &[null, chacha], &[]).unwrap();
        assert_eq!(u16::from(arranged.suites[0].suite()), chacha.id);
        assert_eq!(arranged.suites.len(), ALL_CIPHER_SUITES.len());
        assert_eq!(arranged.unsupported_preferred, [null]);
        let without = arrange(ALL_CIPHER_SUITES, &[], &[null, chacha]).unwrap();
        assert_eq!(without.suites.len(), ALL_CIPHER_SUITES.len() - 1);
        assert_eq!(
            arrange(ALL_CIPHER_SUITES, &[chacha], &[chacha]).unwrap_err(),
            ArrangeError::Contradiction(chacha.iana)
        );
        assert_eq!(
            arrange(
                &ALL_CIPHER_SUITES[..1],
                &[],
                &[by_id(ALL_CIPHER_SUITES[0].suite().into()).unwrap()]
            )
            .unwrap_err(),
            ArrangeError::NothingLeft
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in ".*") {
            let _ = parse_list(&[&text]).map_err(|error| error.to_string());
        }
    }
}
