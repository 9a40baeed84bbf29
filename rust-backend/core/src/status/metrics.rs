// SPDX-License-Identifier: Apache-2.0
//! The report as metrics: OpenMetrics 1.0, or the text format of Prometheus for clients that do not ask for it. Names follow
//! the conventions of Prometheus. All label values come from the configuration or from fixed lists, never from clients.

mod revocation;

use std::fmt::{Display, Write};

use super::report::{Counts, Durations, Report};
use super::revocation::{FetchedStaple, State};
use super::sites::rows;
use crate::base::log_codes::TABLE;
use crate::config::Config;

/// The kind of a metric.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Metrics as text.
struct Text {
    text: String,
    is_open: bool,
}

/// The labels of a sample.
type Labels<'a> = &'a [(&'a str, &'a str)];

impl Text {
    /// Begins a metric, without the suffix of its samples.
    fn begin(&mut self, name: &str, kind: Kind, help: &str) {
        // In the text format of Prometheus, a counter is named as its samples are.
        let suffix = if kind == Kind::Counter && !self.is_open {
            "_total"
        } else {
            ""
        };
        // Writing to a string does not fail, here and below.
        let _ = writeln!(self.text, "# HELP mod_tls_{name}{suffix} {help}");
        let _ = writeln!(self.text, "# TYPE mod_tls_{name}{suffix} {}", kind.name());
    }

    fn sample(&mut self, name: &str, labels: Labels<'_>, value: impl Display) {
        let _ = write!(self.text, "mod_tls_{name}");
        for (at, (label, value)) in labels.iter().enumerate() {
            let before = if at == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{before}{label}=\"{}\"", escaped(value));
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.begin(name, Kind::Counter, help);
        self.sample(&format!("{name}_total"), &[], value);
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.begin(name, Kind::Gauge, help);
        self.sample(name, &[], value);
    }

    /// A counter for each value of a label.
    fn counters<'a>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        counts: impl IntoIterator<Item = &'a (&'a str, u64)>,
    ) {
        self.begin(name, Kind::Counter, help);
        for (value, count) in counts {
            self.sample(&format!("{name}_total"), &[(label, value)], count);
        }
    }

    /// A gauge for each value of a label.
    fn gauges(&mut self, name: &str, help: &str, label: &str, values: &[(&str, u64)]) {
        self.begin(name, Kind::Gauge, help);
        for (value, count) in values {
            self.sample(name, &[(label, value)], count);
        }
    }
}

/// The value of a label.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// The report as metrics; `by_site` adds those of single hosts, `is_open` selects OpenMetrics.
pub(super) fn render(config: &Config, report: &Report, by_site: bool, is_open: bool) -> String {
    let mut text = Text {
        text: String::new(),
        is_open,
    };
    let kind = Kind::Gauge;
    text.begin(
        "build_info",
        kind,
        "Versions of the module and its library; the value is 1.",
    );
    text.sample(
        "build_info",
        &[("version", report.version), ("library", report.library)],
        1,
    );
    handshakes(&mut text, report);
    failures(&mut text, report);
    state(&mut text, report);
    revocation::add(&mut text, report);
    certificates(&mut text, report);
    if by_site {
        sites(&mut text, config, report.time);
    }
    if is_open {
        text.text.push_str("# EOF\n");
    }
    text.text
}

