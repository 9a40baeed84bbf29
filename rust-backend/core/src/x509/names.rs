// SPDX-License-Identifier: Apache-2.0
//! The host names that a certificate is valid for.

use std::net::IpAddr;

use x509_parser::extensions::GeneralName;

use super::{Certificate, dn};
use crate::base::wildcard::matches_alias;

impl Certificate<'_> {
    /// The DNS names and IP addresses of the certificate. Clients ignore the common name of the subject if there are
    /// other names, and most always do (RFC 9525). The common name is therefore included only if there is no other
    /// name.
    pub fn names(&self) -> Vec<String> {
        let names = self.alternative_host_names();
        if !names.is_empty() {
            return names;
        }
        self.common_names()
    }

    /// The common names of its subject.
    pub fn common_names(&self) -> Vec<String> {
        let common_names = self.parsed.subject().iter_common_name();
        common_names
            .filter_map(|attribute| dn::decode(attribute.attr_value()))
            .collect()
    }

    /// The DNS names and IP addresses in its subjectAltName.
    pub fn alternative_host_names(&self) -> Vec<String> {
        self.alternative_names()
            .iter()
            .filter_map(|name| match name {
                GeneralName::DNSName(name) => Some((*name).to_owned()),
                GeneralName::IPAddress(bytes) => ip_address(bytes).map(|ip| ip.to_string()),
                _ => None,
            })
            .collect()
    }

    /// Whether the certificate is valid for `host`, a DNS name or an IP address: RFC 9525 section 6.3.
    pub fn covers(&self, host: &str) -> bool {
        self.names().iter().any(|name| matches_host(name, host))
    }

    /// The same for a ServerAlias, in which `*` and `?` may stand for other characters. If the wildcard is possible in
    /// certificates, the certificate must contain it. For other wildcards one matching name is sufficient. An alias for
    /// all names is not checked.
    pub fn covers_alias(&self, alias: &str) -> bool {
        if !alias.contains(['*', '?']) {
            return self.covers(alias);
        }
        alias.chars().all(|c| c == '*') || self.names().iter().any(|name| covers_pattern(name, alias))
    }
}

fn covers_pattern(name: &str, alias: &str) -> bool {
    let is_literal = |text: &str| !text.contains(['*', '?']);
    match alias.split_once('.') {
        Some((first, parent)) if is_literal(parent) => {
            let same_wildcard = name
                .strip_prefix("*.")
                .is_some_and(|own| own.eq_ignore_ascii_case(parent));
            same_wildcard || first != "*" && matches_alias(alias, name)
        }
        _ => matches_alias(alias, name),
    }
}

/// Whether `name` from a certificate matches `host`, a DNS name or an IP address.
pub fn matches_host(name: &str, host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(ip) => name.parse() == Ok(ip),
        Err(_) => covers_name(name, host),
    }
}

fn ip_address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

/// A wildcard must be the whole first label and matches exactly one label.
fn covers_name(pattern: &str, host: &str) -> bool {
    let bare = |name: &str| name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let (pattern, host) = (bare(pattern), bare(host));
    match pattern.strip_prefix("*.") {
        Some(parent) => host
            .split_once('.')
            .is_some_and(|(label, rest)| !label.is_empty() && rest == parent),
        None => pattern == host,
    }
}

#[cfg(test)]
mod tests {
    use super::{covers_name, covers_pattern};

    #[test]
    fn aliases_with_wildcards() {
        for (name, alias, covered) in [
            ("*.a.test", "*.a.test", true),
            ("*.A.test", "*.a.TEST", true),
            ("www.a.test", "*.a.test", false),
            ("a.test", "*.a.test", false),
            ("*.a.test", "www*.a.test", true),
            ("www2.a.test", "www?.a.test", true),
            ("mail.a.test", "www?.a.test", false),
            ("www.a.test", "www.*", true),
            ("www.a.test", "*a.test", true),
            ("b.test", "*a.test", false),
        ] {
            assert_eq!(covers_pattern(name, alias), covered, "{name} {alias}");
        }
    }

    #[test]
    fn wildcards() {
        for (pattern, host, covered) in [
            ("a.example", "A.Example.", true),
            ("*.example", "a.example", true),
            ("*.example", "a.b.example", false),
            ("*.example", "example", false),
            ("*.example", ".example", false),
            ("a*.example", "ab.example", false),
        ] {
            assert_eq!(covers_name(pattern, host), covered, "{pattern} {host}");
        }
    }
}
