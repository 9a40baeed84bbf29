// SPDX-License-Identifier: Apache-2.0
//! What the directives of a server mean.
//!
//! Here is the one place where each server-level directive is interpreted. A virtual host inherits from the base server
//! what it does not say itself.

use std::fmt::{self, Display};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustls::SignatureScheme;

use crate::ciphers::{self, Cipher};
use crate::client_auth::demand::{self, Demand};
use crate::client_auth::verifier::CaNames;
use crate::diagnostics::{Diagnostics, Origin, Severity};
use crate::directive::Directive;
use crate::groups::{self, GroupSettings};
use crate::handshake_timeout::HandshakeTimeout;
use crate::identity::IdentityFiles;
use crate::pass_phrase::Dialog;
use crate::protocol::{LeftOut, Protocols};
use crate::sessions::{DEFAULT_EARLY_DATA, MAX_EARLY_DATA, MAX_TICKETS, SessionSpec};
use crate::shared::Shared;
use crate::ssl;
use crate::ssl::sni_policy::SniPolicy;
use crate::ssl::sources::Sources;
use crate::ssl::suites::OnlySuites;
use crate::tickets::{self, MAX_LIFETIME};
use crate::trust::revocation::CrlCheck;
use crate::variable_names;
use crate::wrong_file::shell_word;

/// A setting with the place that said it.
#[derive(Clone, Debug)]
pub struct Said<T> {
    /// The setting.
    pub value: T,
    /// Where it was said.
    pub origin: Origin,
}

/// An address on which connections are TLS: `TLSEngine`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineAddress {
    /// The local address; none for all.
    pub ip: Option<IpAddr>,
    /// The local port.
    pub port: u16,
}

impl EngineAddress {
    /// Whether connections to `ip` and `port` arrive here.
    pub fn matches(&self, ip: IpAddr, port: u16) -> bool {
        self.port == port && self.ip.is_none_or(|own| own == ip.to_canonical())
    }

    /// `[address:]port`, an IPv6 address in brackets, `*` or an unspecified address for all.
    fn parse(text: &str) -> Result<Self, String> {
        let (ip, port) = match text.rsplit_once(':') {
            Some((ip, port)) => (Some(ip), port),
            None => (None, text),
        };
        let port = port
            .parse::<u16>()
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| format!("takes [address:]port with a port from 1 to 65535, not \"{text}\""))?;
        let ip = match ip {
            None | Some("*") => None,
            Some(ip) => Some(Self::parse_ip(ip)?).filter(|ip| !ip.is_unspecified()),
        };
        Ok(Self { ip, port })
    }

    fn parse_ip(text: &str) -> Result<IpAddr, String> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        match bare {
            Some(v6) => v6.parse().map(IpAddr::V6).map_err(drop),
            None => text.parse().map(IpAddr::V4).map_err(drop),
        }
        .map(|ip: IpAddr| ip.to_canonical())
        .map_err(|()| format!("\"{text}\" is no IP address (write 192.0.2.1:443 or [2001:db8::1]:443)"))
    }
}

impl Display for EngineAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip {
            Some(IpAddr::V6(ip)) => write!(f, "[{ip}]:{}", self.port),
            Some(ip) => write!(f, "{ip}:{}", self.port),
            None => write!(f, "{}", self.port),
        }
    }
}

/// Where sessions are kept for all children: `TLSSessionCache`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionCache {
    /// Nowhere.
    None,
    /// In shared memory of httpd's choice.
    Default,
    /// In what a socache provider offers, with its arguments.
    Provider(String, String),
}

impl SessionCache {
    fn parse(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("none") {
            return Ok(Self::None);
        }
        if text.eq_ignore_ascii_case("default") {
            return Ok(Self::Default);
        }
        match text.split_once(':') {
            Some((provider, args)) if !provider.is_empty() => Ok(Self::Provider(provider.to_owned(), args.to_owned())),
            _ => Err(format!(
                "takes none, default, or provider:arguments such as shmcb:/run/tls_cache(512000), not \"{text}\""
            )),
        }
    }
}

