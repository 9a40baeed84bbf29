// SPDX-License-Identifier: Apache-2.0
//! Certificate variables: the names after `SSL_SERVER_` and `SSL_CLIENT_`.

use std::fmt::Write;

use x509_parser::asn1_rs::{Any, FromDer};
use x509_parser::extensions::GeneralName;
use x509_parser::time::ASN1Time;
use x509_parser::x509::X509Name;

use super::{Certificate, Context, dn};
use crate::crypto::digest;
use crate::x509::pem;

/// The components of a name that have variables, with mod_ssl's names.
const PARTS: &[(&str, &str)] = &[
    ("C", "2.5.4.6"),
    ("ST", "2.5.4.8"),
    ("SP", "2.5.4.8"),
    ("L", "2.5.4.7"),
    ("O", "2.5.4.10"),
    ("OU", "2.5.4.11"),
    ("CN", "2.5.4.3"),
    ("T", "2.5.4.12"),
    ("I", "2.5.4.43"),
    ("G", "2.5.4.42"),
    ("S", "2.5.4.4"),
    ("D", "2.5.4.13"),
    ("UID", "0.9.2342.19200300.100.1.1"),
    ("SerialNumber", "2.5.4.5"),
    ("Email", "1.2.840.113549.1.9.1"),
];

/// The names of name components in variables.
pub(crate) fn name_parts() -> impl Iterator<Item = &'static str> {
    PARTS.iter().map(|(name, _)| *name)
}

/// OpenSSL's long names of algorithms.
const ALGORITHMS: &[(&str, &str)] = &[
    ("1.2.840.113549.1.1.1", "rsaEncryption"),
    ("1.2.840.113549.1.1.4", "md5WithRSAEncryption"),
    ("1.2.840.113549.1.1.5", "sha1WithRSAEncryption"),
    ("1.2.840.113549.1.1.10", "rsassaPss"),
    ("1.2.840.113549.1.1.11", "sha256WithRSAEncryption"),
    ("1.2.840.113549.1.1.12", "sha384WithRSAEncryption"),
    ("1.2.840.113549.1.1.13", "sha512WithRSAEncryption"),
    ("1.2.840.113549.1.1.14", "sha224WithRSAEncryption"),
    ("1.2.840.10045.2.1", "id-ecPublicKey"),
    ("1.2.840.10045.4.1", "ecdsa-with-SHA1"),
    ("1.2.840.10045.4.3.1", "ecdsa-with-SHA224"),
    ("1.2.840.10045.4.3.2", "ecdsa-with-SHA256"),
    ("1.2.840.10045.4.3.3", "ecdsa-with-SHA384"),
    ("1.2.840.10045.4.3.4", "ecdsa-with-SHA512"),
    ("1.3.101.112", "ED25519"),
    ("1.3.101.113", "ED448"),
    ("1.2.840.10040.4.1", "dsaEncryption"),
];

/// The user principal name of Microsoft's directory service, an otherName.
pub(super) const UPN: &str = "1.3.6.1.4.1.311.20.2.3";
/// A service name, an otherName: RFC 4985.
pub(super) const DNS_SRV: &str = "1.3.6.1.5.5.7.8.7";

const SECONDS_PER_DAY: i64 = 24 * 60 * 60;

impl Context {
    /// A name without attributes has no text.
    fn name(&self, name: &X509Name<'_>) -> Option<String> {
        let text = match self.legacy_dn {
            true => dn::legacy(name),
            false => dn::rfc2253(name),
        };
        (!text.is_empty()).then_some(text)
    }
}

