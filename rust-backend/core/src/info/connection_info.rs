// SPDX-License-Identifier: Apache-2.0
//! The parameters of an established connection, and the `SSL_*` variables.
//!
//! A `ConnectionInfo` is immutable and may be read by several threads: requests of one HTTP/2 connection run in parallel.
//! Variables are computed when they are read.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::{NamedGroup, ProtocolVersion, SignatureScheme, SupportedCipherSuite};
use rustls_pki_types::CertificateDer;

use crate::base::directive_names;
use crate::crypto::ciphers::{self, Cipher};
use crate::crypto::protocol::protocol_name;
use crate::crypto::schemes;
use crate::info::ja4::ja4;
use crate::info::offer::Offer;
use crate::keys::identity::Identity;
use crate::trust::client::verify_mode::HandshakeMode;
use crate::trust::client::verify_result::VerifyResult;
use crate::x509::{Certificate, Context, hex};

/// The module's name and version, the value of `SSL_VERSION_INTERFACE`.
pub const INTERFACE: &str = concat!("mod_tls/", env!("CARGO_PKG_VERSION"));

/// Which family of cipher names an application expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CipherNames {
    /// `TLS_AES_256_GCM_SHA384`, `TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384`.
    Iana,
    /// `TLS_AES_256_GCM_SHA384`, `ECDHE-RSA-AES256-GCM-SHA384`.
    OpenSsl,
}

/// The optional groups of variables in a request's environment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EnvOptions {
    /// `StdEnvVars`: all variables except certificates in PEM.
    pub std_env_vars: bool,
    /// `ExportCertData`: the certificates in PEM.
    pub export_cert_data: bool,
}

/// The outcome of a handshake.
#[derive(Debug)]
pub struct ConnectionInfo {
    /// The server name that the client has sent (RFC 6066 section 3), in lower case.
    pub sni: Option<Box<str>>,
    /// What the client has offered; none for a connection to a backend.
    pub offer: Option<Offer>,
    /// The time from the first byte of the client until data could be transferred.
    pub handshake_time: Duration,
    /// The only signature schemes of the site, if it does not use all.
    pub signatures: Option<Arc<[SignatureScheme]>>,
    /// The negotiated protocol version.
    pub version: ProtocolVersion,
    /// The negotiated cipher suite.
    pub suite: SupportedCipherSuite,
    /// The key exchange group; none in a TLS 1.2 resumption, which exchanges no keys.
    pub group: Option<NamedGroup>,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
    /// The session id of TLS 1.2, in upper-case hex; empty where there is none.
    pub session_id: Box<str>,
    /// The certificate that was sent to the client.
    pub identity: Option<Arc<Identity>>,
    /// The certificate chain of the client, or of the backend, the end-entity certificate first.
    pub client_chain: Box<[CertificateDer<'static>]>,
    /// The result of verifying the client's certificate.
    pub client_result: VerifyResult,
    /// How the handshake verified client certificates; none if it requested none.
    pub client_mode: Option<HandshakeMode>,
    /// The maximum number of CAs above the client's certificate in locations without own limit; none if the handshake had
    /// the same limit.
    pub usual_depth: Option<usize>,
    /// The channel binding `tls-exporter` (RFC 9266), once the handshake is complete.
    pub exporter: OnceLock<[u8; 32]>,
    /// The family of cipher names.
    pub names: CipherNames,
}

/// A variable's value.
pub type Value<'a> = Option<Cow<'a, str>>;

fn flag(is_set: bool) -> Cow<'static, str> {
    if is_set { "1" } else { "0" }.into()
}

/// The variables that do not depend on a connection.
pub fn server_variable(name: &str) -> Value<'static> {
    match name {
        "SSL_VERSION_INTERFACE" => Some(directive_names::mod_ssls_name().map_or(INTERFACE.into(), Cow::from)),
        "SSL_VERSION_LIBRARY" => Some(crate::crypto::LIBRARY.into()),
        _ => None,
    }
}

/// The variables that `StdEnvVars` sets, apart from those of certificates, in mod_ssl's order.
const STD_VARIABLES: [&str; 13] = [
    "SSL_VERSION_INTERFACE",
    "SSL_VERSION_LIBRARY",
    "SSL_PROTOCOL",
    "SSL_SECURE_RENEG",
    "SSL_COMPRESS_METHOD",
    "SSL_CIPHER",
    "SSL_CIPHER_EXPORT",
    "SSL_CIPHER_USEKEYSIZE",
    "SSL_CIPHER_ALGKEYSIZE",
    "SSL_KEX",
    "SSL_CLIENT_VERIFY",
    "SSL_SESSION_ID",
    "SSL_SESSION_RESUMED",
];

