// SPDX-License-Identifier: Apache-2.0
//! What the `TLSProxy…` directives of a block mean.

use std::path::PathBuf;

use crate::base::diagnostics::Origin;
use crate::base::directive::Directive;
use crate::base::directive::Located;
use crate::base::place::Place;
use crate::crypto::ciphers::Cipher;
use crate::crypto::protocol::Protocols;
use crate::keys::identity::IdentityFiles;
use crate::settings::only_suites::OnlySuites;
use crate::settings::sources::Sources;
use crate::settings::{Interpreter, suppressed_ciphers};
use crate::trust::fetched_lists::FetchCheck;
use crate::trust::revocation::CrlCheck;

/// Where trusted CAs come from: `TLSProxyCA`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CaSource {
    /// The trust store of the platform.
    pub system: bool,
    /// Files and directories.
    pub paths: Vec<Place>,
}

impl Default for CaSource {
    fn default() -> Self {
        Self {
            system: true,
            paths: Vec::new(),
        }
    }
}

/// How the certification path of a backend's certificate is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendCheck {
    /// It is not verified.
    None,
    /// It has to be valid, but its issuer may be unknown.
    AnyCa,
    /// It has to be valid and to end at a trusted CA.
    Required,
}

/// Which names of a backend's certificate are compared with the name of the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameCheck {
    /// None.
    None,
    /// Those of subjectAltName.
    AlternativeNames,
    /// Those of subjectAltName and the common name, as in mod_ssl.
    AnyName,
    /// The common name.
    CommonName,
}

/// The settings of a block, or of a chain of blocks.
#[derive(Clone, Debug, Default)]
pub struct ProxySettings {
    /// The place of the innermost block with any of these settings.
    pub place: Option<Origin>,
    /// Whether this module speaks TLS to backends.
    pub engine: Option<Located<bool>>,
    /// The trusted CAs.
    pub ca: Option<Located<CaSource>>,
    /// Where revocation lists are.
    pub crls: Vec<Located<PathBuf>>,
    /// The protocol versions.
    pub protocols: Option<Located<Protocols>>,
    /// Preferred cipher suites, in this order.
    pub prefer: Option<Located<Vec<&'static Cipher>>>,
    /// Cipher suites that are not used.
    pub suppress: Option<Located<Vec<&'static Cipher>>>,
    /// Client certificates for backends that request one.
    pub identities: Vec<Located<IdentityFiles>>,
    /// How certificates of backends are verified.
    pub verify: Option<Located<BackendCheck>>,
    /// Whether the names in them are checked.
    pub check_name: Option<bool>,
    /// Whether TLS is enabled by mod_ssl's directive, so that mod_ssl's defaults apply.
    pub is_mod_ssls: Option<bool>,
    /// The only cipher suites.
    pub only_suites: OnlySuites,
    /// How many CAs may be above a backend's certificate.
    pub depth: Option<usize>,
    /// Whether an expired certificate is refused where certificates are not verified otherwise.
    pub check_expire: Option<bool>,
    /// Whether the common name is compared where other names are not compared.
    pub check_cn: Option<bool>,
    /// Which certificates are looked up in revocation lists.
    pub crl_check: Option<Located<CrlCheck>>,
    /// Whether revocation lists are fetched.
    pub fetch_lists: Option<Located<FetchCheck>>,
    /// Trusted CAs by mod_ssl's directives.
    pub ca_sources: Sources,
    /// Revocation lists by mod_ssl's directives.
    pub crl_sources: Sources,
    /// Client certificates with their keys, any number in a file, by mod_ssl's directives.
    pub machine_certificates: Sources,
    /// Intermediate certificates for them.
    pub machine_chain: Option<Located<PathBuf>>,
}

