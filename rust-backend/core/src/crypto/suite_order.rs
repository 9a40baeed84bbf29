// SPDX-License-Identifier: Apache-2.0
//! Whose order of cipher suites counts, and which suites cost least.

use rustls::{CipherSuite, SupportedCipherSuite};

/// Whose order of cipher suites counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SuiteOrder {
    /// The client's: `TLSHonorClientOrder on`.
    Client,
    /// Ours: `TLSHonorClientOrder off`.
    Server,
    /// Ours, the cheapest suites first, except for clients that put ChaCha20 first: they have no AES instructions.
    Cheapest,
}

impl SuiteOrder {
    /// Sorts suites by cost, if that is the order.
    pub(crate) fn sort(self, suites: &mut [SupportedCipherSuite]) {
        if self == Self::Cheapest {
            let has_aes = has_aes_instructions();
            suites.sort_by_key(|suite| (suite.tls13().is_none(), cost(suite, has_aes)));
        }
    }

    /// Whether the order of a client that offers the suites `offered` counts. `ours` are those that it may use.
    pub(crate) fn is_clients(self, offered: &[CipherSuite], ours: &[SupportedCipherSuite]) -> bool {
        let ours = |offered: &CipherSuite| ours.iter().find(|suite| suite.suite() == *offered);
        match self {
            Self::Client => true,
            Self::Server => false,
            Self::Cheapest => offered.iter().find_map(ours).is_some_and(is_chacha20),
        }
    }
}

/// The rank of a suite by the cost of a connection. AES-128 has fewer rounds than AES-256, and all of its suites use SHA-256, for which there are
/// instructions, in place of SHA-384.
fn cost(suite: &SupportedCipherSuite, has_aes: bool) -> u8 {
    let is_aes128 = suite.suite().as_str().is_some_and(|name| name.contains("AES_128"));
    match (is_chacha20(suite), is_aes128) {
        (true, _) if !has_aes => 0,
        (_, true) => 1,
        (false, false) => 2,
        (true, _) => 3,
    }
}

fn is_chacha20(suite: &SupportedCipherSuite) -> bool {
    suite.suite().as_str().is_some_and(|name| name.contains("CHACHA20"))
}

/// Whether this CPU has instructions for AES.
fn has_aes_instructions() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("aes");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return false;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::DEFAULT_CIPHER_SUITES;

    fn ordered(has_aes: bool) -> Vec<CipherSuite> {
        let mut suites = DEFAULT_CIPHER_SUITES.to_vec();
        suites.sort_by_key(|suite| (suite.tls13().is_none(), cost(suite, has_aes)));
        suites.iter().map(SupportedCipherSuite::suite).collect()
    }

    #[test]
    fn the_cheapest_suite_depends_on_the_cpu() {
        let with = ordered(true);
        assert_eq!(with[0], CipherSuite::TLS13_AES_128_GCM_SHA256);
        assert_eq!(with[1], CipherSuite::TLS13_AES_256_GCM_SHA384);
        let aes128 = CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;
        assert_eq!(with.iter().find(|suite| u16::from(**suite) >> 8 != 0x13), Some(&aes128));
        let without = ordered(false);
        if with.contains(&CipherSuite::TLS13_CHACHA20_POLY1305_SHA256) {
            assert_eq!(without[0], CipherSuite::TLS13_CHACHA20_POLY1305_SHA256);
        }
    }

    #[test]
    fn clients_without_aes_instructions_choose() {
        use CipherSuite as Suite;
        let ours = DEFAULT_CIPHER_SUITES;
        let grease = Suite::from(0x1a1a);
        let (aes, chacha) = (Suite::TLS13_AES_256_GCM_SHA384, Suite::TLS13_CHACHA20_POLY1305_SHA256);
        let has_chacha = ours.iter().any(is_chacha20);
        assert_eq!(
            SuiteOrder::Cheapest.is_clients(&[grease, chacha, aes], ours),
            has_chacha
        );
        assert!(!SuiteOrder::Cheapest.is_clients(&[grease, aes, chacha], ours));
        assert!(!SuiteOrder::Cheapest.is_clients(&[grease], ours));
        assert!(SuiteOrder::Client.is_clients(&[aes, chacha], ours));
        assert!(!SuiteOrder::Server.is_clients(&[chacha, aes], ours));
    }
}
