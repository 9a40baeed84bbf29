// SPDX-License-Identifier: Apache-2.0
//! A whole configuration: what was said is put in here, what connections use comes out.
//!
//! May use: backend, base, crypto, info, keys, mod_ssl, process, session, settings, site, trust, x509.

mod compile;
mod dump;
mod reader;
pub mod vhosts;

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::backend::profile::ProxyProfile;
use crate::backend::store::ProxyStore;
use crate::base::clock::unix_now;
use crate::base::diagnostics::{Diagnostics, Origin, Severity};
use crate::base::directive::Directive;
use crate::base::directive_names;
use crate::config::compile::Compiler;
use crate::config::vhosts::NameIndex;
use crate::keys::identity::IdentityFiles;
use crate::process::Process;
use crate::process::counters::Counters;
use crate::session::resumption::CacheSlot;
use crate::session::tickets::TicketKeys;
use crate::settings::handshake_timeout::HandshakeTimeout;
use crate::settings::sni_policy::SniPolicy;
use crate::settings::{EngineAddress, SessionCache};
use crate::site::Site;
use crate::trust::revocation::RevocationLists;

/// A server of httpd's: the base server or a virtual host, as the configuration describes it.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its ServerName.
    pub name: String,
    /// The port of its ServerName; 0 if that has none.
    pub port: u16,
    /// Whether it is at a port that httpd was told to be for https.
    pub https: bool,
    /// Its ServerAliases, those with wildcards included.
    pub aliases: Vec<String>,
    /// Where it begins in the configuration.
    pub origin: Origin,
    /// The addresses that it is for; no IP address means all, port 0 means all.
    pub addresses: Vec<(Option<IpAddr>, u16)>,
    /// What its own directives say.
    pub directives: Vec<Directive>,
    /// Certificates that another module has for it, instead of those that are configured.
    pub supplied: Vec<IdentityFiles>,
    /// Certificates that another module has for it until there are real ones.
    pub stopgaps: Vec<IdentityFiles>,
}

/// What a configuration is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Only to be tested: it must change nothing outside, and all that can be found shall be.
    Test,
    /// The first of the two passes of a start. What does not prevent the start is said in the second one.
    First,
    /// To be used.
    Run,
}

/// Collects a configuration.
#[derive(Debug)]
pub struct Builder {
    pub(crate) process: Arc<Process>,
    pub(crate) server_root: PathBuf,
    pub(crate) mode: Mode,
    pub(crate) has_stapler: bool,
    pub(crate) is_mod_ssl: bool,
    /// Whether another module may have certificates for hosts.
    pub(crate) has_supplier: bool,
    /// Whether another module may speak TLS at some port.
    pub(crate) has_other_tls: bool,
    /// Where httpd listens; no IP address means all.
    pub(crate) listeners: Vec<(Option<IpAddr>, u16)>,
    pub(crate) servers: Vec<Server>,
    pub(crate) chains: HashMap<usize, Vec<usize>>,
    pub(crate) proxy_blocks: Vec<ProxyBlock>,
    pub(crate) proxy_chains: Vec<(usize, Vec<usize>)>,
}

/// `TLSProxy…` directives that stand together.
#[derive(Clone, Debug)]
pub struct ProxyBlock {
    /// The server that they stand in.
    pub server: usize,
    /// What they say.
    pub directives: Vec<Directive>,
}

impl Builder {
    /// Begins a configuration whose relative paths start at `server_root`.
    pub fn new(process: Arc<Process>, server_root: PathBuf) -> Self {
        Self {
            process,
            server_root,
            mode: Mode::Run,
            has_stapler: false,
            is_mod_ssl: false,
            has_supplier: false,
            has_other_tls: false,
            listeners: Vec::new(),
            servers: Vec::new(),
            chains: HashMap::new(),
            proxy_blocks: Vec::new(),
            proxy_chains: Vec::new(),
        }
    }

    /// Says what the configuration is compiled for, if not to be used.
    pub fn set_mode(&mut self, mode: Mode) {
        self.mode = mode;
    }

    /// Says that another module provides OCSP responses.
    pub fn set_stapler(&mut self) {
        self.has_stapler = true;
    }

