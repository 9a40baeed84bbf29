// SPDX-License-Identifier: Apache-2.0
//! `tls-certs list`: the certificates that a running server uses.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use mod_tls_core::base::clock::unix_now;
use mod_tls_core::base::wildcard::matches_alias;
use mod_tls_core::config::catalogue::{Catalogue, CertificateEntry, HostEntry};
use serde::Serialize;

use crate::Outcome;
use crate::command_line::{List, Order};
use crate::output::{CertificateJson, Output, Time};
use crate::server::Server;
use crate::targets::names_of_hosts;

/// The result.
#[derive(Debug, Serialize)]
struct Listed {
    server: String,
    process: u32,
    certificates: Vec<Row>,
    /// Hosts on TLS addresses that have no certificate: their requests are answered with 503.
    without_certificate: Vec<Place>,
    /// Hosts that look certificates up when clients ask for them.
    with_store: Vec<StoreJson>,
}

#[derive(Debug, Serialize)]
struct StoreJson {
    #[serde(flatten)]
    place: Place,
    store: String,
}

/// A host with one of its certificates.
#[derive(Debug, Serialize)]
struct Row {
    #[serde(flatten)]
    place: Place,
    certificate_file: PathBuf,
    key_file: PathBuf,
    /// The process that has the private key.
    key_in: &'static str,
    certificate: Option<CertificateJson>,
    used_since: Option<Time>,
    /// The last renewal, if it was refused.
    refused: Option<RefusedJson>,
}

/// Where a certificate is used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Place {
    host: String,
    host_names: BTreeSet<String>,
    configuration: String,
}

#[derive(Debug, Serialize)]
struct RefusedJson {
    at: Time,
    why: String,
}

pub(crate) fn run(options: &List, socket: Option<&Path>, output: Output) -> Result<Outcome, String> {
    let catalogue = Server::connect(socket)?.catalogue()?;
    let listed = select(&catalogue, options, unix_now());
    output.print(&listed)?;
    let is_problem = |row: &Row| {
        let is_late = |certificate: &CertificateJson| certificate.days_left < 0;
        row.refused.is_some() || options.expires_within.is_some() || row.certificate.as_ref().is_some_and(is_late)
    };
    Ok(match listed.certificates.iter().any(is_problem) {
        true => Outcome::Problem,
        false => Outcome::Fine,
    })
}

fn select(catalogue: &Catalogue, options: &List, now: i64) -> Listed {
    let mut names = names_of_hosts(catalogue);
    let mut rows = Vec::new();
    let mut without = Vec::new();
    let mut with_store = Vec::new();
    for host in &catalogue.hosts {
        let place = Place {
            host: host.name.clone(),
            host_names: names.remove(&host.server).unwrap_or_default(),
            configuration: place_of(host),
        };
        // Only connections to addresses without a virtual host reach the base server.
        if host.is_unavailable
            && host.server > 0
            && options.expires_within.is_none()
            && is_wanted(options, &place, None)
        {
            without.push(place.clone());
        }
        if let Some(store) = &host.store
            && options.expires_within.is_none()
            && is_wanted(options, &place, None)
        {
            with_store.push(StoreJson {
                place: place.clone(),
                store: store.to_string(),
            });
        }
        let entries = host.slots.iter().filter_map(|slot| catalogue.certificate(*slot));
        for entry in entries.filter(|entry| is_wanted(options, &place, Some(entry)) && expires(options, entry, now)) {
            rows.push(Row::new(place.clone(), entry, now));
        }
    }
    match options.sort {
        Order::Expiry => rows.sort_by(|one, other| one.expiry_key().cmp(&other.expiry_key())),
        Order::Name => rows.sort_by(|one, other| one.place.host.cmp(&other.place.host)),
        Order::File => rows.sort_by(|one, other| one.certificate_file.cmp(&other.certificate_file)),
    }
    without.sort();
    Listed {
        server: catalogue.interface.clone(),
        process: catalogue.process,
        certificates: rows,
        without_certificate: without,
        with_store,
    }
}

/// Where a host begins in the configuration.
pub(crate) fn place_of(host: &HostEntry) -> String {
    match host.server {
        0 => "base server".to_owned(),
        _ => format!("{}:{}", host.file, host.line),
    }
}