impl ProxySettings {
    /// These settings, with those of `outer` for settings that are not set.
    pub fn inherit(&self, outer: &Self) -> Self {
        let or_outer = |own: &Vec<Located<PathBuf>>, outer: &Vec<Located<PathBuf>>| match own.is_empty() {
            true => outer.clone(),
            false => own.clone(),
        };
        Self {
            place: self.place.clone().or_else(|| outer.place.clone()),
            engine: self.engine.clone().or_else(|| outer.engine.clone()),
            ca: self.ca.clone().or_else(|| outer.ca.clone()),
            crls: or_outer(&self.crls, &outer.crls),
            protocols: self.protocols.clone().or_else(|| outer.protocols.clone()),
            prefer: self.prefer.clone().or_else(|| outer.prefer.clone()),
            suppress: self.suppress.clone().or_else(|| outer.suppress.clone()),
            identities: match self.identities.is_empty() {
                true => outer.identities.clone(),
                false => self.identities.clone(),
            },
            verify: self.verify.clone().or_else(|| outer.verify.clone()),
            check_name: self.check_name.or(outer.check_name),
            is_mod_ssls: self.is_mod_ssls.or(outer.is_mod_ssls),
            only_suites: self.only_suites.inherit(&outer.only_suites),
            depth: self.depth.or(outer.depth),
            check_expire: self.check_expire.or(outer.check_expire),
            check_cn: self.check_cn.or(outer.check_cn),
            crl_check: self.crl_check.clone().or_else(|| outer.crl_check.clone()),
            fetch_lists: self.fetch_lists.clone().or_else(|| outer.fetch_lists.clone()),
            ca_sources: self.ca_sources.inherit(&outer.ca_sources),
            crl_sources: self.crl_sources.inherit(&outer.crl_sources),
            machine_certificates: self.machine_certificates.inherit(&outer.machine_certificates),
            machine_chain: self.machine_chain.clone().or_else(|| outer.machine_chain.clone()),
        }
    }

    /// The values without their places: equal for settings that mean the same.
    pub(crate) fn content(&self) -> String {
        fn values<T: Clone>(said: &[Located<T>]) -> Vec<T> {
            said.iter().map(|said| said.value.clone()).collect()
        }
        let ciphers = |said: &Option<Located<Vec<&'static Cipher>>>| {
            said.as_ref()
                .map(|said| said.value.iter().map(|cipher| cipher.id).collect::<Vec<_>>())
        };
        format!(
            "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
            self.ca_source(),
            values(&self.crl_files()),
            self.protocols.as_ref().map(|said| said.value),
            ciphers(&self.prefer),
            ciphers(&self.suppress),
            values(&self.identities),
            self.check(),
            self.name_check(),
            self.checks_expiry(),
            self.depth,
            self.only_suites.ids(),
            self.crl_check(),
            values(&self.machine_certificates.list()),
            self.machine_chain.as_ref().map(|said| &said.value),
            self.fetched_lists(),
        )
    }

    /// The revocation lists that are fetched, if any are.
    pub fn fetched_lists(&self) -> Option<&FetchCheck> {
        let check = self.fetch_lists.as_ref().map(|said| &said.value);
        check.filter(|check| check.fetches)
    }

    /// Whether this module speaks TLS to backends.
    pub fn is_on(&self) -> bool {
        self.engine.as_ref().is_some_and(|said| said.value)
    }

    /// Whether mod_ssl's defaults apply.
    fn by_mod_ssls_rules(&self) -> bool {
        self.is_mod_ssls == Some(true)
    }

    /// How certificates of backends are verified. mod_ssl's rules do not verify them by default.
    pub fn check(&self) -> BackendCheck {
        let default = match self.by_mod_ssls_rules() {
            true => BackendCheck::None,
            false => BackendCheck::Required,
        };
        self.verify.as_ref().map_or(default, |said| said.value)
    }

    /// Which names of a backend's certificate are compared.
    pub fn name_check(&self) -> NameCheck {
        match (self.by_mod_ssls_rules(), self.check_name) {
            (true, _) => self.ssl_name_check(),
            // Without verification the names in a certificate prove nothing.
            (false, Some(false)) => NameCheck::None,
            (false, _) if self.check() == BackendCheck::None => NameCheck::None,
            (false, _) => NameCheck::AlternativeNames,
        }
    }

    /// Whether expired certificates are refused where certificates are not verified otherwise.
    pub fn checks_expiry(&self) -> bool {
        self.by_mod_ssls_rules() && self.check_expire.unwrap_or(true)
    }

    /// Where trusted CAs come from. mod_ssl has no trusted CAs by default.
    pub fn ca_source(&self) -> CaSource {
        match &self.ca {
            Some(said) => said.value.clone(),
            None if self.by_mod_ssls_rules() => CaSource {
                system: false,
                paths: self.ca_sources.places().into_iter().map(|said| said.value).collect(),
            },
            None => CaSource::default(),
        }
    }

    /// How many CAs may be above a backend's certificate. mod_ssl allows one by default.
    pub(crate) fn max_depth(&self) -> usize {
        let default = if self.by_mod_ssls_rules() { 1 } else { usize::MAX };
        self.depth.unwrap_or(default)
    }

    /// The place of the directive that names trusted CAs.
    pub(crate) fn ca_origin(&self) -> Option<Origin> {
        let ca = self.ca.as_ref().map(|said| said.origin.clone());
        ca.or(self.ca_sources.list().first().map(|said| said.origin.clone()))
    }

    /// Where revocation lists are.
    pub fn crl_files(&self) -> Vec<Located<PathBuf>> {
        match self.crls.is_empty() {
            true => self.crl_sources.list(),
            false => self.crls.clone(),
        }
    }

    /// Which certificates are looked up in them. mod_ssl does not check by default.
    pub fn crl_check(&self) -> CrlCheck {
        match (&self.crl_check, self.crls.is_empty()) {
            (Some(said), _) => said.value,
            (None, true) if self.fetched_lists().is_none() => CrlCheck::NONE,
            (None, _) => CrlCheck::default(),
        }
    }
}