    /// Says whether mod_ssl's directives are there, and whether they are the only ones; `version` is that of httpd.
    pub fn set_mod_ssl(&mut self, is_there: bool, only: bool, version: &str) {
        self.is_mod_ssl = is_there;
        directive_names::choose(only, version);
    }

    /// Says that another module may have certificates for hosts, once it can be asked.
    pub fn set_supplier(&mut self) {
        self.has_supplier = true;
    }

    /// Says that another module may speak TLS at some port.
    pub fn set_other_tls(&mut self) {
        self.has_other_tls = true;
    }

    /// Adds an address that httpd listens to; no IP address means all.
    pub fn add_listener(&mut self, ip: Option<IpAddr>, port: u16) {
        self.listeners.push((ip, port));
    }

    /// Adds the next server and returns its index. The first one is the base server.
    pub fn add_server(&mut self, server: Server) -> usize {
        self.servers.push(server);
        self.servers.len() - 1
    }

    /// The server `index`, to say more about it.
    pub fn server(&mut self, index: usize) -> Option<&mut Server> {
        self.servers.get_mut(index)
    }

    /// Begins a block of `TLSProxy…` directives in `server` and returns its number.
    pub fn add_proxy_block(&mut self, server: usize) -> usize {
        self.proxy_blocks.push(ProxyBlock {
            server,
            directives: Vec::new(),
        });
        self.proxy_blocks.len() - 1
    }

    /// The block `index`, to say more in it.
    pub fn proxy_block(&mut self, index: usize) -> Option<&mut ProxyBlock> {
        self.proxy_blocks.get_mut(index)
    }

    /// Says that requests in `server` may meet the blocks of `chain`, the outermost first.
    pub fn add_proxy_chain(&mut self, server: usize, chain: Vec<usize>) {
        self.proxy_chains.push((server, chain));
    }

    /// Says that the next server that connections to the address known as `chain` may mean is `server`.
    pub fn add_to_chain(&mut self, chain: usize, server: usize) {
        self.chains.entry(chain).or_default().push(server);
    }

    /// Whether the hosts of the address known as `chain` are known.
    pub fn has_chain(&self, chain: usize) -> bool {
        self.chains.contains_key(&chain)
    }

    /// Checks everything. The configuration is there if there was no error.
    pub fn compile(self) -> (Option<Arc<Config>>, Diagnostics) {
        Compiler::new(self).run()
    }
}

/// An immutable configuration. Connections keep the one that they began with.
#[derive(Debug)]
pub struct Config {
    pub(crate) process: Arc<Process>,
    pub(crate) engines: Vec<EngineAddress>,
    /// Of each server, whether it is TLS by mod_ssl's rules.
    pub(crate) ssl_servers: Vec<bool>,
    /// The files of certificates, host by host.
    pub(crate) certificate_files: Vec<Arc<Path>>,
    /// Whether it was asserted that all of it is approved by FIPS 140-3.
    pub(crate) fips: bool,
    /// Whether server names that no host has are refused, if that was said.
    pub(crate) strict_sni: Option<bool>,
    /// Of each server, whether clients have to say whom they want.
    pub(crate) require_sni: Vec<bool>,
    pub(crate) sni_policy: Option<SniPolicy>,
    pub(crate) sites: Vec<Option<Site>>,
    pub(crate) handshake_timeouts: Vec<Option<HandshakeTimeout>>,
    pub(crate) chains: HashMap<usize, NameIndex>,
    pub(crate) cache: Arc<CacheSlot>,
    pub(crate) session_cache: SessionCache,
    pub(crate) session_cache_required: bool,
    pub(crate) ticket_keys: Vec<Arc<TicketKeys>>,
    pub(crate) revocation_lists: Vec<Arc<RevocationLists>>,
    pub(crate) proxies: ProxyStore,
    pub(crate) proxy_chains: Vec<(usize, Vec<usize>)>,
}

impl Config {
    /// Whether connections to the local address, whose first server is `server`, are TLS.
    pub fn is_enabled(&self, ip: IpAddr, port: u16, server: usize) -> bool {
        self.is_ssl(server) || self.engines.iter().any(|engine| engine.matches(ip, port))
    }

