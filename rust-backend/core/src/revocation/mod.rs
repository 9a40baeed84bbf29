// SPDX-License-Identifier: Apache-2.0
//! Revocation by what other machines say: OCSP responses and lists that are fetched.
//!
//! A process of its own, `tls-keyd --revocation`, talks to the other machines. It has no private keys. It publishes what it has
//! verified in a [table](shared_table) in memory, which all processes of httpd can read. Child processes tell it by
//! [questions] what else they need.
//!
//! [What there is](summary) is for the status page.
//!
//! May use: base, crypto, key_process, x509.

pub mod checks;
pub mod disk;
pub mod ocsp;
pub mod orders;
pub mod process;
pub mod published;
pub mod questions;
pub mod schedule;
pub mod shared_table;
pub mod summary;
