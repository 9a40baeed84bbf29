// SPDX-License-Identifier: Apache-2.0
//! Verification of certificates: trust anchors, revocation lists, and paths from a certificate to an anchor.
//!
//! rustls-webpki builds and checks paths. This room adds policy: the depth of the path, the extensions of the trust
//! anchor's certificate, and revocation lists.
//!
//! May use: base, crypto, revocation, x509.

pub mod anchors;
pub mod ca_set;
pub mod client;
pub mod crl;
pub mod fetched_lists;
pub mod path;
pub mod refusal;
pub mod revocation;
pub mod status;
