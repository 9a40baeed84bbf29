// SPDX-License-Identifier: Apache-2.0
//! Compiled settings of connections to backends.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use rustls::client::{ClientConfig, ClientConnection, ResolvesClientCert, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls::{SignatureScheme, SupportedCipherSuite};
use rustls_pki_types::{CertificateDer, ServerName};

use super::machines::Machines;
use super::verifier::BackendVerifier;
use crate::base::lock::lock;
use crate::crypto::protocol::Protocols;
use crate::crypto::{self, default_provider};
use crate::keys::identity::Identity;
use crate::settings::backend::NameCheck;
use crate::trust::ca_set::CaSet;
use crate::trust::path::Policy;
use crate::trust::refusal::Refusal;
use crate::x509::Certificate;

/// The number of backends whose sessions a child process stores.
const REMEMBERED_BACKENDS: usize = 256;

/// The input for a profile.
#[derive(Debug)]
pub struct Parts {
    /// The protocol versions.
    pub protocols: Protocols,
    /// The cipher suites, most preferred first.
    pub suites: Vec<SupportedCipherSuite>,
    /// The requirements for the certificates of backends, if they are verified.
    pub policy: Option<Policy>,
    /// Whether certificates of unknown CAs are accepted.
    pub any_ca: bool,
    /// Which names of the certificate must match the backend's name.
    pub check_name: NameCheck,
    /// Whether expired certificates are refused even if there is no `policy`.
    pub check_expiry: bool,
    /// The certificates for backends that request one.
    pub machines: Vec<Machines>,
}

/// Compiled settings of connections to backends. Connections with the same profile are interchangeable.
pub struct ProxyProfile {
    verifier: Arc<BackendVerifier>,
    machines: Vec<Machines>,
    template: ClientConfig,
    made: Mutex<Option<Made>>,
}

/// What depends on the certificates as they are.
struct Made {
    identities: Vec<Arc<Identity>>,
    template: ClientConfig,
    /// Configurations for each ALPN protocol.
    configs: HashMap<Vec<u8>, Arc<ClientConfig>>,
}

impl Made {
    /// Sessions with other certificates are not resumed: they would be those of who has logged in with these.
    fn new(template: &ClientConfig, identities: Vec<Arc<Identity>>) -> Self {
        let mut template = template.clone();
        template.client_auth_cert_resolver = Arc::new(Identities(identities.clone()));
        template.resumption = Resumption::in_memory_sessions(REMEMBERED_BACKENDS);
        Self {
            identities,
            template,
            configs: HashMap::new(),
        }
    }

    fn is_for(&self, identities: &[Arc<Identity>]) -> bool {
        let same = |(one, other): (&Arc<Identity>, &Arc<Identity>)| Arc::ptr_eq(one, other);
        self.identities.len() == identities.len() && self.identities.iter().zip(identities).all(same)
    }

    fn config(&mut self, protocol: &[u8]) -> Arc<ClientConfig> {
        let template = &self.template;
        let config = self.configs.entry(protocol.to_vec()).or_insert_with(|| {
            let mut config = template.clone();
            config.alpn_protocols = vec![protocol.to_vec()];
            Arc::new(config)
        });
        Arc::clone(config)
    }
}

/// The certificates for backends.
#[derive(Debug)]
struct Identities(Vec<Arc<Identity>>);

impl ResolvesClientCert for Identities {
    /// The first certificate that matches the backend's signature schemes and was issued by a CA that the backend
    /// names. If there is none, the first that matches the signature schemes.
    fn resolve(&self, root_hint_subjects: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let suitable: Vec<_> = self.0.iter().filter(|identity| identity.suits(schemes, None)).collect();
        let named = suitable
            .iter()
            .find(|identity| is_issued_by(identity, root_hint_subjects));
        named.or(suitable.first()).map(|identity| identity.certified())
    }

    fn has_certs(&self) -> bool {
        !self.0.is_empty()
    }
}

fn is_issued_by(identity: &Identity, names: &[&[u8]]) -> bool {
    identity
        .certified()
        .cert
        .iter()
        .filter_map(|der| Certificate::parse(der).ok())
        .any(|certificate| names.contains(&certificate.issuer_der()))
}

impl ProxyProfile {
    /// Builds a profile.
    pub fn new(parts: Parts) -> Result<Self, rustls::Error> {
        let provider = Arc::new(CryptoProvider {
            cipher_suites: parts.suites.into_iter().map(crypto::observable).collect(),
            ..default_provider()
        });
        let verifier = Arc::new(BackendVerifier {
            policy: parts.policy,
            any_ca: parts.any_ca,
            check_name: parts.check_name,
            check_expiry: parts.check_expiry,
        });
        let template = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&parts.protocols.rustls_versions())?
            .dangerous()
            .with_custom_certificate_verifier(verifier.clone())
            .with_no_client_auth();
        Ok(Self {
            verifier,
            machines: parts.machines,
            template,
            made: Mutex::default(),
        })
    }

    /// The CAs that backends are verified by.
    pub(crate) fn cas(&self) -> Option<&Arc<CaSet>> {
        self.verifier.policy.as_ref().map(|policy| &policy.cas)
    }

    /// Where the certificates for backends come from.
    pub(crate) fn machines(&self) -> &[Machines] {
        &self.machines
    }

    /// Whether all settings are approved by FIPS 140-3.
    pub(crate) fn is_fips(&self) -> bool {
        self.template.fips()
    }

    /// A description of the settings that are not approved.
    pub(crate) fn unapproved(&self) -> String {
        crypto::unapproved(self.template.crypto_provider())
    }

    /// Starts a connection to the backend `name` that offers `protocol` by ALPN.
    pub(crate) fn connect(
        &self,
        name: ServerName<'static>,
        protocol: &[u8],
    ) -> Result<ClientConnection, rustls::Error> {
        let identities: Vec<_> = self.machines.iter().flat_map(Machines::current).collect();
        let mut slot = lock(&self.made);
        let made = match slot.take().filter(|made| made.is_for(&identities)) {
            Some(made) => slot.insert(made),
            None => slot.insert(Made::new(&self.template, identities)),
        };
        let config = made.config(protocol);
        drop(slot);
        ClientConnection::new(config, name)
    }

    /// Verifies the certificate of a resumed session again: it may have become invalid in the meantime.
    pub(crate) fn verify_again(&self, chain: &[CertificateDer<'_>], now: i64) -> Result<(), Refusal> {
        self.verifier.verify(chain, None, now)
    }
}

impl fmt::Debug for ProxyProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyProfile").finish_non_exhaustive()
    }
}