fn handshakes(text: &mut Text, report: &Report) {
    let handshakes = &report.handshakes;
    text.counters(
        "handshakes",
        "Successful handshakes with clients.",
        "kind",
        &[("full", handshakes.full), ("resumed", handshakes.resumed)],
    );
    text.counter(
        "handshakes_failed",
        "Failed handshakes with clients.",
        handshakes.failed,
    );
    text.counter(
        "handshakes_early_data",
        "Handshakes that began with early data.",
        handshakes.early_data,
    );
    text.counter(
        "handshakes_post_quantum",
        "Handshakes with a post-quantum group.",
        handshakes.post_quantum,
    );
    text.counter(
        "handshakes_stale_staple",
        "Handshakes with a stapled OCSP response whose time is over.",
        handshakes.stale_staples,
    );
    let by: [(&str, &str, &str, &Counts); 5] = [
        (
            "handshake_versions",
            "Handshakes by protocol version.",
            "version",
            &handshakes.versions,
        ),
        (
            "handshake_cipher_suites",
            "Handshakes by cipher suite.",
            "cipher_suite",
            &handshakes.cipher_suites,
        ),
        (
            "handshake_groups",
            "Handshakes by key exchange group.",
            "group",
            &handshakes.groups,
        ),
        (
            "handshake_signature_schemes",
            "Full handshakes by scheme of the server's signature.",
            "scheme",
            &handshakes.signature_schemes,
        ),
        (
            "client_certificates",
            "Handshakes by what is known about the client's certificate.",
            "result",
            &handshakes.client_certificates,
        ),
    ];
    for (name, help, label, counts) in by {
        text.counters(name, help, label, counts);
    }
    histogram(text, &handshakes.durations);
    let needed = "handshakes_needing";
    text.begin(
        needed,
        Kind::Counter,
        "Handshakes that would have failed if this version, suite, group or kind of certificate were not allowed.",
    );
    for need in &report.what_if.since_start.without {
        let labels = [("kind", need.kind), ("name", need.name)];
        text.sample(&format!("{needed}_total"), &labels, need.refused);
    }
}

fn histogram(text: &mut Text, durations: &Durations) {
    let name = "handshake_duration_seconds";
    text.begin(
        name,
        Kind::Histogram,
        "Time from the first byte of a client until data can be transferred.",
    );
    let bucket = format!("{name}_bucket");
    let mut sum = 0;
    for limit in &durations.buckets {
        sum += limit.count;
        text.sample(&bucket, &[("le", &limit.at_most_seconds.to_string())], sum);
    }
    sum += durations.longer;
    text.sample(&bucket, &[("le", "+Inf")], sum);
    text.sample(&format!("{name}_sum"), &[], durations.sum_seconds);
    text.sample(&format!("{name}_count"), &[], sum);
}

fn failures(text: &mut Text, report: &Report) {
    let name = "failures";
    text.begin(
        name,
        Kind::Counter,
        "Failed connections by reason; the codes are those of the error log.",
    );
    for (reason, count) in &report.failures.reasons {
        let entry = TABLE.iter().find(|entry| entry.name == *reason);
        let code = entry.map(|entry| entry.code.to_string()).unwrap_or_default();
        text.sample(&format!("{name}_total"), &[("code", &code), ("reason", reason)], count);
    }
    let failures = &report.failures;
    let alerts = [
        ("alerts_sent", "Alerts sent to clients.", &failures.alerts_sent),
        (
            "alerts_received",
            "Alerts received from clients.",
            &failures.alerts_received,
        ),
    ];
    for (name, help, counts) in alerts {
        text.counters(name, help, "alert", counts);
    }
    let connections = &report.connections;
    let help = "Established connections of clients that ended with a TLS error.";
    text.counter("connections_failed", help, connections.failed);
    text.counter(
        "plain_http_requests",
        "Plain HTTP requests on a TLS port.",
        connections.plain_http,
    );
    let help = "Internal errors of the module. Each ended one connection, and none should occur.";
    text.counter("internal_errors", help, connections.internal_errors);
    let backends = &report.backends;
    let counts = [("success", backends.handshakes), ("failure", backends.failed)];
    text.counters("backend_handshakes", "Handshakes with backends.", "result", &counts);
}

fn state(text: &mut Text, report: &Report) {
    let help = "When the configuration was read, in seconds since 1970.";
    text.gauge("configured_timestamp_seconds", help, report.configured);
    text.gauge(
        "processes",
        "Child processes of httpd.",
        report.processes.children.len(),
    );
    let sessions = &report.sessions;
    let counts = [("success", sessions.stored), ("failure", sessions.not_stored)];
    text.counters(
        "session_cache_stores",
        "Sessions stored in the session cache.",
        "result",
        &counts,
    );
    let counts = [("hit", sessions.found), ("miss", sessions.not_found)];
    text.counters(
        "session_cache_lookups",
        "Sessions looked up in the session cache.",
        "result",
        &counts,
    );
    let store = &report.certificate_store;
    let counts = [
        ("cached", store.from_cache),
        ("loaded", store.loaded),
        ("not_found", store.not_found),
        ("failed", store.failed),
    ];
    let help = "Names that were looked up for TLSCertificateStore.";
    text.counters("certificate_store_lookups", help, "result", &counts);
    if let Some(age) = sessions.ticket_key_ages_seconds.iter().max() {
        text.gauge("ticket_key_age_seconds", "Age of the oldest current ticket key.", age);
    }
    let has_key_process = i32::from(report.keys.key_process.is_some());
    text.gauge(
        "key_process_up",
        "Whether tls-keyd answers; 0 also if there is none.",
        has_key_process,
    );
    if let Some(keys) = &report.keys.key_process {
        text.gauge("key_process_keys", "Private keys in tls-keyd.", keys.keys);
        text.counter("key_process_signatures", "Signatures of tls-keyd.", keys.signatures);
        text.counter(
            "key_process_refused",
            "Requests that tls-keyd has refused.",
            keys.refused,
        );
    }
}

