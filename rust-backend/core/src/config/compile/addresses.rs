// SPDX-License-Identifier: Apache-2.0
//! The addresses with TLS, and the server that is first at each: what `tls-certs` shows.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Compiler;
use crate::base::diagnostics::Severity;
use crate::config::catalogue::HostAddress;
use crate::config::{CompileMode, Listener};
use crate::key_process::control::ControlSettings;

impl Compiler {
    /// The addresses with TLS.
    pub(super) fn addresses(&self) -> Vec<HostAddress> {
        let mut found = BTreeMap::new();
        for (&(ip, port), &chain) in &self.builder.addresses {
            for ip in self.ips_with_tls(ip, port, chain) {
                found.insert((ip, port), chain);
            }
        }
        // Where no virtual host is, the base server answers.
        let base = self.builder.chains.iter().find(|(_, hosts)| **hosts == [0]);
        for Listener { ip, port, .. } in &self.builder.listeners {
            let is_taken = |ip: &Option<IpAddr>| self.builder.addresses.contains_key(&(*ip, *port));
            if let Some((&chain, _)) = base.filter(|_| !is_taken(&None) && !is_taken(ip)) {
                for ip in self.ips_with_tls(*ip, *port, chain) {
                    found.entry((ip, *port)).or_insert(chain);
                }
            }
        }
        let first = |chain: usize| self.builder.chains.get(&chain).and_then(|hosts| hosts.first().copied());
        let addresses = found.into_iter().filter_map(|((ip, port), chain)| {
            Some(HostAddress {
                ip,
                port,
                first: first(chain)? as u32,
                chain: chain as u64,
            })
        });
        addresses.collect()
    }

    /// The parts of the address whose connections are TLS; it has the servers `chain`.
    fn ips_with_tls(&self, ip: Option<IpAddr>, port: u16, chain: usize) -> Vec<Option<IpAddr>> {
        let first = self.builder.chains.get(&chain).and_then(|hosts| hosts.first());
        if first.is_some_and(|first| self.hosts[*first].is_mod_ssls) {
            return vec![ip];
        }
        let engines = self.engines().filter(|engine| engine.port == port);
        let both = engines.filter_map(|engine| match (ip, engine.ip) {
            (_, None) => Some(ip),
            (Some(ip), Some(own)) => (own == ip).then_some(Some(ip)),
            (None, own) => (!self.builder.addresses.contains_key(&(own, port))).then_some(own),
        });
        both.collect()
    }

    /// The socket for `tls-certs`. None if there is none.
    pub(super) fn control(&self) -> Option<ControlSettings> {
        self.key_program()?;
        match &self.global.control {
            Some(said) => said.value.clone(),
            None => Some(ControlSettings::at(self.builder.environment.control_socket.clone()?)),
        }
    }

    /// Warns if the socket for `tls-certs` is named and there is no process to serve it.
    pub(super) fn check_control(&mut self) {
        let is_served = self.key_program().is_some();
        let mode = self.builder.environment.mode;
        if let Some(said) = self.global.control.clone()
            && said.value.is_some()
            && !is_served
            && mode != CompileMode::First
        {
            let text = "TLSControl has no effect without `TLSKeyProcess on`: the socket is served by tls-keyd --watch";
            self.report_at(Severity::Warning, 0, &said, text);
        }
    }
}
