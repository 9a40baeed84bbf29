// SPDX-License-Identifier: Apache-2.0
//! Extensions as text, in the form that OpenSSL prints for mod_ssl.

use std::net::IpAddr;

use x509_parser::asn1_rs::{Any, FromDer};
use x509_parser::extensions::{
    AuthorityKeyIdentifier, ExtendedKeyUsage, GeneralName, KeyUsage, ParsedExtension, X509Extension,
};

use super::variables::{DNS_SRV, UPN, other_name};
use super::{Certificate, dn};

/// OIDs of extensions with OpenSSL's short and long names.
const NAMES: &[(&str, &str, &str)] = &[
    ("2.5.29.14", "subjectKeyIdentifier", "X509v3 Subject Key Identifier"),
    ("2.5.29.15", "keyUsage", "X509v3 Key Usage"),
    ("2.5.29.17", "subjectAltName", "X509v3 Subject Alternative Name"),
    ("2.5.29.18", "issuerAltName", "X509v3 Issuer Alternative Name"),
    ("2.5.29.19", "basicConstraints", "X509v3 Basic Constraints"),
    ("2.5.29.32", "certificatePolicies", "X509v3 Certificate Policies"),
    ("2.5.29.35", "authorityKeyIdentifier", "X509v3 Authority Key Identifier"),
    ("2.5.29.37", "extendedKeyUsage", "X509v3 Extended Key Usage"),
    ("2.16.840.1.113730.1.13", "nsComment", "Netscape Comment"),
];

/// Extended key usages with OpenSSL's long names.
const PURPOSES: &[(&str, &str)] = &[
    ("1.3.6.1.5.5.7.3.1", "TLS Web Server Authentication"),
    ("1.3.6.1.5.5.7.3.2", "TLS Web Client Authentication"),
    ("1.3.6.1.5.5.7.3.3", "Code Signing"),
    ("1.3.6.1.5.5.7.3.4", "E-mail Protection"),
    ("1.3.6.1.5.5.7.3.8", "Time Stamping"),
    ("1.3.6.1.5.5.7.3.9", "OCSP Signing"),
    ("2.5.29.37.0", "Any Extended Key Usage"),
    ("1.3.6.1.4.1.311.20.2.2", "Microsoft Smartcard Login"),
    ("1.3.6.1.4.1.311.10.3.4", "Microsoft Encrypted File System"),
    ("1.3.6.1.5.2.3.4", "PKINIT Client Auth"),
];

/// Kinds of otherName that OpenSSL prints.
const OTHER_NAMES: &[(&str, &str)] = &[
    (UPN, "UPN"),
    (DNS_SRV, "SRVName"),
    ("1.3.6.1.5.5.7.8.5", "XmppAddr"),
    ("1.3.6.1.5.5.7.8.8", "NAIRealm"),
    ("1.3.6.1.5.5.7.8.9", "SmtpUTF8Mailbox"),
];

impl Certificate<'_> {
    /// The values of all extensions with the name or OID `name`; names are those of OpenSSL. Extensions that OpenSSL
    /// cannot print have no value, unless they are ASN.1 strings.
    pub fn extension_values(&self, name: &str) -> Vec<String> {
        let oid = NAMES
            .iter()
            .find(|(_, short, long)| *short == name || *long == name)
            .map_or(name, |(oid, _, _)| oid);
        self.parsed
            .extensions()
            .iter()
            .filter(|extension| extension.oid.to_id_string() == oid)
            .filter_map(text)
            .collect()
    }
}

fn text(extension: &X509Extension<'_>) -> Option<String> {
    match extension.parsed_extension() {
        ParsedExtension::BasicConstraints(constraints) => {
            let ca = if constraints.ca { "CA:TRUE" } else { "CA:FALSE" };
            Some(match constraints.path_len_constraint {
                Some(length) => format!("{ca}, pathlen:{length}"),
                None => ca.to_owned(),
            })
        }
        ParsedExtension::KeyUsage(usage) => Some(key_usage(usage)),
        ParsedExtension::ExtendedKeyUsage(usage) => Some(purposes(usage)),
        ParsedExtension::SubjectKeyIdentifier(id) => Some(hex(id.0)),
        ParsedExtension::AuthorityKeyIdentifier(id) => authority(id),
        ParsedExtension::SubjectAlternativeName(names) => Some(general_names(&names.general_names)),
        ParsedExtension::IssuerAlternativeName(names) => Some(general_names(&names.general_names)),
        ParsedExtension::CertificatePolicies(policies) => {
            let plain = policies.iter().all(|policy| policy.policy_qualifiers.is_none());
            let lines = policies.iter().map(|policy| format!("Policy: {}\n", policy.policy_id));
            plain.then(|| lines.collect())
        }
        _ => dn::decode(&Any::from_der(extension.value).ok()?.1),
    }
}

