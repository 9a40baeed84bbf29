// SPDX-License-Identifier: Apache-2.0
//! The time.

use std::time::{SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A time in the format of RFC 3339, in UTC: `2026-11-27T08:30:00.25Z`. `micros` are microseconds since 1970. Empty if the
/// year has more than four digits.
///
/// ```
/// assert_eq!(mod_tls_core::base::clock::rfc3339(1_000_000_000_250_000), "2001-09-09T01:46:40.25Z");
/// ```
pub fn rfc3339(micros: i64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_default()
}

/// The time in seconds since 1970.
pub fn unix_now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