/// Whether the pattern selects the host, or its certificate.
fn is_wanted(options: &List, place: &Place, entry: Option<&CertificateEntry>) -> bool {
    let Some(pattern) = &options.pattern else { return true };
    let facts = entry.and_then(|entry| entry.facts.as_ref());
    let own = facts.into_iter().flat_map(|facts| &facts.names);
    let files = entry.into_iter().flat_map(CertificateEntry::paths);
    std::iter::once(&place.host)
        .chain(&place.host_names)
        .chain(own)
        .any(|name| matches_alias(pattern, name))
        || files
            .into_iter()
            .any(|file| matches_alias(pattern, &file.to_string_lossy()))
}

fn expires(options: &List, entry: &CertificateEntry, now: i64) -> bool {
    let Some(within) = options.expires_within else {
        return true;
    };
    let end = entry.facts.as_ref().map(|facts| facts.not_after);
    end.is_some_and(|end| end < now.saturating_add_unsigned(within.as_secs()))
}

impl Row {
    fn new(place: Place, entry: &CertificateEntry, now: i64) -> Self {
        let settled = &entry.settled;
        let refused = settled.refused.as_ref().map(|why| RefusedJson {
            at: Time(settled.since),
            why: why.clone(),
        });
        Self {
            place,
            certificate_file: entry.source().to_owned(),
            key_file: entry.key_file().to_owned(),
            key_in: if entry.is_key_remote { "tls-keyd" } else { "httpd" },
            certificate: entry.facts.as_ref().map(|facts| CertificateJson::new(facts, now)),
            used_since: refused.is_none().then_some(Time(settled.since)),
            refused,
        }
    }

    fn expiry_key(&self) -> (Option<Time>, &str) {
        let end = self.certificate.as_ref().map(|certificate| certificate.not_after);
        (end, &self.place.host)
    }

    /// The columns of the table.
    fn columns(&self) -> [String; 6] {
        let (expires, days, key) = match &self.certificate {
            Some(certificate) => (
                certificate.not_after.to_string(),
                certificate.days_left.to_string(),
                certificate.key.clone(),
            ),
            None => ("unknown".to_owned(), "-".to_owned(), "-".to_owned()),
        };
        [
            expires,
            days,
            key,
            shortened(&self.place),
            self.certificate_file.display().to_string(),
            self.place.configuration.clone(),
        ]
    }
}

/// The names that a line shows.
const SHOWN_NAMES: usize = 3;

/// The name of a host, and some others.
fn shortened(place: &Place) -> String {
    let others = place
        .host_names
        .iter()
        .filter(|name| !name.eq_ignore_ascii_case(&place.host));
    let count = others.clone().count();
    let shown = std::iter::once(&place.host).chain(others).take(SHOWN_NAMES);
    let mut text = shown.map(String::as_str).collect::<Vec<_>>().join(",");
    if count + 1 > SHOWN_NAMES {
        text += &format!(",+{}", count + 1 - SHOWN_NAMES);
    }
    text
}

const TITLES: [&str; 6] = ["EXPIRES", "DAYS", "KEY", "HOST", "CERTIFICATE", "CONFIGURATION"];

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<_> = self.certificates.iter().map(Row::columns).collect();
        let mut widths = TITLES.map(str::len);
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut line = |cells: [&str; 6]| -> fmt::Result {
            let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
            writeln!(f, "{}", padded.collect::<Vec<_>>().join("  ").trim_end())
        };
        line(TITLES)?;
        for row in &rows {
            line(row.each_ref().map(String::as_str))?;
        }
        for row in &self.certificates {
            if let Some(refused) = &row.refused {
                writeln!(
                    f,
                    "\n{}: the renewal of {} was refused at {}: {}",
                    row.place.host,
                    row.certificate_file.display(),
                    refused.at,
                    refused.why
                )?;
            }
        }
        for StoreJson { place, store } in &self.with_store {
            writeln!(
                f,
                "\n{} ({}): certificates for other names are looked up in {store}",
                place.host, place.configuration
            )?;
        }
        for place in &self.without_certificate {
            writeln!(
                f,
                "\n{} ({}): no certificate, requests are answered with 503",
                place.host, place.configuration
            )?;
        }
        Ok(())
    }
}
