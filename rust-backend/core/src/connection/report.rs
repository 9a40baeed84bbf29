// SPDX-License-Identifier: Apache-2.0
//! What is logged about a connection that has failed.

use std::fmt::Write;

use super::Connection;
use super::failure::Failure;
use crate::base::directive_names::worded;
use crate::base::log_codes::Code;

/// What httpd knows about a connection that has failed.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// The name of the virtual host, or of the backend.
    pub host: &'a str,
    /// The address of the peer.
    pub address: &'a str,
    /// Whether the peer is a backend.
    pub is_backend: bool,
    /// Whether the handshake was complete.
    pub is_established: bool,
}

impl Connection {
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

    use rustls::AlertDescription;

    use super::*;
    use crate::base::diagnostics::Origin;
    use crate::config::{Builder, Environment, Server};
    use crate::connection::failure::LastAlert;
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

    #[test]
    fn lines() {
        let mut when = Circumstances {
            host: "a.test",
            address: "192.0.2.1",
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
        when.is_backend = true;
        when.is_established = true;
        let failure = Failure::ours(Code::BackendClosed, "gone");
        assert_eq!(
            connection().line_about(&failure, &when),
            "connection with backend a.test (192.0.2.1) failed: gone [TLS2003]"
        );
    }
}
