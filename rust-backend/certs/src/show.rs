// SPDX-License-Identifier: Apache-2.0
//! `tls-certs show`: what a client gets that asks for a name.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use mod_tls_core::base::clock::unix_now;
use mod_tls_core::config::catalogue::{Catalogue, CertificateEntry, HostAddress, HostEntry, StoreEntry};
use mod_tls_core::config::vhosts::Reason;
use serde::Serialize;

use crate::Outcome;
use crate::command_line::Show;
use crate::list::place_of;
use crate::output::{CertificateJson, Output, Time, expiry};
use crate::server::Server;
use crate::stores::{Stored, is_covered};

/// The result.
#[derive(Debug, Serialize)]
struct Shown {
    name: String,
    addresses: Vec<AtAddress>,
    #[serde(skip)]
    now: i64,
}

/// What a client gets at an address.
#[derive(Debug, Serialize)]
struct AtAddress {
    address: String,
    /// None if the handshake is refused.
    host: Option<String>,
    configuration: Option<String>,
    because: String,
    /// In the order of preference: the client's algorithms decide.
    certificates: Vec<Presented>,
    /// The host's store, if it is asked for the name.
    store: Option<String>,
    /// The certificate that the host's store has for the name, which is used unless there is a problem.
    stored: Option<Stored>,
}

#[derive(Debug, Serialize)]
struct Presented {
    certificate_file: PathBuf,
    key_file: PathBuf,
    certificate: Option<CertificateJson>,
    /// Whether a client that looks for the name accepts it.
    covers_name: bool,
    chain_length: u32,
    key_in: &'static str,
    used_since: Option<Time>,
    refused: Option<String>,
}

pub(crate) fn run(options: &Show, socket: Option<&Path>, output: Output) -> Result<Outcome, String> {
    let wanted = options.address.as_deref().map(parse_address).transpose()?;
    let catalogue = Server::connect(socket)?.catalogue()?;
    let addresses: Vec<&HostAddress> = match wanted {
        None => catalogue.addresses.iter().collect(),
        Some((ip, port)) => vec![find_address(&catalogue, ip, port).ok_or_else(|| {
            let text = options.address.as_deref().unwrap_or_default();
            format!(
                "{text}: the server has no TLS at this address; it has {}",
                all(&catalogue)
            )
        })?],
    };
    let shown = Shown {
        name: options.name.clone(),
        addresses: addresses
            .into_iter()
            .map(|address| AtAddress::new(&catalogue, address, &options.name))
            .collect(),
        now: unix_now(),
    };
    output.print(&shown)?;
    Ok(
        match shown.addresses.iter().all(|address| address.is_fine(shown.now)) && !shown.addresses.is_empty() {
            true => Outcome::Fine,
            false => Outcome::Problem,
        },
    )
}

/// `[IP:]PORT`, an IPv6 address in brackets.
fn parse_address(text: &str) -> Result<(Option<IpAddr>, u16), String> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok((Some(address.ip().to_canonical()), address.port()));
    }
    let port = text.strip_prefix("*:").unwrap_or(text);
    port.parse().map(|port| (None, port)).map_err(|_| {
        format!("--address takes [IP:]PORT such as 443, 192.0.2.1:443 or [2001:db8::1]:443, not \"{text}\"")
    })
}

/// The entry for connections to this address.
fn find_address(catalogue: &Catalogue, ip: Option<IpAddr>, port: u16) -> Option<&HostAddress> {
    let find = |ip| catalogue.addresses.iter().find(|one| one.port == port && one.ip == ip);
    find(ip).or_else(|| find(None))
}

fn text_of(address: &HostAddress) -> String {
    match address.ip {
        Some(ip) => SocketAddr::new(ip, address.port).to_string(),
        None => format!("*:{}", address.port),
    }
}

fn all(catalogue: &Catalogue) -> String {
    let texts: Vec<_> = catalogue.addresses.iter().map(text_of).collect();
    if texts.is_empty() {
        "none".to_owned()
    } else {
        texts.join(", ")
    }
}

impl AtAddress {
    fn new(catalogue: &Catalogue, address: &HostAddress, name: &str) -> Self {
        // Clients send no IP address as a server name (RFC 6066 section 3).
        let sni = name.parse::<IpAddr>().is_err().then_some(name);
        let Ok(selection) = catalogue.select(address, sni) else {
            return Self {
                address: text_of(address),
                host: None,
                configuration: None,
                because: "no host has the name, and unknown names are refused (alert unrecognized_name, TLSStrictSNI)"
                    .to_owned(),
                certificates: Vec::new(),
                store: None,
                stored: None,
            };
        };
        let host = catalogue.host(selection.server);
        let site = catalogue.host(selection.site);
        let mut because = because(selection.reason, host, name);
        if selection.site != selection.server {
            because += "; it has no TLS itself, so that the first host of the address serves the handshake";
        }
        let with_store = site.filter(|site| sni.is_some() && !is_covered(catalogue, site, name));
        let stored = with_store.and_then(|site| Stored::find(site, name, unix_now()));
        let store = with_store.and_then(|site| site.store.as_ref());
        if let Some(StoreEntry::Elsewhere(place)) = store {
            because += &format!("; the certificate is looked up in {place}, which only the server does");
        }
        if let Some(stored) = &stored {
            because += if stored.is_there() {
                "; its store has a certificate for the name"
            } else {
                "; its store has no certificate for the name"
            };
        }
        // If the store has one, those of the host are not used.
        let is_stored = stored.as_ref().is_some_and(|stored| stored.problem.is_none());
        let slots = site.filter(|_| !is_stored).map(|site| site.slots.as_slice());
        let slots = slots.unwrap_or_default();
        let entries = slots.iter().filter_map(|slot| catalogue.certificate(*slot));
        if slots.is_empty() && stored.is_some() && !is_stored {
            because += "; the host has no other one, so that the handshake is refused (alert unrecognized_name)";
        }
        if site.is_some_and(|site| site.is_unavailable) {
            because += "; it has no certificate, so that requests are answered with 503";
        }
        Self {
            address: text_of(address),
            host: host.or(site).map(|host| host.name.clone()),
            configuration: host.or(site).map(place_of),
            because,
            certificates: entries.map(|entry| Presented::new(entry, name)).collect(),
            store: store.map(ToString::to_string),
            stored,
        }
    }