fn certificates(text: &mut Text, report: &Report) {
    let sites = &report.sites;
    text.gauge("sites", "Virtual hosts that TLS connections can reach.", sites.total);
    let help = "Virtual hosts without a certificate; requests are answered with 503.";
    text.gauge("sites_without_certificate", help, sites.without_certificate);
    let name = "sites_expiring";
    text.begin(
        name,
        Kind::Gauge,
        "Virtual hosts with a certificate that expires within these days; 0: has expired.",
    );
    for one in &sites.expiring {
        text.sample(name, &[("within_days", &one.within_days.to_string())], one.sites);
    }
    if let Some(end) = sites.first_expiry {
        let help = "When the first certificate expires, in seconds since 1970.";
        text.gauge("first_certificate_not_after_timestamp_seconds", help, end);
    }
}

/// The metrics of single hosts. Hosts of the same name share their counts, and the first one stands for all of them.
fn sites(text: &mut Text, config: &Config, now: i64) {
    let mut rows: Vec<_> = rows(config).collect();
    rows.sort_by(|one, other| one.0.name.cmp(&other.0.name));
    rows.dedup_by(|one, other| one.0.name == other.0.name);
    let name = "site_handshakes";
    text.begin(name, Kind::Counter, "Successful handshakes of a virtual host.");
    for (site, _, counts, _) in &rows {
        for (kind, count) in [("full", counts.full), ("resumed", counts.resumed)] {
            text.sample(&format!("{name}_total"), &[("site", &site.name), ("kind", kind)], count);
        }
    }
    let name = "site_handshakes_failed";
    text.begin(name, Kind::Counter, "Failed handshakes of a virtual host.");
    for (site, _, counts, _) in &rows {
        text.sample(&format!("{name}_total"), &[("site", &site.name)], counts.failed);
    }
    let name = "site_certificate_not_after_timestamp_seconds";
    text.begin(
        name,
        Kind::Gauge,
        "When the first certificate of a virtual host expires.",
    );
    for (site, end, ..) in &rows {
        if let Some(end) = end {
            text.sample(name, &[("site", &site.name)], end);
        }
    }
    let name = "site_staple_next_update_timestamp_seconds";
    text.begin(
        name,
        Kind::Gauge,
        "When the first OCSP response of a virtual host is no longer valid.",
    );
    let mut usable = Vec::new();
    for (site, _, _, staple) in &rows {
        let fetched: Vec<_> = site
            .identities()
            .filter_map(|identity| FetchedStaple::new(config, site, &identity, now))
            .collect();
        let first = fetched.iter().filter_map(|staple| staple.usable_until).min();
        if let Some(next_update) = first.or_else(|| {
            staple
                .map(|(_, next_update)| next_update)
                .filter(|_| fetched.is_empty())
        }) {
            text.sample(name, &[("site", &site.name)], next_update);
        }
        if !fetched.is_empty() {
            usable.push((&site.name, fetched.iter().all(|staple| staple.state == State::Good)));
        }
    }
    let name = "site_staple_usable";
    let help = "Whether all certificates of a virtual host have an OCSP response that is fetched and can be stapled.";
    text.begin(name, Kind::Gauge, help);
    for (site, is_usable) in usable {
        text.sample(name, &[("site", site)], i32::from(is_usable));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut text = Text {
            text: String::new(),
            is_open: true,
        };
        text.sample("x", &[("file", "a\"b\\c\nd"), ("number", "0")], 7);
        assert_eq!(text.text, "mod_tls_x{file=\"a\\\"b\\\\c\\nd\",number=\"0\"} 7\n");
    }
}
