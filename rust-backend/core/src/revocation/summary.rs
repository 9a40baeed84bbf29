// SPDX-License-Identifier: Apache-2.0
//! What the process that talks to other machines says of its work, for the status page and the metrics.

use serde::{Deserialize, Serialize};

/// What it says. It is published every few seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Its process number.
    pub pid: u32,
    /// When it has said this, in seconds since 1970.
    pub at: i64,
    /// The certificates for which responses are fetched.
    pub staples: StapleCounts,
    /// The revocation lists that are fetched.
    pub lists: Vec<ListFacts>,
}

/// The number of certificates by what responders say about them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StapleCounts {
    /// There is a response to be stapled.
    pub good: u64,
    /// They are revoked, and nothing is stapled.
    pub revoked: u64,
    /// Their responders do not know them, and nothing is stapled.
    pub unknown: u64,
    /// The response is too old, and not stapled any more.
    pub stale: u64,
    /// There is no response.
    pub none: u64,
}

/// A revocation list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListFacts {
    /// Where it is.
    pub url: String,
    /// Whether the configuration or a CA of it names it, and not only the certificate of a client.
    pub is_configured: bool,
    /// The list; none if there is none.
    pub current: Option<ListTimes>,
    /// Why the last attempt to fetch it has failed.
    pub problem: Option<String>,
}

/// What there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListTimes {
    /// The number of entries.
    pub entries: u64,
    /// The thisUpdate time, in seconds since 1970.
    pub this_update: i64,
    /// The nextUpdate time.
    pub next_update: i64,
}