/// Settings that the whole server has once.
#[derive(Clone, Debug, Default)]
pub struct GlobalSettings {
    /// Where connections are TLS.
    pub engines: Vec<Said<EngineAddress>>,
    /// Whether a server name that no host has is refused.
    pub strict_sni: Option<bool>,
    /// Where sessions are kept.
    pub session_cache: Option<Said<SessionCache>>,
    /// Where the secrets of connections are written to.
    pub key_log_file: Option<Said<PathBuf>>,
    /// Whether everything that is served has to be approved by FIPS 140-3.
    pub fips: Option<Said<bool>>,
    /// Who is asked for the pass phrases of keys.
    pub pass_phrases: Option<Said<Dialog>>,
    /// When a request may name another virtual host than the handshake did.
    pub sni_policy: Option<SniPolicy>,
}

impl GlobalSettings {
    /// Whether everything that is served has to be approved by FIPS 140-3.
    pub fn wants_fips(&self) -> bool {
        self.fips.as_ref().is_some_and(|said| said.value)
    }
}

/// Settings about the clients of a virtual host.
#[derive(Clone, Debug, Default)]
pub struct ClientSettings {
    /// What every client has to present.
    pub demand: Option<Said<Demand>>,
    /// What clients have to present somewhere.
    pub somewhere: Option<Said<Demand>>,
    /// Where the certificates of trusted CAs are.
    pub cas: Vec<Said<PathBuf>>,
    /// Which CAs clients are told.
    pub names: Option<Said<CaNames>>,
    /// How many CAs may be above a certificate.
    pub depth: Option<usize>,
    /// How many may be somewhere.
    pub depth_somewhere: Option<usize>,
    /// Where revocation lists are.
    pub crls: Vec<Said<PathBuf>>,
    /// What is looked up there.
    pub crl_check: Option<Said<CrlCheck>>,
    /// Trusted CAs by mod_ssl's directives.
    pub ca_sources: Sources,
    /// CAs that clients are told, by mod_ssl's directives.
    pub name_sources: Sources,
    /// Revocation lists by mod_ssl's directives.
    pub crl_sources: Sources,
}

impl ClientSettings {
    fn inherit(self, base: &Self) -> Self {
        let or_base = |own: Vec<Said<PathBuf>>, base: &Vec<Said<PathBuf>>| match own.is_empty() {
            true => base.clone(),
            false => own,
        };
        Self {
            demand: self.demand.or_else(|| base.demand.clone()),
            // What sections of the base server say holds in all virtual hosts.
            somewhere: combine(self.somewhere, base.somewhere.clone()),
            cas: or_base(self.cas, &base.cas),
            names: self.names.or_else(|| base.names.clone()),
            depth: self.depth.or(base.depth),
            depth_somewhere: self.depth_somewhere.max(base.depth_somewhere),
            crls: or_base(self.crls, &base.crls),
            crl_check: self.crl_check.or_else(|| base.crl_check.clone()),
            ca_sources: self.ca_sources.inherit(&base.ca_sources),
            name_sources: self.name_sources.inherit(&base.name_sources),
            crl_sources: self.crl_sources.inherit(&base.crl_sources),
        }
    }

    /// What is demanded of every client, and somewhere.
    pub fn demands(&self) -> (Demand, Demand) {
        let value = |said: &Option<Said<Demand>>| said.as_ref().map(|said| said.value).unwrap_or_default();
        (value(&self.demand), value(&self.somewhere))
    }
}

pub(crate) fn combine(one: Option<Said<Demand>>, other: Option<Said<Demand>>) -> Option<Said<Demand>> {
    match (one, other) {
        (Some(one), Some(other)) => Some(Said {
            value: demand::combine(one.value, other.value),
            origin: one.origin,
        }),
        (one, other) => one.or(other),
    }
}

/// Settings about how the sessions of a virtual host are resumed.
#[derive(Clone, Debug, Default)]
pub struct SessionSettings {
    /// Whether clients keep their sessions, in tickets.
    pub tickets: Option<Said<bool>>,
    /// How many tickets a client gets.
    pub count: Option<usize>,
    /// For how long a session can be resumed, in seconds.
    pub lifetime: Option<u32>,
    /// The secret that the keys of tickets come from.
    pub ticket_key_file: Option<Said<PathBuf>>,
    /// Whether requests may arrive as early data.
    pub early_data: Option<Said<bool>>,
    /// How much of it is taken at most, in bytes.
    pub max_early_data: Option<u32>,
}

