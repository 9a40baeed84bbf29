// SPDX-License-Identifier: Apache-2.0
//! From what was said to what is served: every check of a configuration.

mod clients;
mod sessions;
pub(crate) mod suites;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Display;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::SignatureAlgorithm;

use self::clients::ClientAuths;
use self::suites::SuiteSettings;
use crate::clock::unix_now;
use crate::config::{Builder, Config, Server};
use crate::diagnostics::{Diagnostics, Severity};
use crate::files;
use crate::identity::{Identity, IdentityFiles};
use crate::key_log::KeyLogFile;
use crate::profile::{Profile, ProfileSpec, Resumption};
use crate::protocol::Protocols;
use crate::proxy::store::ProxyStore;
use crate::sessions::CacheSlot;
use crate::settings::{EngineAddress, GlobalSettings, HostSettings, Interpreter, Said, SessionCache};
use crate::site::Site;
use crate::tickets::{DEFAULT_LIFETIME, MIN_SEED, TicketKeys};
use crate::vhosts::NameIndex;
use crate::x509::Certificate;

/// Compiles one configuration.
pub(crate) struct Compiler {
    builder: Builder,
    global: GlobalSettings,
    hosts: Vec<HostSettings>,
    diagnostics: Diagnostics,
    profiles: HashMap<ProfileSpec, Arc<Profile>>,
    client_auths: ClientAuths,
    proxies: ProxyStore,
    now: i64,
}

impl Compiler {
    pub(crate) fn new(mut builder: Builder) -> Self {
        let root = std::mem::take(&mut builder.server_root);
        let mut interpreter = Interpreter::new(&root);
        let blocks = builder
            .proxy_blocks
            .iter()
            .map(|block| interpreter.read_proxy(block.server, &block.directives))
            .collect();
        let mut hosts: Vec<HostSettings> = Vec::with_capacity(builder.servers.len());
        for (index, server) in builder.servers.iter_mut().enumerate() {
            let own = interpreter.read(index, &std::mem::take(&mut server.directives));
            hosts.push(match hosts.first() {
                Some(base) => own.inherit(base),
                None => own,
            });
        }
        let proxies = ProxyStore::new(Arc::clone(&builder.process), blocks);
        Self {
            global: interpreter.global,
            diagnostics: interpreter.diagnostics,
            builder,
            hosts,
            profiles: HashMap::new(),
            client_auths: ClientAuths::default(),
            proxies,
            now: unix_now(),
        }
    }

    pub(crate) fn run(mut self) -> (Option<Arc<Config>>, Diagnostics) {
        let ticket_keys = self.ticket_keys();
        let key_log = self.key_log();
        let cache = Arc::new(CacheSlot::default());
        let mut sites = Vec::new();
        if let Some(keys) = &ticket_keys {
            let resumption = Resumption {
                keys: Arc::clone(keys),
                cache: Arc::clone(&cache),
                key_log,
            };
            sites = (0..self.hosts.len())
                .map(|index| self.site(index, &resumption))
                .collect();
        }
        self.check_proxies();
        self.builder.process.identities.forget_unused();
        let Some(ticket_keys) = ticket_keys.filter(|_| !self.diagnostics.has_errors()) else {
            return (None, self.diagnostics);
        };
        let has_early_data = self.profiles.keys().any(|spec| spec.sessions.early_data > 0);
        let (session_cache, session_cache_required) = match self.global.session_cache.take() {
            Some(said) => (said.value, true),
            None => (SessionCache::Default, has_early_data),
        };
        let config = Config {
            engines: self.engines().collect(),
            fips: self.global.wants_fips(),
            strict_sni: self.global.strict_sni.unwrap_or(true),
            handshake_timeouts: self.hosts.iter().map(|host| host.handshake_timeout.flatten()).collect(),
            chains: self.chains(),
            process: Arc::clone(&self.builder.process),
            sites,
            cache,
            session_cache,
            session_cache_required,
            ticket_keys,
            revocation_lists: self.client_auths.into_lists(),
            proxies: self.proxies,
            proxy_chains: self.builder.proxy_chains,
        };
        (Some(Arc::new(config)), self.diagnostics)
    }

