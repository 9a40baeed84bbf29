// SPDX-License-Identifier: Apache-2.0
//! Settings for revocation by what other machines say: `TLSStapling`, `TLSClientOCSP`, and what belongs to them.

use std::path::{Path, PathBuf};

use crate::base::directive::{Directive, Located};
use crate::revocation::orders::{FetchSettings, OcspSettings};
use crate::trust::status::OcspCheck;
use crate::x509::status::is_http;

/// The longest time limit for an answer, in seconds.
const MAX_TIMEOUT: u32 = 300;

/// Settings of the whole server.
#[derive(Clone, Debug, Default)]
pub struct FetchDirectives {
    /// Where what was fetched is kept: `TLSRevocationCache`.
    pub cache: Option<PathBuf>,
    /// The proxy for all requests; none if there is none.
    proxy: Option<String>,
    /// How long an answer may take, in seconds.
    timeout: Option<u32>,
}

impl FetchDirectives {
    /// Interprets one of the directives.
    pub(crate) fn interpret(&mut self, directive: &Directive, server_root: &Path) -> Result<(), String> {
        match directive.name.as_str() {
            "TLSRevocationCache" => self.cache = Some(server_root.join(directive.single()?)),
            "TLSRevocationProxy" => self.proxy = url_or_none(directive.single()?)?,
            _ => self.timeout = Some(seconds(directive.single()?, MAX_TIMEOUT)?),
        }
        Ok(())
    }

    /// How other machines are asked.
    pub fn settings(&self) -> FetchSettings {
        FetchSettings {
            timeout: self.timeout.unwrap_or(FetchSettings::default().timeout),
            proxy: self.proxy.clone(),
        }
    }
}

/// How OCSP responders are asked, as far as that is set.
#[derive(Clone, Debug, Default)]
pub struct OcspDirectives {
    /// The responder for certificates that name none.
    pub responder: Option<Option<String>>,
    /// Whether it is also asked about certificates that name others.
    pub only_responder: Option<bool>,
    /// How long an answer may take, in seconds.
    pub timeout: Option<u32>,
    /// How much clocks may differ, in seconds.
    pub skew: Option<u32>,
    /// How old a response may be, in seconds; none for as old as it says itself.
    pub max_age: Option<Option<u32>>,
    /// Whether requests have a nonce.
    pub nonce: Option<bool>,
    /// Whether signatures are not verified.
    pub no_verify: Option<bool>,
    /// The file of certificates that may sign responses.
    pub signers: Option<Located<PathBuf>>,
    /// A response is fetched anew at least so often, in seconds.
    pub refresh: Option<u32>,
    /// How soon another attempt follows one that has failed, in seconds.
    pub retry: Option<u32>,
    /// The proxy.
    pub proxy: Option<Option<String>>,
}

impl OcspDirectives {
    fn inherit(self, base: &Self) -> Self {
        Self {
            responder: self.responder.or_else(|| base.responder.clone()),
            only_responder: self.only_responder.or(base.only_responder),
            timeout: self.timeout.or(base.timeout),
            skew: self.skew.or(base.skew),
            max_age: self.max_age.or(base.max_age),
            nonce: self.nonce.or(base.nonce),
            no_verify: self.no_verify.or(base.no_verify),
            signers: self.signers.or_else(|| base.signers.clone()),
            refresh: self.refresh.or(base.refresh),
            retry: self.retry.or(base.retry),
            proxy: self.proxy.or_else(|| base.proxy.clone()),
        }
    }

    /// The effective settings. `signers` are the certificates in the file, in DER.
    pub fn settings(&self, fetch: &FetchSettings, signers: Vec<Vec<u8>>) -> OcspSettings {
        let default = OcspSettings::default();
        OcspSettings {
            fetch: FetchSettings {
                timeout: self.timeout.unwrap_or(fetch.timeout),
                proxy: self.proxy.clone().unwrap_or_else(|| fetch.proxy.clone()),
            },
            responder: self.responder.clone().flatten(),
            only_responder: self.only_responder.unwrap_or(default.only_responder),
            nonce: self.nonce.unwrap_or(default.nonce),
            no_verify: self.no_verify.unwrap_or(default.no_verify),
            skew: self.skew.unwrap_or(default.skew),
            max_age: self.max_age.flatten(),
            signers: signers.into_iter().map(Into::into).collect(),
            refresh: self.refresh,
            retry: self.retry,
        }
    }
}

/// Settings of a host.
#[derive(Clone, Debug, Default)]
pub struct RevocationSettings {
    /// Whether OCSP responses are fetched for its certificates.
    pub stapling: Option<Located<bool>>,
    /// How.
    pub staples: OcspDirectives,
    /// Whether responders are asked about certificates of clients.
    pub client_check: Option<Located<OcspCheck>>,
    /// How.
    pub clients: OcspDirectives,
}

