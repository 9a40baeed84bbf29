// SPDX-License-Identifier: Apache-2.0
//! What is known of an established connection, and the `SSL_*` variables made of it.
//!
//! May use: base, crypto, keys, trust, x509.

pub mod connection_info;
pub mod options;
