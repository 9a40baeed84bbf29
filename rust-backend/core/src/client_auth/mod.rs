// SPDX-License-Identifier: Apache-2.0
//! Client certificates: who must present one, whom it is believed, and what became of it.
//!
//! The path to a trust anchor is built and checked by rustls-webpki. Around it is policy: the depth of the path, what
//! the certificate of a trust anchor says about itself, and revocation lists.

pub mod anchors;
pub mod crl;
pub mod demand;
pub mod revocation;
pub mod verdict;
pub mod verifier;
