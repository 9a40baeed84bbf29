// SPDX-License-Identifier: Apache-2.0
//! What a command is about: hosts by their names, certificates by their files.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use mod_tls_core::config::catalogue::{Catalogue, CertificateEntry, StoreEntry};
use mod_tls_core::config::vhosts::Reason;

use crate::stores::{self, Stored, is_covered};

/// The certificates that a command is about.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The numbers of those that the server has.
    pub(crate) slots: BTreeSet<u32>,
    /// Those that it looks up in stores.
    pub(crate) stored: Vec<Stored>,
}

/// The names by which clients reach each host.
pub(crate) fn names_of_hosts(catalogue: &Catalogue) -> HashMap<u32, BTreeSet<String>> {
    let mut names: HashMap<u32, BTreeSet<String>> = HashMap::new();
    for (name, server) in catalogue.names.iter().flat_map(|(_, index)| index.names()) {
        names.entry(server).or_default().insert(name.to_owned());
    }
    names
}

/// Finds the certificates that a command is about.
pub(crate) fn find(catalogue: &Catalogue, targets: &[String], now: i64) -> Result<Found, String> {
    let mut all = Found::default();
    for target in targets {
        // A path has a slash, which no name has.
        let is_path = target.contains('/');
        let found = match is_path {
            true => of_file(catalogue, Path::new(target), now),
            false => of_name(catalogue, target, now),
        };
        if found.slots.is_empty() && found.stored.is_empty() {
            return Err(match is_path {
                true => format!("{target}: the server uses no certificate from there"),
                false => match elsewhere(catalogue, target) {
                    Some(place) => format!("{target}: the certificate is in {place}, into which only the server looks"),
                    None => format!("{target}: the server has no host of this name with a certificate"),
                },
            });
        }
        all.slots.extend(found.slots);
        all.stored.extend(found.stored);
    }
    Ok(all)
}

/// The certificates of the hosts that have the name, and what stores have for it. The host that answers for unknown names counts only
/// if its store has something.
fn of_name(catalogue: &Catalogue, name: &str, now: i64) -> Found {
    let addresses = catalogue.addresses.iter();
    let selected = addresses.filter_map(|address| catalogue.select(address, Some(name)).ok());
    let selected: BTreeMap<usize, bool> = selected
        .map(|selection| (selection.server, selection.reason != Reason::Unknown))
        .collect();
    let mut found = Found::default();
    for (server, is_own) in selected {
        let Some(host) = catalogue.host(server) else { continue };
        // A store is asked for names that the host's own certificates do not cover.
        if host.store.is_some() && !is_covered(catalogue, host, name) {
            let stored = Stored::find(host, name, now);
            found.stored.extend(stored.filter(|stored| is_own || stored.is_there()));
        } else if is_own {
            found.slots.extend(&host.slots);
        }
    }
    found
}

/// The store of the host that has the name, if only the server can look into it.
fn elsewhere<'a>(catalogue: &'a Catalogue, name: &str) -> Option<&'a str> {
    let mut selected = catalogue
        .addresses
        .iter()
        .filter_map(|address| catalogue.select(address, Some(name)).ok());
    selected.find_map(|selection| match catalogue.host(selection.site)?.store.as_ref()? {
        StoreEntry::Elsewhere(place) => Some(place.as_str()),
        StoreEntry::Files { .. } => None,
    })
}

/// The certificates with this file, or with a file in this directory.
fn of_file(catalogue: &Catalogue, target: &Path, now: i64) -> Found {
    let named = std::path::absolute(target).unwrap_or_else(|_| target.to_owned());
    let resolved = resolve(&named);
    let is_meant = |entry: &&CertificateEntry| {
        entry
            .paths()
            .any(|path| path.starts_with(&named) || resolve(path).starts_with(&resolved))
    };
    let entries = catalogue.certificates.iter().filter(is_meant);
    Found {
        slots: entries.map(|entry| entry.slot).collect(),
        stored: stores::of_file(catalogue, &named, now),
    }
}

/// The path without symbolic links, as far as this user may know.
fn resolve(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}