impl SessionSettings {
    fn inherit(self, base: &Self) -> Self {
        Self {
            tickets: self.tickets.or_else(|| base.tickets.clone()),
            count: self.count.or(base.count),
            lifetime: self.lifetime.or(base.lifetime),
            ticket_key_file: self.ticket_key_file.or_else(|| base.ticket_key_file.clone()),
            early_data: self.early_data.or_else(|| base.early_data.clone()),
            max_early_data: self.max_early_data.or(base.max_early_data),
        }
    }

    /// Whether early data is wanted, and where that was said.
    pub fn early_data(&self) -> Option<&Said<bool>> {
        self.early_data.as_ref().filter(|said| said.value)
    }

    /// What holds. Early data may be used once, so the cache has to keep the sessions then (RFC 8446 section 8.1).
    pub fn spec(&self, default_lifetime: u32) -> SessionSpec {
        let default = SessionSpec::default();
        let early_data = self
            .early_data()
            .map(|_| self.max_early_data.unwrap_or(DEFAULT_EARLY_DATA));
        SessionSpec {
            tickets: self.tickets.as_ref().map_or(default.tickets, |said| said.value) && early_data.is_none(),
            count: self.count.unwrap_or(default.count),
            lifetime: self.lifetime.unwrap_or(default_lifetime),
            early_data: early_data.unwrap_or_default(),
        }
    }
}

/// Certificates, keys and issuers that are named one by one: the first key belongs to the first certificate.
#[derive(Clone, Debug, Default)]
pub struct CertificateFiles {
    /// The certificates.
    pub certificates: Vec<Said<PathBuf>>,
    /// Their keys; a certificate without has its key in its own file.
    pub keys: Vec<Said<PathBuf>>,
    /// The certificates of issuers.
    pub chain: Option<Said<PathBuf>>,
}

impl CertificateFiles {
    /// How many of a host's files take the places of the base server's, as in mod_ssl: one of each kind of key.
    const REPLACED: usize = 3;

    fn inherit(self, base: &Self) -> Self {
        let overlay = |own: Vec<Said<PathBuf>>, base: &[Said<PathBuf>]| {
            let further = own.len().min(Self::REPLACED);
            let mut list = own[..further].to_vec();
            list.extend_from_slice(base.get(further..).unwrap_or_default());
            list.extend_from_slice(&own[further..]);
            list
        };
        Self {
            certificates: overlay(self.certificates, &base.certificates),
            keys: overlay(self.keys, &base.keys),
            chain: self.chain.or_else(|| base.chain.clone()),
        }
    }

    /// The certificates with their keys.
    pub fn pairs(&self) -> Vec<Said<IdentityFiles>> {
        let pair = |(at, certificate): (usize, &Said<PathBuf>)| Said {
            value: IdentityFiles {
                certificate: certificate.value.as_path().into(),
                key: self.keys.get(at).map(|said| said.value.as_path().into()),
                chain: self.chain.as_ref().map(|said| said.value.as_path().into()),
            },
            origin: certificate.origin.clone(),
        };
        self.certificates.iter().enumerate().map(pair).collect()
    }
}

/// What one server says, or what holds in it once it has inherited.
#[derive(Clone, Debug, Default)]
pub struct HostSettings {
    /// Whether connections are TLS by mod_ssl's rules, so that its defaults hold. It is known once all was read.
    pub is_mod_ssls: bool,
    /// Whether connections are TLS: `SSLEngine`.
    pub engine: Option<Said<bool>>,
    /// The certificates, in the order of preference.
    pub certificates: Vec<Said<IdentityFiles>>,
    /// Whether the server itself names them.
    pub has_own_certificates: bool,
    /// Certificates by mod_ssl's directives.
    pub files: CertificateFiles,
    /// The place of the host's ServerName, if it was given.
    pub named_at: Option<Origin>,
    /// Everything else.
    pub policy: Shared<Policy>,
}