    /// Makes what connections to backends will need, as far as that can be foreseen: files are read while that is allowed.
    fn check_proxies(&mut self) {
        for (server, chain) in &self.builder.proxy_chains {
            let settings = self.proxies.settings(chain);
            if !settings.is_on() {
                continue;
            }
            let profile = self.proxies.profile(chain, *server, &mut self.diagnostics);
            if let Some(profile) = profile.filter(|profile| self.global.wants_fips() && !profile.is_fips()) {
                let text = format!(
                    "TLSFIPS: backends are not spoken to in an approved way, but by {}",
                    profile.unapproved()
                );
                self.diagnostics
                    .report(Severity::Error, *server, settings.place.as_ref(), text);
            }
        }
    }

    fn engines(&self) -> impl Iterator<Item = EngineAddress> {
        self.global.engines.iter().map(|said| said.value)
    }

    fn report(&mut self, severity: Severity, index: usize, text: impl Display) {
        self.diagnostics.report(severity, index, None, text);
    }

    fn report_at<T>(&mut self, severity: Severity, index: usize, said: &Said<T>, text: impl Display) {
        self.diagnostics.report(severity, index, Some(&said.origin), text);
    }

    /// Where secrets are written to. Not under `-t`: that shall leave nothing behind.
    fn key_log(&mut self) -> Option<Arc<KeyLogFile>> {
        let said = self.global.key_log_file.clone()?;
        let path = said.value.display();
        let text = format!(
            "TLSKeyLogFile {path}: the secrets of all connections are written to this file, and whoever has it can read \
             them all: remove the directive when you are done"
        );
        self.report_at(Severity::Warning, 0, &said, text);
        if self.builder.is_test {
            return None;
        }
        match KeyLogFile::open(&said.value) {
            Ok(file) => Some(Arc::new(file)),
            Err(error) => {
                self.report_at(Severity::Error, 0, &said, format!("TLSKeyLogFile {error}"));
                None
            }
        }
    }

    fn ticket_keys(&mut self) -> Option<Arc<TicketKeys>> {
        let lifetimes = self.hosts.iter().map(|host| host.sessions.spec().lifetime);
        let lifetime = lifetimes.max().unwrap_or(DEFAULT_LIFETIME);
        let Some(said) = self.global.ticket_key_file.clone() else {
            let own = self.builder.process.ticket_keys(lifetime);
            return own.map_err(|why| self.report(Severity::Error, 0, why)).ok();
        };
        if let Some(tickets) = self.hosts.first().and_then(|base| base.sessions.tickets.clone())
            && !tickets.value
        {
            let text = format!(
                "TLSSessionTickets off contradicts TLSSessionTicketKeyFile at {}: remove one",
                said.origin
            );
            self.report_at(Severity::Error, 0, &tickets, text);
        }
        match files::read(&said.value) {
            Ok(seed) if seed.len() >= MIN_SEED => Some(Arc::new(TicketKeys::from_seed(&seed, lifetime))),
            Ok(seed) => {
                let path = said.value.display();
                let text = format!(
                    "TLSSessionTicketKeyFile {path} has {} bytes, which can be guessed: make it with \
                     `openssl rand -out {path} 48`",
                    seed.len()
                );
                self.report_at(Severity::Error, 0, &said, text);
                None
            }
            Err(error) => {
                self.report_at(Severity::Error, 0, &said, format!("TLSSessionTicketKeyFile {error}"));
                None
            }
        }
    }

    fn chains(&self) -> HashMap<usize, NameIndex> {
        let servers = &self.builder.servers;
        let chains = self.builder.chains.iter().map(|(chain, hosts)| {
            let mut index = NameIndex::default();
            for &host in hosts {
                let server = &servers[host];
                let names = std::iter::once(&server.name).chain(&server.aliases);
                index.add_host(host as u32, names.map(String::as_str));
            }
            (*chain, index)
        });
        chains.collect()
    }

    /// Whether a TLS connection can mean the server. What cannot be reached is not checked.
    fn is_reachable(&self, index: usize) -> bool {
        // A connection to an address that no virtual host has, means the base server.
        index == 0 && !self.global.engines.is_empty()
            || self.engines().any(|engine| is_at(&self.builder.servers[index], engine))
    }

