// SPDX-License-Identifier: Apache-2.0
//! The rules of a section or an .htaccess file for requests. These directives take effect where httpd reads them, some of
//! them while a request is processed.

use crate::info::connection_info::ConnectionInfo;
use crate::info::options::{Options, STRICT_REQUIRE};
use crate::mod_ssl::{self, suites};
use crate::session::early_data::EarlyMethods;
use crate::trust::client::verify_mode::VerifyMode;

/// The rules of a location, except their texts, which the caller stores: see [`RuleText`]. Rules whose bytes are all zero
/// are empty.
///
/// ```
/// use mod_tls_core::request::rules::{Place, Rules};
/// use mod_tls_core::trust::client::verify_mode::VerifyMode;
///
/// let mut rules = Rules::default();
/// let reading = rules.read("SSLVerifyClient", &["require"], Place::Section).unwrap();
/// assert_eq!(rules.verify_mode, VerifyMode::Required);
/// assert!(reading.is_for_handshake);
/// assert!(rules.read("SSLVerifyClient", &["perhaps"], Place::Section).is_err());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Rules {
    /// `TLSOptions`.
    pub options: Options,
    /// Whether a client certificate is required.
    pub verify_mode: VerifyMode,
    /// Whether `depth` is set.
    pub has_depth: bool,
    /// The maximum number of CAs above the client's certificate.
    pub depth: u32,
    /// The methods of requests that are accepted as early data.
    pub early_methods: EarlyMethods,
    /// Whether the rules apply even with `Satisfy any`. Those of mod_ssl's directives always do: where its renegotiation
    /// fails, mod_ssl closes the connection.
    pub is_strict: bool,
    /// Whether requests without TLS are refused: `SSLRequireSSL`.
    pub requires_tls: bool,
}

/// Where a directive stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum Place {
    /// In a server: outside of all sections for requests.
    Server,
    /// In a section such as `<Location>`.
    Section,
    /// In an .htaccess file.
    Htaccess,
}

/// The setting that has the last argument of a directive as its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum RuleText {
    /// The variable with the name of the user: `TLSUserName`.
    UserName,
    /// The cipher suites of TLS 1.2: `SSLCipherSuite`.
    Tls12Suites,
    /// The cipher suites of TLS 1.3: `SSLCipherSuite TLSv1.3`.
    Tls13Suites,
    /// None.
    None,
}

/// How a directive that was read is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Reading {
    /// Whether the rules have changed.
    pub is_rule: bool,
    /// Whether the handshake depends on the directive, too.
    pub is_for_handshake: bool,
    /// The text that has to be stored.
    pub text: RuleText,
}

/// When rules are applied to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum Stage {
    /// Before httpd's access control: `Satisfy any` does not override this.
    Strict,
    /// As part of httpd's access control.
    Access,
}

impl Rules {
    /// Reads a directive at `place`. The text of an error begins with the directive's name.
    pub fn read(&mut self, name: &str, words: &[&str], place: Place) -> Result<Reading, String> {
        let mut reading = Reading {
            is_rule: true,
            is_for_handshake: place != Place::Htaccess,
            text: RuleText::None,
        };
        let is_in_server = place == Place::Server;
        match name {
            "TLSOptions" | "SSLOptions" if words.is_empty() => {
                return Err(format!("{name} takes at least one argument"));
            }
            "TLSOptions" | "SSLOptions" => {
                let is_mod_ssls = name == "SSLOptions";
                let read = Options::parse(words, is_mod_ssls).map_err(|why| format!("{name}: {why}"))?;
                self.options = self.options.then(read);
                reading.is_for_handshake &= is_mod_ssls;
            }
            "TLSEarlyDataMethods" => {
                self.early_methods = one(name, words).and_then(|word| said(name, EarlyMethods::parse(word)))?;
                reading.is_for_handshake = false;
            }
            "TLSUserName" | "SSLUserName" => {
                one(name, words)?;
                reading.text = RuleText::UserName;
            }
            "SSLRequireSSL" if !words.is_empty() => return Err(format!("{name} takes no arguments")),
            "SSLRequireSSL" => {
                self.requires_tls = true;
                reading.is_for_handshake = false;
            }
            "TLSClientCertificate" | "SSLVerifyClient" | "SSLVerifyDepth" | "SSLCipherSuite" if is_in_server => {
                reading.is_rule = false;
            }
            "TLSClientCertificate" => {
                self.verify_mode = one(name, words).and_then(|word| said(name, VerifyMode::parse(word)))?;
            }
            "SSLVerifyClient" => {
                self.verify_mode = one(name, words).and_then(|word| said(name, mod_ssl::verify_mode(word)))?;
                self.is_strict = true;
            }
            "SSLVerifyDepth" => {
                let depth = words
                    .first()
                    .filter(|_| words.len() == 1)
                    .and_then(|word| word.parse().ok());
                self.depth =
                    depth.ok_or_else(|| format!("{name} takes the number of CAs that may be above a certificate"))?;
                self.has_depth = true;
            }
            "SSLCipherSuite" => {
                let (is_tls13, _) = said(name, suites::parse(words))?;
                reading.text = if is_tls13 {
                    RuleText::Tls13Suites
                } else {
                    RuleText::Tls12Suites
                };
                self.is_strict = true;
            }
            "SSLRenegBufferSize" => reading.is_rule = false,
            _ if place == Place::Htaccess => return Err(format!("{name} cannot occur in .htaccess files")),
            _ => reading.is_rule = false,
        }
        Ok(reading)
    }