/// The variables that `StdEnvVars` sets for the client's certificate only, not for the server's.
const CLIENT_VARIABLES: [&str; 3] = ["CERT_RFC4523_CEA", "CERT_SHA256", "SPKI_SHA256"];

impl ConnectionInfo {
    /// The cipher suite.
    pub(crate) fn cipher(&self) -> Option<&'static Cipher> {
        ciphers::by_id(self.suite.suite().into())
    }

    fn cipher_name(&self) -> Value<'_> {
        let cipher = self.cipher()?;
        Some(match self.names {
            CipherNames::Iana => cipher.name_iana().into(),
            CipherNames::OpenSsl => cipher.name_openssl().unwrap_or(cipher.name_iana()).into(),
        })
    }

    /// The value of the variable `name` in `context`; none if it has no value.
    pub fn variable(&self, name: &str, context: &Context) -> Value<'_> {
        match name {
            "HTTPS" => Some("on".into()),
            "SSL_TLS_SNI" => self.sni.as_deref().map(Cow::from),
            "SSL_PROTOCOL" => Some(protocol_name(self.version).into()),
            "SSL_CIPHER" => self.cipher_name(),
            "SSL_CIPHER_USEKEYSIZE" => self.cipher().map(|cipher| cipher.key_bits().0.to_string().into()),
            "SSL_CIPHER_ALGKEYSIZE" => self.cipher().map(|cipher| cipher.key_bits().1.to_string().into()),
            "SSL_CIPHER_EXPORT" => Some("false".into()),
            // rustls signals secure renegotiation in each handshake (RFC 5746), which OpenSSL reports as true.
            "SSL_SECURE_RENEG" => Some((self.names == CipherNames::OpenSsl).to_string().into()),
            "SSL_COMPRESS_METHOD" => Some("NULL".into()),
            "SSL_SESSION_RESUMED" => Some(if self.resumed { "Resumed" } else { "Initial" }.into()),
            "SSL_SESSION_ID" => Some(Cow::from(&*self.session_id)),
            "SSL_KEX" => self.group.and_then(|group| group.as_str().map(Cow::from)),
            "SSL_TLS_EXPORTER" => self.exporter.get().map(|binding| hex(binding).into()),
            "SSL_TLS_SERVER_END_POINT" => self.end_point_binding().map(|binding| hex(&binding).into()),
            "SSL_SIGNATURE_SCHEME" => self.signature_scheme().and_then(schemes::name_of).map(Cow::from),
            "SSL_HANDSHAKE_MS" => Some(self.handshake_time.as_millis().to_string().into()),
            "SSL_JA4" => self.offer.as_ref().map(|offer| ja4(offer).into()),
            "SSL_CLIENT_OFFER" => self.offer.as_ref().map(|offer| offer.full().into()),
            "SSL_CLIENT_ECH" => self.offer.as_ref().map(|offer| flag(offer.has_ech())),
            "SSL_CLIENT_GREASE" => self.offer.as_ref().map(|offer| flag(offer.has_grease())),
            "SSL_CLIENT_VERIFY" => Some(self.client_result.variable(self.client_mode).into()),
            _ => server_variable(name).or_else(|| self.certificate_variable(name, context)),
        }
    }

    /// The scheme of the server's signature in the handshake; none if a session was resumed. rustls does not report it:
    /// this is the choice of the key among the client's schemes, which rustls makes, too.
    pub fn signature_scheme(&self) -> Option<SignatureScheme> {
        let (identity, offer) = (self.identity.as_ref()?, self.offer.as_ref()?);
        if self.resumed {
            return None;
        }
        let is_possible = |scheme: &SignatureScheme| {
            let is_ours = self.signatures.as_ref().is_none_or(|only| only.contains(scheme));
            let is_of_suite = match self.suite {
                SupportedCipherSuite::Tls12(suite) => suite.sign.contains(scheme),
                SupportedCipherSuite::Tls13(_) => !schemes::is_pkcs1(*scheme),
            };
            is_ours && is_of_suite
        };
        let offered = offer.schemes().iter().copied().map(SignatureScheme::from);
        let possible: Vec<_> = offered.filter(is_possible).collect();
        Some(identity.certified().key.choose_scheme(&possible)?.scheme())
    }

    /// The channel binding `tls-server-end-point` (RFC 5929 section 4).
    pub fn end_point_binding(&self) -> Option<Vec<u8>> {
        let leaf = self.identity.as_ref()?.leaf();
        Certificate::parse(&leaf).ok()?.end_point_binding()
    }

    fn certificate_variable(&self, name: &str, context: &Context) -> Value<'_> {
        if let Some(part) = name.strip_prefix("SSL_SERVER_") {
            let leaf = self.identity.as_ref()?.leaf();
            return Certificate::parse(&leaf).ok()?.variable(part, context).map(Cow::from);
        }
        let part = name.strip_prefix("SSL_CLIENT_")?;
        if let Some(number) = part.strip_prefix("CERT_CHAIN_") {
            // The client's own certificate is not part of its chain.
            let der = self.client_chain.get(number.parse::<usize>().ok()?.checked_add(1)?)?;
            return Certificate::parse(der).ok()?.variable("CERT", context).map(Cow::from);
        }
        let der = self.client_chain.first()?;
        Certificate::parse(der).ok()?.variable(part, context).map(Cow::from)
    }

    /// The variables of a request's environment, as name and value, in `context`.
    pub fn environment(&self, options: EnvOptions, context: &Context) -> Vec<(Cow<'static, str>, String)> {
        let mut env: Vec<(Cow<'static, str>, String)> = Vec::new();
        let mut add = |name: &'static str| {
            if let Some(value) = self.variable(name, context) {
                env.push((name.into(), value.into_owned()));
            }
        };
        add("HTTPS");
        add("SSL_TLS_SNI");
        if options.std_env_vars {
            STD_VARIABLES.into_iter().for_each(&mut add);
        } else if self.names == CipherNames::Iana {
            add("SSL_PROTOCOL");
            add("SSL_CIPHER");
        }
        if options != EnvOptions::default() {
            self.add_certificates(&mut env, options, context);
        }
        env
    }

    fn add_certificates(&self, env: &mut Vec<(Cow<'static, str>, String)>, options: EnvOptions, context: &Context) {
        for (prefix, der) in [
            ("SSL_SERVER_", self.identity.as_ref().map(|identity| identity.leaf())),
            ("SSL_CLIENT_", self.client_chain.first().cloned()),
        ] {
            let Some(der) = der else { continue };
            let Ok(certificate) = Certificate::parse(&der) else {
                continue;
            };
            if options.std_env_vars {
                let variables = certificate.std_env(prefix, context);
                env.extend(variables.into_iter().map(|(name, value)| (name.into(), value)));
            }
            if options.std_env_vars && prefix == "SSL_CLIENT_" {
                let about = CLIENT_VARIABLES.map(|name| (name, certificate.variable(name, context)));
                env.extend(
                    about
                        .into_iter()
                        .filter_map(|(name, value)| Some((format!("{prefix}{name}").into(), value?))),
                );
            }
            if options.export_cert_data
                && let Some(pem) = certificate.variable("CERT", context)
            {
                env.push((format!("{prefix}CERT").into(), pem));
            }
        }
        if options.export_cert_data && self.names == CipherNames::OpenSsl && self.client_chain.is_empty() {
            // As in mod_ssl: empty if the client has no certificate.
            env.push(("SSL_CLIENT_CERT".into(), String::new()));
        }
        if options.export_cert_data {
            for number in 0..self.client_chain.len().saturating_sub(1) {
                let name = format!("SSL_CLIENT_CERT_CHAIN_{number}");
                if let Some(pem) = self.variable(&name, context) {
                    let pem = pem.into_owned();
                    env.push((name.into(), pem));
                }
            }
        }
    }

    /// Checks that requests may use the connection; an error is the reason why not. In a resumed session, a certificate that
    /// was valid at the first handshake may not be valid any more.
    pub fn stands(&self) -> Result<(), String> {
        self.client_result.stands(self.client_mode)
    }

    /// The user name for `FakeBasicAuth`: the subject of the client's certificate in mod_ssl's format; none if it was not
    /// verified.
    pub fn fake_user(&self) -> Option<String> {
        let VerifyResult::Verified { .. } = self.client_result else {
            return None;
        };
        let leaf = self.client_chain.first()?;
        Some(Certificate::parse(leaf).ok()?.legacy_subject())
    }

    /// The values of extension `name` (an OID or a name that OpenSSL knows) in the client's or the server's certificate.
    pub fn extension_values(&self, of_client: bool, name: &str) -> Vec<String> {
        let der = if of_client {
            self.client_chain.first().cloned()
        } else {
            self.identity.as_ref().map(|identity| identity.leaf())
        };
        der.and_then(|der| {
            Certificate::parse(&der)
                .ok()
                .map(|certificate| certificate.extension_values(name))
        })
        .unwrap_or_default()
    }
}