    /// Whether any connection can be TLS.
    pub fn is_active(&self) -> bool {
        !self.engines.is_empty() || self.ssl_servers.contains(&true)
    }

    /// Whether the server is TLS by mod_ssl's rules.
    pub(crate) fn is_ssl(&self, server: usize) -> bool {
        self.ssl_servers.get(server) == Some(&true)
    }

    /// The server that `sni` means among those of `chain`, or `default` if it means none, and the one whose site is used:
    /// mod_ssl lets hosts that are not TLS use the default's. An error if names that no host has are refused.
    pub fn find_server(&self, chain: usize, default: usize, sni: Option<&str>) -> Result<(usize, usize), UnknownName> {
        let Some(sni) = sni else { return Ok((default, default)) };
        match self.chains.get(&chain).and_then(|index| index.find(sni)) {
            Some(server) if self.is_ssl(default) && self.site(server as usize).is_none() => {
                Ok((server as usize, default))
            }
            Some(server) => Ok((server as usize, server as usize)),
            // mod_ssl lets them in.
            None if self.strict_sni.unwrap_or(!self.is_ssl(default)) => Err(UnknownName),
            None => Ok((default, default)),
        }
    }

    /// The site of the server `index`; none if no TLS connection can mean that server.
    pub fn site(&self, index: usize) -> Option<&Site> {
        self.sites.get(index)?.as_ref()
    }

    /// Whether a request for `server`, on a connection to `connected`, needs a client that has named a host in the handshake.
    pub(crate) fn requires_sni(&self, server: usize, connected: usize) -> bool {
        [server, connected]
            .iter()
            .any(|index| self.require_sni.get(*index) == Some(&true))
    }

    /// The file of certificate `index`.
    pub fn certificate_file(&self, index: usize) -> Option<&Path> {
        self.certificate_files.get(index).map(AsRef::as_ref)
    }

    /// Whether this module speaks TLS to backends where the blocks of `chain`, the outermost first, hold.
    pub fn is_proxy_enabled(&self, chain: &[usize]) -> bool {
        self.proxies.settings(chain).is_on()
    }

    /// Whether a connection to a backend that was made where the blocks of `chain` hold may serve where those of `other` do.
    pub fn proxies_agree(&self, chain: &[usize], other: &[usize]) -> bool {
        self.proxies.agree(chain, other)
    }

    /// How backends are spoken to where the blocks of `chain` hold, or why they cannot be.
    pub fn proxy_profile(&self, chain: &[usize]) -> Result<Arc<ProxyProfile>, String> {
        let mut diagnostics = Diagnostics::default();
        let profile = self.proxies.profile(chain, 0, &mut diagnostics);
        profile.ok_or_else(|| {
            let texts: Vec<_> = diagnostics.list().iter().map(|one| one.text.as_str()).collect();
            match texts.is_empty() {
                true => "the TLSProxy settings of this place cannot be used, see above".to_owned(),
                false => texts.join("; "),
            }
        })
    }

    /// How long a handshake with the server `index` may take.
    pub fn handshake_timeout(&self, index: usize) -> Option<HandshakeTimeout> {
        self.handshake_timeouts.get(index).copied().flatten()
    }

    /// Where children shall share sessions, and whether the server must not start without.
    pub fn session_cache(&self) -> (&SessionCache, bool) {
        (&self.session_cache, self.session_cache_required)
    }

    /// The place for the cache that children share.
    pub fn cache_slot(&self) -> &CacheSlot {
        &self.cache
    }

    /// Moves ticket keys on to the period of the clock, and reads revocation lists that have changed: children to come
    /// shall begin with what is current.
    pub fn tick(&self) {
        self.ticket_keys.iter().for_each(|keys| keys.tick());
        let now = unix_now();
        self.revocation_lists.iter().for_each(|lists| lists.refresh(now));
        self.proxies.refresh(now);
    }

    /// The oldest message for the error log that waits in this process.
    pub fn next_message(&self) -> Option<(Severity, String)> {
        self.process.journal.take()
    }

    /// The counters.
    pub fn counters(&self) -> &Counters {
        &self.process.counters
    }
}

/// A server name that no host has, under `TLSStrictSNI on`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownName;
