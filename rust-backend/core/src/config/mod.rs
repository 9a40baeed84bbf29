// SPDX-License-Identifier: Apache-2.0
//! A whole configuration: what was said is put in here, what connections use comes out.
//!
//! May use: backend, base, crypto, directives, info, keys, mod_ssl, process, session, settings, site, trust, x509.

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
use crate::config::compile::Compiler;
use crate::config::vhosts::NameIndex;
use crate::keys::identity::IdentityFiles;
use crate::process::Process;
use crate::process::counters::Counters;
use crate::process::watch::Watch;
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
    /// The protocol that httpd was told to be spoken there, if it was: `https`.
    pub protocol: Option<String>,
    /// The protocols that it offers by ALPN, separated by spaces.
    pub alpn: String,
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

impl Server {
    /// A server with a name, of which nothing else was said.
    pub fn new(name: impl Into<String>, origin: Origin) -> Self {
        Self {
            name: name.into(),
            port: 0,
            protocol: None,
            alpn: String::new(),
            aliases: Vec::new(),
            origin,
            addresses: Vec::new(),
            directives: Vec::new(),
            supplied: Vec::new(),
            stopgaps: Vec::new(),
        }
    }
}

/// What a configuration is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum CompileMode {
    /// Only to be tested: it must change nothing outside, and all that can be found shall be.
    Test,
    /// The first of the two passes of a start. What does not prevent the start is said in the second one.
    First,
    /// To be used.
    Run,
}

/// What of the rest of httpd matters to the meaning of directives.
#[derive(Clone, Debug)]
pub struct Environment {
    /// What the configuration is compiled for.
    pub mode: CompileMode,
    /// Where relative paths start.
    pub server_root: PathBuf,
    /// Whether another module provides OCSP responses.
    pub has_stapler: bool,
    /// Whether another module may have certificates for hosts, once it can be asked.
    pub has_supplier: bool,
    /// Whether another module may speak TLS at some port.
    pub has_other_tls: bool,
    /// Whether mod_ssl's directives are there.
    pub has_mod_ssl: bool,
}

impl Environment {
    /// That of a configuration to be used, whose relative paths start at `server_root`, with no other modules.
    pub fn new(server_root: impl Into<PathBuf>) -> Self {
        Self {
            mode: CompileMode::Run,
            server_root: server_root.into(),
            has_stapler: false,
            has_supplier: false,
            has_other_tls: false,
            has_mod_ssl: false,
        }
    }
}

/// An address that httpd listens to.
#[derive(Clone, Debug)]
pub struct Listener {
    /// The local address; none for all.
    pub ip: Option<IpAddr>,
    /// The local port.
    pub port: u16,
    /// The protocol that `Listen` names, if it does: `https`.
    pub protocol: Option<String>,
}

/// Directives of other modules that matter here.
const FOREIGN: [&str; 2] = ["ServerName", "RequestReadTimeout"];

/// Collects a configuration.
#[derive(Debug)]
pub struct Builder {
    pub(crate) process: Arc<Process>,
    pub(crate) environment: Environment,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) servers: Vec<Server>,
    /// The virtual hosts, by the places where they begin.
    places: HashMap<Origin, usize>,
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
    /// Begins a configuration.
    pub fn new(process: Arc<Process>, environment: Environment) -> Self {
        Self {
            process,
            environment,
            listeners: Vec::new(),
            servers: Vec::new(),
            places: HashMap::new(),
            chains: HashMap::new(),
            proxy_blocks: Vec::new(),
            proxy_chains: Vec::new(),
        }
    }

    /// Adds an address that httpd listens to.
    pub fn add_listener(&mut self, listener: Listener) {
        self.listeners.push(listener);
    }

    /// Adds the next server and returns its index. The first one is the base server.
    pub fn add_server(&mut self, server: Server) -> usize {
        let index = self.servers.len();
        if index > 0 {
            self.places.insert(server.origin.clone(), index);
        }
        self.servers.push(server);
        index
    }

    /// Adds a directive of another module, if it matters here. `host` is the place where the `<VirtualHost>` begins that it
    /// stands in, if it stands in one. Virtual hosts and the tree of directives need not have the same order.
    pub fn add_foreign(&mut self, host: Option<&Origin>, name: &str, args: &str, origin: &Origin) {
        let known = FOREIGN.iter().find(|known| known.eq_ignore_ascii_case(name));
        let index = host.map_or(Some(0), |place| self.places.get(place).copied());
        let Some((known, server)) = known.zip(index.and_then(|index| self.servers.get_mut(index))) else {
            return;
        };
        server.directives.push(Directive {
            name: (*known).to_owned(),
            args: args
                .split_whitespace()
                .map(|word| word.trim_matches('"').to_owned())
                .collect(),
            origin: origin.clone(),
            in_section: false,
        });
    }

    /// Whether the server `index` is at a port for https: `Listen` says so, if httpd has not told the server yet.
    pub(crate) fn is_https(&self, index: usize) -> bool {
        let server = &self.servers[index];
        let told = server.protocol.as_deref().or_else(|| {
            let ports = server.addresses.iter().filter(|_| index > 0).map(|(_, port)| *port);
            ports
                .flat_map(|port| self.listeners.iter().filter(move |listener| listener.port == port))
                .find_map(|listener| listener.protocol.as_deref())
        });
        told == Some("https")
    }

    /// The server `index`, to say more about it.
    pub fn server(&mut self, index: usize) -> Option<&mut Server> {
        self.servers.get_mut(index)
    }

    /// Adds a block of `TLSProxy…` directives in `server` and returns its number.
    pub fn add_proxy_block(&mut self, server: usize, directives: Vec<Directive>) -> usize {
        self.proxy_blocks.push(ProxyBlock { server, directives });
        self.proxy_blocks.len() - 1
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
    /// Of each server, its place and its protocols; only in a configuration that is to be tested.
    pub(crate) described: Vec<(Origin, String)>,
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

    /// The deadlines of this process.
    pub(crate) fn watch(&self) -> &Watch {
        &self.process.watch
    }

    /// The counters.
    pub fn counters(&self) -> &Counters {
        &self.process.counters
    }
}

/// A server name that no host has, under `TLSStrictSNI on`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownName;