impl Certificate<'_> {
    /// The value of the variable `name`. None if the certificate has no such value.
    pub fn variable(&self, name: &str, context: &Context) -> Option<String> {
        let parsed = &self.parsed;
        Some(match name {
            "M_VERSION" => (parsed.version().0 + 1).to_string(),
            "M_SERIAL" => self.serial(),
            "V_START" => time_text(&parsed.validity().not_before)?,
            "V_END" => time_text(&parsed.validity().not_after)?,
            "V_REMAIN" => ((self.not_after() - context.now).max(0) / SECONDS_PER_DAY).to_string(),
            "S_DN" => context.name(parsed.subject())?,
            "I_DN" => context.name(parsed.issuer())?,
            "A_SIG" => algorithm(parsed.signature_algorithm.algorithm.to_id_string()),
            "A_KEY" => algorithm(parsed.public_key().algorithm.algorithm.to_id_string()),
            "CERT" => pem::certificate(self.der),
            "CERT_RFC4523_CEA" => self.exact_assertion(),
            "CERT_SHA256" => hex_sha256(self.der),
            "SPKI_SHA256" => hex_sha256(self.spki_der()),
            _ => {
                return if let Some(part) = name.strip_prefix("S_DN_") {
                    part_of(parsed.subject(), part)
                } else if let Some(part) = name.strip_prefix("I_DN_") {
                    part_of(parsed.issuer(), part)
                } else {
                    self.alternative_name(name.strip_prefix("SAN_")?)
                };
            }
        })
    }

    /// The variables of `StdEnvVars`, as name (after `prefix`) and value, in mod_ssl's order.
    pub fn std_env(&self, prefix: &str, context: &Context) -> Vec<(String, String)> {
        const SINGLE: [&str; 9] = [
            "M_VERSION",
            "M_SERIAL",
            "V_START",
            "V_END",
            "V_REMAIN",
            "S_DN",
            "I_DN",
            "A_KEY",
            "A_SIG",
        ];
        let mut env: Vec<(String, String)> = SINGLE
            .iter()
            .filter_map(|name| Some((format!("{prefix}{name}"), self.variable(name, context)?)))
            .collect();
        for (part, name) in [("S_DN_", self.parsed.subject()), ("I_DN_", self.parsed.issuer())] {
            push_parts(&mut env, &format!("{prefix}{part}"), name);
        }
        for kind in ["Email", "DNS", "OTHER_msUPN", "OTHER_dnsSRV"] {
            let values = self.alternative_names_of(kind).into_iter().enumerate();
            env.extend(values.map(|(number, value)| (format!("{prefix}SAN_{kind}_{number}"), value)));
        }
        env
    }

    /// The serial number in hex in OpenSSL's format: bytes in upper case, with a minus sign if it is negative.
    fn serial(&self) -> String {
        let bytes = self.parsed.raw_serial();
        let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
        let mut magnitude = bytes.to_vec();
        if negative {
            // Two's complement.
            let mut carry = true;
            for byte in magnitude.iter_mut().rev() {
                (*byte, carry) = (!*byte).overflowing_add(u8::from(carry));
            }
        }
        let start = magnitude
            .iter()
            .position(|byte| *byte != 0)
            .unwrap_or(magnitude.len().saturating_sub(1));
        let sign = if negative { "-" } else { "" };
        magnitude[start..].iter().fold(sign.to_owned(), |mut text, byte| {
            let _ = write!(text, "{byte:02X}");
            text
        })
    }

    /// RFC 4523's certificateExactAssertion: the issuer and the serial number. As in mod_ssl, quotes are not doubled.
    fn exact_assertion(&self) -> String {
        let serial = &self.parsed.tbs_certificate.serial;
        let issuer = dn::rfc2253(self.parsed.issuer());
        format!("{{ serialNumber {serial}, issuer rdnSequence:\"{issuer}\" }}")
    }

    fn alternative_name(&self, name: &str) -> Option<String> {
        let (kind, number) = name.rsplit_once('_')?;
        let number: usize = number.parse().ok()?;
        self.alternative_names_of(kind).into_iter().nth(number)
    }

    fn alternative_names_of(&self, kind: &str) -> Vec<String> {
        self.alternative_names()
            .iter()
            .filter_map(|name| match (kind, name) {
                ("Email", GeneralName::RFC822Name(text)) | ("DNS", GeneralName::DNSName(text)) => {
                    Some((*text).to_owned())
                }
                ("OTHER_msUPN", GeneralName::OtherName(oid, value)) if oid.to_id_string() == UPN => other_name(value),
                ("OTHER_dnsSRV", GeneralName::OtherName(oid, value)) if oid.to_id_string() == DNS_SRV => {
                    other_name(value)
                }
                _ => None,
            })
            .collect()
    }
}

/// The string in an otherName, whose value is tagged `[0] EXPLICIT`.
pub(super) fn other_name(value: &[u8]) -> Option<String> {
    let (_, tagged) = Any::from_der(value).ok()?;
    let inner = Any::from_der(tagged.data).map(|(_, inner)| inner);
    dn::decode(&inner.unwrap_or(tagged))
}

/// `CN`, `CN_1`, `CN_RAW` or `CN_1_RAW`: an attribute of `name`. Without a number it is the first.
fn part_of(name: &X509Name<'_>, part: &str) -> Option<String> {
    let (part, raw) = match part.strip_suffix("_RAW") {
        Some(part) => (part, true),
        None => (part, false),
    };
    let (part, number) = match part.rsplit_once('_') {
        Some((part, number)) => (part, number.parse::<usize>().ok()?),
        None => (part, 0),
    };
    let oid = PARTS
        .iter()
        .find(|(known, _)| *known == part)
        .map_or(part, |(_, oid)| oid);
    name.iter_attributes()
        .filter(|attribute| attribute.attr_type().to_id_string() == oid)
        .nth(number)
        .and_then(|attribute| dn::attribute_text(attribute.attr_value(), raw))
}

/// Adds a variable for each attribute that has one; the second of a kind gets `_1`, and so on.
fn push_parts(env: &mut Vec<(String, String)>, prefix: &str, name: &X509Name<'_>) {
    let mut seen: Vec<String> = Vec::new();
    for attribute in name.iter_attributes() {
        let oid = attribute.attr_type().to_id_string();
        let Some((part, _)) = PARTS.iter().find(|(_, known)| *known == oid) else {
            continue;
        };
        let Some(value) = dn::attribute_text(attribute.attr_value(), false) else {
            continue;
        };
        let number = seen.iter().filter(|known| **known == oid).count();
        let suffix = if number == 0 {
            String::new()
        } else {
            format!("_{number}")
        };
        env.push((format!("{prefix}{part}{suffix}"), value));
        seen.push(oid);
    }
}

fn algorithm(oid: String) -> String {
    ALGORITHMS
        .iter()
        .find(|(known, _)| *known == oid)
        .map_or(oid, |(_, name)| (*name).to_owned())
}

/// A time in OpenSSL's format: `Jan  2 03:04:05 2026 GMT`.
fn time_text(time: &ASN1Time) -> Option<String> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let time = time.to_datetime();
    let month = MONTHS.get(usize::from(u8::from(time.month())).checked_sub(1)?)?;
    Some(format!(
        "{month} {:2} {:02}:{:02}:{:02} {} GMT",
        time.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.year()
    ))
}

fn hex_sha256(data: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, data).as_ref())
}

/// Bytes in lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
