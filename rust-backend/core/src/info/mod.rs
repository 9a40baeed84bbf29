// SPDX-License-Identifier: Apache-2.0
//! The parameters of an established connection, and the `SSL_*` variables.
//!
//! May use: base, crypto, keys, trust, x509.

pub mod connection_info;
pub mod ja4;
pub mod offer;
pub mod options;
