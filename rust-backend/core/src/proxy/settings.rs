// SPDX-License-Identifier: Apache-2.0
//! What the `TLSProxy…` directives of a block mean.

use std::path::PathBuf;

use crate::ciphers::Cipher;
use crate::diagnostics::{Origin, Severity};
use crate::directive::Directive;
use crate::identity::IdentityFiles;
use crate::protocol::Protocols;
use crate::settings::{Interpreter, Said, cipher_list};

/// Where trusted CAs come from: `TLSProxyCA`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CaSource {
    /// The trust store of the platform.
    pub system: bool,
    /// Files and directories.
    pub paths: Vec<PathBuf>,
}

impl Default for CaSource {
    fn default() -> Self {
        Self {
            system: true,
            paths: Vec::new(),
        }
    }
}

/// What a block says, or a chain of blocks together.
#[derive(Clone, Debug, Default)]
pub struct ProxySettings {
    /// Where the innermost block begins that says any of this.
    pub place: Option<Origin>,
    /// Whether backends are spoken to in TLS by this module.
    pub engine: Option<Said<bool>>,
    /// Whose certificates are believed.
    pub ca: Option<Said<CaSource>>,
    /// Where revocation lists are.
    pub crls: Vec<Said<PathBuf>>,
    /// The protocol versions.
    pub protocols: Option<Said<Protocols>>,
    /// Cipher suites to be preferred, in this order.
    pub prefer: Option<Said<Vec<&'static Cipher>>>,
    /// Cipher suites not to be used.
    pub suppress: Option<Said<Vec<&'static Cipher>>>,
    /// What we present to backends that ask.
    pub identities: Vec<Said<IdentityFiles>>,
    /// Whether backends are verified.
    pub verify: Option<Said<bool>>,
    /// Whether their names are.
    pub check_name: Option<bool>,
}

impl ProxySettings {
    /// These settings, with those of `outer` where nothing was said.
    pub fn inherit(&self, outer: &Self) -> Self {
        let or_outer = |own: &Vec<Said<PathBuf>>, outer: &Vec<Said<PathBuf>>| match own.is_empty() {
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
        }
    }

    /// What is said, without where: equal for settings that mean the same.
    pub(super) fn content(&self) -> String {
        fn values<T: Clone>(said: &[Said<T>]) -> Vec<T> {
            said.iter().map(|said| said.value.clone()).collect()
        }
        let ciphers = |said: &Option<Said<Vec<&'static Cipher>>>| {
            said.as_ref()
                .map(|said| said.value.iter().map(|cipher| cipher.id).collect::<Vec<_>>())
        };
        format!(
            "{:?} {:?} {:?} {:?} {:?} {:?} {} {:?}",
            self.ca_source(),
            values(&self.crls),
            self.protocols.as_ref().map(|said| said.value),
            ciphers(&self.prefer),
            ciphers(&self.suppress),
            values(&self.identities),
            self.verifies(),
            self.check_name,
        )
    }

    /// Whether backends are spoken to in TLS by this module.
    pub fn is_on(&self) -> bool {
        self.engine.as_ref().is_some_and(|said| said.value)
    }

    /// Whether backends are verified. They are unless somebody says otherwise.
    pub fn verifies(&self) -> bool {
        self.verify.as_ref().is_none_or(|said| said.value)
    }

    /// Where trusted CAs come from.
    pub fn ca_source(&self) -> CaSource {
        self.ca.as_ref().map(|said| said.value.clone()).unwrap_or_default()
    }
}

impl Interpreter<'_> {
    /// What the directives of a block say, in server `index`.
    pub fn read_proxy(&mut self, index: usize, directives: &[Directive]) -> ProxySettings {
        let mut settings = ProxySettings {
            place: directives.first().map(|directive| directive.origin.clone()),
            ..ProxySettings::default()
        };
        for directive in directives {
            if let Err(why) = self.interpret_proxy(index, directive, &mut settings) {
                let text = format!("{} {why}", directive.name);
                self.diagnostics
                    .report(Severity::Error, index, Some(&directive.origin), text);
            }
        }
        settings
    }

    fn interpret_proxy(
        &mut self,
        index: usize,
        directive: &Directive,
        settings: &mut ProxySettings,
    ) -> Result<(), String> {
        let origin = directive.origin.clone();
        match directive.name.as_str() {
            "TLSProxyEngine" => {
                let value = directive.flag()?;
                settings.engine = Some(Said { value, origin });
            }
            "TLSProxyCA" => {
                let mut value = CaSource {
                    system: false,
                    paths: Vec::new(),
                };
                for said in self.paths(directive)? {
                    value.paths.push(said.value);
                }
                for (at, word) in directive.words().iter().enumerate().rev() {
                    if word.eq_ignore_ascii_case("system") {
                        value.system = true;
                        value.paths.remove(at);
                    }
                }
                if let Some(known) = &mut settings.ca {
                    known.value.system |= value.system;
                    known.value.paths.extend(value.paths);
                } else {
                    settings.ca = Some(Said { value, origin });
                }
            }
            "TLSProxyCRL" => {
                let paths = self.paths(directive)?;
                settings.crls.extend(paths);
            }
            "TLSProxyProtocol" => {
                let value = self.protocols(index, directive)?;
                settings.protocols = Some(Said { value, origin });
            }
            "TLSProxyCiphersPrefer" => {
                let value = cipher_list(directive)?;
                settings.prefer = Some(Said { value, origin });
            }
            "TLSProxyCiphersSuppress" => {
                let value = cipher_list(directive)?;
                settings.suppress = Some(Said { value, origin });
            }
            "TLSProxyMachineCertificate" => {
                let value = self.certificate(directive)?;
                settings.identities.push(Said { value, origin });
            }
            "TLSProxyVerify" => {
                let value = match directive.single()?.to_ascii_lowercase().as_str() {
                    "required" | "require" => true,
                    "none" => false,
                    word => return Err(format!("takes required or none, not \"{word}\"")),
                };
                settings.verify = Some(Said { value, origin });
            }
            "TLSProxyCheckPeerName" => settings.check_name = Some(directive.flag()?),
            other => return Err(format!("is not a directive of this module ({other})")),
        }
        Ok(())
    }
}
