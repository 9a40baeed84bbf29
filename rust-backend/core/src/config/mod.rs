// SPDX-License-Identifier: Apache-2.0
//! The configuration: a [`Builder`] collects the directives and compiles them into the [`Config`] that connections use.
//!
//! May use: backend, base, crypto, directives, info, key_process, keys, mod_ssl, process, revocation, session, settings, site, trust,
//! x509.

pub mod catalogue;
mod compile;
mod dump;
mod expiry;
mod on_demand;
mod reader;
mod renewal;
mod reread;
pub(crate) mod revocation;
mod seed;
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
use crate::base::log_codes::Code;
use crate::config::catalogue::HostAddress;
use crate::config::compile::Compiler;
use crate::config::on_demand::{CertificateStore, StoreCache};
use crate::config::revocation::Online;
use crate::config::seed::SeedFile;
use crate::config::vhosts::{Address, NameIndex, UnknownName};
use crate::crypto::LIBRARY;
use crate::info::connection_info::INTERFACE;
use crate::key_process::control::ControlSettings;
use crate::keys::identity::IdentityFiles;
use crate::process::Process;
use crate::process::counted_cache::CountedCache;
use crate::process::counters::Counters;
use crate::process::watch::Watch;
use crate::session::resumption::{CacheSlot, SharedCache};
use crate::session::tickets::TicketKeys;
use crate::settings::handshake_timeout::HandshakeTimeout;
use crate::settings::monitoring::MonitoringSettings;
use crate::settings::sni_policy::SniPolicy;
use crate::settings::{EngineAddress, SessionCache, Watching};
use crate::site::Site;
use crate::trust::ca_set::CaSet;
use crate::trust::revocation::RevocationLists;

/// A server in httpd's terms: the base server or a virtual host.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its ServerName.
    pub name: String,
    /// The port of its ServerName; 0 if there is none.
    pub port: u16,
    /// The protocol of its port in httpd's configuration, if it is set: `https`.
    pub protocol: Option<String>,
    /// Its ALPN protocols, separated by spaces.
    pub alpn: String,
    /// Its ServerAliases, including those with wildcards.
    pub aliases: Vec<String>,
    /// Its place in the configuration.
    pub origin: Origin,
    /// Its addresses. No IP address means all, port 0 means all.
    pub addresses: Vec<(Option<IpAddr>, u16)>,
    /// The directives in the server.
    pub directives: Vec<Directive>,
    /// Certificates from another module, which replace the configured ones.
    pub supplied: Vec<IdentityFiles>,
    /// Certificates from another module for use until real ones are available.
    pub stopgaps: Vec<IdentityFiles>,
}

impl Server {
    /// A server with a name and no other settings.
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

/// The purpose of a compilation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum CompileMode {
    /// Only a test: it must have no side effects, and all errors must be found.
    Test,
    /// The first of the two passes of a start. Messages that do not prevent the start are reported in the second one.
    First,
    /// The configuration will be used.
    Run,
}

/// The properties of the httpd process that affect the meaning of directives.
#[derive(Clone, Debug)]
pub struct Environment {
    /// The purpose of the compilation.
    pub mode: CompileMode,
    /// The directory for relative paths.
    pub server_root: PathBuf,
    /// The `tls-keyd` that belongs to this module, whether it is installed or not.
    pub key_program: Option<PathBuf>,
    /// Where `tls-certs` finds the socket by which it asks this server, if the configuration names no other place.
    pub control_socket: Option<PathBuf>,
    /// Where OCSP responses and revocation lists are kept, if the configuration names no other place.
    pub revocation_cache: Option<PathBuf>,
    /// Whether another module provides OCSP responses.
    pub has_stapler: bool,
    /// Whether another module may provide certificates for hosts later.
    pub has_supplier: bool,
    /// Whether another module may serve TLS on some port.
    pub has_other_tls: bool,
    /// Whether mod_ssl's directives are available.
    pub has_mod_ssl: bool,
}

