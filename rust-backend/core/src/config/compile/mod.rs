// SPDX-License-Identifier: Apache-2.0
//! Compilation and validation of a configuration.

mod addresses;
mod clients;
mod identities;
mod key_process;
mod names;
mod plain;
mod revocation;
mod sessions;
mod stores;
mod tickets;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use self::clients::ClientAuths;
use self::identities::Identities;
use self::revocation::OnlineParts;
use crate::backend::store::ProxyStore;
use crate::base::clock::unix_now;
use crate::base::diagnostics::{Diagnostics, Severity};
use crate::base::directive::Located;
use crate::base::place::Place;
use crate::base::slots;
use crate::config::on_demand::{CertificateStore, StoreCache};
use crate::config::seed::SeedFile;
use crate::config::vhosts::NameIndex;
use crate::config::{Builder, CompileMode, Config, Server};
use crate::crypto::protocol::Protocols;
use crate::info::connection_info::CipherNames;
use crate::keys::identity::Identity;
use crate::session::resumption::CacheSlot;
use crate::session::tickets::TicketKeys;
use crate::settings::suites::{self, SuiteSettings};
use crate::settings::{EngineAddress, GlobalSettings, HostSettings, Interpreter, SessionCache};
use crate::site::Site;
use crate::site::key_log::KeyLogFile;
use crate::site::profile::{Profile, ProfileSpec, Resumption};

/// Compiles a configuration.
pub(crate) struct Compiler {
    builder: Builder,
    global: GlobalSettings,
    hosts: Vec<HostSettings>,
    /// The certificate files of all hosts.
    certificate_files: Vec<Arc<Path>>,
    /// The files whose warnings were already reported.
    warned: HashSet<Arc<Path>>,
    diagnostics: Diagnostics,
    profiles: HashMap<ProfileSpec, Arc<Profile>>,
    /// The profiles of policies, by their [ids](crate::base::copy_on_write::CopyOnWrite::id) and whether mod_ssl's rules
    /// apply.
    profiles_by_policy: HashMap<(usize, bool), Arc<Profile>>,
    client_auths: ClientAuths,
    online: OnlineParts,
    seeds: Vec<Arc<SeedFile>>,
    /// The stores of certificates, each once.
    stores: Vec<CertificateStore>,
    /// Certificates with intermediate certificates from other files, by digest and paths.
    completed: HashMap<([u8; 32], Vec<Place>), Arc<Identity>>,
    proxies: ProxyStore,
    now: i64,
}

