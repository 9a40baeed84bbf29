// SPDX-License-Identifier: Apache-2.0
//! Distinguished names as text, in the format that OpenSSL uses for mod_ssl: RFC 2253, with unescaped UTF-8.

use std::fmt::Write;

use x509_parser::asn1_rs::{Any, Tag};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// OpenSSL's short names of attributes.
const SHORT_NAMES: &[(&str, &str)] = &[
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "street"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "title"),
    ("2.5.4.13", "description"),
    ("2.5.4.15", "businessCategory"),
    ("2.5.4.17", "postalCode"),
    ("2.5.4.41", "name"),
    ("2.5.4.42", "GN"),
    ("2.5.4.43", "initials"),
    ("2.5.4.44", "generationQualifier"),
    ("2.5.4.45", "x500UniqueIdentifier"),
    ("2.5.4.46", "dnQualifier"),
    ("2.5.4.65", "pseudonym"),
    ("2.5.4.97", "organizationIdentifier"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
    ("1.2.840.113549.1.9.2", "unstructuredName"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.3.6.1.4.1.311.60.2.1.1", "jurisdictionL"),
    ("1.3.6.1.4.1.311.60.2.1.2", "jurisdictionST"),
    ("1.3.6.1.4.1.311.60.2.1.3", "jurisdictionC"),
];

/// The name in the format of RFC 2253. The RDNs, and the attributes within each RDN, are in reverse order.
pub(super) fn rfc2253(name: &X509Name<'_>) -> String {
    let mut rdns: Vec<String> = name
        .iter_rdn()
        .map(|rdn| {
            let mut attributes: Vec<String> = rdn.iter().map(attribute).collect();
            attributes.reverse();
            attributes.join("+")
        })
        .collect();
    rdns.reverse();
    rdns.join(",")
}

/// The name in the format of OpenSSL's X509_NAME_oneline: a slash before every RDN, a plus between the attributes of
/// one. Printable ASCII bytes of values are unchanged.
pub(super) fn legacy(name: &X509Name<'_>) -> String {
    let mut text = String::new();
    for rdn in name.iter_rdn() {
        for (at, attribute) in rdn.iter().enumerate() {
            text.push(if at == 0 { '/' } else { '+' });
            push_legacy(&mut text, attribute);
        }
    }
    text
}

fn push_legacy(text: &mut String, attribute: &AttributeTypeAndValue<'_>) {
    let oid = attribute.attr_type().to_id_string();
    let short = SHORT_NAMES.iter().find(|(known, _)| *known == oid);
    text.push_str(short.map_or(oid.as_str(), |(_, short)| short));
    text.push('=');
    for &byte in attribute.attr_value().data {
        match byte {
            b'/' | b'+' => {
                text.push('\\');
                text.push(char::from(byte));
            }
            b' '..=b'~' => text.push(char::from(byte)),
            // Writing to a string does not fail.
            _ => drop(write!(text, "\\x{byte:02X}")),
        }
    }
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let oid = attribute.attr_type().to_id_string();
    let value = attribute.attr_value();
    match SHORT_NAMES.iter().find(|(known, _)| *known == oid) {
        Some((_, short)) => match decode(value) {
            Some(text) => format!("{short}={}", escape_rfc2253(&text)),
            None => format!("{short}={}", dump(value)),
        },
        // The value syntax of unknown attributes is unknown too.
        None => format!("{oid}={}", dump(value)),
    }
}

/// The fallback of RFC 2253: `#` and the DER encoding in hex.
fn dump(value: &Any<'_>) -> String {
    use x509_parser::asn1_rs::ToDer;
    let der = value.to_der_vec().unwrap_or_default();
    der.iter().fold("#".to_owned(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02X}");
        text
    })
}

/// The text of an ASN.1 string of any type. None for other types.
pub(super) fn decode(value: &Any<'_>) -> Option<String> {
    let data = value.data;
    match value.tag() {
        Tag::Utf8String => Some(String::from_utf8_lossy(data).into_owned()),
        // In practice T61String contains Latin-1, and OpenSSL treats it so; the others are ASCII.
        Tag::PrintableString
        | Tag::Ia5String
        | Tag::T61String
        | Tag::NumericString
        | Tag::VisibleString
        | Tag::GeneralString => Some(data.iter().map(|&byte| char::from(byte)).collect()),
        Tag::BmpString => Some(
            data.chunks_exact(2)
                .map(|pair| char::from_u32(u32::from(pair[0]) << 8 | u32::from(pair[1])).unwrap_or('\u{fffd}'))
                .collect(),
        ),
        Tag::UniversalString => Some(
            data.chunks_exact(4)
                .map(|four| {
                    let code = four.iter().fold(0, |code, &byte| code << 8 | u32::from(byte));
                    char::from_u32(code).unwrap_or('\u{fffd}')
                })
                .collect(),
        ),
        _ => None,
    }
}

fn escape_rfc2253(text: &str) -> String {
    let last = text.chars().count().saturating_sub(1);
    let mut escaped = String::with_capacity(text.len());
    for (at, c) in text.chars().enumerate() {
        match c {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => {
                escaped.push('\\');
                escaped.push(c);
            }
            '#' if at == 0 => escaped.push_str("\\#"),
            ' ' if at == 0 || at == last => escaped.push_str("\\ "),
            c => push_printable(&mut escaped, c),
        }
    }
    escaped
}

/// Control characters are written as `\XX`, so that a log message stays in one line.
fn push_printable(text: &mut String, c: char) {
    match c {
        '\0'..='\x1f' | '\x7f' => drop(write!(text, "\\{:02X}", c as u32)),
        c => text.push(c),
    }
}

/// The value of an attribute for its own variable. If `raw`, which means not UTF-8 in OpenSSL, characters that are not
/// in Latin-1 are written as `\UXXXX` or `\WXXXXXXXX`.
pub(super) fn attribute_text(value: &Any<'_>, raw: bool) -> Option<String> {
    let decoded = decode(value)?;
    let mut text = String::with_capacity(decoded.len());
    for c in decoded.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '\u{10000}'.. if raw => drop(write!(text, "\\W{:08X}", c as u32)),
            '\u{100}'.. if raw => drop(write!(text, "\\U{:04X}", c as u32)),
            c => push_printable(&mut text, c),
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaping() {
        assert_eq!(escape_rfc2253("a,b+c"), "a\\,b\\+c");
        assert_eq!(escape_rfc2253(" #x "), "\\ #x\\ ");
        assert_eq!(escape_rfc2253("#x"), "\\#x");
        assert_eq!(escape_rfc2253("Zoë\n"), "Zoë\\0A");
        assert_eq!(escape_rfc2253(""), "");
    }
}
