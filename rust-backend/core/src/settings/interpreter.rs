// SPDX-License-Identifier: Apache-2.0
//! Interprets the `TLS*` directives of servers.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::base::copy_on_write::CopyOnWrite;
use crate::base::diagnostics::{Diagnostics, Severity};
use crate::base::directive::Directive;
use crate::base::directive::Located;
use crate::base::shell::shell_word;
use crate::crypto::ciphers::{self, Cipher};
use crate::crypto::groups::{self, GroupSettings};
use crate::crypto::protocol::{LeftOut, Protocols};
use crate::keys::identity::IdentityFiles;
use crate::keys::pkcs11_uri::{PinSource, Pkcs11Uri};
use crate::keys::store_source::StoreSource;
use crate::session::resumption::{MAX_EARLY_DATA, MAX_TICKETS};
use crate::session::tickets::MAX_LIFETIME;
use crate::settings::control;
use crate::settings::handshake_timeout::HandshakeTimeout;
use crate::settings::{
    EngineAddress, GlobalSettings, HostSettings, KeyPlace, Policy, SessionCache, StoreCacheSize, Watching, combine,
};
use crate::trust::client::verifier::CaNames;
use crate::trust::client::verify_mode::VerifyMode;
use crate::trust::fetched_lists::FetchCheck;
use crate::trust::revocation::CrlCheck;
use crate::x509::variable_names;

/// Interprets directives of servers.
#[derive(Debug)]
pub struct Interpreter<'a> {
    /// The directory that relative paths start from.
    pub server_root: &'a Path,
    /// The settings of the whole server that were read so far.
    pub global: GlobalSettings,
    /// Messages about the directives.
    pub diagnostics: Diagnostics,
    /// The policy of hosts without own settings.
    pub nothing: CopyOnWrite<Policy>,
}

impl<'a> Interpreter<'a> {
    /// Without any settings.
    pub fn new(server_root: &'a Path) -> Self {
        Self {
            server_root,
            global: GlobalSettings::default(),
            diagnostics: Diagnostics::default(),
            nothing: CopyOnWrite::default(),
        }
    }