    /// Whether virtual hosts take every TLS connection away from the base server.
    fn base_is_hidden(&self) -> bool {
        let hosts = self.builder.servers.get(1..).unwrap_or_default();
        self.engines()
            .all(|engine| hosts.iter().any(|host| covers(host, engine)))
    }

    fn site(&mut self, index: usize, resumption: &Resumption) -> Option<Site> {
        if !self.is_reachable(index) {
            return None;
        }
        let profile = self.profile(index, resumption);
        let identities = self.identities(index)?;
        let name = self.builder.servers[index].name.clone();
        if !identities.is_empty() {
            if index != 0 || !self.base_is_hidden() {
                self.check_names(index, &identities);
            }
            return Some(Site::new(&name, profile?, identities, false));
        }
        let identities = self.stopgaps(index)?;
        Some(Site::new(&name, profile?, identities, true))
    }

    fn profile(&mut self, index: usize, resumption: &Resumption) -> Option<Arc<Profile>> {
        let host = &self.hosts[index];
        let mut protocols = host
            .protocols
            .as_ref()
            .map_or_else(Protocols::default, |said| said.value);
        let words = SuiteSettings {
            prefix: "TLS",
            prefer: &host.prefer,
            suppress: &host.suppress,
        };
        let suites = suites::arrange(&mut self.diagnostics, index, &words, &mut protocols)?;
        let groups = host.groups.arrange(&mut self.diagnostics, index, &mut protocols)?;
        let client_auth = self.client_auth(index)?;
        let sessions = self.sessions(index, client_auth.is_some(), protocols.tls13);
        let host = &self.hosts[index];
        let spec = ProfileSpec {
            protocols,
            suites: suites.iter().map(|suite| suite.suite().into()).collect(),
            honor_client_order: host.honor_client_order.unwrap_or(true),
            groups: groups.iter().map(|group| group.name().into()).collect(),
            preferred_groups: host.groups.preferred(&groups),
            max_fragment: host.max_fragment,
            compression: host.compression.unwrap_or(true),
            sessions,
            client_auth: client_auth.as_ref().map(|auth| auth.spec.clone()),
        };
        match self.profiles.entry(spec) {
            Entry::Occupied(known) => Some(Arc::clone(known.get())),
            Entry::Vacant(place) => match Profile::new(place.key().clone(), suites, groups, client_auth, resumption) {
                Ok(profile) if self.global.wants_fips() && !profile.is_fips() => {
                    let text = format!(
                        "TLSFIPS: {} is not approved: it would use {}",
                        self.describe(index),
                        profile.unapproved()
                    );
                    self.report(Severity::Error, index, text);
                    None
                }
                Ok(profile) => Some(Arc::clone(place.insert(Arc::new(profile)))),
                Err(error) => {
                    self.report(
                        Severity::Error,
                        index,
                        format!("the TLS settings cannot be used: {error}"),
                    );
                    None
                }
            },
        }
    }

    /// The certificates of a host, those that another module supplies before those that are configured. None if one
    /// cannot be used.
    fn identities(&mut self, index: usize) -> Option<Vec<Arc<Identity>>> {
        let supplied = std::mem::take(&mut self.builder.servers[index].supplied);
        if supplied.is_empty() {
            let configured = self.hosts[index].certificates.clone();
            let loaded: Vec<_> = configured
                .iter()
                .map(|said| self.load(index, &said.value, Some(said)))
                .collect();
            return loaded.into_iter().collect();
        }
        let loaded: Vec<_> = supplied.iter().map(|files| self.load(index, files, None)).collect();
        let mut identities = loaded.into_iter().collect::<Option<Vec<_>>>()?;
        // Nobody put these in an order of preference.
        identities.sort_by_key(|identity| identity.certified().key.algorithm() == SignatureAlgorithm::RSA);
        Some(identities)
    }