impl Environment {
    /// The environment of a configuration that will be used, without other modules. Relative paths are relative to
    /// `server_root`.
    pub fn new(server_root: impl Into<PathBuf>) -> Self {
        Self {
            mode: CompileMode::Run,
            server_root: server_root.into(),
            key_program: None,
            control_socket: None,
            revocation_cache: None,
            has_stapler: false,
            has_supplier: false,
            has_other_tls: false,
            has_mod_ssl: false,
        }
    }
}

/// An address to which httpd listens.
#[derive(Clone, Debug)]
pub struct Listener {
    /// The local address; none for all.
    pub ip: Option<IpAddr>,
    /// The local port.
    pub port: u16,
    /// The protocol in the `Listen` directive, if there is one: `https`.
    pub protocol: Option<String>,
}

/// Directives of other modules that are evaluated here.
const FOREIGN: [&str; 2] = ["ServerName", "RequestReadTimeout"];

/// Collects the directives of a configuration.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
///
/// use mod_tls_core::base::diagnostics::Origin;
/// use mod_tls_core::base::directive::Directive;
/// use mod_tls_core::config::{Builder, Environment, Server};
/// use mod_tls_core::process::Process;
///
/// let mut server = Server::new("www.example.org", Origin { file: "httpd.conf".into(), line: 1 });
/// for (line, name, value) in [(2, "TLSEngine", "443"), (3, "TLSProtocol", "SSLv3")] {
///     server.directives.push(Directive {
///         name: name.to_owned(),
///         args: vec![value.to_owned()],
///         origin: Origin { file: "httpd.conf".into(), line },
///         in_section: false,
///     });
/// }
/// let mut builder = Builder::new(Arc::new(Process::default()), Environment::new("/etc/httpd"));
/// builder.add_server(server);
/// let (config, diagnostics) = builder.compile();
/// assert!(config.is_none());
/// assert!(diagnostics.list().iter().any(|one| one.text.contains("httpd.conf:3")));
/// ```
#[derive(Debug)]
pub struct Builder {
    pub(crate) process: Arc<Process>,
    pub(crate) environment: Environment,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) servers: Vec<Server>,
    /// The virtual hosts by their place in the configuration.
    places: HashMap<Origin, usize>,
    pub(crate) chains: HashMap<usize, Vec<usize>>,
    /// The addresses of virtual hosts, and their chains.
    pub(crate) addresses: HashMap<(Option<IpAddr>, u16), usize>,
    pub(crate) proxy_blocks: Vec<ProxyBlock>,
    pub(crate) proxy_chains: Vec<(usize, Vec<usize>)>,
}

/// A block of `TLSProxy…` directives.
#[derive(Clone, Debug)]
pub struct ProxyBlock {
    /// The index of the server that contains the block.
    pub server: usize,
    /// The directives.
    pub directives: Vec<Directive>,
}

impl Builder {
    /// An empty configuration.
    pub fn new(process: Arc<Process>, environment: Environment) -> Self {
        Self {
            process,
            environment,
            listeners: Vec::new(),
            servers: Vec::new(),
            places: HashMap::new(),
            chains: HashMap::new(),
            addresses: HashMap::new(),
            proxy_blocks: Vec::new(),
            proxy_chains: Vec::new(),
        }
    }

    /// Adds an address to which httpd listens.
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

