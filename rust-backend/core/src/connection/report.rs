// SPDX-License-Identifier: Apache-2.0
//! What is logged about a connection that has failed: a line of the error log, and one of `TLSLogFailures`, which is JSON.
//!
//! `docs/monitoring.md` describes the JSON. Members may be added to it; none changes its meaning.

use std::fmt::Write;

use rustls::AlertDescription;
use serde::Serialize;

use super::Connection;
use super::failure::{Failure, LastAlert};
use crate::base::clock::rfc3339;
use crate::base::directive_names::worded;
use crate::base::log_codes::Code;
use crate::info::ja4::ja4;

/// Lines have to be shorter than what a pipe takes at once, or those of several processes would be mixed.
const MAX_TEXT: usize = 400;

/// What httpd knows about a connection that has failed.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// The name of the virtual host, or of the backend.
    pub host: &'a str,
    /// The address of the peer.
    pub address: &'a str,
    /// The port of the peer.
    pub port: u16,
    /// The time in microseconds since 1970.
    pub now: i64,
    /// Whether the peer is a backend.
    pub is_backend: bool,
    /// Whether the handshake was complete.
    pub is_established: bool,
}

/// A line of `TLSLogFailures` about a failure.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    code: String,
    reason: &'a str,
    message: &'a str,
    peer: &'a str,
    stage: &'a str,
    address: &'a str,
    port: u16,
    host: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alert: Option<AlertLine<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offer: Option<OfferLine>,
    duration_ms: u64,
}

#[derive(Serialize)]
struct AlertLine<'a> {
    by: &'a str,
    number: u8,
    name: String,
}

#[derive(Serialize)]
struct OfferLine {
    versions: Vec<String>,
    groups: Vec<String>,
    ja4: String,
    ech: bool,
    grease: bool,
}

/// The line of `TLSLogFailures` about failures that were left out.
#[derive(Serialize)]
struct LeftOutLine<'a> {
    time: String,
    code: String,
    reason: &'a str,
    of: String,
    count: u64,
}

/// As much of `text` as a line can have.
fn beginning(text: &str) -> &str {
    let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
    let end = ends.take_while(|end| *end <= MAX_TEXT).last().unwrap_or(0);
    &text[..end]
}

fn json(line: &impl Serialize) -> String {
    // There are no maps whose keys are not text.
    serde_json::to_string(line).unwrap_or_default() + "\n"
}

/// The lines of the error log and of `TLSLogFailures` about `count` failures with a code that were not logged. `now` is the
/// time in microseconds since 1970.
pub fn lines_about_left_out(code: Code, count: u64, now: i64) -> (String, String) {
    let own = Code::Suppressed;
    let text = format!(
        "{count} more failures with the code {code} ({}) were not logged one by one [{own}]",
        code.name()
    );
    let line = LeftOutLine {
        time: rfc3339(now),
        code: own.to_string(),
        reason: own.name(),
        of: code.to_string(),
        count,
    };
    (text, json(&line))
}

impl AlertLine<'_> {
    fn of(alert: LastAlert) -> Self {
        let (by, alert): (_, AlertDescription) = match alert {
            LastAlert::Sent(alert) => ("server", alert),
            LastAlert::Received(alert) => ("peer", alert),
        };
        Self {
            by,
            number: alert.into(),
            name: format!("{alert:?}"),
        }
    }
}

impl Connection {
    /// The line of `TLSLogFailures` about `failure`, with the line end.
    pub fn json_about(&self, failure: &Failure, when: &Circumstances<'_>) -> String {
        let why = worded(&failure.text);
        let offer = self.offer().map(|offer| OfferLine {
            versions: offer.version_names(),
            groups: offer.group_names(),
            ja4: ja4(offer),
            ech: offer.has_ech(),
            grease: offer.has_grease(),
        });
        json(&Line {
            time: rfc3339(when.now),
            code: failure.code.to_string(),
            reason: failure.code.name(),
            message: beginning(&why),
            peer: if when.is_backend { "backend" } else { "client" },
            stage: if when.is_established { "connection" } else { "handshake" },
            address: when.address,
            port: when.port,
            host: when.host,
            server_name: self.hello.sni.as_deref(),
            alert: failure.alert.map(AlertLine::of),
            offer,
            duration_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
        })
    }

