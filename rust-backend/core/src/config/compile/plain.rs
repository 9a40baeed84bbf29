// SPDX-License-Identifier: Apache-2.0
//! Hosts that have a certificate but are served in plain HTTP, and TLS ports that cannot be reached.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use super::Compiler;
use crate::base::diagnostics::Severity;
use crate::settings::EngineAddress;

/// The addresses of a host.
type Addresses = Vec<(Option<IpAddr>, u16)>;

/// Hosts with the same addresses: the first one, and the number of others.
struct Hosts {
    first: usize,
    others: usize,
}

impl Compiler {
    /// Checks the certificates of hosts that TLS connections cannot reach, and warns about them.
    pub(super) fn check_plain_hosts(&mut self) {
        let mut plain: HashMap<Addresses, Hosts> = HashMap::new();
        let is_any_reachable = (0..self.hosts.len()).any(|index| self.is_reachable(index));
        for index in 0..self.hosts.len() {
            if !self.hosts[index].has_own_certificates || self.is_reachable(index) {
                continue;
            }
            // Invalid certificates are errors, as in other hosts.
            self.identities(index);
            // Certificates of the base server may only be inherited. `SSLEngine off` is explicit.
            let is_meant = self.hosts[index].engine.is_some() || index == 0 && is_any_reachable;
            if is_meant {
                continue;
            }
            // A wildcard address may be listed twice, for IPv4 and IPv6.
            let mut addresses = self.builder.servers[index].addresses.clone();
            addresses.sort_unstable();
            addresses.dedup();
            let new = Hosts {
                first: index,
                others: 0,
            };
            plain
                .entry(addresses)
                .and_modify(|hosts| hosts.others += 1)
                .or_insert(new);
        }
        let mut plain: Vec<_> = plain.into_iter().collect();
        plain.sort_by_key(|(_, hosts)| hosts.first);
        for (addresses, hosts) in plain {
            self.report_plain(&addresses, &hosts);
        }
    }

    fn report_plain(&mut self, addresses: &Addresses, hosts: &Hosts) {
        let index = hosts.first;
        let who = match hosts.others {
            0 => format!("{} is", self.describe(index)),
            1 => format!("{} and another one are", self.describe(index)),
            others => format!("{} and {others} others are", self.describe(index)),
        };
        let said = self.hosts[index].certificates.first().cloned();
        let (place, mend) = match (index, addresses.as_slice()) {
            (0, _) => {
                let listeners = self.builder.listeners.iter();
                let listeners: BTreeSet<_> = listeners.map(|listener| (listener.ip, listener.port)).collect();
                let ports = join(listeners.into_iter().map(place_of), " and ");
                (ports, "a TLSEngine for the one that is to be TLS".to_owned())
            }
            (_, addresses) => (
                join(addresses.iter().map(|address| place_of(*address)), " and "),
                join(addresses.iter().map(|address| self.mend_for(*address)), ", "),
            ),
        };
        let outcome = match self.builder.environment.has_other_tls {
            true => "this module does not serve TLS there",
            false => "requests are answered in plain HTTP",
        };
        let text = format!(
            "TLSCertificate has no effect: {who} at {place}, where no TLSEngine is, so {outcome}: add {mend}, or remove the \
             certificate"
        );
        let origin = said.as_ref().map(|said| &said.origin);
        self.diagnostics.report(Severity::Warning, index, origin, text);
    }

    /// The directive that enables TLS for an address.
    fn mend_for(&self, (ip, port): (Option<IpAddr>, u16)) -> String {
        let port = if port == 0 { 443 } else { port };
        let engine = EngineAddress { ip, port };
        match self.is_listened_to(engine) {
            true => format!("`TLSEngine {engine}`"),
            false => format!("`Listen {engine}` and `TLSEngine {engine}`"),
        }
    }

    /// Warns about `TLSEngine` addresses to which clients cannot connect.
    pub(super) fn check_engines(&mut self) {
        for said in self.global.engines.clone() {
            if self.is_listened_to(said.value) {
                continue;
            }
            let text = format!(
                "TLSEngine {0}: httpd does not listen there, so clients cannot connect: add `Listen {0}`, or remove it",
                said.value
            );
            self.report_at(Severity::Warning, 0, &said, text);
        }
    }

    /// Whether connections to the address can arrive.
    fn is_listened_to(&self, engine: EngineAddress) -> bool {
        let fits = |own: Option<IpAddr>| own.is_none() || engine.ip.is_none() || own == engine.ip;
        let listeners = &self.builder.listeners;
        listeners
            .iter()
            .any(|listener| listener.port == engine.port && fits(listener.ip))
    }
}

fn place_of((ip, port): (Option<IpAddr>, u16)) -> String {
    match (ip, port) {
        (None, 0) => "all ports".to_owned(),
        (Some(ip), 0) => format!("all ports of {ip}"),
        (None, port) => format!("port {port}"),
        (Some(_), port) => EngineAddress { ip, port }.to_string(),
    }
}

fn join(words: impl Iterator<Item = String>, between: &str) -> String {
    words.collect::<Vec<_>>().join(between)
}
