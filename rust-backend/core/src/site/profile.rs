// SPDX-License-Identifier: Apache-2.0
//! The settings of handshakes, apart from certificates.
//!
//! Thousands of hosts share a few profiles. A request may be for another host than that of its connection only if both
//! profiles are equally secure.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::compress::{BROTLI_COMPRESSOR, CertCompressor, CompressionCache, ZLIB_COMPRESSOR};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ResolvesServerCert, ServerConfig};
use rustls::sign::CertifiedKey;
use rustls::{ConfigBuilder, NamedGroup, SignatureScheme, SupportedCipherSuite, WantsVerifier};

use crate::crypto::groups;
use crate::crypto::protocol::Protocols;
use crate::crypto::{self, default_provider};
use crate::session::resumption::{CacheSlot, CachedSessions, Scope, Sealer, SessionSpec, Tickets};
use crate::session::tickets::TicketKeys;
use crate::site::key_log::KeyLogFile;
use crate::trust::client::verifier::{ClientAuth, ClientAuthSpec};

/// The part of a fragment that rustls counts in addition to its plaintext: the header of the record.
const RECORD_OVERHEAD: usize = 5;

/// The certificate compression algorithms, most preferred first (RFC 8879).
const COMPRESSORS: [&dyn CertCompressor; 2] = [BROTLI_COMPRESSOR, ZLIB_COMPRESSOR];

/// The settings that identify a profile.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProfileSpec {
    /// The enabled protocol versions.
    pub protocols: Protocols,
    /// The numbers of the cipher suites, most preferred first.
    pub suites: Vec<u16>,
    /// Whether the client's order of suites takes precedence.
    pub honor_client_order: bool,
    /// The resumption settings.
    pub sessions: SessionSpec,
    /// The numbers of the key exchange groups, most preferred first.
    pub groups: Vec<u16>,
    /// The numbers of those groups that take precedence over the client's order.
    pub preferred_groups: Vec<u16>,
    /// The maximum size of records that are sent, in bytes of plaintext; `None` for TLS's own limit.
    pub max_fragment: Option<usize>,
    /// Whether certificates are compressed (RFC 8879) for clients that support it.
    pub compression: bool,
    /// The numbers of the only signature schemes for our signatures; empty for all.
    pub signatures: Vec<u16>,
    /// The file from which ticket keys are derived; `None` for a random seed of the process.
    pub ticket_key_file: Option<PathBuf>,
    /// The verification of clients, if it is enabled.
    pub client_auth: Option<ClientAuthSpec>,
}

impl ProfileSpec {
    /// Whether handshakes with these settings are as secure as those with `other`: they differ only in session
    /// resumption and in sizes.
    pub(crate) fn is_as_secure_as(&self, other: &Self) -> bool {
        self.protocols == other.protocols
            && self.suites == other.suites
            && self.honor_client_order == other.honor_client_order
            && self.groups == other.groups
            && self.preferred_groups == other.preferred_groups
            && self.signatures == other.signatures
            && self.client_auth == other.client_auth
            && (self.sessions.early_data > 0) == (other.sessions.early_data > 0)
    }
}

/// The storage of resumable sessions.
#[derive(Clone, Debug)]
pub struct Resumption {
    /// The keys of tickets and of cached sessions.
    pub keys: Arc<TicketKeys>,
    /// The cache that child processes share.
    pub cache: Arc<CacheSlot>,
    /// The file for the secrets of connections, if it is configured.
    pub key_log: Option<Arc<KeyLogFile>>,
}

/// A compiled profile, from which rustls configurations are created.
pub struct Profile {
    spec: ProfileSpec,
    suites: Vec<SupportedCipherSuite>,
    provider: Arc<CryptoProvider>,
    client_auth: Option<Arc<ClientAuth>>,
    signatures: Arc<[SignatureScheme]>,
    key_log: Option<Arc<KeyLogFile>>,
    sessions: Arc<CachedSessions>,
    tickets: Option<Arc<Tickets>>,
    /// The template for configurations without client verification.
    template: ServerConfig,
}

/// The resolver in the template. Every site replaces it with its own.
#[derive(Debug)]
struct NoIdentity;

impl ResolvesServerCert for NoIdentity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}

impl Profile {
    /// A profile with the settings `spec`, the suites `suites` and the client verifier `client_auth`.
    pub fn new(
        spec: ProfileSpec,
        suites: Vec<SupportedCipherSuite>,
        groups: Vec<&'static dyn SupportedKxGroup>,
        client_auth: Option<Arc<ClientAuth>>,
        resumption: &Resumption,
    ) -> Result<Self, rustls::Error> {
        let provider = Arc::new(CryptoProvider {
            cipher_suites: suites.iter().copied().map(crypto::observable).collect(),
            kx_groups: groups,
            ..default_provider()
        });
        let scope = client_auth.clone().map_or(Scope::Anonymous, Scope::Authenticated);
        let sealer = Arc::new(Sealer {
            keys: Arc::clone(&resumption.keys),
            scope,
            lifetime: spec.sessions.lifetime,
        });
        let tickets = spec.sessions.tickets.then(|| Arc::new(Tickets(Arc::clone(&sealer))));
        let sessions = Arc::new(CachedSessions {
            slot: Arc::clone(&resumption.cache),
            sealer,
        });
        let mut profile = Self {
            template: builder(&provider, &spec)?
                .with_no_client_auth()
                .with_cert_resolver(Arc::new(NoIdentity)),
            signatures: spec.signatures.iter().copied().map(SignatureScheme::from).collect(),
            spec,
            suites,
            provider,
            client_auth,
            key_log: resumption.key_log.clone(),
            sessions,
            tickets,
        };
        profile.template = profile.complete(profile.template.clone());
        Ok(profile)
    }

