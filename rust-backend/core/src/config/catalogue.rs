// SPDX-License-Identifier: Apache-2.0
//! The catalogue: what `tls-certs` shows of a running server. All of it is public.
//!
//! httpd's parent process writes it into a file in memory when the tool asks for the first time, and appends what changes
//! afterwards. The tool reads the file, and selects hosts by the same code as the server.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Config;
use super::vhosts::{Address, NameIndex, Selection, UnknownName};
use crate::base::memory_file;
use crate::info::connection_info::INTERFACE;
use crate::key_process::protocol::{self, BadFrame, MAX_CONTROL_FRAME};
use crate::key_process::watch_orders::Settled;
use crate::keys::identity::{Identity, IdentityFiles, Known};
use crate::keys::store_pattern::{Pattern, StorePatterns};
use crate::keys::store_source::StoreSource;
use crate::settings::Watching;
use crate::site::Site;
use crate::x509::facts::CertificateFacts;
use crate::x509::{Certificate, matches_host};

/// A part of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// The first one.
    Whole(Catalogue),
    /// This certificate was renewed, or its renewal was refused.
    Changed(CertificateEntry),
}

/// What `tls-certs` shows of a running server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalogue {
    /// The name and the version of the module.
    pub interface: String,
    /// The process number of httpd's parent process.
    pub process: u32,
    /// Whether renewed certificates are used without a reload.
    pub is_watching: bool,
    /// Whether unknown server names are refused, if this is configured.
    pub strict_sni: Option<bool>,
    /// The addresses with TLS.
    pub addresses: Vec<HostAddress>,
    /// The names by which hosts are selected, by the numbers of chains in `addresses`.
    pub names: Vec<(u64, NameIndex)>,
    /// The hosts that TLS connections can reach, in the order of their indices.
    pub hosts: Vec<HostEntry>,
    /// The certificates, in the order of their numbers.
    pub certificates: Vec<CertificateEntry>,
}

/// An address with TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostAddress {
    /// The IP address; none for all that are not named otherwise.
    pub ip: Option<IpAddr>,
    /// The port.
    pub port: u16,
    /// The index of its first server.
    pub first: u32,
    /// The number of the names by which its servers are selected.
    pub chain: u64,
}

/// A host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostEntry {
    /// The index of the server; 0 is the base server.
    pub server: u32,
    /// Its ServerName.
    pub name: String,
    /// The configuration file.
    pub file: String,
    /// The line at which it begins.
    pub line: u32,
    /// Whether mod_ssl's rules apply to it.
    pub is_ssl: bool,
    /// Whether it has no certificate: requests are answered with 503.
    pub is_unavailable: bool,
    /// Its certificates, in order of preference: the numbers of identities.
    pub slots: Vec<u32>,
    /// The store in which certificates are looked up by name.
    pub store: Option<StoreEntry>,
}

/// A store of certificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoreEntry {
    /// Files.
    Files {
        /// The pattern of the certificate.
        certificate: String,
        /// The pattern of the key, if it is in another file.
        key: Option<String>,
    },
    /// Another place, for people.
    Elsewhere(String),
}

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateEntry {
    /// The number of the identity.
    pub slot: u32,
    /// The path of the certificate.
    #[serde(with = "serde_bytes")]
    pub certificate: Vec<u8>,
    /// The path of the key, if it is in another file.
    pub key: Option<serde_bytes::ByteBuf>,
    /// The path of the intermediate certificates, if they are in another file.
    pub chain: Option<serde_bytes::ByteBuf>,
    /// The certificate; none if it cannot be parsed.
    pub facts: Option<CertificateFacts>,
    /// The number of certificates that are presented.
    pub chain_len: u32,
    /// Whether the private key is in `tls-keyd`.
    pub is_key_remote: bool,
    /// Whether its files can be watched: it is not in a token.
    pub is_watched: bool,
    /// What became of its files when they were last read.
    pub settled: Settled,
}

impl CertificateEntry {
    fn new(identity: &Identity, known: &Known) -> Self {
        let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec();
        let optional = |path: &Option<Arc<Path>>| path.as_deref().map(|path| bytes(path).into());
        let IdentityFiles {
            certificate,
            key,
            chain,
        } = &known.files;
        let leaf = identity.leaf();
        let parsed = Certificate::parse(&leaf).ok();
        Self {
            slot: known.slot,
            certificate: bytes(certificate),
            key: optional(key),
            chain: optional(chain),
            facts: parsed.as_ref().map(CertificateFacts::of),
            chain_len: identity.chain_len() as u32,
            is_key_remote: identity.is_remote(),
            is_watched: known.is_watched,
            settled: known.settled.clone(),
        }
    }

    /// The path of the certificate.
    pub fn source(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.certificate))
    }

    /// Whether the certificate is for `name`.
    pub fn covers(&self, name: &str) -> bool {
        let facts = self.facts.as_ref();
        facts.is_some_and(|facts| facts.names.iter().any(|own| matches_host(own, name)))
    }

    /// The path of the key.
    pub fn key_file(&self) -> &Path {
        let key = self.key.as_ref().map_or(self.certificate.as_slice(), |key| key);
        Path::new(OsStr::from_bytes(key))
    }

    /// The paths of all its files.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let others = self.key.iter().chain(&self.chain);
        let others = others.map(|path| Path::new(OsStr::from_bytes(path)));
        std::iter::once(self.source()).chain(others)
    }
}

