// SPDX-License-Identifier: Apache-2.0
//! Session resumption: ticket keys, tickets, the cache that all child processes share, and the requests that are
//! accepted as early data.
//!
//! May use: base, crypto, trust.

pub mod early_data;
pub mod resumption;
pub mod tickets;
