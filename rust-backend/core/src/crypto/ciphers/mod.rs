// SPDX-License-Identifier: Apache-2.0
//! Cipher suites: their names, and the order in which they are offered.

mod table;

use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;

use rustls::SupportedCipherSuite;

use table::{FURTHER_NAMES, TABLE};

/// A cipher suite in the IANA registry.
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

    /// The number of key bits in use, and the key size of the algorithm: `SSL_CIPHER_USEKEYSIZE` and
    /// `SSL_CIPHER_ALGKEYSIZE`, as OpenSSL counts them. They differ for export suites and for 3DES.
    pub fn key_bits(&self) -> (u16, u16) {
        if self.iana.ends_with("_SCSV") {
            return (0, 0);
        }
        let algorithm = match self.iana.split_once("_WITH_") {
            Some((_, algorithm)) => algorithm,
            None => self.iana.trim_start_matches("TLS_"),
        };
        KEY_BITS
            .iter()
            .find(|(start, _)| algorithm.starts_with(start))
            .map_or((128, 128), |(_, bits)| *bits)
    }

    /// Whether this is a TLS 1.3 suite. The names of these suites do not contain `WITH`, because they do not determine
    /// key exchange and authentication (RFC 8446, appendix B.4); those of RFC 9367 are the exception.
    pub fn is_tls13(&self) -> bool {
        match self.id {
            0xc103..=0xc106 => true,
            _ => !self.iana.contains("_WITH_") && !self.iana.ends_with("_SCSV"),
        }
    }

    fn names(&'static self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.iana).chain(self.name_openssl())
    }
}

/// Prefixes of algorithm names, and the key sizes if they are not 128 bits. The first match is used.
const KEY_BITS: &[(&str, (u16, u16))] = &[
    ("NULL", (0, 0)),
    // Integrity only (RFC 9150).
    ("SHA", (0, 0)),
    ("RC4_40", (40, 128)),
    ("RC4_56", (56, 128)),
    ("RC2_CBC_40", (40, 128)),
    ("RC2_CBC_56", (56, 128)),
    ("DES40", (40, 56)),
    ("DES_CBC_40", (40, 56)),
    ("DES_", (56, 56)),
    ("3DES", (112, 168)),
    ("AES_256", (256, 256)),
    ("ARIA_256", (256, 256)),
    ("CAMELLIA_256", (256, 256)),
    ("AEGIS_256", (256, 256)),
    ("CHACHA20", (256, 256)),
    ("KUZNYECHIK", (256, 256)),
    ("MAGMA", (256, 256)),
    ("28147", (256, 256)),
];

/// The suite with the number `id`.
pub fn by_id(id: u16) -> Option<&'static Cipher> {
    TABLE
        .binary_search_by_key(&id, |cipher| cipher.id)
        .ok()
        .map(|at| &TABLE[at])
}

/// The prefix of names that are numbers, in upper case.
const NUMBERED: &str = "TLS_CIPHER_0X";

/// The suite called `name`, case-insensitive: the name of IANA, OpenSSL or rustls (`TLS13_...`), or a number with four
/// hexadecimal digits (`TLS_CIPHER_0xC02F`).
pub fn find(name: &str) -> Option<&'static Cipher> {
    let name = name.to_ascii_uppercase();
    if name.starts_with(NUMBERED) {
        return number_in(&name).and_then(by_id);
    }
    match name.strip_prefix("TLS13_") {
        Some(rest) => by_name(&format!("TLS_{rest}")).filter(|cipher| cipher.is_tls13()),
        None => by_name(&name),
    }
}

/// The number in `name`, which is in upper case.
fn number_in(name: &str) -> Option<u16> {
    let number = name.strip_prefix(NUMBERED)?;
    // from_str_radix alone would also accept a sign.
    let is_number = number.len() == 4 && number.bytes().all(|digit| digit.is_ascii_hexdigit());
    u16::from_str_radix(number, 16).ok().filter(|_| is_number)
}

/// The suite with the IANA or OpenSSL name `name`, which is in upper case.
fn by_name(name: &str) -> Option<&'static Cipher> {
    static NAMES: OnceLock<HashMap<String, &'static Cipher>> = OnceLock::new();
    let names = NAMES.get_or_init(|| {
        let further = FURTHER_NAMES.iter().filter_map(|(name, id)| Some((*name, by_id(*id)?)));
        TABLE
            .iter()
            .flat_map(|cipher| cipher.names().map(move |name| (name, cipher)))
            .chain(further)
            // IANA spells `anon` in lower case.
            .map(|(name, cipher)| (name.to_ascii_uppercase(), cipher))
            .collect()
    });
    names.get(name).copied()
}

/// An unknown name in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownCipher {
    /// The name in the list.
    pub name: String,
    /// The name of a similar suite.
    pub nearest: Option<&'static str>,
}

impl UnknownCipher {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            nearest: nearest(&name.to_ascii_uppercase()),
        }
    }

    fn is_number(&self) -> bool {
        self.name.to_ascii_uppercase().starts_with(NUMBERED)
    }
}

