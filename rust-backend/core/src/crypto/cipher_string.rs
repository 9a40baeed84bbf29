// SPDX-License-Identifier: Apache-2.0
//! OpenSSL's cipher list format, as in `SSLCipherSuite`: openssl-ciphers(1).
//!
//! A list is a sequence of operations. At the start, all suites are off, in OpenSSL's default order. Each word turns
//! suites on or off, or moves them. Each operation treats suites independently of each other, so the result for the
//! suites that exist here is the same as in OpenSSL, whatever other suites it has.

use crate::crypto::ALL_CIPHER_SUITES;
use crate::crypto::ciphers::{self, Cipher};

/// The result of a cipher list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evaluated {
    /// The enabled suites, most preferred first.
    pub suites: Vec<&'static Cipher>,
    /// Words that OpenSSL does not know either, and ignores.
    pub unknown: Vec<String>,
}

/// A suite in a list that is being evaluated.
#[derive(Clone, Copy)]
struct Entry {
    cipher: &'static Cipher,
    on: bool,
}

/// The operation of a word on the suites that it selects.
#[derive(Clone, Copy)]
enum Step {
    /// Enables them, at the end of the list.
    Add,
    /// Disables them; a later word may enable them again.
    Remove,
    /// Disables them permanently.
    Kill,
    /// Moves the enabled ones to the end.
    MoveToEnd,
}

/// Whether a suite belongs to a group.
type Belongs = fn(&Cipher) -> bool;

/// Words for groups of suites that have members here, and the condition for membership.
const GROUPS: &[(&str, Belongs)] = &[
    ("ALL", |_| true),
    ("HIGH", |_| true),
    ("TLSv1.2", |_| true),
    ("ECDHE", |_| true),
    ("EECDH", |_| true),
    ("kECDHE", |_| true),
    ("kEECDH", |_| true),
    ("ECDH", |_| true),
    ("aRSA", |cipher| !is_ecdsa(cipher)),
    ("aECDSA", is_ecdsa),
    ("ECDSA", is_ecdsa),
    ("AES", is_aes),
    ("AESGCM", is_aes),
    ("FIPS", is_aes),
    ("AES128", |cipher| is_aes(cipher) && bits(cipher) == 128),
    ("AES256", |cipher| is_aes(cipher) && bits(cipher) == 256),
    ("CHACHA20", |cipher| !is_aes(cipher)),
];

/// Words for groups without members here.
const EMPTY_GROUPS: &[&str] = &[
    "3DES",
    "ADH",
    "AECDH",
    "AESCCM",
    "AESCCM8",
    "ARIA",
    "ARIA128",
    "ARIA256",
    "ARIAGCM",
    "CAMELLIA",
    "CAMELLIA128",
    "CAMELLIA256",
    "CBC",
    "COMPLEMENTOFALL",
    "COMPLEMENTOFDEFAULT",
    "DES",
    "DH",
    "DHE",
    "DSS",
    "EDH",
    "EXP",
    "EXPORT",
    "EXPORT40",
    "EXPORT56",
    "GOST89MAC",
    "GOST94",
    "IDEA",
    "LOW",
    "MD5",
    "MEDIUM",
    "NULL",
    "PSK",
    "RC2",
    "RC4",
    "RSA",
    "SEED",
    "SHA",
    "SHA1",
    "SHA256",
    "SHA384",
    "SRP",
    "SSLv2",
    "SSLv3",
    "TLSv1",
    "TLSv1.0",
    "TLSv1.1",
    "aDH",
    "aDSS",
    "aECDH",
    "aGOST",
    "aGOST01",
    "aGOST12",
    "aNULL",
    "aPSK",
    "aSRP",
    "eNULL",
    "kDH",
    "kDHE",
    "kDHEPSK",
    "kDHd",
    "kDHr",
    "kECDH",
    "kECDHEPSK",
    "kECDHe",
    "kECDHr",
    "kEDH",
    "kGOST",
    "kGOST18",
    "kPSK",
    "kRSA",
    "kRSAPSK",
    "kSRP",
];

/// Words for the default list at the start of a list: OpenSSL's, and Red Hat's system-wide policy.
const DEFAULTS: [&str; 2] = ["DEFAULT", "PROFILE=SYSTEM"];

/// The lists of RFC 6460, which cannot be combined with other words.
const SUITE_B: &[(&str, &str)] = &[
    ("SUITEB128ONLY", "ECDHE-ECDSA-AES128-GCM-SHA256"),
    (
        "SUITEB128C2",
        "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384",
    ),
    (
        "SUITEB128",
        "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384",
    ),
    ("SUITEB192", "ECDHE-ECDSA-AES256-GCM-SHA384"),
];

fn is_ecdsa(cipher: &Cipher) -> bool {
    cipher.name_iana().starts_with("TLS_ECDHE_ECDSA_")
}

