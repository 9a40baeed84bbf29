// SPDX-License-Identifier: Apache-2.0
//! Settings that apply to the whole server.

use std::fmt::{self, Display};
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use crate::base::directive::Located;
use crate::base::pin_values::PinValues;
use crate::key_process::control::ControlSettings;
use crate::keys::pass_phrase::Dialog;
use crate::settings::monitoring::MonitoringSettings;
use crate::settings::revocation::FetchDirectives;
use crate::settings::sni_policy::SniPolicy;

/// An address on which connections are TLS: `TLSEngine`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineAddress {
    /// The local address; none for all.
    pub ip: Option<IpAddr>,
    /// The local port.
    pub port: u16,
}

impl EngineAddress {
    /// Whether connections to `ip` and `port` match this address.
    pub fn matches(&self, ip: IpAddr, port: u16) -> bool {
        self.port == port && self.ip.is_none_or(|own| own == ip.to_canonical())
    }

    /// `[address:]port`, an IPv6 address in brackets, `*` or an unspecified address for all.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (ip, port) = match text.rsplit_once(':') {
            Some((ip, port)) => (Some(ip), port),
            None => (None, text),
        };
        let port = port
            .parse::<u16>()
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| format!("takes [address:]port with a port from 1 to 65535, not \"{text}\""))?;
        let ip = match ip {
            None | Some("*") => None,
            Some(ip) => Some(Self::parse_ip(ip)?).filter(|ip| !ip.is_unspecified()),
        };
        Ok(Self { ip, port })
    }

    fn parse_ip(text: &str) -> Result<IpAddr, String> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        match bare {
            Some(v6) => v6.parse().map(IpAddr::V6).map_err(drop),
            None => text.parse().map(IpAddr::V4).map_err(drop),
        }
        .map(|ip: IpAddr| ip.to_canonical())
        .map_err(|()| format!("\"{text}\" is no IP address (write 192.0.2.1:443 or [2001:db8::1]:443)"))
    }
}

impl Display for EngineAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip {
            Some(IpAddr::V6(ip)) => write!(f, "[{ip}]:{}", self.port),
            Some(ip) => write!(f, "{ip}:{}", self.port),
            None => write!(f, "{}", self.port),
        }
    }
}

/// Where sessions are stored for all child processes: `TLSSessionCache`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionCache {
    /// They are not stored.
    None,
    /// In httpd's default provider of shared memory.
    Default,
    /// In this socache provider, with its arguments.
    Provider(String, String),
}

impl SessionCache {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("none") {
            return Ok(Self::None);
        }
        if text.eq_ignore_ascii_case("default") {
            return Ok(Self::Default);
        }
        match text.split_once(':') {
            Some((provider, args)) if !provider.is_empty() => Ok(Self::Provider(provider.to_owned(), args.to_owned())),
            _ => Err(format!(
                "takes none, default, or provider:arguments such as shmcb:/run/tls_cache(512000), not \"{text}\""
            )),
        }
    }
}

/// Where private keys are: `TLSKeyProcess`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPlace {
    /// In httpd's processes.
    Off,
    /// In the `tls-keyd` that is installed with the module.
    On,
    /// In this program.
    Program(PathBuf),
}

/// Whether changes of certificates are noticed: `TLSWatch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watching {
    /// They are not.
    Off,
    /// They are. Files that the kernel does not watch are looked at every so many seconds.
    Every(u32),
}

impl Default for Watching {
    fn default() -> Self {
        Self::Every(10)
    }
}

impl Watching {
    /// The longest interval in seconds.
    pub const LONGEST: u32 = 86_400;

    /// `on`, `off`, or a number of seconds.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("on") {
            return Ok(Self::default());
        }
        if text.eq_ignore_ascii_case("off") {
            return Ok(Self::Off);
        }
        let seconds = text
            .parse()
            .ok()
            .filter(|seconds| (1..=Self::LONGEST).contains(seconds));
        seconds.map(Self::Every).ok_or_else(|| {
            let longest = Self::LONGEST;
            format!("takes on, off, or a number of seconds from 1 to {longest}, not \"{text}\"")
        })
    }
}

impl Display for Watching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Every(seconds) => write!(f, "on (every {seconds} seconds where the kernel does not watch)"),
        }
    }
}

/// How much of a store of certificates each child process keeps: `TLSCertificateStoreCache`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreCacheSize {
    /// The number of certificates.
    pub entries: NonZeroUsize,
    /// Their size in bytes.
    pub bytes: usize,
}

