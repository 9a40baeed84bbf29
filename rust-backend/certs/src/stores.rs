// SPDX-License-Identifier: Apache-2.0
//! Certificates in stores (TLSCertificateStore), which a server looks up when a client asks for them. It does not tell which: the
//! files are looked at here, by the same code.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use mod_tls_core::base::host_name::HostName;
use mod_tls_core::config::catalogue::{Catalogue, HostEntry};
use mod_tls_core::keys::identity::IdentityFiles;
use mod_tls_core::keys::inspection::in_store;
use mod_tls_core::keys::store_pattern::StorePatterns;
use serde::Serialize;

use crate::output::CertificateJson;

/// The time after which each process of a server has looked into the store again, in seconds.
pub(crate) const LOOKS_WITHIN: i64 = 2;

/// A certificate in a store.
#[derive(Debug, Serialize)]
pub(crate) struct Stored {
    pub(crate) name: String,
    pub(crate) pattern: String,
    pub(crate) certificate_file: PathBuf,
    pub(crate) key_file: PathBuf,
    /// None if it cannot be used.
    pub(crate) certificate: Option<CertificateJson>,
    /// Why it cannot be used.
    pub(crate) problem: Option<String>,
    /// When the files have changed, in seconds since 1970.
    #[serde(skip)]
    pub(crate) changed: i64,
}

impl Stored {
    /// What the store of `host` has for a client that asks for `name`. None if the host has no store, or is not asked for a name.
    pub(crate) fn find(host: &HostEntry, name: &str, now: i64) -> Option<Self> {
        let patterns = host.store.as_ref()?.patterns()?;
        let host_name = HostName::new(name)?;
        let (certificate, key) = patterns.paths(&host_name);
        let files = IdentityFiles {
            certificate: certificate.as_path().into(),
            key: key.as_deref().map(Into::into),
            chain: None,
        };
        let found = in_store(&files, host_name.as_str(), now);
        let key_file = key.unwrap_or_else(|| certificate.clone());
        Some(Self {
            name: host_name.as_str().to_owned(),
            pattern: patterns.to_string(),
            changed: changed(&certificate).max(changed(&key_file)),
            certificate_file: certificate,
            key_file,
            certificate: found.as_ref().ok().map(|facts| CertificateJson::new(facts, now)),
            problem: found.err(),
        })
    }

    /// Whether the store has a certificate, be it one that cannot be used.
    pub(crate) fn is_there(&self) -> bool {
        self.certificate_file.symlink_metadata().is_ok()
    }
}

/// When a file has changed; 0 if it is not there.
fn changed(file: &Path) -> i64 {
    file.metadata().map_or(0, |metadata| metadata.ctime())
}

/// Whether a certificate of the host itself covers the name, which is then used.
pub(crate) fn is_covered(catalogue: &Catalogue, host: &HostEntry, name: &str) -> bool {
    let entries = host.slots.iter().filter_map(|slot| catalogue.certificate(*slot));
    entries.into_iter().any(|entry| entry.covers(name))
}

/// The certificates in stores with this file, or in this directory. A part of the path has to be the name.
pub(crate) fn of_file(catalogue: &Catalogue, path: &Path, now: i64) -> Vec<Stored> {
    let hosts = catalogue.hosts.iter();
    let found = hosts.filter_map(|host| {
        let name = name_in(&host.store.as_ref()?.patterns()?, path)?;
        let is_used = !is_covered(catalogue, host, name.as_str());
        is_used.then(|| Stored::find(host, name.as_str(), now))?
    });
    found.collect()
}

fn name_in(patterns: &StorePatterns, path: &Path) -> Option<HostName> {
    let all = std::iter::once(&patterns.certificate).chain(&patterns.key);
    all.into_iter().find_map(|pattern| {
        let rest = path.strip_prefix(pattern.fixed_directory()).ok()?;
        let parts = rest.iter().filter_map(|part| part.to_str());
        let candidates = parts.flat_map(|part| {
            let stem = Path::new(part).file_stem().and_then(|stem| stem.to_str());
            [Some(part), stem].into_iter().flatten()
        });
        candidates
            .filter_map(HostName::new)
            .find(|name| pattern.path(name).starts_with(path))
    })
}

#[cfg(test)]
mod tests {
    use mod_tls_core::keys::store_pattern::Pattern;

    use super::*;

    #[test]
    fn names_in_paths() {
        let parse = |text: &str| Pattern::parse(text).unwrap();
        let certbot = StorePatterns {
            certificate: parse("/live/%n/fullchain.pem"),
            key: Some(parse("/live/%n/privkey.pem")),
        };
        let flat = StorePatterns {
            certificate: parse("/certs/%n.pem"),
            key: None,
        };
        let find = |patterns, path: &str| name_in(patterns, Path::new(path)).map(|name| name.as_str().to_owned());
        let name = Some("www.example.org".to_owned());
        for path in [
            "/live/www.example.org",
            "/live/www.example.org/fullchain.pem",
            "/live/www.example.org/privkey.pem",
        ] {
            assert_eq!(find(&certbot, path), name);
        }
        assert_eq!(find(&flat, "/certs/www.example.org.pem"), name);
        assert_eq!(find(&certbot, "/live/www.example.org/cert.pem"), None);
        assert_eq!(find(&flat, "/certs"), None);
    }
}
