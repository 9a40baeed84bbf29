// SPDX-License-Identifier: Apache-2.0
//! Selection of a virtual host by server name, among those of one address.
//!
//! httpd searches the list of the address's hosts for the first whose ServerName or ServerAlias matches. This index
//! returns the same result without a linear search, which matters for addresses with thousands of hosts.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::base::wildcard::matches;

/// The hosts of one address, in httpd's order.
///
/// # Examples
///
/// ```
/// use mod_tls_core::config::vhosts::NameIndex;
///
/// let mut index = NameIndex::default();
/// index.add_host(0, ["www.example.org"]);
/// index.add_host(1, ["users.example.org", "*.example.org"]);
/// assert_eq!(index.find("www.example.org"), Some(0));
/// assert_eq!(index.find("alice.example.org"), Some(1));
/// assert_eq!(index.find("example.com"), None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameIndex {
    exact: HashMap<Box<str>, (u32, u32)>,
    /// Patterns with `*` and `?`, in the order of their hosts.
    patterns: Vec<(u32, Box<str>, u32)>,
    hosts: u32,
}

impl NameIndex {
    /// Adds the next host of the address: server `server` with its ServerName and its aliases.
    pub fn add_host<'a>(&mut self, server: u32, names: impl IntoIterator<Item = &'a str>) {
        let order = self.hosts;
        self.hosts += 1;
        for name in names {
            let name = name.to_ascii_lowercase().into_boxed_str();
            if name.contains(['*', '?']) {
                self.patterns.push((order, name, server));
            } else {
                self.exact.entry(name).or_insert((order, server));
            }
        }
    }

    /// The names of a server, in lower case.
    pub(crate) fn names_of(&self, server: u32) -> impl Iterator<Item = &str> {
        let exact = self.exact.iter().map(|(name, (_, of))| (name, of));
        let patterns = self.patterns.iter().map(|(_, name, of)| (name, of));
        exact
            .chain(patterns)
            .filter(move |(_, of)| **of == server)
            .map(|(name, _)| &**name)
    }

    /// All names with their servers, in lower case.
    pub fn names(&self) -> impl Iterator<Item = (&str, u32)> {
        let exact = self.exact.iter().map(|(name, (_, server))| (&**name, *server));
        let patterns = self.patterns.iter().map(|(_, name, server)| (&**name, *server));
        exact.chain(patterns)
    }

    /// The server for `name`, if there is one.
    pub fn find(&self, name: &str) -> Option<u32> {
        self.find_match(name).map(|(server, _)| server)
    }

    /// The server for `name`, if there is one, and the pattern with wildcards that has selected it, if it was one.
    fn find_match(&self, name: &str) -> Option<(u32, Option<&str>)> {
        let name = name.to_ascii_lowercase();
        let name = name.strip_suffix('.').unwrap_or(&name);
        let exact = self.exact.get(name).copied();
        let limit = exact.map_or(u32::MAX, |(order, _)| order);
        self.patterns
            .iter()
            .take_while(|(order, _, _)| *order < limit)
            .find(|(_, pattern, _)| matches(pattern.as_bytes(), name.as_bytes()))
            .map(|(_, pattern, server)| (*server, Some(&**pattern)))
            .or(exact.map(|(_, server)| (server, None)))
    }
}

/// The server that a handshake selects, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selection<'a> {
    /// The server.
    pub server: usize,
    /// The server whose site is used: with mod_ssl, hosts without TLS use that of the first host of the address.
    pub site: usize,
    /// Why.
    pub reason: Reason<'a>,
}

/// Why a server is selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason<'a> {
    /// The name is its ServerName or a ServerAlias.
    Name,
    /// The name matches this ServerAlias.
    Pattern(&'a str),
    /// The client has sent no name, and it is the first host of the address.
    NoName,
    /// No host has the name, and it is the first host of the address.
    Unknown,
}

/// What the selection depends on, besides the names.
#[derive(Clone, Copy, Debug)]
pub struct Address {
    /// The first server of the address.
    pub first: usize,
    /// Whether mod_ssl's rules apply to that one.
    pub is_ssl: bool,
    /// Whether unknown server names are refused, if this is configured.
    pub strict_sni: Option<bool>,
}

/// The server name is unknown, and unknown names are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownName;

impl Address {
    /// Selects a server by `sni` among those of this address, which have the names in `index`. `has_site` tells whether TLS
    /// connections can reach a server.
    pub fn select<'a>(
        &self,
        index: Option<&'a NameIndex>,
        sni: Option<&str>,
        has_site: impl Fn(usize) -> bool,
    ) -> Result<Selection<'a>, UnknownName> {
        let first = |reason| Selection {
            server: self.first,
            site: self.first,
            reason,
        };
        let Some(sni) = sni else {
            return Ok(first(Reason::NoName));
        };
        match index.and_then(|index| index.find_match(sni)) {
            Some((server, pattern)) => {
                let server = server as usize;
                let site = if self.is_ssl && !has_site(server) {
                    self.first
                } else {
                    server
                };
                Ok(Selection {
                    server,
                    site,
                    reason: pattern.map_or(Reason::Name, Reason::Pattern),
                })
            }
            // mod_ssl accepts unknown names.
            None if self.strict_sni.unwrap_or(!self.is_ssl) => Err(UnknownName),
            None => Ok(first(Reason::Unknown)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_host_in_order_wins() {
        let mut index = NameIndex::default();
        index.add_host(4, ["a.example", "www.a.example"]);
        index.add_host(7, ["*.example"]);
        index.add_host(9, ["b.example", "A.example"]);
        assert_eq!(index.find("a.example"), Some(4));
        assert_eq!(index.find("WWW.A.Example."), Some(4));
        assert_eq!(
            index.find("b.example"),
            Some(7),
            "an earlier pattern wins over a later name"
        );
        assert_eq!(index.find("example"), None);
        assert_eq!(index.find(""), None);
    }

    #[test]
    fn selection_and_its_reason() {
        let mut index = NameIndex::default();
        index.add_host(1, ["first.example"]);
        index.add_host(2, ["a.example", "*.a.example"]);
        let address = Address {
            first: 1,
            is_ssl: false,
            strict_sni: None,
        };
        let select = |address: Address, sni| address.select(Some(&index), sni, |server| server == 1);
        let of = |server, site, reason| Ok(Selection { server, site, reason });
        assert_eq!(select(address, Some("A.example.")), of(2, 2, Reason::Name));
        assert_eq!(
            select(address, Some("x.a.example")),
            of(2, 2, Reason::Pattern("*.a.example"))
        );
        assert_eq!(select(address, None), of(1, 1, Reason::NoName));
        assert_eq!(select(address, Some("other.example")), Err(UnknownName));
        let lenient = Address {
            strict_sni: Some(false),
            ..address
        };
        assert_eq!(select(lenient, Some("other.example")), of(1, 1, Reason::Unknown));
        let ssl = Address {
            is_ssl: true,
            ..address
        };
        assert_eq!(select(ssl, Some("other.example")), of(1, 1, Reason::Unknown));
        assert_eq!(select(ssl, Some("a.example")), of(2, 1, Reason::Name));
        assert_eq!(
            Address {
                strict_sni: Some(true),
                ..ssl
            }
            .select(None, Some("a.example"), |_| true),
            Err(UnknownName)
        );
    }
}
