// SPDX-License-Identifier: Apache-2.0
//! `TLSOptions`: what a request's environment gets, set per server, directory and .htaccess.

use crate::facts::EnvOptions;

/// A set of options.
pub type OptionSet = u32;

/// `StdEnvVars`.
pub const STD_ENV_VARS: OptionSet = 1;
/// `ExportCertData`.
pub const EXPORT_CERT_DATA: OptionSet = 1 << 1;

/// What `TLSOptions` says at one place of the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Options {
    /// Whether what an outer place said is forgotten.
    pub absolute: bool,
    /// Options that are on.
    pub on: OptionSet,
    /// Options that are off.
    pub off: OptionSet,
}

impl Options {
    /// Reads the arguments of one directive: options that are added with `+` and removed with `-`. One without a sign
    /// replaces everything that was set, as httpd's `Options` does. `Defaults` stands for what holds where nothing is
    /// said: no option.
    pub fn parse(words: &[&str]) -> Result<Self, String> {
        let mut options = Self::default();
        for word in words {
            let (sign, name) = match word.chars().next() {
                Some(sign @ ('+' | '-')) => (Some(sign), &word[1..]),
                _ => (None, *word),
            };
            let bits = match name.to_ascii_lowercase().as_str() {
                "stdenvvars" => STD_ENV_VARS,
                "exportcertdata" => EXPORT_CERT_DATA,
                "defaults" => 0,
                _ => {
                    return Err(format!(
                        "TLSOptions: \"{word}\" is no option: there are StdEnvVars, ExportCertData and Defaults, each with + \
                         or - before it or neither"
                    ));
                }
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
                _ if options.absolute && bits != 0 => Self {
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

    /// These options with those of an inner or later place over them.
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
            std_env_vars: options.on & STD_ENV_VARS != 0,
            export_cert_data: options.on & EXPORT_CERT_DATA != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effective(places: &[&[&str]]) -> OptionSet {
        places
            .iter()
            .map(|words| Options::parse(words).unwrap())
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
        assert!(Options::parse(&["+Nonsense"]).is_err());
        assert!(Options::parse(&[""]).is_err());
    }
}
