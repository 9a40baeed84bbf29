// SPDX-License-Identifier: Apache-2.0
//! Interprets mod_ssl's directives about backends.

use super::server::depth;
use crate::base::directive::{Directive, Located};
use crate::base::file_reading::Hashed;
use crate::settings::Interpreter;
use crate::settings::backend::{BackendCheck, ProxySettings};
use crate::settings::sources::Content;
use crate::trust::revocation::CrlCheck;

impl Interpreter<'_> {
    pub(super) fn interpret_ssl_proxy(
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
                settings.engine = Some(Located::new(directive, directive.flag()?));
                settings.is_mod_ssls = Some(true);
            }
            "SSLProxyProtocol" => {
                let protocols = self.ssl_protocols(directive)?;
                settings.protocols = Some(Located::new(directive, protocols));
            }
            "SSLProxyCipherSuite" => {
                super::suites::read(&mut settings.only_suites, &mut self.diagnostics, index, directive)?
            }
            "SSLProxyVerify" => settings.verify = Some(Located::new(directive, verification(directive.single()?)?)),
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
                settings.crl_check = Some(Located::new(directive, check));
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

/// `SSLProxyVerify`. A backend always presents a certificate, so `optional` has the effect of `require`.
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
