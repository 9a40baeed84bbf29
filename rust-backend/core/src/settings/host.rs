// SPDX-License-Identifier: Apache-2.0
//! Settings of a virtual host, and their inheritance from the base server.

use std::path::PathBuf;

use rustls::SignatureScheme;

use crate::base::copy_on_write::CopyOnWrite;
use crate::base::diagnostics::Origin;
use crate::base::directive::Located;
use crate::base::place::Place;
use crate::crypto::ciphers::Cipher;
use crate::crypto::groups::GroupSettings;
use crate::crypto::protocol::Protocols;
use crate::keys::identity::IdentityFiles;
use crate::keys::store_source::StoreSource;
use crate::session::resumption::{DEFAULT_EARLY_DATA, SessionSpec};
use crate::session::tickets;
use crate::settings::handshake_timeout::HandshakeTimeout;
use crate::settings::only_suites::OnlySuites;
use crate::settings::revocation::RevocationSettings;
use crate::settings::sources::Sources;
use crate::trust::client::verifier::CaNames;
use crate::trust::client::verify_mode::{self, VerifyMode};
use crate::trust::fetched_lists::FetchCheck;
use crate::trust::revocation::CrlCheck;

/// The default session lifetime of mod_ssl, in seconds.
const MOD_SSL_LIFETIME: u32 = 300;

/// Settings for client certificates of a virtual host.
#[derive(Clone, Debug, Default)]
pub struct ClientSettings {
    /// Whether a client certificate is required or requested, for the whole host.
    pub mode: Option<Located<VerifyMode>>,
    /// The same for sections: all their settings combined.
    pub somewhere: Option<Located<VerifyMode>>,
    /// Files and directories with trusted CAs.
    pub cas: Vec<Located<Place>>,
    /// The CA names that are sent to clients.
    pub names: Option<Located<CaNames>>,
    /// The maximum number of CAs above a client certificate.
    pub depth: Option<usize>,
    /// The largest such number in sections.
    pub depth_somewhere: Option<usize>,
    /// Files and directories with revocation lists.
    pub crls: Vec<Located<PathBuf>>,
    /// Which certificates are looked up in them.
    pub crl_check: Option<Located<CrlCheck>>,
    /// Whether revocation lists are fetched.
    pub fetch_lists: Option<Located<FetchCheck>>,
    /// Trusted CAs by mod_ssl's directives.
    pub ca_sources: Sources,
    /// CA names that are sent to clients, by mod_ssl's directives.
    pub name_sources: Sources,
    /// Revocation lists by mod_ssl's directives.
    pub crl_sources: Sources,
}

impl ClientSettings {
    fn inherit(self, base: &Self) -> Self {
        fn or_base<T: Clone>(own: Vec<Located<T>>, base: &[Located<T>]) -> Vec<Located<T>> {
            match own.is_empty() {
                true => base.to_vec(),
                false => own,
            }
        }
        Self {
            mode: self.mode.or_else(|| base.mode.clone()),
            // Sections of the base server apply to all virtual hosts.
            somewhere: combine(self.somewhere, base.somewhere.clone()),
            cas: or_base(self.cas, &base.cas),
            names: self.names.or_else(|| base.names.clone()),
            depth: self.depth.or(base.depth),
            depth_somewhere: self.depth_somewhere.max(base.depth_somewhere),
            crls: or_base(self.crls, &base.crls),
            crl_check: self.crl_check.or_else(|| base.crl_check.clone()),
            fetch_lists: self.fetch_lists.or_else(|| base.fetch_lists.clone()),
            ca_sources: self.ca_sources.inherit(&base.ca_sources),
            name_sources: self.name_sources.inherit(&base.name_sources),
            crl_sources: self.crl_sources.inherit(&base.crl_sources),
        }
    }

    /// Whether revocation lists are fetched.
    pub fn fetches(&self) -> bool {
        self.fetch_lists.as_ref().is_some_and(|said| said.value.fetches)
    }

    /// The setting for the whole host, and that of sections.
    pub fn verify_modes(&self) -> (VerifyMode, VerifyMode) {
        let value = |said: &Option<Located<VerifyMode>>| said.as_ref().map(|said| said.value).unwrap_or_default();
        (value(&self.mode), value(&self.somewhere))
    }
}

pub(crate) fn combine(
    one: Option<Located<VerifyMode>>,
    other: Option<Located<VerifyMode>>,
) -> Option<Located<VerifyMode>> {
    match (one, other) {
        (Some(one), Some(other)) => Some(Located {
            value: verify_mode::combine(one.value, other.value),
            origin: one.origin,
        }),
        (one, other) => one.or(other),
    }
}

/// Settings for session resumption in a virtual host.
#[derive(Clone, Debug, Default)]
pub struct SessionSettings {
    /// Whether session tickets are issued.
    pub tickets: Option<Located<bool>>,
    /// The number of tickets that a client gets.
    pub count: Option<usize>,
    /// For how long a session can be resumed, in seconds.
    pub lifetime: Option<u32>,
    /// The file of the secret from which ticket keys are derived.
    pub ticket_key_file: Option<Located<PathBuf>>,
    /// Whether requests may arrive as early data.
    pub early_data: Option<Located<bool>>,
    /// The maximum amount of early data, in bytes.
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

