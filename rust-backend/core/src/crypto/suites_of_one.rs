// SPDX-License-Identifier: Apache-2.0
//! Cipher suites where one library does everything: ring, or the FIPS module of aws-lc.

use rustls::SupportedCipherSuite;

/// The suite as it is.
pub(crate) fn fastest(suite: SupportedCipherSuite) -> SupportedCipherSuite {
    suite
}

/// Whether AES-GCM is another library's than the rest.
pub(crate) fn is_aes_of_ring() -> bool {
    false
}