    fn is_fine(&self, now: i64) -> bool {
        let is_good = |one: &Presented| {
            let is_valid =
                |certificate: &CertificateJson| certificate.not_after.0 >= now && certificate.not_before.0 <= now;
            one.covers_name && one.certificate.as_ref().is_some_and(is_valid)
        };
        match &self.stored {
            Some(stored) => stored.problem.is_none(),
            // It is not known what is there.
            None if self.store.is_some() => true,
            None => !self.certificates.is_empty() && self.certificates.iter().all(is_good),
        }
    }
}

fn because(reason: Reason<'_>, host: Option<&HostEntry>, name: &str) -> String {
    match reason {
        Reason::Name if host.is_some_and(|host| host.name.eq_ignore_ascii_case(name.trim_end_matches('.'))) => {
            "it is the ServerName of the host".to_owned()
        }
        Reason::Name => "it is a ServerAlias of the host".to_owned(),
        Reason::Pattern(pattern) => format!("it matches the ServerAlias {pattern} of the host"),
        Reason::NoName => {
            "clients send no server name for an IP address, and this is the first host of the address".to_owned()
        }
        Reason::Unknown => "no host has the name, and this is the first host of the address".to_owned(),
    }
}

impl Presented {
    fn new(entry: &CertificateEntry, name: &str) -> Self {
        let facts = entry.facts.as_ref();
        let settled = &entry.settled;
        Self {
            certificate_file: entry.source().to_owned(),
            key_file: entry.key_file().to_owned(),
            certificate: facts.map(|facts| CertificateJson::new(facts, unix_now())),
            covers_name: entry.covers(name),
            chain_length: entry.chain_len,
            key_in: if entry.is_key_remote { "tls-keyd" } else { "httpd" },
            used_since: settled.refused.is_none().then_some(Time(settled.since)),
            refused: settled.refused.clone(),
        }
    }
}

impl Shown {
    fn describe(&self, f: &mut fmt::Formatter<'_>, certificate: &CertificateJson, is_for_name: bool) -> fmt::Result {
        let mark = if is_for_name { "" } else { " (NOT FOR THIS NAME)" };
        writeln!(f, "    names       {}{mark}", certificate.names.join(", "))?;
        writeln!(f, "    kind        {}", certificate.key)?;
        writeln!(f, "    expires     {}", expiry(certificate.not_after.0, self.now))?;
        writeln!(f, "    issuer      {}", certificate.issuer)?;
        writeln!(f, "    serial      {}", certificate.serial)
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.addresses.is_empty() {
            writeln!(f, "{}: the server has no TLS at any address", self.name)?;
        }
        for at in &self.addresses {
            match (&at.host, &at.configuration) {
                (Some(host), Some(place)) => {
                    writeln!(f, "{} at {}: {host} ({place})", self.name, at.address)?;
                }
                _ => writeln!(f, "{} at {}: REFUSED", self.name, at.address)?,
            }
            writeln!(f, "  because       {}", at.because)?;
            if let Some(stored) = at.stored.as_ref().filter(|stored| stored.is_there()) {
                writeln!(f, "  store         {}", stored.certificate_file.display())?;
                writeln!(f, "    key         {}", stored.key_file.display())?;
                if let Some(certificate) = &stored.certificate {
                    self.describe(f, certificate, true)?;
                }
                if let Some(problem) = &stored.problem {
                    writeln!(f, "    NOT USED    {problem}")?;
                }
            }
            for one in &at.certificates {
                writeln!(f, "  certificate   {}", one.certificate_file.display())?;
                writeln!(f, "    key         {} (in {})", one.key_file.display(), one.key_in)?;
                if let Some(certificate) = &one.certificate {
                    self.describe(f, certificate, one.covers_name)?;
                }
                writeln!(f, "    chain       {} certificates", one.chain_length)?;
                if let Some(since) = one.used_since {
                    writeln!(f, "    used since  {since}")?;
                }
                if let Some(why) = &one.refused {
                    writeln!(f, "    renewal     REFUSED: {why}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(parse_address("443"), Ok((None, 443)));
        assert_eq!(parse_address("*:443"), Ok((None, 443)));
        assert_eq!(
            parse_address("192.0.2.1:1"),
            Ok((Some("192.0.2.1".parse().unwrap()), 1))
        );
        assert_eq!(parse_address("[::1]:2"), Ok((Some("::1".parse().unwrap()), 2)));
        assert!(parse_address("host:1").is_err() && parse_address("65536").is_err());
    }
}
