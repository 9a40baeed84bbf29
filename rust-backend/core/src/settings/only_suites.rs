// SPDX-License-Identifier: Apache-2.0
//! The cipher suites that mod_ssl's directives allow, for TLS 1.2 and TLS 1.3.

use crate::base::directive::Located;
use crate::crypto::ciphers::Cipher;

/// The only cipher suites that are used, in the order of preference. `None` is not set.
#[derive(Clone, Debug, Default)]
pub struct OnlySuites {
    /// Those of TLS 1.2.
    pub tls12: Option<Located<Vec<&'static Cipher>>>,
    /// Those of TLS 1.3.
    pub tls13: Option<Located<Vec<&'static Cipher>>>,
}

impl OnlySuites {
    /// These lists, with those of `outer` for lists that are not set.
    pub fn inherit(&self, outer: &Self) -> Self {
        Self {
            tls12: self.tls12.clone().or_else(|| outer.tls12.clone()),
            tls13: self.tls13.clone().or_else(|| outer.tls13.clone()),
        }
    }

    /// The list for TLS 1.3, or that for TLS 1.2.
    pub(crate) fn of(&self, tls13: bool) -> Option<&Located<Vec<&'static Cipher>>> {
        match tls13 {
            true => self.tls13.as_ref(),
            false => self.tls12.as_ref(),
        }
    }

    /// The numbers of the suites, for comparisons.
    pub(crate) fn ids(&self) -> [Option<Vec<u16>>; 2] {
        let ids = |said: &Located<Vec<&'static Cipher>>| said.value.iter().map(|cipher| cipher.id).collect();
        [self.tls12.as_ref().map(ids), self.tls13.as_ref().map(ids)]
    }
}
