// SPDX-License-Identifier: Apache-2.0
//! What `SetHandler tls-status` and `SetHandler tls-metrics` show: a page, JSON, and metrics for Prometheus.
//!
//! A `Report` is the content of all of them. Nothing in it is secret.
//!
//! May use: base, config, crypto, info, key_process, keys, process, revocation, settings, site, x509.

mod metrics;
mod page;
mod report;
mod revocation;
mod sites;
#[cfg(test)]
mod tests;

use crate::config::Config;
use crate::crypto::fill_random;
use crate::status::page::Page;
use crate::status::report::Report;
use crate::status::sites::View;
use crate::x509::hex;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum StatusKind {
    /// The page, or JSON with `format=json`.
    Status,
    /// Metrics.
    Metrics,
}

/// A request, and what httpd knows about itself.
#[derive(Clone, Debug, Default)]
pub struct StatusRequest<'a> {
    /// The query string of the URL.
    pub query: &'a str,
    /// The header `Accept`.
    pub accept: &'a str,
    /// The time in seconds since 1970.
    pub now: i64,
    /// When the configuration was read, in seconds since 1970.
    pub configured: i64,
    /// How often it was read again.
    pub generation: u64,
    /// The process numbers of the child processes.
    pub children: Vec<u32>,
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusResponse {
    /// The header `Content-Type`.
    pub content_type: &'static str,
    /// The header `Content-Security-Policy`.
    pub policy: String,
    /// The body.
    pub body: String,
}

/// The policy of responses that are not a page.
const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'";

impl StatusRequest<'_> {
    /// The value of a parameter.
    fn parameter(&self, name: &str) -> Option<String> {
        let mut parameters = form_urlencoded::parse(self.query.as_bytes());
        let found = parameters.find(|(known, _)| known == name);
        found.map(|(_, value)| value.into_owned())
    }
}

/// The response to a request.
pub fn respond(config: &Config, kind: StatusKind, request: &StatusRequest<'_>) -> StatusResponse {
    config.catch_up();
    match kind {
        StatusKind::Metrics => {
            let by_site = request.parameter("sites").as_deref() == Some("on");
            // Prometheus asks for this format before others.
            let is_open = request.accept.contains("application/openmetrics-text");
            let view = View::nothing();
            StatusResponse {
                content_type: match is_open {
                    true => "application/openmetrics-text; version=1.0.0; charset=utf-8",
                    false => "text/plain; version=0.0.4; charset=utf-8",
                },
                policy: NOTHING.to_owned(),
                body: metrics::render(config, &Report::new(config, request, &view), by_site, is_open),
            }
        }
        StatusKind::Status => {
            let view = View::new(request);
            let report = Report::new(config, request, &view);
            match request.parameter("format").as_deref() {
                Some("json") => StatusResponse {
                    content_type: "application/json",
                    policy: NOTHING.to_owned(),
                    body: report.json(),
                },
                _ => page(&report, &view),
            }
        }
    }
}

fn page(report: &Report, view: &View) -> StatusResponse {
    let mut nonce = [0; 16];
    // Without random numbers the page has no style and no script.
    let nonce = if fill_random(&mut nonce) {
        hex(&nonce)
    } else {
        String::new()
    };
    let own = match nonce.as_str() {
        "" => "'none'".to_owned(),
        nonce => format!("'nonce-{nonce}'"),
    };
    StatusResponse {
        content_type: "text/html; charset=utf-8",
        policy: format!(
            "default-src 'none'; style-src {own}; script-src {own}; connect-src 'self'; form-action 'self'; \
             base-uri 'none'; frame-ancestors 'none'"
        ),
        body: Page {
            report,
            view,
            nonce: &nonce,
        }
        .render(),
    }
}