impl Compiler {
    pub(crate) fn new(mut builder: Builder) -> Self {
        slots::set_child(false);
        let root = builder.environment.server_root.clone();
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
                Some(base) => own.inherit(base, &interpreter.nothing),
                None => own,
            });
        }
        let proxies = ProxyStore::new(Arc::clone(&builder.process), blocks);
        for (index, host) in hosts.iter_mut().enumerate() {
            host.is_mod_ssls = host.is_ssl_on(builder.environment.has_mod_ssl && builder.is_https(index));
            if host.policy.clients.is_unsettled() {
                host.policy.clients.settle(host.is_mod_ssls);
            }
        }
        Self {
            global: interpreter.global,
            diagnostics: interpreter.diagnostics,
            builder,
            hosts,
            certificate_files: Vec::new(),
            warned: HashSet::new(),
            profiles: HashMap::new(),
            profiles_by_policy: HashMap::new(),
            client_auths: ClientAuths::default(),
            online: OnlineParts::default(),
            seeds: Vec::new(),
            stores: Vec::new(),
            completed: HashMap::new(),
            proxies,
            now: unix_now(),
        }
    }

    pub(crate) fn run(mut self) -> (Option<Arc<Config>>, Diagnostics) {
        self.start_key_process();
        let key_log = self.key_log();
        let cache = Arc::new(CacheSlot::default());
        let tickets = self.ticket_stores();
        let mut sites = Vec::new();
        if let Some(tickets) = &tickets {
            let resumption = |keys: &Arc<TicketKeys>| Resumption {
                keys: Arc::clone(keys),
                cache: Arc::clone(&cache),
                key_log: key_log.clone(),
            };
            let resumptions = tickets.iter().map(|(file, keys)| (file.clone(), resumption(keys)));
            let resumptions: HashMap<_, _> = resumptions.collect();
            // Data that is kept over reloads is read before data that belongs to the configuration is allocated.
            // Otherwise, freeing the configuration would leave holes in the heap.
            let identities: Vec<_> = (0..self.hosts.len())
                .map(|index| self.is_reachable(index).then(|| self.identities(index)))
                .collect();
            self.check_plain_hosts();
            sites = identities
                .into_iter()
                .enumerate()
                .map(|(index, identities)| self.site(index, identities??, &resumptions[&self.ticket_key_file(index)]))
                .collect();
        }
        self.check_engines();
        if self.leaves_tokens_out() {
            self.proxies.leave_tokens_out();
        }
        self.want_lists_of_backends();
        self.check_proxies();
        self.builder.process.identities.forget_unused();
        self.builder.process.backend_identities.forget_unused();
        self.builder.process.dialogs.finish();
        self.note_deviations();
        let Some(tickets) = tickets.filter(|_| !self.diagnostics.has_errors()) else {
            return (None, self.diagnostics);
        };
        let has_early_data = self.profiles.keys().any(|spec| spec.sessions.early_data > 0);
        let (session_cache, session_cache_required) = match self.global.session_cache.take() {
            Some(said) => (said.value, true),
            None => (SessionCache::Default, has_early_data),
        };
        let key_place = self.key_place();
        let control = self.control();
        let online = self.online();
        let is_without_keyd = self.is_without_keyd();
        let (client_cas, revocation_lists) = std::mem::take(&mut self.client_auths).into_parts();
        let is_test = self.builder.environment.mode == CompileMode::Test;
        let described = self.builder.servers.iter().filter(|_| is_test);
        let config = Config {
            described: described.map(|server| server.alpn.clone()).collect(),
            places: self
                .builder
                .servers
                .iter()
                .map(|server| server.origin.clone())
                .collect(),
            addresses: self.addresses(),
            engines: self.engines().collect(),
            fips: self.global.wants_fips(),
            monitoring: self.global.monitoring.clone(),
            key_place,
            strict_sni: self.global.strict_sni,
            require_sni: self
                .hosts
                .iter()
                .map(|host| host.policy.requires_sni.unwrap_or(false))
                .collect(),
            sni_policy: self.global.sni_policy,
            handshake_timeouts: self
                .hosts
                .iter()
                .map(|host| host.policy.handshake_timeout.flatten())
                .collect(),
            chains: self.chains(),
            ssl_servers: self.hosts.iter().map(|host| host.is_mod_ssls).collect(),
            certificate_files: self.certificate_files,
            process: Arc::clone(&self.builder.process),
            sites,
            watching: self.global.watching.unwrap_or_default(),
            online,
            is_without_keyd,
            stores: self.stores,
            store_cache: StoreCache::new(self.global.store_cache),
            control,
            cache,
            session_cache,
            session_cache_required,
            ticket_keys: tickets.into_values().collect(),
            seeds: self.seeds,
            client_cas,
            revocation_lists,
            proxies: self.proxies,
            proxy_chains: self.builder.proxy_chains,
        };
        if self.builder.environment.mode == CompileMode::Run {
            config.begin_to_watch();
            config.begin_to_ask();
        }
        (Some(Arc::new(config)), self.diagnostics)
    }

    /// Builds the profiles for connections to backends that can be foreseen, while httpd can still read the files.
    fn check_proxies(&mut self) {
        for (server, chain) in &self.builder.proxy_chains {
            let settings = self.proxies.settings(chain);
            if !settings.is_on() {
                continue;
            }
            let profile = self.proxies.profile(chain, *server, &mut self.diagnostics);
            if let Some(cas) = settings.fetched_lists().and_then(|_| self.proxies.cas_of(&settings)) {
                self.online.want_lists_of(&cas.current());
            }
            if let Some(profile) = profile.filter(|profile| self.global.wants_fips() && !profile.is_fips()) {
                let text = format!(
                    "TLSFIPS: connections to backends are not approved: they would use {}",
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

    fn report_at<T>(&mut self, severity: Severity, index: usize, said: &Located<T>, text: impl Display) {
        self.diagnostics.report(severity, index, Some(&said.origin), text);
    }

    /// The key log file. None in a test, which must not create files.
    fn key_log(&mut self) -> Option<Arc<KeyLogFile>> {
        let said = self.global.key_log_file.clone()?;
        let path = said.value.display();
        let text = format!(
            "TLSKeyLogFile {path}: the secrets of all connections are written to this file, and a user who can read the \
             file can decrypt them all: remove the directive when you are done"
        );
        self.report_at(Severity::Warning, 0, &said, text);
        if self.builder.environment.mode == CompileMode::Test {
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

    /// Whether TLS connections can reach the server. Servers that cannot be reached are not validated.
    fn is_reachable(&self, index: usize) -> bool {
        // A connection to an address without a virtual host reaches the base server.
        self.hosts[index].is_mod_ssls
            || index == 0 && !self.global.engines.is_empty()
            || self.engines().any(|engine| is_at(&self.builder.servers[index], engine))
    }

    /// Whether virtual hosts accept all TLS connections, so that none reaches the base server.
    fn base_is_hidden(&self) -> bool {
        let hosts = self.builder.servers.get(1..).unwrap_or_default();
        !self.hosts[0].is_mod_ssls
            && self
                .engines()
                .all(|engine| hosts.iter().any(|host| covers(host, engine)))
    }

    fn site(&mut self, index: usize, identities: Identities, resumption: &Resumption) -> Option<Site> {
        let profile = self.profile(index, resumption);
        let name = self.builder.servers[index].name.clone();
        let names = match self.hosts[index].is_mod_ssls {
            true => CipherNames::OpenSsl,
            false => CipherNames::Iana,
        };
        let is_asked_for =
            self.builder.environment.mode != CompileMode::First && (index != 0 || !self.base_is_hidden());
        if is_asked_for {
            self.check_encoding(index);
        }
        let store = self.store(index);
        let site = match identities {
            Identities::Own(identities) => {
                if is_asked_for && store.is_none() {
                    self.check_names(index, &identities);
                }
                self.check_signatures(index, &identities)?;
                Some(Site::new(&name, profile?, identities, false, names).with_store(store))
            }
            Identities::Locked => None,
            Identities::None if store.is_some() => {
                Some(Site::new(&name, profile?, Vec::new(), false, names).with_store(store))
            }
            Identities::None => Some(Site::new(&name, profile?, self.stopgaps(index)?, true, names)),
        };
        let site = self.with_stapling(index, site?);
        if is_asked_for {
            self.check_must_staple(index, &site);
        }
        Some(site)
    }

    /// Checks that the host has a certificate for the configured signature algorithms. None if an error was reported.
    fn check_signatures(&mut self, index: usize, identities: &[Arc<Identity>]) -> Option<()> {
        let Some(said) = self.hosts[index].policy.signatures.clone() else {
            return Some(());
        };
        if identities.iter().any(|identity| identity.suits(&said.value, None)) {
            return Some(());
        }
        let text =
            "SSLOpenSSLConfCmd SignatureAlgorithms: no certificate of the host has a key for any of these algorithms";
        self.report_at(Severity::Error, index, &said, text);
        None
    }

    /// The protocol versions of a host. None if an error was reported.
    fn protocols(&mut self, index: usize) -> Option<Protocols> {
        let host = &self.hosts[index];
        let said = host
            .policy
            .protocols
            .as_ref()
            .map(|said| said.value)
            .unwrap_or_default();
        let protocols = said.between(host.policy.min_protocol, host.policy.max_protocol);
        if !protocols.tls12 && !protocols.tls13 {
            let text = format!(
                "{}: SSLOpenSSLConfCmd MinProtocol and MaxProtocol leave no version of TLS",
                self.describe(index)
            );
            self.report(Severity::Error, index, text);
            return None;
        }
        Some(protocols)
    }

    /// Reports one notice about all deviations from mod_ssl.
    fn note_deviations(&mut self) {
        let deviations = self.diagnostics.deviations();
        let Some(first) = deviations.first() else { return };
        let mut names: Vec<&str> = deviations
            .iter()
            .map(|deviation| deviation.directive.as_str())
            .collect();
        names.sort_unstable();
        names.dedup();
        let text = format!(
            "{} directives do not do what they do with mod_ssl ({}; the first at {}): httpd -t -D DUMP_SSL_COMPAT tells what \
             they do",
            deviations.len(),
            names.join(", "),
            first.origin
        );
        self.report(Severity::Notice, 0, text);
    }

    /// The profile of a host. None if an error was reported.
    fn profile(&mut self, index: usize, resumption: &Resumption) -> Option<Arc<Profile>> {
        let host = &self.hosts[index];
        let key = (host.policy.id(), host.is_mod_ssls);
        if let Some(known) = self.profiles_by_policy.get(&key) {
            return Some(Arc::clone(known));
        }
        let messages = self.diagnostics.list().len();
        let profile = self.make_profile(index, resumption)?;
        // Messages must be reported for each host.
        if self.diagnostics.list().len() == messages {
            self.profiles_by_policy.insert(key, Arc::clone(&profile));
        }
        Some(profile)
    }

    fn make_profile(&mut self, index: usize, resumption: &Resumption) -> Option<Arc<Profile>> {
        let mut protocols = self.protocols(index)?;
        let host = &self.hosts[index];
        let words = SuiteSettings {
            prefix: "TLS",
            prefer: &host.policy.prefer,
            suppress: &host.policy.suppress,
            only: &host.policy.only_suites,
            is_mod_ssls: host.is_mod_ssls,
        };
        let suites = suites::arrange(&mut self.diagnostics, index, &words, &mut protocols)?;
        let groups = host
            .policy
            .groups
            .arrange(&mut self.diagnostics, index, &mut protocols)?;
        let client_auth = self.client_auth(index)?;
        let sessions = self.sessions(index, client_auth.is_some(), protocols.tls13);
        let host = &self.hosts[index];
        let honor_client_order = host.policy.honor_client_order.unwrap_or(true);
        let spec = ProfileSpec {
            protocols,
            suites: suites.iter().map(|suite| suite.suite().into()).collect(),
            honor_client_order,
            groups: groups.iter().map(|group| group.name().into()).collect(),
            preferred_groups: host.policy.groups.preferred(&groups, honor_client_order),
            max_fragment: host.policy.max_fragment,
            compression: host.policy.compression.unwrap_or(true),
            sessions,
            signatures: host
                .policy
                .signatures
                .iter()
                .flat_map(|said| &said.value)
                .map(|scheme| u16::from(*scheme))
                .collect(),
            ticket_key_file: self.ticket_key_file(index),
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

    fn describe(&self, index: usize) -> String {
        let server = &self.builder.servers[index];
        match index {
            0 => format!("the base server ({})", server.name),
            _ => format!("virtual host {} ({})", server.name, server.origin),
        }
    }
}

/// Whether connections to the engine's address can reach the server.
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

/// Whether the server accepts all connections to the engine's address that no other host accepts.
fn covers(server: &Server, engine: EngineAddress) -> bool {
    server
        .addresses
        .iter()
        .any(|(ip, port)| (*port == engine.port || *port == 0) && (ip.is_none() || *ip == engine.ip))
}