/// What most hosts have in common: how connections are made, whatever the certificate.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// The only cipher suites, by mod_ssl's directives.
    pub only_suites: OnlySuites,
    /// The oldest version and the newest, by their numbers in TLS, whatever `protocols` says.
    pub min_protocol: Option<u16>,
    /// See `min_protocol`.
    pub max_protocol: Option<u16>,
    /// The only algorithms to sign by.
    pub signatures: Option<Said<Vec<SignatureScheme>>>,
    /// Whether clients have to say whom they want.
    pub requires_sni: Option<bool>,
    /// The protocol versions.
    pub protocols: Option<Said<Protocols>>,
    /// Cipher suites to be preferred, in this order.
    pub prefer: Option<Said<Vec<&'static Cipher>>>,
    /// Cipher suites not to be used.
    pub suppress: Option<Said<Vec<&'static Cipher>>>,
    /// Key exchange groups.
    pub groups: GroupSettings,
    /// Whether the client's order of suites counts.
    pub honor_client_order: Option<bool>,
    /// The largest records that are sent, in bytes of plaintext.
    pub max_fragment: Option<usize>,
    /// Whether certificates are compressed.
    pub compression: Option<bool>,
    /// How sessions are resumed.
    pub sessions: SessionSettings,
    /// What is wanted of clients.
    pub clients: ClientSettings,
    /// The limit of the handshake's time.
    pub handshake_timeout: Option<Option<HandshakeTimeout>>,
}

impl HostSettings {
    /// How sessions are resumed, by what was said and by the defaults of whose directives said it.
    pub fn session_spec(&self) -> SessionSpec {
        self.policy.sessions.spec(match self.is_mod_ssls {
            true => ssl::DEFAULT_LIFETIME,
            false => tickets::DEFAULT_LIFETIME,
        })
    }

    /// These settings, with those of `base` where nothing was said; `nothing` is the policy of hosts that say nothing of
    /// it. The ServerName is nobody's to inherit.
    pub fn inherit(self, base: &Self, nothing: &Shared<Policy>) -> Self {
        Self {
            is_mod_ssls: false,
            engine: self.engine.or_else(|| base.engine.clone()),
            certificates: match self.certificates.is_empty() {
                true => base.certificates.clone(),
                false => self.certificates,
            },
            has_own_certificates: self.has_own_certificates,
            files: self.files.inherit(&base.files),
            named_at: self.named_at,
            policy: match self.policy.is(nothing) {
                true => base.policy.clone(),
                false => self.policy.inherit(&base.policy).into(),
            },
        }
    }
}

impl Policy {
    fn inherit(&self, base: &Self) -> Self {
        Self {
            only_suites: self.only_suites.clone().inherit(&base.only_suites),
            min_protocol: self.min_protocol.or(base.min_protocol),
            max_protocol: self.max_protocol.or(base.max_protocol),
            signatures: self.signatures.clone().or_else(|| base.signatures.clone()),
            requires_sni: self.requires_sni.or(base.requires_sni),
            protocols: self.protocols.clone().or_else(|| base.protocols.clone()),
            prefer: inherit_list(&self.prefer, &base.prefer, &self.suppress),
            suppress: inherit_list(&self.suppress, &base.suppress, &self.prefer),
            groups: self.groups.clone().inherit(&base.groups),
            honor_client_order: self.honor_client_order.or(base.honor_client_order),
            max_fragment: self.max_fragment.or(base.max_fragment),
            compression: self.compression.or(base.compression),
            sessions: self.sessions.clone().inherit(&base.sessions),
            clients: self.clients.clone().inherit(&base.clients),
            handshake_timeout: self.handshake_timeout.or(base.handshake_timeout),
        }
    }
}

/// A host's own list, or that of the base server without what the host says the opposite of: only who contradicts
/// himself has made a mistake.
fn inherit_list(
    own: &Option<Said<Vec<&'static Cipher>>>,
    base: &Option<Said<Vec<&'static Cipher>>>,
    opposite: &Option<Said<Vec<&'static Cipher>>>,
) -> Option<Said<Vec<&'static Cipher>>> {
    if own.is_some() {
        return own.clone();
    }
    let mut inherited = base.clone()?;
    if let Some(opposite) = opposite {
        inherited.value.retain(|cipher| !opposite.value.contains(cipher));
    }
    Some(inherited)
}

/// Reads directives of servers.
#[derive(Debug)]
pub struct Interpreter<'a> {
    /// What relative paths are relative to.
    pub server_root: &'a Path,
    /// Whether another module provides OCSP responses.
    pub has_stapler: bool,
    /// The settings of the whole server, as far as they were read.
    pub global: GlobalSettings,
    /// What there is to say about it all.
    pub diagnostics: Diagnostics,
    /// The policy of hosts that say nothing of it.
    pub nothing: Shared<Policy>,
}