    /// Adds a directive of another module, if it is evaluated here. `host` is the place of the `<VirtualHost>` that
    /// contains it, if there is one. The order of virtual hosts may differ from that of the directives.
    pub fn add_foreign(&mut self, host: Option<&Origin>, name: &str, args: &str, origin: &Origin) {
        let Some(known) = FOREIGN.iter().find(|known| known.eq_ignore_ascii_case(name)) else {
            return;
        };
        let index = host.map_or(Some(0), |place| self.places.get(place).copied());
        let Some(server) = index.and_then(|index| self.servers.get_mut(index)) else {
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

    /// Whether the port of the server `index` is declared as `https`, by the server or by `Listen`.
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

    /// The server `index`, for modification.
    pub fn server(&mut self, index: usize) -> Option<&mut Server> {
        self.servers.get_mut(index)
    }

    /// Adds a block of `TLSProxy…` directives in `server` and returns its index.
    pub fn add_proxy_block(&mut self, server: usize, directives: Vec<Directive>) -> usize {
        self.proxy_blocks.push(ProxyBlock { server, directives });
        self.proxy_blocks.len() - 1
    }

    /// Declares that requests in `server` may use the blocks of `chain`, the outermost first.
    pub fn add_proxy_chain(&mut self, server: usize, chain: Vec<usize>) {
        self.proxy_chains.push((server, chain));
    }

    /// Appends `server` to the servers of the address `chain`, which are selected by server name.
    pub fn add_to_chain(&mut self, chain: usize, server: usize) {
        self.chains.entry(chain).or_default().push(server);
    }

    /// Whether the servers of the address `chain` were already added.
    pub fn has_chain(&self, chain: usize) -> bool {
        self.chains.contains_key(&chain)
    }

    /// Adds an address, whose servers are those of the address `chain`. No IP address means all that have no chain of their own.
    pub fn add_address(&mut self, ip: Option<IpAddr>, port: u16, chain: usize) {
        self.addresses.entry((ip, port)).or_insert(chain);
    }

    /// Validates and compiles the configuration. The result contains a configuration if there was no error.
    pub fn compile(self) -> (Option<Arc<Config>>, Diagnostics) {
        Compiler::new(self).run()
    }
}

/// An immutable configuration. A connection uses the same configuration until it ends.
#[derive(Debug)]
pub struct Config {
    pub(crate) process: Arc<Process>,
    pub(crate) engines: Vec<EngineAddress>,
    /// For each server, whether mod_ssl's rules apply.
    pub(crate) ssl_servers: Vec<bool>,
    /// The certificate files of all hosts.
    pub(crate) certificate_files: Vec<Arc<Path>>,
    /// The place of each server.
    pub(crate) places: Vec<Origin>,
    /// The ALPN protocols of each server; only in a test.
    pub(crate) described: Vec<String>,
    /// The addresses with TLS.
    pub(crate) addresses: Vec<HostAddress>,
    /// How the private keys are kept, for people.
    pub(crate) key_place: String,
    /// Whether all settings must be approved by FIPS 140-3.
    pub(crate) fips: bool,
    /// Whether unknown server names are refused, if this is configured.
    pub(crate) strict_sni: Option<bool>,
    /// For each server, whether clients must send a server name.
    pub(crate) require_sni: Vec<bool>,
    pub(crate) sni_policy: Option<SniPolicy>,
    pub(crate) sites: Vec<Option<Site>>,
    pub(crate) watching: Watching,
    /// What is asked of other machines.
    pub(crate) online: Option<Online>,
    /// Whether private keys are in httpd's processes, so that nobody watches files for them.
    pub(crate) is_without_keyd: bool,
    pub(crate) stores: Vec<CertificateStore>,
    pub(crate) store_cache: StoreCache,
    /// The socket for `tls-certs`.
    pub(crate) control: Option<ControlSettings>,
    pub(crate) handshake_timeouts: Vec<Option<HandshakeTimeout>>,
    pub(crate) chains: HashMap<usize, NameIndex>,
    pub(crate) cache: Arc<CacheSlot>,
    pub(crate) session_cache: SessionCache,
    pub(crate) session_cache_required: bool,
    pub(crate) ticket_keys: Vec<Arc<TicketKeys>>,
    pub(crate) seeds: Vec<Arc<SeedFile>>,
    pub(crate) monitoring: MonitoringSettings,
    /// The CAs of clients.
    pub(crate) client_cas: Vec<Arc<CaSet>>,
    pub(crate) revocation_lists: Vec<Arc<RevocationLists>>,
    pub(crate) proxies: ProxyStore,
    pub(crate) proxy_chains: Vec<(usize, Vec<usize>)>,
}

impl Config {
    /// Whether connections to the local address, whose first server is `server`, use TLS.
    pub fn is_enabled(&self, ip: IpAddr, port: u16, server: usize) -> bool {
        self.is_ssl(server) || self.engines.iter().any(|engine| engine.matches(ip, port))
    }

    /// Whether any connection can use TLS.
    pub fn is_active(&self) -> bool {
        !self.engines.is_empty() || self.ssl_servers.contains(&true)
    }

    /// Whether mod_ssl's rules apply to the server.
    pub(crate) fn is_ssl(&self, server: usize) -> bool {
        self.ssl_servers.get(server) == Some(&true)
    }

    /// Selects a server by `sni` among those of the address `chain`. Returns the server, or `default` if no server has
    /// the name, and the server whose site is used: with mod_ssl, hosts without TLS use the site of `default`. An error
    /// is returned if unknown names are refused.
    pub fn find_server(&self, chain: usize, default: usize, sni: Option<&str>) -> Result<(usize, usize), UnknownName> {
        let address = Address {
            first: default,
            is_ssl: self.is_ssl(default),
            strict_sni: self.strict_sni,
        };
        let selection = address.select(self.chains.get(&chain), sni, |server| self.site(server).is_some())?;
        Ok((selection.server, selection.site))
    }

    /// The site of the server `index`. None if TLS connections cannot reach the server.
    pub fn site(&self, index: usize) -> Option<&Site> {
        self.sites.get(index)?.as_ref()
    }

    /// Whether a request for `server` on a connection to `connected` requires that the client has sent a server name.
    pub(crate) fn requires_sni(&self, server: usize, connected: usize) -> bool {
        [server, connected]
            .iter()
            .any(|index| self.require_sni.get(*index) == Some(&true))
    }

    /// Whether this module handles connections to backends under the blocks of `chain`, the outermost first.
    pub fn is_proxy_enabled(&self, chain: &[usize]) -> bool {
        self.proxies.settings(chain).is_on()
    }

    /// Whether a connection to a backend under the blocks of `chain` can be reused under those of `other`.
    pub fn proxies_agree(&self, chain: &[usize], other: &[usize]) -> bool {
        self.proxies.agree(chain, other)
    }

    /// The settings for backends under the blocks of `chain`, or the reason why they cannot be used.
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

    /// The time limit for a handshake with the server `index`.
    pub fn handshake_timeout(&self, index: usize) -> Option<HandshakeTimeout> {
        self.handshake_timeouts.get(index).copied().flatten()
    }

    /// The session cache that child processes share, and whether the server must not start without it.
    pub fn session_cache(&self) -> (&SessionCache, bool) {
        (&self.session_cache, self.session_cache_required)
    }

    /// Sets the session cache. A second one is refused.
    pub fn attach_cache(&self, cache: Box<dyn SharedCache>) -> bool {
        if self.monitoring.is_not_counting {
            return self.cache.attach(cache);
        }
        let process = Arc::clone(&self.process);
        self.cache.attach(Box::new(CountedCache { process, cache }))
    }

    /// Advances the ticket keys to the current period, and reloads changed revocation lists, so that new child
    /// processes start with current data.
    pub fn tick(&self) {
        self.ticket_keys.iter().for_each(|keys| keys.tick());
        let now = unix_now();
        self.revocation_lists.iter().for_each(|lists| lists.refresh(now));
        self.proxies.refresh(now);
        self.process.tick(None);
        self.ask_again();
        self.check_expiry(now, false);
    }

    /// The module, the libraries, and where the private keys are, for the message at startup.
    pub fn introduction(&self) -> String {
        let keys = match self.process.processes() {
            [0, ..] => "the private keys are in httpd's processes".to_owned(),
            [pid, ..] => format!("the private keys are in tls-keyd (process {pid})"),
        };
        format!("{INTERFACE}, {LIBRARY}; {keys}")
    }

    /// Removes and returns the oldest queued message for the error log.
    pub fn next_message(&self) -> Option<(Severity, String)> {
        self.process.log_queue.take()
    }

    /// The deadlines of this process.
    pub(crate) fn watch(&self) -> &Watch {
        &self.process.watch
    }

    /// What is reported about the running server.
    pub fn monitoring(&self) -> &MonitoringSettings {
        &self.monitoring
    }

    /// Whether a failure at `now` (seconds since 1970) may be logged.
    pub fn admits_failure(&self, code: Code, now: u64) -> bool {
        self.process.failure_limits.admit(code, now, self.monitoring.limit())
    }

    /// The counters, which do not count if `TLSCounters` is off.
    pub fn counters(&self) -> &Counters {
        match self.monitoring.is_not_counting {
            true => Counters::none(),
            false => &self.process.counters,
        }
    }
}