/// The name with the smallest edit distance to `name` (in upper case), which is at most a third of its length.
fn nearest(name: &str) -> Option<&'static str> {
    if name.starts_with(NUMBERED) {
        return None;
    }
    TABLE
        .iter()
        .flat_map(Cipher::names)
        // The distance is at least the difference in length. This avoids comparisons with very long names.
        .filter(|known| known.len().abs_diff(name.len()) * 3 <= known.len())
        .map(|known| (strsim::levenshtein(name, &known.to_ascii_uppercase()), known))
        .filter(|(distance, known)| distance * 3 <= known.len())
        .min()
        .map(|(_, known)| known)
}

impl fmt::Display for UnknownCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown cipher suite \"{}\"", self.name)?;
        if self.is_number() {
            return f.write_str(": a number has four hexadecimal digits, as in TLS_CIPHER_0xC02F");
        }
        match self.nearest {
            Some(nearest) => write!(f, ": did you mean {nearest}?"),
            None => f.write_str(": give names such as TLS_AES_256_GCM_SHA384 or ECDHE-RSA-AES256-GCM-SHA384"),
        }
    }
}

impl std::error::Error for UnknownCipher {}

/// Suites in a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CipherList {
    /// Without duplicates, in the order of the list.
    pub ciphers: Vec<&'static Cipher>,
    /// Numbers that are not assigned to a suite.
    pub unassigned: Vec<u16>,
}

/// Parses lists of names separated by `:` or white space, or the word `default`, which stands for an empty list. A
/// suite that is named twice keeps its first place.
pub fn parse_list(args: &[&str]) -> Result<CipherList, UnknownCipher> {
    let mut list = CipherList::default();
    if let [only] = args
        && only.eq_ignore_ascii_case("default")
    {
        return Ok(list);
    }
    let separator = |c: char| c == ':' || c.is_whitespace();
    for name in args
        .iter()
        .flat_map(|arg| arg.split(separator))
        .filter(|name| !name.is_empty())
    {
        match (find(name), number_in(&name.to_ascii_uppercase())) {
            (Some(cipher), _) if !list.ciphers.contains(&cipher) => list.ciphers.push(cipher),
            (Some(_), _) => {}
            (None, Some(number)) => list.unassigned.push(number),
            (None, None) => return Err(UnknownCipher::new(name)),
        }
    }
    Ok(list)
}

/// Why suites cannot be arranged as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArrangeError {
    /// A suite is both preferred and suppressed.
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

/// The suites of a host, in order.
#[derive(Debug)]
pub struct Arranged {
    /// Most preferred first.
    pub suites: Vec<SupportedCipherSuite>,
    /// Preferred suites that are not supported.
    pub unsupported_preferred: Vec<&'static Cipher>,
}