impl<'a> Interpreter<'a> {
    /// Begins with nothing said.
    pub fn new(server_root: &'a Path, has_stapler: bool) -> Self {
        Self {
            server_root,
            has_stapler,
            global: GlobalSettings::default(),
            diagnostics: Diagnostics::default(),
            nothing: Shared::default(),
        }
    }

    /// What the directives of server `index` say; server 0 is the base server.
    pub fn read(&mut self, index: usize, directives: &[Directive]) -> HostSettings {
        let mut host = HostSettings {
            policy: self.nothing.clone(),
            ..HostSettings::default()
        };
        for directive in directives {
            if let Err(why) = self.interpret(index, directive, &mut host) {
                let text = format!("{} {why}", directive.name);
                self.diagnostics
                    .report(Severity::Error, index, Some(&directive.origin), text);
            }
        }
        host
    }

    fn interpret(&mut self, index: usize, directive: &Directive, host: &mut HostSettings) -> Result<(), String> {
        let origin = directive.origin.clone();
        match directive.name.as_str() {
            "TLSEngine" => {
                self.only_in_base_server(index)?;
                let value = EngineAddress::parse(directive.single()?)?;
                self.global.engines.push(Said { value, origin });
            }
            "TLSStrictSNI" => {
                self.only_in_base_server(index)?;
                self.global.strict_sni = Some(directive.flag()?);
            }
            "TLSSessionCache" => {
                self.only_in_base_server(index)?;
                let value = SessionCache::parse(directive.single()?)?;
                self.global.session_cache = Some(Said { value, origin });
            }
            "TLSSessionTicketKeyFile" => {
                self.only_in_base_server(index)?;
                let value = self.path(directive.single()?);
                host.policy.sessions.ticket_key_file = Some(Said { value, origin });
            }
            "TLSKeyLogFile" => {
                self.only_in_base_server(index)?;
                let value = self.path(directive.single()?);
                self.global.key_log_file = Some(Said { value, origin });
            }
            "TLSPolicy" => self.policy(directive, host)?,
            "TLSGroupsPrefer" => {
                let value = groups::parse_list(directive)?;
                host.policy.groups.prefer = Some(Said { value, origin });
            }
            "TLSGroupsSuppress" => {
                let value = groups::parse_list(directive)?;
                host.policy.groups.suppress = Some(Said { value, origin });
            }
            "TLSMaxFragmentSize" => host.policy.max_fragment = Some(number(directive, FRAGMENT_SIZES, "of bytes")?),
            "TLSCertificateCompression" => host.policy.compression = Some(directive.flag()?),
            "TLSCertificate" => {
                let value = self.certificate(directive)?;
                // Most of thousands of hosts have one.
                host.certificates.reserve_exact(1);
                host.certificates.push(Said { value, origin });
                host.has_own_certificates = true;
            }
            "TLSProtocol" => {
                let value = self.protocols(index, directive)?;
                host.policy.protocols = Some(Said { value, origin });
            }
            "TLSCiphersPrefer" => host.policy.prefer = Some(self.preferred_ciphers(index, directive)?),
            "TLSCiphersSuppress" => host.policy.suppress = Some(suppressed_ciphers(directive)?),
            "TLSHonorClientOrder" => host.policy.honor_client_order = Some(directive.flag()?),
            "TLSSessionTickets" => {
                let value = directive.flag()?;
                host.policy.sessions.tickets = Some(Said { value, origin });
            }
            "TLSSessionTicketCount" => {
                host.policy.sessions.count = Some(number(directive, 0..=MAX_TICKETS, "of tickets")?)
            }
            "TLSSessionLifetime" => {
                host.policy.sessions.lifetime = Some(number(directive, 1..=MAX_LIFETIME, "of seconds")?);
            }
            "TLSEarlyData" => {
                let value = directive.flag()?;
                host.policy.sessions.early_data = Some(Said { value, origin });
            }
            "TLSMaxEarlyDataSize" => {
                host.policy.sessions.max_early_data = Some(number(directive, 1..=MAX_EARLY_DATA, "of bytes")?);
            }
            "TLSFIPS" => {
                self.only_in_base_server(index)?;
                self.fips(directive)?;
            }
            "TLSClientCertificate" => {
                let value = Demand::parse(directive.single()?)?;
                let said = Some(Said { value, origin });
                if directive.in_section {
                    host.policy.clients.somewhere = combine(host.policy.clients.somewhere.take(), said);
                } else {
                    host.policy.clients.demand = said;
                }
            }
            "TLSClientCA" => {
                let paths = self.paths(directive)?;
                host.policy.clients.cas.extend(paths);
            }
            "TLSClientCANames" => {
                let paths = self.paths(directive)?;
                let value = match directive.words().as_slice() {
                    [word] if word.eq_ignore_ascii_case("none") => CaNames::None,
                    _ => CaNames::Of(paths.into_iter().map(|said| said.value).collect()),
                };
                host.policy.clients.names = Some(Said { value, origin });
            }
            "TLSClientVerifyDepth" => {
                let word = directive.single()?;
                let depth = word.parse().map_err(|_| {
                    format!("takes the number of CAs that may be above a client's certificate, not \"{word}\"")
                })?;
                host.policy.clients.depth = Some(depth);
            }
            "TLSClientCRL" => {
                let paths = self.paths(directive)?;
                host.policy.clients.crls.extend(paths);
            }
            "TLSClientCRLCheck" => {
                let value = CrlCheck::parse(&directive.words())?;
                host.policy.clients.crl_check = Some(Said { value, origin });
            }
            "TLSUserName" => variable_names::check(directive.single()?)?,
            "ServerName" => host.named_at = Some(origin),
            "RequestReadTimeout" => {
                if let Some(limit) = HandshakeTimeout::parse(directive) {
                    host.policy.handshake_timeout = Some(limit);
                }
            }
            name if name.starts_with("SSL") => self.interpret_ssl(index, directive, host)?,
            other => return Err(format!("is not a directive of this module ({other})")),
        }
        Ok(())
    }

