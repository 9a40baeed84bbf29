// SPDX-License-Identifier: Apache-2.0
//! Resumption of sessions: ticket keys, tickets, the cache that all children share, and which requests may come as early
//! data.
//!
//! May use: base, crypto, trust.

pub mod early_data;
pub mod resumption;
pub mod tickets;
