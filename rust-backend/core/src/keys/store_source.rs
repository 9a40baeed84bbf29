// SPDX-License-Identifier: Apache-2.0
//! Where certificates are looked up by name: files, or a Redis server.

use std::fmt;
use std::path::{Path, PathBuf};

use super::store_pattern::{Pattern, StorePatterns};

/// A store of certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreSource {
    /// Files.
    Files(StorePatterns),
    /// A Redis server.
    Redis(RedisAddress),
}

/// A Redis server with certificates whose keys are [sealed](super::sealing).
#[derive(Clone, PartialEq, Eq)]
pub struct RedisAddress {
    /// Its URL: `redis://`, or `rediss://` for TLS. There may be a password in it.
    pub url: String,
    /// The file of the sealing keys.
    pub sealing_key: PathBuf,
    /// The CA of its certificate, if it is none of the system's.
    pub ca: Option<PathBuf>,
}

/// The schemes of URLs.
const SCHEMES: [&str; 2] = ["redis://", "rediss://"];

impl StoreSource {
    /// Parses the arguments of `TLSCertificateStore`. Relative paths start from `server_root`.
    ///
    /// # Errors
    /// The text continues the name of the directive.
    pub fn parse(words: &[&str], server_root: &Path) -> Result<Self, String> {
        let path = |text: &str| server_root.join(text);
        let pattern = |text: &str| Pattern::parse(&path(text).to_string_lossy()).map_err(|why| format!("takes {why}"));
        match *words {
            [url, ref rest @ ..] if SCHEMES.iter().any(|scheme| url.starts_with(scheme)) => {
                let (sealing_key, ca) = match *rest {
                    [sealing_key] => (sealing_key, None),
                    [sealing_key, ca] => (sealing_key, Some(path(ca))),
                    _ => {
                        return Err("takes, behind the URL of a Redis server, the file of the key with which private keys are \
                                    sealed (tls-certs seal --new-key writes one) and, if need be, the file of the server's CA"
                            .to_owned());
                    }
                };
                let after_scheme = url.split_once("://").map_or("", |(_, rest)| rest);
                let authority = after_scheme.split(['/', '?']).next().unwrap_or_default();
                if authority.rsplit('@').next().is_none_or(str::is_empty) {
                    return Err("takes the URL of a Redis server, such as redis://redis.example.org:6379/0".to_owned());
                }
                Ok(Self::Redis(RedisAddress {
                    url: (*url).to_owned(),
                    sealing_key: path(sealing_key),
                    ca,
                }))
            }
            [certificate] => Ok(Self::Files(StorePatterns {
                certificate: pattern(certificate)?,
                key: None,
            })),
            [certificate, key] => Ok(Self::Files(StorePatterns {
                certificate: pattern(certificate)?,
                key: Some(pattern(key)?),
            })),
            _ => Err(format!(
                "takes the paths of certificates and keys, the URL of a Redis server and a sealing key, or none, not {} words",
                words.len()
            )),
        }
    }
}

/// The URL without a password.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match authority.rsplit_once('@') {
        Some((user, host)) => {
            let user = user.split_once(':').map_or(user, |(user, _)| user);
            format!("{scheme}://{user}@{host}{path}")
        }
        None => url.to_owned(),
    }
}

impl fmt::Display for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_password(&self.url))
    }
}

impl fmt::Debug for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisAddress")
            .field("url", &without_password(&self.url))
            .finish_non_exhaustive()
    }
}

impl fmt::Display for StoreSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files(patterns) => patterns.fmt(f),
            Self::Redis(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments() {
        let parse = |words: &[&str]| StoreSource::parse(words, Path::new("/etc"));
        assert_eq!(parse(&["tls/%n.pem"]).unwrap().to_string(), "/etc/tls/%n.pem");
        assert_eq!(parse(&["/a/%n", "b/%n"]).unwrap().to_string(), "/a/%n /etc/b/%n");
        let redis = parse(&["rediss://user:se@cret@[::1]:6379/2", "seal.key", "ca.pem"]).unwrap();
        assert_eq!(redis.to_string(), "rediss://user@[::1]:6379/2");
        assert!(!format!("{redis:?}").contains("cret"));
        let StoreSource::Redis(address) = redis else { panic!() };
        assert_eq!(
            (
                address.sealing_key.to_str(),
                address.ca.as_deref().and_then(Path::to_str)
            ),
            (Some("/etc/seal.key"), Some("/etc/ca.pem"))
        );
        for wrong in [
            &["redis://host"][..],
            &["redis://", "key"],
            &["redis://user@/0", "key"],
            &["redis://host", "a", "b", "c"],
            &["/a", "/b/%n"],
            &[],
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
