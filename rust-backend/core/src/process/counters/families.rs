// SPDX-License-Identifier: Apache-2.0
//! Properties by which events are counted. Each has a fixed set of values, so that the number of counters does not depend on
//! what clients send.

use rustls::{NamedGroup, SignatureScheme};

use super::COUNTERS;
use crate::base::log_codes::TABLE;
use crate::crypto::{ciphers, groups, schemes};

/// The number of a property that a handshake does not have.
pub const NONE: u16 = u16::MAX;

/// A property. Its cells are those of its values, and one for all other values.
#[derive(Debug)]
pub struct Family {
    first: usize,
    values: &'static [u16],
    name_of: fn(u16) -> Option<&'static str>,
}

impl Family {
    const fn new(first: usize, values: &'static [u16], name_of: fn(u16) -> Option<&'static str>) -> Self {
        Self { first, values, name_of }
    }

    /// The number of cells.
    pub(super) const fn len(&self) -> usize {
        self.values.len() + 1
    }

    const fn end(&self) -> usize {
        self.first + self.len()
    }

    /// The place of a value among the cells of the family.
    pub(super) fn position(&self, value: u16) -> usize {
        let at = self.values.iter().position(|known| *known == value);
        at.unwrap_or(self.values.len())
    }

    /// The cell of a value in a slot.
    pub(super) fn cell(&self, value: u16) -> usize {
        self.first + self.position(value)
    }

    /// The cells of all values.
    pub(super) fn cells(&self) -> std::ops::Range<usize> {
        self.first..self.end()
    }

    /// The names of all values, in the order of the cells.
    pub fn names(&'static self) -> impl Iterator<Item = &'static str> {
        let names = self.values.iter().map(|value| match *value {
            NONE => "none",
            value => (self.name_of)(value).unwrap_or("other"),
        });
        names.chain(std::iter::once("other"))
    }
}

/// Protocol versions.
pub const VERSIONS: Family = Family::new(COUNTERS.len(), &[0x0304, 0x0303], |value| match value {
    0x0304 => Some("TLSv1.3"),
    0x0303 => Some("TLSv1.2"),
    _ => None,
});

/// Cipher suites: those of rustls.
pub const SUITES: Family = Family::new(
    VERSIONS.end(),
    &[0x1302, 0x1301, 0x1303, 0xc02c, 0xc02b, 0xcca9, 0xc030, 0xc02f, 0xcca8],
    |value| ciphers::by_id(value).map(ciphers::Cipher::name_iana),
);

/// Key exchange groups: those of rustls. [`NONE`] is a resumption without key exchange.
pub const GROUPS: Family = Family::new(
    SUITES.end(),
    &[4588, 4587, 4589, 513, 514, 29, 23, 24, 25, NONE],
    |value| groups::name_of(NamedGroup::from(value)),
);

/// Schemes of the server's signatures.
pub const SCHEMES: Family = Family::new(
    GROUPS.end(),
    &[
        0x0403, 0x0503, 0x0603, 0x0807, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601,
    ],
    |value| schemes::name_of(SignatureScheme::from(value)),
);

/// What is to be known about the client's certificate: the numbers of [`CLIENTS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum ClientCertificate {
    /// The host does not ask for one.
    NotRequested,
    /// The client has sent none.
    Missing,
    /// It is verified.
    Verified,
    /// It is not verified, but the settings allow that.
    Unverified,
    /// It was refused, or it was missing and required.
    Refused,
}

/// Client certificates, by [`ClientCertificate`].
pub const CLIENTS: Family = Family::new(SCHEMES.end(), &[0, 1, 2, 3, 4], |value| {
    const NAMES: [&str; 5] = ["not_requested", "missing", "verified", "unverified", "refused"];
    NAMES.get(usize::from(value)).copied()
});

/// Alerts (RFC 8446 section 6) that were sent.
pub const ALERTS_SENT: Family = Family::new(CLIENTS.end(), ALERTS, alert_name);

/// Alerts that were received.
pub const ALERTS_RECEIVED: Family = Family::new(ALERTS_SENT.end(), ALERTS, alert_name);

/// Codes of failures of clients and backends.
pub const FAILURES: Family = Family::new(ALERTS_RECEIVED.end(), &CODES, |value| {
    let found = TABLE.iter().find(|entry| entry.code as u16 == value);
    found.map(|entry| entry.name)
});

/// The other codes of the log are larger.
const CODES_END: u16 = 3000;

/// The codes of failures, which are the first ones of the table.
const CODES: [u16; failures_in_table()] = {
    let mut codes = [0; failures_in_table()];
    let mut at = 0;
    while at < codes.len() {
        codes[at] = TABLE[at].code as u16;
        at += 1;
    }
    codes
};

const fn failures_in_table() -> usize {
    let mut count = 0;
    while count < TABLE.len() && (TABLE[count].code as u16) < CODES_END {
        count += 1;
    }
    count
}

/// The first of the cells for durations: one for each limit, and one for those that take longer.
pub(super) const DURATIONS: usize = FAILURES.end();

/// The limits of durations, in microseconds.
pub const DURATION_LIMITS: [u64; 14] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000,
];

/// The end of the cells.
pub(super) const END: usize = DURATIONS + DURATION_LIMITS.len() + 1;

/// Alerts that are in use, with the names of IANA's registry.
const ALERT_NAMES: &[(u16, &str)] = &[
    (0, "close_notify"),
    (10, "unexpected_message"),
    (20, "bad_record_mac"),
    (22, "record_overflow"),
    (40, "handshake_failure"),
    (42, "bad_certificate"),
    (43, "unsupported_certificate"),
    (44, "certificate_revoked"),
    (45, "certificate_expired"),
    (46, "certificate_unknown"),
    (47, "illegal_parameter"),
    (48, "unknown_ca"),
    (49, "access_denied"),
    (50, "decode_error"),
    (51, "decrypt_error"),
    (70, "protocol_version"),
    (71, "insufficient_security"),
    (80, "internal_error"),
    (86, "inappropriate_fallback"),
    (90, "user_canceled"),
    (100, "no_renegotiation"),
    (109, "missing_extension"),
    (110, "unsupported_extension"),
    (112, "unrecognized_name"),
    (113, "bad_certificate_status_response"),
    (115, "unknown_psk_identity"),
    (116, "certificate_required"),
    (120, "no_application_protocol"),
    (121, "ech_required"),
];

/// Their numbers.
const ALERTS: &[u16] = &{
    let mut numbers = [0; ALERT_NAMES.len()];
    let mut at = 0;
    while at < numbers.len() {
        numbers[at] = ALERT_NAMES[at].0;
        at += 1;
    }
    numbers
};

/// The name of an alert in IANA's registry.
pub fn alert_name(alert: u16) -> Option<&'static str> {
    let found = ALERT_NAMES.iter().find(|(number, _)| *number == alert);
    found.map(|(_, name)| *name)
}