    /// The line of the error log about `failure`, without the peer's address, which httpd adds.
    pub fn line_about(&self, failure: &Failure, when: &Circumstances<'_>) -> String {
        let what = if when.is_established { "connection" } else { "handshake" };
        let why = worded(&failure.text);
        let code = failure.code;
        let mut line = match code {
            Code::PlainHttp => return format!("{why} [{code}]"),
            Code::InternalError => format!("{what} ended by an internal error, please report it: {why}"),
            _ if when.is_backend => format!("{what} with backend {} ({}) failed: {why}", when.host, when.address),
            _ => format!("{what} failed: {why}"),
        };
        let details = self.details(failure, when);
        if !details.is_empty() {
            // Writing to a string does not fail.
            let _ = write!(line, " ({})", details.join(", "));
        }
        let _ = write!(line, " [{code}]");
        line
    }

    fn details(&self, failure: &Failure, when: &Circumstances<'_>) -> Vec<String> {
        let mut details = Vec::new();
        if !when.is_backend {
            let name = self.hello.sni.as_deref().unwrap_or_default();
            details.push(format!("server name \"{name}\""));
            details.push(format!("virtual host {}", when.host));
            details.extend(self.offer().map(|offer| format!("offered {}", offer.brief())));
        }
        details.extend(failure.alert.map(|alert| alert.to_string()));
        details
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::diagnostics::Origin;
    use crate::config::{Builder, Environment, Server};
    use crate::connection::failure::LastAlert;
    use crate::info::offer::{Offer, OfferParts};
    use crate::process::Process;

    fn connection() -> Connection {
        let mut builder = Builder::new(Arc::new(Process::default()), Environment::new("/"));
        let origin = Origin {
            file: "httpd.conf".into(),
            line: 1,
        };
        builder.add_server(Server::new("a.test", origin));
        Connection::new(builder.compile().0.unwrap())
    }

    /// However long the reason and the offer are, a line fits into a pipe.
    #[test]
    fn lines_are_short() {
        let mut connection = connection();
        let groups: Vec<u8> = (0..400u16).flat_map(u16::to_be_bytes).collect();
        let parts = OfferParts {
            groups: &groups,
            versions: &groups,
            ..OfferParts::default()
        };
        connection.hello.offer = Offer::new(&parts);
        connection.hello.sni = Some("x".repeat(253).into());
        let failure = Failure::theirs(Code::ClientOther, "\u{e9}\n".repeat(2000));
        let when = Circumstances {
            host: &"y".repeat(253),
            address: "2001:db8:1111:2222:3333:4444:5555:6666",
            port: 50_000,
            now: 0,
            is_backend: false,
            is_established: false,
        };
        let line = connection.json_about(&failure, &when);
        assert!(line.len() < 4096 && line.ends_with("}\n"), "{}", line.len());
        let (text, json) = lines_about_left_out(Code::NotTls, 7, 0);
        assert!(
            text.starts_with("7 more failures with the code TLS1001 (not_tls)"),
            "{text}"
        );
        assert!(json.ends_with("\"of\":\"TLS1001\",\"count\":7}\n"), "{json}");
    }

    #[test]
    fn lines() {
        let mut when = Circumstances {
            host: "a.test",
            address: "192.0.2.1",
            port: 50_000,
            now: 1_000_000_000_000_000,
            is_backend: false,
            is_established: false,
        };
        let failure = Failure {
            alert: Some(LastAlert::Sent(AlertDescription::DecodeError)),
            ..Failure::theirs(Code::Malformed, "no sense")
        };
        assert_eq!(
            connection().line_about(&failure, &when),
            "handshake failed: no sense (server name \"\", virtual host a.test, sent alert DecodeError) [TLS1003]"
        );
        let internal = Failure::ours(Code::InternalError, "panicked");
        let line = connection().line_about(&internal, &when);
        assert!(
            line.starts_with("handshake ended by an internal error, please report it: panicked ("),
            "{line}"
        );
        let text = connection().json_about(&failure, &when);
        assert!(
            text.starts_with(
                "{\"time\":\"2001-09-09T01:46:40Z\",\"code\":\"TLS1003\",\"reason\":\"malformed_message\",\"message\":\"no sense\",\
                 \"peer\":\"client\",\"stage\":\"handshake\",\"address\":\"192.0.2.1\",\"port\":50000,\"host\":\"a.test\",\
                 \"alert\":{\"by\":\"server\",\"number\":50,\"name\":\"DecodeError\"},\"duration_ms\":"
            ),
            "{text}"
        );
        when.is_backend = true;
        when.is_established = true;
        let failure = Failure::ours(Code::BackendClosed, "gone");
        assert_eq!(
            connection().line_about(&failure, &when),
            "connection with backend a.test (192.0.2.1) failed: gone [TLS2003]"
        );
    }
}
