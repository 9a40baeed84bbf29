// SPDX-License-Identifier: Apache-2.0
//! What a command is about: hosts by their names, certificates by their files.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use mod_tls_core::config::catalogue::{Catalogue, CertificateEntry, HostEntry};

/// The names by which clients reach each host.
pub(crate) fn names_of_hosts(catalogue: &Catalogue) -> HashMap<u32, BTreeSet<String>> {
    let mut names: HashMap<u32, BTreeSet<String>> = HashMap::new();
    for (name, server) in catalogue.names.iter().flat_map(|(_, index)| index.names()) {
        names.entry(server).or_default().insert(name.to_owned());
    }
    names
}

/// The certificates that a command is about.
pub(crate) fn find(catalogue: &Catalogue, targets: &[String]) -> Result<Vec<u32>, String> {
    let mut slots = BTreeSet::new();
    for target in targets {
        let found = match is_path(target) {
            true => of_file(catalogue, Path::new(target)),
            false => of_name(catalogue, target),
        };
        if found.is_empty() {
            return Err(match is_path(target) {
                true => format!("{target}: the server uses no certificate from there"),
                false => format!("{target}: the server has no host of this name with a certificate"),
            });
        }
        slots.extend(found);
    }
    Ok(slots.into_iter().collect())
}

/// A path has a slash, which no name has.
fn is_path(target: &str) -> bool {
    target.contains('/')
}

/// The certificates of the hosts that have the name, or that a client gets that asks for it.
fn of_name(catalogue: &Catalogue, name: &str) -> Vec<u32> {
    let addresses = catalogue.addresses.iter();
    let selected = addresses.filter_map(|address| {
        let index = catalogue.names_at(address)?;
        index.find(name)
    });
    let servers: BTreeSet<u32> = selected.collect();
    let hosts = servers.into_iter().filter_map(|server| catalogue.host(server as usize));
    hosts.flat_map(|host: &HostEntry| host.slots.iter().copied()).collect()
}

/// The certificates with this file, or with a file in this directory.
fn of_file(catalogue: &Catalogue, target: &Path) -> Vec<u32> {
    let named = std::path::absolute(target).unwrap_or_else(|_| target.to_owned());
    let resolved = resolve(&named);
    let is_meant = |entry: &&CertificateEntry| {
        entry
            .paths()
            .any(|path| path.starts_with(&named) || resolve(path).starts_with(&resolved))
    };
    catalogue
        .certificates
        .iter()
        .filter(is_meant)
        .map(|entry| entry.slot)
        .collect()
}

/// The path without symbolic links, as far as this user may know.
fn resolve(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}
