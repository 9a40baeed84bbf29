// SPDX-License-Identifier: Apache-2.0
//! Selection of a virtual host by server name, among those of one address.
//!
//! httpd searches the list of the address's hosts for the first whose ServerName or ServerAlias matches. This index
//! returns the same result without a linear search, which matters for addresses with thousands of hosts.

use std::collections::HashMap;

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
#[derive(Debug, Default)]
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

    /// The server for `name`, if there is one.
    pub fn find(&self, name: &str) -> Option<u32> {
        let name = name.to_ascii_lowercase();
        let name = name.strip_suffix('.').unwrap_or(&name);
        let exact = self.exact.get(name).copied();
        let limit = exact.map_or(u32::MAX, |(order, _)| order);
        self.patterns
            .iter()
            .take_while(|(order, _, _)| *order < limit)
            .find(|(_, pattern, _)| matches(pattern.as_bytes(), name.as_bytes()))
            .map(|(_, _, server)| *server)
            .or(exact.map(|(_, server)| server))
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
}
