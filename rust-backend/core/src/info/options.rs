// SPDX-License-Identifier: Apache-2.0
//! `TLSOptions`: options for requests, per server, directory and .htaccess.

use crate::info::connection_info::EnvOptions;

/// A set of options.
pub type OptionSet = u32;

/// `StdEnvVars`.
pub const STD_ENV_VARS: OptionSet = 1;
/// `ExportCertData`.
pub const EXPORT_CERT_DATA: OptionSet = 1 << 1;

/// `FakeBasicAuth`: a client certificate is accepted as Basic authentication.
pub const FAKE_BASIC_AUTH: OptionSet = 1 << 2;
/// `StrictRequire`: `Satisfy any` does not override the rules for client certificates.
pub const STRICT_REQUIRE: OptionSet = 1 << 3;
/// `LegacyDNStringFormat`: distinguished names as `/C=DE/CN=name`.
pub const LEGACY_DN_STRING_FORMAT: OptionSet = 1 << 4;

/// `OptRenegotiate`: mod_ssl's option for renegotiations. It has no effect.
const OPT_RENEGOTIATE: OptionSet = 1 << 5;

/// The options by name.
const NAMES: [(&str, OptionSet); 7] = [
    ("StdEnvVars", STD_ENV_VARS),
    ("ExportCertData", EXPORT_CERT_DATA),
    ("FakeBasicAuth", FAKE_BASIC_AUTH),
    ("StrictRequire", STRICT_REQUIRE),
    ("LegacyDNStringFormat", LEGACY_DN_STRING_FORMAT),
    ("OptRenegotiate", OPT_RENEGOTIATE),
    ("Defaults", 0),
];

/// The options of `TLSOptions` at one place of the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Options {
    /// Whether the options of outer places are ignored.
    pub absolute: bool,
    /// Options that are on.
    pub on: OptionSet,
    /// Options that are off.
    pub off: OptionSet,
}

impl Options {
    /// Parses the arguments of one directive. `+` adds an option, `-` removes it. An option without a sign replaces all
    /// options, as in httpd's `Options`; further ones without a sign are added to it. With mod_ssl (`is_mod_ssls`) only
    /// the last one without a sign is kept. `Defaults` is the empty set.
    pub fn parse(words: &[&str], is_mod_ssls: bool) -> Result<Self, String> {
        let mut options = Self::default();
        for word in words {
            let (sign, name) = match word.chars().next() {
                Some(sign @ ('+' | '-')) => (Some(sign), &word[1..]),
                _ => (None, *word),
            };
            let known = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            let Some(&(_, bits)) = known else {
                let names = NAMES.map(|(name, _)| name).join(", ");
                return Err(format!(
                    "\"{word}\" is no option: there are {names}, each with + or - before it or neither"
                ));
            };
            let step = match sign {
                Some('-') => Self {
                    absolute: false,
                    on: 0,
                    off: bits,
                },
                Some(_) if bits != 0 => Self {
                    absolute: false,
                    on: bits,
                    off: 0,
                },
                _ if options.absolute && bits != 0 && !is_mod_ssls => Self {
                    absolute: false,
                    on: bits,
                    off: 0,
                },
                _ => Self {
                    absolute: true,
                    on: bits,
                    off: 0,
                },
            };
            options = options.then(step);
        }
        Ok(options)
    }

    /// Whether any of `options` is on.
    pub fn has(&self, options: OptionSet) -> bool {
        self.on & options != 0
    }

    /// Merges the options of an inner section, or of a later directive, into these.
    pub fn then(self, inner: Self) -> Self {
        if inner.absolute {
            return inner;
        }
        Self {
            absolute: self.absolute,
            on: self.on & !inner.off | inner.on,
            off: self.off & !inner.on | inner.off,
        }
    }
}

impl From<Options> for EnvOptions {
    fn from(options: Options) -> Self {
        Self {
            std_env_vars: options.has(STD_ENV_VARS),
            export_cert_data: options.has(EXPORT_CERT_DATA),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effective(places: &[&[&str]]) -> OptionSet {
        places
            .iter()
            .map(|words| Options::parse(words, false).unwrap())
            .fold(Options::default(), Options::then)
            .on
    }

    #[test]
    fn merging() {
        assert_eq!(effective(&[&["+StdEnvVars"], &["+ExportCertData"]]), 3);
        assert_eq!(effective(&[&["+stdenvvars"], &["-StdEnvVars"]]), 0);
        assert_eq!(effective(&[&["+StdEnvVars"], &["ExportCertData"]]), EXPORT_CERT_DATA);
        assert_eq!(effective(&[&["StdEnvVars", "ExportCertData"]]), 3);
        assert_eq!(effective(&[&["StdEnvVars", "+ExportCertData"], &["Defaults"]]), 0);
        assert_eq!(effective(&[&["Defaults", "+StdEnvVars"]]), STD_ENV_VARS);
        assert_eq!(effective(&[&["-StdEnvVars"], &["+StdEnvVars"]]), STD_ENV_VARS);
        assert!(Options::parse(&["+Nonsense"], false).is_err());
        assert!(Options::parse(&[""], true).is_err());
        let last = Options::parse(&["StdEnvVars", "ExportCertData"], true).unwrap();
        assert_eq!(last.on, EXPORT_CERT_DATA);
    }
}