    /// `TLSPolicy`: one word for several directives, as if they stood here. Later ones override it.
    fn policy(&mut self, directive: &Directive, host: &mut HostSettings) -> Result<(), String> {
        let version = match directive.single()?.to_ascii_lowercase().as_str() {
            "modern" => "TLSv1.3+",
            "intermediate" => "TLSv1.2+",
            word => return Err(format!("takes modern or intermediate, not \"{word}\"")),
        };
        let (value, _) = Protocols::parse(&[version]).map_err(|error| error.to_string())?;
        let origin = directive.origin.clone();
        host.policy.protocols = Some(Said { value, origin });
        host.policy.honor_client_order = Some(true);
        // Nothing that rustls has is below either policy.
        host.policy.prefer = Some(said_nothing(directive));
        host.policy.suppress = Some(said_nothing(directive));
        host.policy.groups = GroupSettings {
            prefer: Some(said_nothing(directive)),
            suppress: Some(said_nothing(directive)),
            only: None,
        };
        Ok(())
    }

    pub(crate) fn protocols(&mut self, index: usize, directive: &Directive) -> Result<Protocols, String> {
        let (value, left_out) = Protocols::parse(&directive.words()).map_err(|e| e.to_string())?;
        for one in left_out {
            let severity = match one {
                LeftOut::Older => Severity::Notice,
                // Nobody has ever spoken it.
                LeftOut::Unknown(_) => Severity::Warning,
            };
            let text = format!("{}: {one}", directive.name);
            self.diagnostics.report(severity, index, Some(&directive.origin), text);
        }
        Ok(value)
    }

