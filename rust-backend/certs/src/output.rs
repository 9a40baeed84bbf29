// SPDX-License-Identifier: Apache-2.0
//! Text for people, and JSON.

use std::fmt::Display;
use std::io::{self, Write};

use mod_tls_core::base::clock::rfc3339;
use mod_tls_core::x509::facts::CertificateFacts;
use serde::{Serialize, Serializer};

/// How results are printed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    is_json: bool,
}

impl Output {
    pub(crate) fn new(is_json: bool) -> Self {
        Self { is_json }
    }

    /// Prints the result of a command.
    pub(crate) fn print(self, result: &(impl Serialize + Display)) -> Result<(), String> {
        let text = match self.is_json {
            true => serde_json::to_string_pretty(result).map_err(|error| error.to_string())? + "\n",
            false => result.to_string(),
        };
        match io::stdout().write_all(text.as_bytes()) {
            // The reader of a pipe has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written.map_err(|error| error.to_string()),
        }
    }
}

/// A time, in seconds since 1970: in JSON and text as in RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time(pub(crate) i64);

impl Display for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&rfc3339(self.0.saturating_mul(1_000_000)))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The whole days from `now` to `end`; negative afterwards.
pub(crate) fn days_left(end: i64, now: i64) -> i64 {
    (end - now).div_euclid(86_400)
}

/// When a certificate expires, for people.
pub(crate) fn expiry(end: i64, now: i64) -> String {
    match days_left(end, now) {
        _ if end < now => format!("{} (EXPIRED)", Time(end)),
        1 => format!("{} (1 day)", Time(end)),
        days => format!("{} ({days} days)", Time(end)),
    }
}

/// A certificate in JSON.
#[derive(Debug, Serialize)]
pub(crate) struct CertificateJson {
    pub(crate) names: Vec<String>,
    pub(crate) key: String,
    pub(crate) issuer: String,
    pub(crate) serial: String,
    pub(crate) sha256: String,
    pub(crate) not_before: Time,
    pub(crate) not_after: Time,
    pub(crate) days_left: i64,
}

impl CertificateJson {
    pub(crate) fn new(facts: &CertificateFacts, now: i64) -> Self {
        let facts = facts.clone();
        Self {
            names: facts.names,
            key: facts.key,
            issuer: facts.issuer,
            serial: facts.serial,
            sha256: facts.sha256,
            not_before: Time(facts.not_before),
            not_after: Time(facts.not_after),
            days_left: days_left(facts.not_after, now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_for_people() {
        assert_eq!(expiry(86_400 * 3, 1), "1970-01-04T00:00:00Z (2 days)");
        assert_eq!(expiry(86_400 * 2, 1), "1970-01-03T00:00:00Z (1 day)");
        assert_eq!(expiry(5, 6), "1970-01-01T00:00:05Z (EXPIRED)");
        assert_eq!(days_left(5, 6), -1);
        assert_eq!(format!("{:22}|", Time(0)), "1970-01-01T00:00:00Z  |");
    }
}
