// SPDX-License-Identifier: Apache-2.0
//! A virtual host as TLS sees it: a profile and the certificates that it presents.
//!
//! May use: base, crypto, info, keys, session, trust, x509.

pub mod key_log;
pub mod profile;

use std::sync::{Arc, OnceLock};

use rustls::compress::CompressionCache;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ResolvesServerCert, ServerConfig};
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, SignatureScheme, SupportedCipherSuite};

use crate::info::facts::CipherNames;
use crate::keys::identity::Identity;
use crate::session::resumption::MAX_TICKETS;
use crate::site::profile::{Profile, offers_tls13};
use crate::trust::client::verifier::Audit;

/// The certificates of a host, in the order in which they are tried.
#[derive(Debug)]
struct Identities {
    list: Box<[Arc<Identity>]>,
    profile: Arc<Profile>,
}

impl Identities {
    /// The first identity that suits a client: whose signatures it can verify.
    fn first_for(&self, hello: &ClientHello<'_>, schemes: &[SignatureScheme]) -> Option<&Arc<Identity>> {
        // In TLS 1.3 the client's groups are about key exchange alone.
        let is_tls13 = self.profile.spec().protocols.tls13 && offers_tls13(hello);
        let groups = if is_tls13 { None } else { hello.named_groups() };
        let own = self.profile.signatures();
        if !own.is_empty() {
            let wanted = schemes.iter().copied().filter(|scheme| own.contains(scheme));
            let wanted: Vec<_> = wanted.collect();
            return self.list.iter().find(|identity| identity.suits(&wanted, groups));
        }
        self.list.iter().find(|identity| identity.suits(schemes, groups))
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

/// ALPN protocols that nearly all connections agree on; their configurations are kept.
const COMMON_PROTOCOLS: [Option<&[u8]>; 3] = [None, Some(b"http/1.1"), Some(b"h2")];

/// How many compressed certificates a host keeps: two kinds of keys in two formats.
const COMPRESSED_FORMS: usize = 4;

/// An immutable, compiled virtual host.
#[derive(Debug)]
pub struct Site {
    /// The host's name, for people.
    pub name: Box<str>,
    identities: Arc<Identities>,
    /// No certificate was configured: what is presented is a stopgap, and requests are answered with 503.
    pub unavailable: bool,
    /// How ciphers are called in variables.
    pub names: CipherNames,
    /// Whether clients are verified if the profile says so.
    asks_clients: bool,
    /// What its handshakes have in common. Of thousands of hosts few are asked for in one process.
    served: OnceLock<Box<Served>>,
}

#[derive(Debug)]
struct Served {
    /// The certificates, compressed once for all clients.
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
    /// A site that presents the first of `identities` that suits a client.
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
            served: OnceLock::new(),
        }
    }

    /// How its handshakes go.
    pub fn profile(&self) -> &Arc<Profile> {
        &self.identities.profile
    }

    fn served(&self) -> &Served {
        self.served.get_or_init(Box::default)
    }

    /// What answers a challenge (RFC 8737) for this site: another certificate, and nothing asked of the client. Whoever
    /// validates a name has no certificate; requests on such a connection are refused all the same.
    pub fn answering(&self, identity: Identity) -> Self {
        let identities = vec![Arc::new(identity)];
        Self {
            asks_clients: false,
            ..Self::new(&self.name, Arc::clone(self.profile()), identities, false, self.names)
        }
    }

    /// The certificates, in the order in which they are tried.
    pub fn identities(&self) -> &[Arc<Identity>] {
        &self.identities.list
    }

    /// Whether another site presents the same certificates.
    pub(crate) fn has_identities_of(&self, other: &Self) -> bool {
        let is_in = |identity: &Identity, list: &[Arc<Identity>]| list.iter().any(|one| one.leaf() == identity.leaf());
        let (own, others) = (self.identities(), other.identities());
        own.len() == others.len() && own.iter().all(|identity| is_in(identity, others))
    }

    /// What a handshake that agrees on `protocol` by ALPN is made with: its configuration, and what finds out about
    /// the client if clients are verified. The client gets `tickets` tickets if it has said how many it wants.
    pub(crate) fn handshake(
        &self,
        hello: &ClientHello<'_>,
        protocol: Option<&[u8]>,
        tickets: Option<usize>,
    ) -> Result<(Arc<ServerConfig>, Option<Arc<Audit>>), rustls::Error> {
        let (mut config, audit) = self.config_for(hello, protocol)?;
        if let Some(wanted) = tickets.map(|wanted| wanted.min(MAX_TICKETS))
            && wanted != config.send_tls13_tickets
            && config.send_tls13_tickets > 0
        {
            Arc::make_mut(&mut config).send_tls13_tickets = wanted;
        }
        Ok((config, audit))
    }

    fn config_for(
        &self,
        hello: &ClientHello<'_>,
        protocol: Option<&[u8]>,
    ) -> Result<(Arc<ServerConfig>, Option<Arc<Audit>>), rustls::Error> {
        let auth = self.profile().client_auth().filter(|_| self.asks_clients);
        let audit = auth.map(|auth| Arc::new(Audit::new(auth)));
        let group = self.profile().preferred_group(hello);
        if audit.is_none() && group.is_none() {
            return Ok((self.config(protocol), None));
        }
        let verifier = audit.clone().map(|audit| audit as Arc<dyn ClientCertVerifier>);
        let (resolver, compressed) = (self.identities.clone(), Arc::clone(&self.served().compressed));
        let config = self
            .profile()
            .config_for_one(resolver, protocol, compressed, verifier, group)?;
        Ok((Arc::new(config), audit))
    }

    /// The configuration for handshakes that agree on `protocol` by ALPN and ask nothing of clients.
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
    /// In TLS 1.2 the cipher suite says which signatures are possible, whatever the client's signature schemes are
    /// (RFC 5246 section 7.4.3), so those that no common suite can use do not count.
    pub(crate) fn identity_for(&self, hello: &ClientHello<'_>) -> Option<Arc<Identity>> {
        let common = common_suites(self.profile().suites(), hello.cipher_suites());
        let schemes: Vec<_> = hello
            .signature_schemes()
            .iter()
            .copied()
            .filter(|scheme| usable(*scheme, &common))
            .collect();
        self.identities.first_for(hello, &schemes).cloned()
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
