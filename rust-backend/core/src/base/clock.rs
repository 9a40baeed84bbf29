// SPDX-License-Identifier: Apache-2.0
//! The time.

use std::time::{SystemTime, UNIX_EPOCH};

/// The time in seconds since 1970.
pub fn unix_now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
