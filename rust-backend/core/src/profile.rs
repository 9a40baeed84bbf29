// SPDX-License-Identifier: Apache-2.0
//! The settings that decide how a handshake goes, apart from who we are.
//!
//! Thousands of hosts share a handful of profiles. A request may move from the host of its connection to another only
//! if both have the same profile.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest;
use rustls::SupportedCipherSuite;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::{ClientHello, ResolvesServerCert, ServerConfig};
use rustls::sign::CertifiedKey;

use crate::protocol::Protocols;
use crate::sessions::{CacheSlot, CachedSessions, Scope, Tickets};
use crate::tickets::TicketKeys;

/// How many TLS 1.3 tickets follow a full handshake (RFC 8446 section 4.6.1): two, so that a client may open two
/// connections at once next time.
const TICKETS: usize = 2;

/// What makes profiles equal or different.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProfileSpec {
    /// The protocol versions that are spoken.
    pub protocols: Protocols,
    /// The numbers of the cipher suites, most preferred first.
    pub suites: Vec<u16>,
    /// Whether the client's order of suites counts before ours.
    pub honor_client_order: bool,
    /// Whether sessions are resumed by tickets.
    pub tickets: bool,
}

impl ProfileSpec {
    /// The digest of what decides who the client is. Sessions are bound to it.
    fn scope(&self) -> Scope {
        let digest = digest::digest(&digest::SHA256, b"mod_tls: no client authentication");
        let mut scope = Scope::default();
        scope.copy_from_slice(digest.as_ref());
        scope
    }
}

/// Where sessions are kept that profiles make resumable.
#[derive(Clone, Debug)]
pub struct Resumption {
    /// The keys of tickets and of cached sessions.
    pub keys: Arc<TicketKeys>,
    /// The cache that children share.
    pub cache: Arc<CacheSlot>,
}

/// A profile, ready to make rustls configurations of.
pub struct Profile {
    spec: ProfileSpec,
    suites: Vec<SupportedCipherSuite>,
    template: ServerConfig,
}

/// The template's resolver. Every site puts its own in its place.
#[derive(Debug)]
struct NoIdentity;

impl ResolvesServerCert for NoIdentity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}

impl Profile {
    /// A profile that speaks `spec` by the suites `suites`.
    pub fn new(
        spec: ProfileSpec,
        suites: Vec<SupportedCipherSuite>,
        resumption: &Resumption,
    ) -> Result<Self, rustls::Error> {
        let provider = CryptoProvider {
            cipher_suites: suites.clone(),
            ..default_provider()
        };
        let mut template = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&spec.protocols.rustls_versions())?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(NoIdentity));
        template.ignore_client_order = !spec.honor_client_order;
        template.send_tls13_tickets = TICKETS;
        let scope = spec.scope();
        let keys = &resumption.keys;
        template.session_storage = Arc::new(CachedSessions {
            slot: Arc::clone(&resumption.cache),
            keys: Arc::clone(keys),
            scope,
        });
        if spec.tickets {
            template.ticketer = Arc::new(Tickets {
                keys: Arc::clone(keys),
                scope,
            });
        }
        Ok(Self { spec, suites, template })
    }

    /// The settings.
    pub fn spec(&self) -> &ProfileSpec {
        &self.spec
    }

    /// The cipher suites, most preferred first.
    pub fn suites(&self) -> &[SupportedCipherSuite] {
        &self.suites
    }

    /// A configuration that presents `resolver`'s certificates and agrees on `protocol` by ALPN, or on nothing.
    pub(crate) fn config(&self, resolver: Arc<dyn ResolvesServerCert>, protocol: Option<&[u8]>) -> Arc<ServerConfig> {
        let mut config = self.template.clone();
        config.cert_resolver = resolver;
        config.alpn_protocols = protocol.map(<[u8]>::to_vec).into_iter().collect();
        Arc::new(config)
    }
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile")
            .field("spec", &self.spec)
            .finish_non_exhaustive()
    }
}