/// Arranges `supported`: those in `prefer` first, in that order, then the others in their own order, without those in
/// `suppress`.
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
    // Stable: suites that are not preferred keep their order.
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

    use super::*;
    use crate::crypto::ALL_CIPHER_SUITES;

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
        assert_eq!(find("EDH-RSA-DES-CBC3-SHA"), by_id(0x0016));
        assert_eq!(find("DHE-RSA-DES-CBC3-SHA"), by_id(0x0016));
    }

    #[test]
    fn every_name_in_the_tables_is_found() {
        for cipher in TABLE {
            for name in cipher.names() {
                assert_eq!(find(name), Some(cipher), "{name}");
                assert_eq!(find(&name.to_ascii_lowercase()), Some(cipher), "{name}");
            }
            assert_eq!(find(&format!("TLS_CIPHER_0x{:04X}", cipher.id)), Some(cipher));
        }
        for (name, id) in FURTHER_NAMES {
            let found = find(name);
            assert!(found.is_some_and(|cipher| cipher.id == *id), "{name}: {found:?}");
        }
    }

    #[test]
    fn names_are_words_and_belong_to_one_suite() {
        let names: Vec<&str> = TABLE.iter().flat_map(Cipher::names).collect();
        for name in &names {
            assert!(name.len() > 4, "{name}");
            assert!(
                name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)),
                "{name}"
            );
        }
        let suites = TABLE.iter().flat_map(|cipher| {
            // TLS 1.3 suites have the same name in both.
            cipher
                .name_openssl()
                .filter(|name| *name != cipher.iana)
                .into_iter()
                .chain([cipher.iana])
        });
        let mut once = std::collections::HashSet::new();
        for name in suites.chain(FURTHER_NAMES.iter().map(|(name, _)| *name)) {
            assert!(once.insert(name), "{name}");
        }
    }

    #[test]
    fn numbers_that_are_none_or_nobodys_are_unknown() {
        for name in ["0xFFFF", "0x", "0x2F", "0x+02F", "0x0002F", "0xc02g", "49199"] {
            let name = format!("TLS_CIPHER_{name}");
            assert_eq!(find(&name), None, "{name}");
        }
        let list = parse_list(&["tls_cipher_0xFAFA:AES128-SHA"]).unwrap();
        assert_eq!((list.ciphers.len(), list.unassigned), (1, vec![0xfafa]));
        let error = parse_list(&["tls_cipher_0xFF"]).unwrap_err().to_string();
        assert!(error.contains("tls_cipher_0xFF") && error.contains("four"), "{error}");
    }

    #[test]
    fn lists() {
        let list = parse_list(&["AES128-SHA:TLS_AES_128_GCM_SHA256", " : AES128-SHA"]).unwrap();
        assert_eq!(list.ciphers.iter().map(|c| c.id).collect::<Vec<_>>(), [0x2f, 0x1301]);
        let error = parse_list(&["TLS_AES_128_GCM_SHA265"]).unwrap_err().to_string();
        assert!(error.contains("did you mean TLS_AES_128_GCM_SHA256"), "{error}");
        let unknown = |text: &str| parse_list(&["AES128-SHA", text]).unwrap_err();
        assert_eq!(
            unknown("ecdhe-rsa-aes128-gcm-sha2").nearest,
            Some("ECDHE-RSA-AES128-GCM-SHA256")
        );
        assert_eq!(
            unknown("tls_dh_anom_with_rc4_128_md5").nearest,
            Some("TLS_DH_anon_WITH_RC4_128_MD5")
        );
        assert_eq!(unknown("-").nearest, None);
        assert_eq!(unknown(&"A".repeat(8000)).nearest, None);
        assert_eq!(parse_list(&["", ":: "]), Ok(CipherList::default()));
        assert_eq!(parse_list(&["Default"]), Ok(CipherList::default()));
        assert!(parse_list(&["default", "AES128-SHA"]).is_err());
    }

    #[test]
    fn versions() {
        for suite in ALL_CIPHER_SUITES {
            let cipher = by_id(suite.suite().into()).unwrap();
            assert_eq!(cipher.is_tls13(), suite.tls13().is_some(), "{}", cipher.iana);
        }
        for name in [
            "TLS_SM4_GCM_SM3",
            "TLS_SHA256_SHA256",
            "TLS_GOSTR341112_256_WITH_MAGMA_MGM_L",
        ] {
            assert!(find(name).unwrap().is_tls13(), "{name}");
        }
        for name in [
            "TLS_FALLBACK_SCSV",
            "TLS_NULL_WITH_NULL_NULL",
            "TLS_RSA_WITH_AES_128_CCM",
        ] {
            assert!(!find(name).unwrap().is_tls13(), "{name}");
        }
    }

    #[test]
    fn key_sizes() {
        for (name, bits) in [
            ("TLS_CHACHA20_POLY1305_SHA256", (256, 256)),
            ("TLS_AES_256_GCM_SHA384", (256, 256)),
            ("ECDHE-RSA-AES128-GCM-SHA256", (128, 128)),
            ("AES256-CCM", (256, 256)),
            ("TLS_PSK_WITH_NULL_SHA256", (0, 0)),
            ("TLS_SHA256_SHA256", (0, 0)),
            ("TLS_FALLBACK_SCSV", (0, 0)),
            ("DES-CBC3-SHA", (112, 168)),
            ("DES-CBC-SHA", (56, 56)),
            ("EXP-DES-CBC-SHA", (40, 56)),
            ("EXP-KRB5-DES-CBC-SHA", (40, 56)),
            ("EXP-RC2-CBC-MD5", (40, 128)),
            ("EXP1024-RC4-SHA", (56, 128)),
            ("EXP1024-RC2-CBC-MD5", (56, 128)),
            ("IDEA-CBC-SHA", (128, 128)),
            ("GOST2001-GOST89-GOST89", (256, 256)),
        ] {
            assert_eq!(find(name).unwrap().key_bits(), bits, "{name}");
        }
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

        #[test]
        fn almost_names_are_read_without_panic(text in "(TLS|TLS13|tls_cipher_0x)[_A-Z0-9a-f+é:-]{0,40}") {
            let _ = parse_list(&[&text]).map_err(|error| error.to_string());
        }

        #[test]
        fn arranging_loses_nothing_but_what_is_suppressed(
            prefer in proptest::sample::subsequence(TABLE.iter().collect::<Vec<_>>(), 0..TABLE.len()).prop_shuffle(),
        ) {
            let arranged = arrange(ALL_CIPHER_SUITES, &prefer, &[]).unwrap();
            let ids = |suites: &[SupportedCipherSuite]| suites.iter().map(|s| u16::from(s.suite())).collect::<Vec<_>>();
            let (found, all) = (ids(&arranged.suites), ids(ALL_CIPHER_SUITES));
            let wanted: Vec<u16> = prefer.iter().map(|cipher| cipher.id).filter(|id| all.contains(id)).collect();
            let rest = all.iter().copied().filter(|id| !wanted.contains(id));
            prop_assert_eq!(found, wanted.iter().copied().chain(rest).collect::<Vec<_>>());
            prop_assert_eq!(arranged.unsupported_preferred.len() + wanted.len(), prefer.len());
        }
    }
}