impl ProxySettings {
    /// Which names of a backend's certificate are compared by mod_ssl's rules. `SSLProxyCheckPeerName` overrides the older
    /// `SSLProxyCheckPeerCN` unless it is off.
    pub(crate) fn ssl_name_check(&self) -> NameCheck {
        match (self.check_name, self.check_cn) {
            (Some(true), _) | (None, None | Some(true)) => NameCheck::AnyName,
            (Some(false), Some(true)) => NameCheck::CommonName,
            (None | Some(false), _) => NameCheck::None,
        }
    }
}

impl Interpreter<'_> {
    /// Interprets one of our directives for backends in server `index`.
    pub(crate) fn interpret_proxy(
        &mut self,
        index: usize,
        directive: &Directive,
        settings: &mut ProxySettings,
    ) -> Result<(), String> {
        let origin = directive.origin.clone();
        match directive.name.as_str() {
            "TLSProxyEngine" => {
                let value = directive.flag()?;
                settings.engine = Some(Located { value, origin });
                settings.is_mod_ssls = Some(false);
            }
            "TLSProxyCA" => {
                let mut value = CaSource {
                    system: false,
                    paths: Vec::new(),
                };
                for said in self.paths(directive)? {
                    value.paths.push(said.value.into());
                }
                for (at, word) in directive.words().iter().enumerate().rev() {
                    if ["system", "default"].iter().any(|all| word.eq_ignore_ascii_case(all)) {
                        value.system = true;
                        value.paths.remove(at);
                    }
                }
                if let Some(known) = &mut settings.ca {
                    known.value.system |= value.system;
                    known.value.paths.extend(value.paths);
                } else {
                    settings.ca = Some(Located { value, origin });
                }
            }
            "TLSProxyCRL" => {
                let paths = self.paths(directive)?;
                settings.crls.extend(paths);
            }
            "TLSProxyRevocation" => {
                let value = FetchCheck::parse(&directive.words())?;
                settings.fetch_lists = Some(Located { value, origin });
            }
            "TLSProxyProtocol" => {
                let value = self.protocols(index, directive)?;
                settings.protocols = Some(Located { value, origin });
            }
            "TLSProxyCiphersPrefer" => settings.prefer = Some(self.preferred_ciphers(index, directive)?),
            "TLSProxyCiphersSuppress" => settings.suppress = Some(suppressed_ciphers(directive)?),
            "TLSProxyMachineCertificate" => {
                let value = self.certificate(directive)?;
                settings.identities.push(Located { value, origin });
            }
            "TLSProxyVerify" => {
                let value = match directive.single()?.to_ascii_lowercase().as_str() {
                    "required" | "require" => BackendCheck::Required,
                    "none" => BackendCheck::None,
                    word => return Err(format!("takes required or none, not \"{word}\"")),
                };
                settings.verify = Some(Located { value, origin });
            }
            "TLSProxyCheckPeerName" => settings.check_name = Some(directive.flag()?),
            other => return Err(format!("is not a directive of this module ({other})")),
        }
        Ok(())
    }
}