fn is_aes(cipher: &Cipher) -> bool {
    cipher.name_iana().contains("_AES_")
}

fn bits(cipher: &Cipher) -> u16 {
    cipher.key_bits().0
}

/// Evaluates the list `text` for `supported`, the TLS 1.2 suites with ephemeral keys.
///
/// # Examples
///
/// ```
/// use mod_tls_core::crypto::cipher_string::{evaluate, supported_tls12};
///
/// let evaluated = evaluate("ECDHE+AESGCM:!aECDSA:@STRENGTH", &supported_tls12()).unwrap();
/// let names: Vec<_> = evaluated.suites.iter().filter_map(|suite| suite.name_openssl()).collect();
/// assert_eq!(names, ["ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-GCM-SHA256"]);
/// ```
pub fn evaluate(text: &str, supported: &[&'static Cipher]) -> Result<Evaluated, String> {
    let text = SUITE_B
        .iter()
        .find(|(name, _)| text.starts_with(name))
        .map_or(text, |(_, list)| list);
    let mut program = Program::new(supported);
    let rest = match DEFAULTS.iter().find_map(|name| text.strip_prefix(name)) {
        Some(rest) => {
            program.step(Step::Add, |_| true);
            rest
        }
        None => text,
    };
    let separator = |c: char| matches!(c, ':' | ' ' | ';' | ',');
    for word in rest.split(separator).filter(|word| !word.is_empty()) {
        program.run(word)?;
    }
    Ok(Evaluated {
        suites: program
            .list
            .iter()
            .filter(|entry| entry.on)
            .map(|entry| entry.cipher)
            .collect(),
        unknown: program.unknown,
    })
}

/// The position of a suite in OpenSSL's default order: by strength, then AES-GCM before ChaCha20, ECDSA before RSA.
pub(crate) fn default_rank(cipher: &Cipher) -> usize {
    usize::from(bits(cipher) < 256) << 2 | usize::from(!is_aes(cipher)) << 1 | usize::from(!is_ecdsa(cipher))
}

struct Program {
    list: Vec<Entry>,
    unknown: Vec<String>,
}

impl Program {
    fn new(supported: &[&'static Cipher]) -> Self {
        let mut list: Vec<Entry> = supported.iter().map(|cipher| Entry { cipher, on: false }).collect();
        list.sort_by_key(|entry| default_rank(entry.cipher));
        Self {
            list,
            unknown: Vec::new(),
        }
    }

    fn run(&mut self, word: &str) -> Result<(), String> {
        let (step, names) = match word.as_bytes()[0] {
            b'@' => return self.command(&word[1..]),
            b'!' => (Step::Kill, &word[1..]),
            b'-' => (Step::Remove, &word[1..]),
            b'+' => (Step::MoveToEnd, &word[1..]),
            _ => (Step::Add, word),
        };
        let mut conditions = Vec::new();
        for name in names.split('+') {
            match condition(name) {
                Some(found) => conditions.push(found),
                None => {
                    self.unknown.push(word.to_owned());
                    return Ok(());
                }
            }
        }
        self.step(step, |cipher| {
            conditions.iter().all(|condition| condition.holds(cipher))
        });
        Ok(())
    }

    fn command(&mut self, command: &str) -> Result<(), String> {
        if command == "STRENGTH" {
            // Stable: suites of equal strength keep their order.
            self.list.sort_by_key(|entry| std::cmp::Reverse(bits(entry.cipher)));
            return Ok(());
        }
        let level = command
            .strip_prefix("SECLEVEL=")
            .and_then(|level| level.parse::<u8>().ok());
        let least = match level {
            Some(0..=3) => 128,
            Some(4) => 192,
            Some(5) => 256,
            _ => {
                return Err(format!(
                    "\"@{command}\" is neither @STRENGTH nor @SECLEVEL=0 to @SECLEVEL=5"
                ));
            }
        };
        self.step(Step::Kill, |cipher| bits(cipher) < least);
        Ok(())
    }

    fn step(&mut self, step: Step, is_meant: impl Fn(&Cipher) -> bool) {
        let moves = |entry: &Entry| {
            is_meant(entry.cipher)
                && match step {
                    Step::Add => !entry.on,
                    Step::Remove | Step::MoveToEnd => entry.on,
                    Step::Kill => true,
                }
        };
        let (moved, mut rest): (Vec<Entry>, Vec<Entry>) = self.list.iter().partition(|entry| moves(entry));
        let switched = |on| moved.iter().map(move |entry| Entry { on, ..*entry });
        match step {
            Step::Add | Step::MoveToEnd => rest.extend(switched(true)),
            Step::Remove => rest.splice(0..0, switched(false)).for_each(drop),
            Step::Kill => {}
        }
        self.list = rest;
    }
}

/// The condition under which a word selects a suite.
enum Condition {
    Group(Belongs),
    Suite(&'static Cipher),
    Nothing,
}

impl Condition {
    fn holds(&self, cipher: &Cipher) -> bool {
        match self {
            Self::Group(belongs) => belongs(cipher),
            Self::Suite(suite) => *suite == cipher,
            Self::Nothing => false,
        }
    }
}

fn condition(name: &str) -> Option<Condition> {
    if let Some((_, belongs)) = GROUPS.iter().find(|(group, _)| *group == name) {
        return Some(Condition::Group(*belongs));
    }
    if EMPTY_GROUPS.contains(&name) {
        return Some(Condition::Nothing);
    }
    ciphers::find(name).map(Condition::Suite)
}

/// The TLS 1.3 suites in `text`: names separated by colons, as in `SSLCipherSuite TLSv1.3 list`.
pub fn tls13(text: &str) -> Evaluated {
    let mut evaluated = Evaluated::default();
    for name in text.split(':').filter(|name| !name.is_empty()) {
        match ciphers::find(name).filter(|cipher| cipher.is_tls13()) {
            Some(cipher) if evaluated.suites.contains(&cipher) => {}
            Some(cipher) => evaluated.suites.push(cipher),
            None => evaluated.unknown.push(name.to_owned()),
        }
    }
    evaluated
}

/// The TLS 1.2 suites that exist here.
pub fn supported_tls12() -> Vec<&'static Cipher> {
    let suites = ALL_CIPHER_SUITES.iter().filter(|suite| suite.tls13().is_none());
    suites
        .filter_map(|suite| ciphers::by_id(suite.suite().into()))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Short names of the suites in `text`: E or R for the signature, then the cipher.
    fn short(text: &str) -> String {
        let evaluated = evaluate(text, &supported_tls12()).unwrap();
        let names = evaluated.suites.iter().map(|cipher| {
            let signature = if is_ecdsa(cipher) { "E" } else { "R" };
            match is_aes(cipher) {
                true => format!("{signature}{}", bits(cipher)),
                false => format!("{signature}C"),
            }
        });
        names.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_openssl_makes_of_it() {
        let all = "E256 R256 EC RC E128 R128";
        for (text, wanted) in [
            ("DEFAULT", all),
            ("PROFILE=SYSTEM", all),
            ("HIGH:!aNULL", all),
            ("ALL:+CHACHA20:@STRENGTH", all),
            ("FIPS", "E256 R256 E128 R128"),
            ("AESGCM+ECDSA:nothing:CHACHA20", "E256 E128 EC RC"),
            ("ALL:-AES256:AES256", "EC RC E128 R128 E256 R256"),
            ("ALL:-AES256:-AES128:ALL", "EC RC E128 R128 E256 R256"),
            ("ALL:-ECDSA:ALL", "R256 RC R128 E256 EC E128"),
            ("ALL:+ECDSA:-AES128:+AES256:ALL", "RC EC R256 E256 R128 E128"),
            ("EECDH+AESGCM,EDH+AESGCM", "E256 R256 E128 R128"),
            ("kEECDH+aRSA", "R256 RC R128"),
            (
                "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256:AES256-SHA",
                "R128 E128",
            ),
            ("DEFAULT:!AES128:AES128", "E256 R256 EC RC"),
            ("ALL:@SECLEVEL=4", "E256 R256 EC RC"),
            ("AES128:AES256:@STRENGTH", "E256 R256 E128 R128"),
            ("SUITEB128", "E128 E256"),
            ("RSA:SHA384:DHE:3DES", ""),
            ("!ALL", ""),
            ("", ""),
        ] {
            assert_eq!(short(text), wanted, "{text}");
        }
    }

    #[test]
    fn words_that_nobody_knows_are_told() {
        let unknown = |text| evaluate(text, &supported_tls12()).unwrap().unknown;
        assert_eq!(unknown("HIGH:aes128:!FOO+ECDSA:AES256-SHA"), ["aes128", "!FOO+ECDSA"]);
        assert!(unknown("ALL:!ADH:RC4+RSA:+HIGH:+MEDIUM:+LOW:+SSLv2:+EXP:+eNULL").is_empty());
        assert!(evaluate("ALL:@NONSENSE", &[]).is_err());
    }

    #[test]
    fn suites_of_tls13() {
        let list = tls13("TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:ECDHE-RSA-AES128-GCM-SHA256:x");
        assert_eq!(
            list.suites.iter().map(|suite| suite.id).collect::<Vec<_>>(),
            [0x1301, 0x1303]
        );
        assert_eq!(list.unknown, ["ECDHE-RSA-AES128-GCM-SHA256", "x"]);
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "[-+!@:, ;A-Za-z0-9.=]{0,60}") {
            if let Ok(evaluated) = evaluate(&text, &supported_tls12()) {
                let mut once = std::collections::HashSet::new();
                prop_assert!(evaluated.suites.iter().all(|suite| once.insert(suite.id)));
            }
            tls13(&text);
        }
    }
}