    /// The settings.
    pub fn spec(&self) -> &ProfileSpec {
        &self.spec
    }

    /// Whether all settings are approved by FIPS 140-3.
    pub(crate) fn is_fips(&self) -> bool {
        self.template.fips()
    }

    /// A description of the settings that are not approved.
    pub(crate) fn unapproved(&self) -> String {
        crypto::unapproved(&self.provider)
    }

    /// The cipher suites, most preferred first.
    pub fn suites(&self) -> &[SupportedCipherSuite] {
        &self.suites
    }

    /// The only signature schemes for our signatures; empty for all.
    pub(crate) fn signatures(&self) -> &Arc<[SignatureScheme]> {
        &self.signatures
    }

    /// The verifier of clients, if it is enabled.
    pub fn client_auth(&self) -> Option<&Arc<ClientAuth>> {
        self.client_auth.as_ref()
    }

    /// A configuration with the certificates of `resolver` that selects `protocol` by ALPN, or none. It requests no
    /// client certificate.
    pub(crate) fn config(
        &self,
        resolver: Arc<dyn ResolvesServerCert>,
        protocol: Option<&[u8]>,
        compressed: Arc<CompressionCache>,
    ) -> ServerConfig {
        let mut config = self.template.clone();
        config.cert_resolver = resolver;
        config.cert_compression_cache = compressed;
        config.alpn_protocols = alpn(protocol);
        config
    }

    /// A configuration for one client, with the verifier `verifier` and the key exchange group `group`, if they are
    /// given. rustls builds such configurations only from scratch.
    pub(crate) fn config_for_one(
        &self,
        resolver: Arc<dyn ResolvesServerCert>,
        protocol: Option<&[u8]>,
        compressed: Arc<CompressionCache>,
        verifier: Option<Arc<dyn ClientCertVerifier>>,
        group: Option<NamedGroup>,
    ) -> Result<ServerConfig, rustls::Error> {
        let provider = match group {
            Some(group) => Arc::new(self.provider_with(group)),
            None => Arc::clone(&self.provider),
        };
        let builder = builder(&provider, &self.spec)?;
        let builder = match verifier {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let config = builder.with_cert_resolver(resolver);
        let mut config = self.complete(config);
        config.cert_compression_cache = compressed;
        config.alpn_protocols = alpn(protocol);
        Ok(config)
    }

    fn provider_with(&self, group: NamedGroup) -> CryptoProvider {
        let mut provider = CryptoProvider::clone(&self.provider);
        provider.kx_groups.retain(|known| known.name() == group);
        provider
    }

    /// The group that this client must use: the first preferred group that it offers. rustls itself follows the
    /// client's order.
    pub(crate) fn preferred_group(&self, hello: &ClientHello<'_>) -> Option<NamedGroup> {
        if self.spec.preferred_groups.is_empty() {
            return None;
        }
        let offered = hello.named_groups()?;
        // Groups other than curves are only for TLS 1.3 (RFC 8446 section 4.2.7).
        let is_tls13 = self.spec.protocols.tls13 && offers_tls13(hello);
        let usable = |group: &NamedGroup| offered.contains(group) && (is_tls13 || groups::is_curve(*group));
        self.spec
            .preferred_groups
            .iter()
            .copied()
            .map(NamedGroup::from)
            .find(usable)
    }

    /// Sets the options that are not part of a builder.
    fn complete(&self, mut config: ServerConfig) -> ServerConfig {
        config.ignore_client_order = !self.spec.honor_client_order;
        config.send_tls13_tickets = self.spec.sessions.count;
        config.max_early_data_size = self.spec.sessions.early_data;
        // Answers to early data are also sent before the handshake is complete.
        config.send_half_rtt_data = self.spec.sessions.early_data > 0;
        config.max_fragment_size = self.spec.max_fragment.map(|size| size + RECORD_OVERHEAD);
        config.cert_compressors = match self.spec.compression {
            true => COMPRESSORS.to_vec(),
            false => Vec::new(),
        };
        if let Some(key_log) = &self.key_log {
            config.key_log = key_log.clone();
        }
        config.session_storage = self.sessions.clone();
        if let Some(tickets) = &self.tickets {
            config.ticketer = tickets.clone();
        }
        config
    }
}

fn builder(
    provider: &Arc<CryptoProvider>,
    spec: &ProfileSpec,
) -> Result<ConfigBuilder<ServerConfig, WantsVerifier>, rustls::Error> {
    ServerConfig::builder_with_provider(Arc::clone(provider)).with_protocol_versions(&spec.protocols.rustls_versions())
}

/// Whether the client offers a TLS 1.3 cipher suite.
pub(crate) fn offers_tls13(hello: &ClientHello<'_>) -> bool {
    hello.cipher_suites().iter().any(|suite| u16::from(*suite) >> 8 == 0x13)
}

fn alpn(protocol: Option<&[u8]>) -> Vec<Vec<u8>> {
    protocol.map(<[u8]>::to_vec).into_iter().collect()
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile")
            .field("spec", &self.spec)
            .finish_non_exhaustive()
    }
}