    /// The rules of a section with the rules `inner` inside a section with these rules.
    pub fn merge(&self, inner: &Self) -> Self {
        Self {
            options: self.options.then(inner.options),
            verify_mode: match inner.verify_mode {
                VerifyMode::Unset => self.verify_mode,
                mode => mode,
            },
            has_depth: self.has_depth || inner.has_depth,
            depth: if inner.has_depth { inner.depth } else { self.depth },
            early_methods: match inner.early_methods {
                EarlyMethods::Unset => self.early_methods,
                methods => methods,
            },
            is_strict: self.is_strict || inner.is_strict,
            requires_tls: self.requires_tls || inner.requires_tls,
        }
    }

    /// Checks that the rules accept the connection of a request; an error is the reason why not. `info` is none if the
    /// connection is not TLS of this module; `is_tls` is whether it is TLS of any module. `tls12` and `tls13` are the
    /// texts of the cipher suites, empty if they are not set.
    pub fn admit(
        &self,
        info: Option<&ConnectionInfo>,
        is_tls: bool,
        (tls12, tls13): (&str, &str),
        stage: Stage,
    ) -> Result<(), String> {
        let is_strict = self.options.has(STRICT_REQUIRE);
        if stage == Stage::Strict && !is_strict && !self.is_strict {
            return Ok(());
        }
        if self.requires_tls && !is_tls && (is_strict || stage == Stage::Access) {
            return Err("it takes a TLS connection (SSLRequireSSL)".to_owned());
        }
        let Some(info) = info else {
            return match self.verify_mode {
                VerifyMode::Required => {
                    Err("a client certificate is required, and the connection is not TLS of this module".to_owned())
                }
                _ => Ok(()),
            };
        };
        if let Some(suite) = info.cipher() {
            suites::allows(tls12, tls13, suite)?;
        }
        let depth = self.has_depth.then_some(self.depth as usize).or(info.usual_depth);
        let result = info.client_result.within(depth);
        result.stands(info.client_mode)?;
        result.satisfies(self.verify_mode)
    }
}

fn one<'a>(name: &str, words: &[&'a str]) -> Result<&'a str, String> {
    match words {
        [word] => Ok(word),
        _ => Err(format!("{name} takes one argument")),
    }
}

fn said<T>(name: &str, result: Result<T, String>) -> Result<T, String> {
    result.map_err(|why| format!("{name} {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(lines: &[(&str, &[&str])]) -> Rules {
        let mut rules = Rules::default();
        for (name, words) in lines {
            assert!(rules.read(name, words, Place::Section).unwrap().is_rule, "{name}");
        }
        rules
    }

    #[test]
    fn inner_rules_override_outer_ones() {
        let outer = rules(&[
            ("SSLVerifyClient", &["require"]),
            ("SSLVerifyDepth", &["2"]),
            ("SSLRequireSSL", &[]),
        ]);
        let inner = rules(&[("TLSClientCertificate", &["none"]), ("TLSEarlyDataMethods", &["any"])]);
        let merged = outer.merge(&inner);
        assert_eq!((merged.verify_mode, merged.depth), (VerifyMode::None, 2));
        assert!(merged.is_strict && merged.requires_tls);
        assert_eq!(merged.early_methods, EarlyMethods::Any);
        assert_eq!(outer.merge(&Rules::default()), outer);
        assert_eq!(Rules::default().merge(&inner), inner);
    }

    #[test]
    fn places() {
        let read = |name, words: &[&str], place| Rules::default().read(name, words, place);
        let of_server = read("SSLVerifyClient", &["nonsense"], Place::Server).unwrap();
        assert!(of_server.is_for_handshake && !of_server.is_rule);
        let of_file = read("SSLVerifyClient", &["optional"], Place::Htaccess).unwrap();
        assert!(of_file.is_rule && !of_file.is_for_handshake);
        assert!(
            read("SSLCACertificateFile", &["a"], Place::Section)
                .unwrap()
                .is_for_handshake
        );
        assert!(read("SSLCACertificateFile", &["a"], Place::Htaccess).is_err());
        let of_tls13 = read("SSLCipherSuite", &["TLSv1.3", "TLS_AES_128_GCM_SHA256"], Place::Section).unwrap();
        assert_eq!(of_tls13.text, RuleText::Tls13Suites);
        for (name, words) in [
            ("SSLVerifyDepth", ["-1"]),
            ("SSLRequireSSL", ["on"]),
            ("SSLOptions", ["+No"]),
        ] {
            assert!(read(name, &words, Place::Section).unwrap_err().starts_with(name));
        }
    }

    #[test]
    fn plain_connections() {
        let admit = |rules: &Rules, is_tls, stage| rules.admit(None, is_tls, ("", ""), stage).is_ok();
        let tls = rules(&[("SSLRequireSSL", &[])]);
        assert!(admit(&tls, false, Stage::Strict) && !admit(&tls, false, Stage::Access));
        assert!(admit(&tls, true, Stage::Access));
        let strict = rules(&[("SSLRequireSSL", &[]), ("SSLOptions", &["+StrictRequire"])]);
        assert!(!admit(&strict, false, Stage::Strict));
        let certificate = rules(&[("TLSClientCertificate", &["required"])]);
        assert!(admit(&certificate, true, Stage::Strict) && !admit(&certificate, true, Stage::Access));
        let theirs = rules(&[("SSLVerifyClient", &["require"])]);
        assert!(!admit(&theirs, true, Stage::Strict));
    }
}