    fn load(
        &mut self,
        index: usize,
        files: &IdentityFiles,
        said: Option<&Said<IdentityFiles>>,
    ) -> Option<Arc<Identity>> {
        let origin = said.map(|said| &said.origin);
        match self.builder.process.identities.load(files) {
            Ok(identity) => {
                if let Some(text) = self.validity_problem(&identity) {
                    self.diagnostics.report(Severity::Warning, index, origin, text);
                }
                Some(identity)
            }
            Err(error) => {
                let text = match said {
                    Some(_) => format!("TLSCertificate {error}"),
                    None => format!("certificate of {}: {error}", self.describe(index)),
                };
                self.diagnostics.report(Severity::Error, index, origin, text);
                None
            }
        }
    }

    fn validity_problem(&self, identity: &Identity) -> Option<String> {
        let leaf = identity.leaf();
        let certificate = Certificate::parse(&leaf).ok()?;
        let file = identity.name();
        if certificate.not_after() < self.now {
            return Some(format!(
                "{file}: the certificate has expired: clients will refuse it until it is renewed"
            ));
        }
        if certificate.not_before() > self.now {
            return Some(format!(
                "{file}: the certificate is not valid yet: clients will refuse it (is the clock of this machine right?)"
            ));
        }
        None
    }

    /// Warns of names that no certificate covers. Names that httpd guessed are nobody's business.
    fn check_names(&mut self, index: usize, identities: &[Arc<Identity>]) {
        let Some(origin) = self.hosts[index].named_at.clone() else {
            return;
        };
        let server = &self.builder.servers[index];
        let leaves: Vec<_> = identities.iter().map(|identity| identity.leaf()).collect();
        let certificates: Vec<_> = leaves.iter().filter_map(|der| Certificate::parse(der).ok()).collect();
        let uncovered: Vec<&str> = std::iter::once(&server.name)
            .chain(&server.aliases)
            .map(String::as_str)
            .filter(|name| !name.contains(['*', '?']))
            .filter(|name| !certificates.iter().any(|certificate| certificate.covers(name)))
            .collect();
        if uncovered.is_empty() {
            return;
        }
        let files: Vec<&str> = identities.iter().map(|identity| identity.name()).collect();
        let text = format!(
            "{} is not covered by {}: clients that ask for it will refuse the certificate",
            uncovered.join(", "),
            files.join(", ")
        );
        self.diagnostics.report(Severity::Warning, index, Some(&origin), text);
    }

    /// What a host without certificate presents.
    fn stopgaps(&mut self, index: usize) -> Option<Vec<Arc<Identity>>> {
        let supplied = std::mem::take(&mut self.builder.servers[index].stopgaps);
        if !supplied.is_empty() {
            let loaded: Vec<_> = supplied.iter().map(|files| self.load(index, files, None)).collect();
            return loaded.into_iter().collect();
        }
        if index != 0 || !self.base_is_hidden() {
            let text = format!(
                "{} is on a TLS port but has no certificate: its requests will be answered with 503; give it a \
                 TLSCertificate",
                self.describe(index)
            );
            // The base server takes what is left over, which may well be nothing.
            let severity = if index == 0 {
                Severity::Notice
            } else {
                Severity::Warning
            };
            self.report(severity, index, text);
        }
        let stopgap = self.builder.process.stopgap();
        if stopgap.is_none() {
            self.report(
                Severity::Error,
                index,
                "a certificate for hosts without one cannot be made",
            );
        }
        Some(vec![stopgap?])
    }

    fn describe(&self, index: usize) -> String {
        let server = &self.builder.servers[index];
        match index {
            0 => format!("the base server ({})", server.name),
            _ => format!("virtual host {} ({})", server.name, server.origin),
        }
    }
}

/// Whether a connection to the engine's address may mean the server.
fn is_at(server: &Server, engine: EngineAddress) -> bool {
    let fits = |ip: &Option<IpAddr>| match (ip, engine.ip) {
        (Some(own), Some(wanted)) => *own == wanted,
        _ => true,
    };
    server
        .addresses
        .iter()
        .any(|(ip, port)| (*port == engine.port || *port == 0) && fits(ip))
}

/// Whether the server takes every connection to the engine's address that no other host takes.
fn covers(server: &Server, engine: EngineAddress) -> bool {
    server
        .addresses
        .iter()
        .any(|(ip, port)| (*port == engine.port || *port == 0) && (ip.is_none() || *ip == engine.ip))
}