impl Default for StoreCacheSize {
    fn default() -> Self {
        Self {
            entries: NonZeroUsize::new(4096).expect("it is not 0"),
            bytes: 64 << 20,
        }
    }
}

impl StoreCacheSize {
    /// The number of certificates and, if it is said, of mebibytes.
    pub(crate) fn parse(words: &[&str]) -> Result<Self, String> {
        let number = |word: &str, most: usize, of: &str| {
            let number = word.parse().ok().and_then(NonZeroUsize::new);
            number
                .filter(|number| number.get() <= most)
                .ok_or_else(|| format!("takes a number of {of} from 1 to {most}, not \"{word}\""))
        };
        let (entries, mebibytes) = match words {
            [entries] => (entries, None),
            [entries, mebibytes] => (entries, Some(mebibytes)),
            _ => return Err("takes a number of certificates and one of mebibytes".to_owned()),
        };
        Ok(Self {
            entries: number(entries, 1_000_000, "certificates")?,
            bytes: match mebibytes {
                Some(mebibytes) => number(mebibytes, 65_536, "mebibytes")?.get() << 20,
                None => Self::default().bytes,
            },
        })
    }
}

/// Settings that apply to the whole server.
#[derive(Clone, Debug, Default)]
pub struct GlobalSettings {
    /// The addresses on which connections are TLS.
    pub engines: Vec<Located<EngineAddress>>,
    /// Whether handshakes with an unknown server name are refused.
    pub strict_sni: Option<bool>,
    /// Where sessions are stored.
    pub session_cache: Option<Located<SessionCache>>,
    /// The file that the secrets of connections are written to.
    pub key_log_file: Option<Located<PathBuf>>,
    /// Whether only algorithms approved by FIPS 140-3 are used.
    pub fips: Option<Located<bool>>,
    /// Where private keys are.
    pub key_process: Option<Located<KeyPlace>>,
    /// The user that `tls-keyd` runs as.
    pub key_process_user: Option<Located<String>>,
    /// Whether changes of certificates are noticed.
    pub watching: Option<Watching>,
    /// How much of stores of certificates is kept.
    pub store_cache: StoreCacheSize,
    /// The socket for `tls-certs`; none if there is none.
    pub control: Option<Located<Option<ControlSettings>>>,
    /// The PINs of tokens that are in the configuration.
    pub pins: PinValues,
    /// Where pass phrases of private keys come from.
    pub pass_phrases: Option<Located<Dialog>>,
    /// What is reported about the running server.
    pub monitoring: MonitoringSettings,
    /// How OCSP responders are asked, and lists are fetched.
    pub fetching: FetchDirectives,
    /// When a request may name another virtual host than the handshake did.
    pub sni_policy: Option<SniPolicy>,
}

impl GlobalSettings {
    /// Whether everything that is served has to be approved by FIPS 140-3.
    pub fn wants_fips(&self) -> bool {
        self.fips.as_ref().is_some_and(|said| said.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engine_addresses() {
        let parse = EngineAddress::parse;
        assert_eq!(parse("443").unwrap(), EngineAddress { ip: None, port: 443 });
        assert_eq!(parse("*:443").unwrap(), EngineAddress { ip: None, port: 443 });
        assert_eq!(parse("[::]:443").unwrap(), EngineAddress { ip: None, port: 443 });
        let v4 = parse("127.0.0.1:8443").unwrap();
        assert!(v4.matches("127.0.0.1".parse().unwrap(), 8443));
        assert!(v4.matches("::ffff:127.0.0.1".parse().unwrap(), 8443));
        assert!(!v4.matches("127.0.0.2".parse().unwrap(), 8443));
        assert!(!v4.matches("127.0.0.1".parse().unwrap(), 443));
        for text in ["443", "127.0.0.1:8443", "[::1]:443"] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        assert!(parse("[::1]:443").unwrap().matches("::1".parse().unwrap(), 443));
        for wrong in [
            "",
            "0",
            "65536",
            "host:443",
            "::1:443",
            "[::1]",
            "1.2.3.4:",
            "443:1.2.3.4",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn session_caches() {
        assert_eq!(SessionCache::parse("NONE").unwrap(), SessionCache::None);
        assert_eq!(
            SessionCache::parse("shmcb:/a(1000)").unwrap(),
            SessionCache::Provider("shmcb".to_owned(), "/a(1000)".to_owned())
        );
        assert!(SessionCache::parse("shmcb").is_err());
        assert!(SessionCache::parse(":x").is_err());
    }
}