    /// The suites that a directive prefers.
    pub(crate) fn preferred_ciphers(
        &mut self,
        index: usize,
        directive: &Directive,
    ) -> Result<Said<Vec<&'static Cipher>>, String> {
        let list = ciphers::parse_list(&directive.words()).map_err(|error| error.to_string())?;
        for number in list.unassigned {
            let text = format!(
                "{}: no cipher suite with the number TLS_CIPHER_0x{number:04X} is known, and none will be used: if it is not \
                 mistyped, remove it",
                directive.name
            );
            self.diagnostics
                .report(Severity::Warning, index, Some(&directive.origin), text);
        }
        Ok(Said {
            value: list.ciphers,
            origin: directive.origin.clone(),
        })
    }

    pub(crate) fn only_in_base_server(&self, index: usize) -> Result<(), String> {
        match index {
            0 => Ok(()),
            _ => Err("belongs outside of <VirtualHost>: it holds for the whole server".to_owned()),
        }
    }

    pub(crate) fn certificate(&self, directive: &Directive) -> Result<IdentityFiles, String> {
        match directive.words().as_slice() {
            [certificate] => Ok(IdentityFiles {
                certificate: self.path(certificate).into(),
                key: None,
                chain: None,
            }),
            [certificate, key] => Ok(IdentityFiles {
                certificate: self.path(certificate).into(),
                key: Some(self.path(key).into()),
                chain: None,
            }),
            words => Err(format!(
                "takes a certificate file and, unless it is in there too, a key file, not {} files: the certificates of issuers \
                 belong behind the certificate in its own file (`cat <issuers> >> {}`)",
                words.len(),
                words
                    .first()
                    .map_or_else(String::new, |first| shell_word(Path::new(first)))
            )),
        }
    }

    /// The files and directories that a directive names.
    pub(crate) fn paths(&self, directive: &Directive) -> Result<Vec<Said<PathBuf>>, String> {
        if directive.args.is_empty() {
            return Err("takes a file or a directory".to_owned());
        }
        let said = |word: &String| Said {
            value: self.path(word),
            origin: directive.origin.clone(),
        };
        Ok(directive.args.iter().map(said).collect())
    }

    pub(crate) fn path(&self, text: &str) -> PathBuf {
        self.server_root.join(text)
    }
}

/// An empty list, which hides the one of the base server.
fn said_nothing<T>(directive: &Directive) -> Said<Vec<T>> {
    Said {
        value: Vec::new(),
        origin: directive.origin.clone(),
    }
}

/// RFC 8449 section 4 has no smaller records than 64 bytes, RFC 8446 section 5.1 no larger ones than 2^14.
const FRAGMENT_SIZES: RangeInclusive<usize> = 64..=16_384;

/// The only argument of a directive, a number that is in `range`; `what` is counted.
fn number<T: FromStr + PartialOrd + Display>(
    directive: &Directive,
    range: RangeInclusive<T>,
    what: &str,
) -> Result<T, String> {
    let word = directive.single()?;
    let parsed = word.parse().ok().filter(|number| range.contains(number));
    parsed.ok_or_else(|| {
        let (least, most) = (range.start(), range.end());
        format!("takes a number {what} from {least} to {most}, not \"{word}\"")
    })
}

/// The suites that a directive suppresses. What nobody knows is suppressed already.
pub(crate) fn suppressed_ciphers(directive: &Directive) -> Result<Said<Vec<&'static Cipher>>, String> {
    let list = ciphers::parse_list(&directive.words()).map_err(|error| error.to_string())?;
    Ok(Said {
        value: list.ciphers,
        origin: directive.origin.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engine_addresses() {
        let parse = EngineAddress::parse;
        assert_eq!(parse("443").unwrap(), EngineAddress { ip: None, port: 443 });
        assert_eq!(parse("*:443").unwrap(), EngineAddress { ip: None, port: 443 });
        assert_eq!(parse("[::]:443").unwrap(), EngineAddress { ip: None, port: 443 });
        let v4 = parse("127.0.0.1:8443").unwrap();
        assert!(v4.matches("127.0.0.1".parse().unwrap(), 8443));
        assert!(v4.matches("::ffff:127.0.0.1".parse().unwrap(), 8443));
        assert!(!v4.matches("127.0.0.2".parse().unwrap(), 8443));
        assert!(!v4.matches("127.0.0.1".parse().unwrap(), 443));
        for text in ["443", "127.0.0.1:8443", "[::1]:443"] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        assert!(parse("[::1]:443").unwrap().matches("::1".parse().unwrap(), 443));
        for wrong in [
            "",
            "0",
            "65536",
            "host:443",
            "::1:443",
            "[::1]",
            "1.2.3.4:",
            "443:1.2.3.4",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn session_caches() {
        assert_eq!(SessionCache::parse("NONE").unwrap(), SessionCache::None);
        assert_eq!(
            SessionCache::parse("shmcb:/a(1000)").unwrap(),
            SessionCache::Provider("shmcb".to_owned(), "/a(1000)".to_owned())
        );
        assert!(SessionCache::parse("shmcb").is_err());
        assert!(SessionCache::parse(":x").is_err());
    }
}
