// SPDX-License-Identifier: Apache-2.0
//! Interprets mod_ssl's directives of servers.

use std::path::PathBuf;

use mod_tls_directives::{Class, Context, Directive as Row};

use super::{conf_cmd, protocol};
use crate::base::diagnostics::Severity;
use crate::base::directive::{Directive, Located};
use crate::crypto::protocol::Protocols;
use crate::keys::pass_phrase::Dialog;
use crate::session::tickets::MAX_LIFETIME;
use crate::settings::sni_policy::SniPolicy;
use crate::settings::{CertificateFiles, ClientSettings, HostSettings, Interpreter, SessionCache, combine};
use crate::trust::client::verifier::CaNames;
use crate::trust::client::verify_mode::VerifyMode;
use crate::trust::revocation::CrlCheck;
use crate::x509::variable_names;

use crate::base::file_reading::Hashed;
use crate::settings::sources::Content;

impl Interpreter<'_> {
    /// The row of a directive of mod_ssl in the table; none if the directive has no effect here.
    pub(super) fn classify(&mut self, index: usize, directive: &Directive) -> Result<Option<&'static Row>, String> {
        let row = mod_tls_directives::mod_ssl::find(&directive.name).ok_or("is not a directive of mod_ssl")?;
        if row.context == Context::Server {
            self.only_in_base_server(index)?;
        }
        let argument = directive.args.first().map_or("", String::as_str);
        let is = |word: &str| argument.eq_ignore_ascii_case(word);
        let refused = match row.name {
            "SSLCompression" | "SSLInsecureRenegotiation" => directive.flag()?,
            "SSLCryptoDevice" => !is("builtin"),
            _ => row.class == Class::Refused,
        };
        if refused {
            return Err(format!("{}: {}", directive.args.join(" "), row.note));
        }
        if row.class == Class::WithoutEffect {
            let text = format!("{} has no effect: {}", row.name, row.note);
            self.diagnostics.deviate(&directive.origin, row.name, text);
            return Ok(None);
        }
        Ok(Some(row))
    }

    pub(super) fn interpret_ssl(
        &mut self,
        index: usize,
        directive: &Directive,
        host: &mut HostSettings,
    ) -> Result<(), String> {
        if self.classify(index, directive)?.is_none() {
            return Ok(());
        }
        self.note_renegotiation(directive);
        let origin = directive.origin.clone();
        match directive.name.as_str() {
            "SSLEngine" => host.engine = Some(Located::new(directive, engine(directive)?)),
            "SSLProtocol" => {
                let value = self.ssl_protocols(directive)?;
                host.policy.protocols = Some(Located { value, origin });
            }
            // mod_ssl accepts any name.
            "SSLUserName" => {
                if let Err(why) = variable_names::check(directive.single()?) {
                    let text = format!("SSLUserName {why}");
                    self.diagnostics.report(Severity::Warning, index, Some(&origin), text);
                }
            }
            // In sections these apply to requests: see `request::rules`.
            "SSLOptions" => {}
            "SSLCipherSuite" if directive.in_section => {}
            "SSLCipherSuite" => {
                super::suites::read(&mut host.policy.only_suites, &mut self.diagnostics, index, directive)?
            }
            "SSLHonorCipherOrder" => host.policy.honor_client_order = Some(!directive.flag()?),
            "SSLOpenSSLConfCmd" => conf_cmd::read(&mut self.diagnostics, directive, host)?,
            "SSLFIPS" => self.fips(directive)?,
            "SSLPassPhraseDialog" => {
                let value = Dialog::parse(directive.single()?, self.server_root)?;
                self.global.pass_phrases = Some(Located { value, origin });
            }
            "SSLVHostSNIPolicy" => self.global.sni_policy = Some(SniPolicy::parse(directive.single()?)?),
            "SSLStrictSNIVHostCheck" => host.policy.requires_sni = Some(directive.flag()?),
            name if name.starts_with("SSLStapling") || name.starts_with("SSLOCSP") || name == "SSLUseStapling" => {
                host.policy.revocation.interpret_ssl(directive, self.server_root)?;
            }
            "SSLSessionCache" => {
                let value = session_cache(directive.single()?)?;
                self.global.session_cache = Some(Located { value, origin });
            }
            "SSLSessionCacheTimeout" => host.policy.sessions.lifetime = Some(self.lifetime(directive)?),
            "SSLSessionTickets" => host.policy.sessions.tickets = Some(Located::new(directive, directive.flag()?)),
            "SSLSessionTicketKeyFile" => {
                let value = self.path(directive.single()?);
                let text = "SSLSessionTicketKeyFile is a seed here: machines that share the file take each other's tickets if \
                            all of them run this module, not those of mod_ssl";
                self.diagnostics.deviate(&origin, &directive.name, text);
                host.policy.sessions.ticket_key_file = Some(Located { value, origin });
            }
            _ if self.certificates_ssl(directive, &mut host.files)? => {}
            _ if self.clients_ssl(directive, &mut host.policy.clients)? => {}
            other => return Err(format!("cannot stand here ({other})")),
        }
        Ok(())
    }

    /// Reports directives for which mod_ssl renegotiates.
    fn note_renegotiation(&mut self, directive: &Directive) {
        let text = match directive.name.as_str() {
            "SSLCipherSuite" if directive.in_section => {
                "in a section renegotiates nothing: requests on connections with another suite get 403; to \
                 select suites, set it for the virtual host"
            }
            "SSLVerifyClient" if directive.in_section && !directive.args.iter().any(|arg| arg == "none") => {
                "in a section: the handshake of the whole virtual host asks clients for a certificate; clients without one \
                 get 403 here"
            }
            "SSLOptions"
                if directive
                    .args
                    .iter()
                    .any(|arg| arg.to_ascii_lowercase().ends_with("optrenegotiate")) =>
            {
                "OptRenegotiate has no effect: nothing is renegotiated"
            }
            _ => return,
        };
        let text = format!("{} {text}", directive.name);
        self.diagnostics.deviate(&directive.origin, &directive.name, text);
    }

    /// `SSLProtocol` and `SSLProxyProtocol`.
    pub(super) fn ssl_protocols(&mut self, directive: &Directive) -> Result<Protocols, String> {
        let (protocols, older) = protocol::parse(&directive.words())?;
        if !older.is_empty() {
            let text = format!(
                "{} {}: {} are not spoken, only TLSv1.2 and TLSv1.3 exist here",
                directive.name,
                directive.args.join(" "),
                older.join(", ")
            );
            self.diagnostics.deviate(&directive.origin, &directive.name, text);
        }
        Ok(protocols)
    }

    /// `SSLSessionCacheTimeout`, up to the maximum of RFC 8446 section 4.6.1.
    fn lifetime(&mut self, directive: &Directive) -> Result<u32, String> {
        let word = directive.single()?;
        let seconds: u64 = word
            .parse()
            .map_err(|_| format!("takes a number of seconds, not \"{word}\""))?;
        let used = u32::try_from(seconds).map_or(MAX_LIFETIME, |seconds| seconds.clamp(1, MAX_LIFETIME));
        if u64::from(used) != seconds {
            let text = format!("SSLSessionCacheTimeout {word} counts as {used}");
            self.diagnostics.deviate(&directive.origin, &directive.name, text);
        }
        Ok(used)
    }

    /// The only argument of a directive, a file or a directory.
    pub(super) fn said_path(&self, directive: &Directive) -> Result<Option<Located<PathBuf>>, String> {
        Ok(Some(Located::new(directive, self.path(directive.single()?))))
    }

    /// Interprets directives about the server's own certificates. False for other directives.
    fn certificates_ssl(&mut self, directive: &Directive, files: &mut CertificateFiles) -> Result<bool, String> {
        match directive.name.as_str() {
            "SSLCertificateFile" => files.certificates.extend(self.said_key_path(directive)?),
            "SSLCertificateKeyFile" => files.keys.extend(self.said_key_path(directive)?),
            "SSLCertificateChainFile" => files.chain = self.said_path(directive)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The only argument of a directive, a file, or an object in a token.
    fn said_key_path(&mut self, directive: &Directive) -> Result<Option<Located<PathBuf>>, String> {
        let path = self.key_path(directive, directive.single()?)?;
        Ok(Some(Located::new(directive, path)))
    }

    /// Interprets directives about client certificates. False for other directives.
    fn clients_ssl(&mut self, directive: &Directive, clients: &mut ClientSettings) -> Result<bool, String> {
        match directive.name.as_str() {
            "SSLVerifyClient" => {
                let said = Some(Located::new(directive, verify_mode(directive.single()?)?));
                match directive.in_section {
                    true => clients.somewhere = combine(clients.somewhere.take(), said),
                    false => clients.mode = said,
                }
            }
            "SSLVerifyDepth" => {
                let depth = depth(directive)?;
                match directive.in_section {
                    true => clients.depth_somewhere = clients.depth_somewhere.max(Some(depth)),
                    false => clients.depth = Some(depth),
                }
            }
            "SSLCACertificateFile" | "SSLCACertificatePath" if directive.in_section => {
                return Err(
                    "cannot stand in a section: nothing is renegotiated, so the CAs are those of the virtual host; \
                            set them there, and restrict this section with Require expr and SSL_CLIENT_I_DN"
                        .to_owned(),
                );
            }
            "SSLCACertificateFile" | "SSLCACertificatePath" => {
                self.source(
                    &mut clients.ca_sources,
                    directive,
                    Content::Hashed(Hashed::Certificates),
                )?;
            }
            "SSLCADNRequestFile" | "SSLCADNRequestPath" => {
                self.source(&mut clients.name_sources, directive, Content::All)?;
            }
            "SSLCARevocationFile" | "SSLCARevocationPath" => {
                self.source(&mut clients.crl_sources, directive, Content::Hashed(Hashed::Lists))?;
            }
            "SSLCARevocationCheck" => {
                let value = CrlCheck::parse(&directive.words())?;
                clients.crl_check = Some(Located::new(directive, value));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn engine(directive: &Directive) -> Result<bool, String> {
    if directive.single()?.eq_ignore_ascii_case("optional") {
        return Err(
            "optional: an upgrade from HTTP to TLS on the same port (RFC 2817) is not supported: set it to on, and give \
             plain HTTP a port of its own"
                .to_owned(),
        );
    }
    directive.flag()
}

/// `SSLVerifyClient`: also in sections and .htaccess files.
pub fn verify_mode(word: &str) -> Result<VerifyMode, String> {
    match VerifyMode::parse(word) {
        Ok(mode) if !word.eq_ignore_ascii_case("required") => Ok(mode),
        _ => Err(format!(
            "takes none, optional, require or optional_no_ca, not \"{word}\""
        )),
    }
}

/// `SSLVerifyDepth`, of clients or of backends.
pub(super) fn depth(directive: &Directive) -> Result<usize, String> {
    let word = directive.single()?;
    word.parse()
        .map_err(|_| format!("takes the number of CAs that may be above a certificate, not \"{word}\""))
}

fn session_cache(text: &str) -> Result<SessionCache, String> {
    if ["none", "nonenotnull"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word))
    {
        return Ok(SessionCache::None);
    }
    match text.split_once(':').unwrap_or((text, "")) {
        ("", _) => Err(format!(
            "takes none or type:arguments such as shmcb:/run/ssl_cache(512000), not \"{text}\""
        )),
        (provider, args) => Ok(SessionCache::Provider(provider.to_owned(), args.to_owned())),
    }
}

impl ClientSettings {
    /// Whether there are settings of mod_ssl's directives that are to be [settled](ClientSettings::settle).
    pub(crate) fn is_unsettled(&self) -> bool {
        let sources = [&self.ca_sources, &self.name_sources, &self.crl_sources];
        sources.iter().any(|sources| !sources.list().is_empty())
    }

    /// Applies the settings of mod_ssl's directives where the others are not set.
    pub(crate) fn settle(&mut self, is_mod_ssls: bool) {
        let has_lists = self.crls.is_empty();
        if self.cas.is_empty() {
            self.cas = self.ca_sources.places();
        }
        if self.crls.is_empty() {
            self.crls = self.crl_sources.list();
        }
        let names = self.name_sources.list();
        if self.names.is_none()
            && let Some(first) = names.first()
        {
            self.names = Some(Located {
                origin: first.origin.clone(),
                value: CaNames::Of(names.iter().map(|said| said.value.clone().into()).collect()),
            });
        }
        // mod_ssl checks revocation lists only if SSLCARevocationCheck is set. It cannot fetch any.
        if is_mod_ssls
            && has_lists
            && !self.fetches()
            && self.crl_check.is_none()
            && let Some(first) = self.crls.first()
        {
            self.crl_check = Some(Located {
                value: CrlCheck::NONE,
                origin: first.origin.clone(),
            });
        }
    }
}

impl HostSettings {
    /// Whether connections to the server are TLS by mod_ssl's rules; `listens` is whether its port is one for https.
    pub(crate) fn is_ssl_on(&self, listens: bool) -> bool {
        self.engine.as_ref().map_or(listens, |said| said.value)
    }
}