impl StoreEntry {
    /// The patterns of files; none if the store is elsewhere.
    pub fn patterns(&self) -> Option<StorePatterns> {
        let Self::Files { certificate, key } = self else {
            return None;
        };
        Some(StorePatterns {
            certificate: Pattern::parse(certificate).ok()?,
            key: match key {
                Some(key) => Some(Pattern::parse(key).ok()?),
                None => None,
            },
        })
    }
}

impl fmt::Display for StoreEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files { certificate, key: None } => f.write_str(certificate),
            Self::Files {
                certificate,
                key: Some(key),
            } => write!(f, "{certificate} {key}"),
            Self::Elsewhere(place) => f.write_str(place),
        }
    }
}

impl Config {
    /// The catalogue as it is now.
    pub(crate) fn catalogue(&self) -> Catalogue {
        let known: HashMap<u32, Known> = self
            .process
            .identities
            .known()
            .map(|known| (known.slot, known))
            .collect();
        let mut certificates = HashMap::new();
        let sites = self.sites.iter().enumerate();
        let mut hosts = Vec::new();
        for (server, site) in sites.filter_map(|(server, site)| Some((server, site.as_ref()?))) {
            let mut slots = Vec::new();
            for identity in site.identities() {
                let slot = identity.slot();
                if let Some(known) = known.get(&slot) {
                    slots.push(slot);
                    certificates
                        .entry(slot)
                        .or_insert_with(|| CertificateEntry::new(&identity, known));
                }
            }
            let place = &self.places[server];
            hosts.push(HostEntry {
                server: server as u32,
                name: site.name.to_string(),
                file: place.file.to_string(),
                line: place.line,
                is_ssl: self.is_ssl(server),
                is_unavailable: site.unavailable,
                slots,
                store: self.store_of(site),
            });
        }
        let mut certificates: Vec<_> = certificates.into_values().collect();
        certificates.sort_unstable_by_key(|entry: &CertificateEntry| entry.slot);
        let chains = self.chains.iter().map(|(chain, index)| (*chain as u64, index));
        let is_used = |chain: u64| self.addresses.iter().any(|address| address.chain == chain);
        Catalogue {
            interface: INTERFACE.to_owned(),
            process: std::process::id(),
            is_watching: self.watching != Watching::Off && self.process.journal.is_some(),
            strict_sni: self.strict_sni,
            addresses: self.addresses.clone(),
            names: chains
                .filter(|(chain, _)| is_used(*chain))
                .map(|(chain, index)| (chain, index.clone()))
                .collect(),
            hosts,
            certificates,
        }
    }

    fn store_of(&self, site: &Site) -> Option<StoreEntry> {
        Some(match &self.stores.get(site.store()?)?.source {
            StoreSource::Files(patterns) => StoreEntry::Files {
                certificate: patterns.certificate.to_string(),
                key: patterns.key.as_ref().map(ToString::to_string),
            },
            // Without its password.
            StoreSource::Redis(address) => StoreEntry::Elsewhere(address.to_string()),
        })
    }

    /// The entry of an identity. None if no host presents it.
    pub(crate) fn catalogue_entry(&self, known: &Known) -> Option<CertificateEntry> {
        let mut sites = self.sites.iter().flatten();
        let site = sites.find(|site| site.presents(known.slot))?;
        let identity = site.identities().find(|identity| identity.slot() == known.slot)?;
        Some(CertificateEntry::new(&identity, known))
    }
}

impl Catalogue {
    /// Reads the file of a catalogue, as far as it is written.
    pub fn read(file: BorrowedFd<'_>) -> io::Result<Self> {
        let data = memory_file::read_all(file, MAX_CONTROL_FRAME as u64 * 2)?;
        let mut rest = data.as_slice();
        let Some(Record::Whole(mut catalogue)) = next_record(&mut rest)? else {
            return Err(BadFrame.into());
        };
        while let Some(record) = next_record(&mut rest)? {
            if let Record::Changed(entry) = record
                && let Ok(at) = catalogue.position(entry.slot)
            {
                catalogue.certificates[at] = entry;
            }
        }
        Ok(catalogue)
    }

    /// The certificate with this number.
    pub fn certificate(&self, slot: u32) -> Option<&CertificateEntry> {
        self.certificates.get(self.position(slot).ok()?)
    }

    fn position(&self, slot: u32) -> Result<usize, usize> {
        self.certificates.binary_search_by_key(&slot, |entry| entry.slot)
    }

    /// The host with this index.
    pub fn host(&self, server: usize) -> Option<&HostEntry> {
        let at = self.hosts.binary_search_by_key(&server, |host| host.server as usize);
        self.hosts.get(at.ok()?)
    }

    /// The names by which the hosts of an address are selected.
    pub fn names_at(&self, address: &HostAddress) -> Option<&NameIndex> {
        let names = self.names.iter().find(|(chain, _)| *chain == address.chain);
        names.map(|(_, index)| index)
    }

    /// The host that a client with this server name gets at an address.
    pub fn select(&self, address: &HostAddress, sni: Option<&str>) -> Result<Selection<'_>, UnknownName> {
        let first = address.first as usize;
        let selected = Address {
            first,
            is_ssl: self.host(first).is_some_and(|host| host.is_ssl),
            strict_sni: self.strict_sni,
        };
        selected.select(self.names_at(address), sni, |server| self.host(server).is_some())
    }
}

/// Takes the next complete record off `data`.
fn next_record(data: &mut &[u8]) -> io::Result<Option<Record>> {
    match protocol::frame_len(data, MAX_CONTROL_FRAME)? {
        Some(len) if len <= data.len() => {
            let (frame, rest) = data.split_at(len);
            *data = rest;
            Ok(Some(protocol::decode(frame)?))
        }
        _ => Ok(None),
    }
}