    /// Interprets one of our directives in server `index`; server 0 is the base server.
    pub(crate) fn interpret(
        &mut self,
        index: usize,
        directive: &Directive,
        host: &mut HostSettings,
    ) -> Result<(), String> {
        let origin = directive.origin.clone();
        match directive.name.as_str() {
            "TLSEngine" => {
                self.only_in_base_server(index)?;
                let value = EngineAddress::parse(directive.single()?)?;
                self.global.engines.push(Located { value, origin });
            }
            "TLSStrictSNI" => {
                self.only_in_base_server(index)?;
                self.global.strict_sni = Some(directive.flag()?);
            }
            "TLSSessionCache" => {
                self.only_in_base_server(index)?;
                let value = SessionCache::parse(directive.single()?)?;
                self.global.session_cache = Some(Located { value, origin });
            }
            "TLSSessionTicketKeyFile" => {
                self.only_in_base_server(index)?;
                let value = self.path(directive.single()?);
                host.policy.sessions.ticket_key_file = Some(Located { value, origin });
            }
            "TLSKeyProcess" => {
                self.only_in_base_server(index)?;
                let value = self.key_place(directive)?;
                self.global.key_process = Some(Located { value, origin });
            }
            "TLSKeyProcessUser" => {
                self.only_in_base_server(index)?;
                let value = directive.single()?.to_owned();
                self.global.key_process_user = Some(Located { value, origin });
            }
            "TLSCertificateStoreCache" => {
                self.only_in_base_server(index)?;
                self.global.store_cache = StoreCacheSize::parse(&directive.words())?;
            }
            "TLSWatch" => {
                self.only_in_base_server(index)?;
                self.global.watching = Some(Watching::parse(directive.single()?)?);
            }
            "TLSControl" => {
                self.only_in_base_server(index)?;
                let value = control::parse(directive, self.server_root)?;
                self.global.control = Some(Located { value, origin });
            }
            "TLSKeyLogFile" => {
                self.only_in_base_server(index)?;
                let value = self.path(directive.single()?);
                self.global.key_log_file = Some(Located { value, origin });
            }
            "TLSLogFailures" | "TLSLogFailuresLimit" | "TLSExpiryCommand" | "TLSCounters" => {
                self.only_in_base_server(index)?;
                self.global.monitoring.interpret(directive, self.server_root)?;
            }
            "TLSRevocationCache" | "TLSRevocationProxy" | "TLSRevocationTimeout" => {
                self.only_in_base_server(index)?;
                self.global.fetching.interpret(directive, self.server_root)?;
            }
            "TLSStapling" | "TLSStaplingResponder" | "TLSClientOCSP" | "TLSClientOCSPResponder" => {
                host.policy.revocation.interpret(directive)?;
            }
            "TLSPolicy" => self.policy(directive, host)?,
            "TLSGroupsPrefer" => {
                let value = groups::parse_list(directive)?;
                host.policy.groups.prefer = Some(Located { value, origin });
            }
            "TLSGroupsSuppress" => {
                let value = groups::parse_list(directive)?;
                host.policy.groups.suppress = Some(Located { value, origin });
            }
            "TLSMaxFragmentSize" => host.policy.max_fragment = Some(number(directive, FRAGMENT_SIZES, "of bytes")?),
            "TLSCertificateCompression" => host.policy.compression = Some(directive.flag()?),
            "TLSCertificate" => {
                let value = self.certificate(directive)?;
                // Most hosts have one certificate: no spare capacity for thousands of hosts.
                host.certificates.reserve_exact(1);
                host.certificates.push(Located { value, origin });
                host.has_own_certificates = true;
            }
            "TLSCertificateStore" => {
                let words = directive.words();
                let value = match words.as_slice() {
                    [none] if none.eq_ignore_ascii_case("none") => None,
                    words => Some(StoreSource::parse(words, self.server_root)?),
                };
                host.policy.store = Some(Located { value, origin });
            }
            "TLSProtocol" => {
                let value = self.protocols(index, directive)?;
                host.policy.protocols = Some(Located { value, origin });
            }
            "TLSCiphersPrefer" => host.policy.prefer = Some(self.preferred_ciphers(index, directive)?),
            "TLSCiphersSuppress" => host.policy.suppress = Some(suppressed_ciphers(directive)?),
            "TLSHonorClientOrder" => host.policy.honor_client_order = Some(directive.flag()?),
            "TLSSessionTickets" => {
                let value = directive.flag()?;
                host.policy.sessions.tickets = Some(Located { value, origin });
            }
            "TLSSessionTicketCount" => {
                host.policy.sessions.count = Some(number(directive, 0..=MAX_TICKETS, "of tickets")?)
            }
            "TLSSessionLifetime" => {
                host.policy.sessions.lifetime = Some(number(directive, 1..=MAX_LIFETIME, "of seconds")?);
            }
            "TLSEarlyData" => {
                let value = directive.flag()?;
                host.policy.sessions.early_data = Some(Located { value, origin });
            }
            "TLSMaxEarlyDataSize" => {
                host.policy.sessions.max_early_data = Some(number(directive, 1..=MAX_EARLY_DATA, "of bytes")?);
            }
            "TLSFIPS" => {
                self.only_in_base_server(index)?;
                self.fips(directive)?;
            }
            "TLSClientCertificate" => {
                let value = VerifyMode::parse(directive.single()?)?;
                let said = Some(Located { value, origin });
                if directive.in_section {
                    host.policy.clients.somewhere = combine(host.policy.clients.somewhere.take(), said);
                } else {
                    host.policy.clients.mode = said;
                }
            }
            "TLSClientCA" => {
                let paths = self.paths(directive)?;
                host.policy.clients.cas.extend(paths.into_iter().map(Located::into));
            }
            "TLSClientCANames" => {
                let paths = self.paths(directive)?;
                let value = match directive.words().as_slice() {
                    [word] if word.eq_ignore_ascii_case("none") => CaNames::None,
                    _ => CaNames::Of(paths.into_iter().map(|said| said.value.into()).collect()),
                };
                host.policy.clients.names = Some(Located { value, origin });
            }
            "TLSClientVerifyDepth" => {
                let word = directive.single()?;
                let depth = word.parse().map_err(|_| {
                    format!("takes the number of CAs that may be above a client's certificate, not \"{word}\"")
                })?;
                host.policy.clients.depth = Some(depth);
            }
            "TLSClientCRL" => {
                let paths = self.paths(directive)?;
                host.policy.clients.crls.extend(paths);
            }
            "TLSClientCRLCheck" => {
                let value = CrlCheck::parse(&directive.words())?;
                host.policy.clients.crl_check = Some(Located { value, origin });
            }
            "TLSClientRevocation" => {
                let value = FetchCheck::parse(&directive.words())?;
                host.policy.clients.fetch_lists = Some(Located { value, origin });
            }
            "TLSUserName" => variable_names::check(directive.single()?)?,
            "ServerName" => host.named_at = Some(origin),
            "RequestReadTimeout" => {
                if let Some(limit) = HandshakeTimeout::parse(directive) {
                    host.policy.handshake_timeout = Some(limit);
                }
            }
            other => return Err(format!("is not a directive of this module ({other})")),
        }
        Ok(())
    }