impl RevocationSettings {
    pub(super) fn inherit(self, base: &Self) -> Self {
        Self {
            stapling: self.stapling.or_else(|| base.stapling.clone()),
            staples: self.staples.inherit(&base.staples),
            client_check: self.client_check.or_else(|| base.client_check.clone()),
            clients: self.clients.inherit(&base.clients),
        }
    }

    /// Whether OCSP responses are fetched for the certificates of the host.
    pub fn staples(&self) -> bool {
        self.stapling.as_ref().is_some_and(|said| said.value)
    }

    /// Interprets one of the `TLS*` directives.
    pub(crate) fn interpret(&mut self, directive: &Directive) -> Result<(), String> {
        match directive.name.as_str() {
            "TLSStapling" => self.stapling = Some(Located::new(directive, directive.flag()?)),
            "TLSStaplingResponder" => {
                self.staples.responder = Some(url_or_none(directive.single()?)?);
                self.staples.only_responder = Some(true);
            }
            "TLSClientOCSP" => {
                let value = OcspCheck::parse(&directive.words())?;
                self.client_check = Some(Located::new(directive, value));
            }
            _ => {
                let (responder, only) = match directive.words().as_slice() {
                    [url] => (url_or_none(url)?, false),
                    [url, flag] if flag.eq_ignore_ascii_case("override") => (Some(url_of(url)?), true),
                    _ => {
                        return Err("takes a URL and, if it replaces those that certificates name, override".to_owned());
                    }
                };
                self.clients.responder = Some(responder);
                self.clients.only_responder = Some(only);
            }
        }
        Ok(())
    }

    /// Interprets one of mod_ssl's directives.
    pub(crate) fn interpret_ssl(&mut self, directive: &Directive, server_root: &Path) -> Result<(), String> {
        let url = || directive.single().and_then(url_of).map(|url| Some(Some(url)));
        let number = || directive.single().and_then(|word| seconds(word, u32::MAX)).map(Some);
        let flag = || directive.flag().map(Some);
        match directive.name.as_str() {
            "SSLUseStapling" => self.stapling = Some(Located::new(directive, directive.flag()?)),
            "SSLStaplingForceURL" => {
                self.staples.responder = url()?;
                self.staples.only_responder = Some(true);
            }
            "SSLStaplingErrorCacheTimeout" => self.staples.retry = number()?,
            "SSLStaplingStandardCacheTimeout" => self.staples.refresh = number()?,
            "SSLStaplingResponderTimeout" => self.staples.timeout = number()?,
            "SSLStaplingResponseMaxAge" => self.staples.max_age = Some(max_age(directive.single()?)?),
            "SSLStaplingResponseTimeSkew" => self.staples.skew = number()?,
            "SSLOCSPEnable" => {
                let value = OcspCheck::parse(&directive.words())?;
                self.client_check = Some(Located::new(directive, value));
                // As with mod_ssl.
                self.clients.nonce.get_or_insert(true);
            }
            "SSLOCSPDefaultResponder" => self.clients.responder = url()?,
            "SSLOCSPOverrideResponder" => self.clients.only_responder = flag()?,
            "SSLOCSPResponderTimeout" => self.clients.timeout = number()?,
            "SSLOCSPResponseMaxAge" => self.clients.max_age = Some(max_age(directive.single()?)?),
            "SSLOCSPResponseTimeSkew" => self.clients.skew = number()?,
            "SSLOCSPUseRequestNonce" => self.clients.nonce = flag()?,
            "SSLOCSPNoVerify" => self.clients.no_verify = flag()?,
            // mod_ssl uses it for both.
            "SSLOCSPProxyURL" => {
                self.clients.proxy = url()?;
                self.staples.proxy = url()?;
            }
            _ => self.clients.signers = Some(Located::new(directive, server_root.join(directive.single()?))),
        }
        Ok(())
    }
}

fn url_of(word: &str) -> Result<String, String> {
    let host = word.split_once("://").map_or("", |(_, rest)| rest);
    match is_http(word) && !host.is_empty() && !host.starts_with(['/', ':']) {
        true => Ok(word.to_owned()),
        false => Err(format!(
            "takes a URL that begins with http:// or https://, not \"{word}\""
        )),
    }
}

fn url_or_none(word: &str) -> Result<Option<String>, String> {
    match word.eq_ignore_ascii_case("none") {
        true => Ok(None),
        false => url_of(word).map(Some),
    }
}

fn seconds(word: &str, most: u32) -> Result<u32, String> {
    let number = word.parse().ok().filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| format!("takes a number of seconds from 1 to {most}, not \"{word}\""))
}

/// -1, which is mod_ssl's default, stands for no limit.
fn max_age(word: &str) -> Result<Option<u32>, String> {
    match word {
        "-1" => Ok(None),
        _ => seconds(word, u32::MAX).map(Some),
    }
}