    /// The place of the directive that enables early data; none if it is not enabled.
    pub fn early_data(&self) -> Option<&Located<bool>> {
        self.early_data.as_ref().filter(|said| said.value)
    }

    /// The effective settings. Early data requires sessions in the cache, to use each once (RFC 8446 section 8.1).
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

/// Files of certificates, keys and intermediate certificates. The first key belongs to the first certificate, and so on.
#[derive(Clone, Debug, Default)]
pub struct CertificateFiles {
    /// The certificates.
    pub certificates: Vec<Located<PathBuf>>,
    /// The keys. A certificate without an entry has the key in its own file.
    pub keys: Vec<Located<PathBuf>>,
    /// The intermediate certificates.
    pub chain: Option<Located<PathBuf>>,
}

impl CertificateFiles {
    /// As in mod_ssl, a host's first three files replace those of the base server: one for each type of key.
    const REPLACED: usize = 3;

    fn inherit(self, base: &Self) -> Self {
        let overlay = |own: Vec<Located<PathBuf>>, base: &[Located<PathBuf>]| {
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
    pub fn pairs(&self) -> Vec<Located<IdentityFiles>> {
        let pair = |(at, certificate): (usize, &Located<PathBuf>)| Located {
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

/// The settings of one server, before or after inheritance.
#[derive(Clone, Debug, Default)]
pub struct HostSettings {
    /// Whether connections are TLS by mod_ssl's rules, so that its defaults hold. Set when all directives were read.
    pub is_mod_ssls: bool,
    /// Whether connections are TLS: `SSLEngine`.
    pub engine: Option<Located<bool>>,
    /// The certificates, in the order of preference.
    pub certificates: Vec<Located<IdentityFiles>>,
    /// Whether the server has its own directive for them.
    pub has_own_certificates: bool,
    /// Certificates by mod_ssl's directives.
    pub files: CertificateFiles,
    /// The place of the host's ServerName directive.
    pub named_at: Option<Origin>,
    /// All other settings.
    pub policy: CopyOnWrite<Policy>,
}

/// The settings that do not depend on the certificate. Most hosts share them.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// The only cipher suites, by mod_ssl's directives.
    pub only_suites: OnlySuites,
    /// The minimum protocol version, by its number in TLS, in addition to `protocols`.
    pub min_protocol: Option<u16>,
    /// The maximum protocol version.
    pub max_protocol: Option<u16>,
    /// The only signature algorithms.
    pub signatures: Option<Located<Vec<SignatureScheme>>>,
    /// Whether clients must send a server name.
    pub requires_sni: Option<bool>,
    /// The protocol versions.
    pub protocols: Option<Located<Protocols>>,
    /// Preferred cipher suites, in this order.
    pub prefer: Option<Located<Vec<&'static Cipher>>>,
    /// Cipher suites that are not used.
    pub suppress: Option<Located<Vec<&'static Cipher>>>,
    /// Key exchange groups.
    pub groups: GroupSettings,
    /// Where certificates are looked up by name, or that they are not.
    pub store: Option<Located<Option<StoreSource>>>,
    /// Whether the client's order of cipher suites is used.
    pub honor_client_order: Option<bool>,
    /// The largest records that are sent, in bytes of plaintext.
    pub max_fragment: Option<usize>,
    /// Whether certificates are compressed.
    pub compression: Option<bool>,
    /// Session resumption.
    pub sessions: SessionSettings,
    /// Client certificates.
    pub clients: ClientSettings,
    /// Revocation by what other machines say.
    pub revocation: RevocationSettings,
    /// The time limit of handshakes.
    pub handshake_timeout: Option<Option<HandshakeTimeout>>,
}

impl HostSettings {
    /// The effective settings for session resumption.
    pub fn session_spec(&self) -> SessionSpec {
        self.policy.sessions.spec(match self.is_mod_ssls {
            true => MOD_SSL_LIFETIME,
            false => tickets::DEFAULT_LIFETIME,
        })
    }

    /// These settings, with those of `base` for settings that are not set. The ServerName is not inherited. `nothing` is
    /// the policy of hosts without own settings.
    pub fn inherit(self, base: &Self, nothing: &CopyOnWrite<Policy>) -> Self {
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
            store: self.store.clone().or_else(|| base.store.clone()),
            honor_client_order: self.honor_client_order.or(base.honor_client_order),
            max_fragment: self.max_fragment.or(base.max_fragment),
            compression: self.compression.or(base.compression),
            sessions: self.sessions.clone().inherit(&base.sessions),
            clients: self.clients.clone().inherit(&base.clients),
            revocation: self.revocation.clone().inherit(&base.revocation),
            handshake_timeout: self.handshake_timeout.or(base.handshake_timeout),
        }
    }
}

/// A host's own list, or that of the base server without the elements of the host's opposite list. Only a contradiction
/// within one server is an error.
fn inherit_list(
    own: &Option<Located<Vec<&'static Cipher>>>,
    base: &Option<Located<Vec<&'static Cipher>>>,
    opposite: &Option<Located<Vec<&'static Cipher>>>,
) -> Option<Located<Vec<&'static Cipher>>> {
    if own.is_some() {
        return own.clone();
    }
    let mut inherited = base.clone()?;
    if let Some(opposite) = opposite {
        inherited.value.retain(|cipher| !opposite.value.contains(cipher));
    }
    Some(inherited)
}
