// SPDX-License-Identifier: Apache-2.0
//! `httpd -t -D DUMP_TLS`: a readable description of the configuration.

use std::fmt::Write;

use mod_tls_directives::own::label;
use rustls::NamedGroup;

use crate::config::Config;
use crate::config::on_demand::CertificateStore;
use crate::crypto::LIBRARY;
use crate::crypto::groups;
use crate::crypto::{IS_FIPS_BUILD, is_aes_of_ring};
use crate::info::connection_info::INTERFACE;
use crate::keys::identity::Identity;
use crate::session::resumption::SessionSpec;
use crate::settings::backend::{BackendCheck, NameCheck, ProxySettings};
use crate::settings::{EngineAddress, SessionCache};
use crate::site::Site;
use crate::trust::client::verifier::ClientAuth;
use crate::x509::{Certificate, Context};

impl Config {
    /// The certificate files, in the format of mod_ssl.
    pub fn dump_certificates(&self) -> String {
        let mut text = "Server certificates:\n".to_owned();
        for file in &self.certificate_files {
            let _ = writeln!(text, "  {}", file.display());
        }
        text
    }

    /// Describes a configuration that was compiled with [`CompileMode::Test`](super::CompileMode::Test). `now` is the
    /// time in seconds since 1970.
    pub fn dump(&self, now: i64) -> String {
        let mut text = format!("{INTERFACE}, {LIBRARY}\n");
        if is_aes_of_ring() {
            // Writing to a string does not fail, here and below.
            let _ = writeln!(text, "AES-GCM: ring's, which is faster on this CPU");
        }
        if IS_FIPS_BUILD {
            let asserted = if self.fips {
                "asserted (TLSFIPS on)"
            } else {
                "not asserted (TLSFIPS off)"
            };
            let _ = writeln!(text, "{}: {asserted}", const { label("TLSFIPS") });
        }
        let _ = writeln!(text, "{}: {}", const { label("TLSKeyProcess") }, self.key_place);
        let _ = writeln!(text, "{}: {}", const { label("TLSWatch") }, self.watching);
        let control = self.control.as_ref().map(ToString::to_string);
        let control = control.unwrap_or_else(|| "off".to_owned());
        let _ = writeln!(text, "{}: {control}", const { label("TLSControl") });
        let mut engines: Vec<String> = self.engines.iter().map(engine).collect();
        let hosts = self.ssl_servers.iter().filter(|is_on| **is_on).count();
        if hosts > 0 {
            engines.push(format!("those of {hosts} hosts with SSLEngine on"));
        }
        if engines.is_empty() {
            engines.push("none (TLSEngine)".to_owned());
        }
        let engines = engines.join(", ");
        let _ = writeln!(text, "{}: {engines}", const { label("TLSEngine") });
        let _ = writeln!(
            text,
            "{}: {}",
            const { label("TLSStrictSNI") },
            match self.strict_sni {
                Some(true) => "refused",
                Some(false) => "default host",
                None if self.engines.is_empty() => "default host",
                None => "refused",
            }
        );
        let cache = cache(&self.session_cache);
        let _ = writeln!(text, "{}: {cache}", const { label("TLSSessionCache") });
        for (index, alpn) in self.described.iter().enumerate() {
            let place = match index {
                0 => "Base server".to_owned(),
                _ => format!("Virtual host at {}", self.places[index]),
            };
            let site = self.site(index);
            let backends = self.backends_of(index);
            if site.is_some() || !backends.is_empty() {
                let _ = writeln!(text, "\n{place}");
            }
            if let Some(site) = site {
                site.describe(&self.stores, &mut text, alpn, now);
            }
            backends
                .iter()
                .for_each(|settings| describe_backends(settings, &mut text));
        }
        text
    }

    /// The settings for backends of a server, and of each of its sections with such settings.
    fn backends_of(&self, index: usize) -> Vec<ProxySettings> {
        self.proxy_chains
            .iter()
            .filter(|(server, _)| *server == index)
            .map(|(_, chain)| self.proxies.settings(chain))
            .filter(ProxySettings::is_on)
            .collect()
    }
}