    /// `TLSPolicy`: sets several directives at once. Later directives override it.
    fn policy(&mut self, directive: &Directive, host: &mut HostSettings) -> Result<(), String> {
        let version = match directive.single()?.to_ascii_lowercase().as_str() {
            "modern" => "TLSv1.3+",
            "intermediate" => "TLSv1.2+",
            word => return Err(format!("takes modern or intermediate, not \"{word}\"")),
        };
        let (value, _) = Protocols::parse(&[version]).map_err(|error| error.to_string())?;
        let origin = directive.origin.clone();
        host.policy.protocols = Some(Located { value, origin });
        host.policy.honor_client_order = Some(true);
        // rustls has no algorithms that either policy excludes.
        host.policy.prefer = Some(said_nothing(directive));
        host.policy.suppress = Some(said_nothing(directive));
        host.policy.groups = GroupSettings {
            prefer: Some(said_nothing(directive)),
            suppress: Some(said_nothing(directive)),
            only: None,
        };
        Ok(())
    }

    /// `TLSFIPS` and `SSLFIPS`.
    pub(crate) fn fips(&mut self, directive: &Directive) -> Result<(), String> {
        let value = directive.flag()?;
        if value && !crate::crypto::IS_FIPS_BUILD {
            return Err(
                "on: this module was not built with validated cryptography: configure it with --enable-fips".to_owned(),
            );
        }
        self.global.fips = Some(Located::new(directive, value));
        Ok(())
    }

    pub(crate) fn protocols(&mut self, index: usize, directive: &Directive) -> Result<Protocols, String> {
        let (value, left_out) = Protocols::parse(&directive.words()).map_err(|e| e.to_string())?;
        for one in left_out {
            let severity = match one {
                LeftOut::Older => Severity::Notice,
                // No such version exists.
                LeftOut::Unknown(_) => Severity::Warning,
            };
            let text = format!("{}: {one}", directive.name);
            self.diagnostics.report(severity, index, Some(&directive.origin), text);
        }
        Ok(value)
    }