fn key_usage(usage: &KeyUsage) -> String {
    let names = [
        (usage.digital_signature(), "Digital Signature"),
        (usage.non_repudiation(), "Non Repudiation"),
        (usage.key_encipherment(), "Key Encipherment"),
        (usage.data_encipherment(), "Data Encipherment"),
        (usage.key_agreement(), "Key Agreement"),
        (usage.key_cert_sign(), "Certificate Sign"),
        (usage.crl_sign(), "CRL Sign"),
        (usage.encipher_only(), "Encipher Only"),
        (usage.decipher_only(), "Decipher Only"),
    ];
    let set: Vec<&str> = names
        .into_iter()
        .filter_map(|(set, name)| set.then_some(name))
        .collect();
    set.join(", ")
}

/// The order is that of the parser. It does not keep the order of the common purposes, so these are in the order of RFC
/// 5280.
fn purposes(usage: &ExtendedKeyUsage<'_>) -> String {
    let common = [
        (usage.any, "2.5.29.37.0"),
        (usage.server_auth, "1.3.6.1.5.5.7.3.1"),
        (usage.client_auth, "1.3.6.1.5.5.7.3.2"),
        (usage.code_signing, "1.3.6.1.5.5.7.3.3"),
        (usage.email_protection, "1.3.6.1.5.5.7.3.4"),
        (usage.time_stamping, "1.3.6.1.5.5.7.3.8"),
        (usage.ocsp_signing, "1.3.6.1.5.5.7.3.9"),
    ];
    let oids = common
        .into_iter()
        .filter(|(set, _)| *set)
        .map(|(_, oid)| oid.to_owned());
    let others = usage.other.iter().map(|oid| oid.to_id_string());
    let names: Vec<String> = oids
        .chain(others)
        .map(|oid| match PURPOSES.iter().find(|(known, _)| *known == oid) {
            Some((_, name)) => (*name).to_owned(),
            None => oid,
        })
        .collect();
    names.join(", ")
}

/// Only the form that contains nothing but a key identifier. The other forms are not used in practice.
fn authority(id: &AuthorityKeyIdentifier<'_>) -> Option<String> {
    match (&id.key_identifier, &id.authority_cert_issuer, id.authority_cert_serial) {
        (Some(key), None, None) => Some(hex(key.0) + "\n"),
        _ => None,
    }
}

fn general_names(names: &[GeneralName<'_>]) -> String {
    let names: Vec<String> = names.iter().map(general_name).collect();
    names.join(", ")
}

fn general_name(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) => format!("DNS:{name}"),
        GeneralName::RFC822Name(name) => format!("email:{name}"),
        GeneralName::URI(name) => format!("URI:{name}"),
        GeneralName::RegisteredID(oid) => format!("Registered ID:{oid}"),
        GeneralName::IPAddress(bytes) => format!("IP Address:{}", ip_address(bytes)),
        GeneralName::DirectoryName(name) => format!("DirName:{}", dn::legacy(name)),
        GeneralName::OtherName(oid, value) => {
            let kind = OTHER_NAMES.iter().find(|(known, _)| *known == oid.to_id_string());
            match (kind, other_name(value)) {
                (Some((_, kind)), Some(text)) => format!("othername: {kind}::{text}"),
                _ => "othername:<unsupported>".to_owned(),
            }
        }
        GeneralName::X400Address(_) => "X400Name:<unsupported>".to_owned(),
        _ => "EdiPartyName:<unsupported>".to_owned(),
    }
}

/// OpenSSL writes IPv6 addresses in full, in upper case.
fn ip_address(bytes: &[u8]) -> String {
    match (<[u8; 4]>::try_from(bytes), <[u8; 16]>::try_from(bytes)) {
        (Ok(v4), _) => IpAddr::from(v4).to_string(),
        (_, Ok(v6)) => {
            let groups = v6.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            groups.map(|group| format!("{group:X}")).collect::<Vec<_>>().join(":")
        }
        _ => "<invalid>".to_owned(),
    }
}

fn hex(bytes: &[u8]) -> String {
    let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    bytes.join(":")
}