/// The lines about a virtual host or about backends. Where a directive decides about a value, the label is in its row.
struct Lines<'a>(&'a mut String);

impl Lines<'_> {
    fn add(&mut self, label: &str, value: &str) {
        let _ = writeln!(self.0, "    {label:<22}{value}");
    }

    /// A line about what the line before it names.
    fn add_detail(&mut self, label: &str, value: &str) {
        self.add(&format!("  {label}"), value);
    }
}

fn engine(address: &EngineAddress) -> String {
    match address.ip {
        Some(ip) => std::net::SocketAddr::new(ip, address.port).to_string(),
        None => format!("*:{}", address.port),
    }
}

fn cache(cache: &SessionCache) -> String {
    match cache {
        SessionCache::None => "none".to_owned(),
        SessionCache::Default => "default".to_owned(),
        SessionCache::Provider(name, args) => format!("{name}:{args}"),
    }
}

fn tickets(spec: &SessionSpec) -> String {
    let SessionSpec { count, lifetime, .. } = spec;
    match spec.tickets {
        true => format!("on, {count} after a handshake, good for {lifetime} seconds"),
        false => format!("off, sessions are in the cache for {lifetime} seconds"),
    }
}

impl Site {
    fn describe(&self, stores: &[CertificateStore], text: &mut String, alpn: &str, now: i64) {
        let spec = self.profile().spec();
        let mut lines = Lines(text);
        lines.add("Server name", &self.name);
        for identity in self.identities() {
            lines.add(const { label("TLSCertificate") }, &identity.name().to_string());
            for (label, value) in details(&identity, now) {
                lines.add_detail(label, &value);
            }
        }
        if let Some(store) = self.store().and_then(|number| stores.get(number)) {
            lines.add(const { label("TLSCertificateStore") }, &store.source.to_string());
        }
        if self.stapling().is_some() {
            lines.add(const { label("TLSStapling") }, "on");
        }
        if self.unavailable {
            lines.add("Requests", "answered with 503: there is no certificate");
        }
        lines.add(const { label("TLSProtocol") }, &spec.protocols.to_string());
        let suites: Vec<String> = self
            .profile()
            .suites()
            .iter()
            .filter_map(|suite| suite.suite().as_str().map(|name| name.replace("TLS13_", "TLS_")))
            .collect();
        lines.add(
            const { label("TLSCiphersPrefer") },
            &suites.join("\n                          "),
        );
        let groups = spec
            .groups
            .iter()
            .filter_map(|group| groups::name_of(NamedGroup::from(*group)));
        lines.add(
            const { label("TLSGroupsPrefer") },
            &groups.collect::<Vec<_>>().join(" "),
        );
        let compression = if spec.compression { "on" } else { "off" };
        lines.add(const { label("TLSCertificateCompression") }, compression);
        let order = match spec.honor_client_order {
            true => "the client's",
            false => "ours",
        };
        lines.add(const { label("TLSHonorClientOrder") }, order);
        lines.add("ALPN", alpn);
        lines.add(const { label("TLSSessionTickets") }, &tickets(&spec.sessions));
        let early_data = match spec.sessions.early_data {
            0 => "off".to_owned(),
            size => format!("up to {size} bytes"),
        };
        lines.add(const { label("TLSEarlyData") }, &early_data);
        match self.profile().client_auth() {
            None => lines.add(const { label("TLSClientCertificate") }, "none"),
            Some(auth) => describe_clients(auth, now, &mut lines),
        }
    }
}

