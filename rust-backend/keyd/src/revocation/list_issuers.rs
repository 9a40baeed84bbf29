// SPDX-License-Identifier: Apache-2.0
//! The CAs that sign revocation lists. Who stands between this machine and the server of a list must not be able to replace it.

use std::sync::Arc;

use mod_tls_core::crypto::verification_algorithms;
use mod_tls_core::trust::crl::Crl;
use mod_tls_core::x509::Certificate;

/// How many are known: those of the configuration, and those of clients' certificates that came last.
const MAX_ISSUERS: usize = 512;

/// The certificates of CAs in DER.
#[derive(Clone, Debug, Default)]
pub(super) struct ListIssuers(Vec<Arc<[u8]>>);

impl ListIssuers {
    pub(super) fn add(&mut self, der: &[u8]) {
        if self.0.iter().any(|known| **known == *der) {
            return;
        }
        if self.0.len() >= MAX_ISSUERS {
            self.0.remove(0);
        }
        self.0.push(der.into());
    }

    /// Whether one of them has signed the list, as far as its issuer is known. Those who use the list verify that again.
    pub(super) fn have_signed(&self, crl: &Crl) -> bool {
        let has_name =
            |der: &[u8]| Certificate::parse(der).is_ok_and(|parsed| parsed.subject_der().ends_with(crl.issuer()));
        let mut named = self.0.iter().filter(|der| has_name(der)).peekable();
        named.peek().is_none() || named.any(|der| crl.is_signed_by(der, &verification_algorithms()))
    }
}
