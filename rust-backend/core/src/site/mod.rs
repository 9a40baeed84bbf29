// SPDX-License-Identifier: Apache-2.0
//! A compiled virtual host: a profile and its certificates.
//!
//! May use: base, crypto, info, keys, session, trust, x509.

pub mod key_log;
pub mod profile;

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use rustls::compress::CompressionCache;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ResolvesServerCert, ServerConfig};
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, SignatureScheme, SupportedCipherSuite};

use crate::info::connection_info::CipherNames;
use crate::keys::identity::Identity;
use crate::session::resumption::MAX_TICKETS;
use crate::site::profile::{Profile, offers_tls13};
use crate::trust::client::verifier::ClientVerification;
use crate::x509::Certificate;

/// The certificates of a host, in order of preference.
#[derive(Debug)]
struct Identities {
    list: Box<[Arc<Identity>]>,
    profile: Arc<Profile>,
}

impl Identities {
    /// The identities to use: renewed ones in place of those that were.
    fn current(&self) -> impl Iterator<Item = Cow<'_, Arc<Identity>>> {
        self.list.iter().map(Identity::current)
    }

    fn find(&self, is_wanted: impl Fn(&Identity) -> bool) -> Option<Arc<Identity>> {
        self.current().find(|identity| is_wanted(identity)).map(Cow::into_owned)
    }

    /// The first identity whose signatures the client can verify.
    fn first_for(&self, hello: &ClientHello<'_>, schemes: &[SignatureScheme]) -> Option<Arc<Identity>> {
        // In TLS 1.3 the client's groups apply only to key exchange.
        let is_tls13 = self.profile.spec().protocols.tls13 && offers_tls13(hello);
        let groups = if is_tls13 { None } else { hello.named_groups() };
        let own = self.profile.signatures();
        if !own.is_empty() {
            let wanted = schemes.iter().copied().filter(|scheme| own.contains(scheme));
            let wanted: Vec<_> = wanted.collect();
            return self.find(|identity| identity.suits(&wanted, groups));
        }
        self.find(|identity| identity.suits(schemes, groups))
    }
}

impl ResolvesServerCert for Identities {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let own = self.profile.signatures();
        self.first_for(&hello, hello.signature_schemes())
            .map(|identity| match own.is_empty() {
                true => identity.certified(),
                false => identity.limited_to(own),
            })
    }
}

/// The ALPN results of nearly all connections; their configurations are cached.
const COMMON_PROTOCOLS: [Option<&[u8]>; 3] = [None, Some(b"http/1.1"), Some(b"h2")];

/// The maximum number of compressed certificates of a host: two kinds of keys in two formats.
const COMPRESSED_FORMS: usize = 4;

/// An immutable, compiled virtual host.
#[derive(Debug)]
pub struct Site {
    /// The name of the host, for messages.
    pub name: Box<str>,
    identities: Arc<Identities>,
    /// Whether no certificate is configured: a stopgap certificate is presented, and requests are answered with 503.
    pub unavailable: bool,
    /// The format of cipher names in variables.
    pub names: CipherNames,
    /// Whether clients are verified, if the profile has a verifier.
    asks_clients: bool,
    /// The number of the store in which certificates are looked up by name.
    store: Option<usize>,
    /// The number of the settings by which OCSP responses are fetched.
    stapling: Option<u32>,
    /// The parts that all handshakes share, created at the first one. A process serves few of thousands of hosts.
    served: OnceLock<Box<Served>>,
}

#[derive(Debug)]
struct Served {
    /// The compressed certificates, which all clients share.
    compressed: Arc<CompressionCache>,
    configs: [OnceLock<Arc<ServerConfig>>; COMMON_PROTOCOLS.len()],
}

impl Default for Served {
    fn default() -> Self {
        Self {
            compressed: Arc::new(CompressionCache::new(COMPRESSED_FORMS)),
            configs: Default::default(),
        }
    }
}

impl Site {
    /// A site that presents the first of `identities` that the client can verify.
    pub fn new(
        name: &str,
        profile: Arc<Profile>,
        identities: Vec<Arc<Identity>>,
        unavailable: bool,
        names: CipherNames,
    ) -> Self {
        Self {
            name: name.into(),
            identities: Arc::new(Identities {
                list: identities.into(),
                profile,
            }),
            unavailable,
            names,
            asks_clients: true,
            store: None,
            stapling: None,
            served: OnceLock::new(),
        }
    }

    /// The profile of the site.
    pub fn profile(&self) -> &Arc<Profile> {
        &self.identities.profile
    }

    fn served(&self) -> &Served {
        self.served.get_or_init(Box::default)
    }

    /// The site with another certificate, which answers a challenge (RFC 8737), and without client verification. The
    /// validation server has no client certificate, and requests on such a connection are refused.
    pub fn answering(&self, identity: Identity) -> Self {
        Self {
            asks_clients: false,
            ..self.presenting(identity)
        }
    }

    /// The site with another certificate.
    pub(crate) fn presenting(&self, identity: Identity) -> Self {
        let identities = vec![Arc::new(identity)];
        Self::new(&self.name, Arc::clone(self.profile()), identities, false, self.names).with_stapling(self.stapling)
    }

    /// The site with a store, in which certificates are looked up for names that its own do not cover.
    pub(crate) fn with_store(self, store: Option<usize>) -> Self {
        Self { store, ..self }
    }

    /// The site with OCSP responses for its certificates, which are fetched with the settings of this number.
    pub(crate) fn with_stapling(self, stapling: Option<u32>) -> Self {
        Self { stapling, ..self }
    }

