// SPDX-License-Identifier: Apache-2.0
//! Whom to believe: trust anchors, revocation lists, and paths from a certificate to an anchor.
//!
//! Paths are built and checked by rustls-webpki. Around it is policy: the depth of the path, what the certificate of a
//! trust anchor says about itself, and revocation lists.
//!
//! May use: base, crypto, x509.

pub mod anchors;
pub mod client;
pub mod crl;
pub mod path;
pub mod refusal;
pub mod revocation;
