// SPDX-License-Identifier: Apache-2.0
//! What mod_ssl's directives about backends mean.

use super::server::{depth, said};
use super::sources::Content;
use crate::directive::Directive;
use crate::files::Hashed;
use crate::proxy::settings::{BackendCheck, NameCheck, ProxySettings};
use crate::settings::Interpreter;
use crate::trust::revocation::CrlCheck;

impl Interpreter<'_> {
    pub(crate) fn interpret_ssl_proxy(
        &mut self,
        index: usize,
        directive: &Directive,
        settings: &mut ProxySettings,
    ) -> Result<(), String> {
        if self.classify(index, directive)?.is_none() {
            return Ok(());
        }
        match directive.name.as_str() {
            "SSLProxyEngine" => {
                settings.engine = Some(said(directive, directive.flag()?));
                settings.is_mod_ssls = Some(true);
            }
            "SSLProxyProtocol" => {
                let protocols = self.ssl_protocols(directive)?;
                settings.protocols = Some(said(directive, protocols));
            }
            "SSLProxyCipherSuite" => settings.only_suites.read(&mut self.diagnostics, index, directive)?,
            "SSLProxyVerify" => settings.verify = Some(said(directive, verification(directive.single()?)?)),
            "SSLProxyVerifyDepth" => settings.depth = Some(depth(directive)?),
            "SSLProxyCACertificateFile" | "SSLProxyCACertificatePath" => {
                self.source(
                    &mut settings.ca_sources,
                    directive,
                    Content::Hashed(Hashed::Certificates),
                )?;
            }
            "SSLProxyCARevocationFile" | "SSLProxyCARevocationPath" => {
                self.source(&mut settings.crl_sources, directive, Content::Hashed(Hashed::Lists))?;
            }
            "SSLProxyCARevocationCheck" => {
                let check = CrlCheck::parse(&directive.words())?;
                settings.crl_check = Some(said(directive, check));
            }
            "SSLProxyMachineCertificateFile" | "SSLProxyMachineCertificatePath" => {
                self.source(&mut settings.machine_certificates, directive, Content::All)?;
            }
            "SSLProxyMachineCertificateChainFile" => settings.machine_chain = self.said_path(directive)?,
            "SSLProxyCheckPeerExpire" => settings.check_expire = Some(directive.flag()?),
            "SSLProxyCheckPeerCN" => settings.check_cn = Some(directive.flag()?),
            "SSLProxyCheckPeerName" => settings.check_name = Some(directive.flag()?),
            other => return Err(format!("cannot stand here ({other})")),
        }
        Ok(())
    }
}

/// `SSLProxyVerify`. A backend always presents a certificate, so `optional` asks for as much as `require`.
fn verification(word: &str) -> Result<BackendCheck, String> {
    match word.to_ascii_lowercase().as_str() {
        "none" => Ok(BackendCheck::None),
        "optional" | "require" => Ok(BackendCheck::Required),
        "optional_no_ca" => Ok(BackendCheck::AnyCa),
        _ => Err(format!(
            "takes none, optional, require or optional_no_ca, not \"{word}\""
        )),
    }
}

impl ProxySettings {
    /// Which names of a backend's certificate are looked at by mod_ssl's rules: those of `SSLProxyCheckPeerName`, which takes
    /// the place of the older `SSLProxyCheckPeerCN` unless it is switched off.
    pub(crate) fn ssl_name_check(&self) -> NameCheck {
        match (self.check_name, self.check_cn) {
            (Some(true), _) | (None, None | Some(true)) => NameCheck::AnyName,
            (Some(false), Some(true)) => NameCheck::CommonName,
            (None | Some(false), _) => NameCheck::None,
        }
    }
}