fn describe_backends(settings: &ProxySettings, text: &mut String) {
    let mut lines = Lines(text);
    let place = settings.place.as_ref().map(|origin| format!("as said at {origin}"));
    lines.add(const { label("TLSProxyEngine") }, &place.unwrap_or_default());
    let source = settings.ca_source();
    let mut cas: Vec<String> = source
        .paths
        .iter()
        .map(|place| place.path.display().to_string())
        .collect();
    if source.system {
        cas.push("the platform's trust store".to_owned());
    }
    let name = match settings.name_check() {
        NameCheck::None => "whatever the name",
        NameCheck::AlternativeNames | NameCheck::AnyName => "and by name",
        NameCheck::CommonName => "and by common name",
    };
    let verification = match settings.check() {
        BackendCheck::None if settings.name_check() == NameCheck::None => "NONE".to_owned(),
        BackendCheck::None => format!("NONE by any CA, {name}"),
        BackendCheck::AnyCa => format!("by any CA, {name}"),
        BackendCheck::Required => format!("by {}, {name}", cas.join(", ")),
    };
    lines.add_detail(const { label("TLSProxyVerify") }, &verification);
    for said in settings.crl_files() {
        lines.add_detail(const { label("TLSProxyCRL") }, &said.value.display().to_string());
    }
    if let Some(check) = settings.fetched_lists() {
        lines.add_detail(const { label("TLSProxyRevocation") }, &check.to_string());
    }
    let protocols = settings.protocols.as_ref().map(|said| said.value).unwrap_or_default();
    lines.add_detail(const { label("TLSProxyProtocol") }, &protocols.to_string());
    for said in &settings.identities {
        lines.add_detail(
            const { label("TLSProxyMachineCertificate") },
            &said.value.certificate.display().to_string(),
        );
    }
}

fn describe_clients(auth: &ClientAuth, now: i64, lines: &mut Lines<'_>) {
    lines.add(const { label("TLSClientCertificate") }, auth.spec.mode.name());
    lines.add_detail(const { label("TLSClientVerifyDepth") }, &auth.spec.depth.to_string());
    let anchors = auth.policy.cas.current();
    for anchor in anchors.list() {
        let subject = Certificate::parse(&anchor.der).map_or_else(|why| why.to_string(), |ca| ca.subject());
        let state = match anchor.validity.1 < now {
            true => " (EXPIRED)",
            false => "",
        };
        lines.add_detail(
            const { label("TLSClientCA") },
            &format!("{subject}, {}{state}", anchor.file.display()),
        );
    }
    for refused in anchors.refused() {
        lines.add_detail("Refused CA", refused);
    }
    lines.add_detail(const { label("TLSClientCANames") }, &auth.names().len().to_string());
    let list = const { label("TLSClientCRL") };
    if auth.policy.lists.is_none() {
        lines.add_detail(&format!("{list}s"), "none");
    }
    let described = auth.policy.lists.iter().flat_map(|lists| lists.describe(now));
    for (file, entries, _, next_update) in described {
        let state = match next_update < now {
            true => "EXPIRED",
            false => "current",
        };
        lines.add_detail(list, &format!("{}, {entries} entries, {state}", file.display()));
    }
    if auth.policy.fetched.is_some() {
        lines.add_detail(const { label("TLSClientRevocation") }, &auth.spec.fetch.to_string());
    }
    if let Some(ocsp) = &auth.spec.ocsp {
        lines.add_detail(const { label("TLSClientOCSP") }, &ocsp.check.to_string());
    }
}

fn details(identity: &Identity, now: i64) -> Vec<(&'static str, String)> {
    let leaf = identity.leaf();
    let Ok(certificate) = Certificate::parse(&leaf) else {
        return Vec::new();
    };
    let context = Context::at(now);
    let variable = |name| certificate.variable(name, &context).unwrap_or_default();
    let validity = match certificate.not_after() {
        end if end < now => format!("{} (EXPIRED)", variable("V_END")),
        _ => format!("{} ({} days)", variable("V_END"), variable("V_REMAIN")),
    };
    vec![
        ("Names", certificate.names().join(", ")),
        ("Key", certificate.key_type()),
        ("Issuer", variable("I_DN")),
        ("Expires", validity),
        ("Chain length", identity.chain_len().to_string()),
    ]
}
