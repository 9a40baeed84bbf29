// SPDX-License-Identifier: Apache-2.0
//! What mod_tls knows about TLS, without httpd.
#![forbid(unsafe_code)]

pub mod ciphers;
pub mod x509;