    /// The cipher suites of a directive about preferred ones.
    pub(crate) fn preferred_ciphers(
        &mut self,
        index: usize,
        directive: &Directive,
    ) -> Result<Located<Vec<&'static Cipher>>, String> {
        let list = ciphers::parse_list(&directive.words()).map_err(|error| error.to_string())?;
        for number in list.unassigned {
            let text = format!(
                "{}: no cipher suite with the number TLS_CIPHER_0x{number:04X} is known, and none will be used: if it is not \
                 mistyped, remove it",
                directive.name
            );
            self.diagnostics
                .report(Severity::Warning, index, Some(&directive.origin), text);
        }
        Ok(Located {
            value: list.ciphers,
            origin: directive.origin.clone(),
        })
    }

    pub(crate) fn only_in_base_server(&self, index: usize) -> Result<(), String> {
        match index {
            0 => Ok(()),
            _ => Err("belongs outside of <VirtualHost>: it holds for the whole server".to_owned()),
        }
    }

    fn key_place(&self, directive: &Directive) -> Result<KeyPlace, String> {
        Ok(match directive.flag() {
            Ok(true) => KeyPlace::On,
            Ok(false) => KeyPlace::Off,
            Err(_) => match self.path(directive.single()?) {
                program if program.is_file() => KeyPlace::Program(program),
                program => {
                    return Err(format!(
                        "takes on, off or the path of tls-keyd: there is no file {}",
                        program.display()
                    ));
                }
            },
        })
    }

    pub(crate) fn certificate(&mut self, directive: &Directive) -> Result<IdentityFiles, String> {
        match directive.words().as_slice() {
            [certificate] => Ok(IdentityFiles {
                certificate: self.key_path(directive, certificate)?.into(),
                key: None,
                chain: None,
            }),
            [certificate, key] => Ok(IdentityFiles {
                certificate: self.key_path(directive, certificate)?.into(),
                key: Some(self.key_path(directive, key)?.into()),
                chain: None,
            }),
            words if words.iter().any(|word| Pkcs11Uri::is_one(word)) => Err(format!(
                "takes a certificate and a key, not {} names: put a PKCS#11 URI in quotation marks",
                words.len()
            )),
            words => Err(format!(
                "takes a certificate file and, unless it is in there too, a key file, not {} files: the certificates of issuers \
                 belong behind the certificate in its own file (`cat <issuers> >> {}`)",
                words.len(),
                words
                    .first()
                    .map_or_else(String::new, |first| shell_word(Path::new(first)))
            )),
        }
    }

    /// The files and directories that a directive names.
    pub(crate) fn paths(&self, directive: &Directive) -> Result<Vec<Located<PathBuf>>, String> {
        if directive.args.is_empty() {
            return Err("takes a file or a directory".to_owned());
        }
        let said = |word: &String| Located {
            value: self.path(word),
            origin: directive.origin.clone(),
        };
        Ok(directive.args.iter().map(said).collect())
    }

    pub(crate) fn path(&self, text: &str) -> PathBuf {
        self.server_root.join(text)
    }

    /// The file of a certificate or key that `directive` names, or the PKCS#11 URI of one in a token, without its PIN.
    pub(crate) fn key_path(&mut self, directive: &Directive, text: &str) -> Result<PathBuf, String> {
        if !Pkcs11Uri::is_one(text) {
            return Ok(self.path(text));
        }
        let uri = Pkcs11Uri::parse(text).map_err(|why| format!("takes a file or a PKCS#11 URI: {why}"))?;
        if let Some(PinSource::Value(_)) = uri.pin {
            self.global.pins.note(uri.to_string(), text);
            let text = format!(
                "{} {uri}: the PIN is in the configuration (pin-value), which more users and programs read than need it: put it \
                 into a file, and name that by pin-source=/path/to/file",
                directive.name
            );
            self.diagnostics
                .report(Severity::Warning, 0, Some(&directive.origin), text);
        }
        Ok(uri.to_string().into())
    }
}

/// An empty list, which replaces the list of the base server.
fn said_nothing<T>(directive: &Directive) -> Located<Vec<T>> {
    Located {
        value: Vec::new(),
        origin: directive.origin.clone(),
    }
}

/// The minimum is 64 bytes (RFC 8449 section 4), the maximum 2^14 bytes (RFC 8446 section 5.1).
const FRAGMENT_SIZES: RangeInclusive<usize> = 64..=16_384;

/// The only argument of a directive, a number in `range`. `what` is the unit, for messages.
fn number<T: FromStr + PartialOrd + Display>(
    directive: &Directive,
    range: RangeInclusive<T>,
    what: &str,
) -> Result<T, String> {
    let word = directive.single()?;
    let parsed = word.parse().ok().filter(|number| range.contains(number));
    parsed.ok_or_else(|| {
        let (least, most) = (range.start(), range.end());
        format!("takes a number {what} from {least} to {most}, not \"{word}\"")
    })
}

/// The cipher suites of a directive about suppressed ones. Unknown suites are ignored, since they are not used anyway.
pub(crate) fn suppressed_ciphers(directive: &Directive) -> Result<Located<Vec<&'static Cipher>>, String> {
    let list = ciphers::parse_list(&directive.words()).map_err(|error| error.to_string())?;
    Ok(Located {
        value: list.ciphers,
        origin: directive.origin.clone(),
    })
}