    /// The number of the settings by which OCSP responses for its certificates are fetched; none if they are not.
    pub(crate) fn stapling(&self) -> Option<u32> {
        self.stapling
    }

    /// The certificate of the CA that has issued that of `identity` in DER: one that is presented with it, or that is trusted to issue
    /// certificates of clients.
    pub(crate) fn issuer_of(&self, identity: &Identity) -> Option<Vec<u8>> {
        let leaf = identity.leaf();
        let parsed = Certificate::parse(&leaf).ok()?;
        let is_issuer = |der: &[u8]| Certificate::parse(der).is_ok_and(|issuer| issuer.may_have_issued(&parsed));
        let presented = identity.issuers().iter().find(|der| is_issuer(der));
        if let Some(der) = presented {
            return Some(der.to_vec());
        }
        let anchors = self.profile().client_auth()?.policy.cas.current();
        let trusted = anchors.list().iter().find(|anchor| is_issuer(&anchor.der));
        trusted.map(|anchor| anchor.der.to_vec())
    }

    /// The number of its store.
    pub(crate) fn store(&self) -> Option<usize> {
        self.store
    }

    /// The certificates, in order of preference.
    pub fn identities(&self) -> impl Iterator<Item = Cow<'_, Arc<Identity>>> {
        self.identities.current()
    }

    /// Whether the identity with this number, or its renewal, is one of them. No memory is written, which child processes share.
    pub(crate) fn presents(&self, slot: u32) -> bool {
        self.identities.list.iter().any(|identity| identity.slot() == slot)
    }

    /// Whether another site presents the same certificates.
    pub(crate) fn has_identities_of(&self, other: &Self) -> bool {
        let others: Vec<_> = other.identities().collect();
        let is_in_others = |identity: Cow<'_, Arc<Identity>>| others.iter().any(|one| one.leaf() == identity.leaf());
        self.identities.list.len() == others.len() && self.identities().all(is_in_others)
    }

    /// The configuration of a handshake that selects `protocol` by ALPN, and the verifier of the client, if clients are
    /// verified. `tickets` is the number of tickets that the client has requested.
    pub(crate) fn handshake(
        &self,
        hello: &ClientHello<'_>,
        protocol: Option<&[u8]>,
        tickets: Option<usize>,
    ) -> Result<(Arc<ServerConfig>, Option<Arc<ClientVerification>>), rustls::Error> {
        let (mut config, verification) = self.config_for(hello, protocol)?;
        if let Some(wanted) = tickets.map(|wanted| wanted.min(MAX_TICKETS))
            && wanted != config.send_tls13_tickets
            && config.send_tls13_tickets > 0
        {
            Arc::make_mut(&mut config).send_tls13_tickets = wanted;
        }
        Ok((config, verification))
    }

    fn config_for(
        &self,
        hello: &ClientHello<'_>,
        protocol: Option<&[u8]>,
    ) -> Result<(Arc<ServerConfig>, Option<Arc<ClientVerification>>), rustls::Error> {
        let auth = self.profile().client_auth().filter(|_| self.asks_clients);
        let verification = auth.map(|auth| Arc::new(ClientVerification::new(auth)));
        let group = self.profile().preferred_group(hello);
        if verification.is_none() && group.is_none() {
            return Ok((self.config(protocol), None));
        }
        let verifier = verification
            .clone()
            .map(|verification| verification as Arc<dyn ClientCertVerifier>);
        let (resolver, compressed) = (self.identities.clone(), Arc::clone(&self.served().compressed));
        let config = self
            .profile()
            .config_for_one(resolver, protocol, compressed, verifier, group)?;
        Ok((Arc::new(config), verification))
    }

    /// The configuration of handshakes that select `protocol` by ALPN and request no client certificate.
    fn config(&self, protocol: Option<&[u8]>) -> Arc<ServerConfig> {
        let make = || {
            let compressed = Arc::clone(&self.served().compressed);
            Arc::new(self.profile().config(self.identities.clone(), protocol, compressed))
        };
        match COMMON_PROTOCOLS.iter().position(|common| *common == protocol) {
            Some(at) => Arc::clone(self.served().configs[at].get_or_init(make)),
            None => make(),
        }
    }

    /// The identity that rustls will present to this client.
    ///
    /// In TLS 1.2 the cipher suite determines the possible signatures, independently of the client's signature schemes
    /// (RFC 5246 section 7.4.3). Identities that no common suite can use are skipped.
    pub(crate) fn identity_for(&self, hello: &ClientHello<'_>) -> Option<Arc<Identity>> {
        let common = common_suites(self.profile().suites(), hello.cipher_suites());
        let schemes: Vec<_> = hello
            .signature_schemes()
            .iter()
            .copied()
            .filter(|scheme| usable(*scheme, &common))
            .collect();
        self.identities.first_for(hello, &schemes)
    }
}

fn common_suites(ours: &[SupportedCipherSuite], theirs: &[CipherSuite]) -> Vec<SupportedCipherSuite> {
    ours.iter()
        .copied()
        .filter(|suite| theirs.contains(&suite.suite()))
        .collect()
}

fn usable(scheme: SignatureScheme, suites: &[SupportedCipherSuite]) -> bool {
    suites.iter().any(|suite| match suite {
        SupportedCipherSuite::Tls13(_) => true,
        SupportedCipherSuite::Tls12(suite) => suite.sign.contains(&scheme),
    })
}
